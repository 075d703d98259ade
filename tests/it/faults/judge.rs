//! What a caller saw, judged by what is true.

use cistern_tests::caller::{Answered, Ended};

use super::situation::{Cell, Situation, referrers, tags};
use crate::scene::is_stale;

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Saw {
    /// All of it, as it is at the upstream now.
    Whole,
    /// The tag as it was cached, marked as stale.
    Stale,
    /// A list with nothing in it.
    Empty,
    /// 200 and right bytes, and the connection was closed before the end.
    Cut,
    /// 200, and more is on its way.
    Coming,
    /// An error in the specification's form.
    Refused(u16, String),
    /// What must never be.
    Wrong(String),
}

/// How it became good again, once the fault was gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum After {
    /// With the next request.
    AtOnce,
    /// Soon.
    Soon,
    /// That there is nothing is remembered for so long that nobody waits for it here.
    Later,
}

impl Saw {
    /// The letter that stands for it in the table of what is due.
    pub(super) fn letter(&self) -> char {
        match self {
            Self::Whole => 'W',
            Self::Stale => 'S',
            Self::Empty => 'E',
            Self::Cut => 'C',
            Self::Coming => 'T',
            Self::Refused(503, code) if code == "UNAVAILABLE" => 'U',
            Self::Refused(404, code) if code.ends_with("_UNKNOWN") => 'N',
            Self::Refused(403, code) if code == "DENIED" => 'D',
            Self::Refused(..) | Self::Wrong(_) => '?',
        }
    }

    /// Its words in the page.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Whole => "200".to_owned(),
            Self::Stale => "200, stale".to_owned(),
            Self::Empty => "200, empty".to_owned(),
            Self::Cut => "200, cut".to_owned(),
            Self::Coming => "200, slow".to_owned(),
            Self::Refused(status, code) => format!("{status} {code}"),
            Self::Wrong(what) => what.clone(),
        }
    }
}

/// Judges an answer that has come to its end. `may_be_false`: bytes of the body may be wrong, so long as it does not claim to be
/// complete.
pub(super) fn judge(cell: &Cell, answer: &Answered, may_be_false: bool) -> Saw {
    match (answer.status, answer.ended) {
        (0, ended) => Saw::Wrong(format!("no head: {ended:?}")),
        (_, Ended::TimedOut) => Saw::Wrong(format!(
            "hangs after {} of {} bytes",
            answer.body.len(),
            cell.body.len()
        )),
        (200, Ended::Complete) => complete(cell, answer),
        (200, Ended::Short) if !may_be_false && !cell.body.starts_with(&answer.body) => {
            Saw::Wrong("other bytes before the cut".to_owned())
        }
        (200, Ended::Short) => Saw::Cut,
        (status, Ended::Complete) => refused(cell, status, answer),
        (status, ended) => Saw::Wrong(format!("{status}, and {ended:?}")),
    }
}

fn complete(cell: &Cell, answer: &Answered) -> Saw {
    match cell.situation {
        Situation::TagList => match &answer.json()["tags"] {
            list if *list == tags() => Saw::Whole,
            list => Saw::Wrong(format!("the tags {list}")),
        },
        Situation::Referrers => {
            let expected = referrers();
            match &answer.json()["manifests"] {
                list if *list == expected["manifests"] => Saw::Whole,
                list if list.as_array().is_some_and(Vec::is_empty) => Saw::Empty,
                list => Saw::Wrong(format!("the referrers {list}")),
            }
        }
        _ if answer.body == cell.body && is_stale(answer) => {
            Saw::Wrong("what is right, said to be stale".to_owned())
        }
        _ if answer.body == cell.body => Saw::Whole,
        _ if is_before(cell, answer) && is_stale(answer) => Saw::Stale,
        _ if is_before(cell, answer) => Saw::Wrong("stale, and does not say so".to_owned()),
        _ => Saw::Wrong("WRONG BYTES, as if complete".to_owned()),
    }
}

fn is_before(cell: &Cell, answer: &Answered) -> bool {
    let before = cell.before.as_ref();
    before.is_some_and(|before| before.top().bytes == answer.body)
}

/// An error says who failed, is no longer an error when its time has come, and is never a challenge.
fn refused(cell: &Cell, status: u16, answer: &Answered) -> Saw {
    let code = answer.error_code();
    if answer.header("WWW-Authenticate").is_some() {
        return Saw::Wrong(format!("{status} with a challenge"));
    }
    let seconds = answer.header("Retry-After");
    let names_time = seconds.is_some_and(|seconds| seconds.parse::<u32>().is_ok());
    if (status == 503) != names_time {
        return Saw::Wrong(format!("{status} with Retry-After {seconds:?}"));
    }
    let kinds = match cell.situation {
        Situation::ColdBlob | Situation::PartBlob => "BLOB_UNKNOWN",
        Situation::TagList => "NAME_UNKNOWN",
        _ => "MANIFEST_UNKNOWN",
    };
    if status == 404 && code != kinds {
        return Saw::Wrong(format!("404 {code}"));
    }
    Saw::Refused(status, code)
}
