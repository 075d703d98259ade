//! What an operator can ask for, whatever the hierarchy.

use std::fmt;

use super::Network;
use super::images::{self, MICROSOFT};
use crate::hierarchy::Trouble;
use crate::image::{Host, ImageName, is_docker_hub};

/// What all devices of a hierarchy have in common.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// The registry that the top layer caches.
    pub registry: Registry,
    /// Cistern's image as the top layer pulls it; none: `cistern:VERSION` in that registry.
    pub image: Option<String>,
    /// Cistern's image that runs there now: kept at hand for the way back.
    pub previous_image: Option<String>,
    /// The edition of IoT Edge.
    pub edition: Edition,
    /// The port of all API proxies, 443 by default in the program.
    pub port: u16,
    /// With what the registry is asked.
    pub login: Option<Login>,
    /// Microsoft's images come from Microsoft's registry although another one is cached.
    pub has_microsoft_route: bool,
    /// A Cistern in every layer that has one below it.
    pub is_cached_everywhere: bool,
    /// Azure Blob Storage on IoT Edge in the top layer.
    pub has_blob_storage: bool,
    /// A collector of metrics on each device.
    pub metrics: Option<Metrics>,
    /// A network in which Cistern has an address that never changes.
    pub network: Option<Network>,
    /// A folder of the host or the name of a volume, for what Cistern keeps.
    pub volume: String,
    /// Further images that are fetched ahead and kept, as children ask for them: `team/app:1.2`.
    pub bootstrap: Vec<String>,
    /// The certificate of the root on each device.
    pub trust_bundle: String,
}

impl Wishes {
    /// What is asked for where nothing more is said than the registry.
    pub fn new(registry: Registry) -> Self {
        Self {
            registry,
            image: None,
            previous_image: None,
            edition: Edition::default(),
            port: 443,
            login: None,
            has_microsoft_route: false,
            is_cached_everywhere: false,
            has_blob_storage: false,
            metrics: None,
            network: None,
            volume: "/srv/registry".to_owned(),
            bootstrap: Vec::new(),
            trust_bundle: "/var/aziot/certs/root-ca.pem".to_owned(),
        }
    }

    /// Cistern's image as the top layer pulls it.
    pub(super) fn cistern(&self) -> String {
        self.image.clone().unwrap_or_else(|| {
            format!(
                "{}/cistern:{}",
                self.registry.host,
                env!("CARGO_PKG_VERSION")
            )
        })
    }

    /// Whether Microsoft's images come from Microsoft.
    pub(super) fn is_microsoft_asked(&self) -> bool {
        self.has_microsoft_route || self.registry.host == MICROSOFT
    }

    pub(super) fn troubles(&self) -> Vec<Trouble> {
        let mut troubles = Vec::new();
        let mut refuse = |what: String, fix: &str| troubles.push(Trouble::new(0, what, fix));
        if self.image.is_none() && self.registry.host == MICROSOFT {
            refuse(
                format!("{MICROSOFT} has no image of Cistern"),
                "name the one that the top layer shall pull with --image, such as plant.azurecr.io/cistern:0.1.0",
            );
        }
        if is_docker_hub(&self.registry.host) && !self.is_microsoft_asked() {
            refuse(
                "Docker Hub has none of Microsoft's images".to_owned(),
                "add --mcr, so that they come from Microsoft's own registry",
            );
        }
        for (flag, image) in [
            ("--image", &self.image),
            ("--previous-image", &self.previous_image),
        ] {
            if let Some(image) = image
                && let Err(why) = pullable(image)
            {
                let fix =
                    "write it as the top layer pulls it, such as plant.azurecr.io/cistern:0.1.0";
                refuse(format!("{flag} {image}: {why}"), fix);
            }
        }
        for image in &self.bootstrap {
            if let Err(why) = ImageName::parse(image) {
                let fix = "write it as a child asks for it, such as team/app:1.2";
                refuse(format!("--bootstrap {image}: {why}"), fix);
            }
        }
        if self.port == 0 {
            refuse("--port 0 is no port".to_owned(), "443 is the usual one");
        } else if [5671, 8883].contains(&self.port) {
            refuse(
                format!("port {} is edgeHub's", self.port),
                "443 and 8000 are the usual ones for the API proxy",
            );
        } else if self.port == 5000 {
            let fix = "443 and 8000 are the usual ones for the API proxy";
            refuse("port 5000 is Cistern's own".to_owned(), fix);
        }
        troubles.extend(images::ambiguous(self));
        troubles
    }
}

