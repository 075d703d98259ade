//! CNCF Distribution, as Debian packages it: as an upstream, as the cache that we replace, and its garbage collection.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::need;
use crate::process::{Ran, launch, run};
use crate::registry::{Door, Product, Registry, RegistryBuilder};
use crate::store::Store;

/// The program. Tests ask with `need!("docker-registry")` first.
pub fn program() -> PathBuf {
    need::program("docker-registry")
}

/// A registry that holds what `store` holds.
pub fn on_store(store: &Store) -> RegistryBuilder {
    RegistryBuilder::new(Product::Distribution).store(store)
}

/// A pull-through cache of the registry at `url`.
pub fn mirror_of(url: &str) -> RegistryBuilder {
    RegistryBuilder::new(Product::Distribution).proxy_of(url)
}

/// A registry to push to. Foreign layers are allowed, which it otherwise refuses.
pub fn hosted() -> RegistryBuilder {
    RegistryBuilder::new(Product::Distribution)
        .set("REGISTRY_VALIDATION_MANIFESTS_URLS_ALLOW", "[\".*\"]")
}

/// Runs Distribution's garbage collection over a store on which nothing runs.
pub async fn collect_garbage(store: &Store, arguments: &[&str]) -> Ran {
    let folder = tempfile::tempdir().unwrap();
    let config = write_config(folder.path(), &Door::Open);
    let mut words = vec!["garbage-collect".to_owned()];
    words.extend(arguments.iter().map(|argument| (*argument).to_owned()));
    words.push(config);
    let mut launch = launch(program(), folder.path(), words);
    let root = store.path().display().to_string();
    launch.environment = vec![("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY".to_owned(), root)];
    run(&launch, Duration::from_mins(1)).await
}

/// The requests that a Distribution has answered, from its access log: method, path, status.
pub fn requests(registry: &Registry) -> Vec<(String, String, u16)> {
    registry.log().lines().filter_map(access_line).collect()
}

/// `… "GET /v2/ HTTP/1.1" 200 2 "" "agent"`
fn access_line(line: &str) -> Option<(String, String, u16)> {
    let (_, rest) = line.split_once("] \"")?;
    let (request, rest) = rest.split_once('"')?;
    let mut words = request.split(' ');
    let (method, path) = (words.next()?, words.next()?);
    let status = rest.split_whitespace().next()?.parse().ok()?;
    Some((method.to_owned(), path.to_owned(), status))
}

/// Writes its `config.yml`, deletion allowed as in its container image's own (without that a cache never throws away
/// what has expired); all that the environment can say is left to the environment.
pub(crate) fn write_config(folder: &Path, door: &Door) -> String {
    let auth = match door {
        Door::Open => String::new(),
        Door::Htpasswd { user, password } => {
            let file = write_htpasswd(folder, user, password);
            format!("auth:\n  htpasswd:\n    realm: test\n    path: {file}\n")
        }
        Door::Tokens {
            realm,
            service,
            issuer,
            certificate,
        } => format!(
            "auth:\n  token:\n    realm: {realm}\n    service: {service}\n    issuer: {issuer}\n    rootcertbundle: {}\n",
            certificate.display()
        ),
    };
    let text = format!(
        "version: 0.1\nlog:\n  level: info\nstorage:\n  filesystem: {{}}\n  delete:\n    enabled: true\nhttp: {{}}\n{auth}"
    );
    let file = folder.join("config.yml");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// Writes an htpasswd file with one user into `folder`, and says where.
pub(crate) fn write_htpasswd(folder: &Path, user: &str, password: &str) -> String {
    let file = folder.join("htpasswd");
    std::fs::write(&file, htpasswd_line(user, password, folder)).unwrap();
    file.display().to_string()
}

/// A line of an htpasswd file with bcrypt, made by Apache's `htpasswd`.
///
/// # Panics
/// When the program is missing; ask with `need!("htpasswd")`.
pub fn htpasswd_line(user: &str, password: &str, folder: &Path) -> String {
    let launch = launch(
        need::program("htpasswd"),
        folder,
        ["-nbB", "-C", "4", user, password],
    );
    let output = crate::process::command(&launch).output().unwrap();
    assert!(
        output.status.success(),
        "htpasswd: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
