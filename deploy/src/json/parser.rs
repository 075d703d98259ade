//! From text to tree.

mod text;

use super::{Member, Node, Value};

pub(super) use text::text_units;

/// So deep values may be nested: more than any deployment, and little enough for every stack.
const MOST_LEVELS: usize = 128;

/// What is wrong, and at which byte.
#[derive(Debug)]
pub(super) struct Trouble {
    pub(super) offset: usize,
    pub(super) what: String,
}

fn trouble<T>(offset: usize, what: impl Into<String>) -> Result<T, Trouble> {
    let what = what.into();
    Err(Trouble { offset, what })
}

pub(super) fn parse(text: &str) -> Result<Node, Trouble> {
    let at = if text.starts_with('\u{feff}') { 3 } else { 0 };
    let mut parser = Parser {
        text,
        at,
        levels: 0,
    };
    parser.skip_blanks();
    if parser.peek().is_none() {
        return trouble(
            parser.at,
            "there is nothing here but blanks: a JSON value is missing",
        );
    }
    let root = parser.value()?;
    parser.skip_blanks();
    match parser.peek() {
        None => Ok(root),
        Some(_) => trouble(
            parser.at,
            format!(
                "{} after the end of the JSON value: remove it",
                parser.found()
            ),
        ),
    }
}

