//! Which images a deployment needs, those included that nobody writes down.
//!
//! Must not know what is here or there: only what will be asked for.

mod implied;
#[cfg(test)]
mod tests;

use serde::Serialize;

use crate::manifest::{Module, NamedImage};
use crate::rewrite::is_same_registry;
use crate::{Host, ImageName, Manifest, NamedManifest};

/// What is known beside the manifests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImagesOptions {
    /// The edition of IoT Edge, `1.5`; none: the one that the manifest's edgeAgent is of, else `1.5`.
    pub edition: Option<String>,
    /// The parent's host name, with or without a port, as in `config.toml`.
    pub parent: Option<String>,
}

/// One image that a layer needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LayerImage {
    /// The manifest.
    pub file: String,
    /// The modules that run it; for an implied one, what it is for: `edgeAgent`, `iotedge check`.
    pub modules: Vec<String>,
    /// The image as it is written; an implied one as docker will be asked for it.
    pub image: String,
    /// What docker asks a registry for: `azureiotedge-agent:1.5`. None if the name is not a whole one yet, or nothing is pulled.
    pub asked: Option<String>,
    /// Whom docker asks; none: the parent, and by way of it the cache.
    pub registry: Option<String>,
    /// Whether it stands in no manifest and is needed all the same.
    pub is_implied: bool,
    /// Why it is needed, or why nothing is asked for.
    pub why: String,
}

// === impl LayerImage ===

impl LayerImage {
    /// The name that `cistern warm` and `warm.images` take: the repository alone if the parent is asked, else with its registry.
    pub fn to_warm(&self) -> Option<String> {
        let asked = self.asked.as_ref()?;
        Some(match &self.registry {
            None => asked.clone(),
            Some(registry) => format!("{registry}/{asked}"),
        })
    }
}

/// The images of each manifest: those that it names, in its order and each once, then those that it implies.
pub fn images(manifests: &[NamedManifest<'_>], options: &ImagesOptions) -> Vec<LayerImage> {
    let mut images = Vec::new();
    for named in manifests {
        let mut layer = Layer {
            file: named.file,
            manifest: named.manifest,
            options,
            images: Vec::new(),
        };
        layer.add_named();
        layer.add_implied();
        images.append(&mut layer.images);
    }
    images
}

/// One manifest on the way to its list.
struct Layer<'input> {
    file: &'input str,
    manifest: &'input Manifest,
    options: &'input ImagesOptions,
    images: Vec<LayerImage>,
}

impl Layer<'_> {
    fn add_named(&mut self) {
        for named in &self.manifest.images {
            let written = named.image.value.trim();
            let mut image = self.image(written, &named.module);
            if let Some(why) = self.not_pulled(named) {
                image.asked = None;
                image.why = why;
            }
            self.add(image);
        }
    }

    /// Why nothing is pulled for a module.
    fn not_pulled(&self, named: &NamedImage) -> Option<String> {
        let is_it = |module: &&Module| module.name == named.module && module.role == named.role;
        let module = self.manifest.modules.iter().find(is_it)?;
        let policy = module.pull_policy.as_ref()?;
        let never = policy.value.eq_ignore_ascii_case("never");
        never.then(|| "imagePullPolicy is never: it is loaded by hand under this name".to_owned())
    }

    fn image(&self, written: &str, module: &str) -> LayerImage {
        let mut image = LayerImage {
            file: self.file.to_owned(),
            modules: vec![module.to_owned()],
            image: written.to_owned(),
            asked: None,
            registry: None,
            is_implied: false,
            why: "named in the manifest".to_owned(),
        };
        match ImageName::parse(written) {
            Err(why) => image.why = why.to_string(),
            Ok(name) => {
                image.registry = match &name.host {
                    Some(host) if host.is_upstream() || self.is_parent(host) => None,
                    Some(Host::Named(host)) if crate::image::is_docker_hub(host) => {
                        Some("docker.io".to_owned())
                    }
                    Some(host) => Some(host.to_string()),
                    None => Some("docker.io".to_owned()),
                };
                if name.has_placeholder() {
                    let why = "has a placeholder that has to be filled in first";
                    why.clone_into(&mut image.why);
                } else {
                    image.asked = Some(name.asked());
                }
            }
        }
        image
    }

    fn is_parent(&self, host: &Host) -> bool {
        let (Some(parent), Host::Named(host)) = (&self.options.parent, host) else {
            return false;
        };
        is_same_registry(parent, host) || host.split(':').next() == Some(parent.as_str())
    }

    /// Adds an image, or its module to the same image that is there.
    fn add(&mut self, image: LayerImage) {
        let same = |known: &&mut LayerImage| {
            known.image == image.image && known.asked == image.asked && known.why == image.why
        };
        match self.images.iter_mut().find(same) {
            Some(known) => {
                for module in image.modules {
                    if !known.modules.contains(&module) {
                        known.modules.push(module);
                    }
                }
            }
            None => self.images.push(image),
        }
    }
}
