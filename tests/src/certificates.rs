//! A certificate authority of its own for every server that speaks TLS: nobody trusts it who is not told to.

use std::net::IpAddr;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, SanType};

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
