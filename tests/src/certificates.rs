//! Certificates: an authority for a whole hierarchy of devices, and one of its own for every server that stands alone.
//! Nobody trusts either who is not told to.
//!
//! A hierarchy has one [`Authority`], its root. The root issues an [`EdgeCa`] to each device, and that one the certificates of the servers
//! on the device; a server sends its own with the device's, and everybody trusts the root alone, the trust bundle.

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};

/// The root of a hierarchy.
pub struct Authority {
    root: CertifiedIssuer<'static, KeyPair>,
}

/// A device's own authority, issued by the root.
pub struct EdgeCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with what belongs to it, each in PEM.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The certificate alone.
    pub certificate: String,
    /// The certificate, then those of its issuers without the root: what a server sends.
    pub chain: String,
    /// Its key, PKCS #8.
    pub key: String,
    /// When it ends, to the second.
    pub until: SystemTime,
}

/// From when until when a certificate is good.
#[derive(Clone, Copy, Debug)]
pub struct Lifetime {
    from: SystemTime,
    until: SystemTime,
}

const HOUR: Duration = Duration::from_hours(1);

impl Lifetime {
    /// Good since an hour ago, for so long from now.
    pub fn ends_in(duration: Duration) -> Self {
        let now = SystemTime::now();
        Self {
            from: now - HOUR,
            until: now + duration,
        }
    }

    /// Was good, and ended so long ago.
    pub fn ended_since(duration: Duration) -> Self {
        let until = SystemTime::now() - duration;
        Self {
            from: until - HOUR,
            until,
        }
    }

    /// From one moment to another.
    pub fn between(from: SystemTime, until: SystemTime) -> Self {
        Self { from, until }
    }
}

impl Default for Lifetime {
    /// Thirty days, as those that the workload API issues.
    fn default() -> Self {
        Self::ends_in(30 * 24 * HOUR)
    }
}

impl Authority {
    /// A root of this common name, good for ten years. Roots of different keys should differ in their names.
    pub fn new(name: &str) -> Self {
        Self::with(name, Lifetime::ends_in(10 * 365 * 24 * HOUR))
    }

    /// The same with another lifetime.
    pub fn with(name: &str, lifetime: Lifetime) -> Self {
        let parameters = authority_parameters(name, lifetime);
        let root = CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap();
        Self { root }
    }

    /// The trust bundle: the root's certificate, in PEM.
    pub fn bundle(&self) -> String {
        self.root.pem()
    }

    /// The root's certificate, in DER.
    pub fn der(&self) -> Vec<u8> {
        self.root.der().to_vec()
    }

    /// The authority of a device, good for a year.
    pub fn edge_ca(&self, device: &str) -> EdgeCa {
        self.edge_ca_with(device, Lifetime::ends_in(365 * 24 * HOUR))
    }

    /// The same with another lifetime.
    pub fn edge_ca_with(&self, device: &str, lifetime: Lifetime) -> EdgeCa {
        let parameters = authority_parameters(&format!("{device}.deviceca"), lifetime);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::signed_by(parameters, key, &self.root).unwrap();
        EdgeCa { issuer }
    }
}

impl EdgeCa {
    /// A server's certificate for this host, a name or an address, and further ones (the id of its module), good for thirty days.
    pub fn server(&self, host: &str, others: &[&str]) -> Credentials {
        self.server_with(host, others, Lifetime::default())
    }

    /// The same with another lifetime.
    pub fn server_with(&self, host: &str, others: &[&str], lifetime: Lifetime) -> Credentials {
        let usage = ExtendedKeyUsagePurpose::ServerAuth;
        let names = others.iter().copied();
        self.issue(host, std::iter::once(host).chain(names), usage, lifetime)
    }

    /// A caller's certificate of this common name, good for thirty days.
    pub fn client(&self, name: &str) -> Credentials {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        self.issue(name, std::iter::once(name), usage, Lifetime::default())
    }

