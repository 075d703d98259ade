//! How we prove who we are to the upstream. A secret is never printed; a file's path is kept, so that its reader can look again.

use std::path::{Path, PathBuf};

use super::LoadFrom;
use super::finding::Place;
use super::reader::{Reader, Written};

pub use cistern_auth::Secret;

/// A user name or a password: written down, or kept in a file that is read again whenever it changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialText {
    /// Given in the configuration itself; empty if only the other half was given.
    Inline(Secret),
    /// The whole content of this file without its last line break.
    File(PathBuf),
}

/// What the upstream is told when it asks who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// `proxy.username` or `proxy.usernamefile`.
    pub username: CredentialText,
    /// `proxy.password` or `proxy.passwordfile`.
    pub password: CredentialText,
}

/// What stands below `section`: `proxy`, or a route.
pub(super) fn read(
    reader: &mut Reader<'_>,
    from: &LoadFrom<'_>,
    section: &str,
) -> Option<Credentials> {
    let key = |word: &str| format!("{section}.{word}");
    let (name, secret) = (key("username"), key("password"));
    let username = half(reader, from, &name, &key("usernamefile"));
    let password = half(reader, from, &secret, &key("passwordfile"));
    let empty = || CredentialText::Inline(Secret::new(""));
    match (username, password) {
        (None, None) => None,
        (Some((username, _)), Some((password, _))) => Some(Credentials { username, password }),
        (Some((username, place)), None) => {
            let advice = format!("set {secret} or {secret}file");
            reader.warn(place, &name, "there is no password with it", &advice);
            Some(Credentials {
                username,
                password: empty(),
            })
        }
        (None, Some((password, place))) => {
            let advice = format!("set {name}; many registries take any name with a token");
            reader.warn(place, &secret, "there is no user name with it", &advice);
            Some(Credentials {
                username: empty(),
                password,
            })
        }
    }
}

/// The environment overrides the file here as everywhere; twice in the same one is a contradiction.
fn half(
    reader: &mut Reader<'_>,
    from: &LoadFrom<'_>,
    inline: &str,
    file: &str,
) -> Option<(CredentialText, Place)> {
    match (reader.set(inline), reader.set(file)) {
        (None, None) => None,
        (Some(text), None) => Some(as_inline(text)),
        (None, Some(path)) => Some(as_file(reader, from, file, path)),
        (Some(text), Some(path)) => match (&text.place, &path.place) {
            (Place::Variable(_), Place::File { .. }) => Some(as_inline(text)),
            (Place::File { .. }, Place::Variable(_)) => Some(as_file(reader, from, file, path)),
            _ => {
                reader.fail(
                    path.place,
                    file,
                    format!("{inline} is set too"),
                    "keep one of the two",
                );
                None
            }
        },
    }
}

fn as_inline(text: Written) -> (CredentialText, Place) {
    (CredentialText::Inline(Secret::new(text.text)), text.place)
}

/// A secret that is not there yet may come later: it is read when it is needed.
fn as_file(
    reader: &mut Reader<'_>,
    from: &LoadFrom<'_>,
    key: &str,
    written: Written,
) -> (CredentialText, Place) {
    let path = Path::new(&written.text);
    match (from.read)(path) {
        Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => {
            reader.warn(
                written.place.clone(),
                key,
                format!("{} is empty", path.display()),
                "write the secret into it; it is read again",
            );
        }
        Ok(_) => {}
        Err(error) => {
            let what = format!("{} cannot be read now: {error}", path.display());
            reader.warn(
                written.place.clone(),
                key,
                what,
                "put the file there; it is read again when it is needed",
            );
        }
    }
    (CredentialText::File(path.to_path_buf()), written.place)
}
