//! The product under test.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use crate::registry::{Product, RegistryBuilder};

/// The `cistern` binary of this working tree, in the profile of the tests: built once per run, so that nobody tests
/// yesterday's. `CISTERN_BINARY` names another one, which is taken as it is.
///
/// # Panics
/// When it cannot be built.
pub fn program() -> PathBuf {
    static PROGRAM: LazyLock<PathBuf> =
        LazyLock::new(|| std::env::var_os("CISTERN_BINARY").map_or_else(build, PathBuf::from));
    PROGRAM.clone()
}

/// Cargo puts this test into `<target>/<profile>/deps/`, and what it builds now into `<target>/<profile>/`.
fn build() -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().and_then(std::path::Path::parent).unwrap();
    let profile = match folder.file_name().and_then(|name| name.to_str()).unwrap() {
        "debug" => "dev",
        other => other,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "--package",
        "cistern",
        "--bin",
        "cistern",
        "--profile",
        profile,
    ]);
    command
        .arg("--target-dir")
        .arg(folder.parent().unwrap())
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    // What cargo tells a test about the test's own package would make build scripts believe that something changed.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "LD_LIBRARY_PATH"]
            .iter()
            .any(|own| text.starts_with(own))
        {
            command.env_remove(&name);
        }
    }
    let built = command.output().unwrap();
    assert!(
        built.status.success(),
        "cistern does not build:\n{}",
        String::from_utf8_lossy(&built.stderr)
    );
    folder.join("cistern")
}

/// A Cistern without an upstream: all of its repositories are its own, and what is in them may be deleted.
pub fn hosted() -> RegistryBuilder {
    RegistryBuilder::new(Product::Cistern).set("REGISTRY_STORAGE_DELETE_ENABLED", "true")
}

/// A Cistern in front of the registry at `url`.
pub fn mirror_of(url: &str) -> RegistryBuilder {
    RegistryBuilder::new(Product::Cistern).proxy_of(url)
}
