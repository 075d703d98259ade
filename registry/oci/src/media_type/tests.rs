use std::hash::{BuildHasher, RandomState};

use oci_spec::image::ToDockerV2S2;
use proptest::prelude::*;

use super::*;

#[test]
fn the_four_manifest_types_are_told_apart() {
    let (manifest, index) = (MediaType::oci_manifest(), MediaType::oci_index());
    let (docker, list) = (MediaType::docker_manifest(), MediaType::docker_list());
    assert!(manifest.is_image() && docker.is_image() && !index.is_image() && !list.is_image());
    assert!(index.is_index() && list.is_index() && !manifest.is_index() && !docker.is_index());
    assert!(
        [manifest, index, docker, list]
            .iter()
            .all(MediaType::is_manifest)
    );
    assert!(!MediaType::oci_artifact().is_manifest());
    assert!(!MediaType::new("application/vnd.oci.image.config.v1+json").is_manifest());
}

#[test]
fn the_docker_types_are_spelt_as_everybody_spells_them() {
    assert_eq!(
        MediaType::docker_manifest().as_str(),
        Standard::ImageManifest.to_docker_v2s2().unwrap()
    );
    assert_eq!(
        MediaType::docker_list().as_str(),
        Standard::ImageIndex.to_docker_v2s2().unwrap()
    );
}

#[test]
fn parameters_spaces_and_case_do_not_hide_a_manifest_type() {
    for text in [
        "application/vnd.oci.image.index.v1+json; charset=utf-8",
        "  application/vnd.oci.image.index.v1+json ;x=y",
        "Application/vnd.OCI.image.index.v1+JSON",
    ] {
        assert_eq!(
            MediaType::new(text).as_str(),
            "application/vnd.oci.image.index.v1+json"
        );
    }
}

#[test]
fn what_is_no_media_type_counts_as_mere_bytes() {
    for text in [
        "",
        " ",
        "json",
        "/",
        "a/",
        "/b",
        "a/b/c",
        "a b/c",
        "a/b\r\nx: y",
        "a/ä",
        "a/\0",
    ] {
        assert_eq!(
            MediaType::new(text).as_str(),
            "application/octet-stream",
            "{text:?}"
        );
    }
    assert_eq!(
        MediaType::new(&format!("a/{}", "b".repeat(254))).as_str(),
        "application/octet-stream"
    );
}

#[test]
fn upstreams_are_asked_for_every_kind_of_manifest_whose_digest_can_be_verified() {
    let accepted: Vec<_> = MANIFEST_ACCEPT.split(", ").collect();
    let known = [
        MediaType::oci_index(),
        MediaType::oci_manifest(),
        MediaType::docker_list(),
        MediaType::docker_manifest(),
        MediaType::oci_artifact(),
    ];
    assert_eq!(
        accepted,
        known.iter().map(MediaType::as_str).collect::<Vec<_>>()
    );
}

#[test]
fn equal_media_types_have_equal_hashes() {
    let hashes = RandomState::new();
    let (one, other) = (
        MediaType::new("text/plain;a=b"),
        MediaType::new("text/plain"),
    );
    assert_eq!(one, other);
    assert_eq!(hashes.hash_one(&one), hashes.hash_one(&other));
}

proptest! {
    #[test]
    fn a_media_type_can_always_be_sent_as_a_header(text in r"[ -~]{0,40}|[a-z]{1,9}/[a-z+.]{1,20}(; ?[a-z]=[a-z])?|\PC{0,20}") {
        let media_type = MediaType::new(&text);
        prop_assert!(media_type.as_str().bytes().all(|byte| byte.is_ascii_graphic() && byte != b';'));
        prop_assert_eq!(MediaType::new(media_type.as_str()), media_type);
    }
}
