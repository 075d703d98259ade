//! What listeners need to speak TLS: settings that can be replaced while connections live on with the earlier ones.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::crypto::CryptoProvider;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, version};

use crate::config::{ClientCertificate, MinimumTls};

/// TLS as callers are spoken to. Cheap to clone; clones share the certificate.
#[derive(Clone)]
pub struct ServerTls {
    inner: Arc<Inner>,
}

struct Inner {
    minimum: MinimumTls,
    client: ClientCertificate,
    provider: Arc<CryptoProvider>,
    parts: Mutex<Parts>,
    now: ArcSwap<Now>,
}

/// What can change.
#[derive(Clone, Default)]
struct Parts {
    certified: Option<Arc<CertifiedKey>>,
    authorities: Option<Arc<RootCertStore>>,
    trouble: Option<String>,
}

/// What a new connection is met with.
struct Now {
    config: Arc<ServerConfig>,
    has_certificate: bool,
}

/// Whether TLS is spoken now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// There is a certificate to show.
    pub has_certificate: bool,
    /// Why there is none, or why the next one could not be had.
    pub trouble: Option<String>,
}

// === impl ServerTls ===

impl ServerTls {
    /// Without a certificate yet: every handshake is refused until one is [shown](Self::show).
    ///
    /// # Errors
    /// In words, where the library will not have the settings.
    pub fn new(minimum: MinimumTls, client: ClientCertificate) -> Result<Self, String> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let parts = Parts::default();
        let now = build(minimum, client, &provider, &parts)?;
        Ok(Self {
            inner: Arc::new(Inner {
                minimum,
                client,
                provider,
                parts: Mutex::new(parts),
                now: ArcSwap::from_pointee(now),
            }),
        })
    }

    /// The algorithms in use.
    pub fn provider(&self) -> &CryptoProvider {
        &self.inner.provider
    }

    /// What the next connection is met with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.inner.now.load().config)
    }

    /// Whether there is a certificate to show.
    pub fn has_certificate(&self) -> bool {
        self.inner.now.load().has_certificate
    }

    /// Whether TLS is spoken now, and what stands in the way.
    pub fn serving(&self) -> Serving {
        Serving {
            has_certificate: self.has_certificate(),
            trouble: self.inner.parts.lock().trouble.clone(),
        }
    }

    /// Shows this certificate from the next handshake on.
    ///
    /// # Errors
    /// In words; then the one before is still shown.
    pub fn show(&self, certified: Arc<CertifiedKey>) -> Result<(), String> {
        self.change(|parts| {
            parts.certified = Some(certified);
            parts.trouble = None;
        })
    }

    /// Asks callers for a certificate of one of these authorities from the next handshake on.
    ///
    /// # Errors
    /// In words; then the ones before are still asked for.
    pub fn ask_for(&self, authorities: RootCertStore) -> Result<(), String> {
        self.change(|parts| parts.authorities = Some(Arc::new(authorities)))
    }

    /// Remembers why there is no certificate, or no newer one.
    pub fn in_trouble(&self, why: Option<String>) {
        self.inner.parts.lock().trouble = why;
    }

    fn change(&self, change: impl FnOnce(&mut Parts)) -> Result<(), String> {
        let inner = &self.inner;
        let mut parts = inner.parts.lock();
        let mut next = parts.clone();
        change(&mut next);
        let now = build(inner.minimum, inner.client, &inner.provider, &next)?;
        inner.now.store(Arc::new(now));
        *parts = next;
        Ok(())
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("serving", &self.serving())
            .finish_non_exhaustive()
    }
}

/// Settings are built anew for each change, so that no session of an earlier certificate or authority is resumed.
fn build(
    minimum: MinimumTls,
    client: ClientCertificate,
    provider: &Arc<CryptoProvider>,
    parts: &Parts,
) -> Result<Now, String> {
    let versions: &[&rustls::SupportedProtocolVersion] = match minimum {
        MinimumTls::V12 => &[&version::TLS13, &version::TLS12],
        MinimumTls::V13 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(versions)
        .map_err(|error| error.to_string())?;
    let builder = match &parts.authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(
                Arc::clone(authorities),
                Arc::clone(provider),
            );
            let verifier = match client {
                ClientCertificate::Required => verifier,
                ClientCertificate::IfGiven => verifier.allow_unauthenticated(),
            };
            builder.with_client_cert_verifier(verifier.build().map_err(|error| error.to_string())?)
        }
    };
    let mut config = builder.with_cert_resolver(Arc::new(Shown(parts.certified.clone())));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    if parts.authorities.is_some() {
        // A resumed session is not looked at again: a caller's certificate that is over must not live on in one.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(Now {
        config: Arc::new(config),
        has_certificate: parts.certified.is_some(),
    })
}

/// The one certificate, whatever name is asked for: children may know a gateway by several.
#[derive(Debug)]
struct Shown(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}
