//! Changes to a JSON text. What is not changed stays as it is, byte for byte.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;

use super::parser::text_units;
use super::{Document, Node};

/// Changes to the texts of a document, applied in one go.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    /// By where they begin: the last word on a place counts.
    texts: BTreeMap<usize, (Range<usize>, String)>,
}

// === impl Edits ===

impl Edits {
    /// Says that a value is to be this text.
    ///
    /// What old and new text have in common at their beginning and end keeps the spelling it has (`\/`, `\u0024`); the rest is
    /// written with the fewest escapes.
    pub fn replace_text(&mut self, node: &Node, with: &str) {
        self.replace_span(node.span.clone(), with);
    }

    /// The same for a value known by its span alone.
    pub fn replace_span(&mut self, span: Range<usize>, with: &str) {
        self.texts.insert(span.start, (span, with.to_owned()));
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// The document's text with the changes made. The spans must be of values of this document, none inside another; what is
    /// not is left out.
    pub fn apply(self, document: &Document) -> String {
        let text = document.text();
        let mut edited = String::with_capacity(text.len());
        let mut done = 0;
        for (span, with) in self.texts.into_values() {
            let (Some(before), Some(old)) = (text.get(done..span.start), text.get(span.clone()))
            else {
                continue;
            };
            edited.push_str(before);
            edited.push_str(&respelled(old, &with));
            done = span.end;
        }
        edited.push_str(text.get(done..).unwrap_or_default());
        edited
    }
}

/// `with` as a JSON text, spelled like `old` (a JSON value with its quotes) where both are equal.
fn respelled(old: &str, with: &str) -> String {
    let units = text_units(old).unwrap_or_default();
    let new: Vec<char> = with.chars().collect();
    let equal = |(unit, character): &(&(char, &str), &char)| unit.0 == **character;
    let head = units.iter().zip(&new).take_while(equal).count();
    let rest = units.len().min(new.len()) - head;
    let tail = units.iter().rev().zip(new.iter().rev());
    let tail = tail.take(rest).take_while(equal).count();
    let mut text = String::from("\"");
    text.extend(units.iter().take(head).map(|(_, raw)| *raw));
    let middle = new.iter().take(new.len() - tail).skip(head);
    middle.for_each(|character| push_escaped(&mut text, *character));
    text.extend(units.iter().skip(units.len() - tail).map(|(_, raw)| *raw));
    text.push('"');
    text
}

fn push_escaped(text: &mut String, character: char) {
    match character {
        '"' => text.push_str("\\\""),
        '\\' => text.push_str("\\\\"),
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        control if control < ' ' => {
            // Writing to a text never fails.
            let _ = write!(text, "\\u{:04x}", u32::from(control));
        }
        plain => text.push(plain),
    }
}
