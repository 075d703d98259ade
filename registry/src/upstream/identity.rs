//! The certificate by which an upstream knows us, and its key. Both files are read again when they change. Nothing of the
//! key's content is in any message.

use std::fmt::Display;
use std::sync::Arc;

use cistern_auth::WatchedFile;
use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{ClientIdentity, UpstreamSetupError};

/// The two files.
#[derive(Debug)]
pub(super) struct Identity {
    certificate: Arc<WatchedFile>,
    key: Arc<WatchedFile>,
}

/// Their content.
pub(super) struct Pair {
    pub(super) certificate: Arc<[u8]>,
    pub(super) key: Arc<[u8]>,
}

impl Identity {
    pub(super) fn new(identity: &ClientIdentity) -> Self {
        Self {
            certificate: Arc::new(WatchedFile::new(&identity.certificate)),
            key: Arc::new(WatchedFile::new(&identity.key)),
        }
    }

    /// Reads both, at start.
    pub(super) fn read(&self) -> Result<Pair, UpstreamSetupError> {
        let read = |file: &WatchedFile| file.read().map_err(|error| unusable(file, &error));
        Ok(Pair {
            certificate: read(&self.certificate)?,
            key: read(&self.key)?,
        })
    }

    /// Both as they are now.
    pub(super) async fn current(&self) -> Result<Pair, UpstreamSetupError> {
        let certificate = self.certificate.current().await;
        let key = self.key.current().await;
        Ok(Pair {
            certificate: certificate.map_err(|error| unusable(&self.certificate, &error))?,
            key: key.map_err(|error| unusable(&self.key, &error))?,
        })
    }

    /// TLS settings that show the certificate to whoever asks for one.
    pub(super) fn shown_by(
        &self,
        builder: ConfigBuilder<ClientConfig, WantsClientCert>,
        pair: &Pair,
    ) -> Result<ClientConfig, UpstreamSetupError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(&pair.certificate)
            .collect::<Result<_, _>>()
            .map_err(|error| unusable(&self.certificate, &error))?;
        if chain.is_empty() {
            return Err(unusable(&self.certificate, &"holds no certificate"));
        }
        let key = PrivateKeyDer::from_pem_slice(&pair.key)
            .map_err(|_| unusable(&self.key, &"holds no unencrypted private key"))?;
        builder
            .with_client_auth_cert(chain, key)
            .map_err(|error| match error {
                rustls::Error::InconsistentKeys(_) => {
                    unusable(&self.key, &"is not the key of proxy.clientcertificate")
                }
                _ => unusable(&self.key, &"holds a key that cannot be used"),
            })
    }
}

fn unusable(file: &WatchedFile, reason: &dyn Display) -> UpstreamSetupError {
    UpstreamSetupError::ClientIdentity {
        path: file.path().to_owned(),
        reason: reason.to_string(),
    }
}