struct Parser<'text> {
    text: &'text str,
    /// The byte that is read next; always between two characters.
    at: usize,
    levels: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    /// What stands here, for messages.
    fn found(&self) -> String {
        match self.rest().chars().next() {
            None => "the end of the text".to_owned(),
            Some(character) if character.is_control() || character == '\u{feff}' => {
                format!("the character U+{:04X}", u32::from(character))
            }
            Some(character) => format!("`{character}`"),
        }
    }

    fn value(&mut self) -> Result<Node, Trouble> {
        let start = self.at;
        let value = match self.peek() {
            Some(b'{') => self.nested(Self::object)?,
            Some(b'[') => self.nested(Self::list)?,
            Some(b'"') => Value::Text(self.string()?),
            Some(b'-' | b'0'..=b'9') => Value::Number(self.number()?),
            Some(b'a'..=b'z' | b'A'..=b'Z') => self.word()?,
            _ => return self.no_value(),
        };
        let span = start..self.at;
        Ok(Node { span, value })
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Trouble>) -> Result<Value, Trouble> {
        if self.levels == MOST_LEVELS {
            return trouble(
                self.at,
                format!("more than {MOST_LEVELS} levels of nesting"),
            );
        }
        self.levels += 1;
        self.at += 1;
        let value = read(self)?;
        self.levels -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, Trouble> {
        let opened = self.at - 1;
        let mut members = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Object(members));
        }
        loop {
            self.skip_blanks();
            members.push(self.member(opened)?);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.comma(b'}')?,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(Value::Object(members));
                }
                _ => return self.no_comma(opened, "}"),
            }
        }
    }

    fn member(&mut self, opened: usize) -> Result<Member, Trouble> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return match self.peek() {
                None => self.never_closed(opened, "}"),
                Some(b'/') => self.comment(),
                Some(_) => {
                    let found = self.found();
                    trouble(
                        start,
                        format!("{found} where a name in double quotes is expected"),
                    )
                }
            };
        }
        let key = self.string()?;
        let key_span = start..self.at;
        self.skip_blanks();
        if self.peek() != Some(b':') {
            let found = self.found();
            return trouble(
                self.at,
                format!("{found} where the `:` after the name {key:?} is expected"),
            );
        }
        self.at += 1;
        self.skip_blanks();
        let node = self.value()?;
        Ok(Member {
            key,
            key_span,
            node,
        })
    }

    fn list(&mut self) -> Result<Value, Trouble> {
        let opened = self.at - 1;
        let mut nodes = Vec::new();
        self.skip_blanks();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(nodes));
        }
        loop {
            self.skip_blanks();
            if self.peek().is_none() {
                return self.never_closed(opened, "]");
            }
            nodes.push(self.value()?);
            self.skip_blanks();
            match self.peek() {
                Some(b',') => self.comma(b']')?,
                Some(b']') => {
                    self.at += 1;
                    return Ok(Value::List(nodes));
                }
                _ => return self.no_comma(opened, "]"),
            }
        }
    }

    /// Passes a comma that something follows.
    fn comma(&mut self, closing: u8) -> Result<(), Trouble> {
        let comma = self.at;
        self.at += 1;
        self.skip_blanks();
        if self.peek() == Some(closing) {
            let closing = char::from(closing);
            return trouble(
                comma,
                format!("a comma right before the `{closing}`: remove it"),
            );
        }
        Ok(())
    }

    fn no_comma<T>(&self, opened: usize, closing: &str) -> Result<T, Trouble> {
        match self.peek() {
            None => self.never_closed(opened, closing),
            Some(b'/') => self.comment(),
            Some(_) => trouble(
                self.at,
                format!("{} where a comma or `{closing}` is expected", self.found()),
            ),
        }
    }

    fn never_closed<T>(&self, opened: usize, closing: &str) -> Result<T, Trouble> {
        let opening = self.text.get(opened..=opened).unwrap_or_default();
        trouble(
            opened,
            format!(
                "this `{opening}` is never closed: a `{closing}` is missing, or the text was cut off"
            ),
        )
    }

    fn comment<T>(&self) -> Result<T, Trouble> {
        trouble(self.at, "JSON has no comments: remove it")
    }

    fn no_value<T>(&self) -> Result<T, Trouble> {
        let found = self.found();
        let what = match self.peek() {
            Some(b'\'') => "texts are in double quotes, not in single ones".to_owned(),
            Some(b'/') => return self.comment(),
            Some(b'<' | b'$' | b'#' | b'%') => format!(
                "{found} where a value is expected: fill in what it stands for, or put it in double quotes"
            ),
            _ => format!("{found} where a value is expected"),
        };
        trouble(self.at, what)
    }

    fn word(&mut self) -> Result<Value, Trouble> {
        let start = self.at;
        let letters = |letter: char| letter.is_ascii_alphanumeric();
        let end = self.rest().find(|letter| !letters(letter));
        let end = end.map_or(self.text.len(), |length| start + length);
        let word = self.text.get(start..end).unwrap_or_default();
        let value = match word {
            "null" => Value::Null,
            "true" => Value::Flag(true),
            "false" => Value::Flag(false),
            _ => {
                let meant = word.to_ascii_lowercase();
                let hint = match meant.as_str() {
                    "null" | "true" | "false" => format!("write it in small letters: {meant}"),
                    "none" | "nan" | "undefined" => "JSON's word for nothing is null".to_owned(),
                    _ => "a text has to be in double quotes".to_owned(),
                };
                return trouble(start, format!("the word `{word}` is no JSON value: {hint}"));
            }
        };
        self.at = end;
        Ok(value)
    }

    fn number(&mut self) -> Result<String, Trouble> {
        let start = self.at;
        self.skip(b'-');
        if self.skip(b'0') {
            if matches!(self.peek(), Some(b'0'..=b'9')) {
                return trouble(
                    start,
                    "a number does not begin with 0: put it in double quotes if it is a text",
                );
            }
        } else {
            self.digits()?;
        }
        if self.skip(b'.') {
            self.digits()?;
        }
        if self.skip(b'e') || self.skip(b'E') {
            let _ = self.skip(b'+') || self.skip(b'-');
            self.digits()?;
        }
        Ok(self.text.get(start..self.at).unwrap_or_default().to_owned())
    }

    fn skip(&mut self, byte: u8) -> bool {
        let is_here = self.peek() == Some(byte);
        self.at += usize::from(is_here);
        is_here
    }

    fn digits(&mut self) -> Result<(), Trouble> {
        let start = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        if self.at == start {
            let found = self.found();
            return trouble(
                start,
                format!("{found} where a digit of a number is expected"),
            );
        }
        Ok(())
    }
}
