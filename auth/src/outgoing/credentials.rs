//! The user name and password this cache was given for an upstream. Where they come from files, the files are read again
//! when they change, so that a rotated password needs no restart; a program is asked again when the upstream refuses what
//! it said.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::CredentialCommand;
use crate::{Secret, WatchedFile};

/// A user name and its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who we say we are. Shown to token servers as `account`.
    pub username: String,
    /// The password or access token that proves it.
    pub password: Secret,
}

/// Where an upstream's credentials come from.
#[derive(Clone, Debug)]
pub enum CredentialSource {
    /// There are none: the upstream is used anonymously.
    None,
    /// A user name and a password, each given by itself.
    Given {
        /// Where the user name comes from.
        username: SecretSource,
        /// Where the password comes from.
        password: SecretSource,
    },
    /// A program tells them.
    Command(Arc<CredentialCommand>),
}

/// A text from the configuration, or from a file named there.
#[derive(Clone, Debug)]
pub enum SecretSource {
    /// The text itself.
    Inline(Secret),
    /// A file that holds the text; line ends after it are not part of it.
    File(Arc<WatchedFile>),
}

/// A file with a user name or password cannot be read, or the program that tells them failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this cache's credentials cannot be read from {}: {reason}", path.display())]
pub struct CredentialsError {
    /// The file or program.
    pub path: PathBuf,
    /// Why not.
    pub reason: String,
}

/// The user names that say that the password is a refresh token: docker's for an identity token, and ACR's.
const IDENTITY: [&str; 2] = ["<token>", "00000000-0000-0000-0000-000000000000"];

impl Credentials {
    /// The refresh token for a token server's POST, where the user name says that the password is one.
    pub fn refresh_token(&self) -> Option<&Secret> {
        IDENTITY
            .contains(&self.username.as_str())
            .then_some(&self.password)
    }

    /// The value of an `Authorization` header for the Basic scheme.
    pub fn basic(&self) -> Secret {
        let pair = format!("{}:{}", self.username, self.password.expose());
        Secret::new(format!("Basic {}", STANDARD.encode(pair)))
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("password", &self.password)
            .finish_non_exhaustive()
    }
}

impl CredentialSource {
    /// Both given in the configuration itself.
    pub fn inline(username: &str, password: &str) -> Self {
        Self::Given {
            username: SecretSource::inline(username),
            password: SecretSource::inline(password),
        }
    }

    /// A credential helper as docker's are, see [`CredentialCommand::new`].
    pub fn command(program: impl Into<PathBuf>, lifetime: Option<Duration>) -> Self {
        Self::Command(Arc::new(CredentialCommand::new(program, lifetime)))
    }

    /// Whether there are credentials at all, as far as is known without asking for them.
    pub fn is_given(&self) -> bool {
        !matches!(self, Self::None)
    }

    /// The credentials for a server as they are now. An empty user name with an empty password counts as none. Only a
    /// program is told the server's name.
    pub async fn current(&self, server: &str) -> Result<Option<Credentials>, CredentialsError> {
        let (username, password) = match self {
            Self::None => return Ok(None),
            Self::Command(command) => return command.current(server).await,
            Self::Given { username, password } => (username, password),
        };
        let username = username.current().await?;
        let password = password.current().await?;
        if username.is_empty() && password.is_empty() {
            return Ok(None);
        }
        Ok(Some(Credentials {
            username: username.expose().to_owned(),
            password,
        }))
    }
}

impl CredentialSource {
    /// The server refused these credentials. Where a program told them, it may run again for the next call of
    /// [`CredentialSource::current`]; files are read at every call anyway.
    pub fn refused(&self, server: &str, credentials: &Credentials) {
        if let Self::Command(command) = self {
            command.refused(server, credentials);
        }
    }
}

impl SecretSource {
    /// A text given in the configuration itself.
    pub fn inline(text: &str) -> Self {
        Self::Inline(Secret::new(text))
    }

    /// A file that holds the text.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(Arc::new(WatchedFile::new(path)))
    }

    async fn current(&self) -> Result<Secret, CredentialsError> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::File(file) => {
                let content = file
                    .current()
                    .await
                    .map_err(|error| unreadable(file.path(), &error))?;
                let text = std::str::from_utf8(&content)
                    .map_err(|error| unreadable(file.path(), &error))?;
                Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
            }
        }
    }
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> CredentialsError {
    CredentialsError {
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    #[expect(
        clippy::disallowed_methods,
        reason = "the test plays the operator who writes the file"
    )]
    async fn a_changed_password_file_is_read_again() {
        let path =
            std::env::temp_dir().join(format!("cistern-auth-password-{}", std::process::id()));
        std::fs::write(&path, "old\r\n").unwrap();
        let source = CredentialSource::Given {
            username: SecretSource::inline("rain"),
            password: SecretSource::file(&path),
        };
        let current = async || {
            let current = source.current("h.example").await.unwrap();
            current.unwrap().password.expose().to_owned()
        };
        assert_eq!(current().await, "old");
        std::fs::write(&path, "much newer\n").unwrap();
        assert_eq!(current().await, "much newer");
        std::fs::remove_file(&path).unwrap();
        let gone = source.current("h.example").await.unwrap_err().to_string();
        assert!(
            gone.contains("cistern-auth-password") && !gone.contains("newer"),
            "{gone}"
        );
    }

    #[tokio::test]
    async fn empty_credentials_are_none() {
        assert_eq!(
            CredentialSource::inline("", "")
                .current("h.example")
                .await
                .unwrap(),
            None
        );
        assert_eq!(
            CredentialSource::None.current("h.example").await.unwrap(),
            None
        );
    }

    #[test]
    fn basic_is_the_base64_of_both_with_a_colon() {
        let credentials = Credentials {
            username: "Aladdin".into(),
            password: Secret::new("open sesame"),
        };
        assert_eq!(
            credentials.basic().expose(),
            "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
        );
        assert!(!format!("{credentials:?}").contains("sesame"));
    }

    #[test]
    fn the_user_name_says_whether_the_password_is_a_refresh_token() {
        for (username, is_one) in [
            ("<token>", true),
            ("00000000-0000-0000-0000-000000000000", true),
            ("rain", false),
            ("", false),
        ] {
            let credentials = Credentials {
                username: username.into(),
                password: Secret::new("pencil"),
            };
            assert_eq!(credentials.refresh_token().is_some(), is_one, "{username}");
        }
    }
}
