//! What refers to a manifest: signatures, attestations, bills of materials.
//!
//! For a repository that lives here the store knows. For a mirror the upstream is asked, once for all who want to know: its
//! referrers API, and where it has none the tag that spells the manifest's digest, which some clients keep such a list under.
//! Where there is neither, nothing refers to the manifest; that is an answer and no error, and it is remembered.
//!
//! An upstream that is away, limits us or fails has said nothing. Then the last list is served as stale, else what is known by
//! that tag, else the referrers that are held here themselves; if there is nothing of all that, the caller is told that the
//! upstream could not be asked. An empty list would say that there is no signature, which nobody knows.

mod fresh;
mod listed;
mod question;

use std::sync::Arc;

use cistern_oci::{Digest, RepositoryName, Tag};
use cistern_storage::StorageError;

pub(super) use self::fresh::fresh_lists;
pub use self::listed::ReferrerList;
use self::listed::{Entries, Held};
use self::question::Question;
use super::check::Failed;
use super::flights::Flight;
use super::manifests::unconfirmed_by;
use super::patience::Patience;
use super::{Asked, DigestKey, Parts, PullError, Served};
use crate::config::WhenGone;
use crate::repositories::{Mirror, Repository};
use crate::upstream::{Fault, Referrer, UpstreamError, read_referrers};

/// The part of a digest that the tag of a list spells; the longer ones are cut (distribution-spec, "Referrers Tag Schema").
const LONGEST_SPELT: usize = 64;

/// What a question to an upstream gives.
pub(super) type Listed = Result<Arc<[Referrer]>, Failed>;

/// Lists referrers.
pub(super) struct Referrers<'a> {
    pub(super) parts: &'a Arc<Parts>,
}

/// What can be said without the upstream.
struct Known {
    list: Entries,
    /// The upstream has said so once; otherwise it is what happens to be here.
    was_told: bool,
}

// === impl Referrers ===

impl Referrers<'_> {
    /// All of them.
    pub(super) async fn list(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<ReferrerList, PullError> {
        match repository {
            Repository::Hosted(hosted) => {
                let held = Held::find(self.parts, &hosted.name, *subject).await?;
                Ok(ReferrerList::new(Entries::Held(held), Served::Hit))
            }
            Repository::Mirror(mirror) => self.mirrored(mirror, *subject).await,
        }
    }

    async fn mirrored(&self, mirror: &Mirror, subject: Digest) -> Result<ReferrerList, PullError> {
        let key = (mirror.name.clone(), subject);
        if let Some(list) = self.parts.fresh_referrers.get(&key) {
            return Ok(ReferrerList::told(list, Served::Hit));
        }
        let known = self.known(mirror, &subject).await?;
        if let Some(asked) = self.parts.refused_referrers.get(&key) {
            return self.instead(known, PullError::Upstream(asked), Served::Hit);
        }
        // Who pulls a manifest that is held asks for its referrers too, and looks for their tag when there is no answer.
        let hurries = known.is_some() || is_held(self.parts, &mirror.name, &subject).await?;
        let host = mirror.upstream.host();
        if hurries && self.parts.links.is_degraded(host) {
            return self.instead(known, self.parts.link_error(host), Served::Hit);
        }
        let (mut flight, served) = self.ask(mirror, key);
        let patience = if hurries {
            Patience::check(self.parts.check_deadline)
        } else {
            Patience::HEADERS
        };
        let patience = patience.below(mirror.upstream.below());
        let heard = flight.heard().clone();
        match patience.wait(&heard, flight.outcome()).await {
            None => {
                self.parts.links.note_silence(host);
                self.instead(known, PullError::StillFetching, served)
            }
            Some(None | Some(Err(Failed::Interrupted))) => {
                self.instead(known, PullError::Interrupted, served)
            }
            // What it said is written down where nothing was known.
            Some(Some(Err(Failed::Unconfirmed(_)))) => {
                let known = self.known(mirror, &subject).await?;
                self.instead(
                    known,
                    PullError::Upstream(Asked::now(unconfirmed_by(host))),
                    served,
                )
            }
            Some(Some(Err(Failed::Storage(error)))) => Err(PullError::Storage(error)),
            Some(Some(Err(Failed::Upstream(error)))) => {
                self.instead(known, PullError::Upstream(Asked::now(error)), served)
            }
            Some(Some(Ok(list))) => Ok(ReferrerList::told(list, served)),
        }
    }

    /// The question that runs, or a new one.
    fn ask(&self, mirror: &Mirror, key: DigestKey) -> (Flight<Listed>, Served) {
        let (parts, mirror, subject) = (Arc::clone(self.parts), mirror.clone(), key.1);
        let (flight, joined) = self
            .parts
            .referrers
            .join_or_start(key, move |heard| async move {
                let question = Question {
                    parts,
                    mirror,
                    subject,
                    heard,
                };
                question.answered().await
            });
        (flight, if joined { Served::Joined } else { Served::Miss })
    }

    /// There is no list from the upstream: because there is none, or because it could not be asked.
    fn instead(
        &self,
        known: Option<Known>,
        error: PullError,
        served: Served,
    ) -> Result<ReferrerList, PullError> {
        let is_answer = matches!(&error, PullError::Upstream(asked) if is_absence(&asked.error));
        let known = known.filter(|known| {
            let keeps = self.parts.policy.when_gone == WhenGone::Keep;
            !is_answer || (keeps && known.was_told && !known.list.are_none())
        });
        match known {
            Some(known) => Ok(ReferrerList::new(known.list, Served::Stale)),
            None if is_answer => Ok(ReferrerList::told(Arc::default(), served)),
            None => Err(error),
        }
    }

    /// What is known to refer to this manifest, and how long each is, without asking anybody.
    pub(super) async fn known_here(
        &self,
        repository: &Repository,
        subject: &Digest,
    ) -> Result<Vec<(Digest, Option<u64>)>, PullError> {
        let list = match repository {
            Repository::Hosted(hosted) => {
                Entries::Held(Held::find(self.parts, &hosted.name, *subject).await?)
            }
            Repository::Mirror(mirror) => match self.known(mirror, subject).await? {
                Some(known) => known.list,
                None => return Ok(Vec::new()),
            },
        };
        Ok(list.digests())
    }

    /// The last list; else what the tag of the list was when its upstream was last heard; else the referrers held here.
    async fn known(&self, mirror: &Mirror, subject: &Digest) -> Result<Option<Known>, PullError> {
        let told = |list| Known {
            list: Entries::Told(list),
            was_told: true,
        };
        let storage = &self.parts.storage;
        if let Some(listing) = storage.listing(&mirror.name, &kind(subject)).await? {
            return Ok(Some(told(kept(&listing.bytes))));
        }
        if let Some(tag) = tag_of(subject)
            && let Some(record) = storage.repositories().tag(&mirror.name, &tag).await?
            && let Some(manifest) = storage
                .repositories()
                .manifest(&mirror.name, &record.digest)
                .await?
        {
            let list = read_referrers(manifest.bytes).await.unwrap_or_default();
            return Ok(Some(told(sorted(list))));
        }
        let mut held = Held::find(self.parts, &mirror.name, *subject).await?;
        Ok(held.is_any_there().await?.then_some(Known {
            list: Entries::Held(held),
            was_told: false,
        }))
    }
}

