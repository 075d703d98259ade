//! `/metrics`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::{StatusCode, header};

use super::super::Http;
use crate::metrics::CONTENT_TYPE;

/// Everything that is counted, as OpenMetrics text.
pub(crate) async fn page(State(http): State<Arc<Http>>) -> impl IntoResponse {
    http.about.show(&http.metrics);
    (
        [(header::CONTENT_TYPE, CONTENT_TYPE)],
        http.metrics.render(),
    )
}

/// What is said where they are not offered: who set something else, and how they are had.
#[derive(Clone, Copy)]
pub(crate) enum Absent {
    /// They are on `http.debug.addr`.
    Elsewhere,
    /// They are nowhere.
    Off,
    /// There is an address for them, on which they were turned off.
    TurnedOff,
}

impl Absent {
    /// 404 with the reason.
    pub(crate) fn page(self) -> impl IntoResponse {
        let text = match self {
            Self::Elsewhere => "The metrics are on http.debug.addr, not here.\n",
            Self::Off => {
                "The metrics are off. http.debug.addr (REGISTRY_HTTP_DEBUG_ADDR, such as 127.0.0.1:5001) offers them on an address \
                 of their own, http.debug.prometheus.enabled: true (REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED) offers them here.\n"
            }
            Self::TurnedOff => {
                "The metrics are off: http.debug.prometheus.enabled (REGISTRY_HTTP_DEBUG_PROMETHEUS_ENABLED) is false.\n"
            }
        };
        (StatusCode::NOT_FOUND, text)
    }
}
