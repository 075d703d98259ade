//! The rows of the matrix, and what is due in each of its cells.
//!
//! The letters stand for what the caller sees, in the order of [`super::situation::Situation::ALL`]: `W` everything, as it is
//! at the upstream now · `S` the tag as it was cached, marked as stale · `U` 503 · `N` 404 · `D` 403 · `C` 200, and the
//! connection is cut before the end · `T` 200, and the body goes on coming · `E` an empty list.

use cistern_tests::scripted_upstream::{Answer, Cut, Ranges};

use super::fault::{Fault, How};
use super::hands::{
    at, cut_always, cut_and_first_range, cut_and_ranges, cut_at, expired, never_beyond,
    silent_always, silent_at, under_signatures,
};

/// Nothing can be had from the upstream, and that is not its word about anything.
const AWAY: &str = "UCUSWUUU";
/// Callers see nothing of it.
const UNSEEN: &str = "WWWWWWWW";

/// All rows, those that take longest first.
pub(super) fn faults() -> Vec<Fault> {
    let mut all = silences();
    all.extend(connections());
    all.extend(cuts());
    all.extend(other_bytes());
    all.extend(statuses());
    all.extend(redirects());
    all.extend(ranges());
    all
}

fn silences() -> Vec<Fault> {
    vec![
        Fault::always(
            "silence in the middle of every body",
            "GET",
            |cell, hands| silent_always(cell, 75, hands),
            "CCUSWUUU",
        ),
        Fault::once(
            "silence in the middle of one body",
            "GET",
            |cell, hands| silent_at(cell, 50, hands),
            "WWUSWUUU",
        ),
        Fault::new("silence instead of an answer", How::Mute, AWAY),
        Fault::always(
            "a byte per second",
            "GET",
            |_, hands| Answer::held().at_rate_until(1, &hands.gate),
            "TTUSWUUU",
        ),
    ]
}

fn connections() -> Vec<Fault> {
    vec![
        Fault::new("connection refused", How::Refused, AWAY),
        Fault::new("the name has no address", How::NoName, AWAY),
        Fault::new(
            "the certificate is not trusted",
            How::ForeignCertificate,
            AWAY,
        ),
        Fault::always(
            "reset instead of an answer",
            "*",
            |_, _| Answer::hang_up(Cut::Reset),
            AWAY,
        ),
        Fault::once(
            "reset instead of one answer",
            "*",
            |_, _| Answer::hang_up(Cut::Reset),
            UNSEEN,
        ),
    ]
}

fn cuts() -> Vec<Fault> {
    vec![
        Fault::always(
            "FIN at 75 % of every body",
            "GET",
            |cell, _| cut_always(cell, 75, Cut::Fin),
            "CCUSWUUU",
        ),
        Fault::always(
            "RST at 75 % of every body",
            "GET",
            |cell, _| cut_always(cell, 75, Cut::Reset),
            "CCUSWUUU",
        ),
        Fault::once(
            "FIN at 1 % of one body",
            "GET",
            |cell, _| cut_at(cell, 1, Cut::Fin),
            UNSEEN,
        ),
        Fault::once(
            "FIN at 30 % of one body",
            "GET",
            |cell, _| cut_at(cell, 30, Cut::Fin),
            UNSEEN,
        ),
        Fault::once(
            "FIN at 60 % of one body",
            "GET",
            |cell, _| cut_at(cell, 60, Cut::Fin),
            UNSEEN,
        ),
        Fault::once(
            "FIN at 90 % of one body",
            "GET",
            |cell, _| cut_at(cell, 90, Cut::Fin),
            UNSEEN,
        ),
        Fault::once(
            "FIN at 99 % of one body",
            "GET",
            |cell, _| cut_at(cell, 99, Cut::Fin),
            UNSEEN,
        ),
        Fault::once(
            "RST at 60 % of one body",
            "GET",
            |cell, _| cut_at(cell, 60, Cut::Reset),
            UNSEEN,
        ),
    ]
}

