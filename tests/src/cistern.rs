//! The product under test.

use std::path::PathBuf;

use crate::registry::{Product, RegistryBuilder};

/// The `cistern` binary that belongs to this test run: the one beside the test's own folder of build products.
///
/// # Panics
/// When it was not built; `cargo test --workspace` builds it.
pub fn program() -> PathBuf {
    if let Some(given) = std::env::var_os("CISTERN_BINARY") {
        return given.into();
    }
    let own = std::env::current_exe().unwrap();
    let beside = own
        .ancestors()
        .skip(1)
        .map(|folder| folder.join("cistern"))
        .find(|file| file.is_file());
    beside.expect("the cistern binary: build it with `cargo build -p cistern` in the same profile")
}

/// A Cistern in front of the registry at `url`.
pub fn mirror_of(url: &str) -> RegistryBuilder {
    RegistryBuilder::new(Product::Cistern).proxy_of(url)
}
