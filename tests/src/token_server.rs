//! A token server as Distribution trusts it: signed JWTs (ES256) whose `x5c` chain ends in a certificate that it knows.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rcgen::{CertificateParams, KeyPair, SigningKey as _};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::scripted_upstream::{Answer, Request, ScriptedUpstream};

/// The server. It gives tokens for pulling to whom it knows.
pub struct TokenServer {
    server: ScriptedUpstream,
    folder: TempDir,
    issued: Arc<AtomicUsize>,
}

struct Signer {
    key: KeyPair,
    certificate: Vec<u8>,
    credentials: Option<(String, String)>,
    lifetime: u64,
    issued: Arc<AtomicUsize>,
}

const SERVICE: &str = "registry.test";
const ISSUER: &str = "cistern-tests";

impl TokenServer {
    /// Gives tokens to everybody; with `credentials` only to who names them. Tokens live `lifetime` seconds.
    pub async fn start(credentials: Option<(&str, &str)>, lifetime: u64) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut parameters = CertificateParams::default();
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, ISSUER);
        let certificate = parameters.self_signed(&key).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("tokens.pem"), certificate.pem()).unwrap();
        let issued = Arc::new(AtomicUsize::new(0));
        let signer = Signer {
            key,
            certificate: certificate.der().to_vec(),
            credentials: credentials.map(|(user, password)| (user.to_owned(), password.to_owned())),
            lifetime,
            issued: Arc::clone(&issued),
        };
        let server = ScriptedUpstream::start().await;
        server.on(
            "GET",
            "/token",
            Answer::by(move |request| signer.answer(request)),
        );
        Self {
            server,
            folder,
            issued,
        }
    }

    /// The URL of its token endpoint.
    pub fn realm(&self) -> String {
        self.server.url_of("/token")
    }

    /// Its name for the service.
    pub fn service(&self) -> &'static str {
        SERVICE
    }

    /// Its name for itself.
    pub fn issuer(&self) -> &'static str {
        ISSUER
    }

    /// The PEM file of its certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.path().join("tokens.pem")
    }

    /// How many tokens it has given.
    pub fn issued(&self) -> usize {
        self.issued.load(Ordering::SeqCst)
    }

    /// The server, to see what was asked, to script it, to stop it.
    pub fn server(&self) -> &ScriptedUpstream {
        &self.server
    }
}

impl Signer {
    fn answer(&self, request: &Request) -> Answer {
        let sent = request
            .header("Authorization")
            .and_then(|header| header.strip_prefix("Basic "));
        let expected = self
            .credentials
            .as_ref()
            .map(|(user, password)| STANDARD.encode(format!("{user}:{password}")));
        if expected.is_some() && sent != expected.as_deref() {
            return Answer::body(
                401,
                "application/json",
                r#"{"details":"incorrect username or password"}"#,
            );
        }
        self.issued.fetch_add(1, Ordering::SeqCst);
        let scopes = request.parameters("scope");
        let access: Vec<_> = scopes
            .iter()
            .flat_map(|scope| scope.split(' '))
            .filter_map(pull_access)
            .collect();
        let token = self.token(&access);
        let body = json!({ "token": token, "access_token": token, "expires_in": self.lifetime });
        Answer::body(200, "application/json", body.to_string())
    }

    fn token(&self, access: &[Value]) -> String {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let header =
            json!({ "typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&self.certificate)] });
        let claims = json!({
            "iss": ISSUER, "sub": "somebody", "aud": SERVICE, "jti": self.issued.load(Ordering::SeqCst).to_string(),
            "iat": now, "nbf": now.saturating_sub(10), "exp": now + self.lifetime, "access": access,
        });
        let part = |value: Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", part(header), part(claims));
        let signature = raw_signature(&self.key.sign(signed.as_bytes()).unwrap());
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// `repository:NAME:ACTIONS` as an access claim, for pulling only.
fn pull_access(scope: &str) -> Option<Value> {
    let (kind, rest) = scope.split_once(':')?;
    let (name, actions) = rest.rsplit_once(':')?;
    let pull = actions.split(',').any(|action| action == "pull");
    pull.then(|| json!({ "type": kind, "name": name, "actions": ["pull"] }))
}

/// JWTs want the two numbers of an ECDSA signature side by side; the key gives them in DER.
fn raw_signature(der: &[u8]) -> Vec<u8> {
    let mut raw = Vec::with_capacity(64);
    let mut rest = &der[2..];
    for _ in 0..2 {
        let length = usize::from(rest[1]);
        let number = &rest[2..2 + length];
        let number = &number[number.len().saturating_sub(32)..];
        raw.extend(std::iter::repeat_n(0, 32 - number.len()));
        raw.extend_from_slice(number);
        rest = &rest[2 + length..];
    }
    raw
}

impl std::fmt::Debug for TokenServer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "TokenServer({})", self.realm())
    }
}