fn other_bytes() -> Vec<Fault> {
    vec![
        Fault::always(
            "a wrong byte in every body",
            "GET",
            |cell, _| {
                // A list has no digest: there it is one that shows.
                let lists = cell.body.first() == Some(&b'{') && !cell.path.contains("/manifests/");
                Answer::held().flips(if lists { 0 } else { at(cell, 75) })
            },
            "CCUSWUUU",
        ),
        Fault::always(
            "bodies shortened by a tenth, with a length that fits",
            "GET",
            |cell, _| Answer::held().shortened_to(at(cell, 90)),
            "CCUSWUUU",
        ),
        Fault::always(
            "bodies longer than they should be, with a length that fits",
            "GET",
            |_, _| Answer::held().lengthened_by("more than there is"),
            "CCUSWUUU",
        ),
        Fault::always(
            "a wrong digest in the headers",
            "*",
            |_, _| Answer::held().claims_digest(&cistern_tests::images::sha256(b"another")),
            UNSEEN,
        ),
    ]
}

/// For each status, once and for ever. A function cannot take the status along, so each has one of its own.
macro_rules! status {
    ($status:literal, $once:literal, $always:literal) => {
        [
            Fault::once(
                concat!($status, ", once"),
                "*",
                |_, _| Answer::status($status),
                $once,
            ),
            Fault::always(
                concat!($status, ", always"),
                "*",
                |_, _| Answer::status($status),
                $always,
            ),
        ]
    };
}

fn statuses() -> Vec<Fault> {
    let limited = |_: &super::situation::Cell, _: &super::hands::Hands| {
        Answer::status(429).header("Retry-After", "1")
    };
    let mut all = Vec::new();
    all.extend(status!(401, "NCWWWNNE", "NCNSWNNE"));
    all.extend(status!(403, "UWWWWUUU", "UCUSWUUU"));
    all.extend(status!(404, "NCWWWNNE", "NCNSWNNE"));
    all.extend(status!(408, "UWWWWUUU", "UCUSWUUU"));
    all.push(Fault::once("429, once", "*", limited, "UWUSWUUU"));
    all.push(Fault::always("429, always", "*", limited, AWAY));
    all.extend(status!(500, "WWWWWWWW", "UCUSWUUU"));
    all.extend(status!(502, "WWWWWWWW", "UCUSWUUU"));
    all.extend(status!(503, "WWWWWWWW", "UCUSWUUU"));
    all.extend(status!(504, "WWWWWWWW", "UCUSWUUU"));
    all.extend([
        Fault::new(
            "401 to a token that was granted",
            How::RefusesTokens(401),
            "NCNSWNNE",
        ),
        Fault::new(
            "403 to a token that was granted",
            How::RefusesTokens(403),
            "NCNSWNNE",
        ),
        Fault::new(
            "another password than ours is wanted",
            How::OtherPassword,
            "DCDSWDDD",
        ),
    ]);
    all
}

fn redirects() -> Vec<Fault> {
    vec![
        Fault::always(
            "redirects in a circle",
            "*",
            |cell, _| {
                let _ = cell;
                Answer::by(|request| Answer::redirect(307, &request.path))
            },
            AWAY,
        ),
        Fault::new(
            "the first signed address has expired",
            How::Signs(|_| {
                under_signatures(|number, _| {
                    if number == 0 {
                        expired()
                    } else {
                        Answer::held()
                    }
                })
            }),
            "WWWWWWWE",
        ),
        Fault::new(
            "every signed address has expired",
            How::Signs(|_| expired()),
            AWAY,
        ),
        Fault::new(
            "the signed address expires in the middle of the body",
            How::Signs(|cell| {
                let offset = at(cell, 75);
                under_signatures(move |number, was_used| match (number, was_used) {
                    (0, false) => {
                        never_beyond(offset, |answer, left| answer.cut_at(left, Cut::Fin))
                    }
                    (_, false) => Answer::held(),
                    (_, true) => expired(),
                })
            }),
            "WWWWWWWE",
        ),
    ]
}

fn ranges() -> Vec<Fault> {
    vec![
        Fault::always(
            "FIN at 60 %, then Range is ignored",
            "GET",
            |cell, _| cut_and_ranges(cell, Ranges::Ignore),
            UNSEEN,
        ),
        Fault::always(
            "FIN at 60 %, then one Content-Range lies",
            "GET",
            |cell, _| cut_and_first_range(cell, Ranges::WrongStart),
            UNSEEN,
        ),
        Fault::always(
            "FIN at 60 %, then every Content-Range lies",
            "GET",
            |cell, _| cut_and_ranges(cell, Ranges::WrongStart),
            "WCWWWWWW",
        ),
        Fault::always(
            "FIN at 60 %, then Range is answered 416",
            "GET",
            |cell, _| cut_and_ranges(cell, Ranges::Refuse(416)),
            "WCWWWWWW",
        ),
    ]
}
