//! The store and CNCF Distribution's own program: its garbage collector runs on what is stored here, keeps what it should and
//! removes only what no manifest names.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

mod serving;

use std::{path::Path, process::Command, time::SystemTime};

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Manifest, RepositoryName};
use cistern_storage::{Checked, Options, Reserve, Storage, Turn, growing};
use tokio_util::sync::CancellationToken;

use serving::{configuration, get, serve};

const PROGRAM: &str = "docker-registry";

/// Whether the program is there. In CI a missing one is a failure.
fn is_there() -> bool {
    let there = Command::new(PROGRAM).arg("--version").output().is_ok();
    assert!(
        there || std::env::var_os("CI").is_none(),
        "{PROGRAM} is missing"
    );
    if !there {
        eprintln!("skipped: {PROGRAM} is missing");
    }
    there
}

fn options(root: &Path) -> Options {
    Options {
        reserve: Reserve::Bytes(0),
        ..Options::new(root)
    }
}

async fn store(
    storage: &Storage,
    of: &RepositoryName,
    algorithm: Algorithm,
    bytes: &'static [u8],
) -> Digest {
    let digest = Digest::of(algorithm, bytes);
    let (growing, _blob) = growing("interrupted");
    let mut writer = storage
        .blobs()
        .start(digest, Some(bytes.len() as u64), growing)
        .await
        .unwrap();
    writer.append(Bytes::from_static(bytes)).await.unwrap();
    writer.commit().await.unwrap();
    storage.repositories().link_blob(of, &digest).await.unwrap();
    digest
}

async fn put(storage: &Storage, of: &RepositoryName, tag: &str, manifest: &Manifest) {
    storage
        .repositories()
        .put_manifest(of, manifest)
        .await
        .unwrap();
    let checked = Checked {
        at: SystemTime::UNIX_EPOCH,
        source: "upstream".into(),
    };
    storage
        .repositories()
        .set_tag(of, &tag.parse().unwrap(), &manifest.digest, checked)
        .await
        .unwrap();
}

fn by(algorithm: Algorithm, content_type: Option<&str>, body: String) -> Manifest {
    let digest = Digest::of(algorithm, body.as_bytes());
    Manifest::by_digest(digest, content_type, body.into()).unwrap()
}

