//! The devices for which something is generated, from a hierarchy or from a few words.

use std::net::IpAddr;

use super::{Login, Wishes};
use crate::hierarchy::{Authentication, ContainerAuth, Device, Hierarchy, Trouble};
use crate::image::UPSTREAM;

/// The longest common name that a certificate of a server can have is 64 characters.
const LONGEST_HOSTNAME: usize = 63;

/// Where a device stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// Connected to the cloud, without a parent.
    Top,
    /// With a parent and children.
    Lower,
    /// With a parent and no children: it needs no API proxy.
    Bottom,
}

impl Layer {
    /// The word for it: `top`, `lower`, `bottom`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Top => "top",
            Self::Lower => "lower",
            Self::Bottom => "bottom",
        }
    }

    /// Whether children come through its API proxy.
    pub(super) const fn has_proxy(self) -> bool {
        matches!(self, Self::Top | Self::Lower)
    }
}

/// One device, with all that differs between devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its id, which names its certificates too.
    pub id: String,
    /// Its layer.
    pub layer: Layer,
    /// The name or address by which children find it; without it there is no `config.toml`.
    pub hostname: Option<String>,
    /// That of its parent.
    pub parent_hostname: Option<String>,
    /// The image of edgeAgent to start with, if not the usual one.
    pub edge_agent: Option<String>,
    /// With what it logs in where it pulls its images.
    pub auth: Option<ContainerAuth>,
    /// The IoT hub, if it shall be named in `config.toml`.
    pub hub_hostname: Option<String>,
    /// How it proves to the hub who it is.
    pub authentication: Authentication,
    /// Its line in the hierarchy file; 0: there is none.
    pub line: usize,
    /// What the hierarchy file says of it that is not followed.
    pub ignored: Vec<Trouble>,
}

impl Site {
    /// A device of which nothing is known but its layer.
    pub fn new(id: impl Into<String>, layer: Layer) -> Self {
        Self {
            id: id.into(),
            layer,
            hostname: None,
            parent_hostname: None,
            edge_agent: None,
            auth: None,
            hub_hostname: None,
            authentication: Authentication::default(),
            line: 0,
            ignored: Vec::new(),
        }
    }

    /// All devices of a hierarchy, each after its parent.
    ///
    /// # Errors
    ///
    /// Devices without a hostname: neither their own `config.toml` nor those of their children could be written.
    pub fn of_hierarchy(hierarchy: &Hierarchy) -> Result<Vec<Self>, Vec<Trouble>> {
        let nameless: Vec<_> = hierarchy
            .devices
            .iter()
            .filter(|device| device.hostname.is_none())
            .map(|device| {
                Trouble::new(
                    device.line,
                    format!("`{}` has no hostname", device.id),
                    "write `hostname: …`: its full name (or its address) in the network, by which its children find it",
                )
            })
            .collect();
        if nameless.is_empty() {
            let sites = hierarchy.devices.iter();
            Ok(sites.map(|device| Self::of(device, hierarchy)).collect())
        } else {
            Err(nameless)
        }
    }

    fn of(device: &Device, hierarchy: &Hierarchy) -> Self {
        let parent = hierarchy.parent_of(device);
        let layer = match (parent, device.children.is_empty()) {
            (None, _) => Layer::Top,
            (Some(_), false) => Layer::Lower,
            (Some(_), true) => Layer::Bottom,
        };
        let mut ignored = Vec::new();
        if let Some(deployment) = &device.deployment {
            let what = format!(
                "the modules of {} are not taken over into what is generated for `{}`",
                deployment.text, device.id
            );
            let fix = "add them to the generated manifest, or deploy them as a layered deployment above it";
            ignored.push(Trouble::new(deployment.line, what, fix));
        }
        let agent = device.edge_agent.as_ref().or(hierarchy.edge_agent.as_ref());
        let mut edge_agent = agent.map(|agent| agent.text.clone());
        if let (Layer::Top, Some(agent)) = (layer, agent)
            && agent.text.starts_with(UPSTREAM)
        {
            if device.edge_agent.is_some() {
                let what = format!(
                    "`{}` has no parent, so {} is nothing it could pull",
                    device.id, agent.text
                );
                let fix = "name an image with the host of its registry, or leave the key out";
                ignored.push(Trouble::new(agent.line, what, fix));
            }
            edge_agent = None;
        }
        Self {
            id: device.id.clone(),
            layer,
            hostname: device.hostname.clone(),
            parent_hostname: parent.and_then(|parent| parent.hostname.clone()),
            edge_agent,
            auth: device.auth.clone(),
            hub_hostname: hierarchy.hub.hostname.clone(),
            authentication: hierarchy.hub.authentication,
            line: device.line,
            ignored,
        }
    }

