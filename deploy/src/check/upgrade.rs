//! The caches' own images, and what children cannot start without: whether a power cut or a cut update leaves a way back.

use super::layers::{Layer, Layers};
use super::parts::{self, Program, RegistryModule};
use super::report::{Report, Spot};
use super::rules;
use crate::manifest::Role;
use crate::{ImageName, Severity};

const BOOTSTRAP: &str = "REGISTRY_EDGE_BOOTSTRAP";

pub(super) fn check(layer: &Layer<'_>, layers: &Layers<'_>, report: &mut Report) {
    let cisterns = layer
        .registries
        .iter()
        .filter(|registry| registry.program == Program::Cistern);
    for registry in cisterns {
        let below = layers.below(layer);
        let set = bootstrap(registry);
        incomplete(layer, registry, &set, &below, report);
        one_version(layer, registry, &set, &below, report);
    }
}

/// What the bootstrap set names.
fn bootstrap(registry: &RegistryModule<'_>) -> Vec<ImageName> {
    let named = parts::list_of(registry.module, BOOTSTRAP);
    let images = named.iter().map(|image| ImageName::parse(image));
    images.filter_map(Result::ok).collect()
}

fn is_same(one: &ImageName, other: &ImageName) -> bool {
    one.repository_at_host() == other.repository_at_host() && one.reference() == other.reference()
}

/// What a lower layer cannot start without: its runtime, its API proxy, its own cache.
fn needed(child: &Layer<'_>) -> Vec<ImageName> {
    let is_needed = |name: &str| {
        let module = child.manifest.module(name);
        let is_proxy = child
            .proxy
            .as_ref()
            .is_some_and(|proxy| proxy.module.name == name);
        let is_registry = child
            .registries
            .iter()
            .any(|registry| registry.module.name == name);
        is_proxy || is_registry || module.is_some_and(|module| module.role != Role::Custom)
    };
    let images = child
        .manifest
        .images
        .iter()
        .filter(|named| is_needed(&named.module));
    let mut found: Vec<ImageName> = images
        .filter_map(|named| ImageName::parse(named.image.value.trim()).ok())
        .collect();
    let agent = child.device.and_then(|device| device.config.agent.as_ref());
    let agent = agent.and_then(|agent| agent.image.as_ref());
    found.extend(agent.and_then(|image| ImageName::parse(&image.value).ok()));
    found
}

fn incomplete(
    layer: &Layer<'_>,
    registry: &RegistryModule<'_>,
    set: &[ImageName],
    below: &[&Layer<'_>],
    report: &mut Report,
) {
    let at = registry
        .module
        .variable(BOOTSTRAP)
        .map_or(&registry.module.at, |variable| &variable.at);
    if set.is_empty() {
        if layer.has_children != Some(false) && !layer.manifest.shape.is_layered {
            report.add_as(
                rules::BOOTSTRAP_INCOMPLETE,
                Severity::Note,
                Spot::at(layer.file, at),
                format!("{} has no bootstrap set ({BOOTSTRAP})", registry.module.name),
                format!("name what children start with: {BOOTSTRAP}=$upstream:443/azureiotedge-agent:1.5,… (`cistern edge images` lists them)"),
            );
        }
        return;
    }
    let mut lacking: Vec<String> = Vec::new();
    for image in below.iter().flat_map(|child| needed(child)) {
        let asked = image.asked();
        if !set.iter().any(|named| is_same(named, &image)) && !lacking.contains(&asked) {
            lacking.push(asked);
        }
    }
    if !lacking.is_empty() {
        report.add(
            rules::BOOTSTRAP_INCOMPLETE,
            Spot::at(layer.file, at),
            format!(
                "{BOOTSTRAP} of {} lacks what layers below start with: {}",
                registry.module.name,
                lacking.join(", ")
            ),
            "add these images to it",
        );
    }
}

/// A lower layer's cache is replaced by pulling the new one from here; the old one has to be here too.
fn one_version(
    layer: &Layer<'_>,
    registry: &RegistryModule<'_>,
    set: &[ImageName],
    below: &[&Layer<'_>],
    report: &mut Report,
) {
    if set.is_empty() {
        return;
    }
    let caches = below.iter().flat_map(|child| child.registries.iter());
    for image in caches.filter_map(|cache| parts::image_of(cache.module)) {
        let repository = image.repository_at_host();
        let versions = set
            .iter()
            .filter(|named| named.repository_at_host() == repository)
            .count();
        if versions < 2 {
            let at = registry
                .module
                .variable(BOOTSTRAP)
                .map_or(&registry.module.at, |variable| &variable.at);
            report.add(
                rules::NO_WAY_BACK,
                Spot::at(layer.file, at),
                format!("{BOOTSTRAP} of {} names {versions} version(s) of {repository}, the cache of a layer below", registry.module.name),
                "name the version that runs there and the one before it (or the one to come), so that both can be pulled while the uplink is down",
            );
        }
    }
}