/// Manifests that Distribution reads, and the digests of all that they name.
async fn fill_with_what_distribution_reads(
    storage: &Storage,
    of: &RepositoryName,
) -> (Vec<Manifest>, Vec<Digest>) {
    let mut manifests = Vec::new();
    let mut blobs = Vec::new();
    for (algorithm, contents) in [
        (
            Algorithm::Sha256,
            [&b"{\"os\":\"linux\"}"[..], &b"layer one"[..]],
        ),
        (
            Algorithm::Sha512,
            [&b"{\"os\":\"plan9\"}"[..], &b"layer two"[..]],
        ),
    ] {
        let config = store(storage, of, algorithm, contents[0]).await;
        let layer = store(storage, of, algorithm, contents[1]).await;
        blobs.extend([config, layer]);
        for media_type in [
            Some("application/vnd.oci.image.manifest.v1+json"),
            Some("application/vnd.docker.distribution.manifest.v2+json"),
            None,
        ] {
            let named = media_type
                .map(|text| format!(r#""mediaType":"{text}","#))
                .unwrap_or_default();
            let body = format!(
                r#"{{"schemaVersion":2,{named}"config":{{"mediaType":"a/b","size":{},"digest":"{config}"}},"layers":[{{"size":9,"digest":"{layer}","annotations":null}}],"annotations":{{"Size":"x"}}}}"#,
                contents[0].len()
            );
            let image = by(algorithm, None, body);
            let list = if media_type.is_some_and(|text| text.contains("docker")) {
                r#""mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","#
            } else {
                ""
            };
            let absent = Digest::of(algorithm, b"nobody asked for this child");
            let index = by(
                algorithm,
                None,
                format!(
                    r#"{{"schemaVersion":2,{list}"manifests":[{{"size":{},"digest":"{}","platform":{{}}}},{{"size":1,"digest":"{absent}"}}]}}"#,
                    image.bytes.len(),
                    image.digest
                ),
            );
            manifests.extend([image, index]);
        }
    }
    for (number, manifest) in manifests.iter().enumerate() {
        put(storage, of, &format!("t{number}"), manifest).await;
    }
    (manifests, blobs)
}

/// Manifests that would stop Distribution's garbage collector if it saw them.
async fn fill_with_what_distribution_cannot_read(storage: &Storage, of: &RepositoryName) {
    let bodies = [
        (
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.artifact.manifest.v1+json","blobs":[]}"#,
            None,
        ),
        (
            r#"{"schemaVersion":1,"name":"a","fsLayers":[],"history":[],"signatures":[]}"#,
            None,
        ),
        (r#"{"any":"thing"}"#, Some("application/vnd.example+json")),
        (r#"{"schemaVersion":2}"#, None),
        (r#"{"schemaVersion":2,"layers":[],"manifests":[]}"#, None),
        (r#"{"schemaVersion":2,"layers":[{"size":"9"}]}"#, None),
        (r#"{"schemaVersion":2,"layers":[],"MEDIATYPE":"x/y"}"#, None),
        ("not json", Some("text/plain")),
        ("", None),
    ];
    for (number, (body, content_type)) in bodies.into_iter().enumerate() {
        put(
            storage,
            of,
            &format!("odd{number}"),
            &by(Algorithm::Sha256, content_type, body.to_owned()),
        )
        .await;
    }
}

fn collect_garbage(root: &Path, arguments: &[&str]) -> String {
    let config = configuration(root, "127.0.0.1:0");
    let output = Command::new(PROGRAM)
        .arg("garbage-collect")
        .args(arguments)
        .arg(&config)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert!(!said.contains("failed"), "{said}");
    said
}

#[tokio::test]
async fn distributions_garbage_collector_runs_and_keeps_what_manifests_name() {
    if !is_there() {
        return;
    }
    for arguments in [&[][..], &["--delete-untagged"][..]] {
        let directory = tempfile::tempdir().unwrap();
        let of: RepositoryName = "library/app".parse().unwrap();
        let only_odd: RepositoryName = "library/odd".parse().unwrap();
        let storage = Storage::open(options(directory.path())).await.unwrap();
        let (manifests, blobs) = fill_with_what_distribution_reads(&storage, &of).await;
        fill_with_what_distribution_cannot_read(&storage, &of).await;
        fill_with_what_distribution_cannot_read(&storage, &only_odd).await;
        let loose = store(&storage, &of, Algorithm::Sha256, b"nobody names this").await;
        storage.close().await.unwrap();
        drop(storage);

        let said = collect_garbage(directory.path(), arguments);
        let marked = manifests
            .iter()
            .map(|manifest| manifest.digest)
            .chain(blobs.iter().copied());

        let storage = Storage::open(options(directory.path())).await.unwrap();
        for digest in marked {
            assert!(
                said.contains(&format!("marking manifest {digest}"))
                    || said.contains(&format!("marking blob {digest}")),
                "{digest}: {said}"
            );
            assert!(
                storage.blobs().open(&digest).await.unwrap().is_some(),
                "{digest}: {said}"
            );
        }
        for manifest in &manifests {
            let found = storage
                .repositories()
                .manifest(&of, &manifest.digest)
                .await
                .unwrap();
            assert_eq!(found.as_ref(), Some(manifest));
        }
        assert!(
            storage.blobs().open(&loose).await.unwrap().is_none(),
            "{said}"
        );
        storage.rebuild_index(CancellationToken::new()).await;
    }
}

/// What was kept in the store, and what Distribution should find of it.
struct Kept {
    of: RepositoryName,
    manifests: Vec<(&'static str, Manifest)>,
    blobs: Vec<(Digest, &'static [u8])>,
    deleted: (Digest, Digest),
}

async fn push(storage: &Storage, of: &RepositoryName, bytes: &'static [u8]) -> Digest {
    let digest = Digest::of(Algorithm::Sha256, bytes);
    let uploads = storage.uploads();
    let id = uploads.begin(of, Algorithm::Sha256).await.unwrap();
    let Turn::Yours(mut upload) = uploads.open(of, &id).await.unwrap() else {
        panic!("another has the turn");
    };
    upload.append(Bytes::from_static(bytes)).await.unwrap();
    upload.commit(&digest).await.unwrap();
    digest
}

/// Pushes one manifest of each of the four kinds, deletes another one, and leaves a push under way.
async fn fill_as_clients_do(storage: &Storage) -> Kept {
    let of: RepositoryName = "local/app".parse().unwrap();
    let other: RepositoryName = "local/other".parse().unwrap();
    let (config, layer): (&[u8], &[u8]) = (b"{}", b"pushed layer");
    let (config_digest, layer_digest) = (
        push(storage, &other, config).await,
        push(storage, &of, layer).await,
    );
    let repositories = storage.repositories();
    assert!(repositories.keep_blob(&of, &config_digest).await.unwrap());
    let mut manifests = Vec::new();
    for (image_tag, image, index_tag, index) in [
        (
            "oci",
            "application/vnd.oci.image.manifest.v1+json",
            "oci-index",
            "application/vnd.oci.image.index.v1+json",
        ),
        (
            "docker",
            "application/vnd.docker.distribution.manifest.v2+json",
            "docker-list",
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ),
    ] {
        let body = format!(
            r#"{{"schemaVersion":2,"mediaType":"{image}","config":{{"mediaType":"a/b","size":2,"digest":"{config_digest}"}},"layers":[{{"mediaType":"a/b","size":12,"digest":"{layer_digest}"}}]}}"#
        );
        let of_image = by(Algorithm::Sha256, Some(image), body);
        let body = format!(
            r#"{{"schemaVersion":2,"mediaType":"{index}","manifests":[{{"mediaType":"{image}","size":{},"digest":"{}","platform":{{"os":"linux","architecture":"amd64"}}}}]}}"#,
            of_image.bytes.len(),
            of_image.digest
        );
        manifests.push((image_tag, of_image));
        manifests.push((index_tag, by(Algorithm::Sha256, Some(index), body)));
    }
    let body = format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{{"mediaType":"a/b","size":2,"digest":"{config_digest}"}},"layers":[]}}"#
    );
    let gone = by(Algorithm::Sha256, None, body);
    for (tag, manifest) in manifests.iter().chain(&[("gone", gone.clone())]) {
        repositories.keep_manifest(&of, manifest).await.unwrap();
        repositories
            .keep_tag(&of, &tag.parse().unwrap(), &manifest.digest)
            .await
            .unwrap();
    }
    let gone_layer = push(storage, &of, b"deleted layer").await;
    assert!(repositories.drop_blob(&of, &gone_layer).await.unwrap());
    assert!(repositories.drop_manifest(&of, &gone.digest).await.unwrap());
    let uploads = storage.uploads();
    uploads.begin(&of, Algorithm::Sha512).await.unwrap();
    Kept {
        of,
        manifests,
        blobs: vec![(config_digest, config), (layer_digest, layer)],
        deleted: (gone_layer, gone.digest),
    }
}

/// Distribution gives everything that was kept, byte for byte, and nothing that was deleted.
fn distribution_serves(root: &Path, kept: &Kept) {
    let serving = serve(root);
    let of = &kept.of;
    for (tag, manifest) in &kept.manifests {
        for reference in [(*tag).to_owned(), manifest.digest.to_string()] {
            let (status, head, body) = get(&serving, &format!("/v2/{of}/manifests/{reference}"));
            assert_eq!((status, &body[..]), (200, &manifest.bytes[..]), "{head}");
            let media_type = manifest.media_type.as_str();
            assert!(
                head.contains(&format!("content-type: {media_type}\r\n")),
                "{head}"
            );
        }
    }
    for (digest, bytes) in &kept.blobs {
        let (status, head, body) = get(&serving, &format!("/v2/{of}/blobs/{digest}"));
        assert_eq!((status, &body[..]), (200, *bytes), "{head}");
    }
    let (status, _, body) = get(&serving, &format!("/v2/{of}/tags/list"));
    let body = String::from_utf8(body).unwrap();
    assert_eq!(status, 200);
    for (tag, _) in &kept.manifests {
        assert!(body.contains(&format!("{tag:?}")), "{body}");
    }
    assert!(!body.contains("gone"), "{body}");
    for path in [
        format!("/v2/{of}/blobs/{}", kept.deleted.0),
        format!("/v2/{of}/manifests/{}", kept.deleted.1),
        format!("/v2/{of}/manifests/gone"),
    ] {
        assert_eq!(get(&serving, &path).0, 404, "{path}");
    }
}

#[tokio::test]
async fn distribution_reads_what_was_pushed_and_its_garbage_collector_keeps_it() {
    if !is_there() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let storage = Storage::open(options(directory.path())).await.unwrap();
    let kept = fill_as_clients_do(&storage).await;
    fill_with_what_distribution_cannot_read(&storage, &"local/odd".parse().unwrap()).await;
    storage.close().await.unwrap();
    drop(storage);
    distribution_serves(directory.path(), &kept);
    for arguments in [&[][..], &["--delete-untagged"][..]] {
        collect_garbage(directory.path(), arguments);
        distribution_serves(directory.path(), &kept);
    }
    let storage = Storage::open(options(directory.path())).await.unwrap();
    for (_, manifest) in &kept.manifests {
        let found = storage
            .repositories()
            .manifest(&kept.of, &manifest.digest)
            .await
            .unwrap();
        assert_eq!(found.as_ref(), Some(manifest));
    }
    for (digest, _) in &kept.blobs {
        assert!(storage.blobs().open(digest).await.unwrap().is_some());
    }
}
