//! What an operator wrote, made into a [`Config`] that is valid or into a list of all that is wrong with it.
//!
//! The keys are those of CNCF Distribution's `config.yml` and their `REGISTRY_…` environment twins, plus our own below
//! `proxy`, `http`, `hosted` and `storage.cache`. This room reads text; it must not know HTTP, the store or the network.

mod address;
mod auth;
mod credentials;
mod duration;
mod edge;
mod environment;
mod finding;
mod hosted;
mod http;
mod iotedge;
mod keys;
mod log;
pub(crate) mod nearest;
mod network;
mod node;
mod outgoing;
mod proxy;
mod rate;
mod reader;
mod reference;
mod remote_url;
mod routes;
mod size;
mod source;
mod storage;
mod survey;
mod time_window;
mod tls;
mod uplink;
mod warm;
mod yaml;

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use node::{Node, Value};
use reader::Reader;
use source::Source;

pub use address::{ListenAddress, ListenHost};
pub use credentials::{CredentialText, Credentials, Secret};
pub use duration::written as written_duration;
pub use edge::Edge;
pub use finding::{ConfigErrors, Finding, Place, Severity, counted};
pub use http::{Http, MetricsAt};
pub use iotedge::{IotEdge, Workload};
pub use log::{Log, LogFormat, LogLevel};
pub use outgoing::{OutgoingProxies, OutgoingProxy};
pub use proxy::{Proxy, WhenGone};
pub use rate::RateWindow;
pub use reference::{reference_page, reference_table};
pub use remote_url::RemoteUrl;
pub use routes::{Route, UpstreamSettings};
pub use storage::{Reserve, Storage};
pub use time_window::TimeWindow;
pub use tls::{CertificateFrom, ClientCertificate, MinimumTls, Tls};
pub use uplink::{ClientIdentity, Exec, Uplink};
pub use warm::{Warm, WarmPlatforms};

pub use auth::HtpasswdFile;
pub use hosted::Hosted;

/// Everything a server is started with. A value of this type is valid: every address parses, every limit is in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `http`: where we listen, what is added to answers, who may speak for a caller's address.
    pub http: Http,
    /// `http.tls`: how callers are spoken to with TLS. None: in the clear.
    pub tls: Option<Tls>,
    /// What IoT Edge tells its modules about themselves.
    pub iotedge: IotEdge,
    /// `log`: how much is said, and in which form.
    pub log: Log,
    /// `storage`: where the bytes live and what is kept free beside them.
    pub storage: Storage,
    /// `proxy`: the upstream, how fresh its tags must be, and what happens when it is away.
    pub proxy: Proxy,
    /// `auth.htpasswd`: who may come in. None: everybody who reaches the port.
    pub auth: Option<HtpasswdFile>,
    /// `hosted`: which repositories live here beside the mirrored ones, and who may write to them.
    pub hosted: Hosted,
    /// `edge`: what the devices below need to start at all.
    pub edge: Edge,
    /// `warm`: what is fetched before anybody asks for it.
    pub warm: Warm,
    /// Hosts that mean this device: `IOTEDGE_GATEWAYHOSTNAME` of the environment, as its children call it.
    pub own_names: Vec<String>,
    /// `https_proxy`, `http_proxy` and `no_proxy` of the environment: how the upstream is reached.
    pub outgoing: OutgoingProxies,
}

/// Which configuration file is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileChoice {
    /// The operator named this file.
    Named(PathBuf),
    /// `serve` without a file: `REGISTRY_CONFIGURATION_PATH` if set, else no file at all.
    NotNamed,
    /// No argument at all, as in a container: as [`FileChoice::NotNamed`], else the first of the usual places that exists.
    Search,
}

/// What [`Config::load`] reads from. Nothing else is consulted: no process environment, no clock.
pub struct LoadFrom<'a> {
    /// Which file, as the command line had it.
    pub file: FileChoice,
    /// The environment; `REGISTRY_…`, the proxy variables and IoT Edge's are looked at.
    pub environment: &'a BTreeMap<String, String>,
    /// Every warning becomes an error (`--strict`).
    pub strict: bool,
    /// How a file is read; [`read_file`] outside tests.
    pub read: &'a dyn Fn(&Path) -> io::Result<Vec<u8>>,
}

/// A valid configuration and what was noticed while reading it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What to run with.
    pub config: Config,
    /// Warnings only, in the order of the file and then of the variables.
    pub findings: Vec<Finding>,
    /// The file that was read, if one was.
    pub file: Option<PathBuf>,
    /// Every key that somebody set, and where; secrets are not in it.
    pub settings: Vec<Setting>,
}

/// One key that is in effect because somebody set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key's path, such as `proxy.remoteurl`.
    pub key: String,
    /// The value as written; `(secret)` for passwords.
    pub value: String,
    /// Who set it.
    pub place: Place,
}

impl Config {
    /// Reads the file and the environment.
    ///
    /// # Errors
    /// All findings at once, warnings among them, if at least one of them stops the start.
    pub fn load(from: &LoadFrom<'_>) -> Result<Loaded, ConfigErrors> {
        let source = source::read(from).map_err(|finding| ConfigErrors {
            findings: vec![*finding],
        })?;
        let Source {
            file,
            mut tree,
            mut findings,
        } = source;
        findings.extend(check_version(&tree));
        findings.extend(overlay(&mut tree, from.environment));
        findings.extend(survey::survey(&tree));
        let mut reader = Reader::new(&tree);
        let config = Self::read(&mut reader, from);
        findings.append(&mut reader.findings);
        findings.sort_by(|one, other| one.place.cmp(&other.place));
        if from.strict {
            for finding in &mut findings {
                finding.severity = Severity::Error;
            }
        }
        let stops = findings
            .iter()
            .any(|finding| finding.severity == Severity::Error);
        match config {
            Some(config) if !stops => Ok(Loaded {
                config,
                findings,
                file,
                settings: reader::settings(&tree),
            }),
            Some(_) | None => Err(ConfigErrors { findings }),
        }
    }

