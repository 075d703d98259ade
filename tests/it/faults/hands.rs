//! What the answers of faults are made with, and the answers that more than one fault is made of.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use cistern_tests::scripted_upstream::{Answer, Cut, Gate, Ranges, Request};
use parking_lot::Mutex;

use super::situation::Cell;

/// What an answer may need beside its cell.
pub(super) struct Hands {
    /// Opened when the fault is taken back.
    pub(super) gate: Gate,
    /// Where redirects lead.
    pub(super) storage: String,
}

/// Where the body of an answer begins in the whole.
fn start(request: &Request) -> usize {
    let range = request.header("Range").and_then(|range| {
        let range = range.strip_prefix("bytes=")?;
        range.split('-').next()?.parse().ok()
    });
    range.unwrap_or(0)
}

/// The byte at this share of the body of the cell's right answer.
pub(super) fn at(cell: &Cell, percent: usize) -> usize {
    (cell.body.len() * percent / 100).max(1)
}

/// Whoever reads comes to this byte of the whole and no further, however often he asks.
pub(super) fn never_beyond(
    offset: usize,
    stop: impl Fn(Answer, usize) -> Answer + Send + Sync + 'static,
) -> Answer {
    Answer::by(move |request| {
        let left = offset.saturating_sub(start(request));
        stop(Answer::held(), left)
    })
}

/// The connection is closed at this share of the body, for everybody.
pub(super) fn cut_always(cell: &Cell, percent: usize, cut: Cut) -> Answer {
    never_beyond(at(cell, percent), move |answer, left| {
        answer.cut_at(left, cut)
    })
}

/// Nothing more comes from this share of the body on, for anybody.
pub(super) fn silent_always(cell: &Cell, percent: usize, hands: &Hands) -> Answer {
    let gate = hands.gate.clone();
    never_beyond(at(cell, percent), move |answer, left| {
        answer.stops_at(left, &gate)
    })
}

/// The first body is cut in its middle, and whoever asks for the rest by a range is answered so.
pub(super) fn cut_and_ranges(cell: &Cell, ranges: Ranges) -> Answer {
    let (offset, was_cut) = (at(cell, 60), AtomicBool::new(false));
    Answer::by(move |request| {
        if request.header("Range").is_some() {
            Answer::held().ranges(ranges)
        } else if was_cut.swap(true, Ordering::SeqCst) {
            Answer::held()
        } else {
            Answer::held().cut_at(offset, Cut::Fin)
        }
    })
}

/// The same, but only the first range is answered so.
pub(super) fn cut_and_first_range(cell: &Cell, ranges: Ranges) -> Answer {
    let (offset, was_cut) = (at(cell, 60), AtomicBool::new(false));
    let was_asked = AtomicBool::new(false);
    Answer::by(move |request| {
        if request.header("Range").is_some() {
            if was_asked.swap(true, Ordering::SeqCst) {
                Answer::held()
            } else {
                Answer::held().ranges(ranges)
            }
        } else if was_cut.swap(true, Ordering::SeqCst) {
            Answer::held()
        } else {
            Answer::held().cut_at(offset, Cut::Fin)
        }
    })
}

/// The connection is closed at this share of what one answer has to bring.
pub(super) fn cut_at(cell: &Cell, percent: usize, cut: Cut) -> Answer {
    let size = cell.body.len();
    Answer::by(move |request| {
        let left = size.saturating_sub(start(request));
        Answer::held().cut_at((left * percent / 100).max(1), cut)
    })
}

/// Nothing more comes from this share of what one answer has to bring.
pub(super) fn silent_at(cell: &Cell, percent: usize, hands: &Hands) -> Answer {
    let (size, gate) = (cell.body.len(), hands.gate.clone());
    Answer::by(move |request| {
        let left = size.saturating_sub(start(request));
        Answer::held().stops_at((left * percent / 100).max(1), &gate)
    })
}

/// Sends every request on to an address of its own at the storage.
pub(super) fn sign(hands: &Hands) -> Answer {
    let (base, given) = (hands.storage.clone(), AtomicUsize::new(0));
    Answer::by(move |request| {
        let number = given.fetch_add(1, Ordering::SeqCst);
        let target = format!("{base}/signed{}?signature={number}", request.path);
        Answer::redirect(307, &target)
    })
}

/// What the storage answers under these addresses: `answer` is told the number of the address and whether it was used before.
pub(super) fn under_signatures(
    answer: impl Fn(usize, bool) -> Answer + Send + Sync + 'static,
) -> Answer {
    let used = Mutex::new(HashSet::<usize>::new());
    Answer::by(move |request| {
        let number = request.parameter("signature");
        let number = number.and_then(|number| number.parse().ok()).unwrap_or(0);
        let was_used = !used.lock().insert(number);
        answer(number, was_used)
    })
}

/// The words of an object store that finds a signature too old.
pub(super) fn expired() -> Answer {
    Answer::body(403, "application/xml", "<Error>expired</Error>")
}
