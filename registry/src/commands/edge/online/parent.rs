//! What certificates a parent shows on its ports: the seed of `openssl s_client -connect parent:8883`, with the answer in words.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cistern_deploy::certificates::{self, Certificate, Chain};
use cistern_deploy::device_config::DeviceConfig;
use cistern_deploy::{Finding, Severity};
use parking_lot::Mutex;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{OnlineArguments, Text, finding, read_text};
use crate::upstream::Contacts;

/// Longer than any port that is open needs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The parents, and the roots they are verified against.
pub(super) struct Parents {
    /// The file that names the parent, and the parent.
    hosts: Vec<(String, String)>,
    ports: Vec<u16>,
    bundle: Option<Bundle>,
}

struct Bundle {
    file: String,
    roots: Vec<Certificate>,
    store: Arc<RootCertStore>,
}

impl Parents {
    pub(super) fn new(arguments: &OnlineArguments, devices: &[Text]) -> Result<Self, String> {
        let written = arguments.parent.iter().map(|parent| {
            let parent = parent
                .rsplit_once(':')
                .map_or(parent.as_str(), |(host, port)| {
                    if port.parse::<u16>().is_ok() {
                        host
                    } else {
                        parent.as_str()
                    }
                });
            ("--parent".to_owned(), parent.to_owned())
        });
        let configured = devices.iter().filter_map(|device| {
            let config = DeviceConfig::read(&device.text).ok()?;
            Some((device.name.clone(), config.parent_hostname?.value))
        });
        let mut hosts: Vec<(String, String)> = Vec::new();
        for (file, host) in configured.chain(written) {
            if !hosts.iter().any(|(_, known)| *known == host) {
                hosts.push((file, host));
            }
        }
        let bundle = arguments.trust_bundle.as_deref().map(|path| {
            let text = read_text(path)?;
            let file = path.display().to_string();
            Bundle::new(file.clone(), &text).map_err(|why| format!("{file}: {why}"))
        });
        Ok(Self {
            hosts,
            ports: arguments.parent_ports.clone(),
            bundle: bundle.transpose()?,
        })
    }

    pub(super) async fn look(&self, contacts: &Contacts) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (file, host) in &self.hosts {
            let Some(bundle) = &self.bundle else {
                let told = [
                    format!("the certificates of {host} were not looked at"),
                    "there are no roots to verify them against".to_owned(),
                    "name the trust bundle with --trust-bundle".to_owned(),
                ];
                findings.push(finding(Severity::Note, "parent-not-asked", file, told));
                continue;
            };
            for port in &self.ports {
                let shown = shown(host, *port, bundle).await;
                contacts.note_parent(host, *port, shown.as_ref().err().and_then(Trouble::told));
                if let Err(trouble) = shown {
                    findings.push(trouble.finding(file, host, *port, bundle));
                }
            }
        }
        findings
    }
}

impl Bundle {
    fn new(file: String, pem: &str) -> Result<Self, String> {
        let roots = certificates::read(pem).map_err(|why| why.to_string())?;
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|why| format!("{why:?}"))?;
            store.add(certificate).map_err(|why| why.to_string())?;
        }
        Ok(Self {
            file,
            roots,
            store: Arc::new(store),
        })
    }
}

/// Why a parent's port is not what a child needs.
enum Trouble {
    /// Nothing came back.
    Silence,
    /// No connection.
    Connect(io::Error),
    /// The name cannot be one of a certificate.
    Name,
    /// A handshake that failed, and the certificates that were shown.
    Tls(Error, Vec<Certificate>),
    /// It speaks something else.
    NoTls(io::Error),
}

/// Connects as a child does, and verifies what is shown.
async fn shown(host: &str, port: u16, bundle: &Bundle) -> Result<(), Trouble> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| Trouble::Name)?;
    let connection = timeout(PATIENCE, TcpStream::connect((host, port)));
    let connection = connection.await.map_err(|_| Trouble::Silence)?;
    let connection = connection.map_err(Trouble::Connect)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let strict = WebPkiServerVerifier::builder_with_provider(
        Arc::clone(&bundle.store),
        Arc::clone(&provider),
    );
    let strict = strict
        .build()
        .map_err(|error| Trouble::NoTls(io::Error::other(error.to_string())))?;
    let verifier = Arc::new(Recorder {
        strict,
        seen: Mutex::default(),
    });
    let config = config(&verifier, provider).map_err(|error| Trouble::Tls(error, Vec::new()))?;
    let handshake = TlsConnector::from(Arc::new(config)).connect(name, connection);
    match timeout(PATIENCE, handshake).await {
        Err(_) => Err(Trouble::Silence),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            let tls = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<Error>());
            match tls {
                Some(tls) => Err(Trouble::Tls(tls.clone(), verifier.seen())),
                None => Err(Trouble::NoTls(error)),
            }
        }
    }
}

fn config(verifier: &Arc<Recorder>, provider: Arc<CryptoProvider>) -> Result<ClientConfig, Error> {
    let verifier: Arc<dyn ServerCertVerifier> = Arc::<Recorder>::clone(verifier);
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    Ok(builder.with_no_client_auth())
}

/// Judges as strictly as any client, and keeps what was shown.
#[derive(Debug)]
struct Recorder {
    strict: Arc<WebPkiServerVerifier>,
    seen: Mutex<Vec<Vec<u8>>>,
}

