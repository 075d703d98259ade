//! Who may come in, and who may write to what.

use std::path::Path;

use super::{Given, assert_one};
use crate::config::HtpasswdFile;

/// As Apache's `htpasswd -nbB jane pencil` prints it.
const JANE: &str = "jane:$2y$04$hkeMDoqYpZnz8DqzLJLex.Si5DmJDw3v0CluLj7k2nSvZhS90f8Tu\n";

fn with_users(keys: &str) -> Given {
    Given::keys(keys).with_file("/users", JANE)
}

#[test]
fn a_file_of_users_is_read_as_distribution_names_it() {
    let file = HtpasswdFile {
        realm: "Roof".to_owned(),
        path: "/users".into(),
    };
    let by_file = with_users("auth: {htpasswd: {realm: Roof, path: /users}}");
    assert_eq!(by_file.config().auth.as_ref(), Some(&file));
    let by_variables = Given::nothing()
        .with_file("/users", JANE)
        .with("REGISTRY_AUTH", "htpasswd")
        .with("REGISTRY_AUTH_HTPASSWD_REALM", "Roof")
        .with("REGISTRY_AUTH_HTPASSWD_PATH", "/users");
    assert_eq!(by_variables.config().auth, Some(file));
    let without_realm = with_users("auth: {htpasswd: {path: /users}}").config();
    assert_eq!(without_realm.auth.unwrap().realm, "Cistern");
    assert_eq!(Given::nothing().config().auth, None);
}

#[test]
fn users_that_are_not_there_stop_the_start_and_are_told_how_to_come() {
    let how = "make it with `htpasswd -Bbn USER PASSWORD > /users`";
    let keys = "auth: {htpasswd: {realm: r, path: /users}}";
    let missing = Given::keys(keys).errors();
    assert_one(
        &missing,
        &["/c.yml:2: auth.htpasswd.path: /users cannot be read", how],
    );
    for content in ["", "# nobody\n", "jane:pencil\n", "jane:$apr1$x$y\n"] {
        let given = Given::keys(keys).with_file("/users", content);
        assert_one(&given.errors(), &["no user with a bcrypt hash", how]);
    }
}

#[test]
fn a_way_of_asking_that_is_only_named_is_not_read_past() {
    for given in [
        Given::keys("auth: htpasswd"),
        Given::keys("auth: {htpasswd: }"),
        Given::keys("auth: {htpasswd: {realm: r}}"),
        Given::nothing().with("REGISTRY_AUTH", "htpasswd"),
    ] {
        assert_one(
            &given.errors(),
            &["auth.htpasswd.path", "no file of users is named"],
        );
    }
    assert_one(
        &Given::keys("auth: {plugin: {}}").errors(),
        &["/c.yml:2: auth.plugin", "no such way"],
    );
    assert_one(
        &with_users("auth: {htpasswd: {path: /users, relm: r}}").warnings(),
        &["auth.htpasswd.relm", "did you mean auth.htpasswd.realm?"],
    );
}

#[test]
fn lines_that_let_nobody_in_are_a_warning_that_counts_them() {
    let content = format!("# ours\n{JANE}old:$apr1$x$y\n\nnonsense\n");
    let given = Given::keys("auth: {htpasswd: {path: /users}}").with_file("/users", &content);
    assert_one(&given.warnings(), &["/users", "3, 5", "htpasswd -B"]);
}

