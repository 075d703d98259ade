//! The two questions to IoT Edge's workload API that a registry has: a certificate for callers, and the trust bundle.
//!
//! HTTP/1.1 over a Unix socket, one connection per question. A private key comes this way and is kept in memory only.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;

use crate::config::Workload;

/// What the daemon has understood since certificates for servers exist.
const API_VERSION: &str = "2020-07-07";
/// Making a key of 2048 bits takes seconds on a small gateway, and longer while it starts ten modules.
const PATIENCE: Duration = Duration::from_secs(30);
/// A bundle of all authorities of the world is a quarter of this.
const LONGEST_ANSWER: usize = 1 << 20;
/// How much of a refusal's own words is passed on.
const LONGEST_MESSAGE: usize = 300;

/// The workload API of the module that we are.
#[derive(Clone, Debug)]
pub struct WorkloadApi {
    socket: PathBuf,
    module: String,
    generation: String,
}

/// A certificate as it was issued. It holds a key, so it has no `Debug`.
pub struct IssuedCertificate {
    /// The certificate and those between it and its root, in PEM.
    pub certificate: String,
    /// Its key, in PEM.
    pub key: String,
    /// When it ends, by the word of who issued it, if that could be read.
    pub expiration: Option<SystemTime>,
}

/// Why the workload API gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum WorkloadError {
    /// Nobody listens on the socket, or we may not talk to it.
    #[error("the workload API cannot be reached at {}: {source}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It took the question and was silent.
    #[error("the workload API did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// The connection broke, or what came is no HTTP.
    #[error("the workload API broke off: {0}")]
    Broken(String),
    /// We are not who we say we are.
    #[error(
        "the workload API says that this process is not the module {module} (403{words}): it answers a module's own container only"
    )]
    NotThisModule {
        /// As whom we asked.
        module: String,
        /// Its own words.
        words: String,
    },
    /// It knows nothing of this; for the trust bundle: there is none.
    #[error("the workload API has no such thing (404{words})")]
    Missing {
        /// Its own words.
        words: String,
    },
    /// Any other refusal.
    #[error("the workload API answered {status}{words}")]
    Refused {
        /// The status.
        status: u16,
        /// Its own words.
        words: String,
    },
    /// More than could be meant.
    #[error("the workload API's answer is longer than {} KiB", LONGEST_ANSWER >> 10)]
    TooLong,
    /// A good status, and something else in the body.
    #[error("the workload API's answer cannot be read: {0}")]
    Garbage(String),
}

// === impl WorkloadApi ===

impl WorkloadApi {
    /// Asks nothing yet.
    pub fn new(workload: &Workload) -> Self {
        Self {
            socket: workload.socket.clone(),
            module: workload.module.clone(),
            generation: workload.generation.clone(),
        }
    }

    /// A certificate for servers, with its key, for this name or address.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn server_certificate(
        &self,
        common_name: &str,
    ) -> Result<IssuedCertificate, WorkloadError> {
        let path = format!(
            "/modules/{}/genid/{}/certificate/server",
            encoded(&self.module),
            encoded(&self.generation)
        );
        let body = serde_json::json!({ "commonName": common_name });
        let answer = self
            .ask(Method::POST, &path, Some(body.to_string()))
            .await?;
        let answer: CertificateAnswer = read(&answer)?;
        let key = answer.private_key.bytes.filter(|_| {
            // The other kind, `ref`, names a key that stays in a vault, which is of no use to a server.
            answer.private_key.kind == "key"
        });
        let key =
            key.ok_or_else(|| WorkloadError::Garbage("it brings no private key".to_owned()))?;
        let expiration = answer.expiration.as_deref();
        let expiration = expiration.and_then(|text| text.parse::<jiff::Timestamp>().ok());
        Ok(IssuedCertificate {
            certificate: answer.certificate,
            key,
            expiration: expiration.map(SystemTime::from),
        })
    }

    /// The roots of the hierarchy, in PEM; none if it has none of its own.
    ///
    /// # Errors
    /// Why it could not be had.
    pub async fn trust_bundle(&self) -> Result<Option<String>, WorkloadError> {
        let answer = match self.ask(Method::GET, "/trust-bundle", None).await {
            Err(WorkloadError::Missing { .. }) => return Ok(None),
            answer => answer?,
        };
        let answer: BundleAnswer = read(&answer)?;
        Ok(Some(answer.certificate).filter(|bundle| !bundle.trim().is_empty()))
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<Bytes, WorkloadError> {
        let asked = self.exchange(method, path, body);
        let answered = tokio::time::timeout(PATIENCE, asked).await;
        let (status, body) = answered.map_err(|_| WorkloadError::Silent)??;
        if status.is_success() {
            return Ok(body);
        }
        let words = words(&body);
        Err(match status {
            StatusCode::FORBIDDEN => WorkloadError::NotThisModule {
                module: self.module.clone(),
                words,
            },
            StatusCode::NOT_FOUND => WorkloadError::Missing { words },
            _ => WorkloadError::Refused {
                status: status.as_u16(),
                words,
            },
        })
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<(StatusCode, Bytes), WorkloadError> {
        let connected = UnixStream::connect(&self.socket).await;
        let stream = connected.map_err(|source| WorkloadError::Connect {
            socket: self.socket.clone(),
            source,
        })?;
        let broken = |error: hyper::Error| WorkloadError::Broken(error.to_string());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let request = Request::builder()
            .method(method)
            .uri(format!("{path}?api-version={API_VERSION}"))
            .header("host", "iotedge")
            .header("content-type", "application/json")
            .header("connection", "close")
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| WorkloadError::Broken(error.to_string()))?;
        let answering = async {
            let answer = sender.send_request(request).await.map_err(broken)?;
            let status = answer.status();
            let body = Limited::new(answer.into_body(), LONGEST_ANSWER)
                .collect()
                .await;
            let body = body.map_err(|error| match error.downcast_ref::<LengthLimitError>() {
                Some(_) => WorkloadError::TooLong,
                None => WorkloadError::Broken(error.to_string()),
            })?;
            Ok((status, body.to_bytes()))
        };
        let mut answering = std::pin::pin!(answering);
        tokio::select! {
            biased;
            answer = &mut answering => answer,
            ended = connection => match ended {
                // Its end came first, and what it brought is still to be read.
                Ok(()) => answering.await,
                Err(error) => Err(broken(error)),
            },
        }
    }
}

#[derive(Deserialize)]
struct CertificateAnswer {
    #[serde(rename = "privateKey")]
    private_key: PrivateKey,
    certificate: String,
    #[serde(default)]
    expiration: Option<String>,
}

#[derive(Deserialize)]
struct PrivateKey {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    bytes: Option<String>,
}

#[derive(Deserialize)]
struct BundleAnswer {
    certificate: String,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

/// The document itself is never in the message: it may hold a key.
fn read<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, WorkloadError> {
    serde_json::from_slice(body).map_err(|error| {
        WorkloadError::Garbage(match error.classify() {
            serde_json::error::Category::Data => {
                "members are missing or of another kind".to_owned()
            }
            _ => "it is no JSON".to_owned(),
        })
    })
}

/// The API's own words about a refusal, after a colon; nothing if there are none.
fn words(body: &[u8]) -> String {
    let Ok(Refusal { message }) = serde_json::from_slice(body) else {
        return String::new();
    };
    let message: String = message
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(LONGEST_MESSAGE)
        .collect();
    format!(": {}", message.trim())
}

/// A segment of a path: all but letters, digits and `-._~` is written as `%XX`. IoT Edge's own ids begin with `$`.
fn encoded(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests;
