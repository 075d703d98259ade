//! `cistern demo`: the main job on any machine, without internet, docker or root, in about ten seconds.
//!
//! A small upstream, a slow link, a cache behind it and twenty children who all want the same new image. Then the link is cut
//! and they pull again; then the cache is restarted, still without its upstream, and they pull once more.

mod image;
mod link;
mod puller;
mod server;

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use self::link::Link;
use self::puller::Pulled;
use self::server::Server;
use super::{Console, Exit};

/// Devices below the gateway.
const CHILDREN: u32 = 20;
/// The uplink, in bytes per second.
const RATE: u64 = 20 * MIB;
const MIB: u64 = 1024 * 1024;

/// One act, as a line of the closing table.
struct Act {
    name: &'static str,
    delivered: u64,
    crossed: u64,
    first_byte: Duration,
    wall: Duration,
}

/// Runs the demonstration. `keep` leaves both servers running until the program is interrupted.
pub(super) fn run(keep: bool, console: &mut Console<'_>) -> Exit {
    // The children's clients want a provider although they speak plain http; a second one changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let played = runtime
        .map_err(anyhow::Error::from)
        .and_then(|runtime| runtime.block_on(play(keep, console.out)));
    match played {
        Ok(()) => Exit::Success,
        Err(error) => {
            console.complain(format!("error: {error:#}"));
            Exit::Failure
        }
    }
}

async fn play(keep: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let folder = Folder::new()?;
    let tasks = TaskTracker::new();
    let path = folder.0.as_path();
    writeln!(out, "Generating a {} MiB image in {}", 50, path.display())?;
    let size = image::write(&path.join("upstream")).await?;
    let upstream = Server::start(&path.join("upstream"), &path.join("upstream.log"), None).await?;
    let link = Link::open(upstream.address, RATE, &tasks)
        .await
        .context("cannot open the link")?;
    let cache = start_cache(path, &link).await?;
    writeln!(
        out,
        "Upstream on {}, cache on {}, link of {} MiB/s between them",
        upstream.address,
        cache.address,
        RATE / MIB
    )?;

    let mut acts = Vec::new();
    acts.push(act("cold: all ask at once", cache.address, size, &link).await?);
    if keep {
        print_table(&acts, size, out)?;
        return keep_running(upstream, cache, out).await;
    }
    link.cut();
    upstream.stop().await?;
    acts.push(act("the link is cut", cache.address, size, &link).await?);
    cache.stop().await?;
    let cache = start_cache(path, &link).await?;
    acts.push(act("cache restarted, still cut off", cache.address, size, &link).await?);
    cache.stop().await?;
    print_table(&acts, size, out)
}

async fn start_cache(folder: &Path, link: &Link) -> anyhow::Result<Server> {
    Server::start(
        &folder.join("cache"),
        &folder.join("cache.log"),
        Some(link.address()),
    )
    .await
}

/// All children pull at once; every digest is verified by every child.
async fn act(name: &'static str, cache: SocketAddr, size: u64, link: &Link) -> anyhow::Result<Act> {
    let progress = ProgressBar::new(size * u64::from(CHILDREN))
        .with_prefix(name)
        .with_style(style());
    let (before, started) = (link.crossed(), Instant::now());
    let mut children = JoinSet::new();
    for _ in 0..CHILDREN {
        children.spawn(puller::pull(cache, progress.clone()));
    }
    let mut act = Act {
        name,
        delivered: 0,
        crossed: 0,
        first_byte: Duration::ZERO,
        wall: Duration::ZERO,
    };
    while let Some(pulled) = children.join_next().await {
        let Pulled { bytes, first_byte } =
            pulled?.with_context(|| format!("{name}: a child could not pull"))?;
        act.delivered += bytes;
        act.first_byte = act.first_byte.max(first_byte);
    }
    act.wall = started.elapsed();
    act.crossed = link.crossed() - before;
    progress.finish();
    Ok(act)
}

fn style() -> ProgressStyle {
    let template = "{prefix:32} {bar:30} {bytes:>11} verified, {binary_bytes_per_sec}";
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn print_table(acts: &[Act], size: u64, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out)?;
    writeln!(
        out,
        "{CHILDREN} children, an image of {:.1} MiB, every digest verified by every child:",
        mib(size)
    )?;
    writeln!(out)?;
    writeln!(
        out,
        "{:32} {:>12} {:>14} {:>14} {:>10} {:>8}",
        "", "delivered", "over uplink", "uplink/image", "1st byte", "wall"
    )?;
    for act in acts {
        writeln!(
            out,
            "{:32} {:>8.1} MiB {:>10.1} MiB {:>13.2}x {:>8.2} s {:>6.2} s",
            act.name,
            mib(act.delivered),
            mib(act.crossed),
            mib(act.crossed) / mib(size),
            act.first_byte.as_secs_f64(),
            act.wall.as_secs_f64(),
        )?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
fn mib(bytes: u64) -> f64 {
    bytes as f64 / MIB as f64
}

async fn keep_running(
    mut upstream: Server,
    cache: Server,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    writeln!(out)?;
    writeln!(
        out,
        "Both keep running until this program is interrupted. Try:"
    )?;
    writeln!(
        out,
        "  docker pull {}/{}:{}",
        cache.address,
        image::REPOSITORY,
        image::TAG
    )?;
    tokio::select! {
        ended = upstream.wait() => ended?,
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    cache.stop().await?;
    upstream.stop().await
}

/// A folder of its own below the system's temporary one, removed at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new() -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("cistern-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the demonstration's folder could not be removed");
        }
    }
}
