//! One request, one answer. Everything about connections is here: trust, proxies, time limits. Follows no redirect and
//! knows no credentials.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode};
use parking_lot::Mutex;
use reqwest::{Client, NoProxy, Proxy, Request, Response};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio::time::Instant;
use url::Url;

use cistern_auth::Secret;
use cistern_auth::outgoing::{Reach, RealmRules};

use super::address::{host_and_port, same_place};
use super::resolve::{Names, SharedNames, UpstreamReach};
use super::tls::{Material, Trust};
use super::{
    Contacts, Fault, Heard, LinkFault, Role, Timeouts, UpstreamError, UpstreamOptions,
    UpstreamSetupError, link,
};

/// The connections of one upstream.
pub(super) struct Dialer {
    trust: Trust,
    clients: Recipe,
    names: SharedNames,
    reach: UpstreamReach,
    /// Who may see our credentials may see our certificate.
    rules: RealmRules,
    timeouts: Timeouts,
    contacts: Option<Contacts>,
    /// The upstream's own address.
    home: Url,
    built: ArcSwap<Built>,
    /// When the operator's files were last looked at.
    looked: Mutex<Instant>,
}

/// The clients and the files they were built from.
struct Built {
    /// Shows our certificate to who asks for one, if we have one.
    client: Client,
    /// For those who are no business of ours: has none to show.
    for_strangers: Client,
    material: Material,
}

/// A request to one place.
pub(super) struct Hop<'a> {
    pub(super) method: &'a Method,
    pub(super) url: &'a Url,
    pub(super) headers: HeaderMap,
    /// A form to send along.
    pub(super) form: Option<&'a Secret>,
}

/// How long a change of a bundle may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(2);

impl Dialer {
    pub(super) fn new(
        options: &UpstreamOptions,
        upstream: &Url,
        rules: &RealmRules,
    ) -> Result<Self, UpstreamSetupError> {
        let trust = Trust::new(options);
        let material = trust.read()?;
        let reach = UpstreamReach::of(upstream);
        let (proxies, mut trusted) = proxies(options)?;
        trusted.extend(rules.hosts().map(str::to_owned));
        let names = SharedNames(Arc::new(Names::new(upstream, trusted, reach.clone())));
        let user_agent = HeaderValue::from_str(&options.user_agent).map_err(|_| {
            UpstreamSetupError::Client("the user agent is no header value".to_owned())
        })?;
        let timeouts = options.timeouts;
        let clients = Recipe {
            proxies,
            names: names.clone(),
            timeouts,
            user_agent,
        };
        let built = clients.build(&trust, material)?;
        Ok(Self {
            trust,
            clients,
            names,
            reach,
            rules: rules.clone(),
            timeouts,
            contacts: options.contacts.clone(),
            home: upstream.clone(),
            built: ArcSwap::from_pointee(built),
            looked: Mutex::new(Instant::now()),
        })
    }

    /// How near the upstream is.
    pub(super) fn reach(&self) -> Reach {
        self.reach.get()
    }

    /// Whether an address may be dialled that the upstream sent us to: not if it is nearer than the upstream itself,
    /// unless the operator named it. For names this is seen only when they are resolved.
    pub(super) fn may_lead_to(&self, url: &Url) -> bool {
        self.reach().may_lead_to(Reach::of_url(url))
            || url.host_str().is_some_and(|host| self.names.0.trusts(host))
    }

    pub(super) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Sends a request and waits for the head of its answer.
    pub(super) async fn ask(&self, hop: Hop<'_>, heard: &Heard) -> Result<Response, UpstreamError> {
        let (host, role) = (host_and_port(hop.url), self.role_of(&hop));
        let mut request = Request::new(hop.method.clone(), hop.url.clone());
        *request.headers_mut() = hop.headers;
        request
            .headers_mut()
            .insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if let Some(form) = hop.form {
            let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
            request.headers_mut().insert(CONTENT_TYPE, kind);
            *request.body_mut() = Some(form.expose().to_owned().into());
        }
        let client = self.client(hop.url).await;
        let result = self.within_limits(client.execute(request), heard).await;
        if let Some(contacts) = &self.contacts {
            let trouble = result.as_ref().err().map(ToString::to_string);
            contacts.note(hop.url, role, trouble);
        }
        let path = hop.url.path();
        match &result {
            Ok(response) => {
                let status = StatusCode::as_u16(&response.status());
                tracing::debug!(%host, method = %hop.method, path, status, "upstream answered");
                heard.answer();
            }
            Err(fault) => {
                tracing::debug!(%host, method = %hop.method, path, %fault, "upstream did not answer");
            }
        }
        result.map_err(|fault| fault.at(&host))
    }

    /// What the other side of a request is: token servers are asked for a service, and storage is not.
    fn role_of(&self, hop: &Hop<'_>) -> Role {
        let asks_for_a_token = || {
            let mut parameters = hop.url.query_pairs();
            parameters.any(|(name, _)| name == "service" || name == "scope")
        };
        if hop.form.is_some() || asks_for_a_token() {
            Role::Realm
        } else if same_place(hop.url, &self.home) {
            Role::Registry
        } else {
            Role::Redirect
        }
    }

