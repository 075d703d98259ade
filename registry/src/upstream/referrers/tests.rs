use serde_json::json;

use super::*;

fn digest(of: &str) -> Digest {
    Digest::of(cistern_oci::Algorithm::Sha256, of.as_bytes())
}

fn read_text(body: &str) -> Option<Vec<Referrer>> {
    read(body.as_bytes())
}

#[test]
fn a_descriptor_is_read_and_written_with_all_that_it_says_about_its_manifest() {
    let written = json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest("a"),
        "size": 7,
        "artifactType": "application/vnd.example.sbom",
        "annotations": { "a": "1", "z": "\u{e9}" },
    });
    let referrer = Referrer::read(&written.to_string()).unwrap();
    assert_eq!(serde_json::to_value(&referrer).unwrap(), written);
    assert!(referrer.length() >= written.to_string().len());
}

#[test]
fn what_an_index_or_an_artifact_does_not_say_is_left_out() {
    let bare = json!({ "mediaType": "application/vnd.oci.image.index.v1+json", "digest": digest("a"), "size": 0 });
    for odd in [
        json!({}),
        json!({ "artifactType": null, "annotations": null }),
        json!({ "artifactType": "", "annotations": {} }),
        json!({ "artifactType": 5, "annotations": { "a": 1, "b": null, "c": ["d"] }, "platform": {}, "data": "e30=" }),
    ] {
        let mut written = bare.clone();
        written
            .as_object_mut()
            .unwrap()
            .extend(odd.as_object().unwrap().clone());
        let referrer = Referrer::read(&written.to_string()).unwrap();
        assert_eq!(serde_json::to_value(&referrer).unwrap(), bare, "{written}");
    }
}

#[test]
fn a_descriptor_that_cannot_be_followed_is_passed_over() {
    let good = json!({ "mediaType": "a/b", "digest": digest("a"), "size": 1 });
    for (member, value) in [
        ("digest", json!("sha256:short")),
        ("digest", json!("md5:d41d8cd98f00b204e9800998ecf8427e")),
        ("digest", json!(null)),
        ("size", json!(-1)),
        ("size", json!("1")),
        ("size", json!(1.5)),
        ("mediaType", json!("")),
        ("mediaType", json!("manifest")),
        ("mediaType", json!({})),
        ("annotations", json!("none")),
    ] {
        let mut bad = good.clone();
        bad[member] = value;
        let body = json!({ "manifests": [null, 5, "x", [], {}, bad, good] });
        let read = read_text(&body.to_string()).unwrap();
        assert_eq!(read.len(), 1, "{bad}");
    }
}

#[test]
fn only_an_index_is_a_list_of_referrers() {
    let index = "application/vnd.oci.image.index.v1+json";
    for (body, is_list) in [
        (
            json!({ "schemaVersion": 2, "mediaType": index, "manifests": [] }),
            true,
        ),
        (json!({ "mediaType": index, "manifests": null }), true),
        (json!({ "manifests": [] }), true),
        (json!({ "mediaType": index }), true),
        (json!({}), false),
        (json!({ "manifests": null }), false),
        (json!({ "manifests": {} }), false),
        (
            json!({ "mediaType": "application/vnd.oci.image.manifest.v1+json", "manifests": [] }),
            false,
        ),
        (json!({ "errors": [] }), false),
        (json!([]), false),
        (json!("manifests"), false),
    ] {
        assert_eq!(read_text(&body.to_string()).is_some(), is_list, "{body}");
    }
    for text in [
        "",
        "<html>",
        "{\"manifests\":[",
        "{\"manifests\":[}",
        "\u{0}",
    ] {
        assert_eq!(read_text(text), None, "{text}");
    }
}

#[tokio::test]
async fn a_long_list_is_read_like_a_short_one() {
    let list: Vec<_> = (0..12_000)
        .map(|number| json!({ "mediaType": "a/b", "digest": digest(&number.to_string()), "size": number }))
        .collect();
    let body = json!({ "manifests": list }).to_string();
    let read = read_referrers(body.into()).await.unwrap();
    assert_eq!(read.len(), MOST);
    let deep = format!(
        "{{\"manifests\":[{}{}]}}",
        "[".repeat(200_000),
        "]".repeat(200_000)
    );
    assert!(
        read_referrers(deep.into())
            .await
            .is_none_or(|list| list.is_empty())
    );
}

#[test]
fn a_list_is_sorted_holds_each_manifest_once_and_has_an_end() {
    let referrer = |name: &str, size: usize| Referrer {
        media_type: MediaType::oci_manifest(),
        digest: digest(name),
        size: 1,
        artifact_type: None,
        annotations: BTreeMap::from([("a".to_owned(), "x".repeat(size))]),
    };
    let mut collected = Collected::default();
    assert!(collected.take(vec![referrer("a", 1), referrer("b", 1), referrer("c", 1)]));
    assert!(!collected.take(vec![referrer("b", 1)]));
    assert!(!collected.is_full());
    let huge: Vec<_> = (0..10)
        .map(|number| referrer(&number.to_string(), 4_000_000))
        .collect();
    assert!(collected.take(huge));
    assert!(collected.is_full());
    let ReferrersAnswer::Listed(list) = collected.sorted(false) else {
        panic!("a list")
    };
    assert_eq!(list.len(), 8);
    assert!(list.is_sorted_by_key(|referrer| referrer.digest));
}
