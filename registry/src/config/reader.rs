//! Typed access to a tree, for the sections: looks a key up, falls back to its default, notes what does not parse.

use super::Setting;
use super::finding::{Finding, Place};
use super::keys::{self, Key, Known, Shape, Standing};
use super::node::{Node, Value};

/// Why a text is not a value, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) what: String,
    pub(super) advice: String,
}

impl Problem {
    pub(super) fn new(what: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            advice: advice.into(),
        }
    }
}

/// A text somebody wrote, or a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) text: String,
    pub(super) place: Place,
}

pub(super) struct Reader<'a> {
    tree: &'a Node,
    pub(super) findings: Vec<Finding>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(tree: &'a Node) -> Self {
        Self {
            tree,
            findings: Vec::new(),
        }
    }

    /// What is written under a key, or its default; none if it has none or if what is written is no single text.
    pub(super) fn written(&mut self, path: &str) -> Option<Written> {
        self.set(path).or_else(|| {
            let default = keys::default_of(path);
            (!default.is_empty()).then(|| Written {
                text: default.to_owned(),
                place: Place::Default,
            })
        })
    }

    /// What somebody wrote under a key.
    pub(super) fn set(&mut self, path: &str) -> Option<Written> {
        let node = self.tree.find(path)?;
        match &node.value {
            Value::Null => None,
            Value::Text(text) if text.is_empty() => None,
            Value::Text(text) => Some(Written {
                text: text.clone(),
                place: node.place.clone(),
            }),
            Value::List(_) | Value::Map(_) => {
                let finding = Finding::error(
                    node.place.clone(),
                    path,
                    "a single value is expected here",
                    "write one text",
                );
                self.findings.push(finding);
                None
            }
        }
    }

    /// Who wrote a key, even one with nothing under it.
    pub(super) fn place_of(&self, path: &str) -> Option<Place> {
        self.tree.find(path).map(|node| node.place.clone())
    }

    /// Whether anything is written under a key; an empty list is something, an empty text is not.
    pub(super) fn says(&self, path: &str) -> bool {
        self.tree.find(path).is_some_and(|node| match &node.value {
            Value::Null => false,
            Value::Text(text) => !text.is_empty(),
            Value::List(_) | Value::Map(_) => true,
        })
    }

    /// The parsed value of a key, or of its default. None if there is neither, or if it does not parse: then that was noted.
    pub(super) fn value<T>(
        &mut self,
        path: &str,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let written = self.written(path)?;
        self.parse(path, &written, parse)
    }

    /// Parses a text that was found under `path`.
    pub(super) fn parse<T>(
        &mut self,
        path: &str,
        written: &Written,
        parse: impl FnOnce(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        match parse(&written.text) {
            Ok(value) => Some(value),
            Err(problem) => {
                self.findings.push(Finding::error(
                    written.place.clone(),
                    path,
                    problem.what,
                    problem.advice,
                ));
                None
            }
        }
    }

    /// The texts of a list: a YAML list, or one text with commas.
    pub(super) fn list(&mut self, path: &str) -> Vec<Written> {
        let Some(node) = self.tree.find(path) else {
            return Vec::new();
        };
        self.texts(path, node)
    }

    /// How many elements are written under a key that has a list of maps.
    pub(super) fn elements(&self, path: &str) -> usize {
        self.tree.find(path).map_or(0, |node| node.items().len())
    }

    /// The names below a key, each with its texts; one text is not split.
    pub(super) fn names(&mut self, path: &str) -> Vec<(Written, Vec<Written>)> {
        let Some(node) = self.tree.find(path) else {
            return Vec::new();
        };
        if let Value::Text(_) | Value::List(_) = node.value {
            let advice = "write names below it, each with a list of values";
            self.findings.push(Finding::error(
                node.place.clone(),
                path,
                "names are expected here",
                advice,
            ));
        }
        let mut names = Vec::new();
        for entry in node.entries() {
            let name = Written {
                text: entry.key.clone(),
                place: entry.place.clone(),
            };
            let values = match &entry.node.value {
                Value::Text(text) => vec![Written {
                    text: text.clone(),
                    place: entry.node.place.clone(),
                }],
                Value::Null | Value::List(_) | Value::Map(_) => self.texts(path, &entry.node),
            };
            names.push((name, values));
        }
        names
    }

    fn texts(&mut self, path: &str, node: &Node) -> Vec<Written> {
        match &node.value {
            Value::Null => Vec::new(),
            Value::Text(text) => text
                .split(',')
                .map(str::trim)
                .filter(|text| !text.is_empty())
                .map(|text| Written {
                    text: text.to_owned(),
                    place: node.place.clone(),
                })
                .collect(),
            Value::List(items) => items
                .iter()
                .filter_map(|item| self.one_text(path, item))
                .collect(),
            Value::Map(_) => {
                self.findings.push(Finding::error(
                    node.place.clone(),
                    path,
                    "a list is expected here",
                    "write `[one, two]`",
                ));
                Vec::new()
            }
        }
    }

    fn one_text(&mut self, path: &str, node: &Node) -> Option<Written> {
        match &node.value {
            Value::Null => None,
            Value::Text(text) if text.is_empty() => None,
            Value::Text(text) => Some(Written {
                text: text.clone(),
                place: node.place.clone(),
            }),
            Value::List(_) | Value::Map(_) => {
                let finding = Finding::error(
                    node.place.clone(),
                    path,
                    "a text is expected in this list",
                    "write `[one, two]`",
                );
                self.findings.push(finding);
                None
            }
        }
    }

    pub(super) fn warn(
        &mut self,
        place: Place,
        path: &str,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.findings
            .push(Finding::warning(place, path, what, advice));
    }

    pub(super) fn fail(
        &mut self,
        place: Place,
        path: &str,
        what: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.findings
            .push(Finding::error(place, path, what, advice));
    }
}