    /// Whether a Cistern runs on it.
    pub(super) fn has_cache(&self, wishes: &Wishes) -> bool {
        match self.layer {
            Layer::Top => true,
            Layer::Lower => wishes.is_cached_everywhere,
            Layer::Bottom => false,
        }
    }

    /// With what it logs in where it pulls its images, and for whom: the host and port as they stand in front of images.
    pub(super) fn login(&self, wishes: &Wishes) -> Option<(String, Login)> {
        let own = self.auth.as_ref().map(|auth| Login {
            username: auth.username.clone(),
            password: auth.password.clone(),
        });
        match self.layer {
            Layer::Top => {
                let login = wishes.login.clone().or(own)?;
                let address = self.auth.as_ref().and_then(|auth| auth.address.clone());
                let host = match (&wishes.login, address) {
                    (None, Some(address)) => address,
                    _ => wishes.registry.host.clone(),
                };
                Some((host, login))
            }
            Layer::Lower | Layer::Bottom => Some((format!("{UPSTREAM}:{}", wishes.port), own?)),
        }
    }
}

/// What cannot be so.
pub(super) fn troubles(sites: &[Site]) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for site in sites {
        for (name, whose) in [
            (&site.hostname, "hostname"),
            (&site.parent_hostname, "hostname of the parent"),
        ] {
            let Some(why) = name.as_deref().and_then(no_hostname) else {
                continue;
            };
            let what = format!(
                "`{}` cannot be the {whose} of `{}`: {why}",
                name.as_deref().unwrap_or_default(),
                site.id
            );
            let fix = "write a full name such as gateway.plant.example, or an address";
            troubles.push(Trouble::new(site.line, what, fix));
        }
        let is_below = site.layer != Layer::Top;
        if is_below && site.hostname.is_some() && site.parent_hostname.is_none() {
            let what = format!("the hostname of the parent of `{}` is not known", site.id);
            let fix = "add --parent NAME: without it there is no way up";
            troubles.push(Trouble::new(site.line, what, fix));
        }
        if site.layer == Layer::Top && site.parent_hostname.is_some() {
            let what = format!("`{}` is in the top layer and has a parent", site.id);
            troubles.push(Trouble::new(site.line, what, "leave one of the two out"));
        }
    }
    // A wrong name is wrong as the parent of each child too; said once is enough.
    troubles.dedup_by(|second, first| first.what == second.what);
    troubles
}

fn no_hostname(name: &str) -> Option<String> {
    if name.parse::<IpAddr>().is_ok() {
        return None;
    }
    if name.len() > LONGEST_HOSTNAME {
        return Some(format!(
            "it has {} characters, and a certificate has room for {LONGEST_HOSTNAME}",
            name.len()
        ));
    }
    let is_label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    let is_name = name.split('.').all(is_label);
    (!is_name).then(|| "it is neither a name nor an address".to_owned())
}

/// What works, and may not be what was meant.
pub(super) fn warnings(sites: &[Site]) -> Vec<Trouble> {
    let mut warnings: Vec<_> = sites.iter().flat_map(|site| site.ignored.clone()).collect();
    let is_address = |site: &&Site| {
        let name = site.hostname.as_deref();
        name.is_some_and(|name| name.parse::<IpAddr>().is_ok())
    };
    let named = || sites.iter().filter(|site| site.hostname.is_some());
    if let (Some(address), Some(name)) = (
        named().find(is_address),
        named().find(|site| !is_address(site)),
    ) {
        let what = format!(
            "`{}` is called by an address and `{}` by a name",
            address.id, name.id
        );
        let fix = "use addresses everywhere or names everywhere, as IoT Edge asks for";
        warnings.push(Trouble::new(address.line.max(name.line), what, fix));
    }
    for site in named().filter(|site| site.layer.has_proxy()) {
        let name = site.hostname.as_deref().unwrap_or_default();
        if !name.contains(['.', ':']) {
            let what = format!("`{name}`, the hostname of `{}`, is a single word", site.id);
            let fix = "write its full name: without a dot `iotedge check` looks on Docker Hub for what it pulls from there";
            warnings.push(Trouble::new(site.line, what, fix));
        }
    }
    warnings
}
