use proptest::prelude::*;

use super::*;
use crate::{Algorithm, Platform};

fn digest(of: &str) -> Digest {
    Digest::of(Algorithm::Sha256, of.as_bytes())
}

fn pointer(to: &str, size: u64) -> String {
    format!(
        r#"{{"mediaType": "application/x", "digest": "{}", "size": {size}}}"#,
        digest(to)
    )
}

fn read(body: &str) -> ManifestLinks {
    ManifestLinks::read(body.as_bytes()).unwrap_or_else(|why| panic!("{body}: {why}"))
}

fn refused(body: &str) -> ManifestError {
    ManifestLinks::read(body.as_bytes())
        .map(|links| panic!("{body}: {links:?}"))
        .unwrap_err()
}

fn digests(descriptors: &[Descriptor]) -> Vec<Digest> {
    descriptors
        .iter()
        .map(|descriptor| descriptor.digest)
        .collect()
}

#[test]
fn an_image_points_to_its_config_and_its_layers_in_order() {
    let (config, one, two) = (pointer("config", 7), pointer("one", 1), pointer("two", 2));
    let links = read(&format!(
        r#"{{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {config}, "layers": [{one}, {two}], "annotations": {{"a": "b"}}}}"#
    ));
    assert_eq!(
        (links.kind, links.media_type.clone()),
        (ManifestKind::Image, Some(MediaType::oci_manifest()))
    );
    let blobs: Vec<_> = links.blobs().map(|blob| (blob.digest, blob.size)).collect();
    assert_eq!(
        blobs,
        [
            (digest("config"), 7),
            (digest("one"), 1),
            (digest("two"), 2)
        ]
    );
    assert_eq!(links.size_of(&digest("config")), Some(7));
    assert_eq!(links.size_of(&digest("two")), Some(2));
    assert_eq!(links.size_of(&digest("three")), None);
}

#[test]
fn an_index_points_to_its_children_with_their_platforms() {
    let child = format!(
        r#"{{"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "{}", "size": 5,
            "platform": {{"os": "linux", "architecture": "arm", "variant": "v7", "os.version": "1", "features": null}},
            "artifactType": "application/y", "urls": ["https://a.example/b", 7, null]}}"#,
        digest("child")
    );
    let links = read(&format!(
        r#"{{"schemaVersion": 2, "manifests": [{child}]}}"#
    ));
    assert_eq!((links.kind, links.media_type), (ManifestKind::Index, None));
    let platform = Platform {
        os: "linux".into(),
        architecture: "arm".into(),
        variant: Some("v7".into()),
        os_version: Some("1".into()),
    };
    let expected = Descriptor {
        media_type: MediaType::oci_manifest(),
        digest: digest("child"),
        size: 5,
        artifact_type: Some("application/y".into()),
        platform: Some(platform),
        urls: vec!["https://a.example/b".into()],
        attests: None,
    };
    assert_eq!(links.children, [expected]);
}

#[test]
fn an_attestation_of_an_index_says_of_which_image_it_is() {
    let child = |kind: &str, of: &str| {
        format!(
            r#"{{"digest": "{}", "size": 5, "platform": {{"os": "unknown", "architecture": "unknown"}},
                "annotations": {{"vnd.docker.reference.digest": {of}, "vnd.docker.reference.type": "{kind}", "x": 1}}}}"#,
            digest("child")
        )
    };
    let image = digest("image");
    let links = read(&format!(
        r#"{{"schemaVersion": 2, "manifests": [{}, {}, {}]}}"#,
        child("attestation-manifest", &format!("\"{image}\"")),
        child("something else", &format!("\"{image}\"")),
        child("attestation-manifest", "7"),
    ));
    let attested: Vec<_> = links.children.iter().map(|child| child.attests).collect();
    assert_eq!(attested, [Some(image), None, None]);
}

#[test]
fn an_artifact_points_to_its_subject_and_says_what_it_is() {
    let (empty, layer, subject) = (
        pointer("{}", 2),
        pointer("signature", 9),
        pointer("image", 3),
    );
    let links = read(&format!(
        r#"{{"schemaVersion": 2, "artifactType": "application/vnd.example", "config": {empty}, "layers": [{layer}],
            "subject": {subject}}}"#
    ));
    assert_eq!(
        links.artifact_type.as_deref(),
        Some("application/vnd.example")
    );
    assert_eq!(
        links.subject.as_ref().map(|subject| subject.digest),
        Some(digest("image"))
    );
    assert_eq!(
        links.size_of(&digest("image")),
        None,
        "a subject is not a part of the manifest"
    );
}

