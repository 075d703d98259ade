//! Ports of the device that modules bind.

use super::layers::Layer;
use super::parts::{self, Binding};
use super::report::{Report, Spot};
use super::rules;
use crate::manifest::{Module, Role};

pub(super) fn check(layer: &Layer<'_>, report: &mut Report) {
    let mut taken: Vec<(&Module, Binding)> = Vec::new();
    for module in &layer.manifest.modules {
        for binding in parts::bindings(module) {
            let before = taken
                .iter()
                .find(|(_, other)| is_same_port(other, &binding));
            if let Some((first, _)) = before {
                clash(layer, first, module, binding.host, report);
            }
            taken.push((module, binding));
        }
    }
    hub(layer, report);
}

fn is_same_port(one: &Binding, other: &Binding) -> bool {
    let addresses_meet =
        one.address == other.address || one.address.is_empty() || other.address.is_empty();
    one.host == other.host && one.protocol == other.protocol && addresses_meet
}

fn clash(layer: &Layer<'_>, first: &Module, second: &Module, port: u16, report: &mut Report) {
    let is_proxy = |module: &Module| {
        layer
            .proxy
            .as_ref()
            .is_some_and(|proxy| proxy.module.name == module.name)
    };
    let with_hub = |hub: &Module, other: &Module| hub.role == Role::Hub && is_proxy(other);
    let fix = if with_hub(first, second) || with_hub(second, first) {
        format!(
            "take {port} out of edgeHub's PortBindings: the API proxy passes on what is for edgeHub"
        )
    } else {
        "bind one of them to another port".to_owned()
    };
    let at = second.create_options.at.as_ref().unwrap_or(&second.at);
    let what = if first.name == second.name {
        format!("{} binds port {port} twice", first.name)
    } else {
        format!(
            "{} and {} both bind port {port} of the device",
            first.name, second.name
        )
    };
    report.add(rules::PORT_CLASH, Spot::at(layer.file, at), what, fix);
}

fn hub(layer: &Layer<'_>, report: &mut Report) {
    let hub = layer
        .manifest
        .modules
        .iter()
        .find(|module| module.role == Role::Hub);
    let Some(hub) =
        hub.filter(|_| layer.has_children == Some(true) && !layer.manifest.shape.is_layered)
    else {
        return;
    };
    if matches!(hub.create_options.value, Some(Err(_))) {
        return;
    }
    let binds = |port| {
        parts::bindings(hub)
            .iter()
            .any(|binding| binding.container == port)
    };
    if !binds(5671) && !binds(8883) {
        let at = hub.create_options.at.as_ref().unwrap_or(&hub.at);
        report.add(
            rules::HUB_PORTS,
            Spot::at(layer.file, at),
            "edgeHub binds neither 5671 nor 8883",
            "bind both: \"5671/tcp\": [{\"HostPort\": \"5671\"}], \"8883/tcp\": [{\"HostPort\": \"8883\"}]",
        );
    }
}