impl Recorder {
    /// The certificates, as far as they can be read.
    fn seen(&self) -> Vec<Certificate> {
        let pem: String = self
            .seen
            .lock()
            .iter()
            .map(|der| {
                let text = STANDARD.encode(der);
                format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
            })
            .collect();
        certificates::read(&pem).unwrap_or_default()
    }
}

impl ServerCertVerifier for Recorder {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let all = std::iter::once(end_entity).chain(intermediates);
        *self.seen.lock() = all.map(|der| der.to_vec()).collect();
        self.strict
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.strict
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.strict.supported_verify_schemes()
    }
}

impl Trouble {
    /// For the list of hosts: only what a firewall may have to do with.
    fn told(&self) -> Option<String> {
        match self {
            Self::Silence => Some(format!("silent for {} s", PATIENCE.as_secs())),
            Self::Connect(error) => Some(error.to_string()),
            Self::Name | Self::Tls(..) | Self::NoTls(_) => None,
        }
    }

    fn finding(&self, file: &str, host: &str, port: u16, bundle: &Bundle) -> Finding {
        let at = format!("{host}:{port}");
        let (rule, what, why, fix) = match self {
            Self::Silence => (
                "parent-silent",
                format!("{at} does not answer within {} s", PATIENCE.as_secs()),
                "a firewall in between drops what is sent to that port, or the host is off".to_owned(),
                "let the child reach that port".to_owned(),
            ),
            Self::Connect(error) => (
                "parent-unreachable",
                format!("{at}: {error}"),
                "nothing listens there, the port is blocked, or the name is not known to this machine".to_owned(),
                "start the module that publishes that port (443: IoTEdgeAPIProxy, 8883: edgeHub), and see that the name resolves".to_owned(),
            ),
            Self::Name => (
                "parent-name",
                format!("`{host}` can be the name of no certificate"),
                "no child could verify it".to_owned(),
                "write a host name or an address as parent_hostname".to_owned(),
            ),
            Self::NoTls(error) => (
                "parent-without-tls",
                format!("{at} breaks the handshake off: {error}"),
                "it speaks no TLS, or no version of it that is safe".to_owned(),
                "see which module has that port".to_owned(),
            ),
            Self::Tls(Error::InvalidCertificate(error), chain) => certificate(&at, error, chain, bundle),
            Self::Tls(error, _) => (
                "parent-handshake",
                format!("{at}: {error}"),
                "no TLS connection could be made, so no child can make one".to_owned(),
                "see the log of the module that has that port".to_owned(),
            ),
        };
        finding(Severity::Error, rule, file, [what, why, fix])
    }
}

type Told = (&'static str, String, String, String);

fn certificate(at: &str, error: &CertificateError, chain: &[Certificate], bundle: &Bundle) -> Told {
    let leaf = chain.first().map_or("", |leaf| leaf.common_name.as_str());
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let others = match error {
                CertificateError::NotValidForNameContext { presented, .. } => presented.join(", "),
                _ => String::new(),
            };
            (
                "parent-wrong-name",
                format!("{at} shows a certificate for another name: depth=0 CN={leaf}; it holds for {others}"),
                "children verify the name that they connect to, their parent_hostname".to_owned(),
                "make hostname in the parent's config.toml and parent_hostname in the child's equal, `iotedge config apply`, and restart edgeHub and the API proxy".to_owned(),
            )
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            let names: Vec<&str> = chain
                .iter()
                .map(|certificate| certificate.subject.as_str())
                .collect();
            (
                "parent-expired",
                format!("{at} shows a certificate that is not valid now: {error}"),
                format!(
                    "one of {} has run out or does not count yet, or this machine's clock is wrong",
                    names.join(", ")
                ),
                "renew it (see the runbook of certificates), or set the clock".to_owned(),
            )
        }
        CertificateError::UnknownIssuer => unknown_issuer(at, chain, bundle),
        _ => (
            "parent-certificate",
            format!("{at}: {error}"),
            "no child accepts this certificate".to_owned(),
            "make it anew (see the runbook of certificates)".to_owned(),
        ),
    }
}

fn unknown_issuer(at: &str, chain: &[Certificate], bundle: &Bundle) -> Told {
    match certificates::judge(chain, &bundle.roots) {
        Chain::Broken { position, subject, issuer, .. } => (
            "parent-not-a-full-chain",
            format!("{at} shows no full chain: depth={} {subject} is signed by {issuer}, which is not shown", position.saturating_sub(1)),
            format!("between it and the roots of {} a certificate is missing: `unable to get local issuer certificate`", bundle.file),
            "put the full chain into the file that [edge_ca] cert of the parent names, `iotedge config apply`, and restart its modules".to_owned(),
        ),
        Chain::OtherRoot { root } => (
            "parent-other-root",
            format!("{at} shows a chain that ends in {root}, which {} does not hold", bundle.file),
            "parent and child do not trust the same root".to_owned(),
            "give all devices of the hierarchy the same root, and make the parent's edge CA from it".to_owned(),
        ),
        Chain::NotAnAuthority { subject } => (
            "parent-not-an-authority",
            format!("{at} shows a chain in which {subject} signs and may not"),
            "that certificate is no CA certificate".to_owned(),
            "make the edge CA certificate with basicConstraints CA:TRUE".to_owned(),
        ),
        Chain::Complete => (
            "parent-certificate",
            format!("{at} shows a chain that cannot be verified"),
            format!("by name it ends in {}, and a signature or a constraint does not hold", bundle.file),
            "make the certificates anew (see the runbook of certificates)".to_owned(),
        ),
    }
}
