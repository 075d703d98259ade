use proptest::prelude::*;

use super::*;

#[test]
fn names_that_registries_use_are_accepted() {
    for name in [
        "debian",
        "library/debian",
        "azureiotedge-agent",
        "a",
        "0",
        "team/blobs",
        "a/manifests/b",
        "tags/list",
        "a/blobs/uploads",
        "mcr.microsoft.com/azureiotedge-hub",
        "a__b",
        "a----b",
        "a.b_c__d-e---f/0",
    ] {
        assert_eq!(
            name.parse::<RepositoryName>()
                .map(|name| name.to_string())
                .as_deref(),
            Ok(name)
        );
    }
}

#[test]
fn a_name_that_breaks_the_grammar_is_refused_by_its_part() {
    for (name, part) in [
        ("/", ""),
        ("/a", ""),
        ("a/", ""),
        ("a//b", ""),
        ("..", ".."),
        ("a/../b", ".."),
        ("a/./b", "."),
        ("a/.b", ".b"),
        ("a./b", "a."),
        ("a..b", "a..b"),
        ("a___b", "a___b"),
        ("a._b", "a._b"),
        ("a-_b", "a-_b"),
        ("a_-b", "a_-b"),
        ("-a", "-a"),
        ("a-", "a-"),
        ("a_", "a_"),
        ("_catalog", "_catalog"),
        ("Debian", "Debian"),
        ("a b", "a b"),
        ("a:5000", "a:5000"),
        ("a%2e", "a%2e"),
        ("a\0", "a\0"),
        ("ä", "ä"),
    ] {
        assert_eq!(
            name.parse::<RepositoryName>(),
            Err(NameError::Component(part.into())),
            "{name:?}"
        );
    }
    assert_eq!("".parse::<RepositoryName>(), Err(NameError::Empty));
}

#[test]
fn a_name_has_at_most_255_bytes() {
    assert!("a".repeat(255).parse::<RepositoryName>().is_ok());
    assert_eq!(
        "a".repeat(256).parse::<RepositoryName>(),
        Err(NameError::TooLong(256))
    );
}

#[test]
fn a_name_is_written_to_json_as_its_text_and_checked_when_read() {
    let name: RepositoryName = "library/debian".parse().unwrap();
    assert_eq!(serde_json::to_string(&name).unwrap(), r#""library/debian""#);
    assert_eq!(
        serde_json::from_str::<RepositoryName>(r#""library/debian""#).unwrap(),
        name
    );
    assert!(serde_json::from_str::<RepositoryName>(r#""../etc""#).is_err());
}

/// The grammar of the specification, said in another way than the parser reads it: what stands
/// between letters and digits is a dot, one or two underscores or any number of dashes, and nothing
/// stands before or behind.
fn follows_the_grammar(name: &str) -> bool {
    let is_word = |character: char| character.is_ascii_lowercase() || character.is_ascii_digit();
    name.split('/').all(|component| {
        let between = component.trim_matches(is_word);
        let framed = component.starts_with(is_word) && component.ends_with(is_word);
        framed
            && between.split(is_word).all(|separator| {
                matches!(separator, "" | "." | "_" | "__")
                    || separator.chars().all(|character| character == '-')
            })
    })
}

proptest! {
    #[test]
    fn every_name_of_the_grammar_survives_being_parsed_and_printed(
        name in r"[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,3}(/[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}){0,3}"
    ) {
        prop_assert_eq!(name.parse::<RepositoryName>().map(|parsed| parsed.to_string()), Ok(name));
    }

    #[test]
    fn exactly_the_names_of_the_grammar_are_accepted(name in r"[a0._/-]{1,9}|[abz09._/A -]{1,12}|\PC{1,8}") {
        prop_assert_eq!(name.parse::<RepositoryName>().is_ok(), follows_the_grammar(&name));
    }
}
