//! A hierarchy of nested edge devices on one machine: each device is a network namespace, and all that a device can reach is what is plugged
//! into it.
//!
//! ```text
//!   cloud    Distribution behind a password, https://cloud.example   (an authority of its own)
//!     |
//!     |      the uplink: cut, silenced, slowed down, counted                    10.1.0.0/30
//!     |
//!    top     nginx :443 as the API proxy --- http ---> Cistern, registry:5000 --> https://cloud.example
//!     |
//!     |      TLS, the certificate of IoTEdgeAPIProxy by top's device CA        10.2.0.0/30
//!     |
//!  middle    nginx :443 --> https://top.example:443        (or a Cistern of its own, which asks top.example:443)
//!     |
//!     |      TLS                                                                10.3.0.0/30
//!     |
//!  bottom    dockerd and callers; they pull middle.example:443/azureiotedge-agent:1.5
//! ```
//!
//! There is no other route, no forwarding and no name server: a host that is two steps away is as unreachable as on a real plant floor. One root
//! has issued a CA to each device, and these the certificates of the proxies; everybody below the cloud trusts this root alone.
//! The `registry` in an API proxy's settings is a name that it asks of 127.0.0.11, where a stand-in for docker's name server answers.

mod disk;
mod images;
mod layer;
mod link;
mod names;
mod namespace;
mod place;
mod puller;

use std::sync::Arc;

use tempfile::TempDir;

use crate::certificates::Authority;
use crate::clients::Docker;
use crate::registry::Registry;
use crate::store::Store;
use crate::{cistern, distribution};

pub use disk::Disk;
pub use images::{AGENT, AGENT_SAYS, CISTERN, EdgeImages, HUB, LARGE, LARGE_SAYS, NEW_CISTERN};
pub use layer::{Layer, PORT};
pub use link::{Cut, Uplink};
pub use namespace::Namespace;
pub use place::Place;
pub use puller::Puller;

pub(crate) use disk::is_possible as can_lose_power;
pub(crate) use link::can_be_slow;
pub(crate) use namespace::are_possible as can_be_built;

/// The registry in the cloud.
const CLOUD: &str = "cloud.example";
/// Whom it lets in.
const USER: &str = "plant";
const PASSWORD: &str = "a secret of the plant";

/// Which layers have a Cistern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Caches {
    /// The top layer alone: what most plants need.
    #[default]
    Top,
    /// Every gateway, each asking the one above it.
    Chained,
}

