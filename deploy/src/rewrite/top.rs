//! For the layer that has no parent.

use std::collections::BTreeSet;

use super::registry::{DOCKER_HUB, plain};
use super::{Said, TopOptions, Work, credentials};
use crate::image::UPSTREAM;
use crate::manifest::NamedImage;
use crate::{Host, ImageName, Manifest, Severity};

/// The port that needs no word.
const USUAL_PORT: u16 = 443;

pub(super) fn rewrite(manifest: &Manifest, options: &TopOptions, work: &mut Work<'_>) {
    let mut ports = BTreeSet::new();
    for image in &manifest.images {
        if let Some(port) = rewrite_image(image, options, work) {
            ports.insert(port);
        }
    }
    credentials::to_top(manifest, options, work);
    for port in ports.into_iter().filter(|port| *port != USUAL_PORT) {
        work.say(Severity::Note, "port-lost", None, Said {
            what: format!("images came from the parent's port {port}, of which nothing is left in the result"),
            why: "the way back cannot know it".to_owned(),
            fix: format!("the way back is --layer lower --port {port}"),
        });
    }
}

/// The port of the parent that it came from until now.
fn rewrite_image(image: &NamedImage, options: &TopOptions, work: &mut Work<'_>) -> Option<u16> {
    let written = image.image.value.trim();
    let at = Some(&image.image.at);
    let name = match ImageName::parse(written) {
        Ok(name) => name,
        Err(why) => {
            if written.starts_with(UPSTREAM) {
                work.say(
                    Severity::Error,
                    "image-not-understood",
                    at,
                    Said {
                        what: format!("the image of {}, `{written}`: {why}", image.module),
                        why: "which repository is meant cannot be told".to_owned(),
                        fix: "write `$upstream:443/repository:tag`".to_owned(),
                    },
                );
            }
            return None;
        }
    };
    let Some(Host::Upstream { port }) = name.host else {
        return None;
    };
    let Some(registry) = options.registry_of(&name.repository) else {
        let repository = &name.repository;
        work.say(Severity::Error, "registry-unknown", at, Said {
            what: format!("which registry `{repository}` of {} is from is not known", image.module),
            why: "`$upstream` does not say it, and no beginning given with --map fits".to_owned(),
            fix: format!("say it: --map {repository}=REGISTRY, or --registry REGISTRY for all that no --map says otherwise of"),
        });
        return None;
    };
    work.change(&image.image, &at_registry(name, registry).to_string());
    port
}

/// Images of Docker Hub are written the short way, as everybody writes them.
fn at_registry(name: ImageName, registry: &str) -> ImageName {
    let host = Host::parse(registry).ok();
    if plain(registry) != DOCKER_HUB {
        return ImageName { host, ..name };
    }
    let short = name.repository.strip_prefix("library/");
    let short = short.filter(|short| !short.contains('/'));
    let repository = short.unwrap_or(&name.repository).to_owned();
    let without = ImageName {
        host: None,
        repository,
        ..name
    };
    match ImageName::parse(&without.to_string()) {
        Ok(read) if read == without => without,
        // A short name that would be read as a registry.
        _ => ImageName {
            host: Some(Host::Named(DOCKER_HUB.to_owned())),
            ..without
        },
    }
}
