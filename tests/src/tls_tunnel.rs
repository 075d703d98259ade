//! A door into HTTPS for callers that speak plain HTTP only: what comes in on a loopback port goes out with TLS on it.
//!
//! So every judge of answers judges those over TLS too. It trusts what it is told to trust, and nothing else.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::addresses;
use crate::certificates::Credentials;

/// Whom a caller trusts, and what it shows.
#[derive(Clone)]
pub struct TlsCaller {
    config: Arc<ClientConfig>,
    name: Option<String>,
}

/// The door. It is closed when dropped.
#[derive(Debug)]
pub struct TlsTunnel {
    address: SocketAddr,
    refusals: Arc<Mutex<Vec<String>>>,
    listening: AbortHandle,
}

impl TlsCaller {
    /// Trusts these roots (PEM), and shows nothing.
    pub fn trusting(roots: &str) -> Self {
        Self::new(roots, None, rustls::ALL_VERSIONS)
    }

    /// The same, with a certificate of its own.
    pub fn showing(roots: &str, own: &Credentials) -> Self {
        Self::new(roots, Some(own), rustls::ALL_VERSIONS)
    }

    /// The same with these versions of TLS only.
    pub fn new(
        roots: &str,
        own: Option<&Credentials>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut trusted = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
            trusted.add(root.unwrap()).unwrap();
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(trusted);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let chain = CertificateDer::pem_slice_iter(own.chain.as_bytes());
                let chain = chain.collect::<Result<_, _>>().unwrap();
                let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        };
        Self {
            config: Arc::new(config),
            name: None,
        }
    }

    /// Calls the server by this name instead of its address.
    #[must_use]
    pub fn calling(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }

    /// A connection with TLS on it.
    pub async fn connect(&self, to: SocketAddr) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let name = self.name.clone().unwrap_or_else(|| to.ip().to_string());
        let name = ServerName::try_from(name).unwrap();
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector.connect(name, stream).await
    }
}

impl TlsTunnel {
    /// To this server, for this caller.
    pub async fn to(server: SocketAddr, caller: TlsCaller) -> Self {
        let listener = TcpListener::bind((addresses::next(), 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let refusals: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&refusals);
        let task = tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (caller, seen) = (caller.clone(), Arc::clone(&seen));
                tokio::spawn(async move {
                    match caller.connect(server).await {
                        Ok(mut far) => {
                            if let Err(error) = copy_bidirectional(&mut near, &mut far).await {
                                seen.lock().push(error.to_string());
                            }
                        }
                        Err(error) => seen.lock().push(error.to_string()),
                    }
                });
            }
        });
        Self {
            address,
            refusals,
            listening: task.abort_handle(),
        }
    }

    /// `127.a.b.c:port`, to be called in the clear.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What went wrong with TLS so far.
    pub fn refusals(&self) -> Vec<String> {
        self.refusals.lock().clone()
    }
}

impl Drop for TlsTunnel {
    fn drop(&mut self) {
        self.listening.abort();
    }
}
