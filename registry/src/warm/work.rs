//! One look at one image: what its tag means, what is missing of that, and what the tag will mean if it is held back.

use cistern_oci::{Digest, Reference};

use super::names::{Key, Meaning};
use super::table::{Ended, Entry, News, Why};
use super::{Origin, Parts, lists};
use crate::pull::{Closure, LookedUp, Platforms, Trouble};
use crate::repositories::{Mirror, Repository};

/// A tag that moves upstream while its image is fetched is followed so often in one look.
const MOST_MOVES: usize = 4;

/// A look at an image, which is broken off when this is dropped.
pub(super) struct Look<'a> {
    parts: &'a Parts,
    key: Key,
    is_over: bool,
}

impl Drop for Look<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            self.parts.table.lock().broken_off(&self.key);
        }
    }
}

impl<'a> Look<'a> {
    pub(super) fn begin(parts: &'a Parts, key: Key) -> Self {
        Self {
            parts,
            key,
            is_over: false,
        }
    }

    /// Looks after it.
    pub(super) async fn run(mut self) {
        let entry = self.parts.table.lock().get(&self.key).cloned();
        if let Some(entry) = entry {
            let ended = match &entry.meaning {
                Meaning::Nothing(_) => Ended::default(),
                Meaning::Image(Repository::Hosted(_), reference) => {
                    self.hosted(&entry, reference).await
                }
                Meaning::Image(Repository::Mirror(mirror), reference) => {
                    self.mirrored(&entry, mirror, reference).await
                }
            };
            self.end(&entry, ended);
        }
        self.parts.wake.notify_one();
    }

    fn end(&mut self, entry: &Entry, ended: Ended) {
        self.is_over = true;
        let (trouble, every) = (ended.trouble.clone(), self.parts.options.warm.every);
        let now = tokio::time::Instant::now();
        let news = self.parts.table.lock().end(&self.key, ended, every, now);
        match news {
            News::Ready => tracing::info!(image = %entry.image, "image is here"),
            News::FailedFirst => {
                let why = trouble.as_deref().unwrap_or("no reason given");
                tracing::warn!(image = %entry.image, why, "image could not be fetched ahead; it is tried again with growing patience");
            }
            News::None => {}
        }
        self.parts.count();
    }

    /// What lives here is only looked at.
    async fn hosted(&self, entry: &Entry, reference: &Reference) -> Ended {
        let is_whole = self
            .parts
            .look_at(entry)
            .await
            .is_some_and(|closure| closure.is_complete());
        let trouble = (!is_whole)
            .then(|| format!("{reference} is hosted here and not all of it is there: push it"));
        Ended {
            is_whole,
            why: if is_whole { Why::Well } else { Why::Failed },
            trouble,
            held: None,
        }
    }

    async fn mirrored(&self, entry: &Entry, mirror: &Mirror, reference: &Reference) -> Ended {
        let pull = &self.parts.options.pull;
        let platforms = self.parts.platforms_of(entry);
        let LookedUp { digest, trouble } = pull.look_up(mirror, reference).await;
        let trouble = trouble.map(|trouble| match (&trouble, digest) {
            (Trouble::Gone(_), Some(_)) => (
                format!("the upstream has no such tag any more; it is kept ({trouble})"),
                Why::Well,
            ),
            (trouble, _) => (trouble.to_string(), why(trouble)),
        });
        let Some(root) = digest else {
            let (trouble, why) = trouble
                .unwrap_or_else(|| ("its tag could not be written down".to_owned(), Why::Failed));
            return Ended {
                trouble: Some(trouble),
                why: if why == Why::Well { Why::Failed } else { why },
                ..Ended::default()
            };
        };
        let fetched = pull.fetch_ahead(mirror, &root, &platforms).await;
        let mut ended = self.ended(entry, fetched, trouble).await;
        if let Reference::Tag(tag) = reference {
            for _ in 0..MOST_MOVES {
                let Some(to) = pull.held_back(mirror, tag) else {
                    ended.held = None;
                    break;
                };
                ended.held = Some(to);
                if !self.follow(entry, mirror, reference, to, &mut ended).await {
                    break;
                }
            }
        }
        if self.is_artifact(entry) {
            self.read_list(mirror, reference, &ended).await;
        }
        ended
    }

