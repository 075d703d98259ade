use cistern_oci::Reference;

use crate::{
    Clock as _, Pin,
    expire::tests::{is_there, pull},
    testing::{Place, name, sha256, tag},
};

fn by_tag(text: &str) -> Reference {
    Reference::Tag(tag(text))
}

#[tokio::test]
async fn an_image_goes_with_what_no_other_image_needs() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, other) = (name("team/app"), name("team/other"));
    let gone = pull(
        &place,
        &storage,
        &of,
        "v1",
        &[b"own", b"shared", b"elsewhere"],
    )
    .await;
    let kept = pull(&place, &storage, &of, "v2", &[b"shared"]).await;
    pull(&place, &storage, &other, "v1", &[b"elsewhere"]).await;
    let purged = storage.purge(&of, &by_tag("v1")).await.unwrap().unwrap();
    assert_eq!((purged.manifests, purged.blobs), (1, 1));
    assert_eq!(purged.bytes, (gone.bytes.len() + b"own".len()) as u64);
    for gone in [gone.digest, sha256(b"own")] {
        assert!(!is_there(&place, &gone));
    }
    // `v1` is the config of the other repository's image too.
    for kept in [
        kept.digest,
        sha256(b"shared"),
        sha256(b"elsewhere"),
        sha256(b"v1"),
    ] {
        assert!(is_there(&place, &kept));
    }
    let repositories = storage.repositories();
    assert_eq!(repositories.tag(&of, &tag("v1")).await.unwrap(), None);
    assert_eq!(storage.purge(&of, &by_tag("v1")).await.unwrap(), None);
}

#[tokio::test]
async fn what_another_tag_means_or_a_pin_keeps_or_somebody_reads_stays() {
    let place = Place::new();
    let storage = place.open().await;
    let of = name("team/app");
    let manifest = pull(&place, &storage, &of, "v1", &[b"layer"]).await;
    let checked = crate::Checked {
        at: place.clock.now(),
        source: "up".into(),
    };
    storage
        .repositories()
        .set_tag(&of, &tag("also"), &manifest.digest, checked)
        .await
        .unwrap();
    let purged = storage.purge(&of, &by_tag("v1")).await.unwrap().unwrap();
    assert_eq!((purged.manifests, purged.bytes), (0, 0));
    storage
        .pins()
        .put(Pin {
            repository: of.clone(),
            reference: Reference::Digest(manifest.digest),
            image: "app".to_owned(),
        })
        .await
        .unwrap();
    let purged = storage.purge(&of, &by_tag("also")).await.unwrap().unwrap();
    assert_eq!(purged.manifests, 0);
    assert!(is_there(&place, &sha256(b"layer")));
    let by_digest = Reference::Digest(manifest.digest);
    storage.pins().remove(&of, &by_digest).await.unwrap();
    let lease = storage.leases().hold(sha256(b"layer"));
    storage.purge(&of, &by_digest).await.unwrap().unwrap();
    assert!(is_there(&place, &sha256(b"layer")) && !is_there(&place, &manifest.digest));
    drop(lease);
}
