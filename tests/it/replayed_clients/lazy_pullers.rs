//! Snapshotters that mount an image before they have it, and read of its layers what is needed.

use cistern_tests::caller::{Call, get, head};
use cistern_tests::images::Item;

use super::docker_29::resolve;
use super::{Scene, by_mirror};
use crate::common::{REPOSITORY, assert_part, blob_path, kept, whole_gets};

fn as_stargz(blob: &Item, range: &str) -> Call {
    get(&by_mirror(&blob_path(REPOSITORY, &blob.digest)))
        .header("User-Agent", "containerd-stargz-grpc")
        .header("Accept-Encoding", "identity")
        .range(range)
}

/// stargz and SOCI: two bytes to learn where the blob is, a HEAD for its size, the footer, then regions, several in a request
/// until a 400 teaches them that they have to be asked for one by one.
async fn read_lazily(scene: &Scene, layer: &Item) {
    let size = layer.bytes.len();
    let first = scene.send(as_stargz(layer, "bytes=0-1")).await;
    assert_part(&first, layer, 0, 1);
    let told = scene
        .send(head(&by_mirror(&blob_path(REPOSITORY, &layer.digest))))
        .await;
    assert_eq!(
        told.header("Content-Length"),
        Some(size.to_string().as_str())
    );
    assert_eq!(told.header("Accept-Ranges"), Some("bytes"));
    assert_part(
        &scene.send(as_stargz(layer, "bytes=-51")).await,
        layer,
        size - 51,
        size - 1,
    );
    let several = scene
        .send(as_stargz(layer, "bytes=0-49999,100000-149999"))
        .await;
    assert_eq!(several.status, 400, "{several:?}");
    for first in [0, 100_000, 250_000, size - 50_000] {
        let last = (first + 49_999).min(size - 1);
        let part = scene
            .send(as_stargz(layer, &format!("bytes={first}-{last}")))
            .await;
        assert_part(&part, layer, first, last);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lazy_pullers_read_a_layer_by_parts_cold_and_warm_and_without_the_upstream() {
    let scene = Scene::new().await;
    resolve(&scene).await;
    let layer = scene.image.largest_blob();
    let path = blob_path(REPOSITORY, &layer.digest);
    read_lazily(&scene, layer).await;
    kept(&scene.cache, &layer.digest).await;
    assert_eq!(whole_gets(&scene.upstream, &path), 1);
    scene.upstream.stop().await;
    read_lazily(&scene, layer).await;
}
