//! Where a program runs: in a namespace, with a disk of its own or without.

use std::sync::Arc;

use super::disk::Disk;
use super::namespace::Namespace;
use crate::process::Launch;

/// A place for programs. Clones are the same place.
#[derive(Clone, Debug)]
pub struct Place {
    namespace: Namespace,
    disk: Option<Arc<Disk>>,
}

impl Place {
    /// In a namespace, with the disk of the machine.
    pub fn new(namespace: &Namespace) -> Self {
        Self {
            namespace: namespace.clone(),
            disk: None,
        }
    }

    /// The same with a disk whose power can be cut, for one program at a time.
    pub(super) fn on(namespace: &Namespace, disk: &Arc<Disk>) -> Self {
        Self {
            namespace: namespace.clone(),
            disk: Some(Arc::clone(disk)),
        }
    }

    /// The namespace.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The same program, started here.
    pub(crate) fn launch(&self, launch: Launch) -> Launch {
        match &self.disk {
            Some(disk) => disk.launch(&self.namespace, launch),
            None => self.namespace.launch(launch),
        }
    }
}
