//! The bytes of a download on their way into the store, over as many answers as it takes, and what becomes of it in the end.

use std::fmt::Display;
use std::time::Duration;

use cistern_storage::{BlobWriter, CommitError, StorageError};
use futures_util::StreamExt as _;
use tokio::time::Instant;

use super::ask::{Answered, Habits};
use super::failed::Refusals;
use super::retry::Backoff;
use super::{Download, DownloadFailed};
use crate::metrics::{DownloadOutcome, ResumedAfter};
use crate::pull::slots::Slot;
use crate::repositories::Mirror;
use crate::upstream::{Fault, LinkFault, Priority, UpstreamError};

/// How often an upstream may name another size than before, until what came is given up.
const CONTRADICTIONS: u32 = 3;

/// After the link was down and is back, a body that was silent for longer than this is not waited for.
const QUIET: Duration = Duration::from_secs(2);

/// How it stands with one download that has a place in the store.
pub(super) struct Course {
    pub(super) writer: BlobWriter<DownloadFailed>,
    /// Who sends, or sent last.
    pub(super) source: Option<Mirror>,
    pub(super) size: Option<u64>,
    /// Leave to use the link; none while it waits for it.
    pub(super) slot: Option<Slot>,
    pub(super) habits: Habits,
    pub(super) backoff: Backoff,
    /// Whether bytes came since the last attempt.
    pub(super) bytes_came: bool,
    /// When the last byte came that was not here already.
    pub(super) last_byte: Instant,
    /// Why it does not go on, while it does not.
    pub(super) failed: Option<UpstreamError>,
    /// What the sources said when they were last asked in vain.
    pub(super) refusals: Refusals,
    /// What the next answer is a continuation after, if it is one.
    stopped: Option<ResumedAfter>,
    contradictions: u32,
    started: Instant,
}

impl Course {
    pub(super) fn new(
        writer: BlobWriter<DownloadFailed>,
        size: Option<u64>,
        slot: Slot,
        habits: Habits,
        started: Instant,
    ) -> Self {
        let goes_on = writer.written() > 0;
        Self {
            writer,
            source: None,
            size,
            slot: Some(slot),
            habits,
            backoff: Backoff::new(),
            bytes_came: true,
            last_byte: Instant::now(),
            failed: None,
            refusals: Refusals::new(),
            stopped: goes_on.then_some(ResumedAfter::Partial),
            contradictions: 0,
            started,
        }
    }

    /// Whether all bytes are there, as far as anybody knows how many they are.
    pub(super) fn is_whole(&self) -> bool {
        self.size.is_some_and(|size| self.writer.written() >= size)
    }

    /// The body broke off.
    fn broke(&mut self, error: UpstreamError) {
        let is_silence = matches!(
            error.fault,
            Fault::Unreachable {
                link: LinkFault::Timeout,
                ..
            }
        );
        self.stopped.get_or_insert(if is_silence {
            ResumedAfter::Silence
        } else {
            ResumedAfter::Cut
        });
        self.refusals = self
            .source
            .iter()
            .map(|mirror| (mirror.name.clone(), error.clone()))
            .collect();
        self.failed = Some(error);
    }
}

/// How a download ends that has a place in the store.
pub(super) enum End {
    /// All bytes are there: they are looked at as a whole.
    Commit,
    /// It stops for now and keeps what it has. The words are for the log, the failure for the readers.
    Suspend(&'static str, DownloadFailed),
    /// The bytes are not the blob's.
    Discard(Mirror, StorageError),
    /// The store failed under it.
    Storage(StorageError),
}

/// Why no more came in.
enum Stop {
    Upstream(UpstreamError),
    End(End),
}

impl Download {
    /// Takes bytes in, from one answer after the other, until all are there or none can be had.
    pub(super) async fn go_on(&self, mut course: Course, mut answered: Option<Answered>) {
        loop {
            let answer = match answered.take() {
                Some(answer) => Ok(answer),
                None => self.again(&mut course).await,
            };
            let stop = match answer {
                Ok(answer) => self.receive(&mut course, answer).await,
                Err(end) => Err(Stop::End(end)),
            };
            match stop {
                Ok(()) => return self.end(course, End::Commit).await,
                Err(Stop::End(end)) => return self.end(course, end).await,
                Err(Stop::Upstream(error)) => {
                    tracing::info!(digest = %self.digest, upstream = %error.host, %error, from = course.writer.written(), "download broke off");
                    course.broke(error);
                }
            }
        }
    }

