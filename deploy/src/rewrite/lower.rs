//! For a layer that has a parent.

use std::collections::{BTreeMap, BTreeSet};

use super::registry::{DOCKER_HUB, is_local, plain};
use super::{LowerOptions, Said, TopOptions, Work, credentials};
use crate::manifest::{Module, NamedImage};
use crate::{Host, ImageName, Manifest, NotAnImageName, Place, Severity};

/// Which registry each repository came from, as it was written, and where.
#[derive(Default)]
pub(super) struct Moved {
    /// By repository: the registries, in the form in which they are compared, with how they are written.
    repositories: BTreeMap<String, BTreeMap<String, (String, Place)>>,
}

pub(super) fn rewrite(
    manifest: &Manifest,
    options: &LowerOptions,
    work: &mut Work<'_>,
) -> TopOptions {
    let mut moved = Moved::default();
    for image in &manifest.images {
        if is_loaded_by_hand(manifest, image) {
            say_loaded_by_hand(image, work);
        } else {
            rewrite_image(image, options, &mut moved, work);
        }
    }
    let mut way_back = moved.way_back(has_some_at_parent(manifest));
    moved.say_what_falls_together(work);
    way_back.credentials = credentials::to_lower(manifest, options, work);
    for module in &manifest.modules {
        say_environment(module, &moved, work);
    }
    say_names_not_found(manifest, options, work);
    way_back
}

/// Whether some image came from the parent before: of those nothing is known.
fn has_some_at_parent(manifest: &Manifest) -> bool {
    let images = manifest.images.iter().map(|image| image.image.value.trim());
    let mut names = images.filter_map(|image| ImageName::parse(image).ok());
    names.any(|name| name.host.is_some_and(|host| host.is_upstream()))
}

/// Whether images of this registry come from the parent from now on.
pub(super) fn is_chosen(registry: &str, options: &LowerOptions) -> bool {
    let chosen = &options.registries;
    if chosen.is_empty() {
        return !is_local(registry);
    }
    chosen.iter().any(|chosen| plain(chosen) == plain(registry))
}

fn is_loaded_by_hand(manifest: &Manifest, image: &NamedImage) -> bool {
    let mut modules = manifest.modules.iter();
    let module = modules.find(|module| module.name == image.module && module.role == image.role);
    let policy = module.and_then(|module| module.pull_policy.as_ref());
    policy.is_some_and(|policy| policy.value.eq_ignore_ascii_case("never"))
}

fn rewrite_image(
    image: &NamedImage,
    options: &LowerOptions,
    moved: &mut Moved,
    work: &mut Work<'_>,
) {
    let at = &image.image.at;
    let name = match ImageName::parse(image.image.value.trim()) {
        Ok(name) => name,
        Err(why) => return say_not_read(image, &why, work),
    };
    let registry = match &name.host {
        Some(Host::Upstream { port: Some(port) }) if *port == options.port => return,
        Some(Host::Upstream { port: Some(port) }) => {
            return say_other_port(at, *port, options, work);
        }
        Some(Host::Upstream { port: None }) => None,
        Some(host) => Some(host.to_string()),
        None => Some(DOCKER_HUB.to_owned()),
    };
    if let Some(registry) = &registry {
        if !is_chosen(registry, options) {
            return say_kept(image, registry, options, work);
        }
        moved.add(&name, registry, at);
        if name.host.is_none() && !name.repository.contains('/') {
            say_docker_hub(image, &name, work);
        }
    }
    if name.tag.is_some() && name.digest.is_some() {
        say_tag_and_digest(image, &name, work);
    }
    let lower = ImageName {
        host: Some(Host::Upstream {
            port: Some(options.port),
        }),
        repository: name.repository_at_host(),
        tag: name.tag,
        digest: name.digest,
    };
    work.change(&image.image, &lower.to_string());
}

impl Moved {
    fn add(&mut self, name: &ImageName, registry: &str, at: &Place) {
        let registries = self
            .repositories
            .entry(name.repository_at_host())
            .or_default();
        let known = registries.entry(plain(registry));
        known.or_insert_with(|| (registry.to_owned(), at.clone()));
    }

    /// The registries that images came from: how they are compared, and how they are written.
    fn registries(&self) -> BTreeMap<&str, &str> {
        let all = self.repositories.values().flatten();
        all.map(|(plain, (written, _))| (plain.as_str(), written.as_str()))
            .collect()
    }

