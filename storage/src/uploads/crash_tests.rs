//! What was promised is there after a crash at any moment, whatever the crash did to what was not synced; and nothing half is.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Manifest, RepositoryName, Tag, UploadId};

use super::{Turn, Upload};
use crate::{
    Options, Reserve, Storage,
    testing::{
        Place, image, in_memory, name,
        power::{CRASHES, Crash, RememberingDisk, write},
        read, sha256, some_bytes, tag,
    },
};

/// What a client was told.
#[derive(Clone, Debug, PartialEq)]
enum Told {
    Holds(RepositoryName, Digest),
    HoldsNot(RepositoryName, Digest),
    Manifest(RepositoryName, Manifest),
    NoManifest(RepositoryName, Digest),
    Points(RepositoryName, Tag, Digest),
    NoTag(RepositoryName, Tag),
    /// Survives a kill, not a power cut.
    Received(RepositoryName, UploadId, u64),
}

struct Promise {
    told: Told,
    from: usize,
    until: usize,
}

/// A store on a disk that remembers, and what its clients were told when.
struct Story {
    place: Place,
    disk: Arc<RememberingDisk>,
    storage: Storage,
    promises: Vec<Promise>,
}

fn options(root: &Path) -> Options {
    Options {
        reserve: Reserve::Bytes(0),
        ..Options::new(root)
    }
}

impl Story {
    async fn begin() -> Self {
        let place = Place::new();
        let disk = Arc::new(RememberingDisk::default());
        // The root is there: it is a volume.
        let storage = Storage::open(Options {
            disk: Arc::<RememberingDisk>::clone(&disk),
            ..options(place.root())
        })
        .await
        .unwrap();
        Self {
            place,
            disk,
            storage,
            promises: Vec::new(),
        }
    }

    /// A client was told this.
    fn told(&mut self, told: Told) {
        let from = self.disk.count();
        self.promises.push(Promise {
            told,
            from,
            until: usize::MAX,
        });
    }

    /// From here on this may not be so any more.
    fn ends(&mut self, told: &Told) {
        let now = self.disk.count();
        for promise in &mut self.promises {
            if promise.told == *told {
                promise.until = promise.until.min(now);
            }
        }
    }

    async fn turn(&self, of: &RepositoryName, id: &UploadId) -> Upload {
        match self.storage.uploads().open(of, id).await.unwrap() {
            Turn::Yours(upload) => upload,
            Turn::Taken | Turn::Unknown => panic!("no turn"),
        }
    }

    async fn push(&mut self, of: &RepositoryName, bytes: &Bytes, digest: &Digest) {
        let uploads = self.storage.uploads();
        let id = uploads.begin(of, Algorithm::Sha256).await.unwrap();
        self.told(Told::Received(of.clone(), id.clone(), 0));
        self.ends(&Told::Received(of.clone(), id.clone(), 0));
        let half = bytes.len() / 2;
        let mut upload = self.turn(of, &id).await;
        upload.append(bytes.slice(..half)).await.unwrap();
        let received = upload.pause().await.unwrap();
        let told = Told::Received(of.clone(), id.clone(), received);
        self.told(told.clone());
        self.ends(&told);
        let mut upload = self.turn(of, &id).await;
        upload.append(bytes.slice(half..)).await.unwrap();
        upload.commit(digest).await.unwrap();
        self.told(Told::Holds(of.clone(), *digest));
    }

    async fn put(&mut self, of: &RepositoryName, manifest: &Manifest, text: &str) {
        let repositories = self.storage.repositories();
        repositories.keep_manifest(of, manifest).await.unwrap();
        self.told(Told::Manifest(of.clone(), manifest.clone()));
        let kept = self
            .storage
            .repositories()
            .keep_tag(of, &tag(text), &manifest.digest)
            .await;
        kept.unwrap();
        self.told(Told::Points(of.clone(), tag(text), manifest.digest));
    }

