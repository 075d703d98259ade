//! Where everything lives: the only file that turns a digest, a name or a tag into a path. Touches no disk.
//!
//! Below `docker/registry/v2` the layout is Distribution's own. What Distribution does not know lives in `cistern/`:
//!
//! ```text
//! cistern/lock                                     held by the one writing process
//! cistern/format                                   which index format `index` has
//! cistern/index/                                   derived facts; may be deleted while nothing runs
//! cistern/partials/<alg>-<hex>.part                the bytes so far of a blob that is being downloaded, or was cut off
//! cistern/partials/<alg>-<hex>.about               how many of them can be trusted
//! cistern/partials/<alg>-<hex>.<run>.<n>.new       a file being written by this run; gone with it
//! cistern/uploads/<id>/data                        the bytes so far of a push that is under way
//! cistern/uploads/<id>/about                       whose push it is, and when it began
//! cistern/quarantine/<alg>-<hex>.<n>               blobs whose bytes proved damaged, a bounded number
//! cistern/pins/<hex>.pin                          an image that must stay
//! cistern/pins/<hex>.list                         the images that a list last named
//! cistern/revisions/<name>/_revisions/<alg>/<hex>  media types that the manifest's own bytes do not tell
//! cistern/listings/<name>/_listings/<kind>         what upstreams listed
//! cistern/scheduler-state.json                     Distribution's expiry plan, moved aside
//! ```

use std::path::{Path, PathBuf};

use cistern_oci::{Digest, RepositoryName, Tag, UploadId};

/// How the temporary file of a blob in the making ends.
const NEW: &str = ".new";
/// How the bytes of a partial end ...
const PART: &str = ".part";
/// ... and what is said about them.
const ABOUT: &str = ".about";

/// The paths of one store.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    root: PathBuf,
    registry: PathBuf,
    own: PathBuf,
}

impl Layout {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            registry: root.join("docker/registry/v2"),
            own: root.join("cistern"),
        }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    // === Distribution's ===

    pub(crate) fn blobs(&self) -> PathBuf {
        self.registry.join("blobs")
    }

    /// The directory of one blob; it holds only `data`.
    pub(crate) fn blob_directory(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        let mut path = self.blobs();
        path.push(digest.algorithm().as_str());
        path.push(hex.get(..2).unwrap_or_default());
        path.push(hex);
        path
    }

    pub(crate) fn blob(&self, digest: &Digest) -> PathBuf {
        let mut path = self.blob_directory(digest);
        path.push("data");
        path
    }

    pub(crate) fn repositories(&self) -> PathBuf {
        self.registry.join("repositories")
    }

    pub(crate) fn repository(&self, name: &RepositoryName) -> PathBuf {
        let mut path = self.repositories();
        path.push(name.as_str());
        path
    }

    /// Distribution takes a directory for a repository only if this one is in it.
    pub(crate) fn layers(&self, name: &RepositoryName) -> PathBuf {
        self.repository(name).join("_layers")
    }

    pub(crate) fn layer_link(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        link(self.layers(name), digest)
    }

    pub(crate) fn revisions(&self, name: &RepositoryName) -> PathBuf {
        self.repository(name).join("_manifests/revisions")
    }

    pub(crate) fn revision_link(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        link(self.revisions(name), digest)
    }

    pub(crate) fn tags(&self, name: &RepositoryName) -> PathBuf {
        self.repository(name).join("_manifests/tags")
    }

    pub(crate) fn tag(&self, name: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tags(name).join(tag.as_str())
    }

    pub(crate) fn tag_link(&self, name: &RepositoryName, tag: &Tag) -> PathBuf {
        self.tag(name, tag).join("current/link")
    }

    /// The link that remembers that the tag once pointed at this digest.
    pub(crate) fn tag_index_link(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        digest: &Digest,
    ) -> PathBuf {
        link(self.tag(name, tag).join("index"), digest)
    }

    pub(crate) fn scheduler_state(&self) -> PathBuf {
        self.root.join("scheduler-state.json")
    }

    // === our own ===

    pub(crate) fn own(&self) -> &Path {
        &self.own
    }

    pub(crate) fn scheduler_state_aside(&self) -> PathBuf {
        self.own.join("scheduler-state.json")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.own.join("lock")
    }

    pub(crate) fn format(&self) -> PathBuf {
        self.own.join("format")
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.own.join("index")
    }

    /// Where an index goes that cannot be used.
    pub(crate) fn index_aside(&self) -> PathBuf {
        self.own.join("index.aside")
    }

    pub(crate) fn partials(&self) -> PathBuf {
        self.own.join("partials")
    }

    /// The bytes so far of a blob.
    pub(crate) fn partial(&self, of: &Digest) -> PathBuf {
        self.partials().join(format!("{}{PART}", flat(of)))
    }

    /// What is said about them.
    pub(crate) fn partial_about(&self, of: &Digest) -> PathBuf {
        self.partials().join(format!("{}{ABOUT}", flat(of)))
    }

    /// Of which blob a name in [`Layout::partials`] is a partial or what is said about one.
    pub(crate) fn partial_of(name: &str) -> Option<Digest> {
        let stem = name.strip_suffix(PART).or(name.strip_suffix(ABOUT))?;
        stem.replacen('-', ":", 1).parse().ok()
    }

    /// A file in the making that only this run knows of.
    pub(crate) fn new_file(&self, of: &str, run: &str, number: u64) -> PathBuf {
        self.partials().join(format!("{of}.{run}.{number}{NEW}"))
    }

    /// Whether a name in [`Layout::partials`] is a file in the making that another run left behind.
    pub(crate) fn is_leftover(name: &str, run: &str) -> bool {
        name.strip_suffix(NEW)
            .and_then(|rest| rest.rsplit_once('.'))
            .and_then(|(rest, _)| rest.rsplit_once('.'))
            .is_some_and(|(_, of_run)| of_run != run)
    }

    pub(crate) fn uploads(&self) -> PathBuf {
        self.own.join("uploads")
    }

    /// The directory of one push.
    pub(crate) fn upload(&self, id: &UploadId) -> PathBuf {
        self.uploads().join(id.as_str())
    }

    pub(crate) fn upload_data(&self, id: &UploadId) -> PathBuf {
        self.upload(id).join("data")
    }

    pub(crate) fn upload_about(&self, id: &UploadId) -> PathBuf {
        self.upload(id).join("about")
    }

    pub(crate) fn quarantine(&self) -> PathBuf {
        self.own.join("quarantine")
    }

    pub(crate) fn pins(&self) -> PathBuf {
        self.own.join("pins")
    }

    /// A pin or a list, by the name of its file.
    pub(crate) fn pin(&self, name: &str) -> PathBuf {
        self.pins().join(name)
    }

    /// The directory of the media types of a repository.
    pub(crate) fn own_revisions(&self, name: &RepositoryName) -> PathBuf {
        self.own
            .join("revisions")
            .join(name.as_str())
            .join("_revisions")
    }

    pub(crate) fn own_revision(&self, name: &RepositoryName, digest: &Digest) -> PathBuf {
        let mut path = self.own_revisions(name);
        path.push(digest.algorithm().as_str());
        path.push(digest.hex());
        path
    }

    pub(crate) fn listing(&self, name: &RepositoryName, kind: &str) -> PathBuf {
        let mut path = self.own.join("listings");
        path.push(name.as_str());
        path.push("_listings");
        path.push(kind);
        path
    }
}

