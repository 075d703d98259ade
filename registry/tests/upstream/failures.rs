use std::time::{Duration, Instant};

use cistern::upstream::{Fault, Heard, LinkFault, Part, Upstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::server::{Manner, Server, ok, reply};
use super::{anonymous, fault, impatient, name, options, reference, sha256};

const BODY: &str = r#"{"schemaVersion":2}"#;

async fn pull(
    upstream: &Upstream,
) -> Result<cistern_oci::Manifest, cistern::upstream::UpstreamError> {
    upstream
        .get_manifest(&name("a"), &reference("1"), &Heard::default())
        .await
        .map(|fetched| fetched.manifest)
}

/// How a pull from an address fails: the part of the link, and the detail.
async fn link(url: &str) -> (LinkFault, String) {
    match fault(pull(&Upstream::new(options(url)).unwrap()).await) {
        Fault::Unreachable { link, detail } => (link, detail),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_refused_port_is_a_connect_fault() {
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    for scheme in ["http", "https"] {
        let (link, detail) = link(&format!("{scheme}://{free}")).await;
        assert_eq!(link, LinkFault::Connect, "{detail}");
        assert!(detail.contains("refused"), "{detail}");
    }
}

#[tokio::test]
async fn a_name_that_does_not_resolve_is_a_dns_fault() {
    let (link, detail) = link("https://does-not-exist.invalid").await;
    assert_eq!(link, LinkFault::Dns, "{detail}");
    assert!(detail.contains("does-not-exist.invalid"), "{detail}");
}

#[tokio::test]
async fn a_port_that_speaks_no_tls_is_a_tls_fault() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
                .await;
            let _ = stream.read_to_end(&mut Vec::new()).await;
        }
    });
    let (link, detail) = link(&format!("https://{address}")).await;
    assert_eq!(link, LinkFault::Tls, "{detail}");
    assert!(detail.contains("does not speak TLS"), "{detail}");
}

#[tokio::test]
async fn a_handshake_that_is_cut_short_is_a_closed_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
        }
    });
    let (link, detail) = link(&format!("https://{address}")).await;
    assert_eq!(link, LinkFault::Closed, "{detail}");
    assert!(detail.contains("handshake"), "{detail}");
}

#[tokio::test]
async fn a_black_hole_is_a_timeout_in_time_and_is_asked_once() {
    for scheme in ["http", "https"] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let upstream = Upstream::new(impatient(&format!("{scheme}://{address}"))).unwrap();
        let start = Instant::now();
        let silent = fault(pull(&upstream).await);
        assert!(is_timeout(&silent), "{silent:?}");
        assert!(start.elapsed() >= Duration::from_millis(600), "{scheme}");
        listener.accept().await.unwrap();
        let again = tokio::time::timeout(Duration::from_millis(50), listener.accept());
        assert!(again.await.is_err(), "{scheme}");
    }
}

#[tokio::test]
async fn an_answer_that_never_comes_on_an_open_connection_is_not_waited_for_as_long_as_a_connection()
 {
    let server = Server::sequence([ok(BODY), ok(BODY).manner(Manner::Silent)]).await;
    let mut options = options(&server.url());
    options.timeouts.connect = Duration::from_mins(2);
    options.timeouts.header = Duration::from_secs(2);
    let upstream = Upstream::new(options).unwrap();
    pull(&upstream).await.unwrap();
    let start = Instant::now();
    let silent = fault(pull(&upstream).await);
    assert!(is_timeout(&silent), "{silent:?}");
    assert!(start.elapsed() < Duration::from_mins(1));
    assert_eq!(server.seen().len(), 2);
}

fn is_timeout(fault: &Fault) -> bool {
    matches!(
        fault,
        Fault::Unreachable {
            link: LinkFault::Timeout,
            ..
        }
    )
}

#[tokio::test]
async fn a_port_that_speaks_no_http_is_told_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await;
        }
    });
    let words =
        super::invalid(pull(&Upstream::new(options(&format!("http://{address}"))).unwrap()).await);
    assert!(words.contains("HTTP"), "{words}");
}

#[tokio::test]
async fn a_connection_closed_before_the_answer_is_replaced_at_once() {
    let server = Server::sequence([ok(BODY), ok(BODY).manner(Manner::Close), ok(BODY)]).await;
    let upstream = anonymous(&server);
    pull(&upstream).await.unwrap();
    pull(&upstream).await.unwrap();
    let connections: Vec<_> = server.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [1, 1, 2]);
}

#[tokio::test]
async fn a_connection_that_always_closes_is_given_up() {
    let server = Server::start(|_| ok(BODY).manner(Manner::Close)).await;
    let closed = fault(pull(&anonymous(&server)).await);
    assert!(
        matches!(
            closed,
            Fault::Unreachable {
                link: LinkFault::Closed,
                ..
            }
        ),
        "{closed:?}"
    );
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn a_stumbling_upstream_is_asked_again() {
    for status in [500, 502, 503, 504] {
        let server = Server::sequence([reply(status), ok(BODY)]).await;
        pull(&anonymous(&server))
            .await
            .unwrap_or_else(|error| panic!("{status}: {error}"));
    }
    let server = Server::start(|_| reply(503)).await;
    assert_eq!(fault(pull(&anonymous(&server)).await), Fault::Status(503));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_refusal_is_final() {
    for status in [400, 402, 403, 405, 410, 418, 451, 501] {
        let server = Server::start(move |_| reply(status)).await;
        assert_eq!(
            fault(pull(&anonymous(&server)).await),
            Fault::Status(status)
        );
        assert_eq!(server.seen().len(), 1, "{status}");
    }
    let server = Server::start(|_| reply(204)).await;
    assert!(super::invalid(pull(&anonymous(&server)).await).contains("204"));
}

#[tokio::test]
async fn a_rate_limit_comes_with_its_wait() {
    let date = [
        ("Retry-After", "Wed, 21 Oct 2015 07:28:30 GMT"),
        ("Date", "Wed, 21 Oct 2015 07:28:00 GMT"),
    ];
    let dated = date
        .into_iter()
        .fold(reply(429), |reply, (name, value)| reply.header(name, value));
    for (limit, wait) in [
        (reply(429), None),
        (reply(429).header("Retry-After", "120"), Some(120)),
        (dated, Some(30)),
    ] {
        let server = Server::sequence([limit]).await;
        let limited = anonymous(&server)
            .get_blob(&name("a"), &sha256(b"x"), Part::Whole)
            .await;
        let Fault::RateLimited {
            retry_after: Some(told),
        } = fault(limited)
        else {
            panic!("{wait:?}");
        };
        match wait {
            Some(seconds) => assert_eq!(told, Duration::from_secs(seconds)),
            None => assert!((15..=18).contains(&told.as_secs()), "{told:?}"),
        }
        assert_eq!(server.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_upstream_is_reachable_when_a_registry_answers_whatever_it_thinks_of_us() {
    for (status, is_reachable) in [
        (200, true),
        (401, true),
        (403, true),
        (404, true),
        (405, true),
        (429, true),
        (500, false),
        (502, false),
        (503, false),
    ] {
        let server = Server::start(move |_| reply(status)).await;
        let found = anonymous(&server).is_reachable().await;
        assert_eq!(found, is_reachable, "{status}");
        assert_eq!(server.seen()[0].target, "/v2/");
    }
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gone.local_addr().unwrap();
    drop(gone);
    let upstream = Upstream::new(options(&format!("http://{address}"))).unwrap();
    assert!(!upstream.is_reachable().await);
}
