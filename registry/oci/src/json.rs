//! Reads foreign JSON one level at a time: what is wanted is looked at, what is unknown or of
//! another type is passed over without being built, and of two members with the same name the last
//! one counts, as clients have it. Must not know what a manifest is.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Calls `each` with every member of an object, in the order they are written. An error means that
/// the text is not JSON or not an object.
pub(crate) fn members<'text>(
    text: &'text str,
    each: impl FnMut(&str, &'text RawValue),
) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde::Deserializer::deserialize_map(&mut deserializer, Members(each))?;
    deserializer.end()
}

/// What `read` makes of the elements of an array, without those it makes nothing of. Empty for what
/// is not an array.
pub(crate) fn list<T>(array: &RawValue, read: impl FnMut(&RawValue) -> Option<T>) -> Vec<T> {
    let mut deserializer = serde_json::Deserializer::from_str(array.get());
    serde::Deserializer::deserialize_seq(&mut deserializer, Elements(read)).unwrap_or_default()
}

/// The value as a `T`. None when it is null or something else.
pub(crate) fn read<'text, T: Deserialize<'text>>(value: &'text RawValue) -> Option<T> {
    serde_json::from_str(value.get()).ok()
}

/// The value as a text. None when it is null, something else, or empty.
pub(crate) fn text(value: &RawValue) -> Option<String> {
    read(value).filter(|text: &String| !text.is_empty())
}

/// Whether the value is an array with at least one element.
pub(crate) fn is_filled_array(value: &RawValue) -> bool {
    let inside = value.get().strip_prefix('[').map(str::trim_start);
    inside.is_some_and(|inside| !inside.starts_with(']'))
}

/// Whether the value is an object, be it empty.
pub(crate) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// How deeply arrays and objects are nested in a text that is JSON.
pub fn nesting(json: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => skip_text(&mut bytes),
            _ => {}
        }
    }
    deepest
}

/// To behind the quotation mark that ends a text.
fn skip_text(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            b'\\' => {
                bytes.next();
            }
            _ => {}
        }
    }
}

struct Members<F>(F);

impl<'text, F: FnMut(&str, &'text RawValue)> Visitor<'text> for Members<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'text>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            (self.0)(&name, map.next_value()?);
        }
        Ok(())
    }
}

struct Elements<F>(F);

impl<'text, T, F: FnMut(&RawValue) -> Option<T>> Visitor<'text> for Elements<F> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'text>>(mut self, mut sequence: A) -> Result<Vec<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = sequence.next_element::<&RawValue>()? {
            elements.extend((self.0)(element));
        }
        Ok(elements)
    }
}

#[cfg(test)]
mod tests {
    use super::nesting;

    #[test]
    fn brackets_count_where_they_nest_and_not_where_they_are_written() {
        for (json, expected) in [
            ("12", 0),
            ("{}", 1),
            (r#"{"a":[[],[{}]],"b":[]}"#, 4),
            (r#"{"[[[":"{{{","\"[[":"\\"}"#, 1),
        ] {
            assert_eq!(nesting(json.as_bytes()), expected, "{json}");
        }
    }
}
