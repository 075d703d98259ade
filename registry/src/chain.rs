//! Caches in front of caches: through whom a question came, and through whom it goes on (`Via`, RFC 9110 §7.6.3).
//!
//! A plant has a cache on each floor. The one at the top learns from `Via` how many wait below it, so that it gives up before they
//! do; a cache that finds its own name there has been made its own upstream. This file knows the text of the header and nothing of
//! requests, answers or the link.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

/// `Warning` of an answer that could not be confirmed. The spec's only form: code 299, no agent, no date. A constant text: what went
/// wrong is in the log, and a cache below knows the answer by these words.
pub const STALE: &str =
    r#"299 - "the upstream could not be asked just now: this is what the cache holds""#;

/// The most entries of a chain that are counted, and the most that are sent on. No building has more floors.
const MOST: usize = 16;
/// The longest name of a proxy that is sent on.
const LONGEST_NAME: usize = 128;
/// What the name of every Cistern begins with; eight hexadecimal digits follow.
const PREFIX: &str = "cistern-";

/// The name of this process in `Via`: `cistern-` and eight random hexadecimal digits, others at each start. It tells nobody what this
/// machine is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pseudonym(Arc<str>);

/// Who asks: a caller, and the caches between it and us. Nothing else of a caller ever goes to an upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// The chain below us, the caller's own neighbour first; `None` for a caller who asks directly, and for work of our own.
    passed: Option<Arc<[Entry]>>,
}

/// One station of a chain.
#[derive(Debug, PartialEq, Eq)]
struct Entry {
    protocol: Box<str>,
    received_by: Box<str>,
}

// === impl Pseudonym ===

impl Pseudonym {
    /// A new one.
    pub fn random() -> Self {
        // The standard library's hash keys are the system's random numbers.
        let random = RandomState::new().hash_one("pseudonym") >> 32;
        Self(format!("{PREFIX}{random:08x}").into())
    }

    /// The entry of this process in `Via`.
    pub fn via(&self) -> String {
        format!("1.1 {}", self.0)
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl Asker ===

impl Asker {
    /// Reads the `Via` fields of a request. Entries that are malformed are passed over: they say nothing, and are no reason to
    /// refuse anybody.
    pub fn read<'a>(fields: impl Iterator<Item = &'a str>) -> Self {
        let passed: Vec<Entry> = fields.flat_map(elements).filter_map(Entry::read).collect();
        Self {
            passed: (!passed.is_empty()).then(|| passed.into()),
        }
    }

    /// Whether the question has been through the cache of this name.
    pub fn has_passed(&self, name: &Pseudonym) -> bool {
        let is_it = |entry: &Entry| entry.received_by.eq_ignore_ascii_case(&name.0);
        self.entries().iter().any(is_it)
    }

    /// How many caches wait for our answer below us, at most 16.
    pub fn below(&self) -> u8 {
        u8::try_from(self.entries().len().min(MOST)).unwrap_or(u8::MAX)
    }

    /// The chain that an upstream is told: this one and ourselves. Of one that is too long the far end is left out.
    pub fn via(&self, own: &Pseudonym) -> String {
        let entries = self.entries();
        let far = entries.len().saturating_sub(MOST - 1);
        let near = entries.iter().skip(far);
        let mut text = String::new();
        for Entry {
            protocol,
            received_by,
        } in near
        {
            text.extend([protocol, " ", received_by, ", "]);
        }
        text.push_str(&own.via());
        text
    }

    fn entries(&self) -> &[Entry] {
        self.passed.as_deref().unwrap_or_default()
    }
}

/// A limit for what so many caches below wait for: a second less for each of them, so that whoever is above gives up before whoever
/// is below, and never less than a second, unless the limit is shorter itself.
pub fn shorter(limit: Duration, caches: u8) -> Duration {
    let least = limit.min(Duration::from_secs(1));
    limit
        .saturating_sub(Duration::from_secs(caches.into()))
        .max(least)
}

/// Whether an answer with these `Via` fields has been through a Cistern.
pub fn names_a_cistern<'a>(mut fields: impl Iterator<Item = &'a str>) -> bool {
    let is_cistern = |entry: Entry| {
        let digits = entry.received_by.strip_prefix(PREFIX);
        digits.is_some_and(|digits| {
            digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
        })
    };
    fields.any(|field| elements(field).filter_map(Entry::read).any(is_cistern))
}

// === impl Entry ===

