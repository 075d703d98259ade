use std::time::Duration;

use bytes::Bytes;
use cistern::upstream::{
    BlobAnswer, Fault, LinkFault, Part, Priority, Said, Upstream, UpstreamError,
};
use cistern_oci::{ByteRange, Digest};
use futures_util::StreamExt as _;

use super::server::{Manner, Reply, Seen, Server, ok, reply};
use super::{anonymous, fault, invalid, name, options, sha256};

fn blob() -> Vec<u8> {
    (0..100_000_u32).flat_map(u32::to_le_bytes).collect()
}

fn digest() -> Digest {
    sha256(&blob())
}

async fn read(mut answer: BlobAnswer) -> Result<Bytes, UpstreamError> {
    let mut whole = Vec::new();
    while let Some(piece) = answer.body.next().await {
        whole.extend_from_slice(&piece?);
    }
    assert!(answer.body.next().await.is_none());
    Ok(whole.into())
}

/// What an honest server makes of a range.
fn honest(seen: &Seen) -> Reply {
    let whole = blob();
    let Some((first, last)) = seen
        .header("range")
        .and_then(|range| range.strip_prefix("bytes=")?.split_once('-'))
    else {
        return ok(whole);
    };
    let first: usize = first.parse().unwrap();
    let last = last.parse().unwrap_or(whole.len() - 1);
    part(first, last)
}

fn part(first: usize, last: usize) -> Reply {
    let whole = blob();
    reply(206)
        .header(
            "Content-Range",
            format!("bytes {first}-{last}/{}", whole.len()),
        )
        .body(&whole[first..=last])
}

#[tokio::test]
async fn a_whole_blob_comes_without_asking_for_a_range() {
    let server = Server::start(honest).await;
    let upstream = anonymous(&server);
    for whole in [Part::Whole, Part::From(0)] {
        let answer = upstream
            .get_blob(&name("a"), &digest(), whole)
            .await
            .unwrap();
        assert_eq!((answer.first, answer.size), (0, Some(400_000)));
        assert_eq!(read(answer).await.unwrap(), blob());
    }
    for seen in server.seen() {
        assert_eq!(seen.header("range"), None);
        assert_eq!(seen.header("accept-encoding"), Some("identity"));
        assert_eq!(seen.path(), format!("/v2/a/blobs/{}", digest()));
    }
}

#[tokio::test]
async fn parts_come_as_asked_for() {
    let server = Server::start(honest).await;
    let upstream = anonymous(&server);
    let mut answer = upstream
        .get_blob(&name("a"), &digest(), Part::From(399_000))
        .await
        .unwrap();
    answer.body.set_priority(Priority::Warm);
    assert_eq!((answer.first, answer.size), (399_000, Some(400_000)));
    assert_eq!(read(answer).await.unwrap(), blob()[399_000..]);
    let range = Part::Range(ByteRange { first: 5, last: 9 });
    let answer = upstream
        .get_blob(&name("a"), &digest(), range)
        .await
        .unwrap();
    assert_eq!(read(answer).await.unwrap(), blob()[5..=9]);
}

#[tokio::test]
async fn an_upstream_that_ignores_the_range_starts_at_zero() {
    let server = Server::start(|_| ok(blob())).await;
    let answer = anonymous(&server)
        .get_blob(&name("a"), &digest(), Part::From(7))
        .await
        .unwrap();
    assert_eq!((answer.first, answer.size), (0, Some(400_000)));
}

#[tokio::test]
async fn a_part_that_was_not_asked_for_is_refused() {
    let lies = [
        part(8, 20),
        part(7, 20).header("Content-Range", "bytes 7-20/400000"),
        reply(206).body("no range at all"),
        reply(206)
            .header("Content-Range", "bytes 7-30/400000")
            .body("too short for its range"),
    ];
    for lie in lies {
        let server = Server::sequence([lie.clone()]).await;
        let refused = anonymous(&server)
            .get_blob(&name("a"), &digest(), Part::From(7))
            .await;
        assert!(matches!(fault(refused), Fault::Invalid(_)), "{lie:?}");
    }
    let server = Server::sequence([part(0, 20)]).await;
    let refused = anonymous(&server)
        .get_blob(&name("a"), &digest(), Part::Whole)
        .await;
    assert!(invalid(refused).contains("206"));
}

