//! The upstreams and what is mirrored from which, built from the configuration.

use cistern_auth::outgoing::{CredentialSource, SecretSource};

use super::StartError;
use crate::chain::Pseudonym;
use crate::config::{Config, CredentialText, OutgoingProxies, UpstreamSettings};
use crate::repositories::{Mirrored, Repositories, RepositoriesOptions, Route};
use crate::upstream::{
    Budget, ClientIdentity, Contacts, Upstream, UpstreamOptions, UpstreamSetupError,
};

/// What every upstream gets from the process.
pub(crate) struct Shared<'a> {
    /// What bodies pass through.
    pub(crate) budget: &'a Budget,
    /// Who we are.
    pub(crate) pseudonym: &'a Pseudonym,
    /// Where it is written down which hosts are contacted.
    pub(crate) contacts: Option<Contacts>,
}

/// Every repository there is.
pub(crate) fn repositories(
    config: &Config,
    shared: &Shared<'_>,
) -> Result<Repositories, StartError> {
    let mut upstreams = Upstreams {
        outgoing: &config.outgoing,
        shared,
        built: Vec::new(),
    };
    let own = config.proxy.upstream();
    let own = own.map(|settings| upstreams.of(settings, "proxy.remoteurl"));
    let own = own.transpose()?;
    let routes = config.proxy.routes.iter().map(|route| {
        let written = route.matching.to_string();
        let upstream = upstreams
            .of(route.upstream.clone(), &written)
            .map_err(|error| StartError::Route(written, error))?;
        Ok(Route {
            matching: route.matching.clone(),
            rewrite: route.rewrite.clone(),
            to: Mirrored::new(upstream, route.names()),
        })
    });
    let routes = routes.collect::<Result<_, StartError>>()?;
    Ok(Repositories::new(RepositoriesOptions {
        upstream: own.map(|upstream| Mirrored::new(upstream, config.proxy.names())),
        routes,
        hosted: config.hosted.repositories.clone(),
        own_names: config.own_names.clone(),
    }))
}

/// Those that were built, each for other settings.
struct Upstreams<'a> {
    outgoing: &'a OutgoingProxies,
    shared: &'a Shared<'a>,
    built: Vec<(UpstreamSettings, Upstream)>,
}

impl Upstreams<'_> {
    /// Equal settings are one upstream. Of two at the same address the later one is called after what is mirrored from it.
    fn of(
        &mut self,
        settings: UpstreamSettings,
        route: &str,
    ) -> Result<Upstream, UpstreamSetupError> {
        if let Some((_, upstream)) = self.built.iter().find(|(known, _)| *known == settings) {
            return Ok(upstream.clone());
        }
        let mut upstream = Upstream::new(self.options(&settings))?;
        let is_called = |name: &str| self.built.iter().any(|(_, other)| other.host() == name);
        if is_called(upstream.host()) {
            let called = format!("{} ({route})", upstream.host());
            upstream = Upstream::new(UpstreamOptions {
                called: Some(called),
                ..self.options(&settings)
            })?;
        }
        self.built.push((settings, upstream.clone()));
        Ok(upstream)
    }

    fn options(&self, settings: &UpstreamSettings) -> UpstreamOptions {
        let outgoing = self.outgoing;
        let alternates = settings.alternates.iter();
        let identity = settings.client_identity.as_ref();
        UpstreamOptions {
            alternates: alternates.map(|remote| remote.url.clone()).collect(),
            client_identity: identity.map(|identity| ClientIdentity {
                certificate: identity.certificate.clone(),
                key: identity.key.clone(),
            }),
            credentials: credentials(settings),
            ca_files: settings.ca_files.clone(),
            insecure: settings.insecure,
            realms: settings.realms.clone(),
            https_proxy: outgoing.https.as_ref().map(|proxy| proxy.url().to_string()),
            http_proxy: outgoing.http.as_ref().map(|proxy| proxy.url().to_string()),
            no_proxy: outgoing.except.clone(),
            budget: self.shared.budget.clone(),
            pseudonym: self.shared.pseudonym.clone(),
            contacts: self.shared.contacts.clone(),
            ..UpstreamOptions::new(settings.remote.url.clone())
        }
    }
}

fn credentials(settings: &UpstreamSettings) -> CredentialSource {
    let source = |text: &CredentialText| match text {
        CredentialText::Inline(secret) => SecretSource::Inline(secret.clone()),
        CredentialText::File(path) => SecretSource::file(path),
    };
    match (&settings.exec, &settings.credentials) {
        (Some(exec), _) => CredentialSource::command(&exec.command, exec.lifetime),
        (None, None) => CredentialSource::None,
        (None, Some(given)) => CredentialSource::Given {
            username: source(&given.username),
            password: source(&given.password),
        },
    }
}
