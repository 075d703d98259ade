use super::*;

const PLAIN: &[u8] = br#"{ "schemaVersion": 2,  "config": {}, "layers": [] }"#;

fn kind(content_type: Option<&str>, body: &str) -> String {
    Manifest::media_type_of(content_type, body.as_bytes()).to_string()
}

#[test]
fn a_header_that_names_a_kind_of_manifest_is_believed() {
    for named in [
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
        "application/vnd.oci.artifact.manifest.v1+json",
    ] {
        assert_eq!(kind(Some(&format!("{named}; charset=utf-8")), "{}"), named);
    }
}

#[test]
fn where_the_header_says_nothing_useful_the_body_does() {
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let body = format!(r#"{{"schemaVersion": 2, "mediaType": "{docker}", "layers": []}}"#);
    for header in [
        None,
        Some("text/plain"),
        Some("application/json; charset=utf-8"),
        Some(""),
    ] {
        assert_eq!(kind(header, &body), docker);
    }
}

#[test]
fn where_neither_says_anything_the_shape_does() {
    let header = Some("text/plain");
    assert_eq!(
        kind(header, r#"{"layers": [], "config": {}}"#),
        "application/vnd.oci.image.manifest.v1+json"
    );
    assert_eq!(
        kind(header, r#"{"manifests": []}"#),
        "application/vnd.oci.image.index.v1+json"
    );
    assert_eq!(
        kind(header, r#"{"blobs": []}"#),
        "application/vnd.oci.artifact.manifest.v1+json"
    );
    let schema1 = r#"{"schemaVersion": 1, "fsLayers": []"#;
    assert_eq!(
        kind(None, &format!("{schema1}}}")),
        "application/vnd.docker.distribution.manifest.v1+json"
    );
    assert_eq!(
        kind(None, &format!(r#"{schema1}, "signatures": []}}"#)),
        "application/vnd.docker.distribution.manifest.v1+prettyjws"
    );
}

#[test]
fn what_is_no_manifest_keeps_the_type_it_was_sent_as() {
    for body in ["", "<html>", "[]", "{}", "\u{feff}{}"] {
        assert_eq!(kind(Some("text/html; charset=utf-8"), body), "text/html");
        assert_eq!(kind(None, body), "application/octet-stream");
    }
}

#[test]
fn a_body_cannot_put_anything_into_the_answers_headers() {
    let body = r#"{"mediaType": "text/html\r\nSet-Cookie: a=b", "manifests": []}"#;
    assert_eq!(kind(None, body), "application/vnd.oci.image.index.v1+json");
}

#[test]
fn a_manifest_by_digest_is_the_exact_bytes_or_refused() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let digest = Digest::of(algorithm, PLAIN);
        let manifest = Manifest::by_digest(digest, None, Bytes::from_static(PLAIN)).unwrap();
        assert_eq!((manifest.digest, &manifest.bytes[..]), (digest, PLAIN));
        assert_eq!(manifest.media_type, MediaType::oci_manifest());

        let refused = Manifest::by_digest(digest, None, Bytes::from_static(b"{}")).unwrap_err();
        assert_eq!(refused.expected, digest);
        assert_eq!(*refused.found, Digest::of(algorithm, b"{}"));
    }
}

#[test]
fn a_manifest_by_tag_keeps_the_digest_its_answer_named_if_it_is_true() {
    let named = Digest::of(Algorithm::Sha512, PLAIN);
    let manifest = Manifest::by_tag(Some(&named), None, Bytes::from_static(PLAIN));
    assert_eq!(manifest.digest, named);
}

#[test]
fn a_manifest_by_tag_is_known_by_its_bytes_if_its_answer_named_a_wrong_digest_or_none() {
    let wrong = Digest::of(Algorithm::Sha512, b"something else");
    for named in [Some(&wrong), None] {
        let manifest = Manifest::by_tag(named, None, Bytes::from_static(PLAIN));
        assert_eq!(manifest.digest, Digest::of(Algorithm::Sha256, PLAIN));
        assert_eq!(&manifest.bytes[..], PLAIN);
    }
}
