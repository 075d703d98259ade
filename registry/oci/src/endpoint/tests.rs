use proptest::prelude::*;

use super::*;
use crate::{Algorithm, TagError};

fn parsed(path: &str) -> (String, Resource) {
    let endpoint = Endpoint::parse(path).unwrap_or_else(|why| panic!("{path}: {why:?}"));
    (endpoint.repository.to_string(), endpoint.resource)
}

fn refused(path: &str) -> EndpointError {
    Endpoint::parse(path)
        .map(|endpoint| panic!("{path}: {endpoint:?}"))
        .unwrap_err()
}

fn tag(text: &str) -> Resource {
    Resource::Manifest(Reference::Tag(text.parse().unwrap()))
}

fn some_digest() -> Digest {
    Digest::of(Algorithm::Sha256, b"x")
}

#[test]
fn every_kind_of_path_is_read() {
    let digest = some_digest();
    let upload = Resource::Upload("3f-A_9".parse().unwrap());
    for (path, resource) in [
        (
            format!("/v2/library/debian/blobs/{digest}"),
            Resource::Blob(digest),
        ),
        ("/v2/library/debian/manifests/13".to_owned(), tag("13")),
        (
            format!("/v2/library/debian/manifests/{digest}"),
            Resource::Manifest(Reference::Digest(digest)),
        ),
        (
            "/v2/library/debian/blobs/uploads/".to_owned(),
            Resource::Uploads,
        ),
        (
            "/v2/library/debian/blobs/uploads".to_owned(),
            Resource::Uploads,
        ),
        ("/v2/library/debian/blobs/uploads/3f-A_9".to_owned(), upload),
        ("/v2/library/debian/tags/list".to_owned(), Resource::Tags),
        (
            format!("/v2/library/debian/referrers/{digest}"),
            Resource::Referrers(digest),
        ),
    ] {
        assert_eq!(parsed(&path), ("library/debian".to_owned(), resource));
    }
}

#[test]
fn a_repository_may_be_called_like_a_part_of_the_api() {
    let digest = some_digest();
    let blob = Resource::Blob(digest);
    for name in [
        "blobs",
        "team/blobs",
        "a/manifests/b",
        "tags/list",
        "a/tags/list",
        "blobs/uploads",
        "a/blobs/uploads",
        "a/blobs/uploads/b",
        "manifests/latest",
        "referrers",
        "v2",
    ] {
        let named = |resource| (name.to_owned(), resource);
        assert_eq!(
            parsed(&format!("/v2/{name}/blobs/{digest}")),
            named(blob.clone())
        );
        assert_eq!(
            parsed(&format!("/v2/{name}/manifests/list")),
            named(tag("list"))
        );
        assert_eq!(
            parsed(&format!("/v2/{name}/manifests/uploads")),
            named(tag("uploads"))
        );
        assert_eq!(
            parsed(&format!("/v2/{name}/tags/list")),
            named(Resource::Tags)
        );
        assert_eq!(
            parsed(&format!("/v2/{name}/blobs/uploads/")),
            named(Resource::Uploads)
        );
        let upload = Resource::Upload("uploads".parse().unwrap());
        assert_eq!(
            parsed(&format!("/v2/{name}/blobs/uploads/uploads")),
            named(upload)
        );
    }
}

#[test]
fn a_path_of_no_known_shape_is_unknown() {
    for path in [
        "",
        "/",
        "/v2",
        "/v2/",
        "/v2/_catalog",
        "/v2/a",
        "/v2/a/b",
        "/v2/a/b/c",
        "/v1/a/manifests/b",
        "v2/a/manifests/b",
        "/v2/manifests/latest",
        "/v2/tags/list",
        "/v2/blobs/uploads/",
        "/v2/a/tags/list/",
        "/v2/a/tags",
        "/v2/a/tags/x",
        "/v2/a/uploads/b",
        "/v2/a/manifests/b/",
        "/v2/a/blobs/uploads//",
        "/V2/a/manifests/b",
        "//v2/a/manifests/b",
    ] {
        assert!(
            matches!(
                refused(path),
                EndpointError::Unknown
                    | EndpointError::Reference(ReferenceError::Tag(TagError::Empty))
            ),
            "{path}"
        );
    }
}

#[test]
fn a_path_that_climbs_doubles_a_slash_or_hides_a_zero_byte_is_refused() {
    for path in [
        "/v2/../manifests/b",
        "/v2/a/../manifests/b",
        "/v2/./manifests/b",
        "/v2/%2e%2e/manifests/b",
        "/v2/a/%2E%2e/manifests/b",
        "/v2/a/%2e/manifests/b",
        "/v2/a/..%2f../manifests/b",
        "/v2/a//b/manifests/c",
        "/v2//a/manifests/c",
        "/v2//manifests/c",
        "/v2/a//manifests/c",
        "/v2/a/%2fb/manifests/c",
        "/v2/a\0/manifests/c",
        "/v2/a%00/manifests/c",
        "/v2/A/manifests/c",
    ] {
        assert!(
            matches!(refused(path), EndpointError::Name(_)),
            "{path}: {:?}",
            refused(path)
        );
    }
    for path in [
        "/v2/a/manifests/..",
        "/v2/a/manifests/%2e%2e",
        "/v2/a/manifests/b%00",
        "/v2/a/manifests/b\0",
        "/v2/a/manifests//",
        "/v2/a/manifests/",
    ] {
        assert!(Endpoint::parse(path).is_err(), "{path}");
    }
}