#[test]
fn missing_and_null_members_are_no_reason_to_refuse_a_manifest() {
    let image = r#"{"mediaType": "application/vnd.oci.image.manifest.v1+json""#;
    for rest in [
        "",
        r#", "layers": null"#,
        r#", "layers": null, "config": null, "annotations": null, "subject": null, "artifactType": null"#,
        r#", "layers": [], "config": {}, "annotations": {"a": null}"#,
        r#", "layers": {}, "config": [], "annotations": 7, "subject": "x", "artifactType": 1, "schemaVersion": "two""#,
        r#", "layers": [null, 7, "x", [], {}]"#,
    ] {
        let links = read(&format!("{image}{rest}}}"));
        assert_eq!(links.kind, ManifestKind::Image, "{rest}");
        assert_eq!(
            (links.blobs().count(), links.children.len()),
            (0, 0),
            "{rest}"
        );
        assert_eq!((links.subject, links.artifact_type), (None, None), "{rest}");
    }
    for body in [
        r#"{"manifests": null}"#,
        r#"{"manifests": []}"#,
        r#"{"manifests": [], "layers": null}"#,
    ] {
        assert_eq!(read(body).kind, ManifestKind::Index, "{body}");
    }
    assert_eq!(read(r#"{"layers": null}"#).kind, ManifestKind::Image);
}

#[test]
fn a_platform_without_a_system_and_a_processor_is_no_platform() {
    for platform in [
        "{}",
        "null",
        "7",
        r#"{"os": null}"#,
        r#"{"os": "", "architecture": "", "variant": "v7"}"#,
    ] {
        let child = format!(
            r#"{{"digest": "{}", "size": 5, "platform": {platform}}}"#,
            digest("child")
        );
        let links = read(&format!(r#"{{"manifests": [{child}]}}"#));
        assert_eq!(digests(&links.children), [digest("child")]);
        assert_eq!(links.children[0].platform, None, "{platform}");
    }
}

#[test]
fn a_descriptor_without_a_usable_digest_and_size_is_passed_over() {
    let good = pointer("good", 4);
    let mut bad: Vec<String> = ["sha256:00", "md5:00", "", "latest"]
        .iter()
        .map(|digest| format!(r#"{{"digest": "{digest}", "size": 1}}"#))
        .collect();
    bad.push(r#"{"size": 1}"#.into());
    bad.push(r#"{"digest": null, "size": 1}"#.into());
    for size in ["-1", "1.5", "null", r#""1""#, "18446744073709551616"] {
        bad.push(format!(
            r#"{{"digest": "{}", "size": {size}}}"#,
            digest("bad")
        ));
    }
    bad.push(format!(r#"{{"digest": "{}"}}"#, digest("bad")));
    let links = read(&format!(
        r#"{{"layers": [{}, {good}, {}]}}"#,
        bad.join(","),
        bad.join(",")
    ));
    assert_eq!(digests(&links.layers), [digest("good")]);
}

#[test]
fn a_descriptor_that_does_not_say_what_it_points_to_points_to_mere_bytes() {
    let links = read(&format!(
        r#"{{"layers": [{{"digest": "{}", "size": 0}}]}}"#,
        digest("")
    ));
    assert_eq!(
        links.layers[0].media_type.as_str(),
        "application/octet-stream"
    );
    assert_eq!(links.size_of(&digest("")), Some(0));
}

#[test]
fn the_blobs_of_an_artifact_manifest_count_as_layers() {
    let blob = pointer("blob", 4);
    for media_type in [
        r#""mediaType": "application/vnd.oci.artifact.manifest.v1+json","#,
        "",
    ] {
        let subject = pointer("image", 3);
        let links = read(&format!(
            r#"{{{media_type} "blobs": [{blob}], "subject": {subject}}}"#
        ));
        assert_eq!(links.kind, ManifestKind::Other);
        assert_eq!(digests(&links.layers), [digest("blob")]);
        assert!(links.subject.is_some());
    }
}

#[test]
fn the_links_of_docker_schema_1_are_not_read() {
    let layer = pointer("layer", 1);
    for body in [
        r#"{"schemaVersion": 1, "name": "a", "tag": "b", "fsLayers": [{"blobSum": "sha256:00"}], "signatures": []}"#.to_owned(),
        r#"{"schemaVersion": 1, "mediaType": "application/vnd.docker.distribution.manifest.v1+json"}"#.to_owned(),
        format!(r#"{{"schemaVersion": 1, "layers": [{layer}]}}"#),
    ] {
        let links = read(&body);
        assert_eq!((links.kind, links.blobs().count()), (ManifestKind::Other, 0), "{body}");
    }
}

#[test]
fn an_object_that_is_no_manifest_has_no_links() {
    for body in ["{}", r#"{"schemaVersion": 2}"#, r#"{"a": {"layers": []}}"#] {
        let links = read(body);
        assert_eq!(
            (links.kind, links.blobs().count()),
            (ManifestKind::Other, 0),
            "{body}"
        );
    }
}

#[test]
fn a_media_type_that_is_known_decides_what_a_body_of_two_shapes_is() {
    let (config, layer, child) = (
        pointer("config", 1),
        pointer("layer", 2),
        pointer("child", 3),
    );
    let parts = format!(r#""config": {config}, "layers": [{layer}], "manifests": [{child}]"#);
    for image in [MediaType::oci_manifest(), MediaType::docker_manifest()] {
        let links = read(&format!(r#"{{"mediaType": "{image}", {parts}}}"#));
        assert_eq!(links.kind, ManifestKind::Image);
        assert_eq!((links.blobs().count(), links.children.len()), (2, 0));
    }
    for index in [MediaType::oci_index(), MediaType::docker_list()] {
        let links = read(&format!(r#"{{"mediaType": "{index}", {parts}}}"#));
        assert_eq!(links.kind, ManifestKind::Index);
        assert_eq!((links.blobs().count(), links.children.len()), (0, 1));
    }
}

#[test]
fn a_body_of_two_shapes_that_does_not_say_which_it_is_is_refused() {
    let (config, layer, child) = (
        pointer("config", 1),
        pointer("layer", 2),
        pointer("child", 3),
    );
    for media_type in [
        "",
        r#""mediaType": null, "#,
        r#""mediaType": "application/unheard.of", "#,
    ] {
        for image in [
            format!(r#""layers": [{layer}]"#),
            format!(r#""config": {config}"#),
        ] {
            let body = format!(r#"{{{media_type}{image}, "manifests": [{child}]}}"#);
            assert_eq!(refused(&body), ManifestError::Ambiguous, "{body}");
        }
    }
    let empty_other = format!(r#"{{"layers": [{layer}], "manifests": [ ]}}"#);
    assert_eq!(read(&empty_other).kind, ManifestKind::Image);
    let null_other = format!(r#"{{"layers": null, "config": null, "manifests": [{child}]}}"#);
    assert_eq!(read(&null_other).kind, ManifestKind::Index);
}

#[test]
fn of_two_members_with_one_name_the_last_counts_as_it_does_for_clients() {
    let (one, two) = (pointer("one", 1), pointer("two", 2));
    let links = read(&format!(r#"{{"layers": [{one}], "layers": [{two}]}}"#));
    assert_eq!(digests(&links.layers), [digest("two")]);
}

#[test]
fn what_is_not_a_json_object_is_refused() {
    for body in [
        "",
        " ",
        "<html></html>",
        "{",
        r#"{"layers": [}"#,
        "{} {}",
        "{},",
        "{'a': 1}",
        "\u{feff}{}",
    ] {
        assert!(matches!(refused(body), ManifestError::NotJson(_)), "{body}");
    }
    for body in ["[]", "null", "7", r#""text""#, " [ {} ] "] {
        assert_eq!(refused(body), ManifestError::NotAnObject, "{body}");
    }
    assert!(matches!(
        ManifestLinks::read(b"{\"a\": \"\xff\"}"),
        Err(ManifestError::NotJson(_))
    ));
}

#[test]
fn deep_nesting_exhausts_nothing() {
    let depth = 500_000;
    let nested = format!(
        r#"{{"x": {}{}, "layers": [{}]}}"#,
        "[".repeat(depth),
        "]".repeat(depth),
        pointer("a", 1)
    );
    assert_eq!(read(&nested).layers.len(), 1);
    let inside = format!(
        r#"{{"layers": {}{}}}"#,
        "[".repeat(depth),
        "]".repeat(depth)
    );
    assert_eq!(read(&inside).layers.len(), 0);
    assert!(matches!(
        refused(&format!(r#"{{"layers": {}"#, "[".repeat(depth))),
        ManifestError::NotJson(_)
    ));
}

#[test]
fn a_manifest_with_thousands_of_descriptors_is_read_to_its_last() {
    let pointers: Vec<String> = (0..24_000)
        .map(|number| pointer(&number.to_string(), number))
        .collect();
    let links = read(&format!(r#"{{"layers": [{}]}}"#, pointers.join(",")));
    let sizes: Vec<u64> = links.layers.iter().map(|layer| layer.size).collect();
    assert!(sizes.into_iter().eq(0..24_000));
}

proptest! {
    #[test]
    fn no_bytes_make_reading_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = ManifestLinks::read(&bytes);
    }

    #[test]
    fn any_value_of_any_member_is_tolerated(
        name in "(mediaType|schemaVersion|config|layers|manifests|blobs|subject|artifactType|annotations|fsLayers)",
        value in r#"(null|true|-1|1e9|""|"x"|\[\]|\{\}|\[null\]|\[\{\}\]|\[\[\]\]|\{"digest":7\}|\[\{"digest":"x","size":1\}\])"#,
        image in any::<bool>(),
    ) {
        let own = if image { MediaType::oci_manifest() } else { MediaType::oci_index() };
        let body = format!(r#"{{"mediaType": "{own}", "layers": [{}], "{name}": {value}}}"#, pointer("a", 1));
        prop_assert!(ManifestLinks::read(body.as_bytes()).is_ok(), "{}", body);
    }
}
