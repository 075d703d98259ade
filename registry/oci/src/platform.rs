//! The platform a child of an index is for. Must not know how one is chosen.

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
