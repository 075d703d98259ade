//! The environment twins of the keys, resolved as Distribution does: the path in upper case, joined by `_`, overrides the file.
//!
//! A variable that names no key is a warning, never an error: Kubernetes and docker put `REGISTRY_…` variables of their own
//! into every container that lives beside a service called `registry`.

use std::collections::BTreeMap;

use super::finding::{Finding, Place};
use super::keys::{self, Key, Known, Shape, Standing};
use super::nearest::nearest;
use super::node::{Node, Step, Value};
use super::yaml::{self, Origin};

/// Names the file, so it is no key.
pub(super) const PATH_VARIABLE: &str = "REGISTRY_CONFIGURATION_PATH";

/// Puts every variable that names a key into the tree. In the order of their names, so that a section comes before its keys.
pub(super) fn apply(tree: &mut Node, environment: &BTreeMap<String, String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut of_kubernetes = Vec::new();
    for (name, value) in environment {
        let Some(rest) = name.strip_prefix("REGISTRY_") else {
            continue;
        };
        if name == PATH_VARIABLE || rest == "VERSION" {
            continue;
        }
        if is_of_kubernetes(rest, value) {
            of_kubernetes.push(name.as_str());
            continue;
        }
        match target(rest) {
            Some((path, shape)) => {
                let steps = steps(&path, shape);
                tree.set(&steps, payload(name, value, shape));
            }
            None => findings.push(unknown(name, rest)),
        }
    }
    findings.extend(from_kubernetes(&of_kubernetes));
    findings
}

/// The path that a variable names, and what may be written there.
fn target(rest: &str) -> Option<(Vec<&str>, Option<Shape>)> {
    let words: Vec<&str> = match rest.strip_suffix("_FILE").map(|of| of.rsplit_once('_')) {
        Some(Some((section, "PASSWORD"))) => section.split('_').chain(["PASSWORDFILE"]).collect(),
        Some(Some((section, "USERNAME"))) => section.split('_').chain(["USERNAMEFILE"]).collect(),
        _ => rest.split('_').collect(),
    };
    let path = words.join(".").to_lowercase();
    let shape = match keys::look_up(&path) {
        Known::No => return None,
        Known::Key(key) => shape_of(key),
        Known::Below(key) => {
            let shape = shape_of(key);
            let below: Vec<&str> = path.strip_prefix(key.path)?.split('.').skip(1).collect();
            match (shape, below.as_slice()) {
                (Some(Shape::Several), [index]) if index.parse::<u16>().is_ok() => shape,
                (Some(Shape::Names), [name]) if !name.is_empty() => shape,
                (Some(_), _) => return None,
                (None, _) => shape,
            }
        }
        Known::Section => None,
    };
    is_spelled_right(&words, &path).then_some((words, shape))
}

fn shape_of(key: &Key) -> Option<Shape> {
    match key.standing {
        Standing::Used { shape, .. } => Some(shape),
        Standing::Accepted | Standing::Missing | Standing::Refused { .. } => None,
    }
}

/// Words of our own are in upper case; below a key that stands for everything below it, anything goes.
fn is_spelled_right(words: &[&str], path: &str) -> bool {
    let ours = match keys::look_up(path) {
        Known::Below(key) => key.path.split('.').count(),
        Known::Key(_) | Known::Section | Known::No => words.len(),
    };
    words
        .iter()
        .take(ours)
        .all(|word| !word.chars().any(char::is_lowercase))
}

/// The last word of a path may be the place in a list, or a name below a key of names; one in the middle a place in a list of maps.
fn steps<'a>(path: &[&'a str], shape: Option<Shape>) -> Vec<Step<'a>> {
    let is_below = matches!(
        keys::look_up(&path.join(".").to_lowercase()),
        Known::Below(_)
    );
    let last = path.len().saturating_sub(1);
    let is_element = |position: usize| {
        let before = path.get(..position).unwrap_or_default().join(".");
        keys::is_list_of_maps(&before.to_lowercase())
    };
    let step = |(position, word): (usize, &&'a str)| match (shape, word.parse::<u16>()) {
        (Some(Shape::Several), Ok(index)) if is_below && position == last => {
            Step::Element(usize::from(index))
        }
        (_, Ok(index)) if is_element(position) => Step::Element(usize::from(index)),
        (Some(Shape::Names), _) if is_below && position == last => Step::Name(word),
        _ => Step::Key(word),
    };
    path.iter().enumerate().map(step).collect()
}

