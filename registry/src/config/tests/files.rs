//! Which file is read.

use std::path::{Path, PathBuf};

use super::super::FileChoice;
use super::Given;

const THREE: &str = "/etc/distribution/config.yml";
const TWO: &str = "/etc/docker/registry/config.yml";

fn file_of(given: &Given, choice: FileChoice) -> Option<PathBuf> {
    given.load_choice(choice).unwrap().file
}

#[test]
fn a_file_that_was_named_is_read_whatever_the_environment_says() {
    let given = Given::file("version: 0.1")
        .with_file("/other.yml", "version: 0.1")
        .with("REGISTRY_CONFIGURATION_PATH", "/other.yml");
    assert_eq!(
        file_of(&given, FileChoice::Named("/c.yml".into())).as_deref(),
        Some(Path::new("/c.yml"))
    );
    assert_eq!(
        file_of(&given, FileChoice::NotNamed).as_deref(),
        Some(Path::new("/other.yml"))
    );
    assert_eq!(
        file_of(&given, FileChoice::Search).as_deref(),
        Some(Path::new("/other.yml"))
    );
}

#[test]
fn without_arguments_the_usual_places_are_tried_in_order() {
    let both = Given::nothing()
        .with_file(THREE, "version: 0.1")
        .with_file(TWO, "version: 0.1");
    assert_eq!(
        file_of(&both, FileChoice::Search).as_deref(),
        Some(Path::new(THREE))
    );
    let old = Given::nothing().with_file(TWO, "version: 0.1");
    assert_eq!(
        file_of(&old, FileChoice::Search).as_deref(),
        Some(Path::new(TWO))
    );
    assert_eq!(file_of(&Given::nothing(), FileChoice::Search), None);
}

#[test]
fn serve_without_a_file_reads_none_even_if_one_lies_in_the_usual_place() {
    let debian = Given::nothing().with_file(TWO, "version: 0.1\nauth: {htpasswd: {path: /x}}");
    assert_eq!(file_of(&debian, FileChoice::NotNamed), None);
    assert!(debian.load_choice(FileChoice::Search).is_err());
}

#[test]
fn a_named_file_that_is_missing_is_named() {
    let errors = Given::nothing()
        .load_choice(FileChoice::Named("/gone.yml".into()))
        .unwrap_err()
        .to_string();
    assert!(errors.starts_with("error: /gone.yml: "), "{errors}");
    let given = Given::nothing().with("REGISTRY_CONFIGURATION_PATH", "/gone.yml");
    let errors = given
        .load_choice(FileChoice::NotNamed)
        .unwrap_err()
        .to_string();
    assert!(
        errors.contains("REGISTRY_CONFIGURATION_PATH") && errors.contains("/gone.yml"),
        "{errors}"
    );
}
