//! Registries as people name them, and whether two names mean the same one.

use crate::image::UPSTREAM;

/// Docker Hub, as docker calls it in an image name.
pub(super) const DOCKER_HUB: &str = "docker.io";
/// Docker Hub's address in credentials: edgeAgent looks for exactly this one.
pub(super) const DOCKER_HUB_ADDRESS: &str = "https://index.docker.io/v1/";

const DOCKER_HUB_NAMES: [&str; 5] = [
    DOCKER_HUB,
    "index.docker.io",
    "registry-1.docker.io",
    "registry.hub.docker.com",
    "hub.docker.com",
];

/// Whether two names, addresses or URLs mean the same registry: scheme, path, capitals and port 443 do not matter.
pub fn is_same_registry(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

/// A registry's name alone, in the form in which names are compared.
pub(super) fn plain(registry: &str) -> String {
    let host = host_of(registry);
    let host = host.strip_suffix(":443").unwrap_or(host).to_lowercase();
    if DOCKER_HUB_NAMES.contains(&host.as_str()) {
        return DOCKER_HUB.to_owned();
    }
    host
}

/// What stands between scheme and path.
pub(super) fn host_of(address: &str) -> &str {
    let address = address.trim();
    let after_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
    after_scheme.split('/').next().unwrap_or(after_scheme)
}

/// Whether the name means the device itself: its own registry, that no parent has.
pub(super) fn is_local(registry: &str) -> bool {
    let host = plain(registry);
    let name = host.split(':').next().unwrap_or(&host);
    name == "localhost" || name.starts_with("127.") || host.starts_with("[::1]")
}

pub(super) fn is_upstream(registry: &str) -> bool {
    host_of(registry).starts_with(UPSTREAM)
}
