use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::*;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn parameters(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

fn root(name: &str) -> Authority {
    CertifiedIssuer::self_signed(parameters(name), KeyPair::generate().unwrap()).unwrap()
}

fn below(name: &str, issuer: &Authority) -> Authority {
    CertifiedIssuer::signed_by(parameters(name), KeyPair::generate().unwrap(), issuer).unwrap()
}

fn chain(parts: &[&Authority]) -> Vec<Certificate> {
    let text: String = parts.iter().map(|part| part.pem()).collect();
    read(&text).unwrap()
}

#[test]
fn a_full_chain_ends_in_the_bundle_with_and_without_its_root() {
    let root = root("root");
    let middle = below("middle", &root);
    let edge = below("edge", &middle);
    let bundle = chain(&[&root]);
    assert_eq!(judge(&chain(&[&edge, &middle]), &bundle), Chain::Complete);
    assert_eq!(
        judge(&chain(&[&edge, &middle, &root]), &bundle),
        Chain::Complete
    );
    let deep = chain(&[&edge]);
    assert_eq!(
        (deep[0].common_name.as_str(), deep[0].is_authority),
        ("edge", true)
    );
    assert!(!deep[0].is_self_signed() && bundle[0].is_self_signed());
}

#[test]
fn a_chain_that_ends_early_names_the_issuer_it_lacks() {
    let root = root("root");
    let middle = below("middle", &root);
    let edge = below("edge", &middle);
    let bundle = chain(&[&root]);
    let Chain::Broken {
        position,
        issuer,
        is_misplaced,
        ..
    } = judge(&chain(&[&edge]), &bundle)
    else {
        panic!("it is broken")
    };
    assert_eq!(
        (position, issuer.as_str(), is_misplaced),
        (1, "CN=middle", false)
    );
    let Chain::Broken {
        position,
        is_misplaced,
        ..
    } = judge(&chain(&[&edge, &root, &middle]), &bundle)
    else {
        panic!("it is out of order")
    };
    assert_eq!((position, is_misplaced), (1, true));
}

#[test]
fn a_root_made_anew_under_the_old_name_is_not_the_one_that_signed() {
    let (old, new) = (root("root"), root("root"));
    let edge = below("edge", &old);
    let Chain::Broken { is_replaced, .. } = judge(&chain(&[&edge]), &chain(&[&new])) else {
        panic!("the new root did not sign it")
    };
    assert!(is_replaced);
    assert_eq!(
        judge(&chain(&[&edge, &old]), &chain(&[&new])),
        Chain::OtherRoot {
            root: "CN=root".to_owned()
        }
    );
}

#[test]
fn an_issuer_that_may_not_sign_is_named() {
    let root = root("root");
    let mut plain = parameters("plain");
    plain.is_ca = IsCa::NoCa;
    let plain = CertifiedIssuer::signed_by(plain, KeyPair::generate().unwrap(), &root).unwrap();
    let edge = below("edge", &plain);
    assert_eq!(
        judge(&chain(&[&edge, &plain]), &chain(&[&root])),
        Chain::NotAnAuthority {
            subject: "CN=plain".to_owned()
        }
    );
}

#[test]
fn a_key_belongs_to_its_own_certificate_only() {
    let (one, other) = (root("one"), root("other"));
    let certificate = &chain(&[&one])[0];
    assert_eq!(
        key_matches(&one.key().serialize_pem(), certificate),
        Ok(true)
    );
    assert_eq!(
        key_matches(&other.key().serialize_pem(), certificate),
        Ok(false)
    );
    assert_eq!(key_matches(&one.pem(), certificate), Err(BadKey::None));
    let sealed =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    assert_eq!(key_matches(sealed, certificate), Err(BadKey::Encrypted));
    let damaged = "-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n";
    assert_eq!(key_matches(damaged, certificate), Err(BadKey::Unknown));
    assert!(holds_a_key(&one.key().serialize_pem()) && !holds_a_key(&one.pem()));
}

#[test]
fn a_text_without_certificates_and_one_with_a_broken_one_differ() {
    assert_eq!(read("nothing"), Err(BadCertificates::None));
    let text = format!(
        "{}-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
        root("a").pem()
    );
    assert_eq!(read(&text), Err(BadCertificates::Broken { position: 2 }));
}
