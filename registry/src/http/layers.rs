//! What every request passes through, outermost first. The order is the content of this file: see [`Service::answer`].

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Once};

use futures_util::FutureExt;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::body::Incoming;

use super::connection::Caller;
use super::error::ApiError;
use super::failures::Failures;
use super::observe::{Observation, ObservedBody};
use super::request::{Asked, is_write};
use super::request_id::{RequestId, RequestIds};
use super::response::{self, Answer};
use super::{Http, Settings, access, api, router};
use crate::metrics::Metrics;

/// What a listener offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Face {
    /// The registry, and health; the metrics if the settings say so.
    Main,
    /// Health and metrics (`http.debug.addr`).
    Debug,
    /// Health, metrics, and what changes something: the Unix socket.
    Admin,
}

/// The registry behind one listener.
pub(super) struct Service {
    http: Arc<Http>,
    face: Face,
    pages: axum::Router,
    request_ids: RequestIds,
    extra: HeaderMap<HeaderValue>,
    via: HeaderValue,
    /// Told once: every request is a loop then.
    loop_is_told: Once,
}

/// Headers that hyper or the answer itself decides about; `http.headers` cannot set them.
const NOT_EXTRA: [HeaderName; 4] = [
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
];

// === impl Service ===

impl Service {
    pub(super) fn new(http: Arc<Http>, face: Face) -> Self {
        let mut extra = http.settings.headers.clone();
        for name in NOT_EXTRA {
            if extra.remove(&name).is_some() {
                tracing::warn!(%name, "http.headers cannot set this header: it would break what is served");
            }
        }
        let pages = router::pages(&http, face);
        let via = response::text(&http.settings.pseudonym.via());
        Self {
            http,
            face,
            pages,
            request_ids: RequestIds::new(),
            extra,
            via: via.unwrap_or(HeaderValue::from_static("1.1 cistern")),
            loop_is_told: Once::new(),
        }
    }

    /// What is counted.
    pub(super) fn metrics(&self) -> &Metrics {
        &self.http.metrics
    }

    /// The requests that failed of late.
    pub(super) fn failures(&self) -> &Failures {
        &self.http.failures
    }

    /// What the configuration says.
    pub(super) fn settings(&self) -> &Settings {
        &self.http.settings
    }

    /// Answers one request.
    pub(super) async fn answer(
        caller: Arc<Caller>,
        request: Request<Incoming>,
    ) -> Result<Response<ObservedBody>, Infallible> {
        let service = &*caller.service;
        let (head, body) = request.into_parts();
        let asked = Asked::read(&head, service.face);

        // request id: first, so that every later line and answer can name it
        let request_id = service.request_ids.of(&head.headers);

        // observe: outside all that can fail, so that it sees refusals and the 500 of a panic
        let observation = Observation::begin(&caller, &head, &asked, &request_id);

        // catch panic: a panic is a 500 with a request id, not a dropped socket
        let answered = AssertUnwindSafe(service.inner(&caller, &head, body, &asked))
            .catch_unwind()
            .await;
        let answer = match answered.unwrap_or_else(|_| Err(ApiError::internal(&"panicked"))) {
            Ok(answer) => answer,
            Err(error) => {
                observation.refused(&error, &head, &asked, &request_id);
                refuse(&error, &head, &request_id)
            }
        };

        // headers: on every answer, whatever made it
        let answer = service.with_headers(answer, &asked, &request_id);
        let observation = observation.may_be_cut(&answer, &asked, &request_id);
        Ok(observation.answered(answer))
    }

    /// The layers that may refuse, and the answer.
    async fn inner(
        &self,
        caller: &Caller,
        head: &Parts,
        body: Incoming,
        asked: &Asked,
    ) -> Result<Answer, ApiError> {
        // limits: of heads and connections in `listen`; a body is read by nobody but those who want it

        // loop: before anything that could ask the upstream, who would ask us
        self.refuse_loop(asked)?;

        // access: before anything is looked up
        let admitted = access::admit(&self.http, head, asked).await?;

        // router: a page, or a path of the registry
        if asked.is_page() {
            return Ok(router::page(self.pages.clone(), head, body).await);
        }
        api::answer(&self.http, caller, &admitted, head, body, asked).await
    }

    fn refuse_loop(&self, asked: &Asked) -> Result<(), ApiError> {
        if asked.is_page() || !asked.asker.has_passed(&self.http.settings.pseudonym) {
            return Ok(());
        }
        self.loop_is_told.call_once(|| {
            tracing::error!("a question of this cache came back to it: proxy.remoteurl, here or at a cache above, leads back to this one; let it name the registry that this is to be a cache of");
        });
        Err(ApiError::is_a_loop())
    }

    fn with_headers(&self, mut answer: Answer, asked: &Asked, request_id: &RequestId) -> Answer {
        let headers = answer.response.headers_mut();
        if !asked.is_page() {
            headers.insert(
                response::API_VERSION,
                HeaderValue::from_static("registry/2.0"),
            );
            headers.insert(header::VIA, self.via.clone());
        }
        headers.insert(response::REQUEST_ID, request_id.header());
        for name in self.extra.keys() {
            if !headers.contains_key(name) {
                for value in self.extra.get_all(name) {
                    headers.append(name, value.clone());
                }
            }
        }
        answer
    }
}

/// The answer to a request that failed. Faults of ours are said here and nowhere else, under the id that the caller is told.
fn refuse(error: &ApiError, head: &Parts, request_id: &RequestId) -> Answer {
    if let Some(cause) = &error.cause {
        tracing::error!(
            request_id = request_id.text(),
            path = head.uri.path(),
            cause,
            "a request failed here"
        );
    }
    let answer = response::error(error, &head.method, request_id);
    if is_write(&head.method) {
        // Its body was not read: what follows on this connection is not a request.
        return answer.with(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer
}
