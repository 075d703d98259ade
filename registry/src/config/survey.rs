//! Walks a tree and says which of its keys are unknown, which have no effect, and which stop the start.

use super::finding::{Finding, Place};
use super::keys::{self, Key, Known, Standing};
use super::nearest::nearest;
use super::node::{Entry, Node, Value};

/// Everything to be said about the keys of a tree; their values are their readers' business.
pub(super) fn survey(tree: &Node) -> Vec<Finding> {
    let mut findings = Vec::new();
    if matches!(tree.value, Value::Text(_) | Value::List(_)) {
        let advice = "write keys such as `proxy:` with others below them";
        findings.push(Finding::error(
            tree.place.clone(),
            "",
            "this is no configuration",
            advice,
        ));
    }
    walk(tree, "", &mut findings);
    findings
}

fn walk(node: &Node, section: &str, findings: &mut Vec<Finding>) {
    for entry in node.entries() {
        let path = join(section, &entry.key);
        if section == "auth" && entry.key.eq_ignore_ascii_case("none") {
            continue;
        }
        let known = if entry.key.contains('.') {
            Known::No
        } else {
            keys::look_up(&path)
        };
        match known {
            Known::Key(key) => judge(key, entry, findings),
            Known::Section if keys::is_list_of_maps(&path) => walk_list(entry, &path, findings),
            Known::Section => match &entry.node.value {
                Value::Map(_) => walk(&entry.node, &path, findings),
                Value::Null => {}
                Value::Text(text) if text.is_empty() => {}
                Value::Text(_) | Value::List(_) => {
                    let advice = format!("below it stand {}", keys::words_below(&path).join(", "));
                    findings.push(Finding::error(
                        entry.place.clone(),
                        &path,
                        "this is a section and has no value of its own",
                        advice,
                    ));
                }
            },
            Known::Below(_) | Known::No => findings.push(unknown(section, &path, entry)),
        }
    }
}

/// A list of maps; numbers that variables leave out are missing elements.
fn walk_list(entry: &Entry, path: &str, findings: &mut Vec<Finding>) {
    let words = || keys::words_below(&format!("{path}.0")).join(", ");
    let mut fail = |place: &Place, path: &str, what: &str, advice: String| {
        findings.push(Finding::error(place.clone(), path, what, advice));
    };
    match &entry.node.value {
        Value::Null => return,
        Value::Text(text) if text.is_empty() => return,
        Value::Text(_) | Value::Map(_) => {
            let advice = format!("write a list, each element of which may have {}", words());
            fail(&entry.place, path, "a list is expected here", advice);
            return;
        }
        Value::List(_) => {}
    }
    let items = entry.node.items();
    let is_missing = |item: &Node| matches!(&item.value, Value::Null);
    if let Some(gap) = items.iter().position(is_missing) {
        let after = items.iter().skip(gap).position(|item| !is_missing(item));
        let (number, what) = (format!("{path}.{gap}"), "nothing is written here");
        let advice = match after {
            Some(after) => format!(
                "count from 0 without a gap: {}_… is set, and nothing of {}_…",
                keys::variable_of(&format!("{path}.{}", gap + after)),
                keys::variable_of(&number)
            ),
            None => format!("remove it, or write {}", words()),
        };
        let place = items.get(gap).map_or(&entry.place, |item| &item.place);
        fail(place, &number, what, advice);
    }
    for (number, item) in items.iter().enumerate() {
        let path = format!("{path}.{number}");
        match &item.value {
            Value::Map(_) => walk(item, &path, findings),
            Value::Null => {}
            Value::Text(_) | Value::List(_) => findings.push(Finding::error(
                item.place.clone(),
                &path,
                "keys are expected here",
                format!("write {}", words()),
            )),
        }
    }
}

fn judge(key: &Key, entry: &Entry, findings: &mut Vec<Finding>) {
    match key.standing {
        Standing::Missing if entry.node.says_something() => {
            let advice = "remove it, or live without it";
            findings.push(Finding::warning(
                entry.place.clone(),
                key.path,
                format!("it has no effect: {}", key.why),
                advice,
            ));
        }
        Standing::Used { .. } | Standing::Accepted | Standing::Missing => {}
        Standing::Refused { advice } => findings.extend(refuse(key, advice, entry)),
    }
}

/// A storage driver or a way of authenticating is chosen by being there; any other key by saying something.
fn refuse(key: &Key, advice: &str, entry: &Entry) -> Vec<Finding> {
    let by_being_there = key.path.starts_with("storage.") || key.path.starts_with("auth.");
    if by_being_there || entry.node.says_something() {
        return vec![refusal(
            key.path,
            key.why,
            advice,
            &entry.place,
            &entry.node,
        )];
    }
    Vec::new()
}

fn refusal(path: &str, why: &str, advice: &str, place: &Place, node: &Node) -> Finding {
    let others: Vec<String> = node
        .places()
        .iter()
        .filter(|other| *other != place && matches!(other, Place::Variable(_)))
        .map(ToString::to_string)
        .collect();
    let set_too = if others.is_empty() {
        String::new()
    } else {
        format!(" (set by {} too)", others.join(", "))
    };
    Finding::error(
        place.clone(),
        path,
        format!("not supported yet: {why}{set_too}"),
        advice,
    )
}

/// Below `proxy` and `storage.cache` the words are ours, and below `storage` each word is a driver: there a mistake is an error.
fn unknown(section: &str, path: &str, entry: &Entry) -> Finding {
    let advice = match probably_meant(section, &entry.key) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "remove it, or correct it".to_owned(),
    };
    let place = entry.place.clone();
    match section {
        "storage" => Finding::error(
            place,
            path,
            "there is no such key and no such storage driver",
            advice,
        ),
        "auth" => Finding::error(
            place,
            path,
            "there is no such way to ask callers for credentials",
            advice,
        ),
        "proxy" | "storage.cache" | "hosted" | "edge" | "warm" => {
            Finding::error(place, path, "there is no such key", advice)
        }
        _ if section.starts_with("proxy.") => {
            Finding::error(place, path, "there is no such key", advice)
        }
        _ => Finding::warning(
            place,
            path,
            "there is no such key, so it has no effect",
            advice,
        ),
    }
}

fn probably_meant(section: &str, word: &str) -> Option<String> {
    let here = nearest(word, keys::words_below(section)).map(|near| join(section, near));
    here.or_else(|| {
        let word = word.to_lowercase();
        keys::all()
            .find(|key| key.path == word || key.path.rsplit('.').next() == Some(&word))
            .map(|key| key.path.to_owned())
    })
}

fn join(section: &str, word: &str) -> String {
    if section.is_empty() {
        word.to_owned()
    } else {
        format!("{section}.{word}")
    }
}
