//! What somebody wishes by hand: an image now, a pin, no pin any more, an image gone.

use cistern_oci::{Reference, RepositoryName};
use cistern_storage::Pin;
use tokio::time::Instant;

use super::names::{Key, Meaning};
use super::{Origin, Purged, Unpinned, Warm, WarmRefused};
use crate::pull::Platforms;
use crate::repositories::Repository;

/// An image that a wish is about.
struct Wished {
    meaning: Meaning,
    key: Key,
    is_hosted: bool,
    of: RepositoryName,
    reference: Reference,
}

impl Warm {
    /// The repository in the store, and the tag or digest, that a name means here; none if it means nothing.
    pub fn meaning(&self, image: &str) -> Option<(RepositoryName, Reference)> {
        match Meaning::of(&self.parts.options.repositories, image) {
            Meaning::Image(repository, reference) => Some((repository.name().clone(), reference)),
            Meaning::Nothing(_) => None,
        }
    }

    /// Asks for an image now, whatever the windows say, without anybody waiting for it. `platforms` are wanted beside those that
    /// are wanted anyway. How far it is, [`Warm::images`] tells, for a day.
    pub fn fetch(&self, image: &str, platforms: Option<Platforms>) -> Result<(), WarmRefused> {
        let wished = self.wished(image)?;
        let now = Instant::now();
        let is_taken = {
            let mut table = self.parts.table.lock();
            table.ask(image, wished.meaning, platforms, now)
        };
        self.parts.count();
        self.parts.wake.notify_one();
        if is_taken {
            Ok(())
        } else {
            Err(WarmRefused::TooMany)
        }
    }

    /// Keeps an image until it is unpinned: fetches it, refreshes it, and never drops it.
    pub async fn pin(&self, image: &str) -> Result<(), WarmRefused> {
        let wished = self.wished(image)?;
        let pins = self.parts.options.storage.pins();
        pins.put(Pin {
            repository: wished.of,
            reference: wished.reference,
            image: image.trim().to_owned(),
        })
        .await?;
        {
            let mut table = self.parts.table.lock();
            table.add(image.trim(), wished.meaning, Origin::Pinned, Instant::now());
        }
        self.parts.count();
        self.parts.wake.notify_one();
        Ok(())
    }

    /// Takes a pin back. What the configuration or a list names stays pinned while it does.
    pub async fn unpin(&self, image: &str) -> Result<Unpinned, WarmRefused> {
        let wished = self.wished(image)?;
        let pins = self.parts.options.storage.pins();
        let was_pinned = pins.remove(&wished.of, &wished.reference).await?;
        self.parts.renew();
        Ok(Unpinned {
            was_pinned,
            still_wanted: self.parts.wanted_by(&wished.key),
        })
    }

    /// Removes an image from the store, with all that nothing else needs. Refuses what is pinned and what is hosted.
    pub async fn purge(&self, image: &str) -> Result<Purged, WarmRefused> {
        let wished = self.wished(image)?;
        if wished.is_hosted {
            return Err(WarmRefused::Hosted(wished.of));
        }
        let storage = &self.parts.options.storage;
        if storage.pins().is_pinned(&wished.of, &wished.reference) {
            let mut origins = self.parts.wanted_by(&wished.key);
            let is_set =
                |pin: &Pin| pin.repository == wished.of && pin.reference == wished.reference;
            if storage.pins().all().iter().any(is_set) {
                origins.push(Origin::Pinned);
            }
            return Err(WarmRefused::Pinned {
                image: image.to_owned(),
                origins,
            });
        }
        let purged = storage.purge(&wished.of, &wished.reference).await?;
        self.parts.table.lock().forget(&wished.key);
        self.parts.count();
        let purged = purged.ok_or_else(|| WarmRefused::Unknown(image.to_owned()))?;
        tracing::info!(
            image,
            manifests = purged.manifests,
            blobs = purged.blobs,
            bytes = purged.bytes,
            "image purged"
        );
        Ok(Purged {
            manifests: purged.manifests,
            blobs: purged.blobs,
            bytes: purged.bytes,
        })
    }

    fn wished(&self, image: &str) -> Result<Wished, WarmRefused> {
        let meaning = Meaning::of(&self.parts.options.repositories, image);
        let key = meaning.key(image);
        match &meaning {
            Meaning::Nothing(why) => Err(WarmRefused::NotMirrored(why.clone())),
            Meaning::Image(repository, reference) => Ok(Wished {
                is_hosted: matches!(repository, Repository::Hosted(_)),
                of: repository.name().clone(),
                reference: reference.clone(),
                key,
                meaning,
            }),
        }
    }
}
