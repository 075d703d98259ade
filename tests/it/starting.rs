//! Starting: with which configuration, found where, and with which not at all.

use std::path::{Path, PathBuf};

use cistern_tests::caller::get;
use cistern_tests::process::{Process, launch};
use cistern_tests::registry::{Product, RegistryBuilder};
use cistern_tests::store::Store;
use cistern_tests::{addresses, cistern, eventually};
use tempfile::TempDir;

use crate::scene::{SOON, TAG_PATH, assert_served, cache_of, upstream};

/// A configuration file in a folder of its own.
struct ConfigFile {
    _folder: TempDir,
    path: PathBuf,
}

impl ConfigFile {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.yml");
        std::fs::write(&path, text).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }
}

/// The server must refuse to start, with exit code 2, and name all of this.
async fn does_not_start(text: &str, says: &[&str]) {
    let file = ConfigFile::new(text);
    let builder = RegistryBuilder::new(Product::Cistern).arguments(&["serve", file.path()]);
    let (status, output) = builder.start_in_vain().await;
    assert_eq!(status.code(), Some(2), "{output}");
    for words in says {
        assert!(output.contains(words), "{words:?} is missing in {output}");
    }
    assert!(
        output.contains(file.path()) && output.contains("does not start"),
        "{output}"
    );
}

#[tokio::test]
async fn a_protection_that_cannot_be_given_stops_the_start() {
    let htpasswd = "version: 0.1\nauth:\n  htpasswd:\n    realm: basic\n    path: /nowhere\n";
    let says = [
        "auth.htpasswd.path",
        "htpasswd -Bbn USER PASSWORD > /nowhere",
    ];
    does_not_start(htpasswd, &says).await;
    let token = "version: 0.1\nauth:\n  token:\n    realm: https://auth.example\n";
    does_not_start(token, &["auth.token", "everybody could pull"]).await;
    let silly = "version: 0.1\nauth:\n  silly:\n    realm: x\n";
    does_not_start(silly, &["auth.silly"]).await;
    let tls = "version: 0.1\nhttp:\n  addr: :5000\n  tls:\n    clientcas: [/dev/null]\n";
    does_not_start(tls, &["http.tls", "in the clear"]).await;
    does_not_start("version: 0.1\nhttp:\n  net: unix\n", &["http.net", "unix"]).await;
}

#[tokio::test]
async fn bytes_that_would_live_elsewhere_stop_the_start() {
    for driver in ["s3", "azure", "gcs", "inmemory", "swift", "oss"] {
        let text = format!("version: 0.1\nstorage:\n  {driver}:\n    bucket: x\n");
        does_not_start(&text, &[&format!("storage.{driver}")]).await;
    }
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once() {
    let text = "version: 0.1\nauth:\n  htpasswd:\n    path: /x\nhttp:\n  tls:\n    key: /k\nproxy:\n  remoteurl: ftp://x\n  checkevery: often\n  whengoen: keep\n";
    let says = [
        "auth.htpasswd",
        "http.tls",
        "proxy.remoteurl",
        "proxy.checkevery",
        "proxy.whengoen",
        "whengone",
    ];
    does_not_start(text, &says).await;
}

#[tokio::test]
async fn protections_from_the_environment_count_as_much() {
    for (name, value) in [
        ("REGISTRY_AUTH", "htpasswd"),
        ("REGISTRY_AUTH_HTPASSWD_PATH", "/auth/htpasswd"),
        ("REGISTRY_HTTP_TLS_CERTIFICATE", "/c.pem"),
        ("REGISTRY_STORAGE", "s3"),
    ] {
        let (status, output) = RegistryBuilder::new(Product::Cistern)
            .set(name, value)
            .start_in_vain()
            .await;
        assert_eq!(status.code(), Some(2), "{output}");
        assert!(output.contains(name), "{output}");
    }
}

#[tokio::test]
async fn variables_that_kubernetes_injects_are_a_warning() {
    let (upstream, image) = upstream().await;
    let cache = cache_of(&upstream, &[])
        .set("REGISTRY_PORT", "tcp://10.0.0.1:5000")
        .set("REGISTRY_SERVICE_HOST", "10.0.0.1")
        .set("REGISTRY_SERVICE_PORT", "5000")
        .set("REGISTRY_PORT_5000_TCP_ADDR", "10.0.0.1")
        .start()
        .await;
    let answer = get(TAG_PATH).send(&cache.host()).await;
    assert_served(&answer, &image.top().bytes);
    let log = cache.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert!(
        warnings.len() == 1
            && warnings[0].contains("REGISTRY_PORT")
            && warnings[0].contains("Kubernetes"),
        "{log}"
    );
}

#[tokio::test]
async fn a_variable_with_a_typing_error_is_a_warning_that_knows_better() {
    let (upstream, _) = upstream().await;
    let cache = cache_of(&upstream, &[])
        .set("REGISTRY_PROXY_REMOTURL", "https://x")
        .start()
        .await;
    let log = cache.log();
    assert!(
        log.contains("WARN") && log.contains("did you mean REGISTRY_PROXY_REMOTEURL"),
        "{log}"
    );
}

#[tokio::test]
async fn strict_makes_every_warning_an_error() {
    let (upstream, _) = upstream().await;
    let builder = cache_of(&upstream, &[]).set("REGISTRY_PORT", "tcp://10.0.0.1:5000");
    let (status, output) = builder
        .arguments(&["serve", "--strict"])
        .start_in_vain()
        .await;
    assert_eq!(status.code(), Some(2), "{output}");
    assert!(output.contains("REGISTRY_PORT"), "{output}");
}

/// Starts the program under this name, with these arguments and nothing else, and asks it for the image of the file.
async fn starts(
    name: &str,
    arguments: &[&str],
    environment: &[(&str, &str)],
    host: &str,
) -> String {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(name);
    std::os::unix::fs::symlink(cistern::program(), &program).unwrap();
    let mut launch = launch(program, Path::new(folder.path()), arguments.iter().copied());
    launch.environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let mut process = Process::start(&launch);
    eventually("starting", SOON, || async {
        get("/v2/").send(host).await.status == 200
    })
    .await;
    let answer = get(TAG_PATH).send(host).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(process.stop(SOON).await.success());
    process.log()
}

#[tokio::test]
async fn the_configuration_is_found_where_distribution_finds_it() {
    let (upstream, _) = upstream().await;
    let (store, address) = (Store::new(), addresses::free().to_string());
    let text = format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\nproxy:\n  remoteurl: {}\n",
        store.path().display(),
        upstream.url(),
    );
    let file = ConfigFile::new(&text);
    let path = [("REGISTRY_CONFIGURATION_PATH", file.path())];
    starts("cistern", &["serve", file.path()], &[], &address).await;
    starts("cistern", &[file.path()], &[], &address).await;
    starts("cistern", &["serve"], &path, &address).await;
    starts("cistern", &[], &path, &address).await;
    starts("registry", &["serve", file.path()], &[], &address).await;
    starts("registry", &[file.path()], &[], &address).await;
    starts(
        "cistern",
        &["registry", "serve", file.path()],
        &[],
        &address,
    )
    .await;
    assert!(upstream.count("HEAD", TAG_PATH) >= 1);
}

