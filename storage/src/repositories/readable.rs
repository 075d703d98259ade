//! Whether Distribution can read a manifest. Its garbage collector gives up on the whole store at the first revision it cannot
//! read, so in doubt the answer is no; the manifest is then kept where Distribution does not look.
//!
//! Distribution is written in Go, whose JSON reader takes member names in any case and refuses a member of another type than it
//! expects. It takes schema version 2, and the four media types of Docker and OCI or none; an image must have no manifests, an
//! index neither layers nor config.

use std::{borrow::Cow, fmt};

use cistern_oci::nesting;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

const IMAGES: [&str; 2] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// Go gives up on deeper nesting than 10,000; no manifest comes near this.
const DEEPEST: usize = 200;

/// Whether Distribution can read these bytes as a manifest of one of the four kinds.
pub(crate) fn is_readable_for_distribution(bytes: &[u8]) -> bool {
    if nesting(bytes) > DEEPEST {
        return false;
    }
    let Ok(raw) = serde_json::from_slice::<&RawValue>(bytes) else {
        return false;
    };
    let mut seen = Seen::default();
    members(
        raw,
        &[
            "schemaVersion",
            "mediaType",
            "config",
            "layers",
            "manifests",
            "annotations",
            "fsLayers",
            "blobs",
        ],
        |name, value| seen.take(name, value),
    ) && seen.is_readable()
}

/// What was found in a manifest.
#[derive(Default)]
struct Seen {
    is_version_2: bool,
    media_type: String,
    has_image: bool,
    has_index: bool,
}

impl Seen {
    /// Notes a member; false if Distribution cannot read it.
    fn take(&mut self, name: &str, value: &RawValue) -> bool {
        let is_null = value.get() == "null";
        match name {
            "schemaVersion" => {
                self.is_version_2 = value.get() == "2";
                true
            }
            "mediaType" => read::<Option<String>>(value).is_some_and(|text| {
                self.media_type = text.unwrap_or_default();
                true
            }),
            "config" => {
                self.has_image |= !is_null;
                is_descriptor(value)
            }
            "layers" => {
                self.has_image |= !is_null;
                is_list_of_descriptors(value)
            }
            "manifests" => {
                self.has_index |= !is_null;
                is_list_of_descriptors(value)
            }
            "annotations" => is_map_of_texts(value),
            // Signs of another kind of manifest.
            _ => is_null,
        }
    }

    fn is_readable(&self) -> bool {
        let media_type = self.media_type.as_str();
        let kind_fits = if IMAGES.contains(&media_type) {
            !self.has_index
        } else if INDEXES.contains(&media_type) {
            !self.has_image
        } else {
            media_type.is_empty() && self.has_image != self.has_index
        };
        self.is_version_2 && kind_fits
    }
}

fn is_list_of_descriptors(raw: &RawValue) -> bool {
    read::<Option<Vec<&RawValue>>>(raw)
        .is_some_and(|list| list.unwrap_or_default().into_iter().all(is_descriptor))
}

fn is_descriptor(raw: &RawValue) -> bool {
    let names = [
        "mediaType",
        "size",
        "digest",
        "urls",
        "annotations",
        "platform",
    ];
    members(raw, &names, |name, value| match name {
        "size" => read::<Option<i64>>(value).is_some(),
        "mediaType" | "digest" => is_text(value),
        "urls" => is_list_of_texts(value),
        "annotations" => is_map_of_texts(value),
        _ => is_platform(value),
    })
}

fn is_platform(raw: &RawValue) -> bool {
    let names = [
        "architecture",
        "os",
        "os.version",
        "os.features",
        "variant",
        "features",
    ];
    members(raw, &names, |name, value| match name {
        "os.features" | "features" => is_list_of_texts(value),
        _ => is_text(value),
    })
}

fn is_text(raw: &RawValue) -> bool {
    read::<Option<Cow<'_, str>>>(raw).is_some()
}

fn is_list_of_texts(raw: &RawValue) -> bool {
    read::<Option<Vec<Option<Cow<'_, str>>>>>(raw).is_some()
}

