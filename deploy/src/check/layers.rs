//! Which manifest is which layer, which device it is for, and who is above whom.

use super::parts::{self, Proxy, RegistryModule};
use super::{DeviceFile, FileFacts, FirstLayer, Inputs};
use crate::device_config::DeviceConfig;
use crate::manifest::Role;
use crate::{Host, Manifest, Severity};

/// A `config.toml` that could be read.
pub(super) struct Device<'a> {
    pub(super) file: &'a str,
    pub(super) config: &'a DeviceConfig,
    pub(super) files: &'a [FileFacts],
}

/// One manifest as a layer.
pub(super) struct Layer<'a> {
    pub(super) file: &'a str,
    pub(super) manifest: &'a Manifest,
    pub(super) device: Option<&'a Device<'a>>,
    pub(super) rank: Rank,
    /// The layer above it, if it was given.
    parent: Option<usize>,
    /// Whether it has children: none where nobody knows.
    pub(super) has_children: Option<bool>,
    position: usize,
    pub(super) proxy: Option<Proxy<'a>>,
    pub(super) registries: Vec<RegistryModule<'a>>,
}

/// Whether a layer has a parent, and whether that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rank {
    Top,
    Lower,
    GuessedTop,
    GuessedLower,
}

/// All layers.
pub(super) struct Layers<'a> {
    layers: Vec<Layer<'a>>,
}

impl<'a> Device<'a> {
    pub(super) fn of(given: &DeviceFile<'a>, config: &'a DeviceConfig) -> Self {
        Self {
            file: given.file,
            config,
            files: given.files,
        }
    }

    pub(super) fn hostname(&self) -> Option<&str> {
        self.config
            .hostname
            .as_ref()
            .map(|name| name.value.as_str())
    }

    pub(super) fn parent(&self) -> Option<&str> {
        let parent = self.config.parent_hostname.as_ref();
        parent.map(|name| name.value.as_str())
    }

    /// Whether it is its own hostname that `other` calls its parent.
    pub(super) fn is_parent_of(&self, other: &Self) -> bool {
        matches!((self.hostname(), other.parent()), (Some(mine), Some(named)) if mine.eq_ignore_ascii_case(named))
    }
}

impl Rank {
    pub(super) const fn is_top(self) -> bool {
        matches!(self, Self::Top | Self::GuessedTop)
    }

    /// An error where the rank is known, else a warning.
    pub(super) const fn severity(self) -> Severity {
        match self {
            Self::Top | Self::Lower => Severity::Error,
            Self::GuessedTop | Self::GuessedLower => Severity::Warning,
        }
    }
}

impl<'a> Layers<'a> {
    pub(super) fn of(
        inputs: &Inputs<'a>,
        manifests: &'a [Option<Manifest>],
        devices: &'a [Option<Device<'a>>],
    ) -> Self {
        let are_paired = inputs.manifests.len() == inputs.devices.len();
        let of_position = |position: usize| {
            let device = are_paired.then(|| devices.get(position)?.as_ref());
            device.flatten()
        };
        let count = manifests.len();
        let layers = manifests.iter().zip(inputs.manifests).enumerate();
        let layers = layers.filter_map(|(position, (manifest, given))| {
            let manifest = manifest.as_ref()?;
            let device = of_position(position);
            let rank = match device {
                Some(device) if device.parent().is_some() => Rank::Lower,
                Some(_) => Rank::Top,
                None if position > 0 => Rank::Lower,
                None => first_rank(inputs.first_layer, manifest),
            };
            let (parent, has_children) = match device {
                Some(device) => family(device, devices),
                None => (
                    position.checked_sub(1),
                    (count > 1).then_some(position + 1 < count),
                ),
            };
            Some(Layer {
                file: given.file,
                manifest,
                device,
                rank,
                parent,
                has_children,
                position,
                proxy: parts::proxy(manifest),
                registries: parts::registry_modules(manifest),
            })
        });
        Self {
            layers: layers.collect(),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Layer<'a>> {
        self.layers.iter()
    }

    /// The layer above.
    pub(super) fn parent_of(&self, layer: &Layer<'_>) -> Option<&Layer<'a>> {
        let parent = layer.parent?;
        self.iter().find(|other| other.position == parent)
    }

    /// All layers below it, however deep.
    pub(super) fn below(&self, layer: &Layer<'_>) -> Vec<&Layer<'a>> {
        let mut found: Vec<&Layer<'a>> = Vec::new();
        let mut above = vec![layer.position];
        while let Some(position) = above.pop() {
            for child in self.iter().filter(|other| other.parent == Some(position)) {
                if child.position != layer.position
                    && !found.iter().any(|other| other.position == child.position)
                {
                    found.push(child);
                    above.push(child.position);
                }
            }
        }
        found
    }

    /// The layer of this device.
    pub(super) fn of_device(&self, device: &Device<'_>) -> Option<&Layer<'a>> {
        self.iter()
            .find(|layer| layer.device.is_some_and(|of_it| of_it.file == device.file))
    }
}

impl Layer<'_> {
    /// The hostname its children know it by, if a `config.toml` says it.
    pub(super) fn hostname(&self) -> Option<&str> {
        self.device.and_then(Device::hostname)
    }
}

/// The parent's position, and whether anybody calls this device its parent.
fn family(device: &Device<'_>, devices: &[Option<Device<'_>>]) -> (Option<usize>, Option<bool>) {
    let parent = devices.iter().position(|other| {
        other
            .as_ref()
            .is_some_and(|other| other.is_parent_of(device))
    });
    let mut others = devices.iter().flatten();
    let has_children = others.any(|other| device.is_parent_of(other));
    // Not every child may have been given.
    (parent, has_children.then_some(true))
}

fn first_rank(said: FirstLayer, manifest: &Manifest) -> Rank {
    match said {
        FirstLayer::Top => Rank::Top,
        FirstLayer::Lower => Rank::Lower,
        FirstLayer::Guessed => {
            let mut judged = manifest
                .modules
                .iter()
                .filter(|module| module.role != Role::Custom);
            let is_from_parent = |module| {
                parts::image_of(module)
                    .and_then(|image| image.host)
                    .is_some_and(|host| matches!(host, Host::Upstream { .. }))
            };
            let has_runtime = manifest
                .modules
                .iter()
                .any(|module| module.role != Role::Custom);
            let is_lower = if has_runtime {
                judged.any(is_from_parent)
            } else {
                manifest.modules.iter().any(is_from_parent)
            };
            if is_lower {
                Rank::GuessedLower
            } else {
                Rank::GuessedTop
            }
        }
    }
}
