//! Whom we believe: the roots compiled in, the system's and the operator's own; and the certificate by which we are known,
//! if we have one. One crypto provider for everything.

use std::sync::{Arc, OnceLock};

use cistern_auth::WatchedFile;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::server::ParsedCertificate;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use url::Url;

use super::identity::{Identity, Pair};
use super::{UpstreamOptions, UpstreamSetupError};
use crate::edge::TrustBundle;

/// The operator's files as they were read. One of them may be a key, so it has no `Debug`.
pub(super) struct Material {
    bundles: Vec<Arc<[u8]>>,
    hierarchy: Option<Arc<Vec<u8>>>,
    identity: Option<Pair>,
}

/// What decides which certificates are believed, and which one is shown.
#[derive(Debug)]
pub(super) struct Trust {
    files: Vec<Arc<WatchedFile>>,
    hierarchy: Option<TrustBundle>,
    identity: Option<Identity>,
    insecure: bool,
}

impl Material {
    /// Whether there is a certificate to show.
    pub(super) fn has_identity(&self) -> bool {
        self.identity.is_some()
    }

    /// Whether no file has changed in between.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let all = |material: &Self| -> Vec<Arc<[u8]>> {
            let pair = material.identity.iter();
            let pair = pair.flat_map(|pair| [Arc::clone(&pair.certificate), Arc::clone(&pair.key)]);
            material.bundles.iter().cloned().chain(pair).collect()
        };
        let is_same_hierarchy = match (&self.hierarchy, &other.hierarchy) {
            (None, None) => true,
            (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs),
            (None, Some(_)) | (Some(_), None) => false,
        };
        let (ours, theirs) = (all(self), all(other));
        is_same_hierarchy
            && ours.len() == theirs.len()
            && ours
                .iter()
                .zip(&theirs)
                .all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

impl Trust {
    /// For the upstream at this address; others that it leads to are believed by the same rules.
    pub(super) fn new(options: &UpstreamOptions, upstream: &Url) -> Self {
        let host = upstream.host_str().unwrap_or_default();
        let hierarchy = options.trust_bundle.clone();
        let files = options
            .ca_files
            .iter()
            .map(|path| Arc::new(WatchedFile::new(path)))
            .collect();
        Self {
            files,
            hierarchy: hierarchy.filter(|bundle| bundle.is_for(host)),
            identity: options.client_identity.as_ref().map(Identity::new),
            insecure: options.insecure,
        }
    }

    /// Reads the files at start, when one that is missing is the operator's mistake.
    pub(super) fn read(&self) -> Result<Material, UpstreamSetupError> {
        let bundles = self
            .files
            .iter()
            .map(|file| file.read().map_err(|error| unusable(file, &error)));
        Ok(Material {
            bundles: bundles.collect::<Result<_, _>>()?,
            hierarchy: self.of_hierarchy(),
            identity: self.identity.as_ref().map(Identity::read).transpose()?,
        })
    }

    /// Whether there is anything that may change.
    pub(super) fn has_files(&self) -> bool {
        !self.files.is_empty() || self.identity.is_some()
    }

    /// The files as they are now; unchanged ones are the same `Arc`s.
    pub(super) async fn current(&self) -> Result<Material, UpstreamSetupError> {
        let mut bundles = Vec::with_capacity(self.files.len());
        for file in &self.files {
            bundles.push(
                file.current()
                    .await
                    .map_err(|error| unusable(file, &error))?,
            );
        }
        let identity = match &self.identity {
            Some(identity) => Some(identity.current().await?),
            None => None,
        };
        Ok(Material {
            bundles,
            hierarchy: self.of_hierarchy(),
            identity,
        })
    }

    /// The hierarchy's roots, where this upstream is in it.
    pub(super) fn hierarchy(&self) -> Option<&TrustBundle> {
        self.hierarchy.as_ref()
    }

    fn of_hierarchy(&self) -> Option<Arc<Vec<u8>>> {
        self.hierarchy.as_ref().and_then(TrustBundle::pem)
    }

    /// Whether the hierarchy's roots are others than these were built with.
    pub(super) fn has_new_hierarchy(&self, material: &Material) -> bool {
        match (self.of_hierarchy(), &material.hierarchy) {
            (Some(now), Some(before)) => !Arc::ptr_eq(&now, before),
            (now, before) => now.is_some() != before.is_some(),
        }
    }

