//! The image of the demonstration: 50 MiB in several layers, written into a store as a registry would hold it. Each layer is
//! a tar archive with one file of noise, so that a real client can unpack it.

use std::path::Path;

use bytes::Bytes;
use cistern_oci::{Algorithm, Digest, Manifest, RepositoryName, Tag};
use cistern_storage::{Checked, Clock, Options, Storage, SystemClock, growing};
use serde_json::json;

/// The repository of the image.
pub(super) const REPOSITORY: &str = "demo/app";
/// Its tag.
pub(super) const TAG: &str = "1.0";

const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
const MIB: usize = 1024 * 1024;
/// The layers' sizes: a base, a runtime, an application, its settings.
const LAYERS: [usize; 4] = [28 * MIB, 16 * MIB, 5 * MIB, MIB];

/// Writes the image into a new store at `root`; its size in bytes, manifest and configuration included.
pub(super) async fn write(root: &Path) -> anyhow::Result<u64> {
    let storage = Storage::open(Options::new(root)).await?;
    let repository: RepositoryName = REPOSITORY.parse()?;
    let tag: Tag = TAG.parse()?;
    let mut layers = Vec::new();
    let mut digests = Vec::new();
    let mut total = 0;
    for (number, size) in LAYERS.into_iter().enumerate() {
        let bytes = archive(number, &noise(number as u64 + 1, size))?;
        let length = bytes.len() as u64;
        total += length;
        let digest = store(&storage, &repository, bytes).await?;
        layers.push(json!({ "mediaType": LAYER_TYPE, "digest": digest, "size": length }));
        digests.push(digest);
    }
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "config": {},
        "rootfs": { "type": "layers", "diff_ids": digests },
    });
    let config = Bytes::from(serde_json::to_vec(&config)?);
    total += config.len() as u64;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "size": config.len(),
            "digest": store(&storage, &repository, config).await?,
        },
        "layers": layers,
    });
    let manifest = Manifest::by_tag(None, None, serde_json::to_vec_pretty(&manifest)?.into());
    total += manifest.bytes.len() as u64;
    storage
        .repositories()
        .put_manifest(&repository, &manifest)
        .await?;
    let checked = Checked {
        at: SystemClock.now(),
        source: "demo".into(),
    };
    storage
        .repositories()
        .set_tag(&repository, &tag, &manifest.digest, checked)
        .await?;
    storage.flush().await?;
    Ok(total)
}

async fn store(
    storage: &Storage,
    repository: &RepositoryName,
    bytes: Bytes,
) -> anyhow::Result<Digest> {
    let digest = Digest::of(Algorithm::Sha256, &bytes);
    let (writer, _reader) = growing(());
    let size = Some(bytes.len() as u64);
    let mut writer = storage
        .blobs()
        .start(digest, size, writer)
        .await
        .map_err(|refused| refused.why)?;
    let there = usize::try_from(writer.written())?;
    writer.append(bytes.slice(there..)).await?;
    writer.commit().await?;
    storage
        .repositories()
        .link_blob(repository, &digest)
        .await?;
    Ok(digest)
}

fn archive(number: usize, file: &[u8]) -> std::io::Result<Bytes> {
    let mut header = tar::Header::new_ustar();
    header.set_size(file.len() as u64);
    header.set_mode(0o644);
    let mut archive = tar::Builder::new(Vec::with_capacity(file.len() + 4096));
    archive.append_data(&mut header, format!("demo/layer-{number}"), file)?;
    Ok(archive.into_inner()?.into())
}

/// Bytes that no compression on the way can shrink: the xorshift64* sequence of a seed.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
