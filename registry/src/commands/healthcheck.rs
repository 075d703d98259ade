//! `cistern healthcheck`: for a container without a shell. One request of plain HTTP/1.1, one line, 0 or 1.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

use super::{Console, Environment, Exit, load_from};
use crate::config::{Config, FileChoice};

/// Looking names up, connecting, asking and hearing the answer together.
const LIMIT: Duration = Duration::from_secs(3);
/// A status line is shorter than this.
const STATUS_LINE_LIMIT: usize = 1024;
const PATH: &str = "/healthz";

pub(super) fn run(
    url: Option<String>,
    file: FileChoice,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    let targets = match url {
        Some(url) => Target::from_url(&url).map(|target| vec![target]),
        None => configured(file, environment),
    };
    let result = targets.and_then(|targets| ask_within_limit(&targets));
    match result {
        Ok(answer) => {
            console.say(answer);
            Exit::Success
        }
        Err(why) => {
            console.complain(format!("unhealthy: {why}"));
            Exit::Failure
        }
    }
}

/// What is asked, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    /// Without brackets, also for IPv6.
    host: String,
    port: u16,
    path: String,
}

impl Target {
    fn from_url(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("`{text}` is no URL: {error}"))?;
        if url.scheme() != "http" {
            return Err(format!(
                "`{text}` is no http:// URL; only plain HTTP is asked"
            ));
        }
        let host = url
            .host_str()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let path = if url.path() == "/" { PATH } else { url.path() };
        Ok(Self {
            host,
            port: url.port_or_known_default().unwrap_or(80),
            path: path.to_owned(),
        })
    }

    fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn url(&self) -> String {
        format!("http://{}{}", self.authority(), self.path)
    }
}

fn configured(file: FileChoice, environment: &Environment) -> Result<Vec<Target>, String> {
    let address = Config::listen_address(&load_from(file, false, environment))
        .map_err(|errors| errors.to_string())?;
    if address.port == 0 {
        return Err(format!(
            "http.addr is {address}, a port the system chose; name it with --url"
        ));
    }
    let target = |host| Target {
        host,
        port: address.port,
        path: PATH.to_owned(),
    };
    Ok(address.reached_at().into_iter().map(target).collect())
}

fn ask_within_limit(targets: &[Target]) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        let asked = targets.first().map_or_else(String::new, Target::url);
        tokio::time::timeout(LIMIT, ask_each(targets))
            .await
            .unwrap_or_else(|_| {
                Err(format!(
                    "{asked} did not answer within {} s",
                    LIMIT.as_secs()
                ))
            })
    })
}

/// Only a connection that cannot be made leads on to the next target; the first one's trouble is what is told.
async fn ask_each(targets: &[Target]) -> Result<String, String> {
    let mut why = None;
    for target in targets {
        match TcpStream::connect((target.host.as_str(), target.port)).await {
            Ok(connection) => return ask(connection, target).await,
            Err(error) => why = why.or(Some(format!("{}: {error}", target.url()))),
        }
    }
    Err(why.unwrap_or_else(|| "there is nowhere to ask".to_owned()))
}

async fn ask(mut connection: TcpStream, target: &Target) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", target.url());
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: cistern-healthcheck\r\nConnection: close\r\n\r\n",
        target.path,
        target.authority()
    );
    connection
        .write_all(request.as_bytes())
        .await
        .map_err(failed)?;
    let mut answer = Vec::new();
    let mut piece = [0_u8; 256];
    while !answer.contains(&b'\n') && answer.len() < STATUS_LINE_LIMIT {
        match connection.read(&mut piece).await.map_err(failed)? {
            0 => break,
            count => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
    let line = String::from_utf8_lossy(
        answer
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap_or_default(),
    )
    .trim()
    .to_owned();
    match status_of(&line) {
        Some(status) if (200..300).contains(&status) => {
            Ok(format!("healthy: {} answers {status}", target.url()))
        }
        Some(status) => Err(format!("{} answers {status}", target.url())),
        None => Err(format!("{} does not answer in HTTP", target.url())),
    }
}

fn status_of(line: &str) -> Option<u16> {
    line.strip_prefix("HTTP/1.")?
        .split_whitespace()
        .nth(1)?
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_host_port_and_path() {
        let target = Target::from_url("http://[::1]:5000/readyz").unwrap();
        assert_eq!(
            (target.host.as_str(), target.port, target.path.as_str()),
            ("::1", 5000, "/readyz")
        );
        assert_eq!(target.authority(), "[::1]:5000");
        assert_eq!(
            Target::from_url("http://localhost").unwrap().url(),
            "http://localhost:80/healthz"
        );
        assert!(Target::from_url("https://localhost").is_err());
        assert!(Target::from_url("localhost:5000").is_err());
    }

    #[test]
    fn only_an_http_status_line_is_one() {
        assert_eq!(status_of("HTTP/1.1 200 OK"), Some(200));
        assert_eq!(status_of("HTTP/1.0 503"), Some(503));
        assert_eq!(status_of("SSH-2.0-OpenSSH"), None);
        assert_eq!(status_of(""), None);
    }
}
