//! Who may read: nobody asked, Basic, or Bearer with a token endpoint of our own.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use parking_lot::Mutex;
use serde_json::json;

use super::ScriptedUpstream;
use super::answer::Answer;
use super::record::Request;

/// Who may read below `/v2/`.
#[derive(Clone)]
pub enum Protection {
    /// Everybody.
    Open,
    /// Who names this user and password.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: String,
    },
    /// Who brings a token of this desk.
    Bearer(TokenDesk),
}

/// How the challenge of a 401 is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChallengeStyle {
    /// `Bearer realm="…",service="…",scope="…"`
    Usual,
    /// The scheme in lower case, parameters in another order, with spaces.
    LowerCase,
    /// No quotation marks.
    Unquoted,
    /// Without `scope`.
    WithoutScope,
    /// `Negotiate` in a line of its own before it, `Basic` in one after it.
    SeveralLines,
    /// `Basic realm="x", Bearer …` in one line.
    OneLine,
    /// The realm has a query of its own.
    RealmWithQuery,
    /// These lines; `{realm}`, `{service}` and `{scope}` are filled in.
    Lines(Vec<String>),
}

/// In which field the token comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenField {
    /// `token`
    Token,
    /// `access_token`
    AccessToken,
    /// Both.
    Both,
}

/// What the token endpoint says about a token, and how long the token is really good.
#[derive(Clone, Debug)]
pub struct TokenAnswer {
    /// Which field.
    pub field: TokenField,
    /// `expires_in`, if it says so.
    pub expires_in: Option<u64>,
    /// Whether the token is a JWT with its end in `exp`.
    pub jwt: bool,
    /// After this the registry refuses it.
    pub lifetime: Duration,
}

impl Default for TokenAnswer {
    fn default() -> Self {
        Self {
            field: TokenField::Both,
            expires_in: Some(300),
            jwt: false,
            lifetime: Duration::from_mins(5),
        }
    }
}

struct Issued {
    token: String,
    scopes: Vec<String>,
    until: Instant,
}

struct Desk {
    answer: Mutex<TokenAnswer>,
    challenge: Mutex<ChallengeStyle>,
    credentials: Mutex<Option<(String, String)>>,
    anonymous: Mutex<bool>,
    realm: Mutex<Option<String>>,
    issued: Mutex<Vec<Issued>>,
    asked: AtomicUsize,
}

/// A token endpoint with a memory: only its own tokens, while they are good and for what they were asked, are accepted.
/// It opens at `/token` of the first upstream that it protects, or elsewhere by [`TokenDesk::open_at`].
#[derive(Clone)]
pub struct TokenDesk(Arc<Desk>);

impl Default for TokenDesk {
    fn default() -> Self {
        Self::new()
    }
}

impl TokenDesk {
    /// One that gives tokens to everybody.
    pub fn new() -> Self {
        Self(Arc::new(Desk {
            answer: Mutex::default(),
            challenge: Mutex::new(ChallengeStyle::Usual),
            credentials: Mutex::new(None),
            anonymous: Mutex::new(true),
            realm: Mutex::new(None),
            issued: Mutex::default(),
            asked: AtomicUsize::new(0),
        }))
    }

    /// Gives tokens only to who names this user and password; a wrong one is refused with 401.
    #[must_use]
    pub fn only_for(self, user: &str, password: &str) -> Self {
        *self.0.credentials.lock() = Some((user.to_owned(), password.to_owned()));
        *self.0.anonymous.lock() = false;
        self
    }

    /// Gives tokens to this user and to who names nobody.
    #[must_use]
    pub fn also_for(self, user: &str, password: &str) -> Self {
        *self.0.credentials.lock() = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// What it says about its tokens.
    #[must_use]
    pub fn answers(self, answer: TokenAnswer) -> Self {
        *self.0.answer.lock() = answer;
        self
    }

    /// How the registry's challenge is written.
    #[must_use]
    pub fn challenges(self, style: ChallengeStyle) -> Self {
        *self.0.challenge.lock() = style;
        self
    }

    /// The realm that the challenge names, whatever is there.
    pub fn set_realm(&self, realm: &str) {
        *self.0.realm.lock() = Some(realm.to_owned());
    }

    /// Answers token requests at a path of `server`, and names it as the realm.
    pub fn open_at(&self, server: &ScriptedUpstream, path: &str) {
        self.set_realm(&server.url_of(path));
        let desk = self.clone();
        server.on("GET", path, Answer::by(move |request| desk.issue(request)));
    }

    pub(super) fn open_at_first(&self, server: &ScriptedUpstream) {
        if self.0.realm.lock().is_none() {
            self.open_at(server, "/token");
        }
    }

    /// How many tokens were asked for, given or refused.
    pub fn asked(&self) -> usize {
        self.0.asked.load(Ordering::SeqCst)
    }

    /// How many tokens were given.
    pub fn issued(&self) -> usize {
        self.0.issued.lock().len()
    }

    /// The scopes of all tokens given, in order.
    pub fn scopes(&self) -> Vec<Vec<String>> {
        self.0
            .issued
            .lock()
            .iter()
            .map(|issued| issued.scopes.clone())
            .collect()
    }

    /// Makes every token given so far worthless.
    pub fn revoke_all(&self) {
        for issued in self.0.issued.lock().iter_mut() {
            issued.until = Instant::now();
        }
    }

    fn issue(&self, request: &Request) -> Answer {
        let number = self.0.asked.fetch_add(1, Ordering::SeqCst);
        let credentials = self.0.credentials.lock().clone();
        let allowed = match (request.header("Authorization"), credentials) {
            (None, _) => *self.0.anonymous.lock(),
            (Some(header), Some((user, password))) => is_basic(header, &user, &password),
            (Some(_), None) => true,
        };
        if !allowed {
            let body = r#"{"details":"incorrect username or password"}"#;
            return Answer::body(401, "application/json", body);
        }
        let answer = self.0.answer.lock().clone();
        let token = if answer.jwt {
            unsigned_jwt(number, answer.lifetime)
        } else {
            format!("opaque-token-{number}")
        };
        let scopes: Vec<_> = request
            .parameters("scope")
            .iter()
            .flat_map(|scope| scope.split(' '))
            .map(str::to_owned)
            .collect();
        self.0.issued.lock().push(Issued {
            token: token.clone(),
            scopes,
            until: Instant::now() + answer.lifetime,
        });
        let mut body = json!({});
        if answer.field != TokenField::AccessToken {
            body["token"] = json!(token);
        }
        if answer.field != TokenField::Token {
            body["access_token"] = json!(token);
        }
        if let Some(seconds) = answer.expires_in {
            body["expires_in"] = json!(seconds);
        }
        Answer::body(200, "application/json", body.to_string())
    }

    /// What is wrong with the token of this request, if something is.
    fn fault(&self, request: &Request) -> Option<&'static str> {
        let header = request.header("Authorization").unwrap_or_default();
        let Some(token) = header
            .strip_prefix("Bearer ")
            .or_else(|| header.strip_prefix("bearer "))
        else {
            return Some("");
        };
        let issued = self.0.issued.lock();
        let Some(issued) = issued
            .iter()
            .find(|issued| issued.token == token && issued.until > Instant::now())
        else {
            return Some("invalid_token");
        };
        let wanted = request
            .repository()
            .map(|name| format!("repository:{name}:"));
        let covers = |scope: &String| {
            wanted.as_ref().is_none_or(|wanted| {
                scope
                    .strip_prefix(wanted.as_str())
                    .is_some_and(|actions| actions.contains("pull"))
            })
        };
        let covered = wanted.is_none() || issued.scopes.iter().any(covers);
        if covered {
            None
        } else {
            Some("insufficient_scope")
        }
    }

