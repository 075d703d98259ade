//! The page of `cistern explain IMAGE`: what a child would get now and why, what the upstream said, what of the image is here, and
//! which requests for it failed. Nothing is fetched for it.
//!
//! Its document is read by programs too; members are added, never renamed.

mod sentences;

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use cistern_oci::{Digest, NotAPlatform, Reference, RepositoryName, Resource};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::super::Http;
use super::super::error::ApiError;
use super::super::failures::Failure;
use super::super::request::parameter_of;
use super::document;
use super::image_name::ImageName;
use super::status::UpstreamLine;
use crate::config::nearest::nearest;
use crate::pull::{ClosureBlob, ClosureManifest, Explanation, Outlook, Platforms};
use crate::repositories::Repository;

/// Where the page is.
pub(in crate::http) const PATH: &str = "/cistern/explain";

/// So many failed requests are told.
const MOST_FAILURES: usize = 20;
/// Among so many repositories of the store one with a similar name is looked for.
const MOST_NAMES: usize = 10_000;

/// What is known of an image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ExplainPage {
    /// The image as it was asked for, without its host.
    pub image: String,
    /// Its repository in the store.
    pub repository: String,
    /// `mirror` or `hosted`.
    pub kind: String,
    /// Its name at the upstream, of a mirror.
    pub name_there: Option<String>,
    /// The route by which it is that upstream's (`proxy.routes`); null for what no route takes.
    pub route: Option<String>,
    /// Its upstream, and the link to it.
    pub upstream: Option<UpstreamLine>,
    /// The manifest that the image's name means here.
    pub digest: Option<String>,
    /// `from_here`, `unconfirmed`, `asked_first`, `fetched` or `refused`.
    pub outlook: String,
    /// The status of a refusal.
    pub status: Option<u16>,
    /// What a child that asks now would get, and why.
    pub answer: Vec<String>,
    /// What the upstream said last, and when.
    pub upstream_said: Vec<String>,
    /// The image's manifests, one per platform, and their blobs.
    pub platforms: Vec<PlatformLine>,
    /// Requests for it that failed, the newest first.
    pub failures: Vec<FailureLine>,
    /// Whether anything is known of it here.
    pub is_known: bool,
    /// A repository here whose name is similar, if nothing is known.
    pub similar: Option<String>,
}

/// Why nothing can be explained.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Refusal {
    /// In words.
    pub error: String,
}

/// One manifest of an image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct PlatformLine {
    /// The platform, where a list names it.
    pub platform: Option<String>,
    /// The manifest.
    pub digest: String,
    /// `here` or `missing`.
    pub state: String,
    /// Bytes of its blobs.
    pub bytes: u64,
    /// Those of them that are here.
    pub bytes_here: u64,
    /// Its config and layers.
    pub blobs: Vec<ItemLine>,
}

/// One blob of an image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ItemLine {
    /// `config` or `layer`.
    pub kind: String,
    /// Its digest.
    pub digest: String,
    /// Its size in bytes.
    pub size: u64,
    /// `here`, `running`, `partial` or `missing`.
    pub state: String,
    /// How many of its bytes are here.
    pub bytes_here: u64,
    /// Callers of its download.
    pub callers: Option<usize>,
    /// What its download waits for.
    pub waits: Option<String>,
}

/// A failed request.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FailureLine {
    /// When, the last time.
    pub at: String,
    /// How long ago that was.
    pub seconds_ago: u64,
    /// How often it failed so.
    pub times: u32,
    /// What was asked: `GET manifest v1`.
    pub request: String,
    /// The status that was sent.
    pub status: u16,
    /// What the caller was told, or why the body ended short.
    pub message: String,
    /// Who asked.
    pub caller: Option<String>,
    /// The id of the last such request, as it is in the log.
    pub request_id: String,
}