#[tokio::test]
async fn lengths_may_be_missing() {
    for manner in [Manner::Chunked, Manner::UntilClose] {
        let server = Server::start(move |_| ok(blob()).manner(manner)).await;
        let answer = anonymous(&server)
            .get_blob(&name("a"), &digest(), Part::Whole)
            .await
            .unwrap();
        assert_eq!(answer.size, None);
        assert_eq!(read(answer).await.unwrap(), blob());
    }
    let server = Server::start(|_| part(7, 20).header("Content-Length", "14")).await;
    let answer = anonymous(&server)
        .get_blob(&name("a"), &digest(), Part::From(7))
        .await
        .unwrap();
    assert_eq!(read(answer).await.unwrap().len(), 14);
}

#[tokio::test]
async fn a_body_that_ends_early_ends_with_an_error() {
    let short_part = {
        let mut short = part(7, 399_999).manner(Manner::Chunked);
        short.body.truncate(1000);
        short
    };
    for cut in [ok(blob()).manner(Manner::CutAfter(120_000)), short_part] {
        let server = Server::sequence([cut]).await;
        let answer = anonymous(&server)
            .get_blob(&name("a"), &digest(), Part::From(7))
            .await
            .unwrap();
        let broken = fault(read(answer).await);
        assert!(
            matches!(
                broken,
                Fault::Unreachable {
                    link: LinkFault::Closed,
                    ..
                }
            ),
            "{broken:?}"
        );
    }
}

/// Bears a body that stops for no longer than a second.
fn idle_for_a_second(server: &Server) -> Upstream {
    let mut options = options(&server.url());
    options.timeouts.idle = Duration::from_secs(1);
    Upstream::new(options).unwrap()
}

#[tokio::test]
async fn a_body_that_falls_silent_ends_with_an_error() {
    let server = Server::start(|_| ok(blob()).manner(Manner::HangAfter(1000))).await;
    let answer = idle_for_a_second(&server)
        .get_blob(&name("a"), &digest(), Part::Whole)
        .await
        .unwrap();
    let silent = fault(read(answer).await);
    assert!(
        matches!(
            silent,
            Fault::Unreachable {
                link: LinkFault::Timeout,
                ..
            }
        ),
        "{silent:?}"
    );
}

#[tokio::test]
async fn a_reader_that_pauses_is_not_taken_for_a_silent_upstream() {
    let server = Server::start(|_| ok(blob())).await;
    let mut answer = idle_for_a_second(&server)
        .get_blob(&name("a"), &digest(), Part::Whole)
        .await
        .unwrap();
    let mut received = answer.body.next().await.unwrap().unwrap().len();
    tokio::time::sleep(Duration::from_millis(1200)).await;
    while let Some(piece) = answer.body.next().await {
        received += piece.unwrap().len();
    }
    assert_eq!(received, 400_000);
}

async fn get(server: &Server, part: Part) -> Result<BlobAnswer, UpstreamError> {
    let upstream = anonymous(server);
    upstream.get_blob(&name("a"), &digest(), part).await
}

#[tokio::test]
async fn an_encoded_part_of_a_blob_is_refused() {
    let first = Part::Range(ByteRange { first: 0, last: 0 });
    let part = || reply(206).header("Content-Range", "bytes 0-0/400000");
    let encoded = |coding| {
        Server::start(move |_| part().header("Content-Encoding", coding).body(&blob()[..1]))
    };
    let server = encoded("gzip").await;
    assert!(invalid(get(&server, first).await).contains("gzip"));
    let server = encoded("identity").await;
    assert!(get(&server, first).await.is_ok());
}

#[tokio::test]
async fn a_whole_blob_is_judged_by_its_digest_whatever_its_label() {
    let server = Server::start(|_| ok(blob()).header("Content-Encoding", "gzip")).await;
    assert!(get(&server, Part::Whole).await.is_ok());
}

