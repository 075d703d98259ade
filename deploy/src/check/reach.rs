//! What children can reach through a layer's cache: images of other registries, and the one that `iotedge check` runs.

use super::layers::Layer;
use super::parts::{self, Program};
use super::report::{Report, Spot};
use super::rules;
use crate::manifest::Module;
use crate::{Host, ImageName, Severity};

pub(super) fn check(layer: &Layer<'_>, report: &mut Report) {
    second_registry(layer, report);
    diagnostics(layer, report);
}

/// Registries whose images the layer names, beside the one its cache serves.
fn second_registry(layer: &Layer<'_>, report: &mut Report) {
    let Some(registry) = layer.registries.first() else {
        return;
    };
    let served = served_hosts(registry.module);
    if served.is_empty() || !layer.rank.is_top() {
        return;
    }
    let mut told: Vec<String> = Vec::new();
    for named in &layer.manifest.images {
        let image = ImageName::parse(named.image.value.trim()).ok();
        let Some(Host::Named(host)) = image.as_ref().and_then(|image| image.host.clone()) else {
            continue;
        };
        let is_own = named.module == registry.module.name;
        if is_own
            || served
                .iter()
                .any(|served| served.eq_ignore_ascii_case(&host))
            || told.contains(&host)
        {
            continue;
        }
        let prefix = image.map_or_else(String::new, |image| image.repository);
        report.add(
            rules::SECOND_REGISTRY,
            Spot::at(layer.file, &named.image.at),
            format!(
                "`{}` is from {host}; the registry module {} serves {}",
                named.image.value,
                registry.module.name,
                served.join(", ")
            ),
            second_registry_fix(registry.program, &host, &prefix),
        );
        told.push(host);
    }
}

fn second_registry_fix(program: Program, host: &str, prefix: &str) -> String {
    let prefix = if prefix.starts_with("azureiotedge-") {
        "azureiotedge-"
    } else {
        prefix
    };
    let routes = format!(
        "REGISTRY_PROXY_ROUTES_0_PREFIX={prefix} with REGISTRY_PROXY_ROUTES_0_REMOTEURL=https://{host}"
    );
    match program {
        Program::Cistern => {
            format!("give it a second upstream: {routes}; or copy the images into one registry")
        }
        Program::Distribution => format!(
            "copy the images that children need into one registry; with Cistern as registry module, {routes} is enough"
        ),
    }
}

/// The hosts a registry module's settings name as upstreams.
pub(super) fn served_hosts(module: &Module) -> Vec<String> {
    let names_upstream = |name: &str| {
        name == "REGISTRY_PROXY_REMOTEURL"
            || (name.starts_with("REGISTRY_PROXY_ROUTES_") && name.ends_with("_REMOTEURL"))
    };
    module
        .env
        .iter()
        .filter(|variable| names_upstream(&variable.name))
        .map(|variable| super::registry_module::host_of(&variable.value.as_text()).to_owned())
        .filter(|host| !host.is_empty())
        .collect()
}

fn diagnostics(layer: &Layer<'_>, report: &mut Report) {
    if layer.has_children == Some(false) {
        return;
    }
    for registry in &layer.registries {
        let served = served_hosts(registry.module);
        let lists = ["REGISTRY_EDGE_BOOTSTRAP", "REGISTRY_WARM_IMAGES"];
        let lists = lists
            .map(|name| parts::list_of(registry.module, name))
            .concat();
        let has_list = !lists.is_empty();
        if lists
            .iter()
            .any(|image| image.contains("azureiotedge-diagnostics"))
            || served.is_empty()
        {
            continue;
        }
        // Microsoft's own registry has it, and what the parent has is the parent's affair.
        let has_it = |host: &String| host == "mcr.microsoft.com" || host.starts_with("$upstream");
        if !has_list && served.iter().any(has_it) {
            continue;
        }
        let (severity, fix) = if has_list {
            (
                Severity::Warning,
                "add `$upstream:443/azureiotedge-diagnostics:EDITION` to REGISTRY_EDGE_BOOTSTRAP",
            )
        } else {
            (
                Severity::Note,
                "see that this registry holds azureiotedge-diagnostics in the edition of the children's aziot-edged",
            )
        };
        report.add_as(
            rules::MISSING_DIAGNOSTICS,
            severity,
            Spot::at(layer.file, &registry.module.at),
            format!(
                "nothing says that azureiotedge-diagnostics can be had through {} (it serves {})",
                registry.module.name,
                served.join(", ")
            ),
            fix.to_owned(),
        );
    }
    if let Some(proxy) = layer.proxy.as_ref().filter(|proxy| proxy.port != 443) {
        report.add(
            rules::DIAGNOSTICS_PORT,
            Spot::at(layer.file, &proxy.module.at),
            format!("the API proxy listens on {}, not on 443", proxy.port),
            format!("on children call `iotedge check --diagnostics-image-name PARENT:{}/azureiotedge-diagnostics:EDITION`, or use port 443", proxy.port),
        );
    }
}
