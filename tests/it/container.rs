//! The container image: it takes over a volume of Distribution's that is root's, without remaining root; it runs as any user that owns
//! the volume, and tells one that does not what to do.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;
use std::time::Duration;

use cistern_tests::clients::Docker;
use cistern_tests::container::{self, IMAGE};
use cistern_tests::images::{Image, Layer, image};
use cistern_tests::need::heavy;
use cistern_tests::scripted_upstream::ScriptedUpstream;
use cistern_tests::store::Store;
use cistern_tests::{addresses, asset, distribution, eventually, need};

use crate::common::{REPOSITORY, pull_from};
use crate::drop_in::assert_distribution_serves;

/// The user in the image.
const USER: u32 = 65532;

/// What `deploy/compose/compose.yml` leaves of root's capabilities, as docker's words.
const HARDENED: [&str; 8] = [
    "--read-only",
    "--cap-drop=ALL",
    "--cap-add=SETUID",
    "--cap-add=SETGID",
    "--cap-add=SETPCAP",
    "--cap-add=DAC_OVERRIDE",
    "--security-opt=no-new-privileges:true",
    "--stop-timeout=10",
];

/// The image as a container, in the machine's own network.
struct Container {
    docker: Docker,
    host: String,
}

impl Container {
    /// Builds the image with a daemon of its own, and runs it over this folder with these further words of `docker run`.
    async fn run(volume: &Path, upstream: &ScriptedUpstream, words: &[&str]) -> Self {
        let docker = Docker::start().await;
        container::build(&docker).await;
        let host = addresses::free().to_string();
        let set = [
            format!("--volume={}:/var/lib/registry", volume.display()),
            format!("--env=REGISTRY_HTTP_ADDR={host}"),
            format!("--env=REGISTRY_PROXY_REMOTEURL={}", upstream.url()),
        ];
        let fixed = [
            "run",
            "--detach",
            "--name=registry",
            "--network=host",
            "--health-interval=1s",
        ];
        let set = set.iter().map(String::as_str);
        let words: Vec<_> = fixed
            .into_iter()
            .chain(set)
            .chain(words.iter().copied())
            .chain([IMAGE])
            .collect();
        docker.run(&words).await.well();
        Self { docker, host }
    }

    async fn is_healthy(&self) {
        let words = ["inspect", "--format={{.State.Health.Status}}", "registry"];
        let is_so = async || self.docker.run(&words).await.output.trim() == "healthy";
        eventually("healthy, says docker", Duration::from_secs(30), is_so).await;
    }

    /// Another user than root, who has kept the one capability (`CAP_DAC_OVERRIDE`) alone.
    async fn runs_as_the_image_says(&self) {
        let user = format!("{USER} {USER} {USER} {USER}");
        assert_eq!(self.status("Uid:").await, user);
        assert_eq!(self.status("CapEff:").await, "0000000000000002");
        assert_eq!(self.status("CapBnd:").await, "0000000000000002");
    }

    async fn log(&self) -> String {
        self.docker.run(&["logs", "registry"]).await.output
    }

