//! Patterns of images, as operators write them: `plant/*:latest`.

use std::fmt;
use std::str::FromStr;

use cistern_oci::{RepositoryName, Tag};

use super::pattern::{NamePattern, fits};

/// Tags of repositories that have something in common. `*` stands for any run of characters; without a tag every tag is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImagePattern {
    repository: NamePattern,
    tag: String,
}

/// A text that no image could ever match.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` matches no image")]
pub struct NotAnImagePattern(String);

impl ImagePattern {
    /// Whether this tag is one of them.
    pub fn matches(&self, repository: &RepositoryName, tag: &Tag) -> bool {
        self.repository.matches(repository) && fits(&self.tag, tag.as_str())
    }
}

impl FromStr for ImagePattern {
    type Err = NotAnImagePattern;

    fn from_str(text: &str) -> Result<Self, NotAnImagePattern> {
        let wrong = || NotAnImagePattern(text.to_owned());
        let (repository, tag) = text.split_once(':').unwrap_or((text, "*"));
        // A star can always stand for a letter, so what is a pattern is a tag then.
        tag.replace('*', "a").parse::<Tag>().map_err(|_| wrong())?;
        Ok(Self {
            repository: repository.parse().map_err(|_| wrong())?,
            tag: tag.to_owned(),
        })
    }
}

impl fmt::Display for ImagePattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.repository, self.tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, repository: &str, tag: &str) -> bool {
        let pattern: ImagePattern = pattern.parse().unwrap();
        pattern.matches(&repository.parse().unwrap(), &tag.parse().unwrap())
    }

    #[test]
    fn both_the_repository_and_the_tag_must_fit() {
        assert!(matches("plant/*:latest", "plant/a/b", "latest"));
        assert!(!matches("plant/*:latest", "plant/a", "1.0"));
        assert!(!matches("plant/*:latest", "plants/a", "latest"));
        assert!(matches("*:1.*", "a/b", "1.2"));
    }

    #[test]
    fn without_a_tag_every_tag_is_meant() {
        assert!(matches("plant/app", "plant/app", "v2"));
        assert!(!matches("plant/app", "plant/app2", "v2"));
    }

    #[test]
    fn what_no_image_could_match_is_no_pattern() {
        for text in [
            "",
            ":latest",
            "Plant/*:latest",
            "plant:",
            "plant:a/b",
            "plant:a:b",
        ] {
            assert!(text.parse::<ImagePattern>().is_err(), "{text}");
        }
    }
}
