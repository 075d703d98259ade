//! A folder in Distribution's layout: written without any registry, looked into after one has run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::images::{Image, Item};

/// A store folder, removed when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Store {
    folder: Arc<TempDir>,
}

impl Default for Store {
    fn default() -> Self {
        Self::new()
    }
}

impl Store {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            folder: Arc::new(
                tempfile::Builder::new()
                    .prefix("cistern-store-")
                    .tempdir()
                    .unwrap(),
            ),
        }
    }

    /// The folder: a registry's `rootdirectory`.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn base(&self) -> PathBuf {
        self.path().join("docker/registry/v2")
    }

    /// The file that holds the bytes of `digest`.
    pub fn blob_file(&self, digest: &str) -> PathBuf {
        let (algorithm, hex) = digest.split_once(':').unwrap();
        self.base()
            .join("blobs")
            .join(algorithm)
            .join(&hex[..2])
            .join(hex)
            .join("data")
    }

    /// The stored bytes of `digest`, if there are any.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        fs::read(self.blob_file(digest)).ok()
    }

    fn repository(&self, name: &str) -> PathBuf {
        self.base().join("repositories").join(name)
    }

    /// The link file that says that a repository holds this blob.
    pub fn layer_link(&self, repository: &str, digest: &str) -> PathBuf {
        self.repository(repository)
            .join("_layers")
            .join(digest.replace(':', "/"))
            .join("link")
    }

    /// The link file that says that a repository holds this manifest.
    pub fn revision_link(&self, repository: &str, digest: &str) -> PathBuf {
        self.repository(repository)
            .join("_manifests/revisions")
            .join(digest.replace(':', "/"))
            .join("link")
    }

    /// The link file that says where a tag points.
    pub fn tag_link(&self, repository: &str, tag: &str) -> PathBuf {
        self.repository(repository)
            .join("_manifests/tags")
            .join(tag)
            .join("current/link")
    }

    /// The digest a tag points to, if the tag is there.
    pub fn tag(&self, repository: &str, tag: &str) -> Option<String> {
        fs::read_to_string(self.tag_link(repository, tag)).ok()
    }

    /// Puts an image into a repository, under `tags`, as a push to Distribution would have.
    pub fn put(&self, image: &Image, repository: &str, tags: &[&str]) {
        for blob in &image.blobs {
            self.put_bytes(blob);
            write(
                &self.layer_link(repository, &blob.digest),
                blob.digest.as_bytes(),
            );
        }
        for manifest in &image.manifests {
            self.put_bytes(manifest);
            write(
                &self.revision_link(repository, &manifest.digest),
                manifest.digest.as_bytes(),
            );
        }
        fs::create_dir_all(self.repository(repository).join("_layers")).unwrap();
        for tag in tags {
            self.set_tag(repository, tag, image.digest());
        }
    }

    /// Points a tag at a manifest.
    pub fn set_tag(&self, repository: &str, tag: &str, digest: &str) {
        write(&self.tag_link(repository, tag), digest.as_bytes());
        let history = self
            .repository(repository)
            .join("_manifests/tags")
            .join(tag)
            .join("index");
        write(
            &history.join(digest.replace(':', "/")).join("link"),
            digest.as_bytes(),
        );
    }

    /// Writes the bytes of one blob or manifest, without any link.
    pub fn put_bytes(&self, item: &Item) {
        write(&self.blob_file(&item.digest), &item.bytes);
    }

    /// All files below, relative, sorted, with their sizes: what is there, and that nothing else is.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut found = Vec::new();
        collect(self.path(), self.path(), &mut found);
        found.sort();
        found
    }

    /// The digests whose bytes are here.
    pub fn digests(&self) -> Vec<String> {
        let blobs = Path::new("docker/registry/v2/blobs");
        let digest = |file: &Path| {
            let parts: Vec<_> = file
                .strip_prefix(blobs)
                .ok()?
                .iter()
                .map(|part| part.to_string_lossy())
                .collect();
            match &parts[..] {
                [algorithm, _, hex, file] if file == "data" => Some(format!("{algorithm}:{hex}")),
                _ => None,
            }
        };
        self.files()
            .iter()
            .filter_map(|(file, _)| digest(file))
            .collect()
    }

    /// Whether `scheduler-state.json` holds entries: it is there, and empty, from the moment Distribution begins to write it.
    pub fn has_expiry_dates(&self) -> bool {
        let text = fs::read_to_string(self.path().join("scheduler-state.json"));
        let state = text.map(|text| serde_json::from_str::<serde_json::Value>(&text));
        matches!(state, Ok(Ok(serde_json::Value::Object(entries))) if !entries.is_empty())
    }

    /// Sets every date in `scheduler-state.json`, Distribution's memory of when each cached thing is to be thrown
    /// away, into the past. Says how many entries it has.
    pub fn expire_everything(&self) -> usize {
        let file = self.path().join("scheduler-state.json");
        let Ok(text) = fs::read_to_string(&file) else {
            return 0;
        };
        let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
        let entries = state.as_object_mut().unwrap();
        for entry in entries.values_mut() {
            entry["ExpiryData"] = serde_json::json!("2020-01-01T00:00:00Z");
        }
        let count = entries.len();
        fs::write(&file, state.to_string()).unwrap();
        count
    }
}

fn write(file: &Path, bytes: &[u8]) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<(PathBuf, u64)>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(root, &path, found);
        } else {
            let size = entry.metadata().map_or(0, |metadata| metadata.len());
            found.push((path.strip_prefix(root).unwrap().to_owned(), size));
        }
    }
}
