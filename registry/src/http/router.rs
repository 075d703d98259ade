//! The table of pages: everything that is not below `/v2/`.
//!
//! The table of `/v2/` is `api::answer`: a repository's name may hold any number of slashes, so there is one route, and what it
//! matches is parsed from the right. Sent through this router all the same it would cost 15 % of the manifests per second (boxed
//! bodies and futures, a map of parameters; measured), so it goes there directly.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tower::ServiceExt;
use tower_http::set_header::SetResponseHeaderLayer;

use super::Http;
use super::admin::metrics::Absent;
use super::admin::{changes, explain, health, images, metrics, status};
use super::layers::Face;
use super::response::Answer;

/// The pages of a listener. GET routes answer HEAD too: nothing here costs more than its head.
pub(super) fn pages(http: &Arc<Http>, face: Face) -> Router {
    let settings = &http.settings;
    let mut pages = Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz));
    if face == Face::Main {
        pages = pages.route("/", get(StatusCode::OK));
    }
    let absent = match face {
        Face::Main if settings.metrics_on_main => None,
        Face::Main if settings.metrics_on_debug => Some(Absent::Elsewhere),
        Face::Main => Some(Absent::Off),
        Face::Debug => (!settings.metrics_on_debug).then_some(Absent::TurnedOff),
        Face::Admin => None,
    };
    pages = match absent {
        None => pages.route(metrics_path(&settings.metrics_path), get(metrics::page)),
        Some(absent) => pages.route("/metrics", get(async move || absent.page())),
    };
    if face == Face::Admin {
        pages = pages
            .route(status::PATH, get(status::page))
            .route(explain::PATH, get(explain::page))
            .route(changes::WARM_PATH, changes::warm())
            .route(changes::PIN_PATH, changes::pin())
            .route(changes::UNPIN_PATH, changes::unpin())
            .route(changes::PURGE_PATH, changes::purge());
    }
    if face != Face::Main {
        pages = pages.route(images::PATH, get(images::page));
    }
    #[cfg(test)]
    let pages = pages.route("/panics", get(panics));
    // How things are is true for this moment only; a proxy on the way must not keep it.
    let no_store = HeaderValue::from_static("no-store");
    let fresh = SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, no_store);
    pages.layer(fresh).with_state(Arc::clone(http))
}

/// Where the metrics are: where the settings say, unless that is no path, or the path of something else.
fn metrics_path(set: &str) -> &str {
    let is_taken =
        ["/", "/healthz", "/readyz"].contains(&set) || set == "/v2" || set.starts_with("/v2/");
    if is_taken || !set.starts_with('/') || set.contains(['{', '}', ':', '*']) {
        tracing::warn!(
            path = set,
            "the metrics cannot be there: they are at /metrics"
        );
        return "/metrics";
    }
    set
}

/// Runs the request through the pages.
pub(super) async fn page(pages: Router, head: &Parts, body: Incoming) -> Answer {
    let mut request = Request::new(Body::new(body));
    *request.method_mut() = head.method.clone();
    *request.uri_mut() = head.uri.clone();
    *request.headers_mut() = head.headers.clone();
    let response: Result<Response<Body>, Infallible> = pages.oneshot(request).await;
    match response {
        Ok(response) => Answer::page(response),
        Err(impossible) => match impossible {},
    }
}

/// A page that fails the way nothing should.
#[cfg(test)]
async fn panics() -> StatusCode {
    panic!("a secret of ours")
}
