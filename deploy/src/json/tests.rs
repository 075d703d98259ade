use super::*;

fn refused(text: &str) -> String {
    Document::parse(text).unwrap_err().to_string()
}

#[test]
fn every_value_knows_where_it_stands() {
    let text = "{\n\t\"a\": [1.50, true, null],\n  \"b\": {\"c\\/\": \"x\\u0024y\"}\n}\n";
    let document = Document::parse(text).unwrap();
    let a = document.root().member("a").unwrap();
    assert_eq!(&text[a.span.clone()], "[1.50, true, null]");
    let Value::List(nodes) = &a.value else {
        panic!("{a:?}")
    };
    assert_eq!(nodes[0].value, Value::Number("1.50".to_owned()));
    let b = document.root().member("b").unwrap();
    let c = b.member("c/").unwrap();
    assert_eq!(c.as_text(), Some("x$y"));
    assert_eq!(&text[c.span.clone()], "\"x\\u0024y\"");
    assert_eq!(document.line_of(c.span.start), (3, 16));
    assert_eq!(document.text(), text);
}

#[test]
fn a_byte_order_mark_tabs_and_duplicates_are_read() {
    let document = Document::parse("\u{feff}{\"a\": 1, \"a\": \"t\tab\"}").unwrap();
    assert_eq!(document.root().as_object().unwrap().len(), 2);
    assert_eq!(
        document.root().member("a").unwrap().as_text(),
        Some("t\tab")
    );
    assert_eq!(
        document.line_of(document.root().span.start),
        (1, 1),
        "the mark is no column"
    );
}

#[test]
fn numbers_keep_their_spelling_whatever_their_size() {
    for number in [
        "0",
        "-0.10",
        "1e400",
        "123456789012345678901234567890",
        "1E+2",
    ] {
        let document = Document::parse(number).unwrap();
        assert_eq!(document.root().value, Value::Number(number.to_owned()));
    }
    assert_eq!(
        Document::parse("1e999").unwrap().root().to_json(),
        serde_json::json!("1e999")
    );
}

#[test]
fn pairs_of_surrogates_are_one_character_and_halves_are_none() {
    let document = Document::parse(r#"["\ud83d\ude00", "\ud83dx", "\ude00"]"#).unwrap();
    let Value::List(nodes) = &document.root().value else {
        panic!()
    };
    let texts: Vec<_> = nodes.iter().filter_map(Node::as_text).collect();
    assert_eq!(texts, ["😀", "\u{fffd}x", "\u{fffd}"]);
}

#[test]
fn what_is_wrong_is_told_with_line_column_and_remedy() {
    for (text, wanted) in [
        ("", "line 1, column 1: there is nothing here but blanks"),
        (
            "{\n  \"a\": 1,\n}",
            "line 2, column 9: a comma right before the `}`: remove it",
        ),
        (
            "{\n \"é\": 1 \"b\": 2}",
            "line 2, column 9: `\"` where a comma or `}` is expected",
        ),
        (
            "{\"a\": <Registry>}",
            "line 1, column 7: `<` where a value is expected: fill in",
        ),
        (
            "{\"a\": 'x'}",
            "line 1, column 7: texts are in double quotes",
        ),
        ("{\"a\": True}", "write it in small letters: true"),
        ("// hello\n{}", "line 1, column 1: JSON has no comments"),
        ("{\"a\": 1 /* x */}", "JSON has no comments"),
        ("{\"a\": {", "line 1, column 7: this `{` is never closed"),
        ("[1, ", "line 1, column 1: this `[` is never closed"),
        (
            "{\"a\": \"b\n}",
            "line 1, column 7: this text is not closed on its line",
        ),
        ("\"abc", "line 1, column 1: this text is never closed"),
        ("\"\u{1}\"", "write it \\u0001"),
        (r#""C:\dir""#, "a backslash itself is written \\\\"),
        (r#""\u12""#, "without its four hexadecimal digits"),
        (
            "{} x",
            "line 1, column 4: `x` after the end of the JSON value",
        ),
        ("007", "a number does not begin with 0"),
        ("-", "where a digit of a number is expected"),
        ("{a: 1}", "`a` where a name in double quotes is expected"),
        (
            "{\"a\" 1}",
            "`1` where the `:` after the name \"a\" is expected",
        ),
    ] {
        let told = refused(text);
        assert!(told.contains(wanted), "{text:?}: {told}");
    }
}

#[test]
fn nesting_without_end_is_refused_and_not_a_crash() {
    let deep = "[".repeat(1_000_000);
    assert!(refused(&deep).contains("more than 128 levels"));
    let deep = "{\"a\":".repeat(100_000);
    assert!(refused(&deep).contains("more than 128 levels"));
    let most = format!("{}{}", "[".repeat(128), "]".repeat(128));
    assert!(Document::parse(&most).is_ok());
}

fn replaced(text: &str, with: &str) -> String {
    let document = Document::parse(text).unwrap();
    let mut edits = Edits::default();
    edits.replace_text(document.root().member("a").unwrap(), with);
    edits.apply(&document)
}

#[test]
fn what_is_equal_keeps_its_escapes() {
    assert_eq!(
        replaced(
            r#" {"a" :"mcr.microsoft.com\/x\/y\u003a1" }"#,
            "$upstream:443/x/y:1"
        ),
        r#" {"a" :"$upstream:443\/x\/y\u003a1" }"#
    );
    assert_eq!(
        replaced(r#"{"a":"\u0061b\/c"}"#, "ab/d"),
        r#"{"a":"\u0061b\/d"}"#
    );
    assert_eq!(replaced(r#"{"a":"aaa"}"#, "aa"), r#"{"a":"aa"}"#);
    assert_eq!(
        replaced(r#"{"a":""}"#, "q\"\\\n\u{1}é"),
        r#"{"a":"q\"\\\n\u0001é"}"#
    );
    assert_eq!(
        replaced(r#"{"a":12}"#, "x"),
        r#"{"a":"x"}"#,
        "also in the place of no text"
    );
}

#[test]
fn the_last_word_on_a_place_counts_and_a_span_that_is_none_is_left_out() {
    let document = Document::parse(r#"{"a":"x"}"#).unwrap();
    let node = document.root().member("a").unwrap();
    let mut edits = Edits::default();
    assert!(edits.is_empty());
    edits.replace_text(node, "y");
    edits.replace_text(node, "z");
    edits.replace_span(500..600, "never");
    assert_eq!(edits.apply(&document), r#"{"a":"z"}"#);
}
