//! What is known of an image, as a line of the page.

use cistern_oci::Reference;

use super::super::super::Http;
use super::super::about::written;
use super::{ImageLine, ImagePlatform, ListLine};
use crate::pull::{Closure, ClosureManifest, TagName};
use crate::warm::{WarmImage, WarmList, WarmState};

impl ImageLine {
    /// One that is wanted.
    pub(super) fn named(image: &WarmImage, http: &Http) -> Self {
        let hosted = |name| http.repositories.hosts(name);
        let mut line = Self {
            image: image.image.clone(),
            named: true,
            hosted: image.repository.as_ref().is_some_and(hosted),
            repository: image.repository.as_ref().map(ToString::to_string),
            reference: image.reference.as_ref().map(ToString::to_string),
            digest: image.digest.map(|digest| digest.to_string()),
            origins: image.origins.iter().map(ToString::to_string).collect(),
            pinned: image.is_pinned,
            last_used: image.last_used.map(written),
            state: image.state.as_str().to_owned(),
            held_back_to: match image.state {
                WarmState::HeldBack { to } => Some(to.to_string()),
                _ => None,
            },
            trouble: image.trouble.clone(),
            next_try_seconds: image.next_try.map(|wait| wait.as_secs()),
            ..Self::default()
        };
        if let Some(closure) = &image.closure {
            line.offline_ready = closure.is_complete();
            line.tell(closure);
        }
        line
    }

    /// One that is cached although nobody named it: what counts of it is what somebody has pulled.
    pub(super) fn unnamed(name: &TagName, mut closure: Closure) -> Self {
        closure.manifests.retain(|manifest| {
            manifest.is_here || manifest.role == crate::pull::ManifestRole::Index
        });
        let is_any_here = closure
            .manifests
            .iter()
            .any(|manifest| manifest.is_here && manifest.role != crate::pull::ManifestRole::Index);
        let mut line = Self {
            image: name.to_string(),
            repository: Some(name.repository.to_string()),
            reference: Some(Reference::Tag(name.tag.clone()).to_string()),
            ..Self::default()
        };
        if is_any_here {
            line.offline_ready = closure.is_complete();
            line.tell(&closure);
        }
        let state = if line.offline_ready {
            "ready"
        } else {
            "partial"
        };
        state.clone_into(&mut line.state);
        line
    }

    fn tell(&mut self, closure: &Closure) {
        self.missing_bytes = closure.missing_bytes();
        self.total_bytes = closure.total_bytes();
        self.platforms = closure.images().map(ImagePlatform::of).collect();
        let absent = closure.absent.iter().map(|platform| ImagePlatform {
            platform: Some(platform.to_string()),
            ..ImagePlatform::default()
        });
        self.platforms.extend(absent);
        let blobs = closure.manifests.iter().flat_map(|it| &it.blobs);
        self.foreign_layers = blobs
            .filter(|blob| blob.is_foreign && !blob.is_here)
            .map(|blob| blob.digest.to_string())
            .collect();
        if closure.is_cut && self.trouble.is_none() {
            self.trouble = Some("it names more manifests or blobs than are looked at".to_owned());
        }
    }
}

impl ImagePlatform {
    fn of(manifest: &ClosureManifest) -> Self {
        let size = manifest.size.unwrap_or_default();
        let blobs = manifest.blobs.iter().map(|blob| blob.size);
        Self {
            platform: manifest.platform.as_ref().map(ToString::to_string),
            digest: Some(manifest.digest.to_string()),
            offline_ready: manifest.is_complete(),
            missing_bytes: manifest.missing_bytes(),
            total_bytes: manifest
                .is_here
                .then(|| blobs.fold(size, u64::saturating_add)),
        }
    }
}

impl ListLine {
    pub(super) fn of(list: &WarmList) -> Self {
        Self {
            list: list.origin.to_string(),
            images: list.images,
            trouble: list.trouble.clone(),
        }
    }
}
