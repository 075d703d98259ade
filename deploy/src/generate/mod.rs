//! Deployment manifests and `config.toml` for a hierarchy whose images come through Cistern.
//!
//! Must not know where a hierarchy was written down, nor where what is generated goes.

mod config;
mod create_options;
mod deployment;
mod images;
mod modules;
mod network;
mod ordered;
mod sites;
mod steps;
mod wishes;

pub use network::{Network, NotANetwork};
pub use sites::{Layer, Site};
pub use steps::placeholders;
pub use wishes::{Edition, Login, Metrics, NotARegistry, Registry, Wishes};

use crate::hierarchy::Trouble;

/// The module that is Cistern: the name that API proxies are told, and that of the module it takes the place of.
pub const REGISTRY_MODULE: &str = "registry";
/// The module that is the API proxy. Adjacent layers know each other's certificate by this name.
pub const PROXY_MODULE: &str = "IoTEdgeAPIProxy";
/// The module that keeps blobs until they are uploaded.
pub const BLOB_MODULE: &str = "AzureBlobStorageonIoTEdge";
/// The module that collects metrics.
pub const METRICS_MODULE: &str = "metricsCollector";

/// What was made for one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generated {
    /// The id of the device.
    pub id: String,
    /// Its layer.
    pub layer: Layer,
    /// The deployment manifest, JSON.
    pub deployment: String,
    /// `config.toml`; none where no hostname is known.
    pub config: Option<String>,
    /// What to do with the two, for people.
    pub steps: String,
}

/// What was made for all devices, and what their operator should hear.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// One for each device, in the order of the sites.
    pub devices: Vec<Generated>,
    /// What works, and may not be what was meant.
    pub warnings: Vec<Trouble>,
}

/// Makes everything for all of `sites`. `template` is the operator's own `config.toml`, of which all is kept that has to be nobody's in
/// particular.
///
/// # Errors
///
/// Everything that cannot be so, with the line of the hierarchy file where there is one.
pub fn generate(
    sites: &[Site],
    wishes: &Wishes,
    template: Option<&str>,
) -> Result<Outcome, Vec<Trouble>> {
    let mut troubles = wishes.troubles();
    troubles.extend(sites::troubles(sites));
    let template = config::Template::read(template.unwrap_or_default())
        .map_err(|trouble| troubles.push(trouble))
        .ok();
    let (Some(template), true) = (template, troubles.is_empty()) else {
        return Err(troubles);
    };
    let mut outcome = Outcome {
        devices: Vec::new(),
        warnings: sites::warnings(sites),
    };
    for site in sites {
        let images = images::Images::of(site, wishes);
        let network = wishes
            .network
            .as_ref()
            .filter(|_| site.has_cache(wishes))
            .map(|network| (template.network_name(), network));
        let deployment = deployment::write(site, wishes, &images, network);
        let config = config::write(site, wishes, &images, &template);
        let steps = steps::write(site, wishes, network, (&deployment, config.as_deref()));
        outcome.devices.push(Generated {
            id: site.id.clone(),
            layer: site.layer,
            deployment,
            config,
            steps,
        });
    }
    Ok(outcome)
}

/// The images that have to be in the private registry before anything is deployed, as one that is asked for them hears them:
/// `azureiotedge-agent:1.5`. None where Microsoft's own registry is asked for its images.
pub fn to_import(wishes: &Wishes) -> Vec<String> {
    images::to_import(wishes)
}

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;
