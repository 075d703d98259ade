//! `cistern healthcheck`: for a container without a shell. One request of HTTP/1.1, one line, 0 or 1.
//!
//! With TLS no name is verified: the server is asked by the machine that it runs on. Where it will not talk to us (it wants a client's
//! certificate, or has none itself yet), it is asked on its admin socket instead.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use url::Url;

use super::{Console, Environment, Exit, load_from};
use crate::config::{Config, FileChoice};
use crate::upstream::unverified;

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
    let places = match url {
        Some(url) => Target::from_url(&url).map(|target| Places {
            targets: vec![target],
            admin: None,
        }),
        None => configured(file, environment),
    };
    let result = places.and_then(|places| ask_within_limit(&places));
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

/// Where the server may be.
struct Places {
    targets: Vec<Target>,
    /// Its admin socket, for when it speaks TLS and will not speak to us.
    admin: Option<PathBuf>,
}

/// What is asked, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Target {
    /// Without brackets, also for IPv6.
    host: String,
    port: u16,
    path: String,
    speaks_tls: bool,
}

impl Target {
    fn from_url(text: &str) -> Result<Self, String> {
        let url = Url::parse(text).map_err(|error| format!("`{text}` is no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(format!("`{text}` is no http:// or https:// URL"));
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
            speaks_tls: url.scheme() == "https",
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
        let scheme = if self.speaks_tls { "https" } else { "http" };
        format!("{scheme}://{}{}", self.authority(), self.path)
    }
}

fn configured(file: FileChoice, environment: &Environment) -> Result<Places, String> {
    let from = load_from(file, false, environment);
    let (address, speaks_tls) =
        Config::listen_address(&from).map_err(|errors| errors.to_string())?;
    if address.port == 0 {
        return Err(format!(
            "http.addr is {address}, a port the system chose; name it with --url"
        ));
    }
    let target = |host| Target {
        host,
        port: address.port,
        path: PATH.to_owned(),
        speaks_tls,
    };
    let store = Config::root_directory(&from).ok();
    Ok(Places {
        targets: address.reached_at().into_iter().map(target).collect(),
        admin: store.map(|store| store.join("cistern/admin.sock")),
    })
}

fn ask_within_limit(places: &Places) -> Result<String, String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    runtime.block_on(async {
        let asked = places.targets.first().map_or_else(String::new, Target::url);
        tokio::time::timeout(LIMIT, ask_each(places))
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
async fn ask_each(places: &Places) -> Result<String, String> {
    let mut why = None;
    for target in &places.targets {
        match TcpStream::connect((target.host.as_str(), target.port)).await {
            Ok(connection) => {
                let asked = ask(connection, target).await;
                let admin = places.admin.as_deref();
                return match (asked, admin) {
                    (Err(error), Some(admin)) if is_alert(&error) => ask_admin(target, admin).await,
                    (asked, _) => judge(asked, &target.url()),
                };
            }
            Err(error) => why = why.or(Some(format!("{}: {error}", target.url()))),
        }
    }
    Err(why.unwrap_or_else(|| "there is nowhere to ask".to_owned()))
}

/// Whether the server answered in TLS, and said no.
fn is_alert(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref());
    matches!(cause, Some(rustls::Error::AlertReceived(_)))
}

/// A server with a read-only store has no such socket; that it refused us in TLS is then all that can be known.
async fn ask_admin(target: &Target, admin: &Path) -> Result<String, String> {
    match UnixStream::connect(admin).await {
        Ok(connection) => {
            let asked = exchange(connection, target).await;
            judge(asked, &format!("{} on {}", target.path, admin.display()))
        }
        Err(_) => Ok(format!(
            "healthy: {} speaks TLS, but not to this caller",
            target.url()
        )),
    }
}

/// The status line.
async fn ask(connection: TcpStream, target: &Target) -> io::Result<String> {
    if !target.speaks_tls {
        return exchange(connection, target).await;
    }
    let config = unverified().map_err(io::Error::other)?;
    let name = ServerName::try_from("localhost").map_err(io::Error::other)?;
    let connector = TlsConnector::from(Arc::new(config));
    let connection = Box::pin(connector.connect(name, connection)).await?;
    exchange(connection, target).await
}

async fn exchange(
    mut connection: impl AsyncRead + AsyncWrite + Unpin,
    target: &Target,
) -> io::Result<String> {
    let request = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: cistern-healthcheck\r\nConnection: close\r\n\r\n",
        target.path,
        target.authority()
    );
    connection.write_all(request.as_bytes()).await?;
    connection.flush().await?;
    let mut answer = Vec::new();
    let mut piece = [0_u8; 256];
    while !answer.contains(&b'\n') && answer.len() < STATUS_LINE_LIMIT {
        match connection.read(&mut piece).await? {
            0 => break,
            count => answer.extend_from_slice(piece.get(..count).unwrap_or_default()),
        }
    }
    let line = answer.split(|byte| *byte == b'\n').next();
    Ok(String::from_utf8_lossy(line.unwrap_or_default())
        .trim()
        .to_owned())
}

fn judge(asked: io::Result<String>, asked_at: &str) -> Result<String, String> {
    let line = asked.map_err(|error| format!("{asked_at}: {error}"))?;
    match status_of(&line) {
        Some(status) if (200..300).contains(&status) => {
            Ok(format!("healthy: {asked_at} answers {status}"))
        }
        Some(status) => Err(format!("{asked_at} answers {status}")),
        None => Err(format!("{asked_at} does not answer in HTTP")),
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
        assert_eq!(
            Target::from_url("https://localhost:5443").unwrap().url(),
            "https://localhost:5443/healthz"
        );
        assert!(Target::from_url("ftp://localhost").is_err());
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
