//! What only the network can say of a deployment: whether images exist, whether parents show the right certificates, which hosts are
//! contacted. `edge check` appends what is found here to what it found in the files.

mod images;
mod parent;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use cistern_deploy::{Finding, Severity};

use super::check::Text;
use super::{Console, Environment};
use crate::upstream::{Contact, Contacts};

/// What is asked about, and whom.
#[derive(Debug, Default, clap::Args)]
pub(super) struct OnlineArguments {
    /// Also ask the network: whether every image exists for every platform, what certificates the parent shows, and which hosts
    /// a firewall has to let through; nothing beyond manifests is downloaded
    #[arg(long)]
    online: bool,
    /// Ask this running cache for the images, as a device does; else the upstreams of the configuration are asked
    #[arg(long, value_name = "URL", requires = "online")]
    cache: Option<String>,
    /// The configuration whose upstreams are asked; else that of the environment alone
    #[arg(
        long,
        value_name = "FILE",
        requires = "online",
        conflicts_with = "cache"
    )]
    configuration: Option<PathBuf>,
    /// The roots that the parent's certificates are verified against; for --cache too
    #[arg(long, value_name = "FILE", requires = "online")]
    trust_bundle: Option<PathBuf>,
    /// The parent whose certificates are looked at, beside the parent_hostname of every config.toml
    #[arg(long, value_name = "HOST", requires = "online")]
    parent: Option<String>,
    /// The parent's ports: the API proxy's and edgeHub's
    #[arg(
        long,
        value_name = "PORT",
        value_delimiter = ',',
        default_values_t = [443, 8883],
        requires = "online"
    )]
    parent_ports: Vec<u16>,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) findings: Vec<Finding>,
    /// Every host that was contacted.
    pub(super) hosts: Vec<Contact>,
}

impl OnlineArguments {
    pub(super) fn is_wanted(&self) -> bool {
        self.online
    }
}

/// Asks. Must not be called within a runtime.
///
/// # Errors
/// If it is not known whom to ask, or a file cannot be read.
pub(super) fn look(
    arguments: &OnlineArguments,
    manifests: &[Text],
    devices: &[Text],
    environment: &Environment,
) -> Result<Found, String> {
    let contacts = Contacts::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let asked = images::Asked::new(arguments, manifests, environment, &contacts)?;
    let parents = parent::Parents::new(arguments, devices)?;
    Ok(runtime.block_on(async {
        let mut findings = asked.look().await;
        findings.extend(parents.look(&contacts).await);
        Found {
            findings,
            hosts: contacts.all(),
        }
    }))
}

/// The list for the network team.
pub(super) fn say_hosts(hosts: &[Contact], console: &mut Console<'_>) {
    if hosts.is_empty() {
        return;
    }
    console.say("Contacted; a firewall has to let these through:");
    for contact in hosts {
        let trouble = match &contact.trouble {
            None => String::new(),
            Some(why) => format!("  NO ANSWER: {why}"),
        };
        let address = format!("{}:{}", contact.host, contact.port);
        console.say(format!(
            "  {address:<48} {}{trouble}",
            contact.role.as_str()
        ));
    }
}

/// A finding that stands in no line of a file.
fn finding(severity: Severity, rule: &'static str, file: &str, told: [String; 3]) -> Finding {
    let [what, why, fix] = told;
    Finding {
        severity,
        rule,
        file: file.to_owned(),
        at: None,
        what,
        why,
        fix,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a command reads files of its user; there is no store and no Disk"
)]
fn read_text(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))
}