fn is_map_of_texts(raw: &RawValue) -> bool {
    raw.get() == "null"
        || read::<Members<'_>>(raw)
            .is_some_and(|members| members.0.iter().all(|(_, value)| is_text(value)))
}

fn read<'text, T: Deserialize<'text>>(raw: &'text RawValue) -> Option<T> {
    serde_json::from_str(raw.get()).ok()
}

/// Whether a value is an object (or null) whose known members are good, each there once at most and spelt exactly.
fn members(
    raw: &RawValue,
    known: &[&str],
    mut is_good: impl FnMut(&str, &RawValue) -> bool,
) -> bool {
    if raw.get() == "null" {
        return true;
    }
    let Some(Members(members)) = read(raw) else {
        return false;
    };
    let mut seen = Vec::new();
    members.into_iter().all(|(name, value)| {
        if known.contains(&&*name) {
            let is_first = !seen.contains(&name);
            let is_good = is_first && is_good(&name, value);
            seen.push(name);
            return is_good;
        }
        let folded = folded(&name);
        !known
            .iter()
            .any(|known| known.to_ascii_lowercase() == folded)
    })
}

/// A member's name as Go compares it: in lower case, and with the two letters that Unicode folds into ASCII.
fn folded(name: &str) -> String {
    name.replace('\u{17f}', "s")
        .replace('\u{212a}', "k")
        .to_ascii_lowercase()
}

/// The members of an object in their order, each as often as it is there.
struct Members<'text>(Vec<(Cow<'text, str>, &'text RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readable(text: &str) -> bool {
        is_readable_for_distribution(text.as_bytes())
    }

    #[test]
    fn the_four_kinds_are_readable() {
        for media_type in IMAGES {
            assert!(readable(&format!(
                r#"{{"schemaVersion":2,"mediaType":"{media_type}","config":{{"size":2,"digest":"sha256:ab"}},"layers":[]}}"#
            )));
        }
        for media_type in INDEXES {
            assert!(readable(&format!(
                r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":[{{"platform":{{}}}}],"annotations":{{"Size":"1"}}}}"#
            )));
        }
        assert!(readable(
            r#"{"schemaVersion":2,"config":null,"layers":[{"urls":null}]}"#
        ));
        assert!(readable(r#"{"schemaVersion":2,"manifests":[]}"#));
        let brackets = "[".repeat(1000);
        assert!(readable(&format!(
            r#"{{"schemaVersion":2,"layers":[],"annotations":{{"a":"{brackets}"}}}}"#
        )));
    }

    #[test]
    fn what_would_stop_the_garbage_collector_is_not() {
        for text in [
            "",
            "[]",
            "null",
            "{}",
            r#"{"schemaVersion":2}"#,
            r#"{"schemaVersion":1,"layers":[]}"#,
            r#"{"schemaVersion":2.0,"layers":[]}"#,
            r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#,
            r#"{"schemaVersion":2,"layers":[1]}"#,
            r#"{"schemaVersion":2,"layers":[{"size":"1"}]}"#,
            r#"{"schemaVersion":2,"layers":[{"size":1.5}]}"#,
            r#"{"schemaVersion":2,"layers":[],"layers":[]}"#,
            r#"{"schemaVersion":2,"layers":[],"MediaType":"x/y"}"#,
            "{\"schemaVersion\":2,\"layers\":[],\"config\":{\"\u{17f}ize\":\"1\"}}",
            r#"{"schemaVersion":2,"layers":[],"annotations":{"a":1}}"#,
            r#"{"schemaVersion":2,"layers":[],"mediaType":"application/vnd.oci.artifact.manifest.v1+json"}"#,
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","layers":[]}"#,
            r#"{"schemaVersion":2,"layers":[]} x"#,
        ] {
            assert!(!readable(text), "{text}");
        }
        let deep = format!(
            r#"{{"schemaVersion":2,"layers":[],"x":{}{}}}"#,
            "[".repeat(20_000),
            "]".repeat(20_000)
        );
        assert!(!readable(&deep));
    }
}
