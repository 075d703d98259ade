//! Which hosts were contacted for an upstream, the token servers and storage hosts that it sends us to included: what a firewall in
//! between has to let through.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use url::Url;

/// A list that grows with every host that is dialled. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Contacts(Arc<Mutex<BTreeMap<(String, u16, Role), Option<String>>>>);

/// A host that was contacted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Contact {
    /// Its name or address.
    pub host: String,
    /// The port.
    pub port: u16,
    /// What it was asked for.
    pub role: Role,
    /// Why nothing was answered there the last time; nothing if something was, whatever it was.
    pub trouble: Option<String>,
}

/// What a host is to an upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// The registry itself.
    Registry,
    /// It issues the registry's tokens: the realm of its challenge.
    Realm,
    /// The registry redirects to it.
    Redirect,
    /// A device's parent, as devices connect to it.
    Parent,
}

impl Role {
    /// One word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Realm => "realm",
            Self::Redirect => "redirect",
            Self::Parent => "parent",
        }
    }
}

impl Contacts {
    /// Something was answered there, or `trouble`.
    pub(super) fn note(&self, url: &Url, role: Role, trouble: Option<String>) {
        let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
            return;
        };
        let key = (host.to_owned(), port, role);
        self.0.lock().insert(key, trouble);
    }

    /// The same of a device's parent, which is no registry of ours.
    pub fn note_parent(&self, host: &str, port: u16, trouble: Option<String>) {
        let key = (host.to_owned(), port, Role::Parent);
        self.0.lock().insert(key, trouble);
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Contact> {
        let contacts = self.0.lock();
        let contacts = contacts
            .iter()
            .map(|((host, port, role), trouble)| Contact {
                host: host.clone(),
                port: *port,
                role: *role,
                trouble: trouble.clone(),
            });
        contacts.collect()
    }
}
