//! What may be changed about images, on the Unix socket only: `POST /cistern/{warm,pin,unpin,purge}`, JSON in and out.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use cistern_oci::Platform;
use http::{HeaderValue, StatusCode, header};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::super::Http;
use super::document;
use super::explain::Refusal;
use crate::pull::Platforms;
use crate::warm::WarmRefused;

/// Where an image is asked for.
pub(in crate::http) const WARM_PATH: &str = "/cistern/warm";
/// Where an image is pinned.
pub(in crate::http) const PIN_PATH: &str = "/cistern/pin";
/// Where a pin is taken back.
pub(in crate::http) const UNPIN_PATH: &str = "/cistern/unpin";
/// Where an image is removed.
pub(in crate::http) const PURGE_PATH: &str = "/cistern/purge";

/// The longest wish that is read, in bytes.
const LONGEST: usize = 64 * 1024;
/// So many platforms may be wished for at once.
const MOST_PLATFORMS: usize = 50;

/// A wish for an image to be here.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmWish {
    /// The image.
    pub image: String,
    /// For these platforms; `["all"]` for every one that it has. Without: what `warm.platforms` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platforms: Option<Vec<String>>,
}

/// A wish that names an image and nothing else.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wish {
    /// The image.
    pub image: String,
}

/// What was done.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Done {
    /// The image, as it was named.
    pub image: String,
    /// Its repository in the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Its tag or digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// `asked`, `pinned`, `unpinned` or `purged`.
    pub done: String,
    /// Whether there was a pin to take back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was_pinned: Option<bool>,
    /// Who still wants the image, so that it is kept all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub still_wanted: Vec<String>,
    /// How many manifests were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<u64>,
    /// How many blobs were removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blobs: Option<u64>,
    /// How many bytes were freed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
}

/// `POST /cistern/warm`.
pub(in crate::http) fn warm() -> MethodRouter<Arc<Http>> {
    only(post(async |State(http): State<Arc<Http>>, body: Body| {
        let wish: WarmWish = read(body).await?;
        let platforms = wish.platforms.as_deref().map(platforms).transpose()?;
        http.warm.fetch(&wish.image, platforms)?;
        tracing::info!(image = %wish.image.escape_debug(), "an image was asked for by hand");
        Ok::<_, Refused>(Done::of(&http, wish.image, "asked"))
    }))
}

/// `POST /cistern/pin`.
pub(in crate::http) fn pin() -> MethodRouter<Arc<Http>> {
    only(post(async |State(http): State<Arc<Http>>, body: Body| {
        let Wish { image } = read(body).await?;
        http.warm.pin(&image).await?;
        tracing::info!(image = %image.escape_debug(), "an image was pinned");
        Ok::<_, Refused>(Done::of(&http, image, "pinned"))
    }))
}

/// `POST /cistern/unpin`.
pub(in crate::http) fn unpin() -> MethodRouter<Arc<Http>> {
    only(post(async |State(http): State<Arc<Http>>, body: Body| {
        let Wish { image } = read(body).await?;
        let unpinned = http.warm.unpin(&image).await?;
        tracing::info!(image = %image.escape_debug(), "an image was unpinned");
        Ok::<_, Refused>(Done {
            was_pinned: Some(unpinned.was_pinned),
            still_wanted: unpinned
                .still_wanted
                .iter()
                .map(ToString::to_string)
                .collect(),
            ..Done::of(&http, image, "unpinned")
        })
    }))
}

/// `POST /cistern/purge`.
pub(in crate::http) fn purge() -> MethodRouter<Arc<Http>> {
    only(post(async |State(http): State<Arc<Http>>, body: Body| {
        let Wish { image } = read(body).await?;
        let purged = http.warm.purge(&image).await?;
        Ok::<_, Refused>(Done {
            manifests: Some(purged.manifests),
            blobs: Some(purged.blobs),
            bytes: Some(purged.bytes),
            ..Done::of(&http, image, "purged")
        })
    }))
}

/// Another method than POST is told what it should have been.
fn only(post: MethodRouter<Arc<Http>>) -> MethodRouter<Arc<Http>> {
    post.fallback(async || {
        let why = r#"this takes a POST with a document such as {"image": "team/app:v1"}"#;
        let mut response = Refused(StatusCode::METHOD_NOT_ALLOWED, why.to_owned()).into_response();
        let allow = HeaderValue::from_static("POST");
        response.headers_mut().insert(header::ALLOW, allow);
        response
    })
}

async fn read<T: DeserializeOwned>(body: Body) -> Result<T, Refused> {
    let Ok(bytes) = to_bytes(body, LONGEST).await else {
        let why = format!("the document did not come whole, or is longer than {LONGEST} bytes");
        return Err(Refused(StatusCode::PAYLOAD_TOO_LARGE, why));
    };
    serde_json::from_slice(&bytes).map_err(|error| {
        let why = format!(
            r#"this is not what is understood here: {error}; a document is wanted such as {{"image": "team/app:v1"}}"#
        );
        Refused(StatusCode::BAD_REQUEST, why)
    })
}

fn platforms(texts: &[String]) -> Result<Platforms, Refused> {
    let wrong = |why: String| Refused(StatusCode::BAD_REQUEST, why);
    match texts {
        [all] if all == "all" => return Ok(Platforms::All),
        [] => {
            return Err(wrong(
                "platforms: none are named; leave it out, or say [\"all\"]".to_owned(),
            ));
        }
        many if many.len() > MOST_PLATFORMS => {
            return Err(wrong(format!(
                "platforms: more than {MOST_PLATFORMS} are named; say [\"all\"]"
            )));
        }
        _ => {}
    }
    let platforms = texts.iter().map(|text| text.parse::<Platform>());
    let platforms: Result<Vec<_>, _> = platforms.collect();
    platforms
        .map(Platforms::These)
        .map_err(|why| wrong(format!("platforms: {why}")))
}

/// A wish that is not granted.
struct Refused(StatusCode, String);

impl From<WarmRefused> for Refused {
    fn from(refused: WarmRefused) -> Self {
        let status = match &refused {
            WarmRefused::NotMirrored(_) | WarmRefused::Unknown(_) => StatusCode::NOT_FOUND,
            WarmRefused::Hosted(_) | WarmRefused::Pinned { .. } => StatusCode::CONFLICT,
            WarmRefused::TooMany => StatusCode::SERVICE_UNAVAILABLE,
            WarmRefused::Storage(error) => {
                tracing::error!(%error, "a wish for an image could not be granted");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        Self(status, refused.to_string())
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        document(self.0, &Refusal { error: self.1 })
    }
}

impl Done {
    fn of(http: &Http, image: String, done: &str) -> Self {
        let (repository, reference) = http.warm.meaning(&image).unzip();
        Self {
            image,
            repository: repository.map(|name| name.to_string()),
            reference: reference.map(|reference| reference.to_string()),
            done: done.to_owned(),
            ..Self::default()
        }
    }
}

impl IntoResponse for Done {
    fn into_response(self) -> Response {
        document(StatusCode::OK, &self)
    }
}
