//! The way through an image: from the root to the manifests below it, breadth first, each looked at once. Bounded: whoever pushes
//! an image decides what is in its list, and a list may name ten thousand others.

use std::collections::{HashSet, VecDeque};

use cistern_oci::{Descriptor, Digest, Manifest, ManifestKind, ManifestLinks, Platform};
use cistern_storage::StorageError;

use super::super::referrers::Referrers;
use super::super::status::DownloadReport;
use super::super::{Parts, Platforms, PullError};
use super::{Closure, ClosureBlob, ClosureManifest, ManifestRole};
use crate::repositories::Repository;

use std::sync::Arc;

/// Lists inside lists are followed so deep, the root not counted; nobody builds deeper ones.
const DEEPEST: u32 = 3;
/// So many manifests of one image are looked at.
const MOST_MANIFESTS: usize = 4096;
/// So many blobs of one image are looked at.
const MOST_BLOBS: usize = 20_000;
/// A longer manifest is read off the reactor.
const LONG: usize = 64 * 1024;

/// One way through an image.
pub(super) struct Walk<'a> {
    parts: &'a Arc<Parts>,
    repository: &'a Repository,
    platforms: &'a Platforms,
    ahead: VecDeque<Ahead>,
    seen: HashSet<Digest>,
    blobs: usize,
    found: Closure,
}

/// A manifest that is still to be looked at.
struct Ahead {
    digest: Digest,
    size: Option<u64>,
    platform: Option<Platform>,
    role: ManifestRole,
    depth: u32,
}

impl<'a> Walk<'a> {
    pub(super) fn new(
        parts: &'a Arc<Parts>,
        repository: &'a Repository,
        platforms: &'a Platforms,
    ) -> Self {
        Self {
            parts,
            repository,
            platforms,
            ahead: VecDeque::new(),
            seen: HashSet::new(),
            blobs: 0,
            found: Closure::default(),
        }
    }

    pub(super) async fn from(mut self, root: Digest) -> Result<Closure, PullError> {
        self.meet(Ahead {
            digest: root,
            size: None,
            platform: None,
            role: ManifestRole::Image,
            depth: 0,
        });
        while let Some(next) = self.ahead.pop_front() {
            // Whatever is in memory is found without waiting, and then nobody else would have a turn.
            tokio::task::consume_budget().await;
            self.look_at(next).await?;
        }
        Ok(self.found)
    }

    /// Takes note of a manifest, once.
    fn meet(&mut self, manifest: Ahead) {
        if !self.seen.insert(manifest.digest) {
            return;
        }
        if self.seen.len() > MOST_MANIFESTS {
            self.found.is_cut = true;
            return;
        }
        self.ahead.push_back(manifest);
    }

    async fn look_at(&mut self, next: Ahead) -> Result<(), PullError> {
        let name = self.repository.name();
        let repositories = self.parts.storage.repositories();
        let stored = repositories.manifest(name, &next.digest).await?;
        let is_here = stored.is_some();
        let length = stored
            .as_ref()
            .and_then(|stored| u64::try_from(stored.bytes.len()).ok());
        let links = match stored {
            Some(stored) => links(stored).await,
            None => None,
        };
        let is_index = links
            .as_ref()
            .is_some_and(|links| links.kind == ManifestKind::Index);
        let role = match next.role {
            ManifestRole::Image if is_index => ManifestRole::Index,
            role => role,
        };
        if next.depth == 0 {
            self.found.is_index = is_index;
        }
        let place = self.found.manifests.len();
        self.found.manifests.push(ClosureManifest {
            digest: next.digest,
            role,
            platform: next.platform.clone(),
            size: length.or(next.size),
            is_here,
            is_broken: is_here && links.is_none(),
            blobs: Vec::new(),
        });
        if next.depth == 0 || role == ManifestRole::Image {
            self.meet_referrers(&next).await?;
        }
        let Some(links) = links else {
            return Ok(());
        };
        if is_index {
            self.meet_children(&next, &links);
            return Ok(());
        }
        let blobs = self.blobs_of(&links).await?;
        if let Some(manifest) = self.found.manifests.get_mut(place) {
            manifest.blobs = blobs;
        }
        Ok(())
    }

