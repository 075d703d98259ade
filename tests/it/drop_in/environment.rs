//! Distribution's own command line, file and environment, unchanged.

use std::path::Path;

use cistern_tests::caller::get;
use cistern_tests::cistern;
use cistern_tests::images::image;
use cistern_tests::need;
use cistern_tests::need::program;
use cistern_tests::registry::{Registry, RegistryBuilder};
use cistern_tests::scripted_upstream::{Protection, ScriptedUpstream};
use tempfile::TempDir;

use super::{REPOSITORY, manifest_path, pull};

/// The file that Distribution's container image brings: the place of the store and the address come from the environment.
const CONFIG: &str = "\
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/registry
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
";

/// A folder with `registry`, another name of Cistern, and `config.yml`.
fn container() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(cistern::program(), folder.path().join("registry")).unwrap();
    std::fs::create_dir(folder.path().join("etc")).unwrap();
    std::fs::write(folder.path().join("etc/config.yml"), CONFIG).unwrap();
    folder
}

async fn upstream() -> ScriptedUpstream {
    let upstream = ScriptedUpstream::start().await;
    upstream.hold(
        &image().random_layers(1, 2, 5000).build(),
        REPOSITORY,
        &["v1"],
    );
    upstream.protect(Protection::basic("somebody", "a password"));
    upstream
}

/// What people set for a pull-through Distribution, and what is found in its container images.
fn with_their_environment(builder: RegistryBuilder) -> RegistryBuilder {
    builder
        .proxy_credentials("somebody", "a password")
        .set("REGISTRY_PROXY_TTL", "168h")
        .set("REGISTRY_LOG_LEVEL", "info")
        .set("REGISTRY_LOG_FORMATTER", "json")
        .set("REGISTRY_HTTP_SECRET", "a secret")
        .set("REGISTRY_STORAGE_DELETE_ENABLED", "true")
        .set("REGISTRY_STORAGE_CACHE_BLOBDESCRIPTOR", "inmemory")
        .set("OTEL_TRACES_EXPORTER", "none")
}

async fn assert_works(registry: &Registry) {
    let image = image().random_layers(1, 2, 5000).build();
    pull(registry, REPOSITORY, "v1", &image).await;
    let answer = get(&manifest_path(REPOSITORY, "v1"))
        .send(&registry.host())
        .await;
    assert_eq!(
        answer.header("X-Content-Type-Options"),
        Some("nosniff"),
        "the file was not read"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_registry_with_distributions_arguments_and_environment_starts_a_cistern() {
    let (upstream, container) = (upstream().await, container());
    let config = container.path().join("etc/config.yml");
    let config = config.to_str().unwrap();
    for arguments in [&["serve", config][..], &[config]] {
        let builder = cistern::mirror_of(&upstream.url())
            .program(&container.path().join("registry"))
            .arguments(arguments);
        assert_works(&with_their_environment(builder).start().await).await;
    }
}

/// In a mount namespace of its own, so that the file lies where the container image has it.
fn in_its_container(
    upstream: &ScriptedUpstream,
    container: &Path,
    arguments: &[&str],
) -> RegistryBuilder {
    let (etc, registry) = (container.join("etc"), container.join("registry"));
    let script = "mount --bind \"$1\" /etc/docker/registry && shift && exec \"$@\"";
    let words = [
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        etc.to_str().unwrap(),
        registry.to_str().unwrap(),
    ];
    let words: Vec<_> = words.into_iter().chain(arguments.iter().copied()).collect();
    let builder = cistern::mirror_of(&upstream.url())
        .program(&program("unshare"))
        .arguments(&words);
    with_their_environment(builder)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_of_distributions_container_image_is_found_where_it_lies() {
    // The package brings the folder /etc/docker/registry.
    need!("root", "unshare", "docker-registry");
    let (upstream, container) = (upstream().await, container());
    let file = "/etc/docker/registry/config.yml";
    for arguments in [&["serve", file][..], &[file], &[]] {
        let registry = in_its_container(&upstream, container.path(), arguments)
            .start()
            .await;
        assert_works(&registry).await;
    }
}
