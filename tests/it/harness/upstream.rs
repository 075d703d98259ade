//! The scripted upstream does what it is told.

use std::time::{Duration, Instant};

use cistern_tests::caller::{Ended, get, head};
use cistern_tests::images::{Item, gunzip, image, random_bytes};
use cistern_tests::scripted_upstream::{
    Answer, Cut, Framing, Gate, LinkStyle, Ranges, ScriptedUpstream, Signed,
};

const SOON: Duration = Duration::from_secs(10);

async fn with_blob(size: usize) -> (ScriptedUpstream, Item, String) {
    let upstream = ScriptedUpstream::start().await;
    let blob = Item::random(1, size);
    upstream.hold_blob(&blob, "team/app");
    let path = format!("/v2/team/app/blobs/{}", blob.digest);
    (upstream, blob, path)
}

#[tokio::test]
async fn without_a_script_it_is_a_correct_registry() {
    let upstream = ScriptedUpstream::start().await;
    let image = image().random_layers(1, 2, 1000).build();
    upstream.hold(&image, "team/app", &["v1"]);
    let by_tag = get("/v2/team/app/manifests/v1")
        .send(&upstream.host())
        .await;
    assert_eq!((by_tag.status, &by_tag.body), (200, &image.top().bytes));
    assert_eq!(by_tag.header("docker-content-digest"), Some(image.digest()));
    assert_eq!(
        by_tag.header("content-type"),
        Some(image.top().media_type.as_str())
    );
    for blob in &image.blobs {
        let path = format!("/v2/team/app/blobs/{}", blob.digest);
        assert_eq!(get(&path).send(&upstream.host()).await.body, blob.bytes);
        let answer = head(&path).send(&upstream.host()).await;
        assert_eq!(
            answer.header("content-length"),
            Some(blob.bytes.len().to_string().as_str())
        );
        assert!(answer.is_complete() && answer.body.is_empty());
    }
    assert_eq!(get("/v2/").send(&upstream.host()).await.status, 200);
    let missing = get("/v2/team/app/manifests/v2")
        .send(&upstream.host())
        .await;
    assert_eq!(
        (missing.status, missing.error_code().as_str()),
        (404, "MANIFEST_UNKNOWN")
    );
    assert_eq!(upstream.count("GET", "/v2/*/blobs/*"), 3);
    assert_eq!(upstream.count("*", "/v2/*"), 3 + 3 + 3);
}

#[tokio::test]
async fn ranges_are_honoured_and_broken_as_told() {
    let (upstream, blob, path) = with_blob(1000).await;
    let ask = async |range: &str| get(&path).range(range).send(&upstream.host()).await;
    let part = ask("bytes=100-199").await;
    assert_eq!(
        (part.status, part.header("content-range")),
        (206, Some("bytes 100-199/1000"))
    );
    assert_eq!(part.body, blob.bytes.slice(100..200));
    assert_eq!(ask("bytes=900-").await.body, blob.bytes.slice(900..));
    assert_eq!(ask("bytes=-10").await.body, blob.bytes.slice(990..));
    assert_eq!(ask("bytes=1000-").await.status, 416);
    for (ranges, status, content_range) in [
        (Ranges::Ignore, 200, None),
        (Ranges::Refuse(400), 400, None),
        (Ranges::WrongStart, 206, Some("bytes 101-199/1000")),
        (Ranges::NoTotal, 206, Some("bytes 100-199/*")),
        (Ranges::NoHeader, 206, None),
    ] {
        upstream.forget_script();
        upstream.on("GET", &path, Answer::held().ranges(ranges));
        let answer = ask("bytes=100-199").await;
        assert_eq!(
            (answer.status, answer.header("content-range")),
            (status, content_range),
            "{ranges:?}"
        );
    }
}

