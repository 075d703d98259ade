//! Parts of blobs: clamped, numbered, conditional, and one at a time.

use super::harness::Running;

#[tokio::test]
async fn ranges_are_clamped_and_numbered_or_refused_with_the_size() {
    let registry = Running::start().await;
    let blob: Vec<u8> = (0..2048_u32).map(|place| (place % 251) as u8).collect();
    let digest = registry.put_blob("app", blob.clone()).await;
    let ask = async |range: &str| {
        let header = format!("Range: {range}");
        registry
            .ask(&format!("GET /v2/app/blobs/{digest}"), &[&header])
            .await
    };
    let parts = [
        ("bytes=500-1499", 500..=1499),
        ("bytes=500-", 500..=2047),
        ("bytes=-500", 1548..=2047),
        ("bytes=2000-5000", 2000..=2047),
        ("bytes=0-", 0..=2047),
        ("bytes=0-0", 0..=0),
        ("bytes=0-99999999999999999999999", 0..=2047),
    ];
    for (range, part) in parts {
        let reply = ask(range).await;
        let place = format!("bytes {}-{}/2048", part.start(), part.end());
        assert_eq!(
            (reply.status, reply.header("content-range")),
            (206, Some(place.as_str())),
            "{range}"
        );
        assert_eq!(reply.body, &blob[part], "{range}");
        assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    }
    for range in ["bytes=500-0", "bytes=5000-10000", "bytes=2048-", "bytes=-0"] {
        let reply = ask(range).await;
        assert_eq!(
            (reply.status, reply.header("content-range")),
            (416, Some("bytes */2048")),
            "{range}"
        );
        assert_eq!(reply.code(), "RANGE_INVALID");
    }
    for range in ["lines=1-2", "bytes=a-b", "bytes", ""] {
        let reply = ask(range).await;
        assert_eq!((reply.status, reply.body.len()), (200, 2048), "{range}");
    }
}

#[tokio::test]
async fn several_ranges_are_a_400_so_that_lazy_pullers_ask_for_them_one_by_one() {
    let registry = Running::start().await;
    let digest = registry.put_blob("app", vec![7; 2048]).await;
    let many = format!(
        "Range: bytes={}",
        (0..1024)
            .map(|at| format!("{at}-{at}"))
            .collect::<Vec<_>>()
            .join(",")
    );
    for range in ["Range: bytes=0-1,4-5,9-10", &many] {
        let reply = registry
            .ask(&format!("GET /v2/app/blobs/{digest}"), &[range])
            .await;
        assert_eq!(reply.status, 400);
    }
}

#[tokio::test]
async fn a_range_holds_only_if_if_range_names_these_bytes() {
    let registry = Running::start().await;
    let digest = registry.put_blob("app", vec![7; 100]).await;
    let other = registry.put_blob("app", vec![8; 100]).await;
    let cases = [
        (format!("\"{digest}\""), 206),
        (format!("{digest}"), 206),
        (format!("W/\"{digest}\""), 200),
        (format!("\"{other}\""), 200),
        ("Tue, 24 Nov 2026 06:19:44 GMT".to_owned(), 200),
    ];
    for (tag, status) in cases {
        let condition = format!("If-Range: {tag}");
        let reply = registry
            .ask(
                &format!("GET /v2/app/blobs/{digest}"),
                &["Range: bytes=0-9", &condition],
            )
            .await;
        assert_eq!(reply.status, status, "{tag}");
    }
}
