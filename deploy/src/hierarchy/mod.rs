//! A hierarchy of devices as operators already write it for `iotedge_config` (`edgedevices:`, one root) and for
//! `az iot edge devices create` (`edgeDevices:`, several roots): which device is whose parent, and what each is called.
//!
//! Must not know what is generated from it.

mod dialect;
mod reader;
mod rules;
mod yaml;

use std::fmt;

/// Devices and their parents. One that exists has at least one device, no two of the same id, and every parent in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    /// The IoT hub that all of them belong to.
    pub hub: Hub,
    /// The file whose contents are the beginning of every device's `config.toml`, as it is written there.
    pub template: Option<Written>,
    /// The image of edgeAgent for every device that names none of its own, as it is written there.
    pub edge_agent: Option<Written>,
    /// The certificate of the root that all certificates in the hierarchy end in: a file on the operator's machine.
    pub root_certificate: Option<Written>,
    /// All devices, each after its parent, in the order of the file.
    pub devices: Vec<Device>,
    /// What was not understood and does not matter: keys that nobody reads.
    pub warnings: Vec<Trouble>,
}

/// The IoT hub of a hierarchy, as far as the file tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hub {
    /// `plant.azure-devices.net`.
    pub hostname: Option<String>,
    /// How devices prove to it who they are.
    pub authentication: Authentication,
}

/// How a device proves to the hub who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Authentication {
    /// By a shared key.
    #[default]
    SymmetricKey,
    /// By a certificate of its own.
    Certificate,
}

/// One device of a hierarchy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its id in the IoT hub.
    pub id: String,
    /// The name or address by which its children find it; none where the file names none.
    pub hostname: Option<String>,
    /// The id of its parent; none for a device of the top layer.
    pub parent: Option<String>,
    /// The ids of its children.
    pub children: Vec<String>,
    /// A deployment manifest of the operator's, as it is written there.
    pub deployment: Option<Written>,
    /// The image of edgeAgent that it starts with, as it is written there.
    pub edge_agent: Option<Written>,
    /// With what it logs in where it pulls its images.
    pub auth: Option<ContainerAuth>,
    /// The line it begins in, from 1.
    pub line: usize,
}

/// A value and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// What is written there.
    pub text: String,
    /// The line, from 1.
    pub line: usize,
}

/// With what a device logs in where it pulls its images.
#[derive(Clone, PartialEq, Eq)]
pub struct ContainerAuth {
    /// The registry; none: wherever the images come from.
    pub address: Option<String>,
    /// The user.
    pub username: String,
    /// The password; none: whoever deploys fills it in.
    pub password: Option<String>,
}

/// Something wrong in a line of a hierarchy file, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Trouble {
    /// The line, from 1; 0 where it is about no line in particular.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub fix: String,
}

impl Hierarchy {
    /// Reads a hierarchy file of either dialect; which one is told by its keys.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it, in the order of the lines.
    pub fn read(text: &str) -> Result<Self, Vec<Trouble>> {
        reader::read(text)
    }

    /// The device of that id.
    pub fn device(&self, id: &str) -> Option<&Device> {
        self.devices.iter().find(|device| device.id == id)
    }

    /// The parent of `device`; none for a device of the top layer.
    pub fn parent_of(&self, device: &Device) -> Option<&Device> {
        self.device(device.parent.as_deref()?)
    }
}

// === impl Trouble ===

impl Trouble {
    pub(crate) fn new(line: usize, what: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            line,
            what: what.into(),
            fix: fix.into(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}: ", self.line)?;
        }
        f.write_str(&self.what)?;
        if !self.fix.is_empty() {
            write!(f, "; {}", self.fix)?;
        }
        Ok(())
    }
}

// === impl ContainerAuth ===

/// Never prints the password.
impl fmt::Debug for ContainerAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContainerAuth")
            .field("address", &self.address)
            .field("username", &self.username)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .finish()
    }
}

#[cfg(test)]
mod tests;
