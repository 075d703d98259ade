//! The certificate by which an upstream knows us (`proxy.clientcertificate`), and clocks that are wrong.

use std::sync::Arc;
use std::time::Duration;

use cistern::upstream::{
    ClientIdentity, Fault, LinkFault, Upstream, UpstreamOptions, UpstreamSetupError,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::server::{Server, ok, reply};
use super::tokens::pull;
use super::{fault, options};

const BODY: &str = r#"{"schemaVersion":2}"#;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Files of one test: the authority that everybody trusts, and what was signed by it.
struct Papers {
    authority: Authority,
    folder: TempDir,
}

/// A certificate and its key, in PEM.
type Pair = (String, String);

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Papers {
    fn new() -> Self {
        let papers = Self {
            authority: authority(),
            folder: tempfile::tempdir().unwrap(),
        };
        papers.write("ca.pem", &papers.authority.pem());
        papers
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn write_identity(&self, (certificate, key): &Pair) {
        self.write("client.pem", certificate);
        self.write("client.key", key);
    }

    /// A certificate for a client, by the authority of these papers.
    fn client(&self) -> Pair {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["client.test".to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        (certificate.pem(), key.serialize_pem())
    }

    /// A server's side of TLS that wants a client certificate of the given authority, or none.
    fn server(&self, host: &str, clients_of: Option<&Authority>, years: [i32; 2]) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years[0], 1, 1);
        params.not_after = rcgen::date_time_ymd(years[1], 1, 1);
        let certificate = params.signed_by(&key, &self.authority).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match clients_of {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der().clone()).unwrap();
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = builder.with_single_cert(vec![certificate.der().clone()], key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }

    /// A registry that lets in whom this papers' authority knows.
    async fn registry(&self) -> Server {
        let acceptor = self.server("127.0.0.1", Some(&self.authority), [2020, 2090]);
        Server::at("127.0.0.1", Some(acceptor), |_| ok(BODY)).await
    }

    fn options(&self, server: &Server, with_identity: bool) -> UpstreamOptions {
        let mut options = options(&server.url());
        options.ca_files = vec![self.folder.path().join("ca.pem")];
        options.client_identity = with_identity.then(|| ClientIdentity {
            certificate: self.folder.path().join("client.pem"),
            key: self.folder.path().join("client.key"),
        });
        options
    }

    fn upstream(&self, server: &Server, with_identity: bool) -> Upstream {
        Upstream::new(self.options(server, with_identity)).unwrap()
    }
}

fn tls_words<T: std::fmt::Debug>(result: Result<T, cistern::upstream::UpstreamError>) -> String {
    match fault(result) {
        Fault::Unreachable {
            link: LinkFault::Tls,
            detail,
        } => detail,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_upstream_that_wants_a_certificate_is_shown_ours() {
    let papers = Papers::new();
    papers.write_identity(&papers.client());
    let server = papers.registry().await;
    let upstream = papers.upstream(&server, true);
    assert_eq!(pull(&upstream).await.unwrap().bytes, BODY);
    let words = tls_words(pull(&papers.upstream(&server, false)).await);
    assert!(words.contains("proxy.clientcertificate"), "{words}");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_without_a_restart_and_half_of_one_changes_nothing() {
    let papers = Papers::new();
    let strange = Papers::new();
    papers.write_identity(&strange.client());
    let server = papers.registry().await;
    let upstream = papers.upstream(&server, true);
    let words = tls_words(pull(&upstream).await);
    assert!(words.contains("proxy.clientcertificate"), "{words}");

    let (certificate, key) = papers.client();
    papers.write("client.pem", &certificate);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert!(pull(&upstream).await.is_err(), "its key is not there yet");
    papers.write("client.key", &key);
    tokio::time::sleep(Duration::from_millis(2100)).await;
    assert_eq!(pull(&upstream).await.unwrap().bytes, BODY);
}

#[tokio::test]
async fn our_certificate_is_not_shown_where_the_upstream_sends_us() {
    let papers = Papers::new();
    papers.write_identity(&papers.client());
    let acceptor = papers.server("127.0.0.2", Some(&papers.authority), [2020, 2090]);
    let elsewhere = Server::at("127.0.0.2", Some(acceptor), |_| ok(BODY)).await;
    let target = format!("{}/x", elsewhere.url());
    let acceptor = papers.server("127.0.0.1", Some(&papers.authority), [2020, 2090]);
    let server = Server::at("127.0.0.1", Some(acceptor), move |_| {
        reply(307).header("Location", target.clone())
    })
    .await;
    let error = pull(&papers.upstream(&server, true)).await.unwrap_err();
    assert_eq!(*error.host, elsewhere.address().to_string());
    assert!(elsewhere.seen().is_empty());

    let mut named = papers.options(&server, true);
    named.realms = vec!["127.0.0.2".to_owned()];
    assert_eq!(
        pull(&Upstream::new(named).unwrap()).await.unwrap().bytes,
        BODY
    );
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_at_the_start_without_their_content() {
    let papers = Papers::new();
    let server = papers.registry().await;
    let (certificate, key) = papers.client();
    let (_, other_key) = papers.client();
    let line = key.lines().nth(1).unwrap().to_owned();
    for (certificate, key, says) in [
        (certificate.as_str(), "", "no unencrypted private key"),
        (
            &certificate,
            "-----BEGIN PRIVATE KEY-----\npencil",
            "client.key",
        ),
        (&certificate, &other_key, "not the key of"),
        ("", &key, "holds no certificate"),
    ] {
        papers.write_identity(&(certificate.to_owned(), key.to_owned()));
        let refused = Upstream::new(papers.options(&server, true)).unwrap_err();
        assert!(matches!(refused, UpstreamSetupError::ClientIdentity { .. }));
        let text = format!("{refused} {refused:?}");
        assert!(text.contains(says), "{text}");
        assert!(!text.contains("pencil") && !text.contains(&line), "{text}");
    }
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_told_with_what_this_machines_clock_says() {
    let papers = Papers::new();
    for (years, says) in [
        ([2089, 2090], "valid from 2089-01-01 00:00 UTC on"),
        ([2019, 2020], "valid until 2020-01-01 00:00 UTC"),
    ] {
        let acceptor = papers.server("127.0.0.1", None, years);
        let server = Server::at("127.0.0.1", Some(acceptor), |_| ok(BODY)).await;
        let words = tls_words(pull(&papers.upstream(&server, false)).await);
        assert!(words.contains(says), "{words}");
        assert!(words.contains("this machine's clock says 2"), "{words}");
    }
}