    async fn drop_blob(&mut self, of: &RepositoryName, digest: &Digest) {
        self.ends(&Told::Holds(of.clone(), *digest));
        let repositories = self.storage.repositories();
        assert!(repositories.drop_blob(of, digest).await.unwrap());
        self.told(Told::HoldsNot(of.clone(), *digest));
    }

    async fn drop_manifest(&mut self, of: &RepositoryName, manifest: &Manifest, text: &str) {
        self.ends(&Told::Manifest(of.clone(), manifest.clone()));
        self.ends(&Told::Points(of.clone(), tag(text), manifest.digest));
        let repositories = self.storage.repositories();
        let dropped = repositories.drop_manifest(of, &manifest.digest).await;
        assert!(dropped.unwrap());
        self.told(Told::NoManifest(of.clone(), manifest.digest));
        self.told(Told::NoTag(of.clone(), tag(text)));
    }
}

/// Whether it is as a client was told.
async fn is_so(storage: &Storage, told: &Told, crash: Crash) -> bool {
    let repositories = storage.repositories();
    match told {
        Told::Holds(of, digest) => {
            repositories.holds_blob(of, digest).await.unwrap()
                && storage.blobs().open(digest).await.unwrap().is_some()
        }
        Told::HoldsNot(of, digest) => !repositories.holds_blob(of, digest).await.unwrap(),
        Told::Manifest(of, manifest) => {
            let found = repositories.manifest(of, &manifest.digest).await.unwrap();
            found.as_ref() == Some(manifest)
        }
        Told::NoManifest(of, digest) => !repositories.holds_manifest(of, digest).await.unwrap(),
        Told::Points(of, tag, digest) => {
            let record = repositories.tag(of, tag).await.unwrap();
            record.is_some_and(|record| record.digest == *digest)
        }
        Told::NoTag(of, tag) => repositories.tag(of, tag).await.unwrap().is_none(),
        Told::Received(of, id, bytes) => {
            let received = storage.uploads().received(of, id).await.unwrap();
            crash != Crash::Killed || received == Some(*bytes)
        }
    }
}

/// Whatever is visible is whole.
async fn nothing_is_half(storage: &Storage, blobs: &[Digest], manifests: &[Digest], when: &str) {
    let repositories = storage.repositories();
    for of in repositories.list().await.unwrap() {
        for tag in repositories.tags(&of).await.unwrap() {
            if let Some(record) = repositories.tag(&of, &tag).await.unwrap() {
                let found = repositories.manifest(&of, &record.digest).await.unwrap();
                assert!(found.is_some(), "{when}: {tag} of {of} points at nothing");
            }
        }
        for digest in manifests {
            if repositories.holds_manifest(&of, digest).await.unwrap() {
                let found = repositories.manifest(&of, digest).await.unwrap();
                assert!(found.is_some(), "{when}: {of} holds {digest} without bytes");
            }
        }
        for digest in blobs {
            if repositories.holds_blob(&of, digest).await.unwrap() {
                let blob = storage.blobs().open(digest).await.unwrap();
                let blob = blob.unwrap_or_else(|| panic!("{when}: {of} lacks {digest}"));
                let bytes = read(blob.read_all()).await;
                assert!(Digest::of(digest.algorithm(), &bytes) == *digest, "{when}");
            }
        }
    }
}

/// Looks at what every crash after every change would leave.
async fn check(story: &Story, blobs: &[Digest], manifests: &[Digest]) {
    let count = story.disk.count();
    let mut history = story.disk.history();
    let (same, mut seen) = (RandomState::new(), HashSet::new());
    for changes in 0..=count {
        let standing: Vec<&Told> = story
            .promises
            .iter()
            .filter(|promise| (promise.from..=promise.until).contains(&changes))
            .map(|promise| &promise.told)
            .collect();
        for crash in CRASHES {
            let left = history.left(story.place.root(), crash);
            let is_kill = crash == Crash::Killed;
            let of_note: Vec<*const Told> = standing.iter().map(|told| &raw const **told).collect();
            let all = same.hash_one((&left, &of_note, is_kill));
            if !seen.insert(all) {
                continue;
            }
            let when = format!("after {changes} of {count} changes, {crash:?}");
            let place = in_memory();
            write(&left, place.path());
            let storage = Storage::open(Options {
                read_only: true,
                ..options(place.path())
            })
            .await
            .unwrap();
            for told in &standing {
                assert!(is_so(&storage, told, crash).await, "{when}: {told:?}");
            }
            nothing_is_half(&storage, blobs, manifests, &when).await;
        }
        history.go_on();
    }
}

