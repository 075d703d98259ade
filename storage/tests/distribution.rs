//! The store and CNCF Distribution's own program: its garbage collector runs on what is stored here, keeps what it should and
//! removes only what no manifest names.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::{path::Path, process::Command, time::SystemTime};

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Manifest, RepositoryName};
use cistern_storage::{Checked, Options, Reserve, Storage, growing};
use tokio_util::sync::CancellationToken;

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
    let config = root.join("config.yml");
    let text = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:0\n",
        root.display()
    );
    std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&config)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .unwrap();
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
