//! YAML text into a tree in which everything knows its line. A key written twice, and a list that holds itself, are errors.
//!
//! Must not know what the keys mean.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::Trouble;

/// More than any hierarchy has; keeps aliases of aliases from growing without end.
const NODE_LIMIT: usize = 100_000;
/// Deeper than any hierarchy goes.
const DEPTH_LIMIT: usize = 200;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Clone, Debug)]
pub(super) enum Value {
    Nothing,
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

/// Reads the first document of `text`; what follows it is not looked at.
pub(super) fn read(text: &str) -> Result<(Node, Vec<Trouble>), Trouble> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            Trouble::new(
                error.marker().line(),
                format!(
                    "this is not YAML: {} (column {})",
                    error.info(),
                    error.marker().col() + 1
                ),
                "check the indentation, and put texts with special characters between quotes",
            )
        })?;
        if matches!(event, Event::DocumentEnd) {
            break;
        }
        builder.take(event, span)?;
    }
    let root = builder.root.take().unwrap_or(Node {
        line: 1,
        value: Value::Nothing,
    });
    Ok((root, builder.troubles))
}

/// A list or mapping that is not finished.
struct Open {
    node: Node,
    /// The key whose value comes next; none in a list, or where a key comes next.
    key: Option<(String, usize)>,
    anchor: usize,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    root: Option<Node>,
    nodes: usize,
    troubles: Vec<Trouble>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Trouble> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_nothing = style == ScalarStyle::Plain
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if is_nothing {
                    Value::Nothing
                } else {
                    Value::Text(text.into_owned())
                };
                self.put(Node { line, value }, anchor)
            }
            Event::Alias(anchor) => {
                if self.open.iter().any(|open| open.anchor == anchor) {
                    let what = "this alias stands inside of what it names: a cycle";
                    let fix = "a device cannot be its own parent; name another one";
                    return Err(Trouble::new(line, what, fix));
                }
                let node = self.anchors.get(&anchor).cloned();
                self.nodes += node.as_ref().map_or(0, size);
                let value = node.map_or(Value::Nothing, |node| node.value);
                self.put(Node { line, value }, 0)
            }
            Event::SequenceStart(anchor, _) => self.begin(Value::List(Vec::new()), line, anchor),
            Event::MappingStart(anchor, _) => self.begin(Value::Map(Vec::new()), line, anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => self.put(done.node, done.anchor),
                None => Ok(()),
            },
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, value: Value, line: usize, anchor: usize) -> Result<(), Trouble> {
        if self.open.len() >= DEPTH_LIMIT {
            let what = "this is nested deeper than any hierarchy";
            return Err(Trouble::new(line, what, ""));
        }
        self.open.push(Open {
            node: Node { line, value },
            key: None,
            anchor,
        });
        Ok(())
    }

    fn put(&mut self, node: Node, anchor: usize) -> Result<(), Trouble> {
        self.nodes += 1;
        if self.nodes > NODE_LIMIT {
            let what = "this is larger than any hierarchy";
            return Err(Trouble::new(node.line, what, ""));
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
                Some((key, line)) => {
                    if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                        let what =
                            format!("`{key}` is written twice, first in line {}", first.line);
                        self.troubles
                            .push(Trouble::new(line, what, "keep one of the two"));
                    }
                    entries.push(Entry { key, line, node });
                }
                None => parent.key = Some((key_of(&node)?, node.line)),
            },
            Value::Nothing | Value::Text(_) => {}
        }
        Ok(())
    }
}

fn key_of(node: &Node) -> Result<String, Trouble> {
    match &node.value {
        Value::Text(text) => Ok(text.clone()),
        Value::Nothing | Value::List(_) | Value::Map(_) => Err(Trouble::new(
            node.line,
            "this key is no text",
            "write a plain word before the colon",
        )),
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Nothing | Value::Text(_) => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|entry| size(&entry.node)).sum::<usize>(),
    }
}
