//! What happens in one run: the blobs, what goes wrong with each answer about them, who asks for what, and when things die.

use std::time::Duration;

use cistern_tests::images::Item;
use cistern_tests::scripted_upstream::{Answer, Cut, Framing, Ranges};

use super::random::Chance;

/// What goes wrong with one answer about a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    CutAt(usize, Cut),
    HangUp(Cut),
    Status(u16),
    Pause(usize, Duration),
    Slow,
    Flip(usize),
    Shorten(usize),
    Lengthen,
    Ranges(Ranges),
    Framing(Framing),
    FramedAndCut(Framing, usize),
}

/// What one caller does.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) blob: usize,
    pub(super) starts_after: Duration,
    pub(super) does: Does,
}

/// One call.
#[derive(Clone, Debug)]
pub(super) enum Does {
    Whole,
    /// First and last byte.
    Part(usize, usize),
    FromOn(usize),
    Last(usize),
    Head,
    /// Reads so many bytes and goes away.
    Leaves(usize),
}

/// What befalls cache or upstream.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    KillCache,
    RestartCache,
    /// The upstream refuses connections for so long.
    Outage(Duration),
}

/// A blob with what goes wrong, answer by answer.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) size: usize,
    pub(super) faults: Vec<Fault>,
}

/// One run.
#[derive(Clone, Debug)]
pub(super) struct Schedule {
    pub(super) seed: u64,
    pub(super) blobs: Vec<Blob>,
    /// Whether callers have a manifest that names the blobs.
    pub(super) is_named: bool,
    pub(super) callers: Vec<Caller>,
    pub(super) events: Vec<(Duration, Event)>,
}

impl Fault {
    /// What is answered instead of the right answer.
    pub(super) fn answer(self) -> Answer {
        let held = Answer::held();
        match self {
            Self::CutAt(offset, cut) => held.cut_at(offset, cut),
            Self::HangUp(cut) => Answer::hang_up(cut),
            Self::Status(429) => Answer::status(429).header("Retry-After", "1"),
            Self::Status(status) => Answer::status(status),
            Self::Pause(offset, pause) => held.pauses_at(offset, pause),
            Self::Slow => held.at_rate(2_000_000),
            Self::Flip(offset) => held.flips(offset),
            Self::Shorten(length) => held.shortened_to(length),
            Self::Lengthen => held.lengthened_by("and some more"),
            Self::Ranges(ranges) => held.ranges(ranges),
            Self::Framing(framing) => held.framed(framing),
            Self::FramedAndCut(framing, offset) => held.framed(framing).cut_at(offset, Cut::Fin),
        }
    }

    /// Whether the bytes it brings may be other than the blob's, or fewer or more with nothing to tell it.
    pub(super) fn is_false(self) -> bool {
        match self {
            Self::Flip(_) | Self::Shorten(_) | Self::Lengthen => true,
            // Where the end of the connection is the end of the body, a cut looks like one.
            Self::FramedAndCut(framing, _) => {
                matches!(framing, Framing::UntilClose | Framing::Http10)
            }
            _ => false,
        }
    }

    /// Whether a body that has begun goes on through it: what is cut is asked for again from there, and what is refused for a
    /// while is waited for.
    pub(super) fn is_survived(self) -> bool {
        match self {
            Self::CutAt(..) | Self::HangUp(_) | Self::Pause(..) | Self::Slow => true,
            Self::Status(status) => matches!(status, 408 | 429 | 500..=599),
            Self::Framing(framing) | Self::FramedAndCut(framing, _) => framing == Framing::Chunked,
            Self::Flip(_) | Self::Shorten(_) | Self::Lengthen | Self::Ranges(_) => false,
        }
    }

    /// Whether bytes that were sent may never arrive, or must be sent again.
    pub(super) fn wastes(self) -> bool {
        !matches!(
            self,
            Self::CutAt(_, Cut::Fin) | Self::HangUp(_) | Self::Status(_)
        )
    }
}

impl Schedule {
    /// The run of this seed.
    pub(super) fn of(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let count = chance.between(1, 3);
        let blobs: Vec<Blob> = (0..count).map(|_| blob(&mut chance)).collect();
        let callers = (0..chance.between(3, 10))
            .map(|_| caller(&mut chance, &blobs))
            .collect();
        let events = (0..chance.below(3)).map(|_| event(&mut chance)).collect();
        Self {
            seed,
            is_named: !chance.one_in(3),
            blobs,
            callers,
            events,
        }
    }

    /// The bytes of one of its blobs.
    pub(super) fn item(&self, number: usize) -> Item {
        Item::random(self.seed * 100 + number as u64, self.blobs[number].size)
    }
}

fn blob(chance: &mut Chance) -> Blob {
    let size = match chance.below(5) {
        0 => chance.between(1, 5_000),
        1 => chance.between(60_000, 70_000),
        2 => chance.between(200_000, 400_000),
        3 => chance.between(1_000_000, 2_000_000),
        _ => chance.between(4_500_000, 7_000_000),
    };
    let mut faults = Vec::new();
    for _ in 0..chance.below(6) {
        let fault = fault(chance, size);
        // A source that sent other bytes twice is asked again ten minutes later only.
        if !(fault.is_false() && faults.iter().any(|other: &Fault| other.is_false())) {
            faults.push(fault);
        }
    }
    Blob { size, faults }
}

fn fault(chance: &mut Chance, size: usize) -> Fault {
    let offset = chance.below(size);
    let cut = *chance.pick(&[Cut::Fin, Cut::Fin, Cut::Reset]);
    match chance.below(14) {
        0..=4 => Fault::CutAt(offset, cut),
        5 => Fault::HangUp(cut),
        6 | 7 => Fault::Status(*chance.pick(&[401, 403, 404, 408, 429, 500, 502, 503, 504])),
        8 => Fault::Pause(
            offset,
            Duration::from_millis(chance.between(10, 800) as u64),
        ),
        9 => Fault::Slow,
        10 => match chance.below(3) {
            0 => Fault::Flip(offset),
            1 => Fault::Shorten(offset),
            _ => Fault::Lengthen,
        },
        11 | 12 => Fault::Ranges(*chance.pick(&[
            Ranges::Ignore,
            Ranges::Refuse(416),
            Ranges::Refuse(400),
            Ranges::WrongStart,
            Ranges::NoTotal,
            Ranges::NoHeader,
        ])),
        _ => {
            let framings = [Framing::Chunked, Framing::UntilClose, Framing::Http10];
            let framing = *chance.pick(&framings);
            if chance.one_in(2) {
                Fault::FramedAndCut(framing, offset)
            } else {
                Fault::Framing(framing)
            }
        }
    }
}

fn caller(chance: &mut Chance, blobs: &[Blob]) -> Caller {
    let blob = chance.below(blobs.len());
    let size = blobs[blob].size;
    let (one, other) = (chance.below(size), chance.below(size));
    let does = match chance.below(9) {
        0..=3 => Does::Whole,
        4 => Does::Part(one.min(other), one.max(other)),
        5 => Does::FromOn(one),
        6 => Does::Last(one + 1),
        7 => Does::Head,
        _ => Does::Leaves(one),
    };
    Caller {
        blob,
        starts_after: Duration::from_millis(chance.below(1500) as u64),
        does,
    }
}

fn event(chance: &mut Chance) -> (Duration, Event) {
    let at = Duration::from_millis(chance.between(50, 1500) as u64);
    let event = match chance.below(4) {
        0 => Event::RestartCache,
        1 => Event::KillCache,
        _ => Event::Outage(Duration::from_millis(chance.between(100, 1500) as u64)),
    };
    (at, event)
}
