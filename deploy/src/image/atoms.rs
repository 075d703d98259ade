//! Placeholders inside a name: `${MODULES.app}`, `$(BuildId)`, `$ACR_ADDRESS`, `<Container_Registry>`, `{{ tag }}`, `#{tag}#`,
//! `%TAG%`. What stands inside one takes no part in how the name is read.

use std::ops::Range;

/// Beginnings and ends of placeholders; the longer ones first.
const BRACKETS: [(&str, &str); 6] = [
    ("${", "}"),
    ("$(", ")"),
    ("#{", "}#"),
    ("{{", "}}"),
    ("<", ">"),
    ("%", "%"),
];

/// A name and where its placeholders are.
pub(super) struct Atoms<'text> {
    text: &'text str,
    placeholders: Vec<Range<usize>>,
}

// === impl Atoms ===

impl<'text> Atoms<'text> {
    pub(super) fn of(text: &'text str) -> Self {
        let mut placeholders = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            match placeholder_length(rest) {
                Some(length) => {
                    placeholders.push(at..at + length);
                    at += length;
                }
                None => at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        Self { text, placeholders }
    }

    pub(super) const fn has_placeholder(&self) -> bool {
        !self.placeholders.is_empty()
    }

    /// Whether the name is one placeholder and nothing else.
    pub(super) fn is_placeholder(&self) -> bool {
        matches!(self.placeholders.as_slice(), [one] if one.len() == self.text.len())
    }

    fn is_inside(&self, at: usize) -> bool {
        let mut placeholders = self.placeholders.iter();
        placeholders.any(|placeholder| placeholder.contains(&at))
    }

    /// The characters outside of placeholders, and where they are.
    fn outside(&self) -> impl DoubleEndedIterator<Item = (usize, char)> {
        let characters = self.text.char_indices();
        characters.filter(|(at, _)| !self.is_inside(*at))
    }

    pub(super) fn plain(&self) -> impl Iterator<Item = char> {
        self.outside().map(|(_, character)| character)
    }

    pub(super) fn find(&self, wanted: char) -> Option<usize> {
        let mut outside = self.outside();
        outside
            .find(|(_, character)| *character == wanted)
            .map(|(at, _)| at)
    }

    pub(super) fn rfind(&self, wanted: char) -> Option<usize> {
        let mut outside = self.outside().rev();
        outside
            .find(|(_, character)| *character == wanted)
            .map(|(at, _)| at)
    }
}

/// How long the placeholder is that `text` begins with.
fn placeholder_length(text: &str) -> Option<usize> {
    for (opening, closing) in BRACKETS {
        let inside = text.strip_prefix(opening);
        if let Some(length) = inside
            .and_then(|inside| inside.find(closing))
            .filter(|length| *length > 0)
        {
            return Some(opening.len() + length + closing.len());
        }
    }
    let name = text.strip_prefix('$')?;
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = name.find(|letter| !is_name(letter)).unwrap_or(name.len());
    let word = name.get(..end)?;
    (!word.is_empty() && word != "upstream").then_some(1 + end)
}