#[test]
fn hosted_repositories_writers_and_deleting_are_read() {
    let config = Given::keys(
        "proxy: {remoteurl: a.example}
hosted: {repositories: ['local/*', edge], writefrom: [10.1.2.3/8, '::1'], incomplete: true}
http: {trustedproxies: ['::1']}
storage: {delete: {enabled: true}}",
    )
    .config();
    let patterns: Vec<_> = config
        .hosted
        .repositories
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(patterns, ["local/*", "edge"]);
    let networks: Vec<_> = config
        .hosted
        .write_from
        .iter()
        .flatten()
        .map(ToString::to_string)
        .collect();
    assert_eq!(networks, ["10.0.0.0/8", "::1/128"]);
    assert!(config.hosted.incomplete && config.storage.delete);
    let config = Given::nothing()
        .with("REGISTRY_PROXY_REMOTEURL", "a.example")
        .with("REGISTRY_HOSTED_REPOSITORIES_0", "local/*")
        .with("REGISTRY_HOSTED_WRITEFROM", "10.0.0.0/8,172.16.0.0/12")
        .with("REGISTRY_STORAGE_DELETE_ENABLED", "true")
        .config();
    assert_eq!(config.hosted.repositories.len(), 1);
    assert_eq!(config.hosted.write_from.map(|nets| nets.len()), Some(2));
    assert!(config.storage.delete);
    let config = Given::nothing().config();
    assert_eq!(
        (config.hosted.repositories, config.hosted.write_from),
        (vec![], None)
    );
    assert!(!config.hosted.incomplete && !config.storage.delete);
}

#[test]
fn an_empty_list_of_writers_means_nobody_and_no_list_means_nothing() {
    let write_from = |text: &str| Given::keys(text).config().hosted.write_from;
    assert_eq!(write_from("hosted: {writefrom: []}"), Some(vec![]));
    assert_eq!(write_from("hosted: {writefrom: }"), None);
    assert_eq!(write_from("hosted:"), None);
}

#[test]
fn what_is_no_pattern_and_no_network_is_an_error() {
    for (text, part) in [
        (
            "hosted: {repositories: [Local/*]}",
            "matches no repository's name",
        ),
        ("hosted: {writefrom: [everywhere]}", "no network"),
        ("hosted: {writefrom: {a: b}}", "a list is expected"),
        (
            "hosted: {repository: [a]}",
            "did you mean hosted.repositories?",
        ),
        ("hosted: {incomplete: perhaps}", "neither true nor false"),
    ] {
        assert_one(&Given::keys(text).errors(), &["/c.yml:2: hosted.", part]);
    }
}

#[test]
fn settings_of_hosting_that_do_nothing_or_too_much_are_warnings() {
    let cache = "proxy: {remoteurl: a.example}\n";
    for (text, parts) in [
        (
            "hosted: {repositories: [a]}".to_owned(),
            ["hosted.repositories", "there is no upstream"],
        ),
        (
            format!("{cache}hosted: {{writefrom: [10.0.0.0/8]}}"),
            ["hosted.writefrom", "every repository mirrors the upstream"],
        ),
        (
            format!("{cache}hosted: {{incomplete: true}}"),
            ["hosted.incomplete", "every repository mirrors the upstream"],
        ),
        (
            format!("{cache}hosted: {{repositories: ['*']}}"),
            ["hosted.repositories", "the upstream is never asked"],
        ),
        (
            "hosted: {writefrom: [127.0.0.0/8, 10.0.0.0/8]}".to_owned(),
            ["hosted.writefrom", "whoever reaches the proxy may push"],
        ),
        (
            "http: {anonymouspull: true}".to_owned(),
            ["http.anonymouspull", "nobody is asked for a login"],
        ),
        (
            "http: {anonymouspull: true}\nauth: {htpasswd: {path: /users}}".to_owned(),
            ["http.anonymouspull", "can pull and cannot push"],
        ),
    ] {
        assert_one(&with_users(&text).warnings(), &parts);
    }
}

#[test]
fn the_words_of_a_file_of_users_are_not_shown() {
    let loaded = with_users("auth: {htpasswd: {path: /users}}")
        .load()
        .unwrap();
    let shown = format!("{loaded:?}");
    assert!(
        shown.contains("/users") && !shown.contains("$2y$"),
        "{shown}"
    );
    assert_eq!(loaded.config.auth.unwrap().path, Path::new("/users"));
}
