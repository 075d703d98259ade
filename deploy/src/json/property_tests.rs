use proptest::prelude::*;

use super::*;

/// JSON texts as people and machines write them.
fn json() -> impl Strategy<Value = String> {
    let text = prop::collection::vec(
        prop_oneof![
            Just("a"),
            Just("é"),
            Just("😀"),
            Just("$"),
            Just(":"),
            Just("/"),
            Just("\\/"),
            Just("\\\""),
            Just("\\\\"),
            Just("\\n"),
            Just("\\u0041"),
            Just("\\ud83d\\ude00"),
            Just("\\ud83d"),
            Just("\t"),
            Just(" "),
        ],
        0..6,
    )
    .prop_map(|parts| format!("\"{}\"", parts.concat()));
    let blank = || prop_oneof![Just(""), Just(" "), Just("\t"), Just("\r\n"), Just("\n  ")];
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("-0.50".to_owned()),
        Just("1e400".to_owned()),
        text.clone(),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        let item = (blank(), inner, blank())
            .prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        let member = (blank(), text.clone(), blank(), item.clone())
            .prop_map(|(before, key, after, value)| format!("{before}{key}{after}:{value}"));
        prop_oneof![
            prop::collection::vec(item, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..5)
                .prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

fn texts<'node>(node: &'node Node, found: &mut Vec<&'node Node>) {
    match &node.value {
        Value::Text(_) => found.push(node),
        Value::List(nodes) => nodes.iter().for_each(|node| texts(node, found)),
        Value::Object(members) => members.iter().for_each(|member| texts(&member.node, found)),
        Value::Null | Value::Flag(_) | Value::Number(_) => {}
    }
}

fn with_one_character_changed(text: &str, at: usize, with: Option<char>) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    if characters.is_empty() {
        return with.into_iter().collect();
    }
    let at = at % characters.len();
    match with {
        Some(with) => characters[at] = with,
        None => {
            characters.remove(at);
        }
    }
    characters.into_iter().collect()
}

proptest! {
    #[test]
    fn what_is_valid_is_read_and_its_parts_are_where_they_are_said_to_be(text in json()) {
        let document = Document::parse(&text).unwrap();
        let mut found = Vec::new();
        texts(document.root(), &mut found);
        for node in found {
            let literal = &text[node.span.clone()];
            let alone = Document::parse(literal).unwrap();
            prop_assert_eq!(alone.root().as_text(), node.as_text());
        }
    }

    #[test]
    fn what_serde_reads_we_read_as_well_and_the_same(text in json()) {
        if let Ok(theirs) = serde_json::from_str::<serde_json::Value>(&text) {
            let ours = Document::parse(&text).unwrap();
            prop_assert_eq!(ours.root().to_json(), theirs);
        }
    }

    #[test]
    fn a_text_that_is_changed_and_changed_back_leaves_the_rest_as_it_was(text in json(), with in "[ -~é\n]{0,8}", which in any::<prop::sample::Index>()) {
        let document = Document::parse(&text).unwrap();
        let mut found = Vec::new();
        texts(document.root(), &mut found);
        if found.is_empty() {
            return Ok(());
        }
        let node = which.get(&found);
        let mut edits = Edits::default();
        edits.replace_text(node, &with);
        let edited = edits.apply(&document);
        prop_assert_eq!(&edited[..node.span.start], &text[..node.span.start]);
        prop_assert!(edited.ends_with(&text[node.span.end..]));
        let again = Document::parse(&edited).unwrap();
        let mut after = Vec::new();
        texts(again.root(), &mut after);
        prop_assert_eq!(after.len(), found.len());
        let changed = after.iter().find(|node| node.span.start == which.get(&found).span.start).unwrap();
        prop_assert_eq!(changed.as_text(), Some(with.as_str()));
    }

    #[test]
    fn replacing_a_text_by_itself_changes_no_byte(text in json()) {
        let document = Document::parse(&text).unwrap();
        let mut found = Vec::new();
        texts(document.root(), &mut found);
        let mut edits = Edits::default();
        for node in found {
            edits.replace_text(node, node.as_text().unwrap());
        }
        prop_assert_eq!(edits.apply(&document), text);
    }

    #[test]
    fn a_broken_text_is_refused_and_never_a_crash(text in json(), at in any::<usize>(), with in any::<Option<char>>()) {
        let broken = with_one_character_changed(&text, at, with);
        if let Err(why) = Document::parse(&broken) {
            prop_assert!(why.line >= 1 && why.column >= 1 && !why.what.is_empty());
            prop_assert!(serde_json::from_str::<serde_json::Value>(&broken).is_err());
        }
    }

    #[test]
    fn noise_is_refused_and_never_a_crash(noise in "[\\[\\]{}\",:0-9a-z\\\\ud8\n\t\u{feff}é-]{0,40}") {
        let _ = Document::parse(&noise);
    }
}
