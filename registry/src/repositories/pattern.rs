//! Patterns of repository names, as operators write them: `local/*`.

use std::fmt;
use std::str::FromStr;

use cistern_oci::RepositoryName;

/// Names that have something in common. `*` stands for any run of characters, slashes and nothing at all among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

/// A text that no repository's name could ever match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` matches no repository's name: they are lower case, with slashes between their parts"
)]
pub struct NotAPattern(String);

impl NamePattern {
    /// Whether there is no name that is not one of these.
    pub fn is_every_name(&self) -> bool {
        self.0.bytes().all(|byte| byte == b'*')
    }

    /// Whether every name that the other pattern means is one of these: a star there is met by a star here alone.
    pub fn covers(&self, other: &str) -> bool {
        fits(&self.0, other)
    }

    /// How many of its characters are no stars.
    pub fn literals(&self) -> usize {
        self.0.bytes().filter(|byte| *byte != b'*').count()
    }

    /// What stands before its first star.
    pub fn start(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// Whether the name is one of these.
    pub fn matches(&self, name: &RepositoryName) -> bool {
        fits(&self.0, name.as_str())
    }
}

/// Whether a text is one that the pattern means.
pub(super) fn fits(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut rest) = (pattern.as_bytes(), text.as_bytes());
    // What to try when the characters after the last star do not fit: let the star stand for one more.
    let mut again: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern.split_first(), rest.split_first()) {
            (Some((b'*', after)), _) => {
                again = Some((after, rest));
                pattern = after;
            }
            (Some((wanted, after)), Some((found, left))) if wanted == found => {
                (pattern, rest) = (after, left);
            }
            (None, None) => return true,
            _ => match again.and_then(|(after, from)| Some((after, from.get(1..)?))) {
                Some((after, from)) => {
                    again = Some((after, from));
                    (pattern, rest) = (after, from);
                }
                None => return false,
            },
        }
    }
}

impl FromStr for NamePattern {
    type Err = NotAPattern;

    fn from_str(text: &str) -> Result<Self, NotAPattern> {
        // A star can always stand for a letter, so what is a pattern is a name then.
        match text.replace('*', "a").parse::<RepositoryName>() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(NotAPattern(text.to_owned())),
        }
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        let pattern: NamePattern = pattern.parse().unwrap();
        pattern.matches(&name.parse().unwrap())
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters_slashes_too() {
        for (pattern, name) in [
            ("local/*", "local/a"),
            ("local/*", "local/a/b/c"),
            ("*", "a/b"),
            ("*/edge", "a/b/edge"),
            ("a*b", "ab"),
            ("a*b", "axb/cb"),
            ("a*b*c", "abbc"),
            ("**", "a"),
            ("local", "local"),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn a_name_that_only_begins_alike_is_another() {
        for (pattern, name) in [
            ("local/*", "local"),
            ("local/*", "locals/a"),
            ("local/*", "my/local/a"),
            ("local", "local/a"),
            ("*/edge", "a/edge/b"),
            ("a*b", "a"),
            ("a*b*c", "acb"),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn what_no_name_could_match_is_no_pattern() {
        for text in [
            "",
            "Local/*",
            "local/",
            "/local",
            "a//b",
            "local/[a-z]",
            "a b",
            "-*",
        ] {
            let error = text.parse::<NamePattern>().unwrap_err().to_string();
            assert!(error.contains(&format!("`{text}`")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_made_of_a_name_matches_it(name in "[a-c]{1,3}(/[a-c]{1,3}){0,3}", holes in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index)>(), 0..3)) {
            let mut pattern = name.clone();
            for (from, to) in holes {
                let (from, to) = (from.index(pattern.len()), to.index(pattern.len()));
                pattern.replace_range(from.min(to)..from.max(to), "*");
            }
            prop_assert!(matches(&pattern, &name));
        }
    }
}
