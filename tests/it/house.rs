//! The walls of the house: who must never see what. Crates are read from cargo's own account of them, modules by
//! looking for the name of the crate that they must not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};

/// Crates: must not depend on these, directly or through others, outside their tests.
const CRATES: [(&str, &[&str]); 6] = [
    ("cistern-oci", &["tokio", "axum", "reqwest", "sled"]),
    (
        "cistern-storage",
        &["axum", "http", "reqwest", "cistern-auth"],
    ),
    (
        "cistern-auth",
        &["axum", "reqwest", "sled", "cistern-storage"],
    ),
    ("cistern-deploy", &["tokio", "axum", "reqwest", "sled"]),
    // What judges the product must not share its mistakes.
    ("cistern-tests", &OURS),
    ("cistern-conformance", &OURS),
];

/// The product's own crates.
const OURS: [&str; 5] = [
    "cistern",
    "cistern-oci",
    "cistern-storage",
    "cistern-auth",
    "cistern-deploy",
];

/// Modules of the server, below `registry/src`: must not name these.
const MODULES: [(&str, &[&str]); 5] = [
    ("upstream", &["axum", "sled", "cistern_storage"]),
    (
        "pull",
        &[
            "axum",
            "StatusCode",
            "HeaderName",
            "http::header",
            "header::",
        ],
    ),
    (
        "push",
        &[
            "axum",
            "StatusCode",
            "HeaderName",
            "http::header",
            "header::",
        ],
    ),
    (
        "http",
        &[
            "sled",
            "reqwest",
            "std::path",
            "PathBuf",
            "std::fs",
            "tokio::fs",
        ],
    ),
    ("config", &["axum", "reqwest", "sled"]),
];

/// Of the rooms beside them, what modules must not name: `http` is known to nobody but the program's own assembly.
const ROOMS: [(&str, &[&str]); 5] = [
    ("upstream", &["crate::http", "crate::pull", "crate::push"]),
    ("pull", &["crate::http", "crate::push", "crate::commands"]),
    ("push", &["crate::http", "crate::commands"]),
    ("http", &["crate::upstream", "crate::commands"]),
    (
        "config",
        &[
            "crate::http",
            "crate::pull",
            "crate::push",
            "crate::commands",
        ],
    ),
];

/// Doors in the walls: files (by the beginning of their path) that may name a word all the same, and why.
const DOORS: [(&str, &str, &str); 5] = [
    (
        "registry/src/http/error",
        "crate::upstream",
        "the one table that turns every fault into an answer",
    ),
    (
        "registry/src/http/listen.rs",
        "std::path",
        "the admin socket's place, which is an address here",
    ),
    (
        "registry/src/http/socket.rs",
        "std::path",
        "the admin socket's place, which is an address here",
    ),
    (
        "storage/src/index/sled",
        "sled",
        "the index on disk: sled's one home",
    ),
    (
        "storage/src/index/mod.rs",
        "sled",
        "names that home, which is called after it",
    ),
];

fn has_door(file: &Path, word: &str) -> bool {
    let file = file.strip_prefix(root()).unwrap().display().to_string();
    DOORS
        .iter()
        .any(|(place, allowed, _)| file.starts_with(place) && *allowed == word)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Cargo's account of the workspace, for this platform.
fn metadata() -> Metadata {
    let rustc = Command::new("rustc").arg("-vV").output().unwrap();
    let rustc = String::from_utf8(rustc.stdout).unwrap();
    let host = rustc
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap();
    let mut command = MetadataCommand::new();
    command.manifest_path(root().join("Cargo.toml"));
    command
        .other_options(["--filter-platform".to_owned(), host.to_owned()])
        .exec()
        .unwrap()
}

/// All packages that a package is built with, by name: not what only its tests use.
fn built_with(metadata: &Metadata, package: &str) -> Option<BTreeSet<String>> {
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.to_string()))
        .collect();
    let nodes: BTreeMap<_, _> = metadata
        .resolve
        .as_ref()
        .unwrap()
        .nodes
        .iter()
        .map(|node| (&node.id, node))
        .collect();
    let start = names
        .iter()
        .find(|(_, name)| *name == package)
        .map(|(id, _)| *id)?;
    let (mut waiting, mut seen) = (vec![start], BTreeSet::new());
    while let Some(id) = waiting.pop() {
        for dependency in &nodes[id].deps {
            let normal = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind == DependencyKind::Normal);
            if normal && seen.insert(&dependency.pkg) {
                waiting.push(&dependency.pkg);
            }
        }
    }
    Some(seen.into_iter().map(|id| names[id].clone()).collect())
}

