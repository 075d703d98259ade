//! Images of layers, a config and a manifest, in Docker's and in OCI's words.

use serde_json::json;

use super::tarball::{Entry, gzip, random_bytes, tar};
use super::{Algorithm, DOCKER_MANIFEST, Image, Item, OCI_MANIFEST};
use crate::need;

/// Whose media types an image uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// `application/vnd.docker.…`
    Docker,
    /// `application/vnd.oci.…`
    Oci,
}

impl Family {
    pub(super) fn manifest(self) -> &'static str {
        if self == Self::Docker {
            DOCKER_MANIFEST
        } else {
            OCI_MANIFEST
        }
    }

    fn config(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.container.image.v1+json",
            Self::Oci => "application/vnd.oci.image.config.v1+json",
        }
    }

    fn layer(self) -> &'static str {
        match self {
            Self::Docker => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Self::Oci => "application/vnd.oci.image.layer.v1.tar+gzip",
        }
    }
}

/// A layer before it has a media type.
#[derive(Clone, Debug)]
pub struct Layer {
    compressed: bytes::Bytes,
    plain_digest: String,
}

impl Layer {
    fn of(entries: &[Entry<'_>]) -> Self {
        let plain = tar(entries);
        Self {
            compressed: gzip(&plain),
            plain_digest: super::sha256(&plain),
        }
    }

    /// One file of `size` incompressible bytes, so that the blob is about as large.
    pub fn random(seed: u64, size: usize) -> Self {
        let name = format!("data/{seed}");
        Self::of(&[
            Entry::Folder("data"),
            Entry::File(&name, &random_bytes(seed, size)),
        ])
    }

    /// One file with this text.
    pub fn text(path: &str, text: &str) -> Self {
        Self::of(&[Entry::File(path, text.as_bytes())])
    }

    /// `/bin/busybox` of this machine (Debian's busybox-static) and `/bin/sh`: enough for a container to run.
    ///
    /// # Panics
    /// When it is missing; ask with `need!("static busybox")`.
    pub fn busybox() -> Self {
        let program = need::static_busybox().expect("a static /bin/busybox");
        let folders = [
            Entry::Folder("bin"),
            Entry::Folder("proc"),
            Entry::Folder("sys"),
            Entry::Folder("dev"),
        ];
        let files = [
            Entry::File("bin/busybox", &program),
            Entry::Link("bin/sh", "busybox"),
        ];
        Self::of(&folders.into_iter().chain(files).collect::<Vec<_>>())
    }
}

/// Describes an image; [`ImageBuilder::build`] makes it.
#[derive(Clone, Debug)]
pub struct ImageBuilder {
    family: Family,
    algorithm: Algorithm,
    layers: Vec<Layer>,
    command: Vec<String>,
    architecture: String,
    variant: Option<String>,
    created: String,
}

/// An OCI image without layers, for this machine's architecture.
pub fn image() -> ImageBuilder {
    ImageBuilder {
        family: Family::Oci,
        algorithm: Algorithm::Sha256,
        layers: Vec::new(),
        command: Vec::new(),
        architecture: this_architecture().to_owned(),
        variant: None,
        created: "1970-01-01T00:00:00Z".to_owned(),
    }
}

/// This machine's architecture in Go's words.
pub fn this_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "arm" => "arm",
        other => other,
    }
}

impl ImageBuilder {
    /// Whose media types.
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Every digest of this algorithm.
    #[must_use]
    pub fn algorithm(mut self, algorithm: Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// One more layer.
    #[must_use]
    pub fn layer(mut self, layer: Layer) -> Self {
        self.layers.push(layer);
        self
    }

    /// `count` layers of `size` incompressible bytes each.
    #[must_use]
    pub fn random_layers(mut self, seed: u64, count: u64, size: usize) -> Self {
        self.layers
            .extend((0..count).map(|number| Layer::random(seed.wrapping_mul(1000) + number, size)));
        self
    }

    /// A busybox layer and a command that prints `line`.
    #[must_use]
    pub fn prints(mut self, line: &str) -> Self {
        self.layers.push(Layer::busybox());
        self.command = vec![
            "/bin/busybox".to_owned(),
            "echo".to_owned(),
            line.to_owned(),
        ];
        self
    }

    /// For this architecture (Go's words) and variant.
    #[must_use]
    pub fn platform(mut self, architecture: &str, variant: Option<&str>) -> Self {
        architecture.clone_into(&mut self.architecture);
        self.variant = variant.map(str::to_owned);
        self
    }

    /// The config's date: images that differ in nothing else differ in this.
    #[must_use]
    pub fn created(mut self, date: &str) -> Self {
        date.clone_into(&mut self.created);
        self
    }

    /// Makes it: config, layers, manifest.
    pub fn build(&self) -> Image {
        let item = |media_type, bytes| Item::with(self.algorithm, media_type, bytes);
        let mut config = json!({
            "created": self.created,
            "architecture": self.architecture,
            "os": "linux",
            "config": { "Cmd": self.command, "Env": ["PATH=/bin"] },
            "rootfs": { "type": "layers", "diff_ids": self.layers.iter().map(|layer| &layer.plain_digest).collect::<Vec<_>>() },
            "history": self.layers.iter().map(|_| json!({ "created": self.created, "created_by": "cistern-tests" })).collect::<Vec<_>>(),
        });
        if let Some(variant) = &self.variant {
            config["variant"] = json!(variant);
        }
        let config = item(self.family.config(), config.to_string().into());
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|layer| item(self.family.layer(), layer.compressed.clone()))
            .collect();
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": self.family.manifest(),
            "config": config.descriptor(),
            "layers": layers.iter().map(Item::descriptor).collect::<Vec<_>>(),
        });
        let manifest = item(self.family.manifest(), manifest.to_string().into());
        let mut blobs = vec![config];
        blobs.extend(layers);
        Image {
            manifests: vec![manifest],
            blobs,
        }
    }

    pub(super) fn platform_json(&self) -> serde_json::Value {
        let mut platform = json!({ "architecture": self.architecture, "os": "linux" });
        if let Some(variant) = &self.variant {
            platform["variant"] = json!(variant);
        }
        platform
    }

    pub(super) fn index_type(&self) -> &'static str {
        if self.family == Family::Docker {
            super::DOCKER_LIST
        } else {
            super::OCI_INDEX
        }
    }

    pub(super) fn used_algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