    /// Takes one answer in to its end.
    async fn receive(&self, course: &mut Course, answered: Answered) -> Result<(), Stop> {
        let Answered { mirror, mut answer } = answered;
        course.source = Some(mirror.clone());
        self.learn(course, &mirror, answer.size).await?;
        let Some(mut known) = course.writer.written().checked_sub(answer.first) else {
            // Less is there than was thought when it was asked for.
            course.bytes_came = true;
            return Err(Stop::Upstream(invalid(
                &mirror,
                "sent bytes from further on",
            )));
        };
        self.note_progress(course, &mirror, answer.first);
        let host = mirror.upstream.host();
        let received = self.parts.metrics.download_bytes.of(host);
        let (mut over, mut joined) = (
            std::pin::pin!(self.over()),
            std::pin::pin!(self.crowd.joined()),
        );
        let mut returned = Box::pin(self.parts.links.returned(host));
        let mut heard = Instant::now();
        let mut is_warm = self.crowd.served() == 0;
        if is_warm {
            answer.body.set_priority(Priority::Warm);
        }
        loop {
            let piece = tokio::select! {
                biased;
                () = &mut over => return Err(Stop::End(stopping())),
                () = &mut joined, if is_warm => {
                    is_warm = false;
                    answer.body.set_priority(Priority::Interactive);
                    continue;
                }
                () = &mut returned => {
                    if heard.elapsed() > QUIET && !answer.body.holds_bytes() {
                        return Err(Stop::Upstream(left_behind(&mirror)));
                    }
                    returned.set(self.parts.links.returned(host));
                    continue;
                }
                piece = answer.body.next() => piece,
            };
            heard = Instant::now();
            let mut piece = match piece {
                None => break,
                Some(Ok(piece)) => piece,
                Some(Err(error)) => {
                    if matches!(
                        error.fault,
                        Fault::Unreachable {
                            link: LinkFault::Timeout,
                            ..
                        }
                    ) && *error.host == *host
                    {
                        self.parts.links.note_error(host, &error);
                    }
                    return Err(Stop::Upstream(error));
                }
            };
            received.inc_by(piece.len() as u64);
            let passed_over = usize::try_from(known)
                .unwrap_or(usize::MAX)
                .min(piece.len());
            drop(piece.split_to(passed_over));
            known -= passed_over as u64;
            if piece.is_empty() {
                continue;
            }
            course.writer.append(piece).await.map_err(|error| {
                Stop::End(match error {
                    StorageError::TooLong { .. } => End::Discard(mirror.clone(), error),
                    other => End::Storage(other),
                })
            })?;
            course.bytes_came = true;
            course.last_byte = Instant::now();
        }
        match course.size {
            Some(_) if !course.is_whole() => Err(Stop::Upstream(ended_early(&mirror))),
            _ => Ok(()),
        }
    }

    /// The upstream has answered; takes note of the size it names.
    async fn learn(
        &self,
        course: &mut Course,
        mirror: &Mirror,
        size: Option<u64>,
    ) -> Result<(), Stop> {
        let Some(size) = size else {
            course.writer.answered();
            return Ok(());
        };
        match course.writer.learn_size(size).await {
            Ok(()) => {
                course.size = Some(size);
                course.contradictions = 0;
                Ok(())
            }
            Err(error @ (StorageError::OtherSize { .. } | StorageError::TooLong { .. })) => {
                // A portal on the way answers anything with its own page: it is no reason to throw away what came, at once.
                course.contradictions += 1;
                Err(if course.contradictions < CONTRADICTIONS {
                    Stop::Upstream(UpstreamError {
                        host: mirror.upstream.host().into(),
                        fault: Fault::Unreachable {
                            link: LinkFault::Closed,
                            detail: error.to_string(),
                        },
                    })
                } else {
                    Stop::End(End::Discard(mirror.clone(), error))
                })
            }
            Err(error) => Err(Stop::End(End::Storage(error))),
        }
    }

