//! A hierarchy of two layers in which nothing is wrong, and words to spoil it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};

use super::super::*;

pub(super) type Authority = CertifiedIssuer<'static, KeyPair>;

/// When all of it happens: 2026-06-01.
const NOW: u64 = 1_780_272_000;

const TOP: &str = r#"{"modulesContent": {
"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1",
"runtime": {"type": "docker", "settings": {"registryCredentials": {"acr": {"address": "myacr.azurecr.io", "username": "me", "password": "pass"}}}},
"systemModules": {
"edgeAgent": {"type": "docker", "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.5", "createOptions": ""}},
"edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "mcr.microsoft.com/azureiotedge-hub:1.5",
"createOptions": "{\"HostConfig\":{\"PortBindings\":{\"5671/tcp\":[{\"HostPort\":\"5671\"}],\"8883/tcp\":[{\"HostPort\":\"8883\"}]}}}"}}},
"modules": {
"registry": {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "myacr.azurecr.io/cistern:0.2",
"createOptions": "{\"HostConfig\":{\"Binds\":[\"registry:/var/lib/registry\"],\"PortBindings\":{\"5000/tcp\":[{\"HostPort\":\"5000\"}]}}}"},
"env": {"REGISTRY_PROXY_REMOTEURL": {"value": "https://myacr.azurecr.io"},
"REGISTRY_PROXY_ROUTES_0_PREFIX": {"value": "azureiotedge-"}, "REGISTRY_PROXY_ROUTES_0_REMOTEURL": {"value": "https://mcr.microsoft.com"},
"REGISTRY_EDGE_BOOTSTRAP": {"value": "$upstream:443/azureiotedge-agent:1.5,$upstream:443/azureiotedge-hub:1.5,$upstream:443/azureiotedge-api-proxy:1.1,$upstream:443/azureiotedge-diagnostics:1.5,$upstream:443/cistern:0.2,$upstream:443/cistern:0.1"}}},
"IoTEdgeAPIProxy": {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "mcr.microsoft.com/azureiotedge-api-proxy:1.1",
"createOptions": "{\"HostConfig\":{\"PortBindings\":{\"443/tcp\":[{\"HostPort\":\"443\"}]}}}"},
"env": {"NGINX_DEFAULT_PORT": {"value": "443"}, "DOCKER_REQUEST_ROUTE_ADDRESS": {"value": "registry:5000"}}}}}},
"$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {"all": "FROM /messages/* INTO $upstream"}}}}}
"#;

const LOWER: &str = r#"{"modulesContent": {
"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1",
"runtime": {"type": "docker", "settings": {}},
"systemModules": {
"edgeAgent": {"type": "docker", "settings": {"image": "$upstream:443/azureiotedge-agent:1.5"}},
"edgeHub": {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "$upstream:443/azureiotedge-hub:1.5",
"createOptions": {"HostConfig": {"PortBindings": {"5671/tcp": [{"HostPort": "5671"}]}}}}}},
"modules": {
"registry": {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "$upstream:443/cistern:0.2",
"createOptions": "{\"HostConfig\":{\"Mounts\":[{\"Type\":\"volume\",\"Source\":\"registry\",\"Target\":\"/var/lib/registry\"}]}}"},
"env": {"REGISTRY_PROXY_REMOTEURL": {"value": "$upstream:443"}, "REGISTRY_EDGE_BOOTSTRAP_0": {"value": "$upstream:443/azureiotedge-diagnostics:1.5"}}},
"IoTEdgeAPIProxy": {"type": "docker", "status": "running", "restartPolicy": "always", "settings": {"image": "$upstream:443/azureiotedge-api-proxy:1.1",
"createOptions": "{\"HostConfig\":{\"PortBindings\":{\"443/tcp\":[{\"HostPort\":\"443\"}]}}}"},
"env": {"NGINX_DEFAULT_PORT": {"value": 443}, "DOCKER_REQUEST_ROUTE_ADDRESS": {"value": "registry:5000"}}}}}},
"$edgeHub": {"properties.desired": {"schemaVersion": "1.1", "routes": {"all": "FROM /messages/* INTO $upstream"}}}}}
"#;

const DEVICE: &str = r#"hostname = "HOST"
trust_bundle_cert = "file:///var/aziot/certs/root.pem"

[edge_ca]
cert = "file:///var/aziot/certs/chain.pem"
pk = "file:///var/aziot/secrets/key.pem"

[agent]
name = "edgeAgent"
type = "docker"

[agent.config]
image = "IMAGE"

[image_garbage_collection]
image_age_cleanup_threshold = "7d"
"#;

/// Certificates of the hierarchy.
pub(super) struct Pki {
    pub(super) root: Authority,
    pub(super) middle: Authority,
    pub(super) edge: Authority,
}

/// Everything that is checked.
pub(super) struct World {
    pub(super) top: String,
    pub(super) lower: String,
    pub(super) top_toml: String,
    pub(super) lower_toml: String,
    pub(super) top_files: Vec<FileFacts>,
    pub(super) lower_files: Vec<FileFacts>,
    pub(super) pki: Pki,
    pub(super) doubts: Vec<SettingDoubt>,
    pub(super) now: SystemTime,
}

pub(super) fn authority(name: &str) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.not_before = date_time_ymd(2026, 1, 1);
    parameters.not_after = date_time_ymd(2027, 1, 1);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters
}

pub(super) fn signed(parameters: CertificateParams, issuer: &Authority) -> Authority {
    CertifiedIssuer::signed_by(parameters, KeyPair::generate().unwrap(), issuer).unwrap()
}

pub(super) fn root(name: &str) -> Authority {
    CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap()).unwrap()
}

fn file(path: &str, contents: String, owner: &str, mode: (u32, u32)) -> FileFacts {
    let access = |mode| {
        Some(Access {
            owner: owner.to_owned(),
            mode,
        })
    };
    FileFacts {
        path: path.to_owned(),
        contents: Ok(contents),
        is_on_device: true,
        access: access(mode.0),
        folder: access(mode.1),
    }
}

impl World {
    pub(super) fn new() -> Self {
        let root = root("example root");
        let middle = signed(authority("example intermediate"), &root);
        let edge = signed(authority("gateway.ca"), &middle);
        let files = vec![
            file(
                "/var/aziot/certs/root.pem",
                root.pem(),
                "aziotcs",
                (0o644, 0o755),
            ),
            file(
                "/var/aziot/certs/chain.pem",
                edge.pem() + &middle.pem(),
                "aziotcs",
                (0o644, 0o755),
            ),
            file(
                "/var/aziot/secrets/key.pem",
                edge.key().serialize_pem(),
                "aziotks",
                (0o600, 0o700),
            ),
        ];
        let parent = "parent_hostname = \"top.example\"\n";
        let lower_toml = DEVICE
            .replace("HOST", "lower.example")
            .replace("IMAGE", "top.example:443/azureiotedge-agent:1.5");
        Self {
            top: TOP.to_owned(),
            lower: LOWER.to_owned(),
            top_toml: DEVICE
                .replace("HOST", "top.example")
                .replace("IMAGE", "mcr.microsoft.com/azureiotedge-agent:1.5"),
            lower_toml: format!("{parent}{lower_toml}"),
            top_files: files.clone(),
            lower_files: files,
            pki: Pki { root, middle, edge },
            doubts: Vec::new(),
            now: UNIX_EPOCH + Duration::from_secs(NOW),
        }
    }

    pub(super) fn top(&mut self, from: &str, to: &str) -> &mut Self {
        replace(&mut self.top, from, to);
        self
    }

    pub(super) fn lower(&mut self, from: &str, to: &str) -> &mut Self {
        replace(&mut self.lower, from, to);
        self
    }

    pub(super) fn top_toml(&mut self, from: &str, to: &str) -> &mut Self {
        replace(&mut self.top_toml, from, to);
        self
    }

    pub(super) fn lower_toml(&mut self, from: &str, to: &str) -> &mut Self {
        replace(&mut self.lower_toml, from, to);
        self
    }

    /// One of the lower device's files: 0 the bundle, 1 the chain, 2 the key.
    pub(super) fn holds(&mut self, file: usize, contents: String) -> &mut Self {
        self.lower_files[file].contents = Ok(contents);
        self
    }

    /// Another edge CA of the lower device, with its own key.
    pub(super) fn edge(&mut self, parameters: CertificateParams) -> &mut Self {
        let edge = signed(parameters, &self.pki.middle);
        let (chain, key) = (
            edge.pem() + &self.pki.middle.pem(),
            edge.key().serialize_pem(),
        );
        self.holds(1, chain).holds(2, key)
    }

    pub(super) fn check(&self) -> Vec<Finding> {
        check(&Inputs {
            manifests: &[
                NamedText {
                    file: "top.json",
                    text: &self.top,
                },
                NamedText {
                    file: "lower.json",
                    text: &self.lower,
                },
            ],
            devices: &[
                DeviceFile {
                    file: "top.toml",
                    text: &self.top_toml,
                    files: &self.top_files,
                },
                DeviceFile {
                    file: "lower.toml",
                    text: &self.lower_toml,
                    files: &self.lower_files,
                },
            ],
            first_layer: FirstLayer::Guessed,
            now: self.now,
            settings: &|_| self.doubts.clone(),
        })
    }
}

fn replace(text: &mut String, from: &str, to: &str) {
    assert!(text.contains(from), "{from} is not there to be replaced");
    *text = text.replacen(from, to, 1);
}
