//! Lines written as `key: "value"`. Microsoft's page about hierarchies shows one, so people copy it; TOML has no such thing.

use super::Setting;
use crate::Place;

/// Replaces the colon of such lines by `=`: the text keeps its length, so places stay true. Says which lines they were.
pub(super) fn read_as_equals(text: &str) -> (String, Vec<Setting<String>>) {
    let mut meant = String::with_capacity(text.len());
    let mut found = Vec::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        match colon(line) {
            Some((position, key)) => {
                meant.push_str(line.get(..position).unwrap_or_default());
                meant.push('=');
                meant.push_str(line.get(position + 1..).unwrap_or_default());
                found.push(Setting {
                    value: line.trim().to_owned(),
                    at: Place {
                        path: key.to_owned(),
                        line: number + 1,
                    },
                });
            }
            None => meant.push_str(line),
        }
    }
    (meant, found)
}

/// Where the colon of `key: "value"` is, and the key.
fn colon(line: &str) -> Option<(usize, &str)> {
    let position = line.find(':')?;
    let key = line.get(..position)?.trim();
    let value = line.get(position + 1..)?.trim();
    let is_key = !key.is_empty()
        && key
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "_-.".contains(letter));
    let is_value = value.starts_with(['"', '\'', '{', '['])
        || matches!(value, "true" | "false")
        || value.parse::<i64>().is_ok();
    (is_key && is_value).then_some((position, key))
}
