use proptest::prelude::*;

use super::*;

#[test]
fn what_is_not_a_tag_is_refused_and_told_why() {
    assert_eq!("".parse::<Tag>(), Err(TagError::Empty));
    assert_eq!("a".repeat(129).parse::<Tag>(), Err(TagError::TooLong(129)));
    for text in [
        ".", "..", ".a", "-a", "a/b", "a:b", "a b", "a+b", "a%2e", "a\0", "ä",
    ] {
        assert_eq!(text.parse::<Tag>(), Err(TagError::Character), "{text:?}");
    }
}

#[test]
fn a_tag_has_at_most_128_characters() {
    assert!("a".repeat(128).parse::<Tag>().is_ok());
}

#[test]
fn tags_are_ordered_by_bytes() {
    let mut tags: Vec<Tag> = ["b", "_", "a", "1.10", "1.9", "Z"]
        .iter()
        .map(|tag| tag.parse().unwrap())
        .collect();
    tags.sort();
    let sorted: Vec<_> = tags.iter().map(Tag::as_str).collect();
    assert_eq!(sorted, ["1.10", "1.9", "Z", "_", "a", "b"]);
}

proptest! {
    #[test]
    fn every_tag_of_the_grammar_survives_being_parsed_and_printed(tag in "[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}") {
        prop_assert_eq!(tag.parse::<Tag>().map(|parsed| parsed.to_string()), Ok(tag));
    }

    #[test]
    fn a_text_with_any_other_character_is_no_tag(before in "[a-zA-Z0-9_]{0,5}", other in r"[^a-zA-Z0-9._-]", after in "[a-z.]{0,5}") {
        let text = format!("{before}{other}{after}");
        prop_assert_eq!(text.parse::<Tag>(), Err(TagError::Character));
    }
}
