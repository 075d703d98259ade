//! YAML as operators write it.

use std::fmt::Write as _;

use super::{Given, assert_one};
use proptest::prelude::*;

#[test]
fn a_key_written_twice_is_an_error_with_both_lines() {
    let errors =
        Given::file("version: 0.1\nhttp:\n  addr: ':1'\n  net: tcp\n  addr: ':2'\n").errors();
    assert_one(
        &errors,
        &["/c.yml:5", "`addr` is written twice, first in line 3"],
    );
}

#[test]
fn what_is_no_yaml_is_an_error_with_its_line() {
    assert_one(
        &Given::file("version: 0.1\nhttp:\n  addr: [::]:5000\n").errors(),
        &["/c.yml:3", "not YAML"],
    );
    assert_one(
        &Given::file("version: 0.1\nhttp: {addr: ':1'\n").errors(),
        &["not YAML"],
    );
    assert_one(&Given::file("a: b\n\tc: d\n").errors(), &["not YAML"]);
}

#[test]
fn anchors_and_merged_mappings_work() {
    let config = Given::keys(
        "proxy: {remoteurl: &host 'https://a.example', realms: [&realm b.example]}
http:
  debug: &debug {addr: ':2', prometheus: {enabled: true}}
log: &log {level: debug}
",
    )
    .config();
    assert_eq!(config.http.debug_address.unwrap().port, 2);
    let merged = Given::keys("log: {<<: {level: debug, formatter: json}, level: error}").config();
    assert_eq!(merged.log.level, super::super::LogLevel::Error);
    assert_eq!(merged.log.format, super::super::LogFormat::Json);
    let aliased =
        Given::keys("proxy: {remoteurl: a.example, aliases: &names [x.example], realms: *names}")
            .config();
    assert_eq!(aliased.proxy.realms, ["x.example"]);
}

#[test]
fn aliases_of_aliases_do_not_grow_without_end() {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let previous = format!("*a{}, ", level - 1).repeat(10);
        let _ = writeln!(text, "a{level}: &a{level} [{previous}]");
    }
    assert_one(
        &Given::file(&text).errors(),
        &["larger than any configuration"],
    );
}

#[test]
fn deep_nesting_is_refused() {
    assert_one(&Given::file(&"[".repeat(500)).errors(), &["/c.yml:1"]);
}

#[test]
fn only_the_first_document_counts_and_the_second_is_mentioned() {
    let given = Given::file("---\nversion: 0.1\nhttp: {addr: ':1'}\n---\nhttp: {addr: ':2'}\n");
    assert_one(&given.warnings(), &["only the first YAML document"]);
    assert_eq!(given.load().unwrap().config.http.address.port, 1);
}

#[test]
fn keys_that_are_no_texts_are_errors() {
    assert_one(&Given::keys("? [a, b]\n: c").errors(), &["no text"]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_do_no_harm() {
    let config = Given::file("\u{feff}version: 0.1\r\nhttp:\r\n  addr: ':7'\r\n").config();
    assert_eq!(config.http.address.port, 7);
}

#[test]
fn truth_values_have_all_their_names() {
    for (text, expected) in [
        ("true", true),
        ("Yes", true),
        ("on", true),
        ("no", false),
        ("'off'", false),
        ("FALSE", false),
    ] {
        let config = Given::keys(&format!(
            "storage: {{maintenance: {{readonly: {{enabled: {text}}}}}}}"
        ))
        .config();
        assert_eq!(config.storage.read_only, expected, "{text}");
    }
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(text in "\\PC*") {
        let _ = Given::file(&text).load();
    }

    #[test]
    fn no_likely_file_makes_it_panic(text in "(version|http|proxy|storage|auth|addr|: |\n|  |- |\\[|\\]|\\{|\\}|,|&a |\\*a|<<|'|\"|0\\.1|:5000){0,40}") {
        let _ = Given::file(&text).load();
    }

    #[test]
    fn no_variable_makes_it_panic(name in "REGISTRY_(HTTP|PROXY|AUTH|STORAGE|LOG|_|HEADERS|ALIASES|[0-9]|X){0,5}", value in "\\PC*") {
        let _ = Given::nothing().with(&name, &value).load();
    }
}
