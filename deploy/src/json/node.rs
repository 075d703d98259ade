//! One value of a JSON text, and where it stands.

use std::ops::Range;

/// A value and its place in the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The bytes of the text that the value is written in, quotes and brackets included.
    pub span: Range<usize>,
    /// What they say.
    pub value: Value,
}

/// What a value says.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Flag(bool),
    /// A number, as it is spelled: `1e400` and `0.10` are no other numbers for having been read.
    Number(String),
    /// A text, without its escapes.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// An object: its members in the order of the text, those of the same name too.
    Object(Vec<Member>),
}

/// One member of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// Its name, without escapes.
    pub key: String,
    /// The bytes of the text that the name is written in, quotes included.
    pub key_span: Range<usize>,
    /// Its value.
    pub node: Node,
}

// === impl Node ===

impl Node {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The members, if it is an object.
    pub fn as_object(&self) -> Option<&[Member]> {
        match &self.value {
            Value::Object(members) => Some(members),
            _ => None,
        }
    }

    /// The member of this name; of several the last, as everybody reads duplicates.
    pub fn member(&self, key: &str) -> Option<&Self> {
        let members = self.as_object()?;
        let mut named = members.iter().rev().filter(|member| member.key == key);
        named.next().map(|member| &member.node)
    }

    /// The same value for those who only read: of duplicates the last, and of a number that no `f64` holds its spelling as text.
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Flag(flag) => (*flag).into(),
            Value::Number(number) => {
                serde_json::from_str(number).unwrap_or_else(|_| number.clone().into())
            }
            Value::Text(text) => text.clone().into(),
            Value::List(nodes) => nodes.iter().map(Self::to_json).collect(),
            Value::Object(members) => {
                let pairs = members.iter();
                let pairs = pairs.map(|member| (member.key.clone(), member.node.to_json()));
                serde_json::Value::Object(pairs.collect())
            }
        }
    }

    /// What it is, for messages: `a text`, `an object`.
    pub const fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "null",
            Value::Flag(_) => "true or false",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Object(_) => "an object",
        }
    }
}