    /// One registry for all of them, if there is one and nothing was at the parent before; else one for each repository.
    fn way_back(&self, has_some_at_parent: bool) -> TopOptions {
        let written: BTreeSet<&String> = self
            .repositories
            .values()
            .flatten()
            .map(|(_, (written, _))| written)
            .collect();
        let mut way_back = TopOptions::default();
        let mut written = written.into_iter();
        match (written.next(), written.next()) {
            (Some(only), None) if !has_some_at_parent => way_back.registry = Some(only.clone()),
            _ => {
                for (repository, registries) in &self.repositories {
                    if let Some((written, _)) = registries.values().next() {
                        way_back.maps.insert(repository.clone(), written.clone());
                    }
                }
            }
        }
        way_back
    }

    fn say_what_falls_together(&self, work: &mut Work<'_>) {
        for (repository, registries) in &self.repositories {
            let names: Vec<_> = registries
                .values()
                .map(|(written, _)| written.as_str())
                .collect();
            if names.len() < 2 {
                continue;
            }
            let at = registries
                .values()
                .map(|(_, at)| at)
                .max_by_key(|at| at.line);
            work.say(Severity::Error, "repositories-fall-together", at, Said {
                what: format!("`{repository}` is there from {}, and both would become one", names.join(" and from ")),
                why: "behind the parent a repository has one name only, and one of the two modules would run the other's image".to_owned(),
                fix: format!("keep one of the registries out with --registry, or copy one of the images to another name than `{repository}`"),
            });
        }
        let registries = self.registries();
        if registries.len() > 1 {
            let names: Vec<_> = registries.values().copied().collect();
            work.say(Severity::Warning, "several-registries", None, Said {
                what: format!("the images came from {} registries and now all come from the parent: {}", names.len(), names.join(", ")),
                why: "the parent's cache has to know which repository is from which of them".to_owned(),
                fix: "give the cache a `proxy.routes` entry for each registry beside its `proxy.remoteurl`, or keep registries out with --registry".to_owned(),
            });
        }
    }
}

fn say_not_read(image: &NamedImage, why: &NotAnImageName, work: &mut Work<'_>) {
    let at = Some(&image.image.at);
    let written = &image.image.value;
    let said = match why {
        NotAnImageName::Whole(placeholder) => Said {
            what: format!(
                "`{placeholder}` stands for the whole image of {}, and stays",
                image.module
            ),
            why: "the registry it will be replaced with is not known here".to_owned(),
            fix: "rewrite the manifest that is made from this template, not the template"
                .to_owned(),
        },
        why => Said {
            what: format!("the image of {}, `{written}`, stays: {why}", image.module),
            why: "edgeAgent or docker will refuse it as well".to_owned(),
            fix: "write registry/repository:tag".to_owned(),
        },
    };
    work.say(Severity::Warning, "image-not-understood", at, said);
}

fn say_loaded_by_hand(image: &NamedImage, work: &mut Work<'_>) {
    let written = &image.image.value;
    work.say(
        Severity::Note,
        "image-loaded-by-hand",
        Some(&image.image.at),
        Said {
            what: format!(
                "`{written}` of {} stays: its imagePullPolicy is never",
                image.module
            ),
            why: "the device has it under exactly this name, or not at all; nothing is pulled"
                .to_owned(),
            fix: "to have it pulled from the parent, remove imagePullPolicy and rewrite again"
                .to_owned(),
        },
    );
}

fn say_other_port(at: &Place, port: u16, options: &LowerOptions, work: &mut Work<'_>) {
    work.say(
        Severity::Warning,
        "upstream-port",
        Some(at),
        Said {
            what: format!("it comes from the parent's port {port} already, and stays"),
            why: format!(
                "you asked for port {}; the API proxy of the parent listens on one port",
                options.port
            ),
            fix: format!(
                "if {port} is right, rewrite with --port {port}; if not, correct it by hand"
            ),
        },
    );
}

fn say_kept(image: &NamedImage, registry: &str, options: &LowerOptions, work: &mut Work<'_>) {
    let module = &image.module;
    let (severity, why) = if options.registries.is_empty() {
        (
            Severity::Warning,
            "that is a registry on the device itself, which no parent has",
        )
    } else {
        (
            Severity::Note,
            "it is not among the registries named with --registry; the device has to reach it by itself",
        )
    };
    work.say(
        severity,
        "registry-kept",
        Some(&image.image.at),
        Said {
            what: format!("the image of {module} stays with {registry}"),
            why: why.to_owned(),
            fix: format!("to have it come from the parent all the same: --registry {registry}"),
        },
    );
}

