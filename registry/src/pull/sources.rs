//! The repositories that want one blob, and what is known of each: an ordered set that grows while the blob is downloaded.

use std::sync::Arc;

use cistern_oci::RepositoryName;
use parking_lot::Mutex;

use crate::repositories::Mirror;
use crate::upstream::UpstreamError;

/// The ordered, growing set of places a download may come from.
#[derive(Clone)]
pub(super) struct Sources(Arc<Mutex<Known>>);

struct Known {
    sources: Vec<Source>,
    /// Whether all of them have failed, so that none can join any more.
    are_exhausted: bool,
}

/// What became of a caller who would join a running download.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Joining {
    Joined,
    /// Nobody has shown that the caller's repository holds the blob (law 6).
    NeedsProof,
    /// Every source has failed.
    TooLate,
}

struct Source {
    mirror: Mirror,
    /// Whether this repository was shown to hold the blob before it was asked for it.
    is_proven: bool,
    /// What its upstream said when it was asked, if that means that this repository may not have the blob.
    refusal: Option<UpstreamError>,
}

impl Sources {
    /// The one source that a download starts with.
    pub(super) fn from(mirror: &Mirror, is_proven: bool) -> Self {
        let first = Source::new(mirror, is_proven);
        Self(Arc::new(Mutex::new(Known {
            sources: vec![first],
            are_exhausted: false,
        })))
    }

    /// Whether this repository was shown to hold the blob, or is being asked for it.
    pub(super) fn include(&self, repository: &RepositoryName) -> bool {
        self.0.lock().include(repository)
    }

    /// Adds a repository that wants the blob too, if it may have it.
    pub(super) fn join(&self, mirror: &Mirror, is_proven: bool) -> Joining {
        let mut known = self.0.lock();
        if known.are_exhausted {
            return Joining::TooLate;
        }
        if !is_proven && !known.include(&mirror.name) {
            return Joining::NeedsProof;
        }
        match known.of(&mirror.name) {
            Some(source) if is_proven => {
                source.is_proven = true;
                source.refusal = None;
            }
            Some(_) => {}
            None => known.sources.push(Source::new(mirror, is_proven)),
        }
        Joining::Joined
    }

    /// The source to be asked after so many have failed, and whether it is proven; after the last one none can join any more.
    pub(super) fn next(&self, failed: usize) -> Option<(Mirror, bool)> {
        let mut known = self.0.lock();
        let next = known.sources.get(failed);
        let next = next.map(|source| (source.mirror.clone(), source.is_proven));
        known.are_exhausted = next.is_none();
        next
    }

    /// Whether the first of them was shown to hold the blob, before anybody was asked for it.
    pub(super) fn begin_with_proof(&self) -> bool {
        let known = self.0.lock();
        known.sources.first().is_some_and(|first| first.is_proven)
    }

    /// The first of them.
    pub(super) fn first(&self) -> Option<Mirror> {
        let known = self.0.lock();
        known.sources.first().map(|first| first.mirror.clone())
    }

    /// Those that may have the blob, this one first, for another round of questions.
    pub(super) fn in_order(&self, first: Option<&RepositoryName>) -> Vec<Mirror> {
        let known = self.0.lock();
        let may = |source: &&Source| source.refusal.is_none();
        let mirrors = known.sources.iter().filter(may);
        let mut mirrors: Vec<_> = mirrors.map(|source| source.mirror.clone()).collect();
        mirrors.sort_by_key(|mirror| Some(&mirror.name) != first);
        mirrors
    }

    /// None can join any more.
    pub(super) fn close(&self) {
        self.0.lock().are_exhausted = true;
    }

    /// Notes that an upstream gives the blob: that this repository holds it is known from now on, whatever becomes of the link.
    pub(super) fn note_answer(&self, repository: &RepositoryName) {
        if let Some(source) = self.0.lock().of(repository) {
            source.is_proven = true;
        }
    }

    /// Notes that an upstream did not give the blob. A repository that was not proven to hold it before gets nothing from the
    /// sources of others, whatever the fault: a stumble is no proof, and some upstreams say 403 without a word of tokens (law 6).
    pub(super) fn note_error(&self, repository: &RepositoryName, error: &UpstreamError) {
        let mut known = self.0.lock();
        let source = known.of(repository);
        if let Some(source) = source.filter(|source| !source.is_proven) {
            source.refusal = Some(error.clone());
        }
    }

    /// Why this repository may not have the blob.
    pub(super) fn refusal_of(&self, repository: &RepositoryName) -> Option<UpstreamError> {
        self.0.lock().of(repository)?.refusal.clone()
    }

    /// The repositories that may have the blob.
    pub(super) fn holders(&self) -> Vec<RepositoryName> {
        let known = self.0.lock();
        let may = known
            .sources
            .iter()
            .filter(|source| source.refusal.is_none());
        may.map(|source| source.mirror.name.clone()).collect()
    }
}

impl Known {
    fn of(&mut self, repository: &RepositoryName) -> Option<&mut Source> {
        self.sources
            .iter_mut()
            .find(|source| source.mirror.name == *repository)
    }

    fn include(&self, repository: &RepositoryName) -> bool {
        let is_it = |source: &Source| source.mirror.name == *repository && source.refusal.is_none();
        self.sources.iter().any(is_it)
    }
}

impl Source {
    fn new(mirror: &Mirror, is_proven: bool) -> Self {
        Self {
            mirror: mirror.clone(),
            is_proven,
            refusal: None,
        }
    }
}
