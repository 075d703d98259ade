//! The modules a hierarchy rests on, as a manifest has them: API proxies and registries, and what they listen on.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::manifest::{Module, Variable};
use crate::{ImageName, Manifest};

/// The program a registry module runs, told by its image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// Cistern.
    Cistern,
    /// CNCF Distribution, or one of its many copies.
    Distribution,
}

/// A module that is a registry.
#[derive(Clone, Debug)]
pub struct RegistryModule<'a> {
    /// The module.
    pub module: &'a Module,
    /// What it runs.
    pub program: Program,
    /// The port it listens on in its container.
    pub port: u16,
}

/// The registry modules of a manifest: by their image, or because they have settings of one.
pub fn registry_modules(manifest: &Manifest) -> Vec<RegistryModule<'_>> {
    manifest.modules.iter().filter_map(registry).collect()
}

fn registry(module: &Module) -> Option<RegistryModule<'_>> {
    let image = image_of(module);
    let short = image.as_ref().map_or("", ImageName::short_name);
    let is_named = matches!(
        short,
        "registry" | "distribution" | "docker-registry" | "cistern"
    ) || short.starts_with("cistern-");
    let has_settings = module
        .env
        .iter()
        .any(|variable| variable.name.starts_with("REGISTRY_PROXY_"));
    (is_named || has_settings).then(|| RegistryModule {
        module,
        program: if short.contains("cistern") || module.name.to_lowercase().contains("cistern") {
            Program::Cistern
        } else {
            Program::Distribution
        },
        port: listening_port(module),
    })
}

fn listening_port(module: &Module) -> u16 {
    value_of(module, "REGISTRY_HTTP_ADDR")
        .and_then(|address| address.rsplit_once(':')?.1.parse().ok())
        .unwrap_or(5000)
}

/// An API proxy.
#[derive(Clone, Debug)]
pub(super) struct Proxy<'a> {
    pub(super) module: &'a Module,
    /// NGINX_DEFAULT_PORT; the module's default without it.
    pub(super) port: u16,
    /// DOCKER_REQUEST_ROUTE_ADDRESS, when it is set.
    pub(super) route: Option<&'a Variable>,
    /// Whether its twin brings a configuration of its own, of which nothing is known.
    pub(super) is_customized: bool,
}

/// The API proxy of a manifest.
pub(super) fn proxy(manifest: &Manifest) -> Option<Proxy<'_>> {
    let module = manifest.modules.iter().find(|module| is_proxy(module))?;
    let twin = manifest
        .twins
        .iter()
        .find(|twin| twin.module == module.name);
    Some(Proxy {
        module,
        port: value_of(module, "NGINX_DEFAULT_PORT")
            .and_then(|port| port.trim().parse().ok())
            .unwrap_or(8000),
        route: module
            .variable("DOCKER_REQUEST_ROUTE_ADDRESS")
            .filter(|route| !route.value.as_text().trim().is_empty()),
        is_customized: twin.is_some_and(|twin| twin.desired.get("proxy_config").is_some()),
    })
}

fn is_proxy(module: &Module) -> bool {
    module.name.eq_ignore_ascii_case("IoTEdgeAPIProxy")
        || module.variable("NGINX_DEFAULT_PORT").is_some()
        || image_of(module).is_some_and(|image| image.short_name() == "azureiotedge-api-proxy")
}

/// The image of a module, if it can be read.
pub(super) fn image_of(module: &Module) -> Option<ImageName> {
    ImageName::parse(module.image.as_ref()?.value.trim()).ok()
}

/// A variable's text, unless it is blank.
pub(super) fn value_of(module: &Module, name: &str) -> Option<String> {
    let text = module.variable(name)?.value.as_text();
    (!text.trim().is_empty()).then_some(text)
}

/// A list in the environment: one variable with commas, or numbered ones.
pub(super) fn list_of(module: &Module, name: &str) -> Vec<String> {
    let is_part = |rest: &str| {
        let number = rest.strip_prefix('_');
        rest.is_empty() || number.is_some_and(|number| number.parse::<u32>().is_ok())
    };
    let variables = module.env.iter();
    let parts = variables.filter(|variable| variable.name.strip_prefix(name).is_some_and(is_part));
    let texts: Vec<String> = parts.map(|variable| variable.value.as_text()).collect();
    let items = texts.iter().flat_map(|text| text.split(',')).map(str::trim);
    items
        .filter(|item| !item.is_empty())
        .map(str::to_owned)
        .collect()
}

/// The environment as the module's program finds it.
pub(super) fn environment(module: &Module) -> BTreeMap<String, String> {
    module
        .env
        .iter()
        .map(|variable| (variable.name.clone(), variable.value.as_text()))
        .collect()
}

/// A port of a container that is bound to a port of the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Binding {
    pub(super) container: u16,
    pub(super) protocol: String,
    pub(super) host: u16,
    pub(super) address: String,
}

/// The bindings of a module. What is no binding is skipped.
pub(super) fn bindings(module: &Module) -> Vec<Binding> {
    let Some(ports) = options(module)
        .and_then(|options| options.pointer("/HostConfig/PortBindings"))
        .and_then(Value::as_object)
    else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (port, bound) in ports {
        let (number, protocol) = port.split_once('/').unwrap_or((port, "tcp"));
        let Ok(container) = number.parse() else {
            continue;
        };
        for binding in bound.as_array().into_iter().flatten() {
            let host = match binding.get("HostPort") {
                Some(Value::String(port)) => port.parse().ok(),
                Some(Value::Number(port)) => port.as_u64().and_then(|port| port.try_into().ok()),
                Some(_) | None => None,
            };
            let Some(host) = host else {
                continue;
            };
            let address = binding.get("HostIp").and_then(Value::as_str);
            found.push(Binding {
                container,
                protocol: protocol.to_lowercase(),
                host,
                address: address
                    .filter(|address| !matches!(*address, "0.0.0.0" | "::"))
                    .unwrap_or_default()
                    .to_owned(),
            });
        }
    }
    found
}

/// The create options, if they are there and can be read.
pub(super) fn options(module: &Module) -> Option<&Value> {
    module.create_options.value.as_ref()?.as_ref().ok()
}
