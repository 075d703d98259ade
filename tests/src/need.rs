//! What a test needs from the machine, and the lock for tests that are heavy.

use std::path::PathBuf;
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

/// The first of `needs` that this machine lacks. Beside names of programs `root`, `static busybox` and `static cistern`
/// are understood: images are made of the latter two, which must run in a container that holds nothing else.
pub fn missing(needs: &[&str]) -> Option<String> {
    let has = |need: &str| match need {
        "root" => is_root(),
        "static busybox" => static_busybox().is_some(),
        "static cistern" => crate::container::static_binary().is_some(),
        program => find_program(program).is_some(),
    };
    needs
        .iter()
        .find(|need| !has(need))
        .map(|need| (*need).to_owned())
}

/// The bytes of `/bin/busybox`, if it is there and needs no shared library (Debian's busybox-static).
pub fn static_busybox() -> Option<Vec<u8>> {
    let program = std::fs::read("/bin/busybox").ok()?;
    (!names_interpreter(&program)).then_some(program)
}

/// Whether an ELF program asks for a dynamic loader (a program header of type `PT_INTERP`).
fn names_interpreter(elf: &[u8]) -> bool {
    let number = |offset: usize, size: usize| {
        elf.get(offset..offset + size).map_or(0, |bytes| {
            bytes
                .iter()
                .rev()
                .fold(0, |sum, byte| sum << 8 | usize::from(*byte))
        })
    };
    let wide = elf.get(4) == Some(&2);
    let (table, size, count) = if wide {
        (number(32, 8), number(54, 2), number(56, 2))
    } else {
        (number(28, 4), number(42, 2), number(44, 2))
    };
    (0..count).any(|entry| number(table + entry * size, 4) == 3)
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

/// Returns from the test when this machine lacks one of the named programs (or `root`, or `static busybox`).
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_with_a_loader_is_told_from_one_without() {
        assert!(names_interpreter(
            &std::fs::read(std::env::current_exe().unwrap()).unwrap()
        ));
        assert!(!names_interpreter(b"#!/bin/sh") && !names_interpreter(b""));
    }
}
