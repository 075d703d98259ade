//! Rounds: every server in turn, the first one a different one each time, and rounds that others disturbed done again.

use crate::figures::median;
use crate::machine::Others;

/// A round in which others used more of the machine than this is done again, while patience lasts.
const QUIET: f64 = 0.08;
/// At most so many times the wanted rounds.
const PATIENCE: usize = 3;

/// What the rounds brought.
#[derive(Debug)]
pub(crate) struct Rounds<T> {
    /// The wanted number of rounds, the quietest that there were.
    pub(crate) results: Vec<T>,
    /// The median of what others used of the machine during them, 0 to 1.
    pub(crate) noise: f64,
}

/// Runs `round` until `wanted` quiet rounds are there or patience is at its end. It is told its number.
pub(crate) fn rounds<T>(
    wanted: usize,
    servers: &[u32],
    mut round: impl FnMut(usize) -> T,
) -> Rounds<T> {
    let mut done: Vec<(f64, T)> = Vec::new();
    let mut quiet = 0;
    while quiet < wanted && done.len() < wanted * PATIENCE {
        let others = Others::watch(servers);
        let result = round(done.len());
        let share = others.share();
        quiet += usize::from(share <= QUIET);
        done.push((share, result));
    }
    done.sort_by(|one, other| one.0.total_cmp(&other.0));
    done.truncate(wanted);
    let noise = median(done.iter().map(|(share, _)| *share).collect());
    Rounds {
        results: done.into_iter().map(|(_, result)| result).collect(),
        noise,
    }
}

/// Runs `round` just so often: for what does not depend on how busy the machine is.
pub(crate) fn as_they_come<T>(wanted: usize, round: impl FnMut(usize) -> T) -> Rounds<T> {
    let others = Others::watch(&[]);
    let results = (0..wanted).map(round).collect();
    Rounds {
        results,
        noise: others.share(),
    }
}

/// `0..count`, beginning elsewhere each round.
pub(crate) fn turns(count: usize, round: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |turn| (turn + round) % count)
}
