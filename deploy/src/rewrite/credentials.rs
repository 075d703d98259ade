//! Addresses of credentials: edgeAgent compares them with the first part of an image, port included, so they follow it.

use std::collections::{BTreeMap, BTreeSet};

use super::lower::is_chosen;
use super::registry::{DOCKER_HUB, DOCKER_HUB_ADDRESS, host_of, is_upstream, plain};
use super::{LowerOptions, Said, TopOptions, Work};
use crate::image::UPSTREAM;
use crate::manifest::{Credential, Located};
use crate::{Host, Manifest, Severity};

/// Rewrites them for a lower layer; returns what they were, by their names.
pub(super) fn to_lower(
    manifest: &Manifest,
    options: &LowerOptions,
    work: &mut Work<'_>,
) -> BTreeMap<String, String> {
    let parent = format!("{UPSTREAM}:{}", options.port);
    let mut were = BTreeMap::new();
    let mut at_parent: Vec<(&Credential, &Located<String>)> = Vec::new();
    for credential in &manifest.credentials {
        let Some(address) = &credential.address else {
            continue;
        };
        match Host::parse(host_of(&address.value)) {
            Ok(Host::Upstream { port: Some(port) }) if port != options.port => {
                say_other_port(credential, address, port, work);
            }
            Ok(Host::Upstream { .. }) => {
                work.change(address, &parent);
                at_parent.push((credential, address));
            }
            Ok(Host::Named(_) | Host::Placeholder(_)) if is_chosen(&address.value, options) => {
                were.insert(credential.id.clone(), address.value.trim().to_owned());
                work.change(address, &parent);
                at_parent.push((credential, address));
            }
            _ => {}
        }
    }
    say_what_falls_together(&at_parent, &parent, work);
    if !were.is_empty() {
        say_who_asks(&were, work);
    }
    were
}

fn say_other_port(
    credential: &Credential,
    address: &Located<String>,
    port: u16,
    work: &mut Work<'_>,
) {
    work.say(
        Severity::Warning,
        "upstream-port",
        Some(&address.at),
        Said {
            what: format!(
                "the credentials {} are for the parent's port {port} already, and stay",
                credential.id
            ),
            why: "edgeAgent compares the port as well: they count for images with this port alone"
                .to_owned(),
            fix: format!(
                "if {port} is right, rewrite with --port {port}; if not, correct it by hand"
            ),
        },
    );
}

fn say_what_falls_together(
    at_parent: &[(&Credential, &Located<String>)],
    parent: &str,
    work: &mut Work<'_>,
) {
    let [(first, _), .., (_, last)] = at_parent else {
        return;
    };
    let ids: Vec<_> = at_parent
        .iter()
        .map(|(credential, _)| credential.id.as_str())
        .collect();
    work.say(Severity::Warning, "credentials-fall-together", Some(&last.at), Said {
        what: format!("{} are all for {parent} now; all are kept", ids.join(", ")),
        why: format!("edgeAgent takes the first whose address fits: {}. The others are never used", first.id),
        fix: "keep the one that the parent's cache asks for; the registries' own passwords belong into the cache's configuration".to_owned(),
    });
}

fn say_who_asks(were: &BTreeMap<String, String>, work: &mut Work<'_>) {
    let ids: Vec<_> = were.keys().map(String::as_str).collect();
    work.say(Severity::Note, "credentials-for-the-parent", None, Said {
        what: format!("the credentials {} are for the parent now", ids.join(", ")),
        why: "who asks for them from now on is the parent's cache, not the registry: it passes none on".to_owned(),
        fix: "put in what the cache asks for; if it asks for none, they can go".to_owned(),
    });
}

/// Rewrites them for the top layer.
pub(super) fn to_top(manifest: &Manifest, options: &TopOptions, work: &mut Work<'_>) {
    let known = options.registry.iter().chain(options.maps.values());
    let known: BTreeSet<String> = known.map(|registry| plain(registry)).collect();
    for credential in &manifest.credentials {
        let Some(address) = credential
            .address
            .as_ref()
            .filter(|address| is_upstream(&address.value))
        else {
            continue;
        };
        match options.credentials.get(&credential.id) {
            Some(registry) => work.change(address, registry),
            None => match registry_of(credential, &known, options) {
                Some(registry) => work.change(address, &registry),
                None => say_unknown(credential, address, work),
            },
        }
    }
    let ids: BTreeSet<_> = manifest
        .credentials
        .iter()
        .map(|credential| &credential.id)
        .collect();
    for id in options.credentials.keys().filter(|id| !ids.contains(id)) {
        work.say(
            Severity::Note,
            "credentials-not-found",
            None,
            Said {
                what: format!("there are no credentials called {id}"),
                why: "so naming them changed nothing".to_owned(),
                fix: "their names are the keys inside registryCredentials".to_owned(),
            },
        );
    }
}

/// The one registry there is, or the one that the credentials are called after.
fn registry_of(
    credential: &Credential,
    known: &BTreeSet<String>,
    options: &TopOptions,
) -> Option<String> {
    let username = credential
        .username
        .as_ref()
        .map(|username| username.value.as_str());
    let is_called_after = |registry: &&String| {
        let label = registry.split('.').next().unwrap_or(registry);
        let names = [Some(credential.id.as_str()), username];
        let mut names = names.into_iter().flatten();
        names.any(|name| name.eq_ignore_ascii_case(label) || name.eq_ignore_ascii_case(registry))
    };
    let mut fitting: Vec<&String> = known.iter().collect();
    if fitting.len() > 1 {
        fitting.retain(is_called_after);
    }
    let [only] = fitting.as_slice() else {
        return None;
    };
    if only.as_str() == DOCKER_HUB {
        return Some(DOCKER_HUB_ADDRESS.to_owned());
    }
    // As it was given: a port 443 that images have must be in the address too.
    let mut given = options.registry.iter().chain(options.maps.values());
    given.find(|registry| plain(registry) == **only).cloned()
}

fn say_unknown(credential: &Credential, address: &Located<String>, work: &mut Work<'_>) {
    let id = &credential.id;
    work.say(
        Severity::Error,
        "credentials-unknown",
        Some(&address.at),
        Said {
            what: format!("which registry the credentials {id} are for is not known"),
            why: "`$upstream` stands for several registries".to_owned(),
            fix: format!("say it: --credential {id}=REGISTRY"),
        },
    );
}