/// Whether an upstream has said that there is no such list.
fn is_absence(error: &UpstreamError) -> bool {
    matches!(error.fault, Fault::NotFound(_))
}

/// The name of the kept list.
fn kind(subject: &Digest) -> String {
    format!("referrers-{}-{}", subject.algorithm(), subject.hex())
}

/// The tag under which clients keep the list at registries without the API.
fn tag_of(subject: &Digest) -> Option<Tag> {
    let hex = subject.hex();
    let spelt = hex.get(..LONGEST_SPELT)?;
    format!("{}-{spelt}", subject.algorithm()).parse().ok()
}

/// A kept list: a descriptor on each line.
fn kept(bytes: &[u8]) -> Arc<[Referrer]> {
    String::from_utf8_lossy(bytes)
        .lines()
        .filter_map(Referrer::read)
        .collect()
}

/// In the order of all lists, each manifest once.
fn sorted(mut list: Vec<Referrer>) -> Arc<[Referrer]> {
    list.sort_by_key(|referrer| referrer.digest);
    list.dedup_by_key(|referrer| referrer.digest);
    list.into()
}

async fn is_held(
    parts: &Parts,
    name: &RepositoryName,
    subject: &Digest,
) -> Result<bool, StorageError> {
    let manifest = parts.storage.repositories().manifest(name, subject).await?;
    Ok(manifest.is_some())
}

#[cfg(test)]
mod tests {
    use cistern_oci::Algorithm;

    use super::*;

    #[test]
    fn the_tag_of_a_list_spells_the_digest_and_at_most_64_characters_of_it() {
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let digest = Digest::of(algorithm, b"x");
            let tag = tag_of(&digest).unwrap();
            let expected = format!("{algorithm}-{}", &digest.hex()[..64]);
            assert_eq!(tag.as_str(), expected);
        }
    }

    #[test]
    fn a_list_that_was_cut_off_is_kept_as_far_as_it_goes() {
        let line = |text: &[u8]| {
            let digest = Digest::of(Algorithm::Sha256, text);
            format!("{{\"mediaType\":\"a/b\",\"digest\":\"{digest}\",\"size\":1}}")
        };
        let whole = format!("{}\n{}", line(b"1"), line(b"2"));
        assert_eq!(kept(whole.as_bytes()).len(), 2);
        assert_eq!(kept(&whole.as_bytes()[..whole.len() - 9]).len(), 1);
        assert_eq!(kept(b"").len(), 0);
    }
}