/// The page.
pub(in crate::http) async fn page(
    State(http): State<Arc<Http>>,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let platform = parameter_of(&query, "platform").map(Cow::into_owned);
    let image = parameter_of(&query, "image").unwrap_or_default();
    let image: ImageName = match image.parse() {
        Ok(image) => image,
        Err(why) => return refused(StatusCode::BAD_REQUEST, why),
    };
    let platforms = match platform.as_deref().map(str::parse).transpose() {
        Ok(platform) => {
            platform.map_or(Platforms::All, |platform| Platforms::These(vec![platform]))
        }
        Err(why) => return refused(StatusCode::BAD_REQUEST, NotAPlatform::to_string(&why)),
    };
    // The name of a mirrored registry means that one; any other host is taken for a name of ours.
    let host = image.host.as_deref();
    let host = host.filter(|host| http.repositories.knows(host, None));
    let repository = match http.repositories.of_image(host, &image.repository) {
        Ok(repository) => repository,
        Err(why) => return refused(StatusCode::NOT_FOUND, why.to_string()),
    };
    let explained = http
        .pull
        .explain(&repository, &image.reference, &platforms)
        .await;
    match explained {
        Ok(explanation) => {
            let asked = Asked {
                http: &http,
                image,
                repository,
                wanted: platform,
                explanation,
            };
            document(StatusCode::OK, &asked.page().await)
        }
        Err(error) => {
            tracing::error!(?error, "an image could not be explained");
            let why = "the store cannot be read; the log says more".to_owned();
            refused(StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    }
}

fn refused(status: StatusCode, why: String) -> Response {
    document(status, &Refusal { error: why })
}

/// An image that is being explained.
struct Asked<'a> {
    http: &'a Http,
    image: ImageName,
    repository: Repository,
    wanted: Option<String>,
    explanation: Explanation,
}

impl Asked<'_> {
    async fn page(&self) -> ExplainPage {
        let failures = self.failures();
        let explanation = &self.explanation;
        let is_known = explanation.digest.is_some()
            || !explanation.refusals.is_empty()
            || !failures.is_empty();
        let (kind, name_there) = match &self.repository {
            Repository::Hosted(_) => ("hosted", None),
            Repository::Mirror(mirror) => ("mirror", Some(mirror.name_there.to_string())),
        };
        let (outlook, refusal) = match &explanation.outlook {
            Outlook::FromHere => ("from_here", None),
            Outlook::Unconfirmed(_) => ("unconfirmed", None),
            Outlook::AskedFirst => ("asked_first", None),
            Outlook::Fetched => ("fetched", None),
            Outlook::Refused(error) => ("refused", Some(ApiError::from(error.clone()))),
        };
        let upstream = explanation.link.as_ref();
        ExplainPage {
            image: self.named(),
            repository: self.repository.name().to_string(),
            kind: kind.to_owned(),
            name_there,
            route: self.route().map(str::to_owned),
            upstream: upstream.map(|link| UpstreamLine::of(link, self.http)),
            digest: explanation.digest.map(|digest| digest.to_string()),
            outlook: outlook.to_owned(),
            status: refusal.map(|refusal| refusal.status.as_u16()),
            answer: self.answer(),
            upstream_said: self.upstream_said(),
            platforms: explanation.manifests.iter().map(platform_line).collect(),
            failures: failures
                .iter()
                .map(|failure| self.failure_line(failure))
                .collect(),
            is_known,
            similar: if is_known { None } else { self.similar().await },
        }
    }

    /// The image without a host: `team/app:v1`.
    fn named(&self) -> String {
        let joint = match &self.image.reference {
            Reference::Tag(_) => ':',
            Reference::Digest(_) => '@',
        };
        format!("{}{joint}{}", self.image.repository, self.image.reference)
    }

    /// The route by which the name in the store is its upstream's.
    fn route(&self) -> Option<&str> {
        match &self.repository {
            Repository::Hosted(_) => None,
            Repository::Mirror(mirror) => self.http.repositories.route_of(&mirror.name),
        }
    }

    fn failures(&self) -> Vec<Failure> {
        let explanation = &self.explanation;
        let manifests = explanation.manifests.iter();
        let blobs = manifests
            .clone()
            .flat_map(|manifest| manifest.blobs.iter().map(|blob| blob.digest));
        let digests: Vec<Digest> = manifests
            .map(|manifest| manifest.digest)
            .chain(blobs)
            .chain(explanation.digest)
            .collect();
        let names = [&self.image.repository, self.repository.name()];
        let mut failures = self
            .http
            .failures
            .of(&names, &self.image.reference, &digests);
        failures.truncate(MOST_FAILURES);
        failures
    }

    fn failure_line(&self, failure: &Failure) -> FailureLine {
        let what = match &failure.what.endpoint.resource {
            Resource::Manifest(Reference::Tag(tag)) => format!("manifest {tag}"),
            Resource::Manifest(Reference::Digest(digest)) => format!("manifest {digest}"),
            Resource::Blob(digest) => format!("blob {digest}"),
            Resource::Tags => "tags".to_owned(),
            Resource::Referrers(digest) => format!("referrers of {digest}"),
            Resource::Uploads | Resource::Upload(_) => "an upload".to_owned(),
        };
        FailureLine {
            at: self.http.about.before(failure.ago()),
            seconds_ago: failure.ago().as_secs(),
            times: failure.times,
            request: format!("{} {what}", failure.what.method),
            status: failure.what.status.as_u16(),
            message: failure.what.message.clone(),
            caller: failure.caller.map(|caller| caller.to_string()),
            request_id: failure.request_id.clone(),
        }
    }

    /// A repository of the store that may have been meant.
    async fn similar(&self) -> Option<String> {
        let catalog = self.http.pull.catalog(None, Some(MOST_NAMES)).await.ok()?;
        let is_here = |name: &RepositoryName| *name == *self.repository.name();
        if catalog.names.iter().any(is_here) {
            return None;
        }
        let names = catalog.names.iter().map(RepositoryName::as_str);
        nearest(self.image.repository.as_str(), names).map(str::to_owned)
    }
}

fn platform_line(manifest: &ClosureManifest) -> PlatformLine {
    let blobs: Vec<_> = manifest.blobs.iter().map(item_line).collect();
    PlatformLine {
        platform: manifest.platform.as_ref().map(ToString::to_string),
        digest: manifest.digest.to_string(),
        state: if manifest.is_here { "here" } else { "missing" }.to_owned(),
        bytes: blobs.iter().map(|blob| blob.size).sum(),
        bytes_here: blobs.iter().map(|blob| blob.bytes_here).sum(),
        blobs,
    }
}

fn item_line(blob: &ClosureBlob) -> ItemLine {
    let download = blob.running.as_ref();
    let state = match blob.partial {
        _ if blob.is_here => "here",
        _ if download.is_some() => "running",
        0 => "missing",
        _ => "partial",
    };
    ItemLine {
        kind: if blob.is_config { "config" } else { "layer" }.to_owned(),
        digest: blob.digest.to_string(),
        size: blob.size,
        state: state.to_owned(),
        bytes_here: blob.bytes_here(),
        callers: download.map(|download| download.callers),
        waits: download.and_then(|download| download.waits.clone()),
    }
}