impl Entry {
    /// `[name/]version received-by`, and perhaps a comment, which is dropped.
    fn read(element: &str) -> Option<Self> {
        let element = element.split('(').next()?;
        let mut words = element.split_ascii_whitespace();
        let (protocol, received_by) = (words.next()?, words.next()?);
        let is_protocol = protocol.bytes().all(|byte| is_token(byte) || byte == b'/');
        let is_name = received_by
            .bytes()
            .all(|byte| is_token(byte) || matches!(byte, b':' | b'[' | b']'));
        let is_sound = is_protocol
            && is_name
            && words.next().is_none()
            && protocol.len() <= LONGEST_NAME
            && received_by.len() <= LONGEST_NAME;
        is_sound.then(|| Self {
            protocol: protocol.into(),
            received_by: received_by.into(),
        })
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The elements of a list, whose comments may hold commas of their own.
fn elements(field: &str) -> impl Iterator<Item = &str> {
    let (mut depth, mut is_escaped) = (0_usize, false);
    field.split(move |character| {
        let was_escaped = std::mem::take(&mut is_escaped);
        match character {
            '\\' if depth > 0 && !was_escaped => is_escaped = true,
            '(' if !was_escaped => depth += 1,
            ')' if !was_escaped => depth = depth.saturating_sub(1),
            _ => {}
        }
        character == ',' && depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &[&str]) -> Asker {
        Asker::read(fields.iter().copied())
    }

    fn ours() -> Pseudonym {
        Pseudonym("cistern-0123abcd".into())
    }

    #[test]
    fn a_pseudonym_is_random_and_known_as_a_cisterns() {
        let (one, other) = (Pseudonym::random(), Pseudonym::random());
        assert_ne!(one, other);
        for name in [one, other] {
            assert!(names_a_cistern([name.via().as_str()].into_iter()), "{name}");
        }
        for no in [
            "1.1 nginx",
            "1.1 cistern",
            "1.1 cistern-1234567",
            "1.1 cistern-1234567g",
            "cistern-01234567",
            "",
        ] {
            assert!(!names_a_cistern([no].into_iter()), "{no}");
        }
        let extended = "1.1 cistern-01234567, 1.1 nginx";
        assert!(names_a_cistern(["1.0 squid", extended].into_iter()));
    }

    #[test]
    fn who_asks_without_a_chain_is_told_upstream_by_our_name_alone() {
        for fields in [&[][..], &[""], &["nonsense", ", ,"]] {
            let asker = read(fields);
            assert_eq!(asker, Asker::default());
            assert_eq!((asker.below(), asker.has_passed(&ours())), (0, false));
            assert_eq!(asker.via(&ours()), "1.1 cistern-0123abcd");
        }
    }

    #[test]
    fn a_chain_is_sent_on_without_its_comments() {
        let asker = read(&[
            "1.0 fred (Apache, (1.1\\)) beta), HTTP/1.1 p.example.net:8080",
            "1.1 [::1]:80",
        ]);
        assert_eq!(asker.below(), 3);
        assert_eq!(
            asker.via(&ours()),
            "1.0 fred, HTTP/1.1 p.example.net:8080, 1.1 [::1]:80, 1.1 cistern-0123abcd"
        );
    }

    #[test]
    fn what_is_malformed_is_passed_over() {
        let asker = read(&[
            "1.1",
            "1.1 a b",
            "1.1 \"quoted\"",
            "1.1 a;b",
            "(only a comment",
            ")(",
            "1.1 sound, (never ended, 1.1 lost",
            &format!("1.1 {}", "x".repeat(LONGEST_NAME + 1)),
            "1.1 caf\u{e9}",
        ]);
        assert_eq!(asker.via(&ours()), "1.1 sound, 1.1 cistern-0123abcd");
    }

    #[test]
    fn a_question_that_comes_back_is_known_by_our_name_wherever_it_stands() {
        for loops in [
            "1.1 cistern-0123abcd",
            "1.1 CISTERN-0123ABCD, 1.1 cistern-99999999",
            "1.1 nginx, HTTP/1.1 cistern-0123abcd (comment)",
        ] {
            assert!(read(&[loops]).has_passed(&ours()), "{loops}");
        }
        for other in ["1.1 cistern-0123abce", "1.1 x (cistern-0123abcd)"] {
            assert!(!read(&[other]).has_passed(&ours()), "{other}");
        }
    }

    #[test]
    fn a_limit_shrinks_by_a_second_per_cache_below_and_never_under_one() {
        let of = |limit: u64, caches| shorter(Duration::from_millis(limit), caches).as_millis();
        assert_eq!(
            (of(30_000, 0), of(30_000, 2), of(30_000, 16)),
            (30_000, 28_000, 14_000)
        );
        assert_eq!(
            (of(3_000, 2), of(3_000, 3), of(3_000, 255)),
            (1_000, 1_000, 1_000)
        );
        assert_eq!((of(500, 0), of(500, 3), of(0, 1)), (500, 500, 0));
    }

    #[test]
    fn sixteen_caches_are_counted_and_sent_on_at_most() {
        let long: Vec<String> = (0..100).map(|n| format!("1.1 c{n}")).collect();
        let asker = read(&[&long.join(",")]);
        assert_eq!(asker.below(), 16);
        let via = asker.via(&ours());
        assert_eq!(via.split(", ").count(), 16);
        assert!(via.starts_with("1.1 c85, ") && via.ends_with("1.1 c99, 1.1 cistern-0123abcd"));
    }
}
