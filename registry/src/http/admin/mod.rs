//! What whoever runs a Cistern asks it: is it well, is it ready, what did it count. Whatever will change something is offered on
//! the Unix socket only.

mod about;
pub(super) mod changes;
pub(super) mod explain;
pub(super) mod health;
mod image_name;
pub(super) mod images;
pub(super) mod metrics;
pub(super) mod status;
pub mod words;

use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde::Serialize;

pub use about::About;
pub use changes::{Done, WarmWish, Wish};
pub use explain::{ExplainPage, FailureLine, ItemLine, PlatformLine, Refusal};
pub use health::{Health, Told};
pub use images::{BootstrapLine, ImageLine, ImagePlatform, ImagesPage, ListLine};
pub use status::{
    DownloadLine, LinkUse, StaleTagLine, StatusPage, StoreRoom, UpstreamLine, WarmCount,
};

/// A page for programs.
fn document(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(document) {
        Ok(text) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (status, kind, text + "\n").into_response()
        }
        Err(error) => {
            tracing::error!(%error, "a page could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Where the page of `cistern status` is, on the Unix socket.
pub const STATUS_PATH: &str = status::PATH;
/// Where the page of `cistern explain` is, on the Unix socket.
pub const EXPLAIN_PATH: &str = explain::PATH;
/// Where the page of `cistern images` is, on the Unix socket.
pub const IMAGES_PATH: &str = images::PATH;
/// Where an image is asked for, on the Unix socket.
pub const WARM_PATH: &str = changes::WARM_PATH;
/// Where an image is pinned, on the Unix socket.
pub const PIN_PATH: &str = changes::PIN_PATH;
/// Where a pin is taken back, on the Unix socket.
pub const UNPIN_PATH: &str = changes::UNPIN_PATH;
/// Where an image is removed, on the Unix socket.
pub const PURGE_PATH: &str = changes::PURGE_PATH;
