//! The documents about configuration say what the program does: they are written from, or read by, the program itself.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read and write documents of the repository, and fail by panicking"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cistern::config::{
    Config, FileChoice, LoadFrom, Loaded, read_file, reference_page, reference_table,
};

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn load(file: FileChoice) -> Loaded {
    let environment = BTreeMap::new();
    Config::load(&LoadFrom {
        file,
        environment: &environment,
        strict: true,
        read: &read_file,
    })
    .unwrap_or_else(|errors| panic!("{errors}"))
}

/// Compares a document with what it should be; `UPDATE_DOCS=1` writes it.
fn assert_document(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is out of date; run the tests with UPDATE_DOCS=1",
        path.display()
    );
}

#[test]
fn the_example_is_the_default_configuration() {
    let example = load(FileChoice::Named(in_repository(
        "deploy/config.example.yml",
    )));
    assert_eq!(example.config, load(FileChoice::NotNamed).config);
}

#[test]
fn the_example_shows_every_key() {
    let example = std::fs::read_to_string(in_repository("deploy/config.example.yml")).unwrap();
    for row in reference_table().lines().skip(2) {
        let key = row.split('`').nth(1).unwrap();
        let word = key.rsplit('.').next().unwrap();
        let line = format!("{word}:");
        assert!(
            key == "loglevel"
                || example
                    .lines()
                    // Some only by being there choose a way that Distribution then wants to go.
                    .map(|text| text.trim_start_matches([' ', '#']))
                    .any(|text| text.starts_with(&line)),
            "{key} is not in the example"
        );
    }
}

#[test]
fn the_page_about_configuration_is_up_to_date() {
    assert_document(
        &in_repository("deploy/docs/configuration.md"),
        &reference_page(),
    );
}

#[test]
fn the_page_about_checks_is_up_to_date() {
    assert_document(
        &in_repository("deploy/docs/checks.md"),
        &cistern_deploy::check::page(),
    );
}

#[test]
fn the_table_in_the_readme_is_up_to_date() {
    const BEGIN: &str = "<!-- configuration keys: begin -->\n";
    const END: &str = "<!-- configuration keys: end -->";
    let path = in_repository("README.md");
    let Ok(readme) = std::fs::read_to_string(&path) else {
        return;
    };
    let Some((before, rest)) = readme.split_once(BEGIN) else {
        return;
    };
    let (_, after) = rest
        .split_once(END)
        .expect("the table in the README has a beginning and no end");
    assert_document(
        &path,
        &format!("{before}{BEGIN}{}{END}{after}", reference_table()),
    );
}

#[test]
fn distribution_starts_with_the_example() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new("docker-registry");
    command
        .arg("serve")
        .arg(in_repository("deploy/config.example.yml"));
    command.env("REGISTRY_HTTP_ADDR", "127.0.0.1:0").env(
        "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
        directory.path(),
    );
    let mut process = match command
        .env("REGISTRY_STORAGE_CACHE_RESERVE", "10%")
        .stderr(Stdio::piped())
        .spawn()
    {
        Ok(process) => process,
        Err(error) if std::env::var_os("CI").is_some() => {
            panic!("docker-registry does not run: {error}")
        }
        Err(error) => return eprintln!("skipped: docker-registry does not run: {error}"),
    };
    let lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let mut said = Vec::new();
    for line in lines.map_while(Result::ok) {
        let listens = line.contains("listening on");
        said.push(line);
        if listens {
            break;
        }
    }
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(
        said.last()
            .is_some_and(|line| line.contains("listening on")),
        "{said:#?}"
    );
}

#[test]
fn each_licence_that_is_named_is_there() {
    let manifest = std::fs::read_to_string(in_repository("Cargo.toml")).unwrap();
    let named = manifest
        .lines()
        .find_map(|line| line.strip_prefix("license = "))
        .unwrap();
    for licence in named.trim_matches('"').split(" OR ") {
        let short = licence.split('-').next().unwrap().to_uppercase();
        let text = std::fs::read_to_string(in_repository(&format!("LICENSE-{short}"))).unwrap();
        assert!(text.contains("License"), "{licence}");
    }
}
