//! A child device of the demonstration: pulls an image as a client does, and believes nothing that it has not hashed.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use cistern_oci::{Descriptor, Digest, Hasher, MANIFEST_ACCEPT, ManifestLinks};
use indicatif::ProgressBar;
use tokio::time::Instant;

use super::image::{REPOSITORY, TAG};

/// What one child saw.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pulled {
    /// Bytes received and verified.
    pub(super) bytes: u64,
    /// From the request for the largest layer to its first byte.
    pub(super) first_byte: Duration,
}

/// Pulls the image from the registry at `registry` and verifies every digest.
pub(super) async fn pull(registry: SocketAddr, progress: ProgressBar) -> anyhow::Result<Pulled> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let base = format!("http://{registry}/v2/{REPOSITORY}");
    let manifest = client
        .get(format!("{base}/manifests/{TAG}"))
        .header("accept", MANIFEST_ACCEPT)
        .send()
        .await?;
    let manifest = manifest.error_for_status().context("manifest")?;
    let named = manifest
        .headers()
        .get("docker-content-digest")
        .context("no digest header")?
        .to_str()?;
    let named: Digest = named.parse()?;
    let bytes = manifest.bytes().await?;
    if Digest::of(named.algorithm(), &bytes) != named {
        bail!("the manifest is not {named}");
    }
    let links = ManifestLinks::read(&bytes)?;
    let mut pulled = Pulled {
        bytes: bytes.len() as u64,
        ..Pulled::default()
    };
    progress.inc(pulled.bytes);
    let largest = links.layers.iter().map(|layer| layer.size).max();
    for blob in links.blobs() {
        let first_byte = blob_of(&client, &base, blob, &progress).await?;
        pulled.bytes += blob.size;
        if Some(blob.size) == largest {
            pulled.first_byte = first_byte;
        }
    }
    Ok(pulled)
}

async fn blob_of(
    client: &reqwest::Client,
    base: &str,
    blob: &Descriptor,
    progress: &ProgressBar,
) -> anyhow::Result<Duration> {
    let asked = Instant::now();
    let answer = client
        .get(format!("{base}/blobs/{}", blob.digest))
        .send()
        .await?;
    let mut answer = answer.error_for_status().context("blob")?;
    let mut hasher = Hasher::new(blob.digest.algorithm());
    let mut first_byte = None;
    while let Some(piece) = answer.chunk().await? {
        first_byte.get_or_insert_with(|| asked.elapsed());
        hasher.update(&piece);
        progress.inc(piece.len() as u64);
    }
    let got = hasher.finish();
    if got != blob.digest {
        bail!("asked for {} and got {got}", blob.digest);
    }
    Ok(first_byte.unwrap_or_else(|| asked.elapsed()))
}