    /// Bytes come again, from this offset on.
    fn note_progress(&self, course: &mut Course, mirror: &Mirror, from: u64) {
        self.crowd.go_on();
        course.failed = None;
        if let Some(after) = course.stopped.take() {
            let (host, metrics) = (mirror.upstream.host(), &self.parts.metrics);
            metrics.download_resumes.count(host, after);
            metrics.partial_bytes_saved.inc_by(from);
            tracing::info!(digest = %self.digest, upstream = host, from, "download goes on");
        }
    }

    async fn end(&self, course: Course, end: End) {
        self.crowd.go_on();
        let source = course.source.clone().or_else(|| self.sources.first());
        match (end, source) {
            (End::Commit, Some(mirror)) => self.commit(&mirror, course).await,
            // A download has a source from its beginning.
            (End::Commit, None) => course.writer.suspend(DownloadFailed::Interrupted).await,
            (End::Suspend(why, failure), source) => {
                if let Some(mirror) = source {
                    self.count(&mirror, DownloadOutcome::Suspended);
                }
                let bytes = course.writer.written();
                tracing::warn!(digest = %self.digest, bytes, why, "download suspended: what came is kept");
                course.writer.suspend(failure).await;
            }
            (End::Discard(mirror, wrong), _) => {
                self.suspect(&mirror, &wrong);
                let failure = DownloadFailed::untrue(&mirror, &wrong);
                course.writer.discard(failure);
            }
            (End::Storage(error), source) => {
                if let Some(mirror) = source {
                    self.count(&mirror, DownloadOutcome::Storage);
                }
                tracing::warn!(digest = %self.digest, %error, "download stopped: the store failed");
                course.writer.discard(DownloadFailed::Storage(error));
            }
        }
    }

    async fn commit(&self, mirror: &Mirror, course: Course) {
        let Course {
            writer, started, ..
        } = course;
        let bytes = writer.written();
        let source = mirror.upstream.host();
        let explain = |wrong: &CommitError| match wrong {
            CommitError::Storage(error) => DownloadFailed::Storage(error.clone()),
            CommitError::WrongDigest { .. } | CommitError::WrongSize { .. } => {
                DownloadFailed::untrue(mirror, wrong)
            }
        };
        let sources = self.sources.clone();
        match writer.commit_for(move || sources.holders(), explain).await {
            Ok(_) => {
                // Those that joined since.
                self.link().await;
                self.count(mirror, DownloadOutcome::Complete);
                let seconds = started.elapsed().as_secs_f64();
                tracing::info!(repository = %mirror.name, digest = %self.digest, upstream = source, bytes, seconds, "blob downloaded");
            }
            Err(CommitError::Storage(error)) => {
                self.count(mirror, DownloadOutcome::Storage);
                tracing::warn!(digest = %self.digest, %error, "download lost: the store failed");
            }
            Err(wrong) => self.suspect(mirror, &wrong),
        }
    }

    fn suspect(&self, mirror: &Mirror, wrong: &dyn Display) {
        let source = mirror.upstream.host();
        self.parts.suspects.note(&self.digest, source);
        self.count(mirror, DownloadOutcome::Mismatch);
        tracing::warn!(repository = %mirror.name, digest = %self.digest, upstream = source, reason = %wrong, "download refused");
    }
}

/// The server stops, and nobody reads this blob any more.
pub(super) fn stopping() -> End {
    End::Suspend("the server stops", DownloadFailed::Interrupted)
}

fn invalid(mirror: &Mirror, what: &str) -> UpstreamError {
    UpstreamError {
        host: mirror.upstream.host().into(),
        fault: Fault::Invalid(what.to_owned()),
    }
}

/// The link was down and is back; on this connection nothing will come any more.
fn left_behind(mirror: &Mirror) -> UpstreamError {
    UpstreamError {
        host: mirror.upstream.host().into(),
        fault: Fault::Unreachable {
            link: LinkFault::Timeout,
            detail: "nothing came any more on a connection from before the link was lost"
                .to_owned(),
        },
    }
}

fn ended_early(mirror: &Mirror) -> UpstreamError {
    UpstreamError {
        host: mirror.upstream.host().into(),
        fault: Fault::Unreachable {
            link: LinkFault::Closed,
            detail: "the body ended before the last byte of the blob".to_owned(),
        },
    }
}