    fn read(reader: &mut Reader<'_>, from: &LoadFrom<'_>) -> Option<Self> {
        let log = log::read(reader);
        let storage = storage::read(reader);
        let http = http::read(reader);
        let iotedge = iotedge::read(from.environment);
        let main = http.as_ref().map(|http| &http.address);
        let tls = tls::read(reader, from, &iotedge, main);
        let proxy = proxy::read(reader, from);
        let auth = auth::read(reader, from);
        let hosted = hosted::read(reader);
        let (edge, warm) = (edge::read(reader), warm::read(reader));
        let remotes = proxy.iter().flat_map(Proxy::remotes);
        let schemes: Vec<_> = remotes.map(|remote| remote.url.scheme()).collect();
        let outgoing = outgoing::read(reader, from.environment, &schemes);
        let (http, proxy, hosted) = (http?, proxy?, hosted?);
        hosted::doubts(reader, &hosted, &proxy, &http, auth.as_ref());
        routes::doubts(reader, &proxy, &hosted);
        Some(Self {
            http,
            tls: tls.ok()?,
            iotedge,
            log: log?,
            storage: storage?,
            proxy,
            auth,
            hosted,
            edge: edge?,
            warm: warm?,
            own_names: own_names(from.environment),
            outgoing,
        })
    }

    /// `http.addr` alone, whatever else may be wrong, and whether TLS is spoken there: a health check must find the server that
    /// runs.
    ///
    /// # Errors
    /// If the file cannot be read or the address does not parse.
    pub fn listen_address(from: &LoadFrom<'_>) -> Result<(ListenAddress, bool), ConfigErrors> {
        Self::one(from, |reader| {
            let speaks_tls = tls::is_on_main_address(reader);
            http::read_address(reader).map(|address| (address, speaks_tls))
        })
    }

    /// `storage.filesystem.rootdirectory` alone, whatever else may be wrong: below it is the socket of the server that runs.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn root_directory(from: &LoadFrom<'_>) -> Result<PathBuf, ConfigErrors> {
        Self::one(from, storage::read_root_directory)
    }

    fn one<T>(
        from: &LoadFrom<'_>,
        read: impl FnOnce(&mut Reader<'_>) -> Option<T>,
    ) -> Result<T, ConfigErrors> {
        let mut source = source::read(from).map_err(|finding| ConfigErrors {
            findings: vec![*finding],
        })?;
        overlay(&mut source.tree, from.environment);
        let mut reader = Reader::new(&source.tree);
        read(&mut reader).ok_or(ConfigErrors {
            findings: reader.findings,
        })
    }
}

/// Where edgeAgent tells a module the host name of its device.
const GATEWAY_VARIABLE: &str = "IOTEDGE_GATEWAYHOSTNAME";

fn own_names(environment: &BTreeMap<String, String>) -> Vec<String> {
    let name = environment.get(GATEWAY_VARIABLE).map(|name| name.trim());
    let name = name.filter(|name| !name.is_empty());
    name.map(str::to_ascii_lowercase).into_iter().collect()
}

/// Puts the environment over the file.
fn overlay(tree: &mut Node, environment: &BTreeMap<String, String>) -> Vec<Finding> {
    let findings = environment::apply(tree, environment);
    tree.open("storage");
    tree.open("auth");
    findings
}

/// Only version 0.1 exists. A file without it works here and would not in Distribution.
fn check_version(tree: &Node) -> Option<Finding> {
    const KEY: &str = "version";
    let Value::Map(entries) = &tree.value else {
        return None;
    };
    let Place::File { path, .. } = &tree.place else {
        return None;
    };
    match tree.find(KEY).map(|node| (&node.value, &node.place)) {
        Some((Value::Text(text), _)) if text == "0.1" => None,
        Some((_, place)) => Some(Finding::error(
            place.clone(),
            KEY,
            "this is not version 0.1 of the format",
            "write `version: 0.1`",
        )),
        None if entries.is_empty() => None,
        None => {
            let place = Place::File {
                path: path.clone(),
                line: 0,
            };
            let what =
                "the file does not say its version, without which Distribution does not start";
            Some(Finding::warning(
                place,
                KEY,
                what,
                "write `version: 0.1` into its first line",
            ))
        }
    }
}

/// The longest configuration or secret file. What is longer was not written by an operator: a device, an image, a database.
const LONGEST_FILE: u64 = 1 << 20;

/// Reads a configuration or secret file whole.
///
/// # Errors
/// Whatever the file system says; [`io::ErrorKind::FileTooLarge`] beyond 1 MiB.
#[expect(
    clippy::disallowed_methods,
    reason = "configuration is read before there is a store and its Disk"
)]
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is allowed tells a file that ends there from one that goes on.
    let read = std::fs::File::open(path)?
        .take(LONGEST_FILE + 1)
        .read_to_end(&mut bytes)?;
    if read as u64 > LONGEST_FILE {
        let kind = io::ErrorKind::FileTooLarge;
        return Err(io::Error::new(kind, "it is larger than 1 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
