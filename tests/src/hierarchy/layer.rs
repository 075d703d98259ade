//! One gateway of a hierarchy: the API proxy, and a Cistern where it has one.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::disk::Disk;
use super::names::NameServer;
use super::namespace::Namespace;
use super::place::Place;
use crate::api_proxy::{ApiProxy, MODULE, Route, Setup};
use crate::certificates::Authority;
use crate::registry::{Registry, RegistryBuilder};

/// Where children find every gateway: the same port in every layer, as the API proxy wants it.
pub const PORT: u16 = 443;
/// Where a Cistern listens in its layer: the proxy reaches it, and nobody from outside.
const REGISTRY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 5);
/// What the module is called in the network of its layer.
const REGISTRY_NAME: &str = "registry";
const REGISTRY_PORT: u16 = 5000;

/// The gateway.
#[derive(Debug)]
pub struct Layer {
    /// Its host name.
    pub hostname: String,
    /// Its Cistern, if it has one.
    pub cache: Option<Registry>,
    /// Its API proxy.
    pub proxy: ApiProxy,
    /// Its network.
    pub namespace: Namespace,
    disk: Option<Arc<Disk>>,
    _names: NameServer,
}

/// What a gateway is made of.
pub(super) struct Parts<'a> {
    pub(super) hostname: &'a str,
    /// Where its children reach it.
    pub(super) address: Ipv4Addr,
    pub(super) namespace: &'a Namespace,
    pub(super) authority: &'a Authority,
    /// A Cistern that has been told its upstream, if the layer has one.
    pub(super) cache: Option<RegistryBuilder>,
    pub(super) disk: Option<Arc<Disk>>,
    /// The host name of the layer above, if that is a gateway too.
    pub(super) parent: Option<&'a str>,
}

impl Layer {
    pub(super) async fn start(parts: Parts<'_>) -> Self {
        let (namespace, hostname) = (parts.namespace, parts.hostname);
        namespace.know(REGISTRY_NAME, REGISTRY);
        let names = namespace.serve_names();
        let cache = match parts.cache {
            Some(cache) => {
                let place = match &parts.disk {
                    Some(disk) => Place::on(namespace, disk),
                    None => Place::new(namespace),
                };
                let address = SocketAddr::from((REGISTRY, REGISTRY_PORT));
                Some(cache.address(address).place(&place).start().await)
            }
            None => None,
        };
        let route = match parts.parent {
            Some(parent) if cache.is_none() => Route::Parent(format!("{parent}:{PORT}")),
            _ => Route::Registry(format!("{REGISTRY_NAME}:{REGISTRY_PORT}")),
        };
        let server = parts
            .authority
            .edge_ca(hostname)
            .server(hostname, &[MODULE]);
        let proxy = ApiProxy::with(Setup {
            place: Some(Place::new(namespace)),
            address: SocketAddr::from((parts.address, PORT)),
            chain: server.chain,
            key: server.key,
            bundle: parts.authority.bundle(),
            route,
        });
        Self {
            hostname: hostname.to_owned(),
            cache,
            proxy: proxy.await,
            namespace: namespace.clone(),
            disk: parts.disk,
            _names: names,
        }
    }

    /// What children call it: `hostname:port`.
    pub fn host(&self) -> String {
        format!("{}:{PORT}", self.hostname)
    }

    /// Its Cistern.
    ///
    /// # Panics
    /// When it has none.
    pub fn cache(&self) -> &Registry {
        self.cache.as_ref().expect("a layer with a cache")
    }

    /// Pulls its plug: every program ends at once, and on a disk whose power can be cut, what was not synced is lost.
    pub async fn lose_power(&mut self) {
        if let (Some(disk), Some(cache)) = (&self.disk, &self.cache) {
            disk.cut_power(cache.id());
        }
        self.namespace.kill_all();
        self.proxy.kill();
        if let Some(cache) = &mut self.cache {
            cache.kill();
        }
        if let Some(disk) = &self.disk {
            disk.is_free().await;
        }
    }

    /// Plugs it in again.
    pub async fn start_again(&mut self) {
        if let Some(cache) = &mut self.cache {
            cache.start().await;
        }
        self.proxy.start().await;
    }
}
