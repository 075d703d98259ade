use std::time::{Duration, UNIX_EPOCH};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn named(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::new(vec!["gateway.example".to_owned()]).unwrap();
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.not_before = rcgen::date_time_ymd(2026, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2026, 3, 1);
    parameters
}

fn authority(name: &str) -> Authority {
    let mut parameters = named(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

fn below(name: &str, above: &Authority) -> Authority {
    let mut parameters = named(name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::signed_by(parameters, KeyPair::generate().unwrap(), above).unwrap()
}

fn issued(by: &Issuer<'_, KeyPair>) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let certificate = named("gateway").signed_by(&key, by).unwrap();
    (certificate.pem(), key.serialize_pem())
}

fn read(certificate: &str, key: &str) -> Result<Pair, PairError> {
    let provider = rustls::crypto::ring::default_provider();
    Pair::read(certificate.as_bytes(), key.as_bytes(), &provider)
}

fn in_february() -> SystemTime {
    // 2026-02-01
    UNIX_EPOCH + Duration::from_secs(1_769_904_000)
}

fn doubts(chain: &str, key: &str, now: SystemTime) -> Vec<String> {
    read(chain, key)
        .unwrap()
        .doubts(now, &RootCertStore::empty())
}

#[test]
fn a_certificate_with_its_key_and_its_issuer_is_taken_without_a_word() {
    let root = authority("root");
    let device = below("device", &root);
    let (certificate, key) = issued(&device);
    let chain = format!("{certificate}{}", device.pem());
    let pair = read(&chain, &key).unwrap();
    assert_eq!(doubts(&chain, &key, in_february()), Vec::<String>::new());
    let own = pair.own().unwrap();
    assert_eq!(
        (own.subject.as_str(), own.issuer.as_str()),
        ("gateway", "device")
    );
    assert_eq!(own.names, ["gateway.example"]);
    assert_eq!(own.until(), "2026-03-01T00:00:00Z");
}

#[test]
fn what_is_wrong_is_told_for_the_file_that_is_wrong() {
    let root = authority("root");
    let (certificate, key) = issued(&root);
    let (_, other_key) = issued(&root);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let old_encrypted = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\nMIIB\n-----END RSA PRIVATE KEY-----\n";
    let cut = certificate.split_at(certificate.len() / 2).0;
    for (certificate, key, wrong) in [
        ("", key.as_str(), PairError::NoCertificate),
        ("hello", &key, PairError::NoCertificate),
        (&key, &certificate, PairError::Swapped),
        (cut, &key, PairError::DamagedCertificate),
        (&certificate, "", PairError::NoKey),
        (&certificate, &certificate, PairError::NoKey),
        (&certificate, &other_key, PairError::OtherKey),
        (&certificate, encrypted, PairError::EncryptedKey),
        (&certificate, old_encrypted, PairError::EncryptedKey),
    ] {
        let error = read(certificate, key).expect_err("it must be refused");
        assert_eq!(error, wrong);
        assert!(!error.to_string().contains("MII"), "{error}");
    }
    assert!(PairError::OtherKey.is_about_key() && !PairError::Swapped.is_about_key());
}

#[test]
fn a_certificate_that_is_over_or_not_yet_good_is_a_doubt_and_no_error() {
    let root = authority("root");
    let (certificate, key) = issued(&root);
    let chain = format!("{certificate}{}", root.pem());
    let april = in_february() + Duration::from_secs(60 * 86_400);
    let told = doubts(&chain, &key, april).join("\n");
    assert!(
        told.contains("gateway is over since 2026-03-01T00:00:00Z"),
        "{told}"
    );
    let before = UNIX_EPOCH + Duration::from_secs(100);
    let told = doubts(&chain, &key, before).join("\n");
    assert!(
        told.contains("holds only from 2026-01-01") && told.contains("clock"),
        "{told}"
    );
}

#[test]
fn an_issuer_that_is_missing_is_named() {
    let root = authority("root");
    let device = below("device", &root);
    let (certificate, key) = issued(&device);
    let told = doubts(&certificate, &key, in_february()).join("\n");
    assert!(told.contains("issuer device"), "{told}");
    let wrong = format!("{certificate}{}", root.pem());
    let told = doubts(&wrong, &key, in_february()).join("\n");
    assert!(
        told.contains("issued by device") && told.contains("that of root"),
        "{told}"
    );
}

#[test]
fn a_certificate_by_a_root_that_callers_know_lacks_nothing() {
    let root = authority("root");
    let (certificate, key) = issued(&root);
    let mut known = RootCertStore::empty();
    known.add(root.der().clone()).unwrap();
    let pair = read(&certificate, &key).unwrap();
    assert_eq!(pair.doubts(in_february(), &known), Vec::<String>::new());
}
