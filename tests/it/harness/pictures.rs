//! Images made in memory.

use cistern_tests::images::{
    Algorithm, Family, Item, Layer, OCI_INDEX, digest, gunzip, image, index, nested_index,
    odd_json, random_bytes, referring_artifact, sha256, sparse_index,
};

#[test]
fn the_same_seed_makes_the_same_image_and_another_seed_another() {
    let make = |seed| image().random_layers(seed, 2, 1000).build();
    assert_eq!(make(1).digest(), make(1).digest());
    assert_ne!(make(1).digest(), make(2).digest());
    assert_eq!(random_bytes(7, 1000), random_bytes(7, 1000));
}

#[test]
fn random_layers_do_not_compress() {
    let image = image().layer(Layer::random(1, 100_000)).build();
    assert!(image.largest_blob().bytes.len() > 100_000);
    assert!(gunzip(&image.largest_blob().bytes).len() > 100_000);
}

#[test]
fn every_digest_names_its_bytes() {
    for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
        let image = index(&[
            image().algorithm(algorithm).random_layers(1, 1, 10),
            image()
                .algorithm(algorithm)
                .platform("arm", Some("v7"))
                .random_layers(2, 1, 10),
        ]);
        assert_eq!(image.manifests.len(), 3);
        for item in image.manifests.iter().chain(&image.blobs) {
            assert_eq!(digest(algorithm, &item.bytes), item.digest);
        }
    }
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    assert_eq!(sha256(b""), empty);
}

#[test]
fn docker_and_oci_images_differ_in_their_media_types_only() {
    let types = |family| {
        let image = image().family(family).random_layers(1, 1, 10).build();
        image
            .blobs
            .iter()
            .chain(&image.manifests)
            .map(|item| item.media_type.clone())
            .collect::<Vec<_>>()
    };
    assert!(
        types(Family::Docker)
            .iter()
            .all(|media_type| media_type.starts_with("application/vnd.docker."))
    );
    assert!(
        types(Family::Oci)
            .iter()
            .all(|media_type| media_type.starts_with("application/vnd.oci."))
    );
}

#[test]
fn odd_json_is_json_of_the_same_meaning_with_other_bytes() {
    let plain = image().random_layers(1, 2, 10).build();
    let odd = odd_json(&plain);
    assert_ne!(odd.digest(), plain.digest());
    let read = |item: &Item| serde_json::from_slice::<serde_json::Value>(&item.bytes).unwrap();
    let (odd, plain) = (read(odd.top()), read(plain.top()));
    assert_eq!(
        (&odd["layers"], &odd["config"]),
        (&plain["layers"], &plain["config"])
    );
    assert!(odd.get("mediaType").is_none() && odd.get("x-unknown").is_some());
}

#[test]
fn indexes_name_what_is_there_and_sparse_ones_also_what_is_not() {
    let child = image().random_layers(1, 1, 10);
    let nested = nested_index(&child);
    assert_eq!(
        nested
            .manifests
            .iter()
            .filter(|item| item.media_type == OCI_INDEX)
            .count(),
        2
    );
    let sparse = sparse_index(&child);
    let body: serde_json::Value = serde_json::from_slice(&sparse.top().bytes).unwrap();
    assert_eq!(
        (
            body["manifests"].as_array().unwrap().len(),
            sparse.manifests.len()
        ),
        (3, 2)
    );
}

#[test]
fn an_artifact_names_its_subject() {
    let subject = image().random_layers(1, 1, 10).build();
    let artifact = referring_artifact("application/vnd.example.note", "about it", subject.top());
    let body: serde_json::Value = serde_json::from_slice(&artifact.top().bytes).unwrap();
    assert_eq!(body["subject"]["digest"], subject.digest());
}
