//! The API proxy: its ports, its name, and the way from it to the registry module.

use super::layers::{Layer, Layers};
use super::parts::{self, Proxy};
use super::report::{Report, Spot};
use super::rules;
use crate::Severity;
use crate::manifest::Variable;

const ROUTE: &str = "DOCKER_REQUEST_ROUTE_ADDRESS";

pub(super) fn check(layer: &Layer<'_>, layers: &Layers<'_>, report: &mut Report) {
    connected_registry(layer, report);
    let Some(proxy) = &layer.proxy else {
        if layer.has_children == Some(true) && !layer.manifest.shape.is_layered {
            report.add(
                rules::PROXY_MISSING,
                Spot::whole(layer.file),
                "this layer has children and no API proxy",
                "add the module IoTEdgeAPIProxy (azureiotedge-api-proxy) with NGINX_DEFAULT_PORT=443 and port 443 bound",
            );
        }
        return;
    };
    bound(layer, proxy, report);
    route(layer, proxy, report);
    if let Some((parent, above)) = layers
        .parent_of(layer)
        .and_then(|parent| Some((parent, parent.proxy.as_ref()?)))
    {
        alike(layer, proxy, parent, above, report);
    }
}

fn bound(layer: &Layer<'_>, proxy: &Proxy<'_>, report: &mut Report) {
    if parts::options(proxy.module).is_none() && proxy.module.create_options.value.is_some() {
        return;
    }
    let bindings = parts::bindings(proxy.module);
    let port = proxy.port;
    if bindings
        .iter()
        .any(|binding| binding.container == port && binding.host == port)
    {
        return;
    }
    let uses_host = parts::options(proxy.module)
        .and_then(|options| options.pointer("/HostConfig/NetworkMode"))
        .is_some_and(|mode| mode == "host");
    if uses_host || layer.has_children == Some(false) || layer.manifest.shape.is_layered {
        return;
    }
    let at = proxy
        .module
        .create_options
        .at
        .as_ref()
        .unwrap_or(&proxy.module.at);
    let found = match bindings.iter().find(|binding| binding.container == port) {
        Some(other) => format!("it is bound to port {} of the device", other.host),
        None => "this port is not bound".to_owned(),
    };
    report.add(
        rules::PROXY_PORT_UNBOUND,
        Spot::at(layer.file, at),
        format!(
            "{} listens on NGINX_DEFAULT_PORT {port}, and {found}",
            proxy.module.name
        ),
        format!("bind it: \"PortBindings\": {{\"{port}/tcp\": [{{\"HostPort\": \"{port}\"}}]}}"),
    );
}

fn alike(
    layer: &Layer<'_>,
    proxy: &Proxy<'_>,
    parent: &Layer<'_>,
    above: &Proxy<'_>,
    report: &mut Report,
) {
    if proxy.port != above.port {
        let at = proxy
            .module
            .variable("NGINX_DEFAULT_PORT")
            .map_or(&proxy.module.at, |variable| &variable.at);
        report.add(
            rules::PROXY_PORT_DIFFERS,
            Spot::at(layer.file, at),
            format!(
                "NGINX_DEFAULT_PORT is {} here and {} in {}",
                proxy.port, above.port, parent.file
            ),
            "use one port in all layers",
        );
    }
    if !proxy.module.name.eq_ignore_ascii_case(&above.module.name) {
        report.add(
            rules::PROXY_NAME_DIFFERS,
            Spot::at(layer.file, &proxy.module.at),
            format!(
                "the API proxy is called {} here and {} in {}",
                proxy.module.name, above.module.name, parent.file
            ),
            format!("call it {} in all layers", above.module.name),
        );
    }
}

