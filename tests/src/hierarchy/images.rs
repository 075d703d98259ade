//! What an edge device pulls: small things that run, under the names of the real ones, and something large.

use crate::images::{Image, image, index, this_architecture};
use crate::store::Store;

/// What the bootstrap pull asks for: an index of two platforms.
pub const AGENT: &str = "azureiotedge-agent:1.5";
/// The other part of the runtime: one image without an index.
pub const HUB: &str = "azureiotedge-hub:1.5";
/// A module that is not pulled in a moment.
pub const LARGE: &str = "plant/vision:3.1";
/// What it prints when it runs.
pub const LARGE_SAYS: &str = "the module runs";
/// The registry module's own image, the version that runs ...
pub const CISTERN: &str = "plant/cistern:1.0";
/// ... and the one that it is to become.
pub const NEW_CISTERN: &str = "plant/cistern:1.1";
/// What the agent prints when it runs.
pub const AGENT_SAYS: &str = "the agent runs";

/// The images in the cloud.
#[derive(Clone, Debug)]
pub struct EdgeImages {
    /// [`AGENT`].
    pub agent: Image,
    /// [`HUB`].
    pub hub: Image,
    /// [`LARGE`]: 16 MiB in four layers, and what it needs to run.
    pub large: Image,
    /// [`CISTERN`] and [`NEW_CISTERN`]: stand-ins, which differ in one layer.
    pub cisterns: [Image; 2],
}

impl EdgeImages {
    pub(super) fn make() -> Self {
        let other = if this_architecture() == "arm64" {
            "amd64"
        } else {
            "arm64"
        };
        Self {
            agent: index(&[
                image().prints(AGENT_SAYS).random_layers(1, 2, 200_000),
                image().platform(other, None).random_layers(2, 1, 50_000),
            ]),
            hub: image()
                .prints("the hub runs")
                .random_layers(3, 1, 200_000)
                .build(),
            large: image()
                .prints(LARGE_SAYS)
                .random_layers(4, 4, 4 << 20)
                .build(),
            cisterns: [5, 6].map(|seed| {
                let lines = image().prints("the registry runs");
                lines.random_layers(seed, 1, 300_000).build()
            }),
        }
    }

    pub(super) fn put_into(&self, store: &Store) {
        let [old, new] = &self.cisterns;
        let named = [
            (AGENT, &self.agent),
            (HUB, &self.hub),
            (LARGE, &self.large),
            (CISTERN, old),
            (NEW_CISTERN, new),
        ];
        for (name, image) in named {
            let (repository, tag) = name.split_once(':').unwrap();
            store.put(image, repository, &[tag]);
        }
    }
}
