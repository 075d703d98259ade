//! The platform a child of an index is for. Must not know how one is chosen.

use std::fmt;
use std::str::FromStr;

use serde_json::value::RawValue;

use crate::json;

/// The machine an image was made for, as an index tells it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    /// The operating system in Go's words, such as `linux`; empty when not said.
    pub os: String,
    /// The processor in Go's words, such as `arm64`; empty when not said.
    pub architecture: String,
    /// A narrower kind of the processor, such as `v7`.
    pub variant: Option<String>,
    /// The version of the operating system; Windows images have one.
    pub os_version: Option<String>,
}

impl Platform {
    /// Reads what is there. None when neither a system nor a processor is named, as in `"platform":
    /// {}`.
    pub(crate) fn read(raw: &RawValue) -> Option<Self> {
        let mut platform = Self::default();
        json::members(raw.get(), |name, value| match name {
            "os" => platform.os = json::text(value).unwrap_or_default(),
            "architecture" => platform.architecture = json::text(value).unwrap_or_default(),
            "variant" => platform.variant = json::text(value),
            "os.version" => platform.os_version = json::text(value),
            _ => {}
        })
        .ok()?;
        let said = !(platform.os.is_empty() && platform.architecture.is_empty());
        said.then_some(platform)
    }
}

/// As people write it: `linux/arm/v7`.
impl fmt::Display for Platform {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(formatter, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// A text names no platform.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no platform; one is written as linux/amd64, linux/arm64 or linux/arm/v7")]
pub struct NotAPlatform(pub String);

/// Reads `os/architecture` or `os/architecture/variant`; the words are not judged.
impl FromStr for Platform {
    type Err = NotAPlatform;

    fn from_str(text: &str) -> Result<Self, NotAPlatform> {
        let is_word = |word: &&str| {
            let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
            !word.is_empty() && word.bytes().all(is_good)
        };
        let wrong = || NotAPlatform(text.to_owned());
        let mut words = text.trim().split('/');
        let mut word = || words.next().filter(is_word).ok_or_else(wrong);
        let (os, architecture) = (word()?, word()?);
        let platform = Self {
            os: os.to_ascii_lowercase(),
            architecture: architecture.to_ascii_lowercase(),
            variant: None,
            os_version: None,
        };
        match (words.next(), words.next()) {
            (None, _) => Ok(platform),
            (Some(variant), None) if is_word(&variant) => Ok(Self {
                variant: Some(variant.to_ascii_lowercase()),
                ..platform
            }),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_read_as_it_is_written() {
        for text in ["linux/amd64", "linux/arm/v7", "windows/arm64/v8.1"] {
            assert_eq!(text.parse::<Platform>().unwrap().to_string(), text);
        }
        let platform: Platform = " Linux/ARM/V7 ".parse().unwrap();
        assert_eq!(platform.to_string(), "linux/arm/v7");
    }

    #[test]
    fn what_is_no_platform_is_named() {
        for text in [
            "",
            "linux",
            "linux/",
            "/amd64",
            "linux/arm/v7/x",
            "linux/arm/",
            "a b/c",
        ] {
            let error = text.parse::<Platform>().unwrap_err();
            assert!(error.to_string().contains(&format!("`{text}`")), "{text}");
        }
    }
}