fn route(layer: &Layer<'_>, proxy: &Proxy<'_>, report: &mut Report) {
    let Some(route) = proxy.route else {
        return no_route(layer, proxy, report);
    };
    let text = route.value.as_text();
    let text = text.trim();
    if text.contains("://") || text.contains('/') {
        let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
        let bare = bare.split('/').next().unwrap_or_default();
        report.add(
            rules::ROUTE_SCHEME,
            Spot::at(layer.file, &route.at),
            format!("{ROUTE} is `{text}`"),
            format!("write `{bare}`: host and port alone"),
        );
        return;
    }
    destination(layer, route, text, report);
}

fn destination(layer: &Layer<'_>, route: &Variable, text: &str, report: &mut Report) {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, port.parse::<u16>().ok()),
        None => (text, Some(80)),
    };
    let spot = || Spot::at(layer.file, &route.at);
    let registry = layer
        .registries
        .iter()
        .find(|registry| answers_to(registry.module, host));
    let other = layer
        .manifest
        .modules
        .iter()
        .any(|module| answers_to(module, host));
    match registry {
        Some(registry) if port != Some(registry.port) => report.add(
            rules::ROUTE_PORT,
            spot(),
            format!(
                "{ROUTE} is `{text}`, and {} listens on {}",
                registry.module.name, registry.port
            ),
            format!("write `{host}:{}`", registry.port),
        ),
        Some(_) => {}
        None if other
            || host.contains('.')
            || host.contains('$')
            || host.contains('<')
            || layer.manifest.shape.is_layered => {}
        None => {
            let fix = layer.registries.first().map_or_else(
                || {
                    "deploy the registry module under this name, or name the one that is there"
                        .to_owned()
                },
                |registry| format!("write `{}:{}`", registry.module.name, registry.port),
            );
            report.add(
                rules::ROUTE_TO_NOBODY,
                spot(),
                format!("{ROUTE} is `{text}`, and no module is called `{host}`"),
                fix,
            );
        }
    }
}

/// Whether docker's names lead to this module under `host`.
fn answers_to(module: &crate::manifest::Module, host: &str) -> bool {
    if module.name.eq_ignore_ascii_case(host) {
        return true;
    }
    let networks = parts::options(module)
        .and_then(|options| options.pointer("/NetworkingConfig/EndpointsConfig"))
        .and_then(serde_json::Value::as_object);
    networks.into_iter().flatten().any(|(_, network)| {
        let aliases = network.get("Aliases").and_then(serde_json::Value::as_array);
        let has_alias = aliases.into_iter().flatten().any(|alias| alias == host);
        has_alias
            || network
                .pointer("/IPAMConfig/IPv4Address")
                .is_some_and(|address| address == host)
    })
}

fn no_route(layer: &Layer<'_>, proxy: &Proxy<'_>, report: &mut Report) {
    let Some(registry) = layer.registries.first() else {
        return;
    };
    let has_other = parts::value_of(proxy.module, "CONNECTED_ACR_ROUTE_ADDRESS").is_some();
    if proxy.is_customized || has_other || layer.manifest.shape.is_layered {
        return;
    }
    let severity = if layer.rank.is_top() {
        Severity::Error
    } else {
        Severity::Warning
    };
    report.add_as(
        rules::ROUTE_MISSING,
        severity,
        Spot::at(layer.file, &proxy.module.at),
        format!(
            "{} has no {ROUTE}, so nothing leads to {}",
            proxy.module.name, registry.module.name
        ),
        format!(
            "add the variable {ROUTE}={}:{}",
            registry.module.name, registry.port
        ),
    );
}

fn connected_registry(layer: &Layer<'_>, report: &mut Report) {
    for module in &layer.manifest.modules {
        let is_one = parts::image_of(module)
            .is_some_and(|image| image.repository.ends_with("acr/connected-registry"));
        if is_one {
            report.add(
                rules::CONNECTED_REGISTRY,
                Spot::at(layer.file, &module.at),
                format!("module {} is an ACR connected registry", module.name),
                "a pull-through cache does its work: a registry module with REGISTRY_PROXY_REMOTEURL, and DOCKER_REQUEST_ROUTE_ADDRESS instead of CONNECTED_ACR_ROUTE_ADDRESS",
            );
        }
    }
}