#[tokio::test]
async fn bodies_are_cut_flipped_shortened_and_lengthened() {
    let (upstream, blob, path) = with_blob(1000).await;
    let answer = async |answer: Answer| {
        upstream.forget_script();
        upstream.on("GET", &path, answer);
        get(&path).send(&upstream.host()).await
    };
    let cut = answer(Answer::held().cut_at(300, Cut::Fin)).await;
    assert_eq!((cut.body.len(), cut.ended), (300, Ended::Short));
    let cut = answer(Answer::held().cut_at(300, Cut::Reset)).await;
    assert_eq!(cut.ended, Ended::Reset);
    let flipped = answer(Answer::held().flips(999)).await;
    assert!(
        flipped.is_complete()
            && flipped.body[..999] == blob.bytes[..999]
            && flipped.body[999] == !blob.bytes[999]
    );
    let short = answer(Answer::held().shortened_to(10)).await;
    assert_eq!((short.body.len(), short.ended), (10, Ended::Complete));
    assert_eq!(
        answer(Answer::held().lengthened_by("more"))
            .await
            .body
            .len(),
        1004
    );
    let none = answer(Answer::hang_up(Cut::Fin)).await;
    assert_eq!((none.status, none.ended), (0, Ended::Short));
    assert_eq!(
        answer(Answer::hang_up(Cut::Reset)).await.ended,
        Ended::Reset
    );
    let raw = answer(Answer::raw(
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc",
    ))
    .await;
    assert_eq!(raw.text(), "abc");
}

#[tokio::test]
async fn the_end_of_a_body_is_told_in_every_way() {
    let (upstream, blob, path) = with_blob(200_000).await;
    for framing in [
        Framing::Length,
        Framing::Chunked,
        Framing::UntilClose,
        Framing::Http10,
    ] {
        upstream.forget_script();
        upstream.on("*", &path, Answer::held().framed(framing));
        let answer = get(&path).send(&upstream.host()).await;
        assert!(
            answer.is_complete() && answer.body == blob.bytes,
            "{framing:?}"
        );
        assert_eq!(
            answer.header("content-length").is_some(),
            framing == Framing::Length,
            "{framing:?}"
        );
    }
    upstream.forget_script();
    upstream.on(
        "GET",
        &path,
        Answer::held().framed(Framing::Declared(300_000)),
    );
    assert_eq!(get(&path).send(&upstream.host()).await.ended, Ended::Short);
}

#[tokio::test]
async fn answers_wait_stop_and_trickle() {
    let (upstream, blob, path) = with_blob(10_000).await;
    let host = upstream.host();
    let gate = Gate::new();
    upstream.on_next(1, "GET", &path, Answer::held().stops_at(4000, &gate));
    let mut opened = get(&path).open(&host).await.unwrap();
    assert_eq!(opened.read(4000).await, blob.bytes.slice(..4000));
    gate.wait_reached(1, SOON).await;
    assert_eq!(upstream.bytes_sent(), 4000);
    gate.open();
    assert_eq!(opened.finish().await.body, blob.bytes.slice(4000..));

    upstream.on_next(
        1,
        "GET",
        &path,
        Answer::held().after(Duration::from_millis(200)),
    );
    assert!(get(&path).send(&host).await.whole_after >= Duration::from_millis(200));
    upstream.on_next(1, "GET", &path, Answer::held().at_rate(20_000));
    let slow = get(&path).send(&host).await;
    assert!(
        slow.is_complete() && slow.whole_after >= Duration::from_millis(450),
        "{:?}",
        slow.whole_after
    );
    upstream.on_next(1, "GET", &path, Answer::silence());
    let mute = get(&path)
        .patience(Duration::from_millis(100))
        .send(&host)
        .await;
    assert_eq!(mute.ended, Ended::TimedOut);
}

#[tokio::test]
async fn a_trickle_becomes_a_stream_when_its_gate_is_opened() {
    let (upstream, blob, path) = with_blob(100_000).await;
    let gate = Gate::new();
    let crawling = Answer::held().at_rate_until(1, &gate);
    upstream.on_next(1, "GET", &path, crawling);
    let mut opened = get(&path).open(&upstream.host()).await.unwrap();
    assert_eq!(opened.read(1).await, blob.bytes.slice(..1));
    assert!(upstream.bytes_sent() < 10);
    gate.open();
    assert_eq!(opened.finish().await.body, blob.bytes.slice(1..));
}

#[tokio::test]
async fn rules_apply_in_order_and_are_used_up() {
    let (upstream, _, path) = with_blob(10).await;
    let down = upstream.on_next(2, "GET", &path, Answer::status(503));
    let limited = upstream.on_next(
        1,
        "GET",
        &path,
        Answer::status(429).header("Retry-After", "1"),
    );
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(get(&path).send(&upstream.host()).await.status);
    }
    assert_eq!(seen, [503, 503, 429, 200]);
    assert_eq!((down.used(), limited.used()), (2, 1));
}

