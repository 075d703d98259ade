//! Who pulls: a real docker daemon, or where there is none a plain HTTP client.

use std::time::{Duration, Instant};

use cistern_tests::caller::get;
use cistern_tests::clients::Docker;
use cistern_tests::need;

use super::gateway::Door;

/// Docker's own default; the harness's daemons try once.
const ATTEMPTS: &str = "--max-download-attempts=5";
/// Between a pull that failed and the next one.
const PAUSE: Duration = Duration::from_secs(1);

/// A child that pulls.
pub(super) enum Child {
    Docker(Box<Docker>),
    Http,
}

impl Child {
    /// What this machine has.
    pub(super) async fn here() -> Self {
        match need::missing(&["root", "dockerd", "docker", "containerd", "runc", "nginx"]) {
            None => Self::Docker(Box::new(Docker::start_with(&[ATTEMPTS]).await)),
            Some(missing) => {
                eprintln!("  {missing} is missing: a plain HTTP client pulls instead of docker");
                Self::Http
            }
        }
    }

    /// Whether it speaks to the cache through API proxies.
    pub(super) fn wants_proxies(&self) -> bool {
        matches!(self, Self::Docker(_))
    }

    /// Removes what it has, so that the next pull asks for every byte again.
    pub(super) async fn forget(&self) {
        if let Self::Docker(docker) = self {
            docker.forget_images().await;
        }
    }

    /// One pull.
    pub(super) async fn pull(&self, door: &Door) -> Result<(), String> {
        match self {
            Self::Docker(docker) => {
                let name = format!("{}/{}:{}", door.host, door.repository, door.tag);
                let ran = docker.pull(&name).await;
                ran.success.then_some(()).ok_or(ran.output)
            }
            Self::Http => by_http(door).await,
        }
    }

    /// Pulls until one goes well; how many it took.
    pub(super) async fn pull_until_well(&self, door: &Door, limit: Duration) -> usize {
        let began = Instant::now();
        for count in 1.. {
            let Err(why) = self.pull(door).await else {
                return count;
            };
            assert!(began.elapsed() < limit, "no pull goes well: {why}");
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("the loop ends with a pull or a panic")
    }
}

async fn by_http(door: &Door) -> Result<(), String> {
    let name = door.repository;
    let manifest = (
        format!("/v2/{name}/manifests/{}", door.tag),
        door.image.top(),
    );
    let blobs = door.image.blobs.iter();
    let blobs = blobs.map(|blob| (format!("/v2/{name}/blobs/{}", blob.digest), blob));
    for (path, item) in std::iter::once(manifest).chain(blobs) {
        let call = get(&path)
            .header("Accept", "*/*")
            .header("Accept", &item.media_type);
        let answer = call.send(&door.host).await;
        if answer.status != 200 || answer.body != item.bytes {
            return Err(format!("{path}: {} {:?}", answer.status, answer.ended));
        }
    }
    Ok(())
}
