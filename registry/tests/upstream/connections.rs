use cistern::upstream::{Fault, Heard, LinkFault, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::server::{Server, ok};
use super::trust::authority;
use super::{fault, name, options, reference};

const BODY: &str = r#"{"schemaVersion":2}"#;

async fn pull(
    upstream: &Upstream,
) -> Result<cistern_oci::Manifest, cistern::upstream::UpstreamError> {
    upstream
        .get_manifest(&name("a"), &reference("1"), &Heard::default())
        .await
        .map(|fetched| fetched.manifest)
}

/// A proxy that opens every tunnel to one server, or none at all; the heads of what it is asked come out of the channel.
async fn proxy(to: Option<std::net::SocketAddr>) -> (String, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (heads, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let _ = heads.send(String::from_utf8(head).unwrap());
            let Some(to) = to else {
                let _ = stream
                    .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                    .await;
                continue;
            };
            let mut target = TcpStream::connect(to).await.unwrap();
            stream
                .write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")
                .await
                .unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut stream, &mut target).await });
        }
    });
    (address, receiver)
}

#[tokio::test]
async fn https_goes_through_the_given_proxy() {
    let (acceptor, bundle) = authority("registry.test");
    let server = Server::at("127.0.0.1", Some(acceptor), |_| ok(BODY)).await;
    let (proxy, mut heads) = proxy(Some(server.address())).await;
    // The name exists only behind the proxy.
    let mut options = options("https://registry.test");
    options.ca_files = vec![bundle.path().to_owned()];
    options.https_proxy = Some(format!("http://rain:pencil@{proxy}"));
    options.no_proxy = Some("other.test, 10.0.0.0/8".into());
    assert_eq!(
        pull(&Upstream::new(options).unwrap()).await.unwrap().bytes,
        BODY
    );
    let head = heads.recv().await.unwrap();
    assert!(head.starts_with("CONNECT registry.test:443 "), "{head}");
    assert!(head.contains(super::RAIN_PENCIL), "{head}");
    let seen = server.seen().remove(0);
    assert_eq!(seen.header("proxy-authorization"), None);
}

#[tokio::test]
async fn http_goes_through_the_given_proxy() {
    let proxy = Server::start(|_| ok(BODY)).await;
    let mut options = options("http://registry.test");
    options.http_proxy = Some(proxy.address().to_string());
    pull(&Upstream::new(options).unwrap()).await.unwrap();
    let asked = &proxy.seen()[0].target;
    assert_eq!(asked, "http://registry.test/v2/a/manifests/1");
}

#[tokio::test]
async fn an_exempt_upstream_is_reached_directly() {
    let server = Server::start(|_| ok(BODY)).await;
    let (proxy, mut heads) = proxy(None).await;
    let mut options = options(&server.url());
    options.http_proxy = Some(proxy);
    options.no_proxy = Some("127.0.0.0/8".into());
    pull(&Upstream::new(options).unwrap()).await.unwrap();
    assert!(heads.try_recv().is_err());
}

#[tokio::test]
async fn a_proxy_that_opens_no_tunnel_is_a_connect_fault() {
    let (proxy, _heads) = proxy(None).await;
    let mut options = options("https://registry.test");
    options.https_proxy = Some(proxy);
    match fault(pull(&Upstream::new(options).unwrap()).await) {
        Fault::Unreachable {
            link: LinkFault::Connect,
            detail,
        } => assert!(detail.contains("tunnel"), "{detail}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn one_connection_serves_a_whole_pull() {
    let server = Server::start(|seen| {
        let host = seen.header("host").unwrap().to_owned();
        match (seen.path(), seen.authorization()) {
            ("/token", _) => ok(r#"{"token":"good"}"#),
            (_, Some(_)) => ok(BODY),
            _ => super::server::reply(401)
                .header(
                    "WWW-Authenticate",
                    format!(r#"Bearer realm="http://{host}/token""#),
                )
                .body(r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#),
        }
    })
    .await;
    let upstream = super::anonymous(&server);
    for _ in 0..3 {
        pull(&upstream).await.unwrap();
    }
    assert!(server.seen().iter().all(|seen| seen.connection == 1));
}

/// Everything asked of an upstream is awaited in tasks that move between threads.
#[tokio::test]
async fn every_question_can_be_asked_from_any_thread() {
    fn movable<T: Send>(_: T) {}
    let upstream = Upstream::new(options("http://127.0.0.1:9")).unwrap();
    let (repository, reference, digest, heard) = (
        name("a"),
        reference("1"),
        super::sha256(b""),
        Heard::default(),
    );
    movable(upstream.head_manifest(&repository, &reference, &heard));
    movable(upstream.get_manifest(&repository, &reference, &heard));
    movable(upstream.head_blob(&repository, &digest));
    movable(upstream.get_blob(&repository, &digest, cistern::upstream::Part::Whole));
    movable(upstream.tags(&repository, 1, &heard));
    movable(heard.next());
}
