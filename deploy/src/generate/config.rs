//! `config.toml` of one device: what a hierarchy needs, in the operator's own file if there is one.

use toml_edit::{ArrayOfTables, DocumentMut, InlineTable, Item, Table, value};

use super::images::Images;
use super::modules::password_of;
use super::{Layer, Network, Site, Wishes};
use crate::hierarchy::{Authentication, Trouble};

/// The network that IoT Edge makes where none is named.
const NETWORK: &str = "azure-iot-edge";
const CERTIFICATES: &str = "/var/aziot/certs";
const KEYS: &str = "/var/aziot/secrets";

/// The operator's own `config.toml`; empty where there is none.
pub(super) struct Template {
    document: DocumentMut,
    is_empty: bool,
}

impl Template {
    pub(super) fn read(text: &str) -> Result<Self, Trouble> {
        let document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            let start = error.span().map_or(0, |span| span.start);
            let before = text.get(..start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            Trouble::new(
                0,
                format!(
                    "line {line} of the template is not TOML: {}",
                    error.message()
                ),
                "mend the template, or leave it out",
            )
        })?;
        Ok(Self {
            document,
            is_empty: text.trim().is_empty(),
        })
    }

    /// The network that modules are joined to.
    pub(super) fn network_name(&self) -> &str {
        let network = self.get(&["moby_runtime", "network"]);
        let named = network.and_then(|network| network.as_str());
        let inside = || self.get(&["moby_runtime", "network", "name"])?.as_str();
        named
            .or_else(inside)
            .filter(|name| !name.is_empty())
            .unwrap_or(NETWORK)
    }

    fn get(&self, path: &[&str]) -> Option<&Item> {
        path.iter()
            .try_fold(self.document.as_item(), |item, key| item.get(key))
    }
}

/// The text for one device; none where its hostname is not known.
pub(super) fn write(
    site: &Site,
    wishes: &Wishes,
    images: &Images,
    template: &Template,
) -> Option<String> {
    let hostname = site.hostname.as_deref()?;
    let mut document = template.document.clone();
    document["hostname"] = value(hostname);
    match &site.parent_hostname {
        Some(parent) => document["parent_hostname"] = value(parent),
        None => drop(document.remove("parent_hostname")),
    }
    if template.get(&["trust_bundle_cert"]).is_none() {
        document["trust_bundle_cert"] = value(format!("file://{}", wishes.trust_bundle));
    }
    if template.get(&["provisioning"]).is_none() {
        provisioning(&mut document, site);
    }
    edge_ca(&mut document, site);
    agent(&mut document, site, wishes, images);
    if let Some(network) = wishes.network.as_ref().filter(|_| site.has_cache(wishes)) {
        let name = template.network_name();
        moby_runtime(&mut document, name, network);
    }
    Some(format!("{}{document}", header(site, template)))
}

/// The section of that name, made where there is none. Always there.
fn table<'a>(parent: &'a mut Table, name: &str) -> Option<&'a mut Table> {
    let item = parent.entry(name).or_insert(Item::None);
    if !item.is_table() {
        // `agent = { … }` is the same thing in one line.
        let written = item.as_inline_table().cloned();
        let mut section = written.map_or_else(Table::new, InlineTable::into_table);
        section.decor_mut().set_prefix("\n");
        *item = Item::Table(section);
    }
    item.as_table_mut()
}

fn edge_ca(document: &mut DocumentMut, site: &Site) {
    let Some(section) = table(document.as_table_mut(), "edge_ca") else {
        return;
    };
    // Whoever has it issued, or keeps it elsewhere, has said so. One that the device makes itself belongs to no hierarchy.
    if section.contains_key("method") || section.contains_key("cert") {
        return;
    }
    section.remove("auto_generated_edge_ca_expiry_days");
    let id = file_name(&site.id);
    section["cert"] = value(format!("file://{CERTIFICATES}/{id}-edge-ca-full-chain.pem"));
    section["pk"] = value(format!("file://{KEYS}/{id}-edge-ca.key.pem"));
}

