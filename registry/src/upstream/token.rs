//! Permission to ask: remembered challenges, tokens from memory or by an exchange, and which credentials are shown.

use std::collections::HashMap;

use cistern_auth::Secret;
use cistern_auth::outgoing::{
    Challenge, CredentialSource, Credentials, RealmRules, Scope, Token, TokenAnswer, TokenCache,
    TokenRequest,
};
use cistern_oci::RepositoryName;
use http::Method;
use http::header::{HeaderMap, HeaderValue};
use parking_lot::Mutex;

use super::redirect::{Journey, follow};
use super::send::{Ask, Failure, Shared};
use super::{Fault, Heard, Said, UpstreamError, answer};

/// What is asked for in a repository. Registries may want different scopes for the two (ACR does).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    Pull,
    Tags,
}

/// Everything about one upstream's permissions.
pub(super) struct Tokens {
    credentials: CredentialSource,
    pub(super) rules: RealmRules,
    cache: TokenCache<UpstreamError>,
    known: Mutex<HashMap<(RepositoryName, Purpose), Known>>,
}

/// How a repository let itself be asked last time.
#[derive(Clone)]
enum Known {
    Bearer(TokenRequest),
    Basic,
}

/// What a request shows.
pub(super) enum Permission {
    Nothing,
    Basic(Secret),
    Bearer {
        request: TokenRequest,
        token: Token,
        /// Fetched for this very question: if it is refused, another one will be too.
        is_fresh: bool,
    },
}

/// Repositories whose challenge is remembered; beyond it all are forgotten, which costs one more round trip each.
const MOST_KNOWN: usize = 8192;

impl Permission {
    pub(super) fn is_token(&self) -> bool {
        matches!(self, Self::Bearer { .. })
    }

    pub(super) fn is_basic(&self) -> bool {
        matches!(self, Self::Basic(_))
    }

    /// The `Authorization` header.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let secret = match self {
            Self::Nothing => return None,
            Self::Basic(secret) => secret.clone(),
            Self::Bearer { token, .. } => token.bearer(),
        };
        sensitive(&secret)
    }
}

pub(super) fn sensitive(secret: &Secret) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(secret.expose()).ok()?;
    value.set_sensitive(true);
    Some(value)
}

impl Tokens {
    pub(super) fn new(credentials: CredentialSource, rules: RealmRules) -> Self {
        Self {
            credentials,
            rules,
            cache: TokenCache::new(),
            known: Mutex::new(HashMap::new()),
        }
    }

    fn known(&self, ask: &Ask<'_>) -> Option<Known> {
        self.known
            .lock()
            .get(&(ask.repository.clone(), ask.purpose))
            .cloned()
    }

    fn remember(&self, ask: &Ask<'_>, how: Known) {
        let mut known = self.known.lock();
        if known.len() >= MOST_KNOWN {
            known.clear();
        }
        known.insert((ask.repository.clone(), ask.purpose), how);
    }

    fn forget(&self, ask: &Ask<'_>) {
        self.known
            .lock()
            .remove(&(ask.repository.clone(), ask.purpose));
    }
}

impl Shared {
    /// What to show before anybody asked for it: what was wanted last time.
    pub(super) async fn permission(&self, ask: &Ask<'_>) -> Result<Permission, Failure> {
        match self.tokens.known(ask) {
            None => Ok(Permission::Nothing),
            Some(Known::Basic) => {
                let credentials = self.credentials().await.map_err(Failure::of)?;
                Ok(credentials.map_or(Permission::Nothing, |credentials| {
                    Permission::Basic(credentials.basic())
                }))
            }
            Some(Known::Bearer(request)) => {
                let permission = self.bearer(ask, request, None).await;
                if permission.is_err() {
                    // Perhaps the upstream has moved its token server; it will tell where to.
                    self.tokens.forget(ask);
                }
                permission
            }
        }
    }

    /// What to show after a 401, or nothing if what was shown was all there is.
    pub(super) async fn challenged(
        &self,
        ask: &Ask<'_>,
        shown: &Permission,
        headers: &HeaderMap,
    ) -> Result<Option<Permission>, Failure> {
        let mut challenges = answer::challenges(headers);
        if challenges.is_empty() && matches!(shown, Permission::Nothing) {
            challenges = self.challenges_of_ping(ask.heard).await?;
        }
        let upstream = self.address.url();
        let otherwise = Scope::pull(&self.address.name_there(ask.repository));
        let mut bearer = challenges
            .iter()
            .filter(|challenge| challenge.scheme() == "bearer");
        let wanted = bearer
            .find_map(|challenge| TokenRequest::of_challenge(challenge, upstream, &otherwise));
        let (refused, before) = match shown {
            Permission::Bearer {
                request,
                token,
                is_fresh,
            } => (Some(token), Some((request, *is_fresh))),
            Permission::Nothing | Permission::Basic(_) => (None, None),
        };
        // A 401 to a token that does not say where to get another: the token may be too old.
        let wanted = wanted.or_else(|| {
            let asks_for_a_token = challenges
                .iter()
                .all(|challenge| challenge.scheme() == "bearer");
            asks_for_a_token.then(|| before.map(|(request, _)| request.clone()))?
        });
        if let Some(request) = wanted {
            let shown_in_vain = before.is_some_and(|(before, is_fresh)| {
                *before == request && (is_fresh || !ask.may_renew)
            });
            if shown_in_vain {
                return Ok(None);
            }
            let permission = self.bearer(ask, request.clone(), refused).await?;
            self.tokens.remember(ask, Known::Bearer(request));
            return Ok(Some(permission));
        }
        if challenges
            .iter()
            .any(|challenge| challenge.scheme() == "basic")
        {
            return self.basic(ask, shown).await;
        }
        let error = self.unknown_challenge(&challenges);
        Err(Failure {
            error,
            is_refusal: true,
        })
    }

