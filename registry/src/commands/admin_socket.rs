//! Asking the running server through the socket below its store: one request of plain HTTP, and an error that says what to do.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::arguments::RunningServer;
use super::{Environment, load_from};
use crate::config::{Config, FileChoice};
use crate::http::admin::Refusal;

/// A server that does not answer in this time is not well.
const LIMIT: Duration = Duration::from_secs(15);
/// No page is longer.
const MOST_BYTES: u64 = 64 * 1024 * 1024;

/// What was asked for, as it came and as it is read.
#[derive(Debug)]
pub(super) struct Told<T> {
    /// The document for programs.
    pub(super) text: String,
    pub(super) page: T,
}

/// Asks the server that was named for a page. An error is what went wrong and what to do about it.
pub(super) fn ask<T: DeserializeOwned>(
    server: &RunningServer,
    path: &str,
    environment: &Environment,
) -> Result<Told<T>, String> {
    exchange(server, &request("GET", path, None), environment)
}

/// Hands the server that was named a wish. An error is what went wrong and what to do about it.
pub(super) fn wish<T: DeserializeOwned>(
    server: &RunningServer,
    path: &str,
    wish: &impl Serialize,
    environment: &Environment,
) -> Result<Told<T>, String> {
    let body = serde_json::to_string(wish).map_err(|error| error.to_string())?;
    exchange(server, &request("POST", path, Some(&body)), environment)
}

/// HTTP/1.0: the answer is not cut into chunks, and its end is the connection's.
fn request(method: &str, path: &str, body: Option<&str>) -> String {
    let head = format!("{method} {path} HTTP/1.0\r\nHost: cistern\r\n");
    match body {
        None => head + "\r\n",
        Some(body) => {
            let length = body.len();
            let kind = "Content-Type: application/json";
            format!("{head}{kind}\r\nContent-Length: {length}\r\n\r\n{body}")
        }
    }
}

fn exchange<T: DeserializeOwned>(
    server: &RunningServer,
    request: &str,
    environment: &Environment,
) -> Result<Told<T>, String> {
    let store = match &server.store {
        Some(store) => store.clone(),
        None => configured(server, environment)?,
    };
    let socket = store.join("cistern/admin.sock");
    let answer = converse(&socket, request).map_err(|error| advice(&store, &socket, &error))?;
    read(&answer, &socket)
}

fn configured(server: &RunningServer, environment: &Environment) -> Result<PathBuf, String> {
    let file = server.file.clone();
    let file = file.map_or(FileChoice::Search, FileChoice::Named);
    Config::root_directory(&load_from(file, false, environment))
        .map_err(|errors| errors.to_string())
}

fn converse(socket: &Path, request: &str) -> io::Result<Vec<u8>> {
    let mut connection = UnixStream::connect(socket)?;
    connection.set_read_timeout(Some(LIMIT))?;
    connection.set_write_timeout(Some(LIMIT))?;
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    connection.take(MOST_BYTES).read_to_end(&mut answer)?;
    Ok(answer)
}

fn read<T: DeserializeOwned>(answer: &[u8], socket: &Path) -> Result<Told<T>, String> {
    let strange = |what: &str| {
        format!(
            "what answers on {} is no Cistern of this version: {what}",
            socket.display()
        )
    };
    let text = String::from_utf8_lossy(answer);
    let (head, body) = text
        .split_once("\r\n\r\n")
        .ok_or_else(|| strange("it does not speak HTTP"))?;
    let status: Option<u16> = head
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok());
    match status {
        Some(200) => {}
        Some(404) if body.is_empty() => {
            return Err(strange("it does not have this page (an older version?)"));
        }
        Some(status) => {
            let refusal: Refusal =
                serde_json::from_str(body).map_err(|_| strange(&format!("it answers {status}")))?;
            return Err(refusal.error);
        }
        None => return Err(strange("it does not speak HTTP")),
    }
    let page = serde_json::from_str(body).map_err(|error| strange(&error.to_string()))?;
    Ok(Told {
        text: body.to_owned(),
        page,
    })
}

/// What to do about a socket that cannot be talked to.
fn advice(store: &Path, socket: &Path, error: &io::Error) -> String {
    const NAME_IT: &str = "name the configuration that the server was started with (`cistern status FILE`), or its store (`--store \
                           FOLDER`); in a container, run this command in it (`docker exec NAME cistern status`)";
    let shown = store.display();
    match error.kind() {
        ErrorKind::NotFound if !store.exists() => {
            format!("there is no store at {shown}: {NAME_IT}")
        }
        ErrorKind::NotFound => format!(
            "no server is running on the store at {shown}: start it, or, if it runs on another store, {NAME_IT}. A server with a \
             read-only store has no socket; ask its /readyz and its metrics instead"
        ),
        ErrorKind::ConnectionRefused => format!(
            "no server is running on the store at {shown} any more: its socket is left over. Look at its log for why it ended, and \
             start it again"
        ),
        ErrorKind::PermissionDenied => format!(
            "{} is for the server's user only: run this command as that user, or as root",
            socket.display()
        ),
        ErrorKind::WouldBlock | ErrorKind::TimedOut => format!(
            "the server on {} did not answer within {} s: its disk may be stuck; `cistern healthcheck` and its log say more",
            socket.display(),
            LIMIT.as_secs()
        ),
        _ => format!("{} could not be asked: {error}", socket.display()),
    }
}

/// Text of a server with what could move a terminal's cursor made visible: it holds words of callers and of upstreams.
pub(super) fn plain(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let is_odd = character.is_control() || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            let shown: Box<dyn Iterator<Item = char>> = if is_odd {
                Box::new(character.escape_default())
            } else {
                Box::new(std::iter::once(character))
            };
            shown
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::admin::StatusPage;

    fn told(answer: &str) -> Result<Told<StatusPage>, String> {
        read(answer.as_bytes(), Path::new("/store/cistern/admin.sock"))
    }

    #[test]
    fn a_page_is_read_also_if_it_says_more_or_less_than_is_known() {
        let page = told("HTTP/1.0 200 OK\r\na: b\r\n\r\n{\"version\":\"9\",\"new\":1}").unwrap();
        assert_eq!(page.page.version, "9");
    }

    #[test]
    fn what_is_no_page_is_told() {
        for (answer, wanted) in [
            ("SSH-2.0\r\n", "does not speak HTTP"),
            ("HTTP/1.0 404 Not Found\r\n\r\n", "older version"),
            (
                "HTTP/1.0 400 Bad\r\n\r\n{\"error\":\"`A` is no image\"}",
                "`A` is no image",
            ),
            ("HTTP/1.0 500 Oh\r\n\r\nhelp", "answers 500"),
            ("HTTP/1.0 200 OK\r\n\r\n[", "no Cistern of this version"),
        ] {
            let error = told(answer).unwrap_err();
            assert!(error.contains(wanted), "{error}");
        }
    }

    #[test]
    fn words_of_strangers_do_not_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\u{202e}"), "a\\u{1b}[2Jb\\u{202e}");
    }
}