    /// Fetches what a tag will mean, and moves it. Whether it is worth looking again.
    async fn follow(
        &self,
        entry: &Entry,
        mirror: &Mirror,
        reference: &Reference,
        to: Digest,
        ended: &mut Ended,
    ) -> bool {
        let pull = &self.parts.options.pull;
        let Reference::Tag(tag) = reference else {
            return false;
        };
        let platforms = self.parts.platforms_of(entry);
        let fetched = pull.fetch_ahead(mirror, &to, &platforms).await;
        match fetched {
            Ok(closure) => {
                match pull.promote(mirror, tag, &to).await {
                    Ok(true) => {
                        *ended = self.ended(entry, Ok(closure), None).await;
                        true
                    }
                    // Something newer came meanwhile, or what is held back is not any more.
                    Ok(false) => pull.held_back(mirror, tag) != Some(to),
                    Err(error) => {
                        ended.trouble = Some(format!("it is held back: {error:?}"));
                        ended.why = Why::Failed;
                        false
                    }
                }
            }
            Err(trouble) => {
                ended.why = why(&trouble);
                ended.trouble = Some(format!("the new image {to} is not here yet: {trouble}"));
                false
            }
        }
    }

    async fn ended(
        &self,
        entry: &Entry,
        fetched: Result<Closure, Trouble>,
        trouble: Option<(String, Why)>,
    ) -> Ended {
        let (closure, failed) = match fetched {
            Ok(closure) => (Some(closure), None),
            Err(trouble) => (self.parts.look_at(entry).await, Some(trouble)),
        };
        let is_whole = closure.as_ref().is_some_and(Closure::is_complete);
        let absent = closure.as_ref().and_then(absent);
        let (text, why) = match (failed, trouble) {
            (Some(failed), _) => (Some(failed.to_string()), why(&failed)),
            (None, Some((text, why))) => (Some(text), why),
            (None, None) if is_whole => (absent, Why::Well),
            (None, None) => (
                Some(absent.unwrap_or_else(|| "not all of it is here".to_owned())),
                Why::Failed,
            ),
        };
        Ended {
            is_whole,
            trouble: text,
            why,
            held: None,
        }
    }

    fn is_artifact(&self, entry: &Entry) -> bool {
        let artifact = self.parts.options.warm.artifact.as_deref();
        artifact.is_some_and(|artifact| {
            let image = artifact.to_owned();
            entry.origins.contains(&Origin::Artifact { image })
                && self.parts.is_it(artifact, &self.key)
        })
    }

    /// The list that the artifact holds, when all of it is here.
    async fn read_list(&self, mirror: &Mirror, reference: &Reference, ended: &Ended) {
        let digest = self.parts.options.pull.known(mirror, reference).await;
        let read = match digest.filter(|_| ended.is_whole) {
            Some(digest) if self.parts.has_read(&digest) && ended.trouble.is_none() => return,
            Some(digest) => {
                Some(lists::read_artifact(&self.parts.options.storage, mirror, &digest).await)
            }
            None => None,
        };
        self.parts.take_artifact(read, ended.trouble.clone()).await;
    }
}

impl Parts {
    /// The machines that this image is wanted for. An artifact is for none in particular.
    pub(super) fn platforms_of(&self, entry: &Entry) -> Platforms {
        match (&self.platforms, &entry.platforms) {
            (usual, None) => usual.clone(),
            (Platforms::All, _) | (_, Some(Platforms::All)) => Platforms::All,
            (Platforms::These(usual), Some(Platforms::These(more))) => {
                let mut these = usual.clone();
                these.extend(more.iter().filter(|more| !usual.contains(more)).cloned());
                Platforms::These(these)
            }
        }
    }

    /// What is here of an image now.
    pub(super) async fn look_at(&self, entry: &Entry) -> Option<Closure> {
        let Meaning::Image(repository, _) = &entry.meaning else {
            return None;
        };
        let digest = self.digest_of(entry).await?;
        let (pull, platforms) = (&self.options.pull, self.platforms_of(entry));
        let closure = pull.closure(repository, &digest, &platforms);
        closure.await.ok()
    }

    /// What an image's name means here now.
    pub(super) async fn digest_of(&self, entry: &Entry) -> Option<Digest> {
        let Meaning::Image(repository, reference) = &entry.meaning else {
            return None;
        };
        match reference {
            Reference::Digest(digest) => Some(*digest),
            Reference::Tag(tag) => {
                let repositories = self.options.storage.repositories();
                let record = repositories.tag(repository.name(), tag).await.ok()?;
                record.map(|record| record.digest)
            }
        }
    }
}

/// What is lacking of the wanted platforms, in words.
fn absent(closure: &Closure) -> Option<String> {
    if closure.absent.is_empty() {
        return None;
    }
    let absent: Vec<String> = closure.absent.iter().map(ToString::to_string).collect();
    Some(format!("it has no image for {}", absent.join(", ")))
}

fn why(trouble: &Trouble) -> Why {
    match trouble {
        Trouble::Yielded => Why::Yielded,
        trouble if trouble.is_of_the_link() => Why::Link,
        _ => Why::Failed,
    }
}
