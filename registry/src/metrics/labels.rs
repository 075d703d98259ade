//! The closed sets that metrics are split by. Each value has one text, which is API: dashboards name it.

use http::StatusCode;

use crate::pull::{LinkState, Served};
use crate::upstream::Priority;

/// A closed set of label values. `ALL[i].index() == i` for every value.
pub trait Label: Copy + std::fmt::Debug + Send + Sync + 'static {
    /// Every value, in the order of [`Label::index`].
    const ALL: &'static [Self];

    /// Where the value stands in [`Label::ALL`].
    fn index(self) -> usize;

    /// The text in the metrics page and in the log.
    fn text(self) -> &'static str;
}

/// Declares an enum whose variants are label values, each with its text.
macro_rules! labels {
    ($($(#[$about:meta])+ pub enum $set:ident { $($(#[$help:meta])+ $value:ident = $text:literal,)+ })+) => {$(
        $(#[$about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $set { $($(#[$help])+ $value,)+ }

        impl Label for $set {
            const ALL: &'static [Self] = &[$(Self::$value),+];

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self { $(Self::$value => $text,)+ }
            }
        }
    )+};
}

labels! {
    /// How far an image is that is wanted ahead.
    pub enum WarmLabel {
        /// Its turn is to come.
        Waiting = "waiting",
        /// It is being fetched.
        Fetching = "fetching",
        /// All of it is here.
        Ready = "ready",
        /// All of it is here, and what its tag will mean is fetched.
        HeldBack = "held_back",
        /// It is not all here, and the last try failed.
        Failed = "failed",
        /// Its registry is not mirrored here.
        NotMirrored = "not_mirrored",
    }

    /// What a request asked for.
    pub enum Action {
        /// `GET` or `HEAD /v2/`, which clients use to see whether this is a registry.
        Ping = "ping",
        /// The bytes of a blob.
        BlobGet = "blob_get",
        /// Whether there is a blob, and its size.
        BlobHead = "blob_head",
        /// The bytes of a manifest.
        ManifestGet = "manifest_get",
        /// Whether there is a manifest, and its digest.
        ManifestHead = "manifest_head",
        /// A list of tags.
        Tags = "tags",
        /// The list of repositories.
        Catalog = "catalog",
        /// What refers to a manifest.
        Referrers = "referrers",
        /// A request that would change something.
        Write = "write",
        /// Health, readiness, metrics and the page at `/`.
        Admin = "admin",
        /// A path or method that names nothing.
        Other = "other",
    }

    /// The status of an answer; one that has no value of its own is `other`.
    pub enum StatusLabel {
        /// 200
        Ok = "200",
        /// 201
        Created = "201",
        /// 202
        Accepted = "202",
        /// 204
        NoContent = "204",
        /// 206
        PartialContent = "206",
        /// 304
        NotModified = "304",
        /// 400
        BadRequest = "400",
        /// 401
        Unauthorized = "401",
        /// 403
        Forbidden = "403",
        /// 404
        NotFound = "404",
        /// 405
        MethodNotAllowed = "405",
        /// 413
        PayloadTooLarge = "413",
        /// 416
        RangeNotSatisfiable = "416",
        /// 500
        InternalServerError = "500",
        /// 503
        ServiceUnavailable = "503",
        /// 507
        InsufficientStorage = "507",
        /// Any other.
        Other = "other",
    }

    /// Why a body did not reach its end.
    pub enum Unfinished {
        /// The caller went away, or the connection was lost.
        Cancelled = "cancelled",
        /// The bytes could not be had; the connection was cut.
        Error = "error",
    }

    /// What was to be written to a hosted repository.
    pub enum Written {
        /// A blob whose bytes come.
        Blob = "blob",
        /// A blob that is here already.
        Mount = "mount",
        /// A manifest, with its tags.
        Manifest = "manifest",
        /// Something to be removed: a tag, a manifest or a blob.
        Delete = "delete",
    }

    /// What became of a write to a hosted repository.
    pub enum WriteOutcome {
        /// It is durable.
        Done = "done",
        /// It was wrong, not allowed, or about something that is not here.
        Refused = "refused",
        /// The body did not come to its end.
        Broken = "broken",
        /// The store could not take it.
        Storage = "storage",
    }

    /// How a download from an upstream ended.
    pub enum DownloadOutcome {
        /// Verified and kept.
        Complete = "complete",
        /// The bytes did not match the digest or the length.
        Mismatch = "mismatch",
        /// The upstream, or the way to it, failed.
        Upstream = "upstream",
        /// The store could not take it.
        Storage = "storage",
        /// It stopped for now: what came is kept, and the next request goes on.
        Suspended = "suspended",
    }

    /// What a download went on after.
    pub enum ResumedAfter {
        /// The connection closed or broke in the middle.
        Cut = "cut",
        /// Nothing came for too long.
        Silence = "silence",
        /// An earlier download had left a part of it.
        Partial = "partial",
    }

    /// Why a blob was streamed and not kept.
    pub enum PassedThrough {
        /// The file system is below the reserve, or full.
        Reserve = "reserve",
        /// The store is read-only.
        ReadOnly = "readonly",
        /// A range far ahead of a running download.
        FarRange = "far_range",
    }

    /// What an upstream was asked for.
    pub enum UpstreamKind {
        /// Is there a manifest.
        ManifestHead = "manifest_head",
        /// The bytes of a manifest.
        ManifestGet = "manifest_get",
        /// Is there a blob.
        BlobHead = "blob_head",
        /// The bytes of a blob, or a part of them.
        BlobGet = "blob_get",
        /// A page of tags.
        Tags = "tags",
        /// What refers to a manifest.
        Referrers = "referrers",
    }

    /// What became of a request to an upstream.
    pub enum UpstreamOutcome {
        /// The answer that was hoped for.
        Ok = "ok",
        /// It does not have it.
        NotFound = "not_found",
        /// It refused our credentials.
        Refused = "refused",
        /// 429.
        RateLimited = "rate_limited",
        /// A 5xx, or an answer that makes no sense.
        Broken = "broken",
        /// No answer: name, connection, TLS or silence.
        Unreachable = "unreachable",
    }

    /// What became of a sign of life that was asked for.
    pub enum ProbeOutcome {
        /// It came.
        Answered = "answered",
        /// It did not.
        Failed = "failed",
    }

    /// How a tag was judged.
    pub enum TagCheck {
        /// Checked a short time ago: the upstream was not asked.
        Fresh = "fresh",
        /// The upstream still names the same digest.
        Unchanged = "unchanged",
        /// The upstream names another digest.
        Moved = "moved",
        /// The upstream named something new, and the tag waits until that is here (`warm.holdback`).
        HeldBack = "held_back",
        /// The upstream could not say: what is known was served.
        Stale = "stale",
        /// The upstream no longer has it.
        Gone = "gone",
        /// Asked for the first time.
        New = "new",
        /// Nothing known, and the upstream could not say.
        Failed = "failed",
    }
}

// === impl StatusLabel ===

impl From<StatusCode> for StatusLabel {
    fn from(status: StatusCode) -> Self {
        match status.as_u16() {
            200 => Self::Ok,
            201 => Self::Created,
            202 => Self::Accepted,
            204 => Self::NoContent,
            206 => Self::PartialContent,
            304 => Self::NotModified,
            400 => Self::BadRequest,
            401 => Self::Unauthorized,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            405 => Self::MethodNotAllowed,
            413 => Self::PayloadTooLarge,
            416 => Self::RangeNotSatisfiable,
            500 => Self::InternalServerError,
            503 => Self::ServiceUnavailable,
            507 => Self::InsufficientStorage,
            _ => Self::Other,
        }
    }
}

// === impl LinkState ===

impl Label for LinkState {
    const ALL: &'static [Self] = &[Self::Online, Self::Degraded, Self::Offline];

    fn index(self) -> usize {
        match self {
            Self::Online => 0,
            Self::Degraded => 1,
            Self::Offline => 2,
        }
    }

    fn text(self) -> &'static str {
        self.as_str()
    }
}

// === impl Served ===

impl Label for Served {
    const ALL: &'static [Self] = &[
        Self::Hit,
        Self::Joined,
        Self::Miss,
        Self::Stale,
        Self::Refused,
        Self::Pushed,
        Self::Deleted,
    ];

    fn index(self) -> usize {
        match self {
            Self::Hit => 0,
            Self::Joined => 1,
            Self::Miss => 2,
            Self::Stale => 3,
            Self::Refused => 4,
            Self::Pushed => 5,
            Self::Deleted => 6,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Joined => "joined",
            Self::Miss => "miss",
            Self::Stale => "stale",
            Self::Refused => "refused",
            Self::Pushed => "pushed",
            Self::Deleted => "deleted",
        }
    }
}

// === impl Priority ===

impl Label for Priority {
    const ALL: &'static [Self] = &[Self::Interactive, Self::Warm];

    fn index(self) -> usize {
        match self {
            Self::Interactive => 0,
            Self::Warm => 1,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Warm => "warm",
        }
    }
}