    /// The device's certificate, in PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// The device's key, PKCS #8, in PEM.
    pub fn key(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    fn issue<'a>(
        &self,
        name: &str,
        alternatives: impl Iterator<Item = &'a str>,
        usage: ExtendedKeyUsagePurpose,
        lifetime: Lifetime,
    ) -> Credentials {
        let mut parameters = parameters(name, lifetime);
        parameters.subject_alt_names = alternatives.map(alternative).collect();
        parameters.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        parameters.extended_key_usages = vec![usage];
        parameters.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap().pem();
        Credentials {
            chain: format!("{certificate}{}", self.issuer.pem()),
            certificate,
            key: key.serialize_pem(),
            until: to_the_second(lifetime.until),
        }
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Authority")
    }
}

impl std::fmt::Debug for EdgeCa {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "EdgeCa")
    }
}

fn alternative(name: &str) -> SanType {
    match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName(name.try_into().unwrap()),
    }
}

fn authority_parameters(name: &str, lifetime: Lifetime) -> CertificateParams {
    let mut parameters = parameters(name, lifetime);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::CrlSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    parameters
}

fn parameters(name: &str, lifetime: Lifetime) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + since_epoch(lifetime.from);
    parameters.not_after = epoch + since_epoch(lifetime.until);
    parameters
}

fn to_the_second(time: SystemTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + since_epoch(time)
}

fn since_epoch(time: SystemTime) -> Duration {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
    Duration::from_secs(since.as_secs())
}

/// A server's certificate with its key, and the authority that issued it.
pub(crate) struct Issued {
    /// The certificate, in DER.
    pub(crate) certificate: Vec<u8>,
    /// The certificate, in PEM.
    pub(crate) certificate_pem: String,
    /// The key, in PKCS #8 DER.
    pub(crate) key: Vec<u8>,
    /// The key, in PKCS #8 PEM.
    pub(crate) key_pem: String,
    /// The authority's certificate, in PEM.
    pub(crate) authority_pem: String,
}

/// A certificate for a loopback address and these host names, by an authority made for it.
pub(crate) fn issue(address: IpAddr, names: &[&str]) -> Issued {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "cistern-tests authority");
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();

    let key = KeyPair::generate().unwrap();
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters = CertificateParams::new(names).unwrap();
    parameters
        .subject_alt_names
        .push(SanType::IpAddress(address));
    let certificate = parameters.signed_by(&key, &authority).unwrap();
    Issued {
        certificate: certificate.der().to_vec(),
        certificate_pem: certificate.pem(),
        key: key.serialize_der(),
        key_pem: key.serialize_pem(),
        authority_pem: authority.pem(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::RootCertStore;
    use rustls::client::WebPkiServerVerifier;
    use rustls::client::danger::ServerCertVerifier as _;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use std::sync::Arc;

    /// Whether somebody who trusts this root believes what the server sends.
    fn is_believed(authority: &Authority, sent: &Credentials, name: &str) -> bool {
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().into()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(roots.into(), provider);
        let chain: Vec<_> = CertificateDer::pem_slice_iter(sent.chain.as_bytes())
            .map(Result::unwrap)
            .collect();
        let (server, rest) = chain.split_first().unwrap();
        let name = ServerName::try_from(name).unwrap();
        let verdict =
            verifier
                .build()
                .unwrap()
                .verify_server_cert(server, rest, &name, &[], UnixTime::now());
        verdict.is_ok()
    }

    #[test]
    fn a_server_of_the_hierarchy_is_believed_by_its_own_names_only_and_in_time_only() {
        let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
        let top = ours.edge_ca("top");
        let server = top.server("10.0.0.1", &["IoTEdgeAPIProxy", "top.example"]);
        for name in ["10.0.0.1", "iotedgeapiproxy", "top.example"] {
            assert!(is_believed(&ours, &server, name), "{name}");
        }
        assert!(!is_believed(&ours, &server, "10.0.0.2"));
        assert!(!is_believed(&theirs, &server, "10.0.0.1"));
        let ended = top.server_with("10.0.0.1", &[], Lifetime::ended_since(HOUR));
        assert!(!is_believed(&ours, &ended, "10.0.0.1"));
        let device_ended = ours.edge_ca_with("old", Lifetime::ended_since(HOUR));
        let server = device_ended.server("10.0.0.1", &[]);
        assert!(!is_believed(&ours, &server, "10.0.0.1"));
    }
}