    /// What to show to a registry that wants Basic, or has refused it: nothing if that was all there is.
    pub(super) async fn basic(
        &self,
        ask: &Ask<'_>,
        shown: &Permission,
    ) -> Result<Option<Permission>, Failure> {
        let Some(credentials) = self.credentials().await.map_err(Failure::of)? else {
            let fault = Fault::NotFound(Said::TokenRefusedWithoutCredentials(401));
            return Err(Failure {
                error: fault.at(self.address.label()),
                is_refusal: true,
            });
        };
        let mut secret = credentials.basic();
        if matches!(shown, Permission::Basic(before) if *before == secret) {
            let others = self.other_credentials(&credentials).await;
            match others.map_err(Failure::of)? {
                Some(others) => secret = others.basic(),
                None => return Ok(None),
            }
        }
        self.tokens.remember(ask, Known::Basic);
        Ok(Some(Permission::Basic(secret)))
    }

    fn unknown_challenge(&self, challenges: &[Challenge]) -> UpstreamError {
        let schemes: Vec<&str> = challenges.iter().map(Challenge::scheme).collect();
        let fault = match schemes.as_slice() {
            [] if !self.tokens.credentials.is_given() => {
                Fault::NotFound(Said::TokenRefusedWithoutCredentials(401))
            }
            [] => {
                Fault::Invalid("answered 401 without saying what it wants to be shown".to_owned())
            }
            schemes => Fault::Invalid(format!(
                "wants {}, and this cache knows only Basic, and Bearer with a realm",
                schemes.join(", ")
            )),
        };
        fault.at(self.address.label())
    }

    /// The challenges of `/v2/`, for upstreams that give none with what was asked.
    async fn challenges_of_ping(&self, heard: &Heard) -> Result<Vec<Challenge>, Failure> {
        let journey = Journey {
            method: Method::GET,
            url: self.address.ping(),
            headers: HeaderMap::new(),
            authorization: None,
            form: None,
            may_leave: true,
        };
        let arrival = follow(&self.dialer, &journey, heard)
            .await
            .map_err(Failure::of)?;
        let challenges = if arrival.away {
            Vec::new()
        } else {
            answer::challenges(arrival.headers())
        };
        answer::drain(arrival.response).await;
        Ok(challenges)
    }

    async fn bearer(
        &self,
        ask: &Ask<'_>,
        request: TokenRequest,
        refused: Option<&Token>,
    ) -> Result<Permission, Failure> {
        let now = tokio::time::Instant::now().into_std();
        let fetch = || self.fetch_token(&request, ask.heard);
        let token = self
            .tokens
            .cache
            .token(&request, refused, now, fetch)
            .await
            .map_err(Failure::of)?;
        let is_fresh = token.obtained() >= now;
        if is_fresh {
            // It may have been fetched for somebody else, whose signs of life were not ours.
            ask.heard.answer();
        }
        Ok(Permission::Bearer {
            request,
            token,
            is_fresh,
        })
    }

    /// Asks a token server, and once more if it refuses credentials in whose place there are others by now.
    async fn fetch_token(
        &self,
        request: &TokenRequest,
        heard: &Heard,
    ) -> Result<TokenAnswer, UpstreamError> {
        let turn = self.gates.tokens.enter().await?;
        let mut credentials = self.credentials().await?;
        let mut result = self.exchange(request, credentials.as_ref(), heard).await;
        if let (Err(error), Some(refused)) = (&result, &credentials)
            && matches!(error.fault, Fault::CredentialsRefused { .. })
            && let Some(others) = self.other_credentials(refused).await?
        {
            credentials = Some(others);
            result = self.exchange(request, credentials.as_ref(), heard).await;
        }
        turn.leave(result.as_ref());
        result
    }

    /// The credentials as they are now.
    async fn credentials(&self) -> Result<Option<Credentials>, UpstreamError> {
        let current = self.tokens.credentials.current(self.address.server());
        current
            .await
            .map_err(|error| Fault::Invalid(error.to_string()).at(self.address.label()))
    }

    /// The credentials that are there by now in place of refused ones, if there are others.
    async fn other_credentials(
        &self,
        refused: &Credentials,
    ) -> Result<Option<Credentials>, UpstreamError> {
        let source = &self.tokens.credentials;
        source.refused(self.address.server(), refused);
        let current = self.credentials().await?;
        Ok(current.filter(|current| current != refused))
    }
}
