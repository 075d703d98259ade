//! Tags that no person gives: what is attached to a manifest (signatures, attestations, the list of its referrers) is found by
//! a tag that spells the manifest's digest. Clients look them up at every pull and expect to hear "no" most of the time.

use std::time::Duration;

use cistern_oci::{Digest, Tag};

/// How long "there is none" is remembered: longer than of a tag that a person may be waiting for.
pub(super) const MISSING: Duration = Duration::from_mins(10);

/// What cosign adds to the digest; the list of referrers adds nothing.
const KINDS: [&str; 3] = [".sig", ".att", ".sbom"];

/// The manifest whose attachments this tag names, if it is such a tag.
pub(super) fn subject(tag: &Tag) -> Option<Digest> {
    let text = tag.as_str();
    let digest = KINDS
        .iter()
        .find_map(|kind| text.strip_suffix(kind))
        .unwrap_or(text);
    let (algorithm, hex) = digest.split_once('-')?;
    format!("{algorithm}:{hex}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject_of(text: &str) -> Option<String> {
        subject(&text.parse().unwrap()).map(|digest| digest.to_string())
    }

    #[test]
    fn tags_that_spell_a_digest_name_what_is_attached_to_it() {
        let hex = "ab".repeat(32);
        let digest = Some(format!("sha256:{hex}"));
        for kind in ["", ".sig", ".att", ".sbom"] {
            assert_eq!(subject_of(&format!("sha256-{hex}{kind}")), digest);
        }
    }

    #[test]
    fn other_tags_do_not() {
        let hex = "ab".repeat(32);
        for text in [
            "1.5",
            "sha256-abc",
            "latest.sig",
            &hex,
            &format!("md5-{hex}"),
            &format!("sha256-{hex}.zip"),
            &format!("sha256-{hex}-1"),
        ] {
            assert_eq!(subject_of(text), None, "{text}");
        }
    }
}