    fn challenge_lines(&self, request: &Request, fault: &str) -> Vec<String> {
        let realm = self.0.realm.lock().clone().unwrap_or_default();
        let service = "registry.test";
        let scope = request
            .repository()
            .map(|name| format!("repository:{name}:pull"));
        let mut usual = format!("realm=\"{realm}\",service=\"{service}\"");
        let style = self.0.challenge.lock().clone();
        if let Some(scope) = scope
            .as_ref()
            .filter(|_| style != ChallengeStyle::WithoutScope)
        {
            write!(usual, ",scope=\"{scope}\"").unwrap();
        }
        if !fault.is_empty() {
            write!(usual, ",error=\"{fault}\"").unwrap();
        }
        let scope = scope.unwrap_or_default();
        match style {
            ChallengeStyle::Usual | ChallengeStyle::WithoutScope => vec![format!("Bearer {usual}")],
            ChallengeStyle::LowerCase => {
                vec![format!(
                    "bearer service=\"{service}\" , scope=\"{scope}\" , realm=\"{realm}\""
                )]
            }
            ChallengeStyle::Unquoted => vec![format!(
                "Bearer realm={realm},service={service},scope={scope}"
            )],
            ChallengeStyle::SeveralLines => {
                vec![
                    "Negotiate".to_owned(),
                    format!("Bearer {usual}"),
                    "Basic realm=\"other\"".to_owned(),
                ]
            }
            ChallengeStyle::OneLine => vec![format!("Basic realm=\"other\", Bearer {usual}")],
            ChallengeStyle::RealmWithQuery => {
                vec![format!(
                    "Bearer {}",
                    usual.replacen(&realm, &format!("{realm}?tenant=one"), 1)
                )]
            }
            ChallengeStyle::Lines(lines) => lines
                .iter()
                .map(|line| {
                    line.replace("{realm}", &realm)
                        .replace("{service}", service)
                        .replace("{scope}", &scope)
                })
                .collect(),
        }
    }
}

impl Protection {
    /// Basic with this user and password.
    pub fn basic(user: &str, password: &str) -> Self {
        Self::Basic {
            user: user.to_owned(),
            password: password.to_owned(),
        }
    }

    /// The 401 for this request, if it may not pass.
    pub(super) fn refuse(&self, request: &Request) -> Option<Answer> {
        match self {
            Self::Open => None,
            Self::Basic { user, password } => {
                let passes = request
                    .header("Authorization")
                    .is_some_and(|header| is_basic(header, user, password));
                let refused =
                    || Answer::status(401).header("WWW-Authenticate", "Basic realm=\"scripted\"");
                (!passes).then(refused)
            }
            Self::Bearer(desk) => {
                let fault = desk.fault(request)?;
                let lines = desk.challenge_lines(request, fault);
                Some(lines.iter().fold(Answer::status(401), |answer, line| {
                    answer.also_header("WWW-Authenticate", line)
                }))
            }
        }
    }
}

fn is_basic(header: &str, user: &str, password: &str) -> bool {
    let sent = header
        .strip_prefix("Basic ")
        .and_then(|sent| STANDARD.decode(sent).ok());
    sent.is_some_and(|sent| sent == format!("{user}:{password}").into_bytes())
}

fn unsigned_jwt(number: usize, lifetime: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "jti": number.to_string(), "iat": now.as_secs(), "exp": (now + lifetime).as_secs() });
    format!(
        "{}.{}.c2lnbmF0dXJl",
        part(json!({ "alg": "RS256", "typ": "JWT" })),
        part(claims)
    )
}