    /// A line of `/proc/…/status` of its one process.
    async fn status(&self, key: &str) -> String {
        let words = ["inspect", "--format={{.State.Pid}}", "registry"];
        let id = self.docker.run(&words).await.well();
        let status = std::fs::read_to_string(format!("/proc/{}/status", id.trim())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }
}

fn images() -> (Image, Image) {
    let one = |seed| {
        image()
            .random_layers(seed, 2, 100_000)
            .layer(Layer::text("note", "a note"))
            .build()
    };
    (one(1), one(2))
}

/// A Distribution that runs as root caches an image there, and ends.
async fn fill_by_distribution(store: &Store, upstream: &ScriptedUpstream, image: &Image) {
    let cache = distribution::mirror_of(&upstream.url()).store(store);
    let mut cache = cache.start().await;
    assert_distribution_serves(&cache, "old", image).await;
    for item in &image.blobs {
        eventually("written", Duration::from_secs(10), || async {
            store.blob(&item.digest).is_some()
        })
        .await;
    }
    cache.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_takes_over_a_volume_that_distribution_wrote_as_root_and_does_not_stay_root() {
    need!(
        "root",
        "dockerd",
        "docker",
        "containerd",
        "runc",
        "docker-registry",
        "static cistern"
    );
    let _alone = heavy().await;
    let (old, new) = images();
    let upstream = ScriptedUpstream::start().await;
    upstream.hold(&old, REPOSITORY, &["old"]);
    upstream.hold(&new, REPOSITORY, &["new"]);
    let store = Store::new();
    fill_by_distribution(&store, &upstream, &old).await;
    let asked = upstream.requests().len();

    let container = Container::run(store.path(), &upstream, &HARDENED).await;
    container.is_healthy().await;
    container.runs_as_the_image_says().await;
    pull_from(&container.host, REPOSITORY, "old", &old).await;
    let blobs = |from: usize| {
        let requests = upstream.requests();
        requests[from..]
            .iter()
            .filter(|request| request.path.contains("/blobs/"))
            .count()
    };
    assert_eq!(blobs(asked), 0, "what Distribution had is here");
    pull_from(&container.host, REPOSITORY, "new", &new).await;
    let owner_of = |digest: &str| std::fs::metadata(store.blob_file(digest)).unwrap().uid();
    assert_eq!(
        owner_of(&old.blobs[0].digest),
        0,
        "nothing was given to another owner"
    );
    let of_new = &new.blobs[0].digest;
    eventually("written", Duration::from_secs(10), || async {
        store.blob(of_new).is_some()
    })
    .await;
    assert_eq!(owner_of(of_new), USER);
    let said = container
        .docker
        .run(&["exec", "registry", "/cistern", "status"])
        .await
        .well();
    assert!(said.contains("/var/lib/registry is ok"), "{said}");
    container.docker.run(&["stop", "registry"]).await.well();
    assert!(
        container.log().await.contains("stopped"),
        "it was given its time"
    );

    // The way back: root reads what the other user has written.
    upstream.stop().await;
    let after = distribution::on_store(&store).start().await;
    for (tag, image) in [("old", &old), ("new", &new)] {
        assert_distribution_serves(&after, tag, image).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_runs_as_any_user_that_owns_the_volume_and_tells_another_what_to_do() {
    need!(
        "root",
        "dockerd",
        "docker",
        "containerd",
        "runc",
        "static cistern"
    );
    let _alone = heavy().await;
    let (image, _) = images();
    let upstream = ScriptedUpstream::start().await;
    upstream.hold(&image, REPOSITORY, &["v1"]);
    let store = Store::new();
    let container = Container::run(store.path(), &upstream, &["--user=4711:4712"]).await;
    let docker = &container.docker;
    let words = ["inspect", "--format={{.State.ExitCode}}", "registry"];
    docker.run(&["wait", "registry"]).await.well();
    assert_eq!(docker.run(&words).await.well().trim(), "1");
    let line = "\n  chown -R 4711:4712 /var/lib/registry\n";
    let log = container.log().await;
    assert!(log.contains(line), "{log}");

    chown(store.path(), Some(4711), Some(4712)).unwrap();
    docker.run(&["start", "registry"]).await.well();
    container.is_healthy().await;
    assert_eq!(container.status("Uid:").await, "4711 4711 4711 4711");
    assert_eq!(container.status("CapEff:").await, "0000000000000000");
    pull_from(&container.host, REPOSITORY, "v1", &image).await;
}

#[test]
fn the_compose_file_asks_for_what_the_image_was_tried_with() {
    let compose = asset("compose/compose.yml", &[]);
    for line in [
        "read_only: true",
        "cap_drop: [ALL]",
        "cap_add: [SETUID, SETGID, SETPCAP, DAC_OVERRIDE]",
        "security_opt: [\"no-new-privileges:true\"]",
        "stop_grace_period: 10s",
        "- store:/var/lib/registry",
    ] {
        assert!(compose.lines().any(|found| found.trim() == line), "{line}");
    }
}

#[tokio::test]
async fn systemd_understands_every_line_of_the_unit() {
    need!("systemd-analyze");
    let folder = tempfile::tempdir().unwrap();
    let unit = folder.path().join("cistern.service");
    // What the unit names is not installed here: any program and page that exist stand for them.
    let words = [
        ("/usr/local/bin/cistern", "/bin/true"),
        (
            "Documentation=file:/usr/local/share/doc/cistern/operating.md\n",
            "",
        ),
    ];
    std::fs::write(&unit, asset("systemd/cistern.service", &words)).unwrap();
    let verified = std::process::Command::new(need::program("systemd-analyze"))
        .arg("verify")
        .arg(&unit)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    let about_it: Vec<_> = said
        .lines()
        .filter(|line| line.contains("cistern.service"))
        .collect();
    assert!(verified.status.success() && about_it.is_empty(), "{said}");
}
