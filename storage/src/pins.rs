//! What must stay: images that somebody pinned, those that a configuration names while it does, and the lists they were last named
//! by. Pins and lists are small files under `cistern/pins`, on the device before the call returns, since they exist nowhere else.
//! What an image consists of, `expire` finds; what a name means elsewhere is not known here.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::Arc,
};

use cistern_oci::{Algorithm, Digest, Reference, RepositoryName};
use parking_lot::RwLock;

use crate::{
    StorageError,
    core::{Core, if_there},
    disk::read_whole,
};

/// The longest file that is read back.
const LONGEST: u64 = 4 * 1024 * 1024;
/// How the name of a pin ends ...
const PIN: &str = ".pin";
/// ... and that of a list.
const LIST: &str = ".list";

/// An image as a pin names it: a repository in the store and a tag or digest of it.
pub type ImageKey = (RepositoryName, Reference);

/// A pin that somebody set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The repository in the store.
    pub repository: RepositoryName,
    /// The tag or digest.
    pub reference: Reference,
    /// The image as it was written, for those who read of it.
    pub image: String,
}

/// What must stay, in memory.
#[derive(Default)]
pub(crate) struct Pinned {
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    set: BTreeMap<ImageKey, Pin>,
    named: HashSet<ImageKey>,
    expected: HashSet<Digest>,
}

/// What must stay.
pub struct Pins {
    core: Arc<Core>,
}

// === impl Pins ===

impl Pins {
    pub(crate) fn new(core: &Arc<Core>) -> Self {
        Self {
            core: Arc::clone(core),
        }
    }

    /// The pins that were set, sorted.
    pub fn all(&self) -> Vec<Pin> {
        let state = self.core.pinned.state.read();
        state.set.values().cloned().collect()
    }

    /// Whether this image must stay: a pin says so, or it is named.
    pub fn is_pinned(&self, of: &RepositoryName, reference: &Reference) -> bool {
        let key = (of.clone(), reference.clone());
        let state = self.core.pinned.state.read();
        state.named.contains(&key) || state.set.contains_key(&key)
    }

    /// Sets a pin, durably.
    pub async fn put(&self, pin: Pin) -> Result<(), StorageError> {
        self.core.off(move |core| core.put_pin(pin)).await
    }

    /// Takes a pin back, durably; whether there was one.
    pub async fn remove(
        &self,
        of: &RepositoryName,
        reference: &Reference,
    ) -> Result<bool, StorageError> {
        let key = (of.clone(), reference.clone());
        self.core.off(move |core| core.remove_pin(&key)).await
    }

    /// From now on these images must stay too, and no others beside the pins. Forgotten with this run.
    pub fn set_named(&self, named: HashSet<ImageKey>) {
        self.core.pinned.state.write().named = named;
    }

    /// From now on these digests, which pinned tags will mean, must stay with all they name, and no others beside what the tags
    /// mean. Forgotten with this run.
    pub fn set_expected(&self, expected: HashSet<Digest>) {
        self.core.pinned.state.write().expected = expected;
    }

    /// The list that was last kept for this source; none if there never was one.
    pub async fn list(&self, source: &str) -> Result<Option<Vec<String>>, StorageError> {
        let source = source.to_owned();
        self.core.off(move |core| core.pin_list(&source)).await
    }

    /// Keeps a list for this source, durably, in the place of the one before. Neither the source nor an entry may be of several
    /// lines.
    pub async fn set_list(&self, source: &str, entries: &[String]) -> Result<(), StorageError> {
        let (source, entries) = (source.to_owned(), entries.to_vec());
        self.core
            .off(move |core| core.set_pin_list(&source, &entries))
            .await
    }
}

// === impl Pinned ===

impl Pinned {
    /// The images that must stay.
    pub(crate) fn images(&self) -> HashSet<ImageKey> {
        let state = self.state.read();
        state
            .named
            .iter()
            .chain(state.set.keys())
            .cloned()
            .collect()
    }

