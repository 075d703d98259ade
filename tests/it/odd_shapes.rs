//! Images at the edges of the specification: without layers, with layers of nothing, with layers inside of the manifest.

use cistern_tests::caller::get;
use cistern_tests::images::{Algorithm, Image, Item, OCI_MANIFEST, image};
use serde_json::json;

use crate::scene::{REPOSITORY, Scene, assert_served, blob, manifest};

/// An image whose one layer is this blob, with `more` in the layer's descriptor.
fn image_of(layer: &Item, more: &serde_json::Value) -> Image {
    let config = Item::new("application/vnd.oci.image.config.v1+json", "{}");
    let mut descriptor = layer.descriptor();
    for (name, value) in more.as_object().unwrap() {
        descriptor[name] = value.clone();
    }
    let text = json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": config.descriptor(), "layers": [descriptor],
    });
    Image {
        manifests: vec![Item::new(OCI_MANIFEST, text.to_string())],
        blobs: vec![config, layer.clone()],
    }
}

async fn assert_empty(scene: &Scene, path: &str) {
    for answer in [
        scene.head(path).await,
        scene.get(path).await,
        scene.head(path).await,
    ] {
        assert_served(&answer, b"");
        assert_eq!(answer.header("Content-Length"), Some("0"), "{path}");
    }
    let part = get(path).range("bytes=0-").send(&scene.cache.host()).await;
    assert_eq!(part.status, 416);
    assert_eq!(part.header("Content-Range"), Some("bytes */0"));
}

#[tokio::test]
async fn a_layer_of_nothing_is_a_layer() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let nothing = Item::with(algorithm, "application/octet-stream", "");
        let path = blob(&nothing.digest);
        let unnamed = Scene::new().await;
        unnamed.upstream.hold_blob(&nothing, REPOSITORY);
        assert_empty(&unnamed, &path).await;
        assert_empty(&unnamed, &path).await;
        let named = Scene::new().await;
        named
            .upstream
            .hold(&image_of(&nothing, &json!({})), REPOSITORY, &["empty"]);
        assert_eq!(named.get(&manifest("empty")).await.status, 200);
        assert_empty(&named, &path).await;
        named.upstream.stop().await;
        assert_empty(&named, &path).await;
    }
}

#[tokio::test]
async fn an_image_without_layers_is_an_image() {
    let scene = Scene::new().await;
    let bare = image().build();
    scene.upstream.hold(&bare, REPOSITORY, &["bare"]);
    for _ in 0..2 {
        assert_served(&scene.get(&manifest("bare")).await, &bare.top().bytes);
        assert_served(
            &scene.get(&blob(&bare.blobs[0].digest)).await,
            &bare.blobs[0].bytes,
        );
    }
}

#[tokio::test]
async fn a_layer_that_is_inside_of_its_manifest_can_be_pulled_like_any_other() {
    let scene = Scene::new().await;
    let layer = Item::new("text/plain", "hello");
    let inline = image_of(&layer, &json!({ "data": "aGVsbG8=" }));
    scene.upstream.hold(&inline, REPOSITORY, &["inline"]);
    assert_served(&scene.get(&manifest("inline")).await, &inline.top().bytes);
    assert_served(&scene.get(&blob(&layer.digest)).await, &layer.bytes);
}
