//! The bytes of a download on their way into the store, over as many answers as it takes.

use cistern_storage::StorageError;

use super::Download;
use super::again::suspend;
use super::ask::Answered;
use super::course::{Course, End};
use super::incoming::Incoming;
use super::retry::ENOUGH;
use crate::repositories::Mirror;
use crate::upstream::{Fault, LinkFault, UpstreamError};
use tokio::time::Instant;

/// How often an upstream may name another size than before, until what came is given up.
const CONTRADICTIONS: u32 = 3;

/// How often what is here may be sent once more by an upstream that does not give parts, until it is left alone: the link is paid for
/// by the byte.
const REPEATED: u64 = 3;

/// Why no more came in.
pub(super) enum Stop {
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
                    let from = course.writer.written();
                    tracing::info!(digest = %self.digest, upstream = %error.host, %error, from, "download broke off");
                    course.broke(error);
                }
            }
        }
    }

    /// Takes one answer in to its end.
    async fn receive(&self, course: &mut Course, answered: Answered) -> Result<(), Stop> {
        let Answered { mirror, answer } = answered;
        course.source = Some(mirror.clone());
        self.learn(course, &mirror, answer.size).await?;
        let Some(mut known) = course.writer.written().checked_sub(answer.first) else {
            // Less is there than was thought when it was asked for.
            course.came = ENOUGH;
            let what = "sent bytes from further on than those that are here";
            return Err(Stop::Upstream(broken(&mirror, what)));
        };
        self.note_progress(course, &mirror, answer.first);
        let received = self.parts.metrics.download_bytes.of(mirror.upstream.host());
        let mut incoming = Incoming::new(self, &mirror, answer.body);
        while let Some(mut piece) = incoming.next().await? {
            received.inc_by(piece.len() as u64);
            let passed_over = usize::try_from(known)
                .unwrap_or(usize::MAX)
                .min(piece.len());
            drop(piece.split_to(passed_over));
            known -= passed_over as u64;
            course.passed_over += passed_over as u64;
            if course.passed_over > REPEATED * course.writer.written() {
                let what =
                    "sends the same bytes again and again, and breaks off before new ones come";
                course.broke(broken(&mirror, what));
                return Err(Stop::End(suspend(
                    "the same bytes come again and again",
                    course,
                )));
            }
            if piece.is_empty() {
                continue;
            }
            let length = piece.len() as u64;
            course.writer.append(piece).await.map_err(|error| {
                Stop::End(match error {
                    StorageError::TooLong { .. } => End::Discard(mirror.clone(), error),
                    other => End::Storage(other),
                })
            })?;
            course.came += length;
            if course.came >= ENOUGH {
                course.passed_over = 0;
            }
            course.last_byte = Instant::now();
        }
        match course.size {
            Some(_) if !course.is_whole() => {
                let what = "the body ended before the last byte of the blob";
                Err(Stop::Upstream(broken(&mirror, what)))
            }
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
                // A portal on the way answers anything with its own page: no reason to throw away at once what came.
                course.contradictions += 1;
                Err(if course.contradictions < CONTRADICTIONS {
                    Stop::Upstream(broken(mirror, &error.to_string()))
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
}

/// An answer that stopped short of what it should have brought.
fn broken(mirror: &Mirror, what: &str) -> UpstreamError {
    UpstreamError {
        host: mirror.upstream.host().into(),
        fault: Fault::Unreachable {
            link: LinkFault::Closed,
            detail: what.to_owned(),
        },
    }
}