#[tokio::test]
async fn a_missing_blob_is_not_found() {
    let server = Server::start(|_| reply(404)).await;
    let gone = anonymous(&server)
        .get_blob(&name("a"), &digest(), Part::Whole)
        .await;
    assert_eq!(fault(gone), Fault::NotFound(Said::NotFound));
    let gone = anonymous(&server).head_blob(&name("a"), &digest()).await;
    assert_eq!(fault(gone), Fault::NotFound(Said::NotFound));
}

#[tokio::test]
async fn a_head_tells_the_size_without_a_get() {
    let server = Server::start(honest).await;
    assert_eq!(
        anonymous(&server)
            .head_blob(&name("a"), &digest())
            .await
            .unwrap()
            .size,
        Some(400_000)
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_refused_head_is_made_good_by_the_first_byte() {
    for status in [400, 401, 403, 404, 405, 501] {
        let server = Server::start(move |seen| {
            if seen.method == "HEAD" {
                reply(status)
            } else {
                honest(seen)
            }
        })
        .await;
        let head = anonymous(&server).head_blob(&name("a"), &digest()).await;
        assert_eq!(
            head.unwrap_or_else(|error| panic!("{status}: {error}"))
                .size,
            Some(400_000)
        );
        assert_eq!(
            server.seen().last().unwrap().header("range"),
            Some("bytes=0-0")
        );
    }
}

#[tokio::test]
async fn the_size_is_found_however_the_upstream_answers_the_first_byte() {
    let head = || reply(405);
    let server = Server::sequence([head(), ok(blob())]).await;
    assert_eq!(
        anonymous(&server)
            .head_blob(&name("a"), &digest())
            .await
            .unwrap()
            .size,
        Some(400_000)
    );
    let server = Server::sequence([head(), part(0, 0).header("X", "y")]).await;
    assert_eq!(
        anonymous(&server)
            .head_blob(&name("a"), &digest())
            .await
            .unwrap()
            .size,
        Some(400_000)
    );
    let server = Server::sequence([head(), ok(blob()).manner(Manner::Chunked)]).await;
    assert_eq!(
        anonymous(&server)
            .head_blob(&name("a"), &digest())
            .await
            .unwrap()
            .size,
        None
    );
    let empty = sha256(b"");
    let server = Server::sequence([head(), reply(416).header("Content-Range", "bytes */0")]).await;
    assert_eq!(
        anonymous(&server)
            .head_blob(&name("a"), &empty)
            .await
            .unwrap()
            .size,
        Some(0)
    );
}

#[tokio::test]
async fn a_head_that_says_nothing_or_zero_is_not_believed_about_the_size() {
    for claim in [reply(200), reply(200).manner(Manner::Chunked)] {
        let server = Server::start(move |seen| {
            if seen.method == "HEAD" {
                claim.clone()
            } else {
                honest(seen)
            }
        })
        .await;
        assert_eq!(
            anonymous(&server)
                .head_blob(&name("a"), &digest())
                .await
                .unwrap()
                .size,
            Some(400_000)
        );
    }
    let server = Server::start(|seen| {
        if seen.method == "HEAD" {
            reply(200)
        } else {
            reply(404)
        }
    })
    .await;
    assert_eq!(
        anonymous(&server)
            .head_blob(&name("a"), &digest())
            .await
            .unwrap()
            .size,
        None
    );
    let server = Server::start(|_| reply(200)).await;
    assert_eq!(
        anonymous(&server)
            .head_blob(&name("a"), &sha256(b""))
            .await
            .unwrap()
            .size,
        Some(0)
    );
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn a_size_that_cannot_be_is_an_answer_that_cannot_be_used() {
    for size in [
        "9223372036854775808",
        "18446744073709551613",
        "1125899906842625",
    ] {
        let server =
            Server::start(move |_| reply(200).header("Content-Length", size).body(b"x")).await;
        let head = anonymous(&server).head_blob(&name("a"), &digest()).await;
        assert!(invalid(head).contains(size), "{size}");
        assert!(invalid(get(&server, Part::Whole).await).contains(size));
        let server = Server::start(move |seen| {
            if seen.method == "HEAD" {
                return reply(405);
            }
            let range = format!("bytes 0-0/{size}");
            reply(206).header("Content-Range", range).body(b"x")
        })
        .await;
        let head = anonymous(&server).head_blob(&name("a"), &digest()).await;
        assert!(invalid(head).contains(size));
    }
}
