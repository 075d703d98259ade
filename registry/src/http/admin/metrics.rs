//! `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::header;

use super::super::Http;
use crate::metrics::CONTENT_TYPE;

/// Everything that is counted, as OpenMetrics text.
pub(crate) async fn page(State(http): State<Arc<Http>>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        http.metrics.render(),
    )
}