    fn meet_children(&mut self, of: &Ahead, links: &ManifestLinks) {
        if of.depth >= DEEPEST {
            self.found.is_cut |= !links.children.is_empty();
            return;
        }
        let (lists, others): (Vec<_>, Vec<_>) = links
            .children
            .iter()
            .partition(|child| child.media_type.is_index());
        let (attestations, images): (Vec<_>, Vec<_>) =
            others.into_iter().partition(|child| is_attestation(child));
        let chosen = match of.role {
            // What a signature is packed in is wanted whole.
            ManifestRole::Referrer => Platforms::All.choose(&images),
            _ => self.platforms.choose(&images),
        };
        if lists.is_empty() {
            self.found.absent.extend(chosen.absent);
        }
        let wanted: HashSet<Digest> = chosen.entries.iter().map(|child| child.digest).collect();
        let is_wanted = |child: &&&Descriptor| match (&child.attests, self.platforms) {
            (_, Platforms::All) => true,
            (Some(image), Platforms::These(_)) => wanted.contains(image),
            (None, Platforms::These(_)) => false,
        };
        let attestations: Vec<_> = attestations.iter().filter(is_wanted).copied().collect();
        for child in lists.into_iter().chain(chosen.entries) {
            self.meet_child(of, child, of.role);
        }
        for child in attestations {
            self.meet_child(of, child, ManifestRole::Attestation);
        }
    }

    fn meet_child(&mut self, of: &Ahead, child: &Descriptor, role: ManifestRole) {
        self.meet(Ahead {
            digest: child.digest,
            size: Some(child.size),
            platform: child.platform.clone(),
            role,
            depth: of.depth + 1,
        });
    }

    async fn meet_referrers(&mut self, subject: &Ahead) -> Result<(), PullError> {
        let referrers = Referrers { parts: self.parts };
        let known = referrers.known_here(self.repository, &subject.digest);
        for (digest, size) in known.await? {
            self.meet(Ahead {
                digest,
                size,
                platform: None,
                role: ManifestRole::Referrer,
                depth: subject.depth + 1,
            });
        }
        Ok(())
    }

    async fn blobs_of(&mut self, links: &ManifestLinks) -> Result<Vec<ClosureBlob>, StorageError> {
        let mut met = HashSet::new();
        let config = links.config.as_ref().map(|config| config.digest);
        let mut blobs = Vec::new();
        for named in links.blobs() {
            if !met.insert(named.digest) {
                continue;
            }
            if self.blobs >= MOST_BLOBS {
                self.found.is_cut = true;
                break;
            }
            self.blobs += 1;
            tokio::task::consume_budget().await;
            blobs.push(self.blob(named, config == Some(named.digest)).await?);
        }
        Ok(blobs)
    }

    async fn blob(&self, named: &Descriptor, is_config: bool) -> Result<ClosureBlob, StorageError> {
        let blobs = self.parts.storage.blobs();
        let digest = named.digest;
        // In this order: a download that ends meanwhile has its blob in the store before it is no longer running.
        let running = self.parts.downloads.running(&digest);
        // One that has ended is in the list of those that run for a moment more.
        let is_here = blobs.size(&digest).await?.is_some();
        let running = running.filter(|_| !is_here);
        let running = running.map(|running| DownloadReport::of(digest, &running));
        let partial = match &running {
            Some(running) => running.written,
            None if is_here => 0,
            None => {
                let partial = blobs.partial(&digest).await?;
                partial.map_or(0, |partial| partial.length)
            }
        };
        Ok(ClosureBlob {
            digest,
            size: named.size,
            media_type: named.media_type.clone(),
            is_config,
            is_here,
            partial,
            is_foreign: is_foreign(named),
            running,
        })
    }
}

/// What a manifest points to; nothing, if it cannot be read.
async fn links(manifest: Manifest) -> Option<ManifestLinks> {
    if manifest.bytes.len() <= LONG {
        return ManifestLinks::read(&manifest.bytes).ok();
    }
    let reading = tokio::task::spawn_blocking(move || ManifestLinks::read(&manifest.bytes).ok());
    reading.await.ok().flatten()
}

/// BuildKit lists attestations for a platform that no machine has, and says in annotations what they are of.
fn is_attestation(child: &Descriptor) -> bool {
    let is_for_none =
        |platform: &Platform| platform.os == "unknown" && platform.architecture == "unknown";
    child.attests.is_some() || child.platform.as_ref().is_some_and(is_for_none)
}

/// Whether this is a layer that is to be fetched elsewhere (image-spec, "Non-Distributable Layers"; Docker's foreign layers).
fn is_foreign(named: &Descriptor) -> bool {
    let kind = named.media_type.as_str();
    let must_not = kind.contains(".nondistributable.") || kind.contains(".foreign.");
    must_not && !named.urls.is_empty()
}