/// Ids may hold what a URL may not.
fn file_name(id: &str) -> String {
    id.replace(
        |c: char| !c.is_ascii_alphanumeric() && !"-._".contains(c),
        "_",
    )
}

fn provisioning(document: &mut DocumentMut, site: &Site) {
    let Some(hub) = &site.hub_hostname else {
        return;
    };
    let Some(section) = table(document.as_table_mut(), "provisioning") else {
        return;
    };
    section["source"] = value("manual");
    section["iothub_hostname"] = value(hub);
    section["device_id"] = value(&site.id);
    let Some(proof) = table(section, "authentication") else {
        return;
    };
    match site.authentication {
        Authentication::SymmetricKey => {
            proof["method"] = value("sas");
            let mut key = InlineTable::new();
            key.insert("value", format!("<primary key of {}>", site.id).into());
            proof["device_id_pk"] = value(key);
        }
        Authentication::Certificate => {
            let id = file_name(&site.id);
            proof["method"] = value("x509");
            proof["identity_cert"] = value(format!("file://{CERTIFICATES}/{id}-identity.pem"));
            proof["identity_pk"] = value(format!("file://{KEYS}/{id}-identity.key.pem"));
        }
    }
}

fn agent(document: &mut DocumentMut, site: &Site, wishes: &Wishes, images: &Images) {
    let Some(section) = table(document.as_table_mut(), "agent") else {
        return;
    };
    for (key, usual) in [("name", "edgeAgent"), ("type", "docker")] {
        if !section.contains_key(key) {
            section[key] = value(usual);
        }
    }
    let Some(config) = table(section, "config") else {
        return;
    };
    config["image"] = value(&images.first_agent);
    let Some((address, login)) = site.login(wishes) else {
        return;
    };
    let host = images.first_agent.split('/').next().unwrap_or_default();
    let address = match site.layer {
        // Only what comes from the registry that wants a login gets one.
        Layer::Top if host != address => return,
        Layer::Top => address,
        Layer::Lower | Layer::Bottom => host.to_owned(),
    };
    let Some(auth) = table(config, "auth") else {
        return;
    };
    auth["serveraddress"] = value(&address);
    auth["username"] = value(login.username);
    auth["password"] = value(login.password.unwrap_or_else(|| password_of(&address)));
}

fn moby_runtime(document: &mut DocumentMut, name: &str, network: &Network) {
    let Some(section) = table(document.as_table_mut(), "moby_runtime") else {
        return;
    };
    if !section.contains_key("uri") {
        section["uri"] = value("unix:///var/run/docker.sock");
    }
    let mut addresses = Table::new();
    addresses["subnet"] = value(network.subnet().to_string());
    addresses["gateway"] = value(network.gateway().to_string());
    addresses["ip_range"] = value(network.dynamic().to_string());
    let mut list = ArrayOfTables::new();
    list.push(addresses);
    let mut ipam = Table::new();
    ipam.set_implicit(true);
    ipam["config"] = Item::ArrayOfTables(list);
    let mut described = Table::new();
    described["name"] = value(name);
    if network.subnet().addr().is_ipv6() {
        described["ipv6"] = value(true);
    }
    described["ipam"] = Item::Table(ipam);
    section["network"] = Item::Table(described);
}

fn header(site: &Site, template: &Template) -> String {
    let mut lines = vec![
        format!("# {} ({} layer)", site.id, site.layer.as_str()),
        "#".to_owned(),
    ];
    if template.is_empty {
        lines.push("# On the device: merge into /etc/aziot/config.toml. The keys without a section go to its very beginning,".to_owned());
        lines.push(
            "# a section takes the place of the one of the same name; all others stay.".to_owned(),
        );
    } else {
        lines.push("# On the device: this is the whole of /etc/aziot/config.toml.".to_owned());
    }
    lines.push(
        "# The files that are named below have to be there first. Then: sudo iotedge config apply"
            .to_owned(),
    );
    lines.push(String::new());
    lines.push(String::new());
    lines.join("\n")
}
