//! A configuration as a tree of texts, each of which remembers who wrote it. It knows neither keys nor types.

use super::finding::Place;

/// One value of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// Nothing was written, or `null`, or `~`.
    Null,
    /// A text, a number or a truth value: the key's reader decides.
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One step of a path into the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step<'a> {
    /// A word of the table; files have it in lower case.
    Key(&'a str),
    /// A name of the operator's own, such as a header's: the same in any case.
    Name(&'a str),
    Element(usize),
}

/// A key of a mapping with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn null(place: Place) -> Self {
        Self {
            value: Value::Null,
            place,
        }
    }

    pub(super) fn text(text: impl Into<String>, place: Place) -> Self {
        Self {
            value: Value::Text(text.into()),
            place,
        }
    }

    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Text(_) | Value::List(_) => &[],
        }
    }

    /// The node below `path`, a path of keys, and of places in lists, joined by dots.
    pub(super) fn find(&self, path: &str) -> Option<&Node> {
        path.split('.').try_fold(self, |node, key| {
            if let Value::List(items) = &node.value {
                return items.get(key.parse::<usize>().ok()?);
            }
            node.entries()
                .iter()
                .find(|entry| entry.key == key)
                .map(|entry| &entry.node)
        })
    }

    /// The elements of a list; none of anything else.
    pub(super) fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            Value::Null | Value::Text(_) | Value::Map(_) => &[],
        }
    }

    /// Whether anything is said here: a null, an empty text, `false` and what is made of these alone say nothing.
    pub(super) fn says_something(&self) -> bool {
        match &self.value {
            Value::Null => false,
            Value::Text(text) => !text.is_empty() && !text.eq_ignore_ascii_case("false"),
            Value::List(items) => items.iter().any(Self::says_something),
            Value::Map(entries) => entries.iter().any(|entry| entry.node.says_something()),
        }
    }

    /// Opens the value of a key of this mapping, if it has that key.
    pub(super) fn open(&mut self, key: &str) {
        if let Value::Map(entries) = &mut self.value {
            entries
                .iter_mut()
                .filter(|entry| entry.key == key)
                .for_each(|entry| entry.node.open_as_map());
        }
    }

    /// `storage: inmemory` means `storage: {inmemory: {}}`, as does `auth: none`; Distribution reads both in two forms.
    fn open_as_map(&mut self) {
        if let Value::Text(text) = &self.value
            && !text.is_empty()
        {
            let node = Node::null(self.place.clone());
            let entry = Entry {
                key: text.clone(),
                place: self.place.clone(),
                node,
            };
            self.value = Value::Map(vec![entry]);
        }
    }

    /// Puts `value` at `path`, making what is missing on the way, in lower case.
    pub(super) fn set(&mut self, path: &[Step<'_>], value: Node) {
        match path.split_first() {
            None => *self = value,
            Some((Step::Key(key), rest)) => {
                let key = key.to_ascii_lowercase();
                self.set_key(&key, |known| known == key, rest, value);
            }
            Some((Step::Name(name), rest)) => {
                self.set_key(
                    &name.to_ascii_lowercase(),
                    |known| known.eq_ignore_ascii_case(name),
                    rest,
                    value,
                );
            }
            Some((Step::Element(index), rest)) => self.set_element(*index, rest, value),
        }
    }

    fn set_key(&mut self, key: &str, is_it: impl Fn(&str) -> bool, rest: &[Step<'_>], value: Node) {
        self.open_as_map();
        if !matches!(self.value, Value::Map(_)) {
            self.value = Value::Map(Vec::new());
        }
        let Value::Map(entries) = &mut self.value else {
            return;
        };
        if let Some(entry) = entries.iter_mut().find(|entry| is_it(&entry.key)) {
            entry.node.set(rest, value);
            return;
        }
        let place = value.place.clone();
        let mut node = Node::null(place.clone());
        node.set(rest, value);
        entries.push(Entry {
            key: key.to_owned(),
            place,
            node,
        });
    }

    /// Elements before `index` that do not exist are null; a single text counts as the first element.
    fn set_element(&mut self, index: usize, rest: &[Step<'_>], value: Node) {
        if !matches!(self.value, Value::List(_)) {
            let before = std::mem::replace(
                self,
                Node {
                    value: Value::List(Vec::new()),
                    place: value.place.clone(),
                },
            );
            if let (Value::Text(_), Value::List(items)) = (&before.value, &mut self.value) {
                items.push(before);
            }
        }
        let Value::List(items) = &mut self.value else {
            return;
        };
        while items.len() <= index {
            items.push(Node::null(value.place.clone()));
        }
        if let Some(item) = items.get_mut(index) {
            item.set(rest, value);
        }
    }

    /// Everybody who wrote something here or below, in order, each once.
    pub(super) fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        self.collect_places(&mut places);
        places
    }

    fn collect_places(&self, places: &mut Vec<Place>) {
        match &self.value {
            Value::Null | Value::Text(_) => note(places, &self.place),
            Value::List(items) => items.iter().for_each(|item| item.collect_places(places)),
            Value::Map(entries) => {
                for entry in entries {
                    note(places, &entry.place);
                    entry.node.collect_places(places);
                }
            }
        }
    }
}

fn note(places: &mut Vec<Place>, place: &Place) {
    if !places.contains(place) {
        places.push(place.clone());
    }
}