#[tokio::test]
async fn the_environment_overrides_the_file() {
    let (upstream, _) = upstream().await;
    let (store, address) = (Store::new(), addresses::free().to_string());
    let text =
        "version: 0.1\nhttp:\n  addr: 127.0.0.1:1\nproxy:\n  remoteurl: http://127.0.0.1:2\n";
    let file = ConfigFile::new(text);
    let root = store.path().display().to_string();
    let environment = [
        ("REGISTRY_HTTP_ADDR", &*address),
        ("REGISTRY_PROXY_REMOTEURL", &upstream.url()),
        ("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY", &root),
    ];
    starts("cistern", &["serve", file.path()], &environment, &address).await;
}

#[tokio::test]
async fn keys_of_distribution_that_cost_nothing_are_silent_and_others_are_one_warning_each() {
    let (upstream, image) = upstream().await;
    let text = "version: 0.1\nlog:\n  fields:\n    service: registry\nstorage:\n  cache:\n    blobdescriptor: inmemory\n  delete:\n    enabled: true\n  redirect:\n    disable: true\nhttp:\n  secret: asecret\n  relativeurls: true\nhealth:\n  storagedriver:\n    enabled: true\n    interval: 10s\n    threshold: 3\nnotifications:\n  endpoints:\n    - name: x\n";
    let file = ConfigFile::new(text);
    let cache = cache_of(&upstream, &[])
        .arguments(&["serve", file.path()])
        .start()
        .await;
    assert_served(&get(TAG_PATH).send(&cache.host()).await, &image.top().bytes);
    let log = cache.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert_eq!(warnings.len(), 2, "{log}");
    assert!(
        warnings[0].contains("log.fields") && warnings[1].contains("notifications"),
        "{log}"
    );
    assert!(!log.contains("asecret"));
}

#[tokio::test]
async fn a_file_that_is_not_there_and_a_word_that_is_no_command_are_told_apart() {
    let missing =
        RegistryBuilder::new(Product::Cistern).arguments(&["serve", "/nowhere/config.yml"]);
    let (status, output) = missing.start_in_vain().await;
    assert!(
        status.code() == Some(2) && output.contains("/nowhere/config.yml"),
        "{output}"
    );
    let typo = RegistryBuilder::new(Product::Cistern).arguments(&["sevre"]);
    let (status, output) = typo.start_in_vain().await;
    assert!(
        status.code() == Some(2) && output.contains("did you mean `cistern serve`"),
        "{output}"
    );
}

#[tokio::test]
async fn an_address_that_is_taken_stops_the_start_and_is_named() {
    let (upstream, _) = upstream().await;
    let builder = cache_of(&upstream, &[]).address(upstream.address());
    let (status, output) = builder.start_in_vain().await;
    assert_eq!(status.code(), Some(1), "{output}");
    assert!(
        output.contains("http.addr") && output.contains(&upstream.host()),
        "{output}"
    );
}

#[tokio::test]
async fn a_store_has_one_server_and_the_second_says_whose_it_is() {
    let (upstream, _) = upstream().await;
    let cache = cache_of(&upstream, &[]).start().await;
    let second = cache_of(&upstream, &[]).store(cache.store());
    let (status, output) = second.start_in_vain().await;
    assert_eq!(status.code(), Some(1), "{output}");
    let holder = cache.id().to_string();
    assert!(
        output.contains("rootdirectory") && output.contains(&holder),
        "{output}"
    );
}

#[tokio::test]
async fn a_parent_of_the_hierarchy_is_found_by_its_variable() {
    let (upstream, image) = upstream().await;
    let tunnel = crate::tunnel::Tunnel::to(upstream.address()).await;
    let cache = cistern_tests::cistern::mirror_of("http://$upstream:8000")
        .set("IOTEDGE_PARENTHOSTNAME", "parent.floor2.invalid")
        .set("http_proxy", &tunnel.url())
        .start()
        .await;
    assert_served(&get(TAG_PATH).send(&cache.host()).await, &image.top().bytes);
    assert!(
        tunnel
            .asked()
            .iter()
            .all(|place| place == "parent.floor2.invalid:8000")
    );
}
