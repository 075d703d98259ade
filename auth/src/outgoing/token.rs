//! The token protocol's words: what to ask a token server for, what it answers, how long that holds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;
use url::Url;

use super::{Challenge, Scope};
use crate::Secret;

/// A question to a token server. Two equal ones get the same token.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TokenRequest {
    /// The token server's address, which may have a query of its own.
    pub realm: Url,
    /// The registry's name at the token server, if the challenge gave one.
    pub service: Option<String>,
    /// What is asked for.
    pub scopes: Vec<Scope>,
}

/// A token server's answer.
#[derive(Clone, Debug)]
pub struct TokenAnswer {
    secret: Secret,
    life: Duration,
    received: Instant,
}

/// The answer holds no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenAnswerError {
    /// The body is not a JSON object.
    #[error("is not JSON")]
    NotJson,
    /// Neither `token` nor `access_token` holds a usable text.
    #[error("holds no token")]
    NoToken,
}

/// A token in use. Equal to itself and its clones only.
#[derive(Clone, Debug)]
pub struct Token {
    secret: Secret,
    serial: u64,
    obtained: Instant,
    refresh_at: Instant,
    expires_at: Instant,
}

/// The life of a token that does not tell it: what the protocol says an absent `expires_in` means.
const DEFAULT_LIFE: Duration = Duration::from_mins(1);
/// Shorter lives are not believed: a token that lasts a second would be asked for with every request.
const LEAST_LIFE: Duration = Duration::from_secs(10);
/// Longer lives are not believed: whoever is refused asks again anyway.
const LONGEST_LIFE: Duration = Duration::from_hours(24);

#[derive(Deserialize)]
struct Body {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    exp: Option<f64>,
    iat: Option<f64>,
}

impl TokenRequest {
    /// What a Bearer challenge asks for. A realm without a host is taken as relative to the upstream. `None` without a
    /// usable realm.
    pub fn of_challenge(challenge: &Challenge, upstream: &Url, otherwise: &Scope) -> Option<Self> {
        let mut realm = upstream.join(challenge.parameter("realm")?).ok()?;
        realm.set_fragment(None);
        // These fail only for addresses without a host, which are refused later.
        let _ = realm.set_username("");
        let _ = realm.set_password(None);
        let mut scopes = Scope::parse_all(challenge.parameter("scope").unwrap_or_default());
        if scopes.is_empty() {
            scopes.push(otherwise.clone());
        }
        Some(Self {
            realm,
            service: challenge.parameter("service").map(str::to_owned),
            scopes,
        })
    }

    /// The address to GET; `account` is the user's name where we have one. A query of the realm's own is kept.
    pub fn url(&self, account: Option<&str>) -> Url {
        let mut url = self.realm.clone();
        {
            let mut query = url.query_pairs_mut();
            if let Some(account) = account {
                query.append_pair("account", account);
            }
            if let Some(service) = &self.service {
                query.append_pair("service", service);
            }
            for scope in &self.scopes {
                query.append_pair("scope", scope.as_str());
            }
        }
        url
    }
}

impl TokenRequest {
    /// The form to POST to the realm for an access token in exchange for a refresh token (Distribution's
    /// `spec/auth/oauth.md`, ACR's `/oauth2/token`). It holds the refresh token.
    pub fn refresh_form(&self, refresh_token: &Secret) -> Secret {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "refresh_token");
        form.append_pair("client_id", "cistern");
        if let Some(service) = &self.service {
            form.append_pair("service", service);
        }
        let scopes: Vec<&str> = self.scopes.iter().map(Scope::as_str).collect();
        form.append_pair("scope", &scopes.join(" "));
        form.append_pair("refresh_token", refresh_token.expose());
        Secret::new(form.finish())
    }
}

impl TokenAnswer {
    /// Reads the body of a token server's 200. `date` is its `Date` header: a token's absolute expiry is compared with the
    /// clock of the server that wrote it, not with ours, which may be wrong on a device that has just started.
    pub fn read(
        body: &[u8],
        date: Option<SystemTime>,
        received: Instant,
    ) -> Result<Self, TokenAnswerError> {
        let body: Body = serde_json::from_slice(body).map_err(|_| TokenAnswerError::NotJson)?;
        let usable =
            |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        let token = body
            .token
            .filter(usable)
            .or(body.access_token.filter(usable))
            .ok_or(TokenAnswerError::NoToken)?;
        let stated = body.expires_in.as_ref().and_then(seconds);
        let life = stated
            .or_else(|| life_of_jwt(&token, date))
            .unwrap_or(DEFAULT_LIFE);
        Ok(Self {
            secret: Secret::new(token),
            life: life.clamp(LEAST_LIFE, LONGEST_LIFE),
            received,
        })
    }

    /// How long the token is believed to hold, from its receipt.
    pub fn life(&self) -> Duration {
        self.life
    }
}

/// A positive number of seconds, however written; anything else says nothing.
fn seconds(value: &serde_json::Value) -> Option<Duration> {
    let number = value
        .as_f64()
        .or_else(|| value.as_str()?.trim().parse().ok())?;
    positive(number)
}

fn positive(seconds: f64) -> Option<Duration> {
    (seconds > 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_LIFE))
}

/// What a JWT says about its own life. The token is not ours to verify; it is only asked how long to keep it.
fn life_of_jwt(token: &str, date: Option<SystemTime>) -> Option<Duration> {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let claims = ENGINE.decode(token.split('.').nth(1)?).ok()?;
    let claims: Claims = serde_json::from_slice(&claims).ok()?;
    let expires = claims.exp?;
    let whole = claims.iat.and_then(|issued| positive(expires - issued));
    let now = date.and_then(|date| date.duration_since(UNIX_EPOCH).ok());
    let rest = now.and_then(|now| positive(expires - now.as_secs_f64()));
    match (whole, rest) {
        (Some(whole), Some(rest)) => Some(whole.min(rest)),
        (whole, rest) => whole.or(rest),
    }
}

impl Token {
    /// Takes an answer's token into use.
    pub(super) fn of(answer: TokenAnswer) -> Self {
        static SERIAL: AtomicU64 = AtomicU64::new(0);
        let margin = (answer.life / 5).min(Duration::from_mins(1));
        Self {
            secret: answer.secret,
            serial: SERIAL.fetch_add(1, Ordering::Relaxed),
            obtained: answer.received,
            refresh_at: answer.received + answer.life.saturating_sub(margin),
            expires_at: answer.received + answer.life,
        }
    }

    /// The value of an `Authorization` header.
    pub fn bearer(&self) -> Secret {
        Secret::new(format!("Bearer {}", self.secret.expose()))
    }

    /// When the token server's answer came.
    pub fn obtained(&self) -> Instant {
        self.obtained
    }

    pub(super) fn is_valid(&self, now: Instant) -> bool {
        now < self.expires_at
    }

    /// Late in its life a token is replaced before it fails: requests in a long pull shall not run into a 401.
    pub(super) fn wants_refresh(&self, now: Instant) -> bool {
        now >= self.refresh_at
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.serial == other.serial
    }
}

impl Eq for Token {}

#[cfg(test)]
mod tests;
