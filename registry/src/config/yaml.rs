//! YAML text into a tree of [`Node`]s, with the line of each. A key written twice is an error here, not a choice.

use std::collections::HashMap;
use std::path::Path;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};

use super::finding::{Finding, Place};
use super::node::{Entry, Node, Value};

/// More than any configuration has; keeps aliases of aliases from growing without end.
const NODE_LIMIT: usize = 20_000;
/// Deeper than any configuration goes.
const DEPTH_LIMIT: usize = 64;

/// Reads the first document of `text`.
///
/// The findings are errors (duplicate keys, keys that are no text) and warnings (a second document). `Err` if the text is no YAML.
pub(super) fn read(text: &str, origin: &Origin<'_>) -> Result<(Node, Vec<Finding>), Box<Finding>> {
    let mut builder = Builder::new(origin);
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| Box::new(builder.no_yaml(&error)))?;
        if builder.documents > 0 && !matches!(event, Event::StreamEnd) {
            let place = origin.place(span.start.line());
            builder.findings.push(Finding::warning(
                place,
                "",
                "only the first YAML document is read",
                "remove what follows `---`",
            ));
            break;
        }
        builder.take(event, span)?;
    }
    let root = builder
        .root
        .take()
        .unwrap_or_else(|| Node::null(origin.place(0)));
    Ok((root, builder.findings))
}

/// Where a text came from.
pub(super) enum Origin<'a> {
    File(&'a Path),
    Variable(&'a str),
}

impl Origin<'_> {
    fn place(&self, line: usize) -> Place {
        match self {
            Self::File(path) => Place::File {
                path: path.to_path_buf(),
                line,
            },
            Self::Variable(name) => Place::Variable((*name).to_owned()),
        }
    }
}

/// A list or mapping that is not finished.
struct Open {
    node: Node,
    /// The key whose value comes next; none in a list, or where a key comes next.
    key: Option<(String, Place)>,
    anchor: usize,
}

struct Builder<'a> {
    origin: &'a Origin<'a>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    documents: usize,
    nodes: usize,
    findings: Vec<Finding>,
}

impl<'a> Builder<'a> {
    fn new(origin: &'a Origin<'a>) -> Self {
        Self {
            origin,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            documents: 0,
            nodes: 0,
            findings: Vec::new(),
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Finding>> {
        let place = self.origin.place(span.start.line());
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let node = Node {
                    value: scalar(&text, style, tag.as_deref()),
                    place,
                };
                self.put(node, anchor)
            }
            Event::Alias(anchor) => {
                let node = self
                    .anchors
                    .get(&anchor)
                    .cloned()
                    .unwrap_or_else(|| Node::null(place));
                self.put(node, 0)
            }
            Event::SequenceStart(anchor, _) => self.begin(Value::List(Vec::new()), place, anchor),
            Event::MappingStart(anchor, _) => self.begin(Value::Map(Vec::new()), place, anchor),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::DocumentEnd => {
                self.documents += 1;
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {
                Ok(())
            }
        }
    }

    fn begin(&mut self, value: Value, place: Place, anchor: usize) -> Result<(), Box<Finding>> {
        if self.open.len() >= DEPTH_LIMIT {
            return Err(Box::new(Finding::error(
                place,
                "",
                "this is nested too deeply",
                "",
            )));
        }
        self.open.push(Open {
            node: Node { value, place },
            key: None,
            anchor,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Box<Finding>> {
        match self.open.pop() {
            Some(Open {
                mut node, anchor, ..
            }) => {
                merge(&mut node);
                self.put(node, anchor)
            }
            None => Ok(()),
        }
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Box<Finding>> {
        self.nodes += size(&node);
        if self.nodes > NODE_LIMIT {
            return Err(Box::new(Finding::error(
                node.place,
                "",
                "this is larger than any configuration",
                "",
            )));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        let Some(parent) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut parent.node.value {
            Value::List(items) => items.push(node),
            Value::Map(entries) => match parent.key.take() {
                Some((key, place)) => {
                    if let Some(twice) = repeated(entries, &key, &place) {
                        self.findings.push(twice);
                    }
                    entries.push(Entry { key, place, node });
                }
                None => match node.value {
                    Value::Text(key) => parent.key = Some((key, node.place)),
                    Value::Null | Value::List(_) | Value::Map(_) => {
                        let what = "this key is no text";
                        self.findings.push(Finding::error(
                            node.place.clone(),
                            "",
                            what,
                            "write a plain word before the colon",
                        ));
                        parent.key = Some((String::new(), node.place));
                    }
                },
            },
            Value::Null | Value::Text(_) => {}
        }
        Ok(())
    }

    fn no_yaml(&self, error: &ScanError) -> Finding {
        let what = format!(
            "this is not YAML: {} (column {})",
            error.info(),
            error.marker().col() + 1
        );
        let advice = "check the indentation and put texts with special characters between quotes";
        Finding::error(self.origin.place(error.marker().line()), "", what, advice)
    }
}

fn repeated(entries: &[Entry], key: &str, place: &Place) -> Option<Finding> {
    let first = entries
        .iter()
        .find(|entry| entry.key == key && key != "<<")?;
    let what = match &first.place {
        Place::File { line, .. } => format!("`{key}` is written twice, first in line {line}"),
        Place::Variable(_) | Place::Default => format!("`{key}` is written twice"),
    };
    Some(Finding::error(
        place.clone(),
        "",
        what,
        "keep one of the two",
    ))
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix == "str");
    let plain = style == ScalarStyle::Plain && !is_text;
    if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        Value::Null
    } else {
        Value::Text(text.to_owned())
    }
}

/// `<<: *anchor`: what the anchored mapping has and this one does not.
fn merge(node: &mut Node) {
    let Value::Map(entries) = &mut node.value else {
        return;
    };
    let (merged, mut own): (Vec<_>, Vec<_>) = std::mem::take(entries)
        .into_iter()
        .partition(|entry| entry.key == "<<");
    for source in merged {
        let maps = match source.node.value {
            Value::List(items) => items,
            value @ (Value::Map(_) | Value::Null | Value::Text(_)) => vec![Node {
                value,
                place: source.place,
            }],
        };
        for entry in maps.iter().flat_map(Node::entries) {
            if !own.iter().any(|known| known.key == entry.key) {
                own.push(entry.clone());
            }
        }
    }
    *entries = own;
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Text(_) => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
    }
}
