//! Whether every image of the manifests, and of each its platforms, is where it will be asked for.

use std::collections::BTreeMap;

use cistern_deploy::images::{ImagesOptions, images};
use cistern_deploy::{Document, Finding, ImageName, Manifest, NamedManifest, Severity};
use cistern_oci::{ByteRange, Digest, ManifestLinks, Reference, RepositoryName, Tag};

use super::{Environment, OnlineArguments, Text, finding};
use crate::app::upstreams;
use crate::chain::Pseudonym;
use crate::commands::load_from;
use crate::config::{Config, FileChoice, RemoteUrl};
use crate::repositories::{Repositories, RepositoriesOptions, Repository};
use crate::upstream::{
    Budget, Contacts, Fault, Heard, Part, Upstream, UpstreamError, UpstreamOptions,
};

/// The images, and who is asked for them.
pub(super) struct Asked {
    images: Vec<Image>,
    repositories: Repositories,
    is_cache: bool,
}

struct Image {
    file: String,
    written: String,
    registry: Option<String>,
    repository: RepositoryName,
    reference: Reference,
}

impl Asked {
    pub(super) fn new(
        arguments: &OnlineArguments,
        manifests: &[Text],
        environment: &Environment,
        contacts: &Contacts,
    ) -> Result<Self, String> {
        let images = listed(manifests, arguments.parent.clone());
        let is_cache = arguments.cache.is_some();
        let repositories = match &arguments.cache {
            Some(url) => the_cache(url, arguments, environment, contacts)?,
            None => configured(arguments, environment, contacts)?,
        };
        if !images.is_empty() && !repositories.is_cache() {
            return Err("it is not known whom to ask for the images: name a running cache with --cache, or a configuration with --configuration".to_owned());
        }
        Ok(Self {
            images,
            repositories,
            is_cache,
        })
    }

    pub(super) async fn look(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for image in &self.images {
            findings.extend(self.look_at(image).await);
        }
        findings
    }

    async fn look_at(&self, image: &Image) -> Vec<Finding> {
        let registry = image.registry.as_deref();
        let found = self.repositories.of_image(registry, &image.repository);
        let (what, why) = match found {
            Ok(Repository::Mirror(mirror)) => {
                let question = Question {
                    image,
                    upstream: &mirror.upstream,
                    repository: &mirror.name_there,
                    is_cache: self.is_cache,
                };
                return question.ask().await;
            }
            Ok(Repository::Hosted(_)) => (
                "it lives in the cache itself".to_owned(),
                "only the running cache can tell whether it is there",
            ),
            Err(_) => (
                format!(
                    "the device asks {} itself",
                    registry.unwrap_or("its registry")
                ),
                "no upstream here is called so, so nobody was asked",
            ),
        };
        let fix = if self.is_cache {
            "rewrite the image to $upstream if the device cannot reach that registry"
        } else {
            "ask the running cache with --cache"
        };
        let told = [
            format!("{}: {what}", image.written),
            why.to_owned(),
            fix.to_owned(),
        ];
        vec![finding(
            Severity::Note,
            "image-not-asked",
            &image.file,
            told,
        )]
    }
}

/// Every image once, of the manifests that can be read; of the others the check of the files tells.
fn listed(manifests: &[Text], parent: Option<String>) -> Vec<Image> {
    let read = manifests.iter().filter_map(|text| {
        let document = Document::parse(&text.text).ok()?;
        Some((text.name.as_str(), Manifest::read(&document).ok()?))
    });
    let read: Vec<_> = read.collect();
    let named: Vec<_> = read
        .iter()
        .map(|(file, manifest)| NamedManifest { file, manifest })
        .collect();
    let options = ImagesOptions {
        parent,
        ..ImagesOptions::default()
    };
    let mut found = BTreeMap::new();
    for image in images(&named, &options) {
        let Some(name) = image
            .asked
            .as_deref()
            .and_then(|asked| ImageName::parse(asked).ok())
        else {
            continue;
        };
        let digest = name.digest.as_deref().map(str::parse::<Digest>);
        let tag = name.tag.as_deref().unwrap_or("latest").parse::<Tag>();
        let reference = match (digest, tag) {
            (Some(Ok(digest)), _) => Reference::Digest(digest),
            (None, Ok(tag)) => Reference::Tag(tag),
            _ => continue,
        };
        let Ok(repository) = name.repository.parse() else {
            continue;
        };
        let key = (image.registry.clone(), image.asked.clone());
        found.entry(key).or_insert(Image {
            file: image.file,
            written: image.image,
            registry: image.registry,
            repository,
            reference,
        });
    }
    found.into_values().collect()
}

