//! Read-ahead (`proxy.readahead`): who was given an image's manifest will ask for its blobs, so the missing ones are sent for at
//! once. Nobody waits for them yet, so they let everybody else go first; a caller that asks joins a running download.

use std::sync::Arc;

use cistern_oci::{Manifest, ManifestKind, ManifestLinks};

use super::Parts;
use super::downloads::Wanted;
use crate::repositories::{Mirror, Repository};

/// Sends for the missing blobs of a served image, in the background.
pub(super) fn begin(parts: &Arc<Parts>, repository: &Repository, manifest: &Manifest) {
    let Repository::Mirror(mirror) = repository else {
        return;
    };
    if !parts.reads_ahead || parts.stop.is_cancelled() {
        return;
    }
    let Ok(links) = ManifestLinks::read(&manifest.bytes) else {
        return;
    };
    if links.kind != ManifestKind::Image {
        return;
    }
    let (work, mirror) = (Arc::clone(parts), mirror.clone());
    parts.tasks.spawn(async move {
        fetch(&work, &mirror, &links).await;
    });
}

async fn fetch(parts: &Arc<Parts>, mirror: &Mirror, links: &ManifestLinks) {
    for blob in links.blobs() {
        let blobs = parts.storage.blobs();
        let is_wanted = matches!(blobs.size(&blob.digest).await, Ok(None));
        // Without room for it there would be nothing to join.
        if is_wanted && blobs.has_room(Some(blob.size)).await.is_ok() {
            let wanted = Wanted {
                mirror,
                digest: blob.digest,
                size: Some(blob.size),
            };
            parts.downloads.start_ahead(parts, wanted);
        }
    }
}