    /// The digests that must stay beside them.
    pub(crate) fn expected(&self) -> HashSet<Digest> {
        self.state.read().expected.clone()
    }
}

// === impl Core ===

impl Core {
    /// Reads the pins; what is no pin is passed over.
    pub(crate) fn load_pins(&self) {
        let directory = self.layout.pins();
        let names: Vec<String> = match self.names_in(&directory) {
            Ok(names) => names,
            Err(error) => return tracing::error!(%error, "pins cannot be read"),
        };
        let mut state = self.pinned.state.write();
        for name in names.iter().filter(|name| name.ends_with(PIN)) {
            let path = directory.join(name);
            let read = read_whole(&*self.disk, &path, LONGEST);
            match read.ok().and_then(|bytes| read_pin(&bytes)) {
                Some(pin) => {
                    let key = (pin.repository.clone(), pin.reference.clone());
                    state.set.insert(key, pin);
                }
                None => {
                    tracing::warn!(path = %path.display(), "a pin makes no sense and pins nothing");
                }
            }
        }
    }

    fn put_pin(self: &Arc<Self>, pin: Pin) -> Result<(), StorageError> {
        self.writable()?;
        let key = (pin.repository.clone(), pin.reference.clone());
        let text = format!(
            "{}\n{}\n{}\n",
            pin.repository,
            pin.reference,
            one_line(&pin.image)
        );
        self.write_durably(&self.layout.pin(&name_of_pin(&key)), text.as_bytes())?;
        self.pinned.state.write().set.insert(key, pin);
        Ok(())
    }

    fn remove_pin(self: &Arc<Self>, key: &ImageKey) -> Result<bool, StorageError> {
        self.writable()?;
        let path = self.layout.pin(&name_of_pin(key));
        let was_there = if_there("remove", &path, self.disk.remove(&path))?.is_some();
        self.settle(&path, 0)?;
        let was_set = self.pinned.state.write().set.remove(key).is_some();
        Ok(was_there || was_set)
    }

    fn pin_list(&self, source: &str) -> Result<Option<Vec<String>>, StorageError> {
        let path = self.layout.pin(&name_of(source, LIST));
        let read = if_there("read", &path, read_whole(&*self.disk, &path, LONGEST))?;
        let Some(text) = read.and_then(|bytes| String::from_utf8(bytes).ok()) else {
            return Ok(None);
        };
        let mut lines = text.lines();
        // The first line is the source, for those who look.
        let is_it = lines.next() == Some(&one_line(source));
        Ok(is_it.then(|| lines.map(str::to_owned).collect()))
    }

    fn set_pin_list(
        self: &Arc<Self>,
        source: &str,
        entries: &[String],
    ) -> Result<(), StorageError> {
        self.writable()?;
        let mut text = one_line(source);
        for entry in entries {
            text.push('\n');
            text.push_str(&one_line(entry));
        }
        text.push('\n');
        self.write_durably(&self.layout.pin(&name_of(source, LIST)), text.as_bytes())
    }

    /// Whoever reads it, after a power cut too, finds the old file whole or the new one.
    fn write_durably(self: &Arc<Self>, path: &Path, bytes: &[u8]) -> Result<(), StorageError> {
        self.prepare_small(path, bytes)?.rename(path)?;
        self.settle(path, 0)
    }
}

fn read_pin(bytes: &[u8]) -> Option<Pin> {
    let mut lines = str::from_utf8(bytes).ok()?.lines();
    Some(Pin {
        repository: lines.next()?.parse().ok()?,
        reference: lines.next()?.parse().ok()?,
        image: lines.next()?.to_owned(),
    })
}

fn name_of_pin((of, reference): &ImageKey) -> String {
    name_of(&format!("{of}\n{reference}"), PIN)
}

/// A file name for any text.
fn name_of(text: &str, ending: &str) -> String {
    let digest = Digest::of(Algorithm::Sha256, text.as_bytes());
    format!("{}{ending}", digest.hex())
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests;
