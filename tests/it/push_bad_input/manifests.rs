//! Manifests that are none, and those that are too large.

use cistern_tests::images::{OCI_INDEX, OCI_MANIFEST, sha256};
use serde_json::json;

use super::{MIB, REPOSITORY, Scene, manifest_path, some_digest};
use crate::scene::assert_refused;

#[tokio::test]
async fn a_manifest_that_is_none_is_refused() {
    let scene = Scene::new().await;
    let config = scene.image.blobs[0].descriptor();
    let deep = |open: &str, close: &str| {
        let times = MIB / open.len();
        open.repeat(times) + "1" + &close.repeat(times)
    };
    let both = json!({ "schemaVersion": 2, "config": config, "layers": [], "manifests": [config] });
    let bodies = [
        String::new(),
        " ".to_owned(),
        "{".to_owned(),
        "{}}".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"text\"".to_owned(),
        "12".to_owned(),
        "\u{feff}{}".to_owned(),
        scene
            .image
            .top()
            .bytes
            .iter()
            .map(|byte| char::from(*byte))
            .take(100)
            .collect(),
        deep("[", "]"),
        deep("{\"a\":", "}"),
        "[".repeat(MIB),
        both.to_string(),
    ];
    for body in bodies {
        for reference in ["v2", &sha256(body.as_bytes())] {
            let answer = scene
                .put_manifest(reference, OCI_MANIFEST, body.as_str())
                .await;
            let start: String = body.chars().take(60).collect();
            assert_eq!(answer.status, 400, "{start}: {}", answer.text());
            assert_refused(&answer, 400, "MANIFEST_INVALID", &[]);
        }
    }
    let not_text = scene
        .put_manifest("v2", OCI_MANIFEST, vec![b'{', 0xff, 0xfe, b'}'])
        .await;
    assert_refused(&not_text, 400, "MANIFEST_INVALID", &[]);
    let path = manifest_path(REPOSITORY, &some_digest());
    let call = scene
        .caller
        .call("PUT", &path)
        .header("Content-Type", OCI_MANIFEST);
    let other = scene.send(call.body(scene.image.top().bytes.clone())).await;
    assert_refused(&other, 400, "DIGEST_INVALID", &[]);
    scene.assert_nothing_stored().await;
}

#[tokio::test]
async fn a_manifest_that_is_sent_as_something_else_is_refused() {
    let scene = Scene::new().await;
    // What one reader would take for an image, and another for an index.
    let mut nameless: serde_json::Value = serde_json::from_slice(&scene.image.top().bytes).unwrap();
    nameless.as_object_mut().unwrap().remove("mediaType");
    let image = nameless.to_string();
    let index = json!({ "schemaVersion": 2, "manifests": [scene.image.top().descriptor()] });
    let named = String::from_utf8(scene.image.top().bytes.to_vec()).unwrap();
    for (sent_as, body) in [
        (OCI_INDEX, image),
        (OCI_MANIFEST, index.to_string()),
        (OCI_INDEX, named),
    ] {
        let answer = scene.put_manifest("v2", sent_as, body).await;
        assert_refused(&answer, 400, "MANIFEST_INVALID", &["it is sent as"]);
    }
    scene.assert_nothing_stored().await;
}

/// An index without children, as large as wanted.
fn index_of(size: usize) -> Vec<u8> {
    let start = format!("{{\"schemaVersion\":2,\"mediaType\":\"{OCI_INDEX}\",\"manifests\":[]");
    let rest = size - start.len() - 1;
    (start + &" ".repeat(rest) + "}").into_bytes()
}

#[tokio::test]
async fn a_manifest_of_four_mebibytes_is_taken_and_a_byte_more_is_not() {
    let scene = Scene::new().await;
    let (largest, larger) = (index_of(4 * MIB), index_of(4 * MIB + 1));
    let answer = scene.put_manifest("big", OCI_INDEX, larger.clone()).await;
    assert_refused(&answer, 413, "MANIFEST_INVALID", &[]);
    // Without a length it is found out only on the way.
    let call = scene.caller.call("PUT", &manifest_path(REPOSITORY, "big"));
    let call = call
        .header("Content-Type", OCI_INDEX)
        .chunked([&larger[..]]);
    assert_eq!(scene.send(call).await.status, 413);
    scene.assert_nothing_stored().await;
    let answer = scene.put_manifest("big", OCI_INDEX, largest.clone()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let got = scene
        .caller
        .ask("GET", &manifest_path(REPOSITORY, "big"))
        .await;
    assert!(got.body == largest);
}
