//! A gateway: a cache behind a link, with or without the API proxies that children meet it through.

use cistern_tests::api_proxy::ApiProxy;
use cistern_tests::distribution;
use cistern_tests::images::{Image, Item, image};
pub(super) use cistern_tests::registry::Product;
use cistern_tests::registry::Registry;
use cistern_tests::relay::Relay;
use cistern_tests::store::Store;

use crate::servers::{cistern_of, distribution_of};

/// The size of the layer, about.
pub(super) const LAYER: usize = 40 * 1024 * 1024;
const REPOSITORY: &str = "bench/image";
const TAG: &str = "v1";

/// The upstream: Distribution on a store that holds one image.
pub(super) struct Site {
    upstream: Registry,
    image: Image,
}

impl Site {
    pub(super) async fn start() -> Self {
        let (store, image) = (Store::new(), image().random_layers(7, 1, LAYER).build());
        store.put(&image, REPOSITORY, &[TAG]);
        Self {
            upstream: distribution::on_store(&store).start().await,
            image,
        }
    }

    /// How many bytes the image has in all.
    pub(super) fn bytes(&self) -> usize {
        self.image.blob_bytes() + self.image.top().bytes.len()
    }

    pub(super) fn layer(&self) -> &Item {
        self.image.largest_blob()
    }

    pub(super) fn layer_path(&self) -> String {
        format!("/v2/{REPOSITORY}/blobs/{}", self.layer().digest)
    }
}

/// A cache with an empty store at the near end of a link of its own.
pub(super) struct Gateway {
    pub(super) relay: Relay,
    pub(super) cache: Registry,
    image: Image,
    proxies: Option<[ApiProxy; 2]>,
}

/// Where a child finds the image.
#[derive(Clone, Debug)]
pub(super) struct Door {
    pub(super) host: String,
    pub(super) repository: &'static str,
    pub(super) tag: &'static str,
    pub(super) image: Image,
}

impl Gateway {
    pub(super) async fn start(site: &Site, product: Product, with_proxies: bool) -> Self {
        let relay = Relay::start(site.upstream.address());
        let cache = match product {
            Product::Cistern => cistern_of(&relay.url()),
            Product::Distribution => distribution_of(&relay.url()),
        };
        let cache = cache.set("REGISTRY_PROXY_CHECKEVERY", "1s").start().await;
        let proxies = if with_proxies {
            let top = ApiProxy::of(&cache).await;
            let below = ApiProxy::below(&top).await;
            Some([top, below])
        } else {
            None
        };
        Self {
            relay,
            cache,
            image: site.image.clone(),
            proxies,
        }
    }

    /// Where children come in: the lower proxy, or the cache itself.
    pub(super) fn door(&self) -> Door {
        let host = match &self.proxies {
            Some([_, below]) => below.host(),
            None => self.cache.host(),
        };
        Door {
            host,
            repository: REPOSITORY,
            tag: TAG,
            image: self.image.clone(),
        }
    }
}
