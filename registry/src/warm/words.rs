//! What this room says of images that are wanted, and why it refuses.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use cistern_oci::{Digest, Reference, RepositoryName};
use cistern_storage::StorageError;

use crate::pull::Closure;

/// Who wants an image to be here.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// `edge.bootstrap`.
    Bootstrap,
    /// `warm.images`.
    Configured,
    /// A deployment manifest of `warm.manifests`.
    Manifest {
        /// The file.
        path: PathBuf,
    },
    /// `warm.artifact`: it names the image, or is the image.
    Artifact {
        /// The artifact, as it was written.
        image: String,
    },
    /// A pin that somebody set.
    Pinned,
}

/// An image that is wanted.
#[derive(Clone, Debug)]
pub struct WarmImage {
    /// Its name as it was first written.
    pub image: String,
    /// The repository in the store; none if it is not mirrored here, or the name is none.
    pub repository: Option<RepositoryName>,
    /// The tag or digest; none if the name is none.
    pub reference: Option<Reference>,
    /// Who wants it; nobody in particular, if it was asked for once.
    pub origins: Vec<Origin>,
    /// Whether it is kept whatever happens: it is never dropped for want of use, nor because its upstream has no such tag any more.
    pub is_pinned: bool,
    /// What the tag means here now.
    pub digest: Option<Digest>,
    /// What that consists of, for the wanted platforms. None if it is not known here.
    pub closure: Option<Closure>,
    /// When it was last asked for by a caller, as far as that is known.
    pub last_used: Option<SystemTime>,
    /// How far it is.
    pub state: WarmState,
    /// What is wrong with it, in words for an operator; there may be some although it is ready.
    pub trouble: Option<String>,
    /// In how long it is looked after again; zero if it is its turn.
    pub next_try: Option<Duration>,
}

/// How far an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmState {
    /// It is not all here, and its turn is to come: others go first, the link is down, or it is not the time for it.
    Waiting,
    /// It is being fetched.
    Fetching {
        /// Bytes of it that are here.
        fetched: u64,
        /// Bytes of all of it; none while that is not known.
        of: Option<u64>,
    },
    /// All of it is here.
    Ready,
    /// All of it is here; the tag means something new upstream, which is fetched before the tag moves (`warm.holdback`).
    HeldBack {
        /// What the tag means upstream.
        to: Digest,
    },
    /// It is not all here, and the last try failed.
    Failed,
    /// Its registry is not mirrored here, or its name is none.
    NotMirrored,
}

/// A list of images that this room reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarmList {
    /// Where it is from: [`Origin::Manifest`] or [`Origin::Artifact`].
    pub origin: Origin,
    /// How many images it names.
    pub images: usize,
    /// Why it could not be read when it was last tried; then its last good state holds.
    pub trouble: Option<String>,
}

/// How the bootstrap set is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// Whether readiness depends on it (`edge.requirebootstrap`).
    pub is_required: bool,
    /// Those of its images that are not all here, as they were written.
    pub missing: Vec<String>,
}

impl Bootstrap {
    /// Whether all of it is here.
    pub fn is_ready(&self) -> bool {
        self.missing.is_empty()
    }
}

/// What became of a wish to unpin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpinned {
    /// Whether there was a pin.
    pub was_pinned: bool,
    /// Who still wants the image, so that it is kept all the same.
    pub still_wanted: Vec<Origin>,
}

/// What a purge has removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// Manifests.
    pub manifests: u64,
    /// Blobs, the bytes of manifests not counted.
    pub blobs: u64,
    /// Bytes freed.
    pub bytes: u64,
}

/// Why a wish is not granted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum WarmRefused {
    /// Its registry is not mirrored here, or the text names no image.
    #[error("{0}")]
    NotMirrored(String),
    /// It lives here and nowhere else.
    #[error("{0} is hosted here: it has no other home, and is deleted through the registry itself")]
    Hosted(RepositoryName),
    /// It is wanted.
    #[error("{image} is pinned ({}): unpin it, or take it off that list, first", written(.origins))]
    Pinned {
        /// The image as it was asked for.
        image: String,
        /// Who wants it.
        origins: Vec<Origin>,
    },
    /// There is no such image here.
    #[error("{0} is not here")]
    Unknown(String),
    /// As many images as are remembered are asked for already.
    #[error(
        "so many images have been asked for that no more are remembered: wait until some are here"
    )]
    TooMany,
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

fn written(origins: &[Origin]) -> String {
    let words: Vec<String> = origins.iter().map(ToString::to_string).collect();
    words.join(", ")
}

impl std::fmt::Display for Origin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bootstrap => out.write_str("edge.bootstrap"),
            Self::Configured => out.write_str("warm.images"),
            Self::Manifest { path } => write!(out, "manifest {}", path.display()),
            Self::Artifact { image } => write!(out, "artifact {image}"),
            Self::Pinned => out.write_str("pin"),
        }
    }
}

impl WarmState {
    /// One lower-case word, for labels, logs and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Fetching { .. } => "fetching",
            Self::Ready => "ready",
            Self::HeldBack { .. } => "held-back",
            Self::Failed => "failed",
            Self::NotMirrored => "not-mirrored",
        }
    }
}
