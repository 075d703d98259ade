//! What an operator wrote, made into a [`Config`] that is valid or into a list of all that is wrong with it.
//!
//! The keys are those of CNCF Distribution's `config.yml` and their `REGISTRY_…` environment twins, plus our own below
//! `proxy`, `http` and `storage.cache`. This room reads text; it must not know HTTP, the store or the network.

mod address;
mod credentials;
mod finding;
mod http;
mod log;
mod outgoing;
mod proxy;
mod remote_url;
mod storage;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

pub use address::{ListenAddress, ListenHost};
pub use credentials::{CredentialText, Credentials, Secret};
pub use finding::{ConfigErrors, Finding, Place, Severity};
pub use http::{Http, MetricsAt};
pub use log::{Log, LogFormat, LogLevel};
pub use outgoing::{OutgoingProxies, OutgoingProxy};
pub use proxy::{Proxy, WhenGone};
pub use remote_url::RemoteUrl;
pub use storage::{Reserve, Storage};

/// Everything a server is started with. A value of this type is valid: every address parses, every limit is in range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `http`: where we listen, what is added to answers, who may speak for a caller's address.
    pub http: Http,
    /// `log`: how much is said, and in which form.
    pub log: Log,
    /// `storage`: where the bytes live and what is kept free beside them.
    pub storage: Storage,
    /// `proxy`: the upstream, how fresh its tags must be, and what happens when it is away.
    pub proxy: Proxy,
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
    /// The environment; `REGISTRY_…`, the proxy variables and `IOTEDGE_PARENTHOSTNAME` are looked at.
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
    pub fn load(_from: &LoadFrom<'_>) -> Result<Loaded, ConfigErrors> {
        Err(ConfigErrors {
            findings: Vec::new(),
        })
    }
}

/// Reads a configuration or secret file whole.
///
/// # Errors
/// Whatever the file system says.
#[expect(
    clippy::disallowed_methods,
    reason = "configuration is read before there is a store and its Disk"
)]
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}
