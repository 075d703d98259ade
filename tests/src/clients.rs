//! The real programs that people pull and push with, each with its state in a folder of its own.

mod buildah;
mod containerd;
mod docker;
mod podman;
mod skopeo;

pub use buildah::Buildah;
pub use containerd::Containerd;
pub use docker::Docker;
pub use podman::Podman;
pub use skopeo::Skopeo;

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

/// A pull may take this long.
const PULL_LIMIT: Duration = Duration::from_secs(90);
/// A daemon may take this long to come up.
const DAEMON_LIMIT: Duration = Duration::from_secs(30);
/// Everything else may take this long.
const COMMAND_LIMIT: Duration = Duration::from_mins(1);

/// A folder for one program's state; its name is short, since sockets lie in it.
fn state_folder() -> TempDir {
    tempfile::Builder::new()
        .prefix("ct-")
        .rand_bytes(8)
        .tempdir()
        .unwrap()
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Waits until `command` goes well.
async fn ready(what: &str, mut attempt: impl AsyncFnMut() -> bool) {
    let deadline = std::time::Instant::now() + DAEMON_LIMIT;
    while !attempt().await {
        assert!(
            std::time::Instant::now() < deadline,
            "{what} did not come up"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
