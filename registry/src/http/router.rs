//! The table of pages: everything that is not below `/v2/`. (The table of `/v2/` is `api::answer`.)

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use tower::ServiceExt;

use super::Http;
use super::admin::{health, metrics};
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
    if face != Face::Main || settings.metrics_on_main {
        pages = pages.route(&settings.metrics_path, get(metrics::page));
    }
    pages.with_state(Arc::clone(http))
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