#[tokio::test]
async fn what_was_pushed_outlives_a_crash_at_any_moment() {
    let mut story = Story::begin().await;
    let (app, other) = (name("local/app"), name("local/other"));
    let (one, two) = (some_bytes(9_000, 1), some_bytes(3_000, 2));
    let long = Digest::of(Algorithm::Sha512, &two);
    story.push(&app, &one, &sha256(&one)).await;
    story.push(&other, &two, &long).await;
    // What is in the store already, mounted and pushed once more.
    let mounted = story
        .storage
        .repositories()
        .keep_blob(&other, &sha256(&one))
        .await;
    assert!(mounted.unwrap());
    story.told(Told::Holds(other.clone(), sha256(&one)));
    story.push(&name("new/one"), &one, &sha256(&one)).await;
    let manifest = image(&one, &[]);
    let body = Bytes::from_static(br#"{"any":"thing"}"#);
    let odd = Manifest::by_tag(None, Some("application/vnd.example+json"), body);
    let untold = Bytes::from_static(br#"{"schemaVersion":2,"layers":[],"config":{}}"#);
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    let docker = Manifest::by_tag(None, Some(docker), untold);
    story.put(&app, &manifest, "v1").await;
    story.put(&app, &odd, "odd").await;
    story.ends(&Told::Points(app.clone(), tag("v1"), manifest.digest));
    story.put(&app, &docker, "v1").await;
    story.put(&name("a/b/c"), &docker, "v1").await;
    let manifests = [manifest.digest, odd.digest, docker.digest];
    check(&story, &[sha256(&one), long], &manifests).await;
}

#[tokio::test]
async fn what_was_deleted_stays_so_after_a_crash_at_any_moment() {
    let mut story = Story::begin().await;
    let (app, other) = (name("local/app"), name("local/other"));
    let one = some_bytes(5_000, 1);
    let digest = sha256(&one);
    story.push(&app, &one, &digest).await;
    story.push(&other, &one, &digest).await;
    let (manifest, second) = (image(&one, &[]), image(b"{}", &[]));
    let body = Bytes::from_static(br#"{"any":"thing"}"#);
    let odd = Manifest::by_tag(None, Some("application/vnd.example+json"), body);
    story.put(&app, &manifest, "v1").await;
    story.put(&app, &second, "v2").await;
    story.put(&app, &odd, "odd").await;
    story.put(&other, &manifest, "v1").await;

    story.drop_blob(&app, &digest).await;
    story.drop_manifest(&app, &manifest, "v1").await;
    story.drop_manifest(&app, &odd, "odd").await;
    story.ends(&Told::Points(app.clone(), tag("v2"), second.digest));
    let dropped = story
        .storage
        .repositories()
        .drop_tag(&app, &tag("v2"))
        .await;
    assert!(dropped.unwrap());
    story.told(Told::NoTag(app.clone(), tag("v2")));

    // And what is pushed again is there again.
    story.ends(&Told::HoldsNot(app.clone(), digest));
    story.push(&app, &one, &digest).await;
    story.ends(&Told::NoManifest(app.clone(), manifest.digest));
    story.ends(&Told::NoTag(app.clone(), tag("v1")));
    story.put(&app, &manifest, "v1").await;
    story.drop_blob(&other, &digest).await;
    story.drop_manifest(&other, &manifest, "v1").await;
    story.drop_manifest(&app, &manifest, "v1").await;
    story.drop_blob(&app, &digest).await;
    let manifests = [manifest.digest, odd.digest, second.digest];
    check(&story, &[digest], &manifests).await;
}