/// What a hierarchy is like.
#[derive(Debug, Default)]
pub struct Plan {
    /// Which layers have a Cistern.
    pub caches: Caches,
    /// Whether the top layer's disk is one whose power can be cut.
    pub can_lose_power: bool,
    /// Further settings of the top layer's Cistern, as environment.
    pub top: Vec<(&'static str, String)>,
}

/// The hierarchy. Needs `network namespaces`, `nginx`, `docker-registry`, `htpasswd`, `static busybox`.
#[derive(Debug)]
pub struct Hierarchy {
    /// The middle layer's gateway.
    pub middle: Layer,
    /// The top layer's gateway.
    pub top: Layer,
    /// The registry in the cloud.
    pub cloud: Registry,
    /// What the cloud's registry holds.
    pub images: EdgeImages,
    /// The namespace of the lowest devices.
    pub bottom: Place,
    /// From the top layer to the cloud.
    pub uplink: Uplink,
    /// From the middle layer to the top.
    pub upper: Uplink,
    /// From the lowest devices to the middle layer.
    pub lower: Uplink,
    authority: Authority,
    files: TempDir,
}

impl Hierarchy {
    /// Builds it and starts everything but the lowest devices.
    pub async fn build(plan: Plan) -> Self {
        let [cloud, top, middle, bottom] = ["cloud", "top", "middle", "bottom"].map(Namespace::new);
        let [uplink, upper, lower] = [(&top, &cloud, 1), (&middle, &top, 2), (&bottom, &middle, 3)]
            .map(|(lower, upper, net)| Uplink::lay(lower, upper, net));
        let authority = Authority::new("root of the plant");
        let files = tempfile::Builder::new()
            .prefix("cistern-hierarchy-")
            .tempdir()
            .unwrap();
        top.know(CLOUD, uplink.upper_address());
        middle.know("top.example", upper.upper_address());
        bottom.know("middle.example", lower.upper_address());

        let images = EdgeImages::make();
        let (cloud, cloud_root) = start_cloud(&cloud, &uplink, &images, &files).await;
        let disk = plan.can_lose_power.then(|| Arc::new(Disk::new()));
        let mut cache = cistern::mirror_of(&format!("https://{CLOUD}"))
            .proxy_credentials(USER, PASSWORD)
            .set("REGISTRY_PROXY_CA", &cloud_root);
        if let Some(disk) = &disk {
            let folder = disk.path().display().to_string();
            cache = cache.set("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &folder);
        }
        for (name, value) in &plan.top {
            cache = cache.set(name, value);
        }
        let top = Layer::start(layer::Parts {
            hostname: "top.example",
            address: upper.upper_address(),
            namespace: &top,
            authority: &authority,
            cache: Some(cache),
            disk,
            parent: None,
        });
        let top = top.await;
        let bundle = write(&files, "bundle.pem", &authority.bundle());
        let chained = cistern::mirror_of(&format!("https://{}", top.host()))
            .set("REGISTRY_PROXY_CA", &bundle);
        let middle = Layer::start(layer::Parts {
            hostname: "middle.example",
            address: lower.upper_address(),
            namespace: &middle,
            authority: &authority,
            cache: (plan.caches == Caches::Chained).then_some(chained),
            disk: None,
            parent: Some("top.example"),
        });
        Self {
            middle: middle.await,
            top,
            cloud,
            images,
            bottom: Place::new(&bottom),
            uplink,
            upper,
            lower,
            authority,
            files,
        }
    }

    /// What every device below the cloud trusts, in PEM.
    pub fn bundle(&self) -> String {
        self.authority.bundle()
    }

    /// What a device at the bottom calls an image: `{parent}:443/repository:tag`.
    pub fn name_of(&self, image: &str) -> String {
        format!("{}/{image}", self.middle.host())
    }

    /// A dockerd at the bottom. Needs `dockerd`, `docker`, `containerd`, `runc`.
    pub async fn docker(&self) -> Docker {
        self.docker_with(&[]).await
    }

    /// The same with further arguments.
    pub async fn docker_with(&self, arguments: &[&str]) -> Docker {
        Docker::start_in(&self.bottom, &self.bundle(), arguments).await
    }

    /// The dockerd of the top gateway itself: it pulls from the cloud, with the plant's password, as the modules of the top layer do.
    pub async fn docker_of_the_top(&self) -> Docker {
        let root = std::fs::read_to_string(self.files.path().join("cloud-root.pem")).unwrap();
        let place = Place::new(&self.top.namespace);
        let docker = Docker::start_in(&place, &root, &[]).await;
        let host = format!("{CLOUD}:{PORT}");
        docker.login(&host, USER, PASSWORD).await.well();
        docker
    }

    /// What the top layer calls an image of the cloud.
    pub fn name_in_the_cloud(&self, image: &str) -> String {
        format!("{CLOUD}:{PORT}/{image}")
    }

    /// A device at the bottom that pulls as containerd and docker do, without being one.
    pub fn puller(&self) -> Puller {
        Puller::new(self.bottom.namespace(), &self.middle.host(), &self.bundle())
    }
}

/// Distribution in the cloud, with the images, behind a password and a certificate; and the file of whom to trust for that.
async fn start_cloud(
    cloud: &Namespace,
    uplink: &Uplink,
    images: &EdgeImages,
    files: &TempDir,
) -> (Registry, String) {
    let store = Store::new();
    images.put_into(&store);
    let authority = Authority::new("authority of the cloud");
    let server = authority.edge_ca(CLOUD).server(CLOUD, &[]);
    let registry = distribution::on_store(&store)
        .htpasswd(USER, PASSWORD)
        .set(
            "REGISTRY_HTTP_TLS_CERTIFICATE",
            &write(files, "cloud.pem", &server.chain),
        )
        .set(
            "REGISTRY_HTTP_TLS_KEY",
            &write(files, "cloud.key", &server.key),
        )
        .address((uplink.upper_address(), PORT).into())
        .place(&Place::new(cloud));
    let root = write(files, "cloud-root.pem", &authority.bundle());
    (registry.start().await, root)
}

fn write(folder: &TempDir, name: &str, text: &str) -> String {
    let file = folder.path().join(name);
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}