fn say_docker_hub(image: &NamedImage, name: &ImageName, work: &mut Work<'_>) {
    let asked = name.repository_at_host();
    work.say(Severity::Note, "docker-hub-image", Some(&image.image.at), Said {
        what: format!("`{}` has no registry in it: that is Docker Hub's `{asked}`", image.image.value.trim()),
        why: format!("the parent's cache will be asked for `{asked}`, and has to get it from Docker Hub"),
        fix: "give the cache a `proxy.routes` entry with `prefix: library/` and `remoteurl: https://registry-1.docker.io`, or name a copy in your own registry".to_owned(),
    });
}

fn say_tag_and_digest(image: &NamedImage, name: &ImageName, work: &mut Work<'_>) {
    work.say(
        Severity::Warning,
        "tag-and-digest",
        Some(&image.image.at),
        Said {
            what: format!(
                "the image of {} has a tag and a digest; both stay",
                image.module
            ),
            why: "edgeAgent refuses a name with both".to_owned(),
            fix: format!(
                "write `{}` with the digest alone, or with the tag alone",
                name.repository
            ),
        },
    );
}

/// What an environment says of registries is not replaced by edgeAgent, so it is not ours to rewrite.
fn say_environment(module: &Module, moved: &Moved, work: &mut Work<'_>) {
    for variable in &module.env {
        let value = variable.value.as_text();
        let names_parent = value.contains("$upstream") || value.contains("IOTEDGE_PARENTHOSTNAME");
        let at = Some(&variable.at);
        if variable.name == "REGISTRY_PROXY_REMOTEURL" && !names_parent {
            work.say(Severity::Warning, "cache-on-a-lower-layer", at, Said {
                what: format!("{} is a cache of `{value}`, and that stays", module.name),
                why: "a lower layer has no way to there: its cache can only ask its parent".to_owned(),
                fix: "leave the module out together with the API proxy's DOCKER_REQUEST_ROUTE_ADDRESS, or let it ask https://{parent hostname}:{port}".to_owned(),
            });
            continue;
        }
        let registries = moved.registries();
        let named = registries.values().find(|written| names(&value, written));
        if let Some(registry) = named {
            work.say(Severity::Warning, "registry-in-environment", at, Said {
                what: format!("{} of {} names {registry}, and stays", variable.name, module.name),
                why: "edgeAgent puts nothing in the place of `$upstream` inside an environment".to_owned(),
                fix: "if the module pulls from there, write the parent's host name and port in its place".to_owned(),
            });
        }
    }
}

/// Whether a text names a host: not as a part of a longer name.
fn names(text: &str, host: &str) -> bool {
    let goes_on = |letter: char| letter.is_alphanumeric() || letter == '-' || letter == '.';
    text.match_indices(host).any(|(start, _)| {
        let before = text.get(..start).unwrap_or_default();
        let after = text.get(start + host.len()..).unwrap_or_default();
        !before.ends_with(goes_on) && !after.starts_with(goes_on)
    })
}

fn say_names_not_found(manifest: &Manifest, options: &LowerOptions, work: &mut Work<'_>) {
    let images = manifest.images.iter().map(|image| image.image.value.trim());
    let images = images.filter_map(|image| ImageName::parse(image).ok());
    let mut there: BTreeSet<String> = images
        .map(|name| {
            name.host
                .map_or_else(|| DOCKER_HUB.to_owned(), |host| plain(&host.to_string()))
        })
        .collect();
    let addresses = manifest
        .credentials
        .iter()
        .filter_map(|credential| credential.address.as_ref());
    there.extend(addresses.map(|address| plain(&address.value)));
    for registry in &options.registries {
        if !there.contains(&plain(registry)) {
            work.say(
                Severity::Note,
                "registry-not-found",
                None,
                Said {
                    what: format!("no image here is from {registry}"),
                    why: "so naming it changed nothing".to_owned(),
                    fix: format!(
                        "the registries in this file are {}",
                        there.iter().cloned().collect::<Vec<_>>().join(", ")
                    ),
                },
            );
        }
    }
}