fn the_cache(
    url: &str,
    arguments: &OnlineArguments,
    environment: &Environment,
    contacts: &Contacts,
) -> Result<Repositories, String> {
    let remote = RemoteUrl::of(url, environment).map_err(|why| format!("--cache: {why}"))?;
    let upstream = Upstream::new(UpstreamOptions {
        ca_files: arguments.trust_bundle.iter().cloned().collect(),
        contacts: Some(contacts.clone()),
        ..UpstreamOptions::new(remote.url.clone())
    });
    let upstream = upstream.map_err(|error| format!("--cache: {error}"))?;
    let names = remote.names.iter().map(String::as_str);
    Ok(Repositories::new(RepositoriesOptions::mirror_of(
        upstream, names,
    )))
}

fn configured(
    arguments: &OnlineArguments,
    environment: &Environment,
    contacts: &Contacts,
) -> Result<Repositories, String> {
    let file = match &arguments.configuration {
        Some(path) => FileChoice::Named(path.clone()),
        None => FileChoice::NotNamed,
    };
    let loaded = Config::load(&load_from(file, false, environment));
    let loaded = loaded.map_err(|errors| errors.to_string())?;
    let shared = upstreams::Shared {
        budget: &Budget::unlimited(),
        pseudonym: &Pseudonym::random(),
        contacts: Some(contacts.clone()),
    };
    upstreams::repositories(&loaded.config, &shared).map_err(|error| error.to_string())
}

/// One image at one registry.
struct Question<'a> {
    image: &'a Image,
    upstream: &'a Upstream,
    repository: &'a RepositoryName,
    is_cache: bool,
}

impl Question<'_> {
    async fn ask(&self) -> Vec<Finding> {
        let heard = Heard::default();
        let reference = &self.image.reference;
        let top = self
            .upstream
            .get_manifest(self.repository, reference, &heard)
            .await;
        let links = match top {
            Ok(top) => ManifestLinks::read(&top.manifest.bytes),
            Err(error) => return vec![self.told("image", &self.image.written, &error)],
        };
        let Ok(links) = links else {
            return Vec::new();
        };
        if links.children.is_empty() {
            return self.ask_layer(&links).await.into_iter().collect();
        }
        let mut findings = Vec::new();
        let mut layer_is_asked = false;
        for child in &links.children {
            let platform = child.platform.as_ref().map_or_else(
                || child.digest.to_string(),
                |platform| match &platform.variant {
                    None => format!("{}/{}", platform.os, platform.architecture),
                    Some(variant) => format!("{}/{}/{variant}", platform.os, platform.architecture),
                },
            );
            let what = format!("{} for {platform}", self.image.written);
            let digest = Reference::Digest(child.digest);
            if layer_is_asked {
                let asked = self
                    .upstream
                    .head_manifest(self.repository, &digest, &heard)
                    .await;
                findings.extend(
                    asked
                        .err()
                        .map(|error| self.told("platform", &what, &error)),
                );
                continue;
            }
            match self
                .upstream
                .get_manifest(self.repository, &digest, &heard)
                .await
            {
                Err(error) => findings.push(self.told("platform", &what, &error)),
                Ok(fetched) => {
                    if let Ok(links) = ManifestLinks::read(&fetched.manifest.bytes) {
                        findings.extend(self.ask_layer(&links).await);
                        layer_is_asked = true;
                    }
                }
            }
        }
        findings
    }

    /// The first byte of one layer: it shows where the registry sends whoever fetches one. A cache sends nobody anywhere, and
    /// would fetch all of it.
    async fn ask_layer(&self, links: &ManifestLinks) -> Option<Finding> {
        if self.is_cache {
            return None;
        }
        let layer = links.layers.first()?;
        let byte = Part::Range(ByteRange { first: 0, last: 0 });
        let asked = self
            .upstream
            .get_blob(self.repository, &layer.digest, byte)
            .await;
        let what = format!("a layer of {}", self.image.written);
        asked.err().map(|error| self.told("layer", &what, &error))
    }

    fn told(&self, kind: &str, what: &str, error: &UpstreamError) -> Finding {
        let host = self.upstream.host();
        let (rule, why, fix) = match (&error.fault, kind) {
            (Fault::NotFound(_), "platform") => (
                "platform-missing",
                format!("{host} names it in its list and does not have it"),
                "push the image again with all of its platforms",
            ),
            (Fault::NotFound(_), _) => (
                "image-missing",
                format!("{host} does not have it under {}", self.repository),
                "correct the name or the tag, push the image, or add a route (proxy.routes) to the registry that has it",
            ),
            (Fault::CredentialsRefused { .. }, _) => (
                "credentials-refused",
                format!("{host} refuses the credentials that are configured for it"),
                "correct username and password, of proxy or of the route",
            ),
            _ => (
                "registry-unreachable",
                format!("{} did not answer as a registry does: {error}", error.host),
                "open the way to that host and port, or try again",
            ),
        };
        let told = [format!("{what} cannot be pulled"), why, fix.to_owned()];
        finding(Severity::Error, rule, &self.image.file, told)
    }
}
