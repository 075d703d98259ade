//! A program that tells the credentials, as docker's credential helpers do: called with the argument `get`, it reads the
//! server's name from its input and writes JSON with `Username` and `Secret`. What it writes is a secret and is never
//! shown, not even where it cannot be understood.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use parking_lot::Mutex;
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::{Credentials, CredentialsError};
use crate::Secret;

/// A credential helper and what it has said. It runs once at a time, however many callers want to know.
pub struct CredentialCommand {
    program: PathBuf,
    lifetime: Option<Duration>,
    /// One permit: the turn to run it.
    turn: Semaphore,
    kept: Mutex<HashMap<String, Kept>>,
}

/// What the helper said about one server.
#[derive(Clone)]
struct Kept {
    said: Result<Option<Credentials>, CredentialsError>,
    at: Instant,
    /// When it is asked again; none: when the upstream refuses what it said.
    until: Option<Instant>,
    /// The upstream has refused it.
    is_refused: bool,
    /// It was said after a refusal.
    follows_refusal: bool,
}

/// The JSON of a helper. Other fields (`ServerURL`) say nothing new.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    username: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// How long the helper may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How soon a helper that failed runs again, and one whose second answer was refused like the first.
const PAUSE: Duration = Duration::from_secs(10);
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_secs(30);
/// How long "there are none" is believed: somebody may log in.
const NONE_LIFE: Duration = Duration::from_mins(1);
/// No credentials are this long.
const LONGEST: u64 = 64 * 1024;
/// The word of the protocol for a server that the helper does not know, with exit status 1.
const NOT_FOUND: &str = "credentials not found in native keychain";

impl CredentialCommand {
    /// Names the program; nothing is run yet. A `program` without a slash is sought in `PATH`. Its answer is used for
    /// `lifetime`, or until the upstream refuses it.
    pub fn new(program: impl Into<PathBuf>, lifetime: Option<Duration>) -> Self {
        Self {
            program: program.into(),
            lifetime,
            turn: Semaphore::new(1),
            kept: Mutex::new(HashMap::new()),
        }
    }

    /// The program.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The credentials for a server, from memory or from the helper. None if it knows none.
    pub(super) async fn current(
        &self,
        server: &str,
    ) -> Result<Option<Credentials>, CredentialsError> {
        if let Some(said) = self.remembered(server) {
            return said;
        }
        // The semaphore is never closed.
        let _turn = self.turn.acquire().await.ok();
        if let Some(said) = self.remembered(server) {
            return said;
        }
        let said = self.run(server).await;
        self.keep(server, said)
    }

    /// The upstream refused these. They are asked for anew, unless they are not what the helper says any more, or were
    /// themselves the answer to a refusal of a moment ago.
    pub(super) fn refused(&self, server: &str, credentials: &Credentials) {
        let mut kept = self.kept.lock();
        let Some(kept) = kept.get_mut(server) else {
            return;
        };
        let is_said = matches!(&kept.said, Ok(Some(said)) if said == credentials);
        if is_said && (!kept.follows_refusal || kept.at.elapsed() >= PAUSE_AFTER_REFUSAL) {
            kept.is_refused = true;
        }
    }

    fn remembered(&self, server: &str) -> Option<Result<Option<Credentials>, CredentialsError>> {
        let kept = self.kept.lock();
        let kept = kept.get(server)?;
        let holds = !kept.is_refused && kept.until.is_none_or(|until| Instant::now() < until);
        holds.then(|| kept.said.clone())
    }

    /// A helper that fails takes nothing away: what it said before is used on, if the upstream has not refused it.
    fn keep(
        &self,
        server: &str,
        said: Result<Option<Credentials>, CredentialsError>,
    ) -> Result<Option<Credentials>, CredentialsError> {
        let now = Instant::now();
        let mut kept = self.kept.lock();
        let before = kept.get(server);
        let follows_refusal = before.is_some_and(|before| before.is_refused);
        let until = match &said {
            Ok(Some(_)) => self.lifetime.map(|lifetime| now + lifetime),
            Ok(None) => Some(now + NONE_LIFE),
            Err(_) => Some(now + PAUSE),
        };
        let said = match (said, before) {
            (Err(error), Some(before)) if !before.is_refused && before.said.is_ok() => {
                tracing::warn!(%error, "what the credential helper said before stays in use");
                before.said.clone()
            }
            (said, _) => said,
        };
        let news = Kept {
            said: said.clone(),
            at: now,
            until,
            is_refused: false,
            follows_refusal,
        };
        kept.insert(server.to_owned(), news);
        said
    }

    async fn run(&self, server: &str) -> Result<Option<Credentials>, CredentialsError> {
        let error = |reason: String| CredentialsError {
            path: self.program.clone(),
            reason,
        };
        tracing::debug!(program = %self.program.display(), server, "asking the credential helper");
        let mut child = Command::new(&self.program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(|cause| error(format!("it cannot be started: {cause}")))?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let talk = async {
            let (output, ()) = tokio::join!(listen(output), ask(input, server));
            Ok::<_, std::io::Error>((child.wait().await?, output?))
        };
        let (status, output) = timeout(LIMIT, talk)
            .await
            .map_err(|_| error(format!("it has not answered within {} s", LIMIT.as_secs())))?
            .map_err(|cause| error(format!("its answer cannot be read: {cause}")))?;
        understand(status, &output).map_err(error)
    }
}

/// A helper that does not care for the server's name may be gone before it is written.
async fn ask(input: Option<ChildStdin>, server: &str) {
    if let Some(mut input) = input {
        let _ = input.write_all(server.as_bytes()).await;
    }
}

async fn listen(output: Option<ChildStdout>) -> std::io::Result<Vec<u8>> {
    let mut whole = Vec::new();
    if let Some(output) = output {
        output.take(LONGEST + 1).read_to_end(&mut whole).await?;
    }
    Ok(whole)
}

/// What an ended helper said. The refusals repeat nothing of it.
fn understand(status: ExitStatus, output: &[u8]) -> Result<Option<Credentials>, String> {
    if !status.success() {
        let is_unknown = output.trim_ascii() == NOT_FOUND.as_bytes();
        return if is_unknown {
            Ok(None)
        } else {
            Err(format!("it ended with {status}"))
        };
    }
    if output.len() as u64 > LONGEST {
        return Err(format!("its answer is longer than {LONGEST} bytes"));
    }
    let answer: Answer = serde_json::from_slice(output).map_err(|_| {
        "its answer is not the JSON of a credential helper, with Username and Secret".to_owned()
    })?;
    if answer.username.is_empty() && answer.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(Credentials {
        username: answer.username,
        password: Secret::new(answer.secret),
    }))
}

impl fmt::Debug for CredentialCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialCommand")
            .field("program", &self.program)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
