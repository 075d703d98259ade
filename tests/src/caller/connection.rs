//! How a call reaches its registry: from where the test runs or from inside a namespace, plainly or over TLS.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::Call;
use crate::hierarchy::Namespace;

/// What a call is made over.
pub(super) trait Connection:
    AsyncRead + AsyncWrite + Send + Unpin + std::fmt::Debug
{
}

impl Connection for TcpStream {}
impl Connection for UnixStream {}
impl Connection for tokio_rustls::client::TlsStream<TcpStream> {}

/// The way of a call.
#[derive(Clone, Default)]
pub(super) struct Way {
    from: Option<Namespace>,
    trust: Option<TlsConnector>,
    socket: Option<PathBuf>,
}

impl Call {
    /// Calls from inside this namespace, by the names that are known there.
    #[must_use]
    pub fn from(mut self, namespace: &Namespace) -> Self {
        self.way.from = Some(namespace.clone());
        self
    }

    /// Calls through this unix socket, whoever is named as the host.
    #[must_use]
    pub fn through(mut self, socket: &Path) -> Self {
        self.way.socket = Some(socket.to_owned());
        self
    }

    /// Calls over TLS, and believes only who has a certificate that these (PEM) vouch for.
    #[must_use]
    pub fn trusting(mut self, bundle: &str) -> Self {
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(bundle.as_bytes()) {
            roots.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        self.way.trust = Some(Arc::new(config).into());
        self
    }
}

impl Way {
    /// Connects to `host:port`, and believes in whom it finds there or fails.
    pub(super) async fn connect(&self, host: &str) -> io::Result<Box<dyn Connection>> {
        if let Some(socket) = &self.socket {
            return Ok(Box::new(UnixStream::connect(socket).await?));
        }
        let stream = match &self.from {
            Some(namespace) => namespace.connect(host).await?,
            None => TcpStream::connect(host).await?,
        };
        stream.set_nodelay(true).ok();
        let Some(connector) = &self.trust else {
            return Ok(Box::new(stream));
        };
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(connector.connect(name, stream).await?))
    }
}

impl std::fmt::Debug for Way {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (from, over) = (&self.from, if self.trust.is_some() { "TLS" } else { "TCP" });
        write!(formatter, "Way({from:?}, {over})")
    }
}
