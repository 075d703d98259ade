//! From a TCP connection to a TLS one, off the accept loop and within a time limit; or a refusal, counted and now and then told.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use super::socket::Socket;
use crate::metrics::{Counters, HandshakeRefused, Label};
use crate::tls::ServerTls;

/// The word of Go's servers to a caller that left out the `s`; docker prints it.
const PLAIN_HTTP: &str = "Client sent an HTTP request to an HTTPS server.\n";
/// Refusals of one kind are told once in so long: a fleet that does not trust us would fill the log.
const TELL_EVERY: Duration = Duration::from_mins(1);
/// How long a caller that was refused may take to hear it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The first byte of every TLS handshake.
const HANDSHAKE: u8 = 0x16;

/// Where handshakes are made.
pub(super) struct Door {
    tls: ServerTls,
    limit: Duration,
    refused: Counters<HandshakeRefused>,
    told: Mutex<Vec<(HandshakeRefused, Instant)>>,
}

// === impl Door ===

impl Door {
    pub(super) fn new(
        tls: ServerTls,
        limit: Duration,
        refused: Counters<HandshakeRefused>,
    ) -> Self {
        Self {
            tls,
            limit,
            refused,
            told: Mutex::default(),
        }
    }

    /// The connection with TLS on it, or nothing: then the caller was told why as far as that is possible.
    pub(super) async fn open(&self, stream: TcpStream, peer: Option<SocketAddr>) -> Option<Socket> {
        match tokio::time::timeout(self.limit, self.shake(stream)).await {
            Ok(Ok(socket)) => Some(socket),
            Ok(Err((why, detail))) => {
                self.refuse(why, &detail, peer);
                None
            }
            Err(_) => {
                self.refuse(HandshakeRefused::TooSlow, "it was silent", peer);
                None
            }
        }
    }

    async fn shake(&self, mut stream: TcpStream) -> Result<Socket, (HandshakeRefused, String)> {
        let mut first = [0; 1];
        match stream.peek(&mut first).await {
            Ok(1..) => {}
            Ok(0) => return Err((HandshakeRefused::Gone, "it said nothing".to_owned())),
            Err(error) => return Err((HandshakeRefused::Gone, error.to_string())),
        }
        // Every method of HTTP is in capital letters.
        if first[0] != HANDSHAKE && first[0].is_ascii_uppercase() {
            let answer = format!(
                "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{PLAIN_HTTP}",
                PLAIN_HTTP.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
            say_goodbye(&mut stream).await;
            return Err((
                HandshakeRefused::PlainHttp,
                "it spoke plain HTTP".to_owned(),
            ));
        }
        let accepting = TlsAcceptor::from(self.tls.config())
            .accept(stream)
            .into_fallible();
        match accepting.await {
            Ok(stream) => Ok(Socket::Tls(Box::new(stream))),
            Err((error, mut stream)) => {
                // The alert that says why has been written, and a reset would overtake it.
                say_goodbye(&mut stream).await;
                Err(self.reason(&error))
            }
        }
    }

    fn reason(&self, error: &io::Error) -> (HandshakeRefused, String) {
        let cause = error
            .get_ref()
            .and_then(|cause| cause.downcast_ref::<rustls::Error>());
        let why = match cause {
            Some(_) if !self.tls.has_certificate() => HandshakeRefused::NoCertificate,
            Some(rustls::Error::AlertReceived(alert)) => refused_by_caller(*alert),
            Some(rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_)) => {
                HandshakeRefused::ClientCertificate
            }
            Some(rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol) => {
                HandshakeRefused::NothingInCommon
            }
            Some(_) => HandshakeRefused::Other,
            None => HandshakeRefused::Gone,
        };
        (why, error.to_string())
    }

    fn refuse(&self, why: HandshakeRefused, detail: &str, peer: Option<SocketAddr>) {
        self.refused.count(why);
        let peer = peer.map(|peer| peer.ip().to_string()).unwrap_or_default();
        let reason = why.text();
        // Whoever only looks whether the port is open makes no TLS either.
        if why == HandshakeRefused::Gone || self.was_told(why) {
            tracing::debug!(peer, reason, detail, "a TLS handshake came to nothing");
            return;
        }
        let meaning = meaning(why);
        tracing::warn!(
            peer,
            reason,
            detail,
            meaning,
            "a TLS handshake came to nothing"
        );
    }

    /// Whether this was told a moment ago; if not, it is now.
    fn was_told(&self, why: HandshakeRefused) -> bool {
        let mut told = self.told.lock();
        match told.iter_mut().find(|(before, _)| *before == why) {
            Some((_, at)) if at.elapsed() < TELL_EVERY => true,
            Some((_, at)) => {
                *at = Instant::now();
                false
            }
            None => {
                told.push((why, Instant::now()));
                false
            }
        }
    }
}

/// What an operator should look at.
fn meaning(why: HandshakeRefused) -> &'static str {
    match why {
        HandshakeRefused::PlainHttp => {
            "this port speaks HTTPS: the caller must write https://, or use http.addr where http.tls.addr is set"
        }
        HandshakeRefused::NotTrusted => {
            "the caller does not have our root among its own, or calls us by a name that is not in the certificate"
        }
        HandshakeRefused::ClientCertificate => {
            "http.tls.clientcas wants a certificate by one of its authorities, that still holds"
        }
        HandshakeRefused::NothingInCommon => {
            "the caller speaks an older TLS than http.tls.minimumtls, or no algorithm of ours"
        }
        HandshakeRefused::NoCertificate => "there is no certificate to show yet; /readyz says why",
        HandshakeRefused::TooSlow => "the caller was silent for too long",
        HandshakeRefused::Gone | HandshakeRefused::Other => "",
    }
}

fn refused_by_caller(alert: AlertDescription) -> HandshakeRefused {
    match alert {
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::UnsupportedCertificate => HandshakeRefused::NotTrusted,
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            HandshakeRefused::NothingInCommon
        }
        _ => HandshakeRefused::Other,
    }
}

/// Closes our side, then reads for a moment, so that what was written is not lost in a reset.
async fn say_goodbye(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let listening = async {
        let _ = stream.shutdown().await;
        let mut unwanted = [0; 512];
        while let Ok(1..) = stream.read(&mut unwanted).await {}
    };
    let _ = tokio::time::timeout(LAST_WORDS, listening).await;
}