    /// The TLS settings that follow from the files: with our own certificate, or for those who shall not see it.
    pub(super) fn config(
        &self,
        material: &Material,
        with_identity: bool,
    ) -> Result<ClientConfig, UpstreamSetupError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| UpstreamSetupError::Client(error.to_string()))?;
        let verifier: Arc<dyn ServerCertVerifier> = if self.insecure {
            Arc::new(BelieveAnything(provider))
        } else {
            self.verifier(material, provider)?
        };
        let builder = builder
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match (&self.identity, &material.identity) {
            (Some(identity), Some(pair)) if with_identity => identity.shown_by(builder, pair)?,
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn verifier(
        &self,
        material: &Material,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, UpstreamSetupError> {
        let common = common_roots();
        let own = self.certificates(&material.bundles)?;
        let roots = if own.is_empty() && material.hierarchy.is_none() {
            common
        } else {
            let mut roots = RootCertStore::clone(&common);
            if let Some(bundle) = &material.hierarchy {
                // Not the operator's own file: what cannot be used in it is left out.
                let bundle = CertificateDer::pem_slice_iter(bundle).filter_map(Result::ok);
                roots.add_parsable_certificates(bundle);
            }
            for (file, certificate) in &own {
                let added = roots.add(certificate.clone());
                added.map_err(|error| unusable(file, &error))?;
            }
            Arc::new(roots)
        };
        let chains = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| UpstreamSetupError::Client(error.to_string()))?;
        if own.is_empty() {
            return Ok(chains);
        }
        let own = own
            .into_iter()
            .map(|(_, certificate)| certificate)
            .collect();
        Ok(Arc::new(ChainOrItself { chains, own }))
    }

    /// The operator's certificates, each with the file it is from.
    fn certificates(
        &self,
        bundles: &[Arc<[u8]>],
    ) -> Result<Vec<(&WatchedFile, CertificateDer<'static>)>, UpstreamSetupError> {
        let mut found = Vec::new();
        for (file, bundle) in self.files.iter().zip(bundles) {
            let before = found.len();
            for certificate in CertificateDer::pem_slice_iter(bundle) {
                found.push((
                    &**file,
                    certificate.map_err(|error| unusable(file, &error))?,
                ));
            }
            if found.len() == before {
                return Err(unusable(file, &"holds no certificate"));
            }
        }
        Ok(found)
    }
}

fn unusable(file: &WatchedFile, reason: &dyn std::fmt::Display) -> UpstreamSetupError {
    UpstreamSetupError::CaFile {
        path: file.path().to_owned(),
        reason: reason.to_string(),
    }
}

/// The compiled-in roots and the system's, if it has any (a bare container image has none). Read once.
fn common_roots() -> Arc<RootCertStore> {
    static COMMON: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    let roots = COMMON.get_or_init(|| {
        let mut roots = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let system = rustls_native_certs::load_native_certs();
        let (added, ignored) = roots.add_parsable_certificates(system.certs);
        tracing::debug!(added, ignored, "system certificates read");
        Arc::new(roots)
    });
    Arc::clone(roots)
}

/// Believes a certificate that leads to a root, or that the operator has named itself: what `openssl req -x509` makes for a
/// registry is its own authority, and strictly such a certificate may not be a server's.
#[derive(Debug)]
struct ChainOrItself {
    chains: Arc<WebPkiServerVerifier>,
    own: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for ChainOrItself {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let chain = self.chains.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match chain {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::Other(_) | CertificateError::UnknownIssuer,
            )) if self.own.iter().any(|own| own == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            result => result,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains
            .verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.chains
            .verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chains.supported_verify_schemes()
    }
}

/// For a program that asks the server on its own machine: whose certificate it shows does not matter there.
///
/// # Errors
/// In words, where the library will not have the settings.
pub(crate) fn unverified() -> Result<ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let verifier = Arc::new(BelieveAnything(provider));
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(builder.with_no_client_auth())
}

/// For `proxy.insecure`: every certificate is fine.
#[derive(Debug)]
struct BelieveAnything(Arc<CryptoProvider>);

impl ServerCertVerifier for BelieveAnything {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
