//! One exchange with a token server: the two ways to ask for a token, and what the answers mean.

use bytes::Bytes;
use cistern_auth::Secret;
use cistern_auth::outgoing::{Credentials, TokenAnswer, TokenRequest};
use http::Method;
use http::header::{ACCEPT, HeaderMap, HeaderValue};

use super::body::read_all;
use super::redirect::{Arrival, Journey, follow};
use super::send::Shared;
use super::token::sensitive;
use super::{Fault, Heard, Said, UpstreamBody, UpstreamError, answer};

/// No token is this long.
const MOST_TOKEN_BYTES: u64 = 1024 * 1024;

impl Shared {
    /// Asks a token server once, if it may be asked, and reads what it answers.
    pub(super) async fn exchange(
        &self,
        request: &TokenRequest,
        credentials: Option<&Credentials>,
        heard: &Heard,
    ) -> Result<TokenAnswer, UpstreamError> {
        let reach = self.dialer.reach();
        let allowed = self
            .tokens
            .rules
            .check(&request.realm, credentials.is_some(), reach);
        allowed.map_err(|refused| Fault::Invalid(refused.to_string()).at(self.address.label()))?;
        let arrival = match credentials.and_then(Credentials::refresh_token) {
            Some(token) => self.post_or_get(request, credentials, token, heard).await?,
            None => self.get_token(request, credentials, heard).await?,
        };
        if arrival.status() != 200 {
            return Err(self.token_refusal(&arrival, credentials.is_some()));
        }
        let date = answer::date(arrival.headers());
        let unusable = arrival.fault(Fault::Invalid(String::new()));
        let body = self.token_body(arrival).await?;
        let received = tokio::time::Instant::now().into_std();
        TokenAnswer::read(&body, date, received).map_err(|error| UpstreamError {
            fault: Fault::Invalid(format!("its answer to a token request {error}")),
            ..unusable
        })
    }

    /// The token protocol as everybody knows it: a GET, with the credentials as Basic.
    async fn get_token(
        &self,
        request: &TokenRequest,
        credentials: Option<&Credentials>,
        heard: &Heard,
    ) -> Result<Arrival, UpstreamError> {
        let account = credentials.map(|credentials| credentials.username.as_str());
        let journey = Journey {
            method: Method::GET,
            url: request.url(account),
            headers: accepting_json(),
            authorization: credentials.and_then(|credentials| sensitive(&credentials.basic())),
            form: None,
            may_leave: true,
        };
        follow(&self.dialer, &journey, heard).await
    }

    /// A refresh token goes by POST. Token servers that know no POST, or not this one, answer 400 (ACR), 401 (JFrog), 404
    /// (GCR) or 405; then the GET is left, which may take it as a password.
    async fn post_or_get(
        &self,
        request: &TokenRequest,
        credentials: Option<&Credentials>,
        token: &Secret,
        heard: &Heard,
    ) -> Result<Arrival, UpstreamError> {
        let journey = Journey {
            method: Method::POST,
            url: request.realm.clone(),
            headers: accepting_json(),
            authorization: None,
            form: Some(request.refresh_form(token)),
            may_leave: false,
        };
        let arrival = follow(&self.dialer, &journey, heard).await?;
        if !matches!(arrival.status(), 300..=399 | 400 | 401 | 404 | 405) {
            return Ok(arrival);
        }
        answer::drain(arrival.response).await;
        self.get_token(request, credentials, heard).await
    }

    async fn token_body(&self, arrival: Arrival) -> Result<Bytes, UpstreamError> {
        let body = UpstreamBody::new(
            arrival,
            None,
            self.dialer.timeouts().idle,
            self.budget.clone(),
        );
        read_all(body, MOST_TOKEN_BYTES).await
    }

    fn token_refusal(&self, arrival: &Arrival, with_credentials: bool) -> UpstreamError {
        let status = arrival.status();
        match (status, with_credentials) {
            (401 | 403, true) => Fault::CredentialsRefused { status }.at(self.address.label()),
            (401 | 403 | 404, false) => {
                Fault::NotFound(Said::TokenRefusedWithoutCredentials(status))
                    .at(self.address.label())
            }
            (429, _) => {
                let named = answer::retry_after(arrival.headers());
                let retry_after = Some(self.gates.tokens.shut(&arrival.host(), named));
                arrival.fault(Fault::RateLimited { retry_after })
            }
            (503, _) => arrival.fault(answer::unavailable(arrival.headers())),
            _ => arrival.fault(Fault::Status(status)),
        }
    }
}

fn accepting_json() -> HeaderMap {
    HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))])
}
