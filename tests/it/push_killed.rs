//! A registry that is killed in the middle of pushes: everything that it had answered 201 is there and whole, nothing half is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use cistern_tests::caller::get;
use cistern_tests::cistern;
use cistern_tests::images::{Image, digest, image, random_bytes};
use cistern_tests::pusher::Pusher;
use cistern_tests::registry::Registry;
use cistern_tests::store::Store;
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::common::{blob_path, manifest_path};

const PUSHES: u64 = 200;
/// So many are under way at once, in so many repositories.
const AT_ONCE: u64 = 20;
const REPOSITORIES: u64 = 3;

/// What was answered 201: paths, with the bytes that must be there from then on.
#[derive(Debug, Default)]
struct Promised {
    bytes: Mutex<BTreeMap<String, Bytes>>,
}

impl Promised {
    fn add(&self, path: String, bytes: &Bytes) {
        self.bytes.lock().insert(path, bytes.clone());
    }

    fn count(&self) -> usize {
        self.bytes.lock().len()
    }

    async fn assert_kept(&self, registry: &Registry) {
        let promised = self.bytes.lock().clone();
        for (path, bytes) in promised {
            let answer = get(&path).send(&registry.host()).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert!(answer.is_complete() && answer.body == bytes, "{path}");
        }
    }
}

fn small(seed: u64) -> Image {
    image().random_layers(1000 + seed, 2, 40_000).build()
}

fn repository(number: u64) -> String {
    format!("team/app{}", number % REPOSITORIES)
}

/// Pushes as a client does, one request after another, and gives up at the first that fails.
async fn push(pusher: Pusher, number: u64, promised: Arc<Promised>) {
    let (image, repository) = (small(number), repository(number));
    for blob in &image.blobs {
        if pusher.blob(&repository, blob).await.status != 201 {
            return;
        }
        promised.add(blob_path(&repository, &blob.digest), &blob.bytes);
    }
    for reference in [image.digest(), &format!("v{number}")] {
        let answer = pusher.manifest(&repository, reference, image.top()).await;
        if answer.status != 201 {
            return;
        }
        promised.add(manifest_path(&repository, reference), &image.top().bytes);
    }
}

/// Every file under a digest has that digest, and every link points to a file.
fn assert_nothing_is_half(store: &Store) {
    for named in store.digests() {
        let bytes = store.blob(&named).unwrap();
        let algorithm = cistern_tests::images::Algorithm::Sha256;
        assert_eq!(digest(algorithm, &bytes), named);
    }
    for (file, _) in store.files() {
        if file.ends_with("link") && file.starts_with("docker") {
            let text = std::fs::read_to_string(store.path().join(&file)).unwrap();
            assert!(
                store.blob_file(&text).is_file(),
                "{}: {text}",
                file.display()
            );
        }
    }
}

/// Random enough, and the same in every run.
fn moments() -> impl Iterator<Item = u64> {
    let bytes = random_bytes(4711, 1000);
    (0..1000).map(move |at| u64::from(bytes[at]))
}

/// Pushes these at once, kills the registry after a random number of their answers and a little while, and says what was promised.
async fn push_and_kill(
    registry: &mut Registry,
    numbers: Range<u64>,
    moments: &mut impl Iterator<Item = u64>,
) -> Arc<Promised> {
    let promised = Arc::new(Promised::default());
    let mut running = JoinSet::new();
    let most = 5 * (numbers.end - numbers.start);
    for number in numbers {
        let pusher = Pusher::to(&registry.host());
        running.spawn(push(pusher, number, Arc::clone(&promised)));
    }
    let answers = usize::try_from(moments.next().unwrap() * most / 256).unwrap();
    while promised.count() < answers && !running.is_empty() {
        while running.try_join_next().is_some() {}
        tokio::task::yield_now().await;
    }
    for _ in 0..moments.next().unwrap() {
        tokio::task::yield_now().await;
    }
    registry.kill();
    running.join_all().await;
    promised
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_201_survives_kills_at_any_moment_and_nothing_half_does() {
    let mut registry = cistern::hosted().start().await;
    let (all, mut moments) = (Promised::default(), moments());
    for round in 0..PUSHES / AT_ONCE {
        let numbers = round * AT_ONCE..(round + 1) * AT_ONCE;
        let promised = push_and_kill(&mut registry, numbers, &mut moments).await;
        assert_nothing_is_half(registry.store());
        registry.start().await;
        promised.assert_kept(&registry).await;
        all.bytes.lock().append(&mut promised.bytes.lock());
    }
    all.assert_kept(&registry).await;
    assert!(all.count() > 200, "{}", all.count());
    // What was broken off can be pushed after all.
    let pusher = Pusher::to(&registry.host());
    for number in PUSHES - AT_ONCE..PUSHES {
        let (tag, repository) = (format!("v{number}"), repository(number));
        let image = small(number);
        pusher.image(&image, &repository, &[&tag]).await;
        let path = manifest_path(&repository, &tag);
        all.add(path, &image.top().bytes);
    }
    registry.restart().await;
    all.assert_kept(&registry).await;
    for number in 0..REPOSITORIES {
        let repository = repository(number);
        let path = format!("/v2/{repository}/tags/list");
        let list = get(&path).send(&registry.host()).await.json();
        let listed = |tag: &str| {
            list["tags"]
                .as_array()
                .unwrap()
                .iter()
                .any(|one| one == tag)
        };
        let promised = all.bytes.lock();
        let tags = promised.keys().filter_map(|path| {
            let tag = path.strip_prefix(&manifest_path(&repository, ""))?;
            (!tag.contains(':')).then_some(tag)
        });
        for tag in tags {
            assert!(listed(tag), "{tag}: {list}");
        }
    }
}
