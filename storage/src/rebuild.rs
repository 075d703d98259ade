//! Filling the index from the files, in the background and in small steps, after it was lost or another program was at work.

use std::{path::PathBuf, sync::Arc};

use cistern_oci::{Algorithm, Digest, RepositoryName};
use tokio_util::sync::CancellationToken;

use crate::{
    StorageError,
    core::{Core, if_there},
    index::Stamp,
    repositories::TagLocks,
};

/// How many index entries are looked at in one step.
const PAGE: usize = 1000;

/// Looks at every file once. Stops early when told to.
pub(crate) async fn rebuild(
    core: &Arc<Core>,
    tag_locks: &Arc<TagLocks>,
    stop: &CancellationToken,
) -> Result<(), StorageError> {
    if core.read_only || core.off(|core| Ok(core.index.is_complete())).await? {
        return Ok(());
    }
    for of in core.off(|core| core.repositories()).await? {
        let (stop, tag_locks) = (stop.clone(), Arc::clone(tag_locks));
        core.off(move |core| {
            core.remove_empty_links(&of, &tag_locks)?;
            let go_on = || !stop.is_cancelled();
            core.index.scan(&of, || core.index_manifests(&of, go_on))
        })
        .await?;
    }
    for shard in core.off(|core| core.shards()).await? {
        if stop.is_cancelled() {
            return Ok(());
        }
        core.off(move |core| core.record_shard(&shard)).await?;
    }
    let mut after = None;
    while !stop.is_cancelled() {
        let from = after;
        after = core
            .off(move |core| core.forget_what_is_gone(from.as_ref()))
            .await?;
        if after.is_none() {
            return core.off(|core| core.complete_index()).await;
        }
    }
    Ok(())
}

impl Core {
    fn complete_index(&self) -> Result<(), StorageError> {
        self.index.set_complete(true);
        let flushed = self.index.flush();
        flushed.map_err(|error| StorageError::Index(error.to_string()))
    }

    /// Removes links that a power cut left empty: nothing can be made of them, and Distribution's garbage collector gives up
    /// on the first.
    fn remove_empty_links(
        self: &Arc<Self>,
        of: &RepositoryName,
        tag_locks: &TagLocks,
    ) -> Result<(), StorageError> {
        for digest in self.digests_in(&self.layout.layers(of))? {
            let _removing = self.linking.write();
            if !self.has_link(&self.layout.layer_link(of, &digest), &digest)? {
                self.unlink_blob(of, &digest)?;
            }
        }
        for digest in self.revisions_of(of)? {
            let _removing = self.linking.write();
            if !self.has_revision(of, &digest)? {
                self.unlink_manifest(of, &digest)?;
            }
        }
        for tag in self.names_in(&self.layout.tags(of))? {
            let tag = tag_locks.on(self, (of.clone(), tag));
            if tag.load()?.is_none() {
                tag.remove()?;
            }
        }
        Ok(())
    }
}

/// Blobs whose digests begin alike.
struct Shard {
    algorithm: Algorithm,
    path: PathBuf,
}

impl Core {
    fn shards(&self) -> Result<Vec<Shard>, StorageError> {
        let mut shards = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let path = self.layout.blobs().join(algorithm.as_str());
            let names: Vec<String> = self.names_in(&path)?;
            shards.extend(names.iter().map(|name| Shard {
                algorithm,
                path: path.join(name),
            }));
        }
        Ok(shards)
    }

    fn record_shard(&self, shard: &Shard) -> Result<(), StorageError> {
        let hexes: Vec<String> = self.names_in(&shard.path)?;
        let mut first_seen = Vec::new();
        for hex in hexes {
            let Ok(digest) = format!("{}:{hex}", shard.algorithm).parse::<Digest>() else {
                continue;
            };
            let path = self.layout.blob(&digest);
            if let Some(facts) = if_there("look at", &path, self.disk.facts(&path))? {
                self.record_presence(&digest, Stamp::of(&facts));
                if self.index.used(&digest).is_none() {
                    first_seen.push((digest, self.now()));
                }
            }
        }
        self.index.record_uses(&first_seen);
        Ok(())
    }

    /// Forgets blobs and manifests whose files are gone. The last digest looked at, or `None` at the end.
    fn forget_what_is_gone(&self, after: Option<&Digest>) -> Result<Option<Digest>, StorageError> {
        let page = self.index.blobs(after, PAGE);
        for (digest, _) in &page {
            let path = self.layout.blob(digest);
            let _removing = self.linking.write();
            if if_there("look at", &path, self.disk.facts(&path))?.is_none() {
                self.index.forget_blob(digest);
            }
        }
        Ok(page.last().map(|(digest, _)| *digest))
    }
}
