//! Credentials of registries: whether edgeAgent ever uses them.

use super::layers::{Layer, Layers};
use super::parts;
use super::report::{Report, Spot};
use super::rules;
use crate::image::is_docker_hub;
use crate::manifest::Credential;
use crate::{Host, ImageName};

pub(super) fn check(layer: &Layer<'_>, layers: &Layers<'_>, report: &mut Report) {
    let hosts = hosts(layer);
    for credential in &layer.manifest.credentials {
        blank(layer, credential, report);
        address(layer, credential, &hosts, report);
    }
    missing(layer, layers, report);
}

/// What edgeAgent compares with addresses: the first part of each image.
fn hosts(layer: &Layer<'_>) -> Vec<String> {
    let images = layer.manifest.images.iter();
    images
        .filter_map(|named| ImageName::parse(named.image.value.trim()).ok())
        .map(|image| {
            image
                .host
                .map_or_else(|| "index.docker.io".to_owned(), |host| host.to_string())
        })
        .collect()
}

fn blank(layer: &Layer<'_>, credential: &Credential, report: &mut Report) {
    let is_blank = |text: Option<&str>| text.is_none_or(|text| text.trim().is_empty());
    let mut lacking = Vec::new();
    if is_blank(
        credential
            .address
            .as_ref()
            .map(|address| address.value.as_str()),
    ) {
        lacking.push("address");
    }
    if is_blank(credential.username.as_ref().map(|name| name.value.as_str())) {
        lacking.push("username");
    }
    if !credential.password_is_set {
        lacking.push("password");
    }
    if !lacking.is_empty() {
        report.add(
            rules::CREDENTIAL_BLANK,
            Spot::at(layer.file, &credential.at),
            format!(
                "credentials `{}` have no {}",
                credential.id,
                lacking.join(" and no ")
            ),
            "write all three, or take the credentials out",
        );
    }
}

fn address(layer: &Layer<'_>, credential: &Credential, hosts: &[String], report: &mut Report) {
    let Some(address) = credential.address.as_ref() else {
        return;
    };
    let text = address.value.trim();
    let spot = || Spot::at(layer.file, &address.at);
    if text.is_empty() || matches!(Host::parse(text), Ok(Host::Placeholder(_))) {
        return;
    }
    if is_docker_hub(text) || text.starts_with("https://index.docker.io/v1") {
        return;
    }
    if let Some((_, host)) = text.split_once("://") {
        let host = host.split('/').next().unwrap_or_default();
        return report.add(
            rules::CREDENTIAL_SCHEME,
            spot(),
            format!("the address is `{text}`"),
            format!("write `{host}`"),
        );
    }
    if let Some((host, _)) = text.split_once('/') {
        return report.add(
            rules::CREDENTIAL_SCHEME,
            spot(),
            format!("the address is `{text}`"),
            format!("write `{host}`"),
        );
    }
    if matches!(
        Host::parse(text),
        Ok(Host::Upstream { port: None }) | Err(_)
    ) {
        let wanted = hosts.iter().find(|host| host.starts_with("$upstream:"));
        let wanted = wanted.map_or("$upstream:443", String::as_str);
        return report.add(
            rules::CREDENTIAL_PORT,
            spot(),
            format!("the address is `{text}`, without a usable port"),
            format!("write `{wanted}`, exactly as the images begin"),
        );
    }
    if hosts.iter().any(|host| host.eq_ignore_ascii_case(text)) || layer.manifest.shape.is_layered {
        return;
    }
    let name = |host: &str| host.split(':').next().unwrap_or_default().to_lowercase();
    match hosts.iter().find(|host| name(host) == name(text)) {
        Some(near) => report.add(
            rules::CREDENTIAL_PORT,
            spot(),
            format!("the address is `{text}`, images begin with `{near}`"),
            format!("write `{near}`"),
        ),
        None => report.add(
            rules::CREDENTIAL_UNUSED,
            spot(),
            format!("no image of this manifest begins with `{text}`"),
            "write the address as the images begin, port included, or take the credentials out",
        ),
    }
}

fn missing(layer: &Layer<'_>, layers: &Layers<'_>, report: &mut Report) {
    let has = |host: &str| {
        layer.manifest.credentials.iter().any(|credential| {
            let address = credential
                .address
                .as_ref()
                .map_or("", |address| address.value.trim());
            matches!(Host::parse(address), Ok(Host::Placeholder(_)))
                || name_of(address) == name_of(host)
        })
    };
    if layer.manifest.shape.is_layered {
        return;
    }
    let parent_asks = layers.parent_of(layer).and_then(|parent| {
        let asking = parent.registries.iter().find(|registry| {
            let named = |variable| parts::value_of(registry.module, variable);
            named("REGISTRY_AUTH").is_some() || named("REGISTRY_AUTH_HTPASSWD_PATH").is_some()
        });
        Some((parent.file, asking?.module.name.as_str()))
    });
    let mut told: Vec<String> = Vec::new();
    for named in &layer.manifest.images {
        let Some(host) = ImageName::parse(named.image.value.trim())
            .ok()
            .and_then(|image| image.host)
        else {
            continue;
        };
        let asks = match (&host, parent_asks) {
            (Host::Named(name), _) if is_private(name) => format!("{name} is a private registry"),
            (Host::Upstream { .. }, Some((file, module))) => {
                format!("{module} of {file} asks its callers for a password")
            }
            (Host::Named(_) | Host::Placeholder(_) | Host::Upstream { .. }, _) => continue,
        };
        let host = host.to_string();
        if has(&host) || told.contains(&host) {
            continue;
        }
        report.add(
            rules::CREDENTIAL_MISSING,
            Spot::at(layer.file, &named.image.at),
            format!("`{}` has no credentials, and {asks}", named.image.value),
            format!("add registryCredentials with the address `{host}`, unless it may be pulled from anonymously"),
        );
        told.push(host);
    }
}

fn is_private(host: &str) -> bool {
    let name = name_of(host);
    name.ends_with(".azurecr.io") || name.ends_with(".azurecr.cn") || name.ends_with(".azurecr.us")
}

/// A host without port and scheme: what differs there only is another rule's.
fn name_of(address: &str) -> String {
    let without_scheme = address.split_once("://").map_or(address, |(_, rest)| rest);
    without_scheme
        .split([':', '/'])
        .next()
        .unwrap_or_default()
        .to_lowercase()
}
