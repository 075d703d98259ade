//! Pushes of blobs that are under way. Each is a directory below `cistern/uploads`, so that it survives a restart: the bytes so
//! far (`data`), and a small file that says whose they are (`about`); without both there is no push. Does not know who pushes
//! or how.

mod session;
mod turns;
mod upload;

use std::{sync::Arc, time::SystemTime};

use cistern_oci::{Algorithm, RepositoryName, UploadId};
use serde::{Deserialize, Serialize};

pub use self::upload::Upload;
use self::{
    session::Session,
    turns::{Hashed, Turns},
};
use crate::{
    StorageError,
    core::{Core, if_there},
    disk::read_whole,
    index::{nanoseconds, time},
};

/// The longest `about` that is read.
const LONGEST_ABOUT: u64 = 4096;

/// The pushes of blobs that are under way. They survive a restart.
pub struct Uploads {
    core: Arc<Core>,
    turns: Arc<Turns>,
}

/// The turn on one push: requests for it are served one after the other.
pub enum Turn {
    /// It is yours until the [`Upload`] is dropped.
    Yours(Upload),
    /// Another request has it just now.
    Taken,
    /// There is no such push in this repository.
    Unknown,
}

/// What `about` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct About {
    repository: RepositoryName,
    /// Nanoseconds since 1970.
    begun_at: u64,
    algorithm: Algorithm,
}

impl Uploads {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
            turns: Arc::default(),
        }
    }

    /// Begins a push to a repository. `algorithm` is the one its digest will probably be made with; another one costs reading the
    /// bytes again at the end. Refused below the reserve ([`StorageError::Full`]) and by a read-only store.
    pub async fn begin(
        &self,
        of: &RepositoryName,
        algorithm: Algorithm,
    ) -> Result<UploadId, StorageError> {
        let about = About {
            repository: of.clone(),
            begun_at: nanoseconds(self.core.now()),
            algorithm,
        };
        let turns = Arc::clone(&self.turns);
        self.core
            .off(move |core| {
                let id = core.begin_upload(&about)?;
                turns.remember(&id, Hashed::nothing(algorithm, core.now()));
                Ok(id)
            })
            .await
    }

    /// Takes the turn on a push.
    pub async fn open(&self, of: &RepositoryName, id: &UploadId) -> Result<Turn, StorageError> {
        let (of, id, turns) = (of.clone(), id.clone(), Arc::clone(&self.turns));
        self.core
            .off(move |core| {
                core.writable()?;
                if core.upload_of(&of, &id)?.is_none() {
                    return Ok(Turn::Unknown);
                }
                let Some(turn) = turns.take(&id) else {
                    return Ok(Turn::Taken);
                };
                // The turn before this one may have ended it.
                let Some(about) = core.upload_of(&of, &id)? else {
                    return Ok(Turn::Unknown);
                };
                let session = Session::open(core, turn, of, about.algorithm)?;
                Ok(session.map_or(Turn::Unknown, |session| Turn::Yours(Upload::new(session))))
            })
            .await
    }

    /// How many bytes of a push have come so far; needs no turn. `None`: there is no such push in this repository.
    pub async fn received(
        &self,
        of: &RepositoryName,
        id: &UploadId,
    ) -> Result<Option<u64>, StorageError> {
        let (of, id, turns) = (of.clone(), id.clone(), Arc::clone(&self.turns));
        self.core
            .off(move |core| {
                if core.upload_of(&of, &id)?.is_none() {
                    return Ok(None);
                }
                if let Some(received) = turns.received(&id) {
                    return Ok(Some(received));
                }
                let data = core.layout.upload_data(&id);
                let facts = if_there("look at", &data, core.disk.facts(&data))?;
                Ok(facts.map(|facts| facts.size))
            })
            .await
    }

    /// Removes the pushes that were idle since before then; how many.
    pub async fn expire(&self, idle_since: SystemTime) -> Result<u64, StorageError> {
        let turns = Arc::clone(&self.turns);
        self.core
            .off(move |core| {
                core.writable()?;
                let ids: Vec<UploadId> = core.names_in(&core.layout.uploads())?;
                let mut removed = 0;
                for id in ids {
                    // Whoever has the turn is not idle.
                    let Some(_turn) = turns.take(&id) else {
                        continue;
                    };
                    if core.is_idle_since(&id, turns.last(&id), idle_since)? {
                        turns.forget(&id);
                        core.remove_upload(&id)?;
                        removed += 1;
                    }
                }
                Ok(removed)
            })
            .await
    }
}

impl Core {
    fn begin_upload(self: &Arc<Self>, about: &About) -> Result<UploadId, StorageError> {
        self.writable()?;
        if self.room()? == 0 {
            return Err(StorageError::Full);
        }
        let id = new_id()?;
        let begun = self.create_upload(&id, about);
        if begun.is_err() {
            let _ = self.remove_upload(&id);
        }
        begun.map(|()| id)
    }

    fn create_upload(self: &Arc<Self>, id: &UploadId, about: &About) -> Result<(), StorageError> {
        let data = self.layout.upload_data(id);
        self.in_new_directory(&data, || self.disk.create_new(&data))
            .map_err(|error| StorageError::io("create", &data, error))?;
        let text =
            serde_json::to_vec(about).map_err(|error| StorageError::Index(error.to_string()))?;
        // The last file that is made: from here on there is a push.
        self.write_small(&self.layout.upload_about(id), &text)
    }

    /// What is known about a push to this repository.
    fn upload_of(&self, of: &RepositoryName, id: &UploadId) -> Result<Option<About>, StorageError> {
        Ok(self.about(id)?.filter(|about| about.repository == *of))
    }

    /// What a push's small file says; one that makes no sense, as a power cut leaves it, counts as absent.
    fn about(&self, id: &UploadId) -> Result<Option<About>, StorageError> {
        let path = self.layout.upload_about(id);
        let text = if_there("read", &path, read_whole(&*self.disk, &path, LONGEST_ABOUT))?;
        Ok(text.and_then(|text| serde_json::from_slice(&text).ok()))
    }

    /// Whether nothing happened to a push since before then. `last` is when this run last had to do with it.
    fn is_idle_since(
        &self,
        id: &UploadId,
        last: Option<SystemTime>,
        since: SystemTime,
    ) -> Result<bool, StorageError> {
        if let Some(last) = last {
            return Ok(last < since);
        }
        let changed = |path| {
            let facts = if_there("look at", path, self.disk.facts(path))?;
            Ok::<_, StorageError>(facts.map(|facts| facts.modified))
        };
        let begun = self.about(id)?.map(|about| time(about.begun_at));
        let last = match changed(&self.layout.upload_data(id))? {
            Some(changed) => Some(changed),
            // One that is just beginning, or what was left of one.
            None => changed(&self.layout.upload(id))?,
        };
        Ok(begun.max(last).is_none_or(|last| last < since))
    }

    /// Removes a push and its bytes: what makes it a push first.
    fn remove_upload(&self, id: &UploadId) -> Result<(), StorageError> {
        for path in [self.layout.upload_about(id), self.layout.upload_data(id)] {
            if_there("remove", &path, self.disk.remove(&path))?;
        }
        let _ = self.disk.remove_directory(&self.layout.upload(id));
        Ok(())
    }
}

/// An id that nobody can guess.
fn new_id() -> Result<UploadId, StorageError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random).map_err(|error| StorageError::Interrupted(error.to_string()))?;
    format!("{:032x}", u128::from_ne_bytes(random))
        .parse()
        .map_err(|error: cistern_oci::UploadIdError| StorageError::Interrupted(error.to_string()))
}

#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod tests;
