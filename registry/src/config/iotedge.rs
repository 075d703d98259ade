//! What IoT Edge tells a module about itself, by variables that it sets in every container. Nobody writes these by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Where the workload API is, and as whom it is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// `IOTEDGE_WORKLOADURI`: the socket, `unix:///…` without its scheme.
    pub socket: PathBuf,
    /// `IOTEDGE_MODULEID`.
    pub module: String,
    /// `IOTEDGE_MODULEGENERATIONID`.
    pub generation: String,
}

/// A module's surroundings; all of it is missing outside of IoT Edge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IotEdge {
    /// How certificates and the trust bundle are asked for.
    pub workload: Option<Workload>,
    /// `IOTEDGE_GATEWAYHOSTNAME`: the name by which this device's children know it.
    pub gateway: Option<String>,
    /// `IOTEDGE_PARENTHOSTNAME`: the device above, where there is one.
    pub parent: Option<String>,
}

/// Reads the variables. None is ever wrong: what cannot be used is as if it were not there, and whoever needs it says so.
pub(super) fn read(environment: &BTreeMap<String, String>) -> IotEdge {
    let told = |name: &str| {
        let text = environment.get(name)?.trim();
        (!text.is_empty()).then(|| text.to_owned())
    };
    let workload = || {
        let address = told("IOTEDGE_WORKLOADURI")?;
        let path = address.strip_prefix("unix://")?;
        path.starts_with('/').then(|| PathBuf::from(path))
    };
    let workload = workload().and_then(|socket| {
        Some(Workload {
            socket,
            module: told("IOTEDGE_MODULEID")?,
            generation: told("IOTEDGE_MODULEGENERATIONID")?,
        })
    });
    IotEdge {
        workload,
        gateway: told("IOTEDGE_GATEWAYHOSTNAME"),
        parent: told("IOTEDGE_PARENTHOSTNAME"),
    }
}