    /// Waits for an answer, but not longer than the header timeout after the connection stands. A connection that opens is
    /// heard as a sign of life of its own.
    async fn within_limits(
        &self,
        answer: impl Future<Output = reqwest::Result<Response>>,
        heard: &Heard,
    ) -> Result<Response, Fault> {
        let (sender, mut stage) = watch::channel(Stage::Waiting);
        let mut answer = pin!(STAGE.scope(sender, answer));
        loop {
            let now = *stage.borrow_and_update();
            if now == Stage::Open {
                heard.answer();
            }
            let limit = match now {
                // The client limits the connecting itself. This is for a connecting that goes on in the background,
                // because another connection became free meanwhile and is used instead.
                Stage::Connecting => self.timeouts.connect + self.timeouts.header,
                Stage::Waiting | Stage::Open => self.timeouts.header,
            };
            tokio::select! {
                biased;
                answer = &mut answer => return answer.map_err(|error| link::fault_of(&error)),
                Ok(()) = stage.changed() => {}
                () = tokio::time::sleep(limit) => {
                    let detail = format!("no answer within {} s", limit.as_secs_f32());
                    return Err(Fault::Unreachable { link: LinkFault::Timeout, detail });
                }
            }
        }
    }

    /// The client for an address, rebuilt if a file has changed. Files that cannot be used leave the old client in place.
    async fn client(&self, url: &Url) -> Client {
        if self.looks_due()
            && let Err(error) = self.rebuild_if_changed().await
        {
            tracing::warn!(%error, "the certificates read before stay in use");
        }
        let built = self.built.load();
        if self.rules.check(url, true, self.reach()).is_ok() {
            built.client.clone()
        } else {
            built.for_strangers.clone()
        }
    }

    fn looks_due(&self) -> bool {
        let mut looked = self.looked.lock();
        let due = self.trust.has_files() && looked.elapsed() >= LOOK_EVERY;
        if due {
            *looked = Instant::now();
        }
        due
    }

    async fn rebuild_if_changed(&self) -> Result<(), UpstreamSetupError> {
        let material = self.trust.current().await?;
        if !self.built.load().material.is_same(&material) {
            let built = self.clients.build(&self.trust, material)?;
            self.built.store(Arc::new(built));
        }
        Ok(())
    }
}

/// What all clients have in common.
struct Recipe {
    proxies: Vec<Proxy>,
    names: SharedNames,
    timeouts: Timeouts,
    user_agent: HeaderValue,
}

impl Recipe {
    fn build(&self, trust: &Trust, material: Material) -> Result<Built, UpstreamSetupError> {
        let for_strangers = self.client(trust.config(&material, false)?)?;
        let client = if material.has_identity() {
            self.client(trust.config(&material, true)?)?
        } else {
            for_strangers.clone()
        };
        Ok(Built {
            client,
            for_strangers,
            material,
        })
    }

    fn client(&self, tls: ClientConfig) -> Result<Client, UpstreamSetupError> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .http1_only()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .dns_resolver(self.names.clone())
            .connector_layer(StageLayer)
            .connect_timeout(self.timeouts.connect)
            .pool_idle_timeout(Duration::from_mins(1))
            .user_agent(self.user_agent.clone());
        for proxy in &self.proxies {
            builder = builder.proxy(proxy.clone());
        }
        builder
            .build()
            .map_err(|error| UpstreamSetupError::Client(error.without_url().to_string()))
    }
}

/// What no proxy can lead to, as Go programs see it.
const THIS_MACHINE: &str = "localhost,127.0.0.0/8,::1";

/// The proxies, and the names of their hosts.
fn proxies(options: &UpstreamOptions) -> Result<(Vec<Proxy>, Vec<String>), UpstreamSetupError> {
    let except = options.no_proxy.as_deref().unwrap_or_default();
    let mut proxies = Vec::new();
    let mut hosts = Vec::new();
    if except.split(',').any(|entry| entry.trim() == "*") {
        return Ok((proxies, hosts));
    }
    let exceptions = NoProxy::from_string(&format!("{except},{THIS_MACHINE}"));
    let given = [
        ("https_proxy", &options.https_proxy),
        ("http_proxy", &options.http_proxy),
    ];
    for (variable, address) in given {
        let Some(address) = address
            .as_deref()
            .map(str::trim)
            .filter(|address| !address.is_empty())
        else {
            continue;
        };
        let refuse = |reason: String| UpstreamSetupError::Proxy { variable, reason };
        let url = if address.contains("://") {
            Url::parse(address)
        } else {
            Url::parse(&format!("http://{address}"))
        };
        let url = url.map_err(|error| refuse(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse(format!(
                "{} proxies are not supported",
                url.scheme()
            )));
        }
        hosts.extend(url.host_str().map(str::to_owned));
        let proxy = if variable == "https_proxy" {
            Proxy::https(url)
        } else {
            Proxy::http(url)
        };
        let proxy = proxy.map_err(|error| refuse(error.without_url().to_string()))?;
        proxies.push(proxy.no_proxy(exceptions.clone()));
    }
    Ok((proxies, hosts))
}

// === How far a request has come ===

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Waiting,
    Connecting,
    Open,
}

tokio::task_local! {
    /// Set while a request is worked on: the connector runs inside of it and reports here.
    static STAGE: watch::Sender<Stage>;
}

fn report(stage: Stage) {
    // Outside of a request (a connection that is finished in the background) nobody wants to know.
    let _ = STAGE.try_with(|sender| sender.send_replace(stage));
}

/// Reports when a connection is being opened and when it stands.
#[derive(Clone)]
struct StageLayer;

#[derive(Clone)]
struct StageConnector<S>(S);

impl<S> tower::Layer<S> for StageLayer {
    type Service = StageConnector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        StageConnector(inner)
    }
}

impl<S, Target> tower::Service<Target> for StageConnector<S>
where
    S: tower::Service<Target>,
    S::Future: Send + 'static,
    S::Response: 'static,
    S::Error: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, target: Target) -> Self::Future {
        let connecting = self.0.call(target);
        Box::pin(async move {
            report(Stage::Connecting);
            let connected = connecting.await;
            if connected.is_ok() {
                report(Stage::Open);
            }
            connected
        })
    }
}