/// A truth value, in all the words YAML 1.1 has for the two, as Distribution reads them.
pub(super) fn flag(text: &str) -> Result<bool, Problem> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "on" | "y" => Ok(true),
        "false" | "no" | "off" | "n" => Ok(false),
        _ => Err(Problem::new(
            format!("`{text}` is neither true nor false"),
            "write true or false",
        )),
    }
}

/// Every key with an effect that somebody set, in the order of the tree. Secrets are hidden.
pub(super) fn settings(tree: &Node) -> Vec<Setting> {
    let mut settings = Vec::new();
    collect(tree, "", &mut settings);
    settings
}

fn collect(node: &Node, section: &str, settings: &mut Vec<Setting>) {
    for entry in node.entries() {
        let path = if section.is_empty() {
            entry.key.clone()
        } else {
            format!("{section}.{}", entry.key)
        };
        match keys::look_up(&path) {
            Known::Section => {
                collect(&entry.node, &path, settings);
                for (number, item) in entry.node.items().iter().enumerate() {
                    collect(item, &format!("{path}.{number}"), settings);
                }
            }
            Known::Key(Key {
                standing: Standing::Used { shape, .. },
                ..
            }) => {
                let value = if *shape == Shape::Secret {
                    secret(&entry.node)
                } else {
                    shown(&entry.node)
                };
                if let Some(value) = value {
                    settings.push(Setting {
                        key: path,
                        value,
                        place: entry.node.place.clone(),
                    });
                }
            }
            Known::Key(_) | Known::Below(_) | Known::No => {}
        }
    }
}

fn secret(node: &Node) -> Option<String> {
    node.says_something().then(|| "(secret)".to_owned())
}

fn shown(node: &Node) -> Option<String> {
    match &node.value {
        Value::Null => None,
        Value::Text(text) if text.is_empty() => None,
        Value::Text(text) => Some(text.clone()),
        Value::List(items) => Some(format!(
            "[{}]",
            items
                .iter()
                .filter_map(shown)
                .collect::<Vec<_>>()
                .join(", ")
        )),
        Value::Map(entries) => {
            let shown = entries.iter().filter_map(|entry| {
                shown(&entry.node).map(|value| format!("{}: {value}", entry.key))
            });
            Some(format!("{{{}}}", shown.collect::<Vec<_>>().join(", ")))
        }
    }
}