/// Whether the top layer can pull this image, and edgeAgent takes its name.
fn pullable(image: &str) -> Result<(), String> {
    let name = ImageName::parse(image).map_err(|error| error.to_string())?;
    match &name.host {
        Some(Host::Upstream { .. }) => return Err("the top layer has no parent".to_owned()),
        Some(Host::Placeholder(host)) => return Err(format!("{host} is still to be filled in")),
        Some(Host::Named(_)) | None => {}
    }
    match (&name.tag, &name.digest) {
        (Some(_), Some(_)) => Err("edgeAgent takes a tag or a digest, not both".to_owned()),
        (None, None) => Err("it has neither tag nor digest".to_owned()),
        (Some(_), None) | (None, Some(_)) => Ok(()),
    }
}

/// A collector of metrics.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
    /// The resource id of the IoT hub; none: whoever deploys fills it in.
    pub hub_resource: Option<String>,
}

/// An edition of IoT Edge.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edition {
    /// 1.4 LTS.
    V1_4,
    /// 1.5 LTS.
    #[default]
    V1_5,
}

impl Edition {
    /// The edition as it is said, which is also the tag of its images.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1_4 => "1.4",
            Self::V1_5 => "1.5",
        }
    }

    /// The edition that an image of edgeAgent belongs to, by its tag: `1.4`, `1.4.33`, `1.5-linux-arm64v8`.
    pub fn of_image(image: &str) -> Option<Self> {
        let tag = ImageName::parse(image).ok()?.tag?;
        [Self::V1_4, Self::V1_5].into_iter().find(|edition| {
            tag.strip_prefix(edition.as_str())
                .is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
        })
    }
}

/// The registry that the top layer caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry {
    /// `https://plant.azurecr.io`, as Cistern is told.
    pub url: String,
    /// `plant.azurecr.io`, as it stands in front of the names of its images.
    pub host: String,
}

/// Why something names no registry.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` names no registry: {why}; write it as https://plant.azurecr.io")]
pub struct NotARegistry {
    text: String,
    why: &'static str,
}

impl Registry {
    /// Reads `https://host`, `http://host:port` or `host`.
    ///
    /// # Errors
    ///
    /// What has another scheme, a path, a login, or no host.
    pub fn parse(text: &str) -> Result<Self, NotARegistry> {
        let refused = |why| NotARegistry {
            // What is in front of an `@` may be a password.
            text: text.rsplit('@').next().unwrap_or_default().to_owned(),
            why,
        };
        let (scheme, host) = match text.trim().split_once("://") {
            Some((scheme, host)) => (scheme.to_lowercase(), host),
            None => ("https".to_owned(), text.trim()),
        };
        let host = host.strip_suffix('/').unwrap_or(host).to_lowercase();
        if scheme != "https" && scheme != "http" {
            return Err(refused("registries are asked over https or http"));
        }
        if host.contains('@') {
            return Err(refused(
                "a login belongs into --username and --password-file",
            ));
        }
        if host.contains(['/', '?', '#']) {
            return Err(refused(
                "it has a path, and names of images cannot have one there",
            ));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
        if host.is_empty() || host.starts_with(':') || !host.chars().all(is_plain) {
            return Err(refused("it has no host"));
        }
        let host = match host.as_str() {
            "registry-1.docker.io" | "index.docker.io" => "docker.io".to_owned(),
            _ if scheme == "https" => host.strip_suffix(":443").unwrap_or(&host).to_owned(),
            _ => host,
        };
        if !host.contains(['.', ':']) && host != "localhost" {
            return Err(refused(
                "docker takes a single word in front of an image for a user of Docker Hub, not for a host",
            ));
        }
        let url = match host.as_str() {
            "docker.io" => "https://registry-1.docker.io".to_owned(),
            host => format!("{scheme}://{host}"),
        };
        Ok(Self { url, host })
    }
}

/// A user and, if it was given, the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The password; none: whoever deploys fills it in.
    pub password: Option<String>,
}

/// Never prints the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .finish()
    }
}
