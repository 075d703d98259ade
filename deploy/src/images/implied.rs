//! Images that no module names, and that a device asks for all the same.

use super::{Layer, LayerImage};
use crate::manifest::Role;
use crate::{Host, ImageName};

/// The edition that is assumed when nothing says it.
const EDITION: &str = "1.5";
/// The API proxy has versions of its own.
const API_PROXY: &str = "1.1";
/// Where Microsoft's images are.
const MICROSOFT: &str = "mcr.microsoft.com";

impl Layer<'_> {
    pub(super) fn add_implied(&mut self) {
        let edition = self.edition();
        let prefix = self.prefix();
        let agent = format!("{prefix}azureiotedge-agent:{edition}");
        self.imply(
            &agent,
            "edgeAgent",
            "the device starts it from config.toml, before it knows any deployment",
        );
        let has = |role: Role| {
            self.manifest
                .modules
                .iter()
                .any(|module| module.role == role && module.image.is_some())
        };
        if !has(Role::Hub) {
            let why = if self.manifest.shape.is_layered {
                "the deployment below this layered one names it; assumed to be of the same edition"
            } else {
                "every device runs it, and this manifest names none"
            };
            let hub = format!("{prefix}azureiotedge-hub:{edition}");
            self.imply(&hub, "edgeHub", why);
        }
        if !self.names_api_proxy() {
            let proxy = format!("{prefix}azureiotedge-api-proxy:{API_PROXY}");
            let why =
                "a layer that has another one below it runs it; the bottom layer does without";
            self.imply(&proxy, "IoTEdgeAPIProxy", why);
        }
        let diagnostics = format!("azureiotedge-diagnostics:{edition}");
        self.imply_diagnostics(&diagnostics);
    }

    fn names(&self) -> impl Iterator<Item = (Role, ImageName)> {
        let images = self.manifest.images.iter();
        images.filter_map(|named| {
            let name = ImageName::parse(named.image.value.trim()).ok()?;
            Some((named.role, name))
        })
    }

    fn names_api_proxy(&self) -> bool {
        let mut names = self.names();
        names.any(|(_, name)| name.short_name().contains("api-proxy"))
    }

    /// The edition asked for, else that of the edgeAgent that is named, else the one of today.
    fn edition(&self) -> String {
        let agent = self.names().filter(|(role, _)| *role == Role::Agent).last();
        let tag = agent.and_then(|(_, name)| name.tag);
        let tag = tag.filter(|tag| is_edition(tag));
        let edition = self.options.edition.clone().or(tag);
        edition.unwrap_or_else(|| EDITION.to_owned())
    }

    /// The port of the parent, if this is a lower layer.
    fn parents_port(&self) -> Option<u16> {
        let ports = self.names().filter_map(|(_, name)| match name.host? {
            Host::Upstream { port } => Some(port.unwrap_or(443)),
            host if self.is_parent(&host) => Some(port_of(&host.to_string()).unwrap_or(443)),
            _ => None,
        });
        let credentials = self.manifest.credentials.iter();
        let addresses = credentials.filter_map(|credential| credential.address.as_ref());
        let of_addresses =
            addresses.filter_map(|address| match Host::parse(address.value.trim()) {
                Ok(Host::Upstream { port }) => Some(port.unwrap_or(443)),
                _ => None,
            });
        ports.chain(of_addresses).next()
    }

    /// What comes before the name of an image of Microsoft's on this layer.
    fn prefix(&self) -> String {
        match self.parents_port() {
            None => format!("{MICROSOFT}/"),
            Some(port) => match &self.options.parent {
                Some(parent) if port_of(parent).is_some() => format!("{parent}/"),
                Some(parent) => format!("{parent}:{port}/"),
                None => format!("$upstream:{port}/"),
            },
        }
    }

    /// `iotedge check` asks for it in a way of its own: at the parent's name, without a port.
    fn imply_diagnostics(&mut self, diagnostics: &str) {
        let why = "`iotedge check` runs it, in exactly the version of aziot-edged (see `iotedge version`)";
        if self.parents_port().is_none() {
            return self.imply(&format!("{MICROSOFT}/{diagnostics}"), "iotedge check", why);
        }
        let parent = self
            .options
            .parent
            .as_deref()
            .unwrap_or("{parent hostname}");
        let parent = parent.rsplit_once(':').map_or(parent, |(host, _)| host);
        let mut image = self.image(&format!("$upstream:443/{diagnostics}"), "iotedge check");
        image.image = format!("{parent}/{diagnostics}");
        self.push_implied(image, why);
    }

    fn imply(&mut self, image: &str, module: &str, why: &str) {
        let image = self.image(image, module);
        self.push_implied(image, why);
    }

    /// Adds an implied image, if the manifest does not name the same.
    fn push_implied(&mut self, mut image: LayerImage, why: &str) {
        let is_same =
            |known: &LayerImage| known.asked.is_some() && known.to_warm() == image.to_warm();
        if let Some(known) = self.images.iter_mut().find(|known| is_same(known)) {
            known.why = format!("{}; {why}", known.why);
            return;
        }
        image.is_implied = true;
        why.clone_into(&mut image.why);
        self.images.push(image);
    }
}

/// `1.5`, `1.5.21`, `1.2.0-rc4`: not `latest`.
fn is_edition(tag: &str) -> bool {
    let mut parts = tag.split('.');
    let is_number = |part: Option<&str>| {
        part.is_some_and(|part| {
            !part.is_empty() && part.bytes().all(|digit| digit.is_ascii_digit())
        })
    };
    let plain = tag
        .bytes()
        .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, b'.' | b'-'));
    is_number(parts.next())
        && is_number(
            parts
                .next()
                .map(|part| part.split('-').next().unwrap_or(part)),
        )
        && plain
}

fn port_of(host: &str) -> Option<u16> {
    host.rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
}
