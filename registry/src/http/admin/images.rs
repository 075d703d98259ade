//! The page of `cistern images`: what is wanted, what is cached without being wanted, and what of each is here. Nothing is fetched for
//! it, and nothing changes.
//!
//! Its document is read by programs too; members are added, never renamed.

mod lines;
mod unnamed;

use std::collections::HashSet;
use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use cistern_oci::{Reference, RepositoryName};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::super::Http;
use super::super::request::parameter_of;
use super::document;
use super::explain::Refusal;
use crate::pull::TagName;
use crate::warm::Bootstrap;

/// Where the page is.
pub(in crate::http) const PATH: &str = "/cistern/images";

/// So many images that nobody named are told unless `n` says otherwise.
const UNNAMED: usize = 100;
/// So many at most.
const MOST_UNNAMED: usize = 1000;
/// So many pages are written at once: each looks at many files.
const AT_ONCE: usize = 2;

static TURNS: Semaphore = Semaphore::const_new(AT_ONCE);

/// The images of a server.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagesPage {
    /// When this page was written.
    pub now: String,
    /// How the bootstrap set is.
    pub bootstrap: BootstrapLine,
    /// The images that are wanted, then those that are cached though nobody named them, in the order of their names.
    pub images: Vec<ImageLine>,
    /// Lists of images that are read, and what is wrong with them.
    pub lists: Vec<ListLine>,
    /// There are more that nobody named: `after` for the next page. Null at the end.
    pub next: Option<String>,
}

/// How the bootstrap set is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BootstrapLine {
    /// Whether readiness depends on it (`edge.requirebootstrap`).
    pub required: bool,
    /// Whether all of it is here.
    pub ready: bool,
    /// Those of its images that are not all here, as they were written.
    pub missing: Vec<String>,
}

/// An image.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a document for programs: each says something of its own"
)]
pub struct ImageLine {
    /// Its name, as it was written; of one that nobody named, its name in the store.
    pub image: String,
    /// Whether a list, a pin or a command names it.
    pub named: bool,
    /// Whether it lives here and nowhere else.
    pub hosted: bool,
    /// Its repository in the store; null if its registry is not mirrored here.
    pub repository: Option<String>,
    /// Its tag or digest; null if the name is none.
    pub reference: Option<String>,
    /// The manifest that it means here; null if that is not known.
    pub digest: Option<String>,
    /// Who wants it.
    pub origins: Vec<String>,
    /// Whether it is kept whatever happens.
    pub pinned: bool,
    /// When it was last used, as far as that is known.
    pub last_used: Option<String>,
    /// `waiting`, `fetching`, `ready`, `held-back`, `failed` or `not-mirrored`; of one that nobody named `ready` or `partial`.
    pub state: String,
    /// Whether it can be pulled while its upstream is away; of one that nobody named, for the platforms that are here.
    pub offline_ready: bool,
    /// Bytes still to come; null while that is not known.
    pub missing_bytes: Option<u64>,
    /// Bytes of all of it; null while that is not known.
    pub total_bytes: Option<u64>,
    /// What it has for each platform that is wanted, or here.
    pub platforms: Vec<ImagePlatform>,
    /// Layers that are not kept here because no registry may distribute them.
    pub foreign_layers: Vec<String>,
    /// What its tag means upstream, while the old image is served (`warm.holdback`).
    pub held_back_to: Option<String>,
    /// What is wrong with it.
    pub trouble: Option<String>,
    /// In how many seconds it is looked after again.
    pub next_try_seconds: Option<u64>,
}

/// An image for one platform.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ImagePlatform {
    /// The platform, where a list names it.
    pub platform: Option<String>,
    /// Its manifest; null if the list has none for this platform.
    pub digest: Option<String>,
    /// Whether it can be pulled while its upstream is away.
    pub offline_ready: bool,
    /// Bytes still to come; null while its manifest is missing.
    pub missing_bytes: Option<u64>,
    /// Bytes of all of it; null while its manifest is missing.
    pub total_bytes: Option<u64>,
}

/// A list of images.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ListLine {
    /// Where it is from.
    pub list: String,
    /// How many images it names.
    pub images: usize,
    /// Why it could not be read the last time.
    pub trouble: Option<String>,
}

/// What is asked for.
struct Wanted {
    after: Option<TagName>,
    unnamed: usize,
}

/// The page. `n`: so many images that nobody named, at most; `after`: go on after this one of them, as `next` said.
pub(in crate::http) async fn page(
    State(http): State<Arc<Http>>,
    RawQuery(query): RawQuery,
) -> Response {
    let refused = |status, error| document(status, &Refusal { error });
    let wanted = match wanted(&query.unwrap_or_default()) {
        Ok(wanted) => wanted,
        Err(why) => return refused(StatusCode::BAD_REQUEST, why),
    };
    let _turn = TURNS.acquire().await;
    match written(&http, &wanted).await {
        Ok(page) => document(StatusCode::OK, &page),
        Err(error) => {
            tracing::error!(?error, "the images could not be listed");
            let why = "the store cannot be read; the log says more".to_owned();
            refused(StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    }
}

fn wanted(query: &str) -> Result<Wanted, String> {
    let unnamed = match parameter_of(query, "n") {
        None => UNNAMED,
        Some(text) => {
            let number = text.parse::<usize>();
            let number = number.map_err(|_| format!("n is a number, not `{text}`"))?;
            number.min(MOST_UNNAMED)
        }
    };
    let after = parameter_of(query, "after").filter(|after| !after.is_empty());
    Ok(Wanted {
        after: after
            .map(|after| after.parse())
            .transpose()
            .map_err(|why| format!("after: {why}"))?,
        unnamed,
    })
}

async fn written(http: &Http, wanted: &Wanted) -> Result<ImagesPage, crate::pull::PullError> {
    let listed = http.warm.images().await;
    let known: HashSet<(RepositoryName, Reference)> = listed
        .iter()
        .filter_map(|image| Some((image.repository.clone()?, image.reference.clone()?)))
        .collect();
    let mut images = Vec::new();
    if wanted.after.is_none() {
        images.extend(listed.iter().map(|image| ImageLine::named(image, http)));
    }
    let next = unnamed::add(http, wanted, &known, &mut images).await?;
    Ok(ImagesPage {
        now: super::about::written(http.about.now()),
        bootstrap: BootstrapLine::of(http.warm.bootstrap()),
        images,
        lists: http.warm.lists().iter().map(ListLine::of).collect(),
        next,
    })
}

impl BootstrapLine {
    pub(super) fn of(bootstrap: Bootstrap) -> Self {
        Self {
            required: bootstrap.is_required,
            ready: bootstrap.is_ready(),
            missing: bootstrap.missing,
        }
    }
}