/// Values are YAML, as in Distribution. One that is no YAML (`[::]:5000`, `@home`) is taken as the text it is.
fn payload(name: &str, value: &str, shape: Option<Shape>) -> Node {
    let as_written = || Node::text(value, Place::Variable(name.to_owned()));
    match yaml::read(value, &Origin::Variable(name)) {
        Ok((node, findings)) if findings.is_empty() => match (&node.value, shape) {
            (Value::List(_) | Value::Map(_), Some(Shape::One | Shape::Secret)) => as_written(),
            // `#abc` and `&abc` are nothing in YAML; whoever set them as a password meant the text.
            (Value::Null, Some(Shape::Secret)) if value.starts_with(['#', '&', '!']) => {
                as_written()
            }
            _ => node,
        },
        Ok(_) | Err(_) => as_written(),
    }
}

fn unknown(name: &str, rest: &str) -> Finding {
    let advice = match probably_meant(rest) {
        Some(near) => format!("did you mean {near}?"),
        None => "remove it if it was meant for this program".to_owned(),
    };
    Finding::warning(
        Place::Variable(name.to_owned()),
        "",
        "this variable names no key and is ignored",
        advice,
    )
}

/// The variable of a key that is read: first in the section that the name begins with, then the one with the same last word
/// (`STORAGE_ROOTDIRECTORY`), then whichever name is nearest as a whole.
fn probably_meant(rest: &str) -> Option<String> {
    let used: Vec<&str> = keys::all()
        .filter(|key| matches!(key.standing, Standing::Used { .. }))
        .map(|key| key.path)
        .collect();
    let (section, word) = in_its_section(rest);
    let in_the_table = keys::in_the_table(&section);
    let below = used
        .iter()
        .filter_map(|path| path.strip_prefix(&*in_the_table)?.strip_prefix('.'))
        .filter(|word| !word.contains('.'));
    let here = nearest(&word, below).map(|near| format!("{section}.{near}"));
    let elsewhere = || {
        let same = used
            .iter()
            .find(|path| path.rsplit('.').next() == Some(&word));
        same.map(|path| (*path).to_owned())
    };
    let as_a_whole = || {
        let path = rest.to_lowercase();
        let near = used
            .iter()
            .map(|used| (strsim::osa_distance(&path, &used.replace('.', "_")), used));
        near.filter(|(distance, _)| *distance <= 2)
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, path)| (*path).to_owned())
    };
    let path = here.or_else(elsewhere).or_else(as_a_whole)?;
    Some(keys::variable_of(&path))
}

/// The longest section that a variable's name begins with, as a path, and the word after it.
fn in_its_section(rest: &str) -> (String, String) {
    let words: Vec<String> = rest.split('_').map(str::to_lowercase).collect();
    let mut section = 0;
    while section + 1 < words.len()
        && matches!(
            keys::look_up(&words.get(..=section).unwrap_or_default().join(".")),
            Known::Section
        )
    {
        section += 1;
    }
    let (section, word) = words.split_at(section);
    (section.join("."), word.concat())
}

/// `…_SERVICE_HOST`, `…_SERVICE_PORT[_NAME]`, `…_PORT=tcp://…`, `…_PORT_5000_TCP[_PROTO|_PORT|_ADDR]`.
fn is_of_kubernetes(rest: &str, value: &str) -> bool {
    let words: Vec<&str> = rest.split('_').collect();
    let is_protocol = |word: &str| matches!(word, "TCP" | "UDP" | "SCTP");
    let is_number = |word: &str| word.parse::<u16>().is_ok();
    match words.as_slice() {
        [.., "SERVICE", "HOST" | "PORT"] => true,
        [.., "PORT"] if value.contains("://") => true,
        [.., "PORT", port, protocol] | [.., "PORT", port, protocol, "PROTO" | "PORT" | "ADDR"] => {
            is_number(port) && is_protocol(protocol)
        }
        _ => words.windows(2).any(|pair| pair == ["SERVICE", "PORT"]),
    }
}

fn from_kubernetes(names: &[&str]) -> Option<Finding> {
    let (first, others) = names.split_first()?;
    let what = match others {
        [] => "this variable describes a Kubernetes service and is ignored".to_owned(),
        _ => format!(
            "this variable and {} describe a Kubernetes service and are ignored",
            others.join(", ")
        ),
    };
    let advice = "set enableServiceLinks: false in the pod, or leave it";
    Some(Finding::warning(
        Place::Variable((*first).to_owned()),
        "",
        what,
        advice,
    ))
}
