//! What each image is called in each layer, and which registry it comes from in the end.

use super::{Layer, Site, Wishes};
use crate::hierarchy::Trouble;
use crate::image::{Host, ImageName, UPSTREAM, is_docker_hub};

/// Microsoft's registry.
pub(super) const MICROSOFT: &str = "mcr.microsoft.com";
/// What the names of the images of IoT Edge begin with.
const MICROSOFT_PREFIX: &str = "azureiotedge-";
const PROXY: &str = "azureiotedge-api-proxy:1.1";
const METRICS: &str = "azureiotedge-metrics-collector:2.0.0";
const BLOB: &str = "azure-blob-storage:latest";

/// The names of all images on one device.
pub(super) struct Images {
    pub(super) agent: String,
    pub(super) hub: String,
    pub(super) proxy: String,
    pub(super) metrics: String,
    pub(super) blob: String,
    pub(super) cistern: String,
    /// edgeAgent as `config.toml` names it.
    pub(super) first_agent: String,
}

impl Images {
    pub(super) fn of(site: &Site, wishes: &Wishes) -> Self {
        let named = |image: &str| match site.layer {
            Layer::Top => format!("{}/{image}", microsoft_host(wishes)),
            Layer::Lower | Layer::Bottom => format!("{UPSTREAM}:{}/{image}", wishes.port),
        };
        let agent = agent(wishes);
        let first_agent = match (&site.edge_agent, &site.parent_hostname) {
            // `$upstream` would do as well, except where it is read before IoT Edge knows the parent.
            (Some(image), Some(parent)) => match image.strip_prefix(UPSTREAM) {
                Some(rest) => format!("{}{rest}", in_a_url(parent)),
                None => image.clone(),
            },
            (Some(image), None) => image.clone(),
            (None, Some(parent)) => format!("{}:{}/{agent}", in_a_url(parent), wishes.port),
            (None, None) => named(&agent),
        };
        let cistern = match site.layer {
            Layer::Top => wishes.cistern(),
            Layer::Lower | Layer::Bottom => named(&asked(&wishes.cistern())),
        };
        Self {
            agent: named(&agent),
            hub: named(&format!("azureiotedge-hub:{}", wishes.edition.as_str())),
            proxy: named(PROXY),
            metrics: named(METRICS),
            blob: named(BLOB),
            cistern,
            first_agent,
        }
    }
}

fn agent(wishes: &Wishes) -> String {
    format!("azureiotedge-agent:{}", wishes.edition.as_str())
}

/// An address of IPv6 stands between brackets where a port may follow.
fn in_a_url(host: &str) -> String {
    match host.parse::<std::net::Ipv6Addr>() {
        Ok(_) => format!("[{host}]"),
        Err(_) => host.to_owned(),
    }
}

fn microsoft_host(wishes: &Wishes) -> &str {
    if wishes.is_microsoft_asked() {
        MICROSOFT
    } else {
        &wishes.registry.host
    }
}

/// `repository:tag`, as a registry is asked for an image.
fn asked(image: &str) -> String {
    ImageName::parse(image).map_or_else(|_| image.to_owned(), |name| name.asked())
}

/// The images that children need before and while they start, by the names under which they ask for them.
fn needed(wishes: &Wishes) -> Vec<String> {
    let edition = wishes.edition.as_str();
    let mut images = vec![
        agent(wishes),
        format!("azureiotedge-hub:{edition}"),
        PROXY.to_owned(),
        format!("azureiotedge-diagnostics:{edition}"),
    ];
    if wishes.metrics.is_some() {
        images.push(METRICS.to_owned());
    }
    images.push(asked(&wishes.cistern()));
    images.extend(wishes.previous_image.as_deref().map(asked));
    images
}

/// What is fetched ahead and kept, as children write it. A name without a host would be one of Docker Hub's to docker.
pub(super) fn bootstrap(wishes: &Wishes) -> Vec<String> {
    let as_children_write = |image: &String| match ImageName::parse(image) {
        Ok(ImageName { host: Some(_), .. }) | Err(_) => image.clone(),
        Ok(_) => format!("{UPSTREAM}:{}/{image}", wishes.port),
    };
    let mut once = Vec::new();
    for image in needed(wishes).iter().chain(&wishes.bootstrap) {
        let image = as_children_write(image);
        if !once.contains(&image) {
            once.push(image);
        }
    }
    once
}

/// Repositories that come from another registry than the one that is cached.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Route {
    /// Which of the two keys says it: `PREFIX` or `PATTERN`.
    pub(super) key: &'static str,
    pub(super) repositories: String,
    pub(super) url: String,
}

/// The routes of a Cistern in the top layer.
pub(super) fn routes(wishes: &Wishes) -> Vec<Route> {
    let mut routes = Vec::new();
    if wishes.is_microsoft_asked() && wishes.registry.host != MICROSOFT {
        routes.push(Route {
            key: "PREFIX",
            repositories: MICROSOFT_PREFIX.to_owned(),
            url: format!("https://{MICROSOFT}"),
        });
    }
    for (repository, host) in elsewhere(wishes) {
        let url = match host.as_str() {
            hub if is_docker_hub(hub) => "https://registry-1.docker.io".to_owned(),
            host => format!("https://{host}"),
        };
        let route = Route {
            key: "PATTERN",
            repositories: repository,
            url,
        };
        if !routes.contains(&route) {
            routes.push(route);
        }
    }
    routes
}

/// Cistern's own images where they are in another registry than the one that is cached: repository and host.
fn elsewhere(wishes: &Wishes) -> Vec<(String, String)> {
    let images = [Some(wishes.cistern()), wishes.previous_image.clone()];
    let mut found = Vec::new();
    for image in images.into_iter().flatten() {
        let Ok(name) = ImageName::parse(&image) else {
            continue;
        };
        let host = match &name.host {
            None => "docker.io".to_owned(),
            Some(Host::Named(host)) => host.to_lowercase(),
            Some(Host::Upstream { .. } | Host::Placeholder(_)) => continue,
        };
        if host != wishes.registry.host {
            found.push((name.repository_at_host(), host));
        }
    }
    found
}

/// The same repository in two registries: only one of them could be asked for it.
pub(super) fn ambiguous(wishes: &Wishes) -> Option<Trouble> {
    let previous = ImageName::parse(wishes.previous_image.as_deref()?).ok()?;
    let current = ImageName::parse(&wishes.cistern()).ok()?;
    let is_one_repository = previous.repository_at_host() == current.repository_at_host();
    if !is_one_repository || previous.host == current.host {
        return None;
    }
    let what = format!(
        "{current} and {previous} are one repository in two registries, and Cistern asks one for each repository"
    );
    Some(Trouble::new(
        0,
        what,
        "copy one of the two beside the other, and name it there",
    ))
}

/// What has to be in the registry that is cached, although it is Microsoft's.
pub(super) fn to_import(wishes: &Wishes) -> Vec<String> {
    if wishes.is_microsoft_asked() {
        return Vec::new();
    }
    let mut images = needed(wishes);
    images.retain(|image| image.starts_with(MICROSOFT_PREFIX));
    if wishes.has_blob_storage {
        images.push(BLOB.to_owned());
    }
    images
}
