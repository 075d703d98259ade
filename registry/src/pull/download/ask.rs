//! Asking the sources of a download for bytes, from its first or from where it stands.

use tokio::time::Instant;

use super::Download;
use super::failed::Refusals;
use super::retry::refuses_parts;
use crate::metrics::{DownloadOutcome, UpstreamKind};
use crate::repositories::Mirror;
use crate::upstream::{BlobAnswer, Fault, Part, UpstreamError};

/// How a blob that was asked for came.
pub(super) struct Answered {
    pub(super) mirror: Mirror,
    pub(super) answer: BlobAnswer,
}

impl Answered {
    /// The size of the whole, if it was told.
    pub(super) fn size(&self) -> Option<u64> {
        self.answer.size
    }
}

/// From where a blob is asked for.
#[derive(Clone, Copy)]
pub(super) struct StartAt {
    /// The first byte that is missing.
    pub(super) byte: u64,
    /// The size of the whole, if it is known.
    pub(super) size: Option<u64>,
}

impl StartAt {
    /// Whether this fault may say that nothing is missing: of a blob whose size nobody has named.
    pub(super) fn may_be_the_end(self, fault: &Fault) -> bool {
        *fault == Fault::Status(416) && self.size.is_none() && self.byte > 0
    }
}

/// What this download has learnt of its upstreams: those that do not give parts as they are asked for.
#[derive(Default)]
pub(super) struct Habits(Vec<Box<str>>);

impl Habits {
    /// Notes that this host does not give parts; whether that is news.
    fn gives_no_parts(&mut self, host: &str) -> bool {
        let is_news = !self.0.iter().any(|known| **known == *host);
        if is_news {
            self.0.push(host.into());
        }
        is_news
    }
}

impl Download {
    /// Asks one source after the other, those that join meanwhile included, until one answers; for the first time, so that after
    /// the last refusal none can join any more.
    pub(super) async fn ask_sources(
        &self,
        from: StartAt,
        habits: &mut Habits,
    ) -> Result<Answered, Refusals> {
        let mut errors = Vec::new();
        while let Some((mirror, _)) = self.sources.next(errors.len()) {
            match self.ask_from(&mirror, from, habits).await {
                Ok(answer) => return Ok(Answered { mirror, answer }),
                Err(error) => errors.push((mirror.name.clone(), error)),
            }
        }
        Err(errors)
    }

    /// Asks every source once more, first the one that has answered before. A host that cannot be reached, or has had too many
    /// questions, is not asked the same for another repository.
    pub(super) async fn ask_again(
        &self,
        before: Option<&Mirror>,
        from: StartAt,
        habits: &mut Habits,
    ) -> Result<Answered, Refusals> {
        let mut errors: Refusals = Vec::new();
        let mut away: Vec<Box<str>> = Vec::new();
        for mirror in self.sources.in_order(before.map(|mirror| &mirror.name)) {
            let host = mirror.upstream.host();
            if away.iter().any(|away| **away == *host) {
                continue;
            }
            match self.ask_from(&mirror, from, habits).await {
                Ok(answer) => return Ok(Answered { mirror, answer }),
                Err(error) => {
                    if matches!(
                        error.fault,
                        Fault::Unreachable { .. }
                            | Fault::RateLimited { .. }
                            | Fault::Unavailable { .. }
                    ) {
                        away.push(host.into());
                    }
                    errors.push((mirror.name.clone(), error));
                }
            }
        }
        Err(errors)
    }

    /// Asks one source for what is missing; for the whole, once, if it does not give that part. What it sends too much is then
    /// passed over.
    async fn ask_from(
        &self,
        mirror: &Mirror,
        from: StartAt,
        habits: &mut Habits,
    ) -> Result<BlobAnswer, UpstreamError> {
        let host = mirror.upstream.host();
        let mut asked = self.ask(mirror, Part::From(from.byte)).await;
        if let Err(error) = &asked
            && from.byte > 0
            && refuses_parts(&error.fault)
            && !from.may_be_the_end(&error.fault)
            && habits.gives_no_parts(host)
        {
            tracing::warn!(repository = %mirror.name, digest = %self.digest, upstream = host, %error, from = from.byte, "refused to go on from there: the whole is asked for");
            asked = self.ask(mirror, Part::Whole).await;
        }
        match &asked {
            Ok(_) => {
                self.parts.links.note_answer(host);
                // From now on this repository is known to hold it, whatever becomes of the link.
                self.sources.note_answer(&mirror.name);
            }
            Err(error) => {
                if *error.host == *host {
                    self.parts.links.note_error(host, error);
                }
                self.sources.note_error(&mirror.name, error);
            }
        }
        asked
    }

    async fn ask(&self, mirror: &Mirror, part: Part) -> Result<BlobAnswer, UpstreamError> {
        let source = mirror.upstream.host();
        if let Some(wait) = self.parts.suspects.refused_for(&self.digest, mirror) {
            return Err(UpstreamError {
                host: source.into(),
                fault: Fault::Invalid(format!(
                    "twice sent bytes that are not {}; it is asked again in {} s",
                    self.digest,
                    wait.as_secs()
                )),
            });
        }
        let asked = mirror
            .upstream
            .get_blob(&mirror.name_there, &self.digest, part)
            .await;
        self.parts.counted(UpstreamKind::BlobGet, source, asked)
    }

    pub(super) fn tell_failure(&self, errors: &Refusals, started: Instant) {
        let seconds = started.elapsed().as_secs_f64();
        for (repository, error) in errors {
            let downloads = &self.parts.metrics.downloads;
            downloads.count(&error.host, DownloadOutcome::Upstream);
            tracing::warn!(%repository, digest = %self.digest, upstream = %error.host, %error, seconds, "download failed");
        }
    }
}
