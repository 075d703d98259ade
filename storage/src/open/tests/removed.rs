//! Stores that were removed under the process that has them.

use super::*;

#[tokio::test]
async fn a_store_that_was_removed_is_begun_anew_by_the_process_that_has_it() {
    let place = Place::new();
    let storage = place.open().await;
    for anew in [true, false] {
        let manifest = fill(&place, &storage).await;
        serves(&storage, &manifest).await;
        std::fs::remove_dir_all(place.root()).unwrap();
        if anew {
            std::fs::create_dir(place.root()).unwrap();
        }
        storage.check().await.unwrap();
        let lock = place.text("cistern/lock");
        assert_eq!(lock, format!("process {}\n", std::process::id()));
        let of = name("library/app");
        let repositories = storage.repositories();
        assert_eq!(repositories.tag(&of, &tag("v1")).await.unwrap(), None);
        assert!(
            !repositories
                .holds_blob(&of, &sha256(b"layer"))
                .await
                .unwrap()
        );
    }
    let manifest = fill(&place, &storage).await;
    serves(&storage, &manifest).await;
    let error = Storage::open(place.options()).await.err().unwrap();
    assert!(matches!(error, OpenError::InUse { .. }));
    let storage = place.open_again(storage).await;
    serves(&storage, &manifest).await;
}

#[tokio::test]
async fn a_store_that_another_process_has_begun_anew_is_not_written_to() {
    let place = Place::new();
    let storage = place.open().await;
    let manifest = fill(&place, &storage).await;
    std::fs::remove_dir_all(place.root()).unwrap();
    let other = place.open().await;
    fill(&place, &other).await;
    let before = place.files();
    let error = storage.check().await.unwrap_err().to_string();
    assert!(error.contains("in use by another process"), "{error}");
    let of = name("b");
    let put = storage.repositories().put_manifest(&of, &manifest).await;
    assert!(put.is_err());
    assert!(storage.blobs().has_room(None).await.is_err());
    assert_eq!(place.files(), before);
    serves(&other, &manifest).await;
}
