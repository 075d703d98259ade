//! The faults: what each does to an upstream, and what is due to callers meanwhile.

use cistern_tests::scripted_upstream::Answer;

use super::hands::Hands;
use super::situation::Cell;

/// When a fault is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Times {
    /// Each cell's first request meets it, and no other.
    Once,
    /// Until it is taken back.
    Always,
}

/// What is done to the upstream.
pub(super) enum How {
    /// It does not listen.
    Refused,
    /// Its name has no address.
    NoName,
    /// Its certificate is another authority's.
    ForeignCertificate,
    /// It reads requests and answers none.
    Mute,
    /// Its requests of this method (`*`: any) are answered so.
    Answers {
        method: &'static str,
        times: Times,
        answer: fn(&Cell, &Hands) -> Answer,
    },
    /// It sends every request on to a storage, which answers so.
    Signs(fn(&Cell) -> Answer),
    /// It grants a token to everybody, and then refuses with this status.
    RefusesTokens(u16),
    /// It wants another password than this cache has.
    OtherPassword,
}

/// One row.
pub(super) struct Fault {
    /// The first cell of the row.
    pub(super) name: String,
    pub(super) how: How,
    /// What is due in each situation, in the order of the columns: see [`super::judge::Saw::letter`].
    pub(super) due: &'static str,
}

impl Fault {
    pub(super) fn new(name: impl Into<String>, how: How, due: &'static str) -> Self {
        Self {
            name: name.into(),
            how,
            due,
        }
    }

    pub(super) fn always(
        name: impl Into<String>,
        method: &'static str,
        answer: fn(&Cell, &Hands) -> Answer,
        due: &'static str,
    ) -> Self {
        Self::answering(name, (method, Times::Always), answer, due)
    }

    pub(super) fn once(
        name: impl Into<String>,
        method: &'static str,
        answer: fn(&Cell, &Hands) -> Answer,
        due: &'static str,
    ) -> Self {
        Self::answering(name, (method, Times::Once), answer, due)
    }

    fn answering(
        name: impl Into<String>,
        (method, times): (&'static str, Times),
        answer: fn(&Cell, &Hands) -> Answer,
        due: &'static str,
    ) -> Self {
        let how = How::Answers {
            method,
            times,
            answer,
        };
        Self::new(name, how, due)
    }

    /// Whether its bodies come so slowly that nobody waits for their end.
    pub(super) fn crawls(&self) -> bool {
        self.name.contains("a byte per second")
    }

    /// Whether what the upstream sends of a blob arrives, and has not to be sent again.
    pub(super) fn spares_bytes(&self) -> bool {
        let loses = [
            "RST",
            "silence",
            "second",
            "wrong byte",
            "bodies",
            "Range",
            "signed",
        ];
        !loses.iter().any(|word| self.name.contains(word))
    }

    /// Whether it looks like the word of an upstream that serves no lists of referrers, which is believed for ten minutes: 404, a
    /// redirect to another host, or a single refusal, after which the tag that such a list may be kept under is not there.
    pub(super) fn says_that_there_is_none(&self) -> bool {
        let refuses = self.name.starts_with("404") || self.name == "401, once";
        refuses || matches!(self.how, How::Signs(_))
    }

    /// Whether it is over once somebody notices that nothing comes.
    pub(super) fn waits_for_silence(&self) -> bool {
        self.name == "silence in the middle of one body"
    }

    /// Whether bytes on their way are other than they should be.
    pub(super) fn falsifies(&self) -> bool {
        self.name.contains("wrong byte")
    }
}
