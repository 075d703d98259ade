//! Where an upstream is and what its things are called there. Knows Docker Hub's several names; dials nobody.

use std::sync::Arc;

use cistern_oci::{Endpoint, RepositoryName, Resource};
use url::Url;

use super::UpstreamSetupError;

/// The address of an upstream.
#[derive(Clone, Debug)]
pub(super) struct Address {
    /// Scheme, host, port and, as its path, the prefix without a slash at its end.
    base: Url,
    label: Arc<str>,
    is_hub: bool,
}

const HUB: &str = "registry-1.docker.io";
/// The name under which `docker login` keeps what it is told for Docker Hub.
const HUB_SERVER: &str = "https://index.docker.io/v1/";
const HUB_NAMES: [&str; 3] = ["docker.io", "index.docker.io", HUB];

impl Address {
    /// Checks a configured address. The names of Docker Hub all become the one that answers.
    pub(super) fn new(url: &Url) -> Result<Self, UpstreamSetupError> {
        let refuse = |why: &str| Err(UpstreamSetupError::Url(why.to_owned()));
        if !matches!(url.scheme(), "http" | "https") {
            return refuse("neither http:// nor https://");
        }
        let Some(host) = url.host_str().filter(|host| !host.is_empty()) else {
            return refuse("names no host");
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse("user and password belong into proxy.username and proxy.password");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("has a query or a fragment");
        }
        let is_hub = url.port().is_none() && HUB_NAMES.contains(&host.trim_end_matches('.'));
        let mut base = if is_hub { hub(url)? } else { url.clone() };
        let prefix = base.path().trim_end_matches('/').to_owned();
        base.set_path(&prefix);
        Ok(Self {
            label: host_and_port(&base),
            base,
            is_hub,
        })
    }

    /// The upstream's own address.
    pub(super) fn url(&self) -> &Url {
        &self.base
    }

    /// For messages.
    pub(super) fn label(&self) -> &Arc<str> {
        &self.label
    }

    /// Host, port and prefix: no two registries have the same.
    pub(super) fn name(&self) -> Arc<str> {
        match self.base.path().trim_end_matches('/') {
            "" => Arc::clone(&self.label),
            prefix => format!("{}{prefix}", self.label).into(),
        }
    }

    /// What credential helpers know it as.
    pub(super) fn server(&self) -> &str {
        if self.is_hub { HUB_SERVER } else { &self.label }
    }

    /// Where something of a repository is found.
    pub(super) fn of(&self, repository: &RepositoryName, resource: Resource) -> Url {
        let endpoint = Endpoint {
            repository: self.name_there(repository),
            resource,
        };
        self.at(&endpoint.to_string())
    }

    /// The address that only tells whether one may come in.
    pub(super) fn ping(&self) -> Url {
        self.at("/v2/")
    }

    /// The repository's name as the upstream knows it: official images of Docker Hub live below `library/`.
    pub(super) fn name_there(&self, repository: &RepositoryName) -> RepositoryName {
        let official = self.is_hub && !repository.as_str().contains('/');
        let full = official
            .then(|| format!("library/{repository}").parse().ok())
            .flatten();
        full.unwrap_or_else(|| repository.clone())
    }

    fn at(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }
}

fn hub(given: &Url) -> Result<Url, UpstreamSetupError> {
    let address = format!("https://{HUB}{}", given.path());
    Url::parse(&address).map_err(|error| UpstreamSetupError::Url(error.to_string()))
}

/// `host`, or `host:port` where the port is not the scheme's own.
pub(super) fn host_and_port(url: &Url) -> Arc<str> {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.into(), |port| format!("{host}:{port}").into())
}

/// Same scheme, host and port: the one place where what was meant for one may be shown to the other.
pub(super) fn same_place(one: &Url, other: &Url) -> bool {
    one.scheme() == other.scheme()
        && one.host() == other.host()
        && one.port_or_known_default() == other.port_or_known_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cistern_oci::Reference;

    fn manifest(upstream: &str, repository: &str) -> String {
        let address = Address::new(&Url::parse(upstream).unwrap()).unwrap();
        let latest = Resource::Manifest("latest".parse::<Reference>().unwrap());
        address.of(&repository.parse().unwrap(), latest).to_string()
    }

    #[test]
    fn docker_hub_has_one_address_and_a_library() {
        for name in [
            "https://docker.io",
            "https://index.docker.io/",
            "http://registry-1.docker.io",
            "https://DOCKER.io:443",
        ] {
            let address = Address::new(&Url::parse(name).unwrap()).unwrap();
            assert_eq!(&**address.label(), "registry-1.docker.io");
            assert_eq!(
                manifest(name, "alpine"),
                "https://registry-1.docker.io/v2/library/alpine/manifests/latest"
            );
            assert_eq!(
                manifest(name, "a/b"),
                "https://registry-1.docker.io/v2/a/b/manifests/latest"
            );
        }
    }

    #[test]
    fn other_upstreams_keep_names_ports_and_prefixes() {
        assert_eq!(
            manifest("http://127.0.0.1:5001", "alpine"),
            "http://127.0.0.1:5001/v2/alpine/manifests/latest"
        );
        assert_eq!(
            manifest("https://h.example/a/b/", "c/d"),
            "https://h.example/a/b/v2/c/d/manifests/latest"
        );
    }

    #[test]
    fn an_unusable_address_is_refused_without_repeating_its_secrets() {
        for bad in [
            "ftp://h",
            "https://rain:pencil@h.example",
            "https://h.example/?x=pencil",
        ] {
            let said = Address::new(&Url::parse(bad).unwrap())
                .unwrap_err()
                .to_string();
            assert!(
                said.starts_with("proxy.remoteurl: ") && !said.contains("pencil"),
                "{said}"
            );
        }
    }
}
