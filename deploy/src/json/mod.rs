//! A JSON text as a tree that knows where in the text each value stands, and changes to it that touch nothing else.
//!
//! For people's own files: a byte order mark, tabs, `\/`, duplicate keys and the spelling of numbers stay as they are. Must not
//! know what a deployment is.

mod edits;
mod node;
mod parser;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod tests;

pub use edits::Edits;
pub use node::{Member, Node, Value};

/// A text that is JSON, and the tree of what it says.
#[derive(Clone, Debug)]
pub struct Document {
    text: String,
    root: Node,
    /// Where each line begins.
    lines: Vec<usize>,
}

/// Why a text is not JSON, and where that shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {what}")]
pub struct NotJson {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong there, and what to do.
    pub what: String,
}

// === impl Document ===

impl Document {
    /// Reads a text.
    ///
    /// JSON as RFC 8259 has it, and three liberties that edgeAgent and others take as well: a byte order mark at the
    /// beginning, a tab inside a text, half of a surrogate pair (read as U+FFFD, kept as written).
    ///
    /// # Errors
    /// The first place that is not JSON.
    pub fn parse(text: &str) -> Result<Self, NotJson> {
        let lines = line_starts(text);
        match parser::parse(text) {
            Ok(root) => Ok(Self {
                text: text.to_owned(),
                root,
                lines,
            }),
            Err(parser::Trouble { offset, what }) => {
                let (line, column) = position(text, &lines, offset);
                Err(NotJson { line, column, what })
            }
        }
    }

    /// The value that the text is.
    pub const fn root(&self) -> &Node {
        &self.root
    }

    /// The text, byte for byte as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Line and column (in characters) of a byte offset, both counted from 1.
    pub fn line_of(&self, offset: usize) -> (usize, usize) {
        position(&self.text, &self.lines, offset)
    }
}

fn line_starts(text: &str) -> Vec<usize> {
    let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
    std::iter::once(0).chain(after_breaks).collect()
}

fn position(text: &str, lines: &[usize], offset: usize) -> (usize, usize) {
    let line = lines.partition_point(|start| *start <= offset).max(1);
    let start = lines.get(line - 1).copied().unwrap_or_default();
    let before = text.get(start..offset).unwrap_or_default();
    let before = before.strip_prefix('\u{feff}').unwrap_or(before);
    (line, before.chars().count() + 1)
}
