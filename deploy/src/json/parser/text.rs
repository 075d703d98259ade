//! Texts: the one kind of value that is spelled in more than one way.

use std::ops::Range;

use super::{Parser, Trouble, trouble};

/// The characters of a JSON text (with its quotes) and how each is spelled there; none if it is no whole text.
pub(in crate::json) fn text_units(literal: &str) -> Option<Vec<(char, &str)>> {
    let mut parser = Parser {
        text: literal,
        at: 1,
        levels: 0,
    };
    let mut units = Vec::new();
    if !literal.starts_with('"') {
        return None;
    }
    while parser.peek()? != b'"' {
        let start = parser.at;
        let character = parser.character(0).ok()?;
        units.push((character, literal.get(start..parser.at)?));
    }
    (parser.at + 1 == literal.len()).then_some(units)
}

impl Parser<'_> {
    pub(super) fn string(&mut self) -> Result<String, Trouble> {
        let opened = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(text);
                }
                _ => text.push(self.character(opened)?),
            }
        }
    }

    /// One character of a text, however it is spelled.
    fn character(&mut self, opened: usize) -> Result<char, Trouble> {
        let Some(character) = self.rest().chars().next() else {
            return trouble(
                opened,
                "this text is never closed: its last `\"` is missing",
            );
        };
        match character {
            '\\' => self.escape(),
            '\n' | '\r' => trouble(
                opened,
                "this text is not closed on its line: a `\"` is missing, or a line break has to be written \\n",
            ),
            control if control < ' ' && control != '\t' => {
                let code = u32::from(control);
                trouble(
                    self.at,
                    format!("a control character inside a text: write it \\u{code:04x}"),
                )
            }
            plain => {
                self.at += plain.len_utf8();
                Ok(plain)
            }
        }
    }

    fn escape(&mut self) -> Result<char, Trouble> {
        let start = self.at;
        self.at += 1;
        let letter = self.peek();
        let character = match letter {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => {
                return trouble(
                    start,
                    "a `\\` before something that needs none: a backslash itself is written \\\\",
                );
            }
        };
        self.at += 1;
        Ok(character)
    }

    fn unicode(&mut self, start: usize) -> Result<char, Trouble> {
        let Some(high) = self.hexadecimal(self.at + 1..self.at + 5) else {
            return trouble(start, "\\u without its four hexadecimal digits");
        };
        self.at += 5;
        if let Some(character) = char::from_u32(high) {
            return Ok(character);
        }
        let follows = self.rest().starts_with("\\u");
        let low = self.hexadecimal(self.at + 2..self.at + 6);
        let low = low.filter(|_| follows);
        match low {
            Some(low @ 0xDC00..=0xDFFF) if high < 0xDC00 => {
                self.at += 6;
                let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
            }
            _ => Ok(char::REPLACEMENT_CHARACTER),
        }
    }

    fn hexadecimal(&self, span: Range<usize>) -> Option<u32> {
        let digits = self.text.get(span)?;
        let all = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        all.then(|| u32::from_str_radix(digits, 16).ok()).flatten()
    }
}
