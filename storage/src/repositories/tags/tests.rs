use std::{sync::Arc, time::Duration};

use crate::{
    Checked, Clock, TagRecord,
    faults::Operation,
    testing::{Place, name, sha256, spawn, tag},
};

const REPOSITORY: &str = "docker/registry/v2/repositories/library/app";

fn checked(place: &Place, source: &str) -> Checked {
    Checked {
        at: place.clock.now(),
        source: source.into(),
    }
}

#[tokio::test]
async fn a_tag_is_remembered_with_when_and_by_whom_it_was_confirmed() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, v1, digest) = (name("a/b"), tag("v1"), sha256(b"1"));
    assert_eq!(storage.repositories().tag(&of, &v1).await.unwrap(), None);
    let checked = checked(&place, "up.example");
    storage
        .repositories()
        .set_tag(&of, &v1, &digest, checked.clone())
        .await
        .unwrap();
    let expected = TagRecord {
        digest,
        checked_at: Some(checked.at),
        source: Some(checked.source),
    };
    assert_eq!(
        storage.repositories().tag(&of, &v1).await.unwrap(),
        Some(expected.clone())
    );
    let storage = place.open_again(storage).await;
    assert_eq!(
        storage.repositories().tag(&of, &v1).await.unwrap(),
        Some(expected)
    );
    assert!(storage.repositories().remove_tag(&of, &v1).await.unwrap());
    assert!(!storage.repositories().remove_tag(&of, &v1).await.unwrap());
    assert_eq!(storage.repositories().tag(&of, &v1).await.unwrap(), None);
    assert!(storage.repositories().tags(&of).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_tag_that_another_program_moved_or_made_is_known_from_its_file_only() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, v1, v2) = (name("library/app"), tag("v1"), tag("v2"));
    storage
        .repositories()
        .set_tag(&of, &v1, &sha256(b"1"), checked(&place, "up"))
        .await
        .unwrap();
    let storage = place.open_again(storage).await;
    let link = |tag: &str| format!("{REPOSITORY}/_manifests/tags/{tag}/current/link");
    place.write(&link("v1"), sha256(b"2").to_string().as_bytes());
    place.write(&link("v2"), sha256(b"3").to_string().as_bytes());
    place.write(&link("v3"), b"");
    let from_file = |seed: &[u8]| {
        Some(TagRecord {
            digest: sha256(seed),
            checked_at: None,
            source: None,
        })
    };
    assert_eq!(
        storage.repositories().tag(&of, &v1).await.unwrap(),
        from_file(b"2")
    );
    assert_eq!(
        storage.repositories().tag(&of, &v2).await.unwrap(),
        from_file(b"3")
    );
    assert_eq!(
        storage.repositories().tag(&of, &tag("v3")).await.unwrap(),
        None,
        "what a power cut left"
    );
    assert_eq!(storage.repositories().tags(&of).await.unwrap(), [v1, v2]);
}

#[tokio::test]
async fn an_unmoved_tag_is_not_written_again() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, v1, digest) = (name("a"), tag("v1"), sha256(b"1"));
    storage
        .repositories()
        .set_tag(&of, &v1, &digest, checked(&place, "up"))
        .await
        .unwrap();
    let writes = || {
        place
            .disk
            .asked()
            .iter()
            .filter(|asked| asked.operation == Operation::Rename)
            .count()
    };
    let before = writes();
    place.clock.go_on(Duration::from_secs(30));
    storage
        .repositories()
        .set_tag(&of, &v1, &digest, checked(&place, "up"))
        .await
        .unwrap();
    assert_eq!(writes(), before);
    let record = storage.repositories().tag(&of, &v1).await.unwrap().unwrap();
    assert_eq!(record.checked_at, Some(place.clock.now()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_of_many_answers_about_a_tag_wins() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, v1) = (name("library/app"), tag("v1"));
    place.clock.go_on(Duration::from_secs(1000));
    let now = place.clock.now();
    let answers: Vec<_> = (0..40_u64)
        .map(|age| {
            let (storage, of, v1) = (storage.clone(), of.clone(), v1.clone());
            spawn(async move {
                let checked = Checked {
                    at: now - Duration::from_secs(age),
                    source: Arc::from("up"),
                };
                storage
                    .repositories()
                    .set_tag(&of, &v1, &sha256(&age.to_le_bytes()), checked)
                    .await
                    .unwrap();
            })
        })
        .collect();
    for answer in answers {
        answer.await.unwrap();
    }
    let newest = sha256(&0_u64.to_le_bytes());
    assert_eq!(
        storage
            .repositories()
            .tag(&of, &v1)
            .await
            .unwrap()
            .unwrap()
            .digest,
        newest
    );
    assert_eq!(
        place.text(&format!("{REPOSITORY}/_manifests/tags/v1/current/link")),
        newest.to_string()
    );
}

#[tokio::test]
async fn an_answer_from_the_future_does_not_keep_a_tag_from_moving() {
    let place = Place::new();
    let storage = place.open().await;
    let (of, v1) = (name("a"), tag("v1"));
    let later = Checked {
        at: place.clock.now() + Duration::from_hours(1),
        source: "up".into(),
    };
    storage
        .repositories()
        .set_tag(&of, &v1, &sha256(b"1"), later)
        .await
        .unwrap();
    storage
        .repositories()
        .set_tag(&of, &v1, &sha256(b"2"), checked(&place, "up"))
        .await
        .unwrap();
    assert_eq!(
        storage
            .repositories()
            .tag(&of, &v1)
            .await
            .unwrap()
            .unwrap()
            .digest,
        sha256(b"2")
    );
}