#[tokio::test]
async fn it_goes_away_and_comes_back_on_the_same_port() {
    let (upstream, _, path) = with_blob(10).await;
    let host = upstream.host();
    upstream.stop().await;
    assert_eq!(get(&path).send(&host).await.status, 0);
    upstream.start_again().await;
    assert_eq!(get(&path).send(&host).await.status, 200);
    upstream.black_hole(true);
    let began = Instant::now();
    let mute = get(&path)
        .patience(Duration::from_millis(100))
        .send(&host)
        .await;
    assert!(mute.ended == Ended::TimedOut && began.elapsed() >= Duration::from_millis(100));
    upstream.black_hole(false);
    assert_eq!(get(&path).send(&host).await.status, 200);
    let dropped = host.clone();
    drop(upstream);
    cistern_tests::eventually("closing", SOON, || async {
        get("/v2/").send(&dropped).await.status == 0
    })
    .await;
}

#[tokio::test]
async fn blobs_are_redirected_by_addresses_that_expire() {
    let (upstream, blob, path) = with_blob(1000).await;
    let store = ScriptedUpstream::start().await;
    upstream.redirect_blobs_to(
        &store,
        307,
        Signed {
            uses: 1,
            ..Signed::default()
        },
    );
    let answer = get(&path).send(&upstream.host()).await;
    let location = answer.header("location").unwrap().to_owned();
    assert_eq!(answer.status, 307);
    let target = location.strip_prefix(&store.url()).unwrap();
    let part = get(target).range("bytes=0-9").send(&store.host()).await;
    assert_eq!((part.status, &part.body[..]), (206, &blob.bytes[..10]));
    assert_eq!(get(target).send(&store.host()).await.status, 403);
    assert_eq!(get("/signed/x").send(&store.host()).await.status, 403);
}

#[tokio::test]
async fn bodies_are_compressed_only_when_told() {
    let (upstream, blob, path) = with_blob(1000).await;
    let ask = |encoding| get(&path).header("Accept-Encoding", encoding);
    assert_eq!(
        ask("gzip")
            .send(&upstream.host())
            .await
            .header("content-encoding"),
        None
    );
    upstream.on("GET", &path, Answer::held().gzipped_if_asked());
    assert_eq!(
        ask("identity").send(&upstream.host()).await.body,
        blob.bytes
    );
    let compressed = ask("gzip").send(&upstream.host()).await;
    assert_eq!(compressed.header("content-encoding"), Some("gzip"));
    assert_eq!(gunzip(&compressed.body), blob.bytes);
}

#[tokio::test]
async fn tags_come_in_pages_with_links_of_every_kind() {
    let upstream = ScriptedUpstream::start().await;
    let image = image().build();
    upstream.hold(&image, "team/app", &["a", "b", "c", "d", "e"]);
    for style in [
        LinkStyle::Relative,
        LinkStyle::Absolute,
        LinkStyle::Opaque,
        LinkStyle::PathRelative,
    ] {
        upstream.page_tags(2, style);
        let base = url::Url::parse(&upstream.url_of("/v2/team/app/tags/list")).unwrap();
        let mut next = Some(base);
        let mut tags = Vec::new();
        while let Some(url) = next {
            let target = &url[url::Position::BeforePath..];
            let page = get(target).send(&upstream.host()).await;
            tags.extend(
                page.json()["tags"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|tag| tag.as_str().unwrap().to_owned()),
            );
            let link = page
                .header("link")
                .map(|link| link[1..link.find('>').unwrap()].to_owned());
            next = link.map(|link| url.join(&link).unwrap());
        }
        assert_eq!(tags, ["a", "b", "c", "d", "e"], "{style:?}");
    }
}

#[tokio::test]
async fn a_hundred_callers_at_once_are_all_counted() {
    let upstream = ScriptedUpstream::start().await;
    let blob = Item::new("application/octet-stream", random_bytes(3, 100_000));
    upstream.hold_blob(&blob, "team/app");
    let (path, host) = (
        format!("/v2/team/app/blobs/{}", blob.digest),
        upstream.host(),
    );
    let calls: Vec<_> = (0..100)
        .map(|_| {
            let (path, host) = (path.clone(), host.clone());
            tokio::spawn(async move { get(&path).send(&host).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().body, blob.bytes);
    }
    assert_eq!(
        (upstream.count("GET", &path), upstream.connections()),
        (100, 100)
    );
    assert_eq!(upstream.bytes_sent(), 100 * 100_000);
}