/// A digest as part of one file name.
pub(crate) fn flat(digest: &Digest) -> String {
    format!("{}-{}", digest.algorithm(), digest.hex())
}

fn link(mut path: PathBuf, digest: &Digest) -> PathBuf {
    path.push(digest.algorithm().as_str());
    path.push(digest.hex());
    path.push("link");
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_distributions_own() {
        let layout = Layout::new(Path::new("/s"));
        let name: RepositoryName = "library/nginx".parse().unwrap();
        let tag: Tag = "1.27".parse().unwrap();
        let hex = "ab".repeat(32);
        let digest: Digest = format!("sha256:{hex}").parse().unwrap();
        let text = |path: PathBuf| path.to_str().unwrap().to_owned();
        let v2 = "/s/docker/registry/v2";
        let repository = format!("{v2}/repositories/library/nginx");
        assert_eq!(
            text(layout.blob(&digest)),
            format!("{v2}/blobs/sha256/ab/{hex}/data")
        );
        assert_eq!(
            text(layout.layer_link(&name, &digest)),
            format!("{repository}/_layers/sha256/{hex}/link")
        );
        assert_eq!(
            text(layout.revision_link(&name, &digest)),
            format!("{repository}/_manifests/revisions/sha256/{hex}/link")
        );
        assert_eq!(
            text(layout.tag_link(&name, &tag)),
            format!("{repository}/_manifests/tags/1.27/current/link")
        );
        assert_eq!(
            text(layout.tag_index_link(&name, &tag, &digest)),
            format!("{repository}/_manifests/tags/1.27/index/sha256/{hex}/link")
        );
    }

    #[test]
    fn only_files_in_the_making_of_another_run_are_leftovers() {
        let layout = Layout::new(Path::new("/s"));
        let path = layout.new_file("sha256-ab", "7f-1", 12);
        let name = path.file_name().unwrap().to_str().unwrap();
        assert!(!Layout::is_leftover(name, "7f-1"));
        assert!(Layout::is_leftover(name, "7f-2"));
        assert!(!Layout::is_leftover("sha256-ab.part", "7f-2"));
        assert!(!Layout::is_leftover("notes.new", "7f-2"));
    }

    #[test]
    fn the_two_files_of_a_partial_name_its_blob_and_nothing_else_does() {
        let layout = Layout::new(Path::new("/s"));
        let digest: Digest = format!("sha512:{}", "ab".repeat(64)).parse().unwrap();
        let of = |path: PathBuf| Layout::partial_of(path.file_name()?.to_str()?);
        assert_eq!(of(layout.partial(&digest)), Some(digest));
        assert_eq!(of(layout.partial_about(&digest)), Some(digest));
        assert_eq!(of(layout.new_file(&flat(&digest), "7f-1", 1)), None);
        assert_eq!(Layout::partial_of("sha256-ab.part"), None);
        assert_eq!(
            Layout::partial_of(&format!("{}.part.json", flat(&digest))),
            None
        );
    }
}
