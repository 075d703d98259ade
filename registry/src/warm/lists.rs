//! The lists of images that are read: deployment manifests in files, and the artifact in the upstream. Each keeps its last good state,
//! over a restart too: a file that is written just now, or an artifact that was withdrawn, must not empty a site's cache.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::BytesMut;
use cistern_auth::WatchedFile;
use cistern_oci::{Digest, ManifestKind, ManifestLinks};
use cistern_storage::{Storage, StorageError};
use futures_util::StreamExt as _;

use super::content::{self, MOST_IMAGES};
use super::{Origin, WarmList};
use crate::repositories::Mirror;

/// So many layers of an artifact are read ...
const MOST_LAYERS: usize = 64;
/// ... and so many bytes of all of them.
const MOST_BYTES: u64 = 8 * 1024 * 1024;

/// A list that is read.
pub(super) struct List {
    pub(super) origin: Origin,
    /// What it is kept under.
    name: String,
    file: Option<Arc<WatchedFile>>,
    /// What was read last, good or not.
    seen: Option<Seen>,
    pub(super) images: Vec<String>,
    trouble: Option<String>,
}

/// What tells one state of a list from another.
#[derive(Clone)]
enum Seen {
    File(Arc<[u8]>),
    Artifact(Digest),
}

/// A list that was read.
pub(super) struct Read {
    seen: Option<Seen>,
    images: Result<Vec<String>, String>,
}

impl List {
    /// A deployment manifest in a file.
    pub(super) fn file(path: PathBuf) -> Self {
        Self {
            name: path.display().to_string(),
            file: Some(Arc::new(WatchedFile::new(path.clone()))),
            origin: Origin::Manifest { path },
            seen: None,
            images: Vec::new(),
            trouble: None,
        }
    }

    /// The artifact.
    pub(super) fn artifact(image: String) -> Self {
        Self {
            name: image.clone(),
            file: None,
            origin: Origin::Artifact { image },
            seen: None,
            images: Vec::new(),
            trouble: None,
        }
    }

    pub(super) fn is_broken(&self) -> bool {
        self.trouble.is_some()
    }

    pub(super) fn report(&self) -> WarmList {
        WarmList {
            origin: self.origin.clone(),
            images: self.images.len(),
            trouble: self.trouble.clone(),
        }
    }

    /// The file to read, if it is one, and what was read of it last.
    pub(super) fn to_read(&self) -> Option<FileToRead> {
        Some(FileToRead {
            file: Arc::clone(self.file.as_ref()?),
            name: self.name.clone(),
            seen: match &self.seen {
                Some(Seen::File(bytes)) => Some(Arc::clone(bytes)),
                Some(Seen::Artifact(_)) | None => None,
            },
        })
    }

    /// Whether this state of the artifact was read already.
    pub(super) fn has_read(&self, digest: &Digest) -> bool {
        matches!(&self.seen, Some(Seen::Artifact(seen)) if seen == digest) && self.trouble.is_none()
    }

    /// Takes over what was kept of an earlier run.
    pub(super) async fn restore(&mut self, storage: &Storage) {
        match storage.pins().list(&self.name).await {
            Ok(Some(images)) => self.images = images,
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(list = %self.name, %error, "what this list last named cannot be read");
            }
        }
    }

    /// Takes over what was read. The list to keep, if it has changed.
    pub(super) fn take(&mut self, read: Read) -> Option<(String, Vec<String>)> {
        if read.seen.is_some() {
            self.seen = read.seen;
        }
        match read.images {
            Ok(images) => {
                let was_broken = self.trouble.take().is_some();
                let has_changed = images != self.images;
                if was_broken || has_changed {
                    tracing::info!(list = %self.origin, images = images.len(), "list of images read");
                }
                self.images = images;
                has_changed.then(|| (self.name.clone(), self.images.clone()))
            }
            Err(why) => {
                self.fail(why);
                None
            }
        }
    }

    /// It cannot be read; told once for each reason.
    pub(super) fn fail(&mut self, why: String) {
        if self.trouble.as_ref() != Some(&why) {
            tracing::warn!(list = %self.origin, images = self.images.len(), reason = %why, "list of images cannot be used: its last good state holds");
        }
        self.trouble = Some(why);
    }
}

/// A file that may have changed.
pub(super) struct FileToRead {
    file: Arc<WatchedFile>,
    name: String,
    seen: Option<Arc<[u8]>>,
}

impl FileToRead {
    /// Reads it; none if it has not changed.
    pub(super) async fn read(&self) -> Option<Read> {
        let bytes = match self.file.current().await {
            Ok(bytes) => bytes,
            Err(error) => {
                return Some(Read {
                    seen: None,
                    images: Err(error.to_string()),
                });
            }
        };
        if self
            .seen
            .as_ref()
            .is_some_and(|seen| Arc::ptr_eq(seen, &bytes))
        {
            return None;
        }
        let (name, text) = (self.name.clone(), Arc::clone(&bytes));
        let parsed = tokio::task::spawn_blocking(move || content::images(&name, &text)).await;
        Some(Read {
            seen: Some(Seen::File(bytes)),
            images: parsed.unwrap_or_else(|error| Err(error.to_string())),
        })
    }
}

/// Reads what the artifact lists, all of which is here: a list in each layer.
pub(super) async fn read_artifact(storage: &Storage, mirror: &Mirror, digest: &Digest) -> Read {
    Read {
        seen: Some(Seen::Artifact(*digest)),
        images: layers(storage, mirror, digest).await,
    }
}

async fn layers(
    storage: &Storage,
    mirror: &Mirror,
    digest: &Digest,
) -> Result<Vec<String>, String> {
    let told = |error: StorageError| error.to_string();
    let repositories = storage.repositories();
    let manifest = repositories.manifest(&mirror.name, digest).await;
    let manifest = manifest.map_err(told)?.ok_or("it is not here")?;
    let links = ManifestLinks::read(&manifest.bytes).map_err(|error| error.to_string())?;
    if links.kind == ManifestKind::Index {
        return Err("it is a list of images for several platforms, not an artifact".to_owned());
    }
    let size: u64 = links
        .layers
        .iter()
        .map(|layer| layer.size)
        .fold(0, u64::saturating_add);
    if links.layers.len() > MOST_LAYERS || size > MOST_BYTES {
        return Err(format!(
            "it has {} layers of {size} bytes, and more than {MOST_LAYERS} or {MOST_BYTES} bytes are not read",
            links.layers.len()
        ));
    }
    if links.layers.is_empty() {
        return Err("it has no layers".to_owned());
    }
    let mut images: Vec<String> = Vec::new();
    for (number, layer) in links.layers.iter().enumerate() {
        let bytes = whole(storage, &layer.digest).await?;
        let name = format!("layer {}", number + 1);
        let (text, of) = (bytes.clone(), name.clone());
        let parsed = tokio::task::spawn_blocking(move || content::images(&of, &text)).await;
        let named = parsed.unwrap_or_else(|error| Err(error.to_string()));
        for image in named.map_err(|why| format!("{name}: {why}"))? {
            if !images.contains(&image) {
                images.push(image);
            }
        }
        if images.len() > MOST_IMAGES {
            return Err(format!("it names more than {MOST_IMAGES} images"));
        }
    }
    Ok(images)
}

async fn whole(storage: &Storage, digest: &Digest) -> Result<bytes::Bytes, String> {
    let opened = storage.blobs().open(digest).await;
    let blob = opened
        .map_err(|error| error.to_string())?
        .ok_or("a layer is not here")?;
    let mut body = blob.read_all();
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| error.to_string())?;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}
