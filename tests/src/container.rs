//! The container image, built by its own recipe from the binary under test.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::clients::Docker;

/// The name under which the image is built.
pub const IMAGE: &str = "cistern:under-test";

/// The binary of which the image is made: the product as a static program, as `tests/run` links it.
pub fn static_binary() -> Option<PathBuf> {
    let binary = repository().join("target/debug/cistern-static");
    binary.is_file().then_some(binary)
}

/// Builds the image with this daemon, by `deploy/container/build`.
///
/// # Panics
/// When the recipe fails, with what it said.
pub async fn build(docker: &Docker) {
    let binary = static_binary().expect("tests/run links target/debug/cistern-static");
    let built = tokio::process::Command::new(repository().join("deploy/container/build"))
        .args(["--with", "docker", "--tag", IMAGE, "--binary"])
        .arg(binary)
        .env("DOCKER_HOST", docker.socket())
        // The classic builder is in every docker, and asks nobody for a newer recipe language.
        .env("DOCKER_BUILDKIT", "0")
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&built.stdout) + String::from_utf8_lossy(&built.stderr);
    assert!(built.status.success(), "{said}");
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