/// The Rust files below a path (`pull` is `pull.rs` and `pull/`), with their code, comments and tests left out.
fn code_of(path: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let file = path.with_extension("rs");
    if file.is_file() {
        found.push(file);
    }
    rust_files(path, &mut found);
    let read = |file: PathBuf| {
        let code = without_comments(&fs::read_to_string(&file).unwrap());
        (file, code)
    };
    let is_test = |file: &PathBuf| {
        file.file_name().is_some_and(|name| name == "tests.rs")
            || file.iter().any(|part| part == "tests")
    };
    found.retain(|file| !is_test(&file.strip_prefix(root()).unwrap_or(file).to_owned()));
    found.into_iter().map(read).collect()
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn without_comments(text: &str) -> String {
    let code = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    let lines = code
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether `code` names `word` as a path of its own: `axum` in `axum::Router` and `::axum`, not in `taxum` or
/// `crate::axum`. A word in small letters is a crate: alone it counts only after `use`.
fn names(code: &str, word: &str) -> bool {
    let part_of_word = |character: char| character.is_alphanumeric() || character == '_';
    let is_crate = word
        .chars()
        .all(|letter| letter.is_lowercase() || letter == '_');
    code.match_indices(word).any(|(start, _)| {
        let (before, after) = (&code[..start], &code[start + word.len()..]);
        let segment = before
            .strip_suffix("::")
            .is_some_and(|path| path.ends_with(part_of_word) || path.ends_with('>'));
        let begins = !before.ends_with(part_of_word) && !segment;
        let ends = word.ends_with(':') || !after.starts_with(part_of_word);
        let used =
            after.starts_with("::") || before.ends_with("use ") || before.ends_with("crate ");
        begins && ends && (used || !is_crate)
    })
}

fn offences(table: &[(&str, &[&str])]) -> Vec<String> {
    let mut offences = Vec::new();
    for (module, forbidden) in table {
        for (file, code) in code_of(&root().join("registry/src").join(module)) {
            let named = forbidden
                .iter()
                .filter(|word| names(&code, word) && !has_door(&file, word));
            offences.extend(named.map(|word| format!("{} names {word}", file.display())));
        }
    }
    offences
}

#[test]
fn no_crate_is_built_with_what_it_must_not_see() {
    let metadata = metadata();
    let mut offences = Vec::new();
    for (package, forbidden) in CRATES {
        let Some(packages) = built_with(&metadata, package) else {
            continue;
        };
        let seen = forbidden.iter().filter(|name| packages.contains(**name));
        offences.extend(seen.map(|name| format!("{package} is built with {name}")));
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn no_module_names_what_it_must_not_see() {
    let offences = offences(&MODULES);
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn the_rooms_of_the_server_know_each_other_in_one_direction() {
    let offences = offences(&ROOMS);
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn sled_is_named_in_one_place_only() {
    let mut offences = Vec::new();
    for folder in [
        "registry/src",
        "registry/oci/src",
        "storage/src",
        "auth/src",
        "deploy/src",
    ] {
        for (file, code) in code_of(&root().join(folder)) {
            if names(&code, "sled") && !has_door(&file, "sled") {
                offences.push(file);
            }
        }
    }
    assert!(offences.is_empty(), "{offences:#?}");
}

#[test]
fn the_walls_are_seen_where_they_would_be_broken() {
    for broken in [
        "use axum::Router;",
        "fn f(r: axum::Router) {}",
        "use axum;",
        "a(::axum::x)",
        "<axum::X>",
    ] {
        assert!(names(broken, "axum"), "{broken}");
    }
    for whole in [
        "let axum = 1;",
        "taxum::x",
        "axums::x",
        "crate::axum::x",
        "<T>::axum::x",
    ] {
        assert!(!names(whole, "axum"), "{whole}");
    }
    assert!(
        names("use crate::http::Table;", "crate::http")
            && !names("use crate::https::Table;", "crate::http")
    );
    assert!(names("use http::{StatusCode};", "StatusCode"));
    assert_eq!(
        without_comments("// axum::x\nok\n#[cfg(test)]\nmod tests {\naxum::x"),
        "ok"
    );
}