#[test]
fn a_path_is_percent_decoded_exactly_once() {
    let digest = some_digest();
    let encoded = digest.to_string().replace(':', "%3A");
    assert_eq!(
        parsed(&format!("/v2/a/blobs/{encoded}")),
        ("a".to_owned(), Resource::Blob(digest))
    );
    assert_eq!(
        parsed("/v2/a%2Fb/manifests/c"),
        ("a/b".to_owned(), tag("c"))
    );
    assert_eq!(parsed("/v2/a/manifests/%63"), ("a".to_owned(), tag("c")));
    for twice in [
        "/v2/a/manifests/%2563",
        "/v2/a%252Fb/manifests/c",
        "/v2/%252e%252e/manifests/c",
    ] {
        assert!(Endpoint::parse(twice).is_err(), "{twice}");
    }
}

#[test]
fn broken_percent_encoding_is_unknown() {
    for path in [
        "/v2/a/manifests/%",
        "/v2/a/manifests/%2",
        "/v2/a/manifests/%zz",
        "/v2/a/manifests/%+1",
        "/v2/a/%ff/b",
    ] {
        assert_eq!(refused(path), EndpointError::Unknown, "{path}");
    }
}

#[test]
fn a_bad_part_is_named_and_the_name_of_the_repository_comes_first() {
    assert!(matches!(
        refused("/v2/a/blobs/sha256:x"),
        EndpointError::Digest(DigestError::Length { .. })
    ));
    assert!(matches!(
        refused("/v2/a/blobs/latest"),
        EndpointError::Digest(DigestError::NoAlgorithm)
    ));
    assert!(matches!(
        refused("/v2/a/referrers/latest"),
        EndpointError::Digest(_)
    ));
    assert!(matches!(
        refused("/v2/a/manifests/sha256:x"),
        EndpointError::Reference(_)
    ));
    assert!(matches!(
        refused("/v2/a/manifests/-"),
        EndpointError::Reference(_)
    ));
    assert!(matches!(
        refused("/v2/a/blobs/uploads/a.b"),
        EndpointError::Upload(_)
    ));
    assert!(matches!(
        refused("/v2/A/blobs/sha256:x"),
        EndpointError::Name(_)
    ));
}

fn name() -> impl Strategy<Value = RepositoryName> {
    let word = prop_oneof![
        "(blobs|manifests|uploads|tags|list|referrers|latest|v2)",
        r"[a-z0-9]{1,4}((\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}",
    ];
    prop::collection::vec(word, 1..6).prop_map(|words| words.join("/").parse().unwrap())
}

fn digest() -> impl Strategy<Value = Digest> {
    prop_oneof![
        any::<[u8; 32]>().prop_map(Digest::Sha256),
        any::<[u8; 64]>().prop_map(Digest::Sha512)
    ]
}

fn resource() -> impl Strategy<Value = Resource> {
    let word = "(blobs|manifests|uploads|tags|list|referrers)";
    prop_oneof![
        digest().prop_map(Resource::Blob),
        digest().prop_map(|digest| Resource::Manifest(Reference::Digest(digest))),
        prop_oneof![word, "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}"].prop_map(|text| tag(&text)),
        Just(Resource::Uploads),
        prop_oneof![word, "[a-zA-Z0-9_-]{1,128}"]
            .prop_map(|id| Resource::Upload(id.parse().unwrap())),
        Just(Resource::Tags),
        digest().prop_map(Resource::Referrers),
    ]
}

proptest! {
    #[test]
    fn every_endpoint_survives_being_printed_and_parsed(repository in name(), resource in resource()) {
        let endpoint = Endpoint { repository, resource };
        prop_assert_eq!(Endpoint::parse(&endpoint.to_string()), Ok(endpoint));
    }

    #[test]
    fn every_endpoint_is_found_however_its_path_is_encoded(
        repository in name(), resource in resource(), choice in prop::collection::vec(0..3u8, 1..20),
    ) {
        let endpoint = Endpoint { repository, resource };
        let encoded: String = endpoint.to_string().bytes().zip(choice.iter().cycle()).map(|(byte, choice)| match choice {
            0 => char::from(byte).to_string(),
            1 => format!("%{byte:02x}"),
            _ => format!("%{byte:02X}"),
        }).collect();
        prop_assert_eq!(Endpoint::parse(&encoded), Ok(endpoint));
    }

    #[test]
    fn whatever_is_accepted_prints_a_path_that_means_the_same(
        path in r"/v2(/(blobs|manifests|uploads|tags|list|a|\.\.|%2e|%2F|))*|/v2/\PC{0,40}|\PC{0,40}"
    ) {
        if let Ok(endpoint) = Endpoint::parse(&path) {
            let printed = endpoint.to_string();
            prop_assert!(!printed.contains("..") && !printed.contains("//") && !printed.contains('%'));
            prop_assert_eq!(Endpoint::parse(&printed), Ok(endpoint));
        }
    }
}
