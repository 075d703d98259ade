//! What a test needs from the machine, and the lock for tests that are heavy.

use std::path::{Path, PathBuf};
use tokio::sync::{Mutex, MutexGuard};

/// Where the program `name` is on this machine, if it is.
///
/// Debian's own folders come first: what the tests are written for is Debian's version of each program.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let fixed = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"].map(PathBuf::from);
    fixed
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The program `name`.
///
/// # Panics
/// When it is missing; tests ask with [`need!`](crate::need!) first.
pub fn program(name: &str) -> PathBuf {
    find_program(name).unwrap_or_else(|| panic!("the program {name} is missing"))
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The first of `needs` that this machine lacks. `root` and absolute paths are understood beside program names.
pub fn missing(needs: &[&str]) -> Option<String> {
    let has = |need: &str| match need {
        "root" => is_root(),
        path if path.starts_with('/') => Path::new(path).exists(),
        program => find_program(program).is_some(),
    };
    needs
        .iter()
        .find(|need| !has(need))
        .map(|need| (*need).to_owned())
}

/// Says that a test is skipped; with `CI=true` a skipped test is a failed one.
///
/// # Panics
/// With `CI=true`.
pub fn skip(test: &str, missing: &str) {
    assert!(
        std::env::var_os("CI").is_none_or(|value| value != "true"),
        "{test} needs {missing}, which is missing here"
    );
    eprintln!("SKIPPED {test}: {missing} is missing here");
}

/// Returns from the test when this machine lacks one of the named programs (or `root`, or an absolute path).
#[macro_export]
macro_rules! need {
    ($($what:literal),+ $(,)?) => {
        if let Some(missing) = $crate::need::missing(&[$($what),+]) {
            $crate::need::skip(std::thread::current().name().unwrap_or("a test"), &missing);
            return;
        }
    };
}

static HEAVY: Mutex<()> = Mutex::const_new(());

/// Held by tests that start daemons or need the machine for themselves: one at a time.
pub async fn heavy() -> MutexGuard<'static, ()> {
    HEAVY.lock().await
}
