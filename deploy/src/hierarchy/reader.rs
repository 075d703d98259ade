//! The tree of a hierarchy file into devices, in the words of its dialect.

use super::dialect::{CAMEL, Dialect, SNAKE};
use super::yaml::{self, Entry, Node, Value};
use super::{Authentication, ContainerAuth, Device, Hierarchy, Hub, Trouble, Written, rules};

pub(super) fn read(text: &str) -> Result<Hierarchy, Vec<Trouble>> {
    let (root, troubles) = yaml::read(text).map_err(|trouble| vec![trouble])?;
    let entries = match &root.value {
        Value::Map(entries) => entries,
        Value::Nothing => return Err(vec![no_devices(1, "this file is empty")]),
        Value::Text(_) | Value::List(_) => {
            return Err(vec![no_devices(
                root.line,
                "this is no mapping of keys to values",
            )]);
        }
    };
    let dialect = dialect_of(entries, root.line).map_err(|trouble| vec![trouble])?;
    let mut reader = Reader {
        dialect,
        troubles,
        warnings: Vec::new(),
    };
    let mut hierarchy = reader.hierarchy(entries);
    reader.troubles.extend(rules::broken(&hierarchy));
    if reader.troubles.is_empty() {
        hierarchy.warnings = reader.warnings;
        Ok(hierarchy)
    } else {
        reader.troubles.sort_by_key(|trouble| trouble.line);
        Err(reader.troubles)
    }
}

fn dialect_of(entries: &[Entry], line: usize) -> Result<&'static Dialect, Trouble> {
    let at = |key: &str| entries.iter().find(|entry| entry.key == key);
    match (at(SNAKE.devices), at(CAMEL.devices)) {
        (Some(_), None) => Ok(&SNAKE),
        (None, Some(_)) => Ok(&CAMEL),
        (Some(snake), Some(camel)) => Err(Trouble::new(
            snake.line.max(camel.line),
            format!("there are both `{}` and `{}`", SNAKE.devices, CAMEL.devices),
            "keep one of the two, and the keys that belong to it",
        )),
        (None, None) => Err(no_devices(line, "no devices are named")),
    }
}

fn no_devices(line: usize, what: &str) -> Trouble {
    let fix = format!(
        "write the hierarchy below `{}:` as {} does, or below `{}:` as {} does",
        SNAKE.devices, SNAKE.program, CAMEL.devices, CAMEL.program
    );
    Trouble::new(line, what, fix)
}

struct Reader {
    dialect: &'static Dialect,
    troubles: Vec<Trouble>,
    warnings: Vec<Trouble>,
}

impl Reader {
    fn hierarchy(&mut self, root: &[Entry]) -> Hierarchy {
        let words = self.dialect;
        self.only(
            root,
            &[
                words.version,
                words.hub,
                words.certificates,
                words.configuration,
                words.devices,
            ],
        );
        let hub = self.hub(root);
        let certificates = self.map(root, words.certificates);
        self.only(certificates, &[words.root_certificate, words.root_key]);
        let configuration = self.map(root, words.configuration);
        self.only(configuration, &[words.template, words.default_edge_agent]);
        let mut devices = Vec::new();
        for node in self.roots(root) {
            self.device(node, None, &mut devices);
        }
        Hierarchy {
            hub,
            template: self.text(configuration, words.template),
            edge_agent: self.text(configuration, words.default_edge_agent),
            root_certificate: self.text(certificates, words.root_certificate),
            devices,
            warnings: Vec::new(),
        }
    }

    fn hub(&mut self, root: &[Entry]) -> Hub {
        let words = self.dialect;
        let entries = self.map(root, words.hub);
        self.only(
            entries,
            &[words.hub_hostname, words.hub_name, words.authentication],
        );
        let authentication = match self.text(entries, words.authentication) {
            None => Authentication::default(),
            Some(method) if method.text == words.symmetric_key => Authentication::SymmetricKey,
            Some(method) if method.text == words.certificate => Authentication::Certificate,
            Some(method) => {
                self.troubles.push(Trouble::new(
                    method.line,
                    format!("`{}` is no way to prove who a device is", method.text),
                    format!("write {} or {}", words.symmetric_key, words.certificate),
                ));
                Authentication::default()
            }
        };
        let hostname = self.text(entries, words.hub_hostname);
        Hub {
            hostname: hostname.map(|hostname| hostname.text),
            authentication,
        }
    }

    fn roots<'a>(&mut self, root: &'a [Entry]) -> Vec<&'a Node> {
        let words = self.dialect;
        let Some(entry) = root.iter().find(|entry| entry.key == words.devices) else {
            return Vec::new();
        };
        match &entry.node.value {
            Value::Map(_) => vec![&entry.node],
            Value::List(roots) if roots.len() < 2 || words.has_many_roots => {
                if roots.is_empty() {
                    self.troubles
                        .push(no_devices(entry.line, "the list is empty"));
                }
                roots.iter().collect()
            }
            Value::List(roots) => {
                let what = format!(
                    "there are {} devices without a parent, and {} takes one",
                    roots.len(),
                    words.program
                );
                let fix = format!(
                    "put all others below it as `{}`, write a file for each, or use the other dialect, `{}`",
                    words.children, CAMEL.devices
                );
                let line = roots.get(1).map_or(entry.line, |second| second.line);
                self.troubles.push(Trouble::new(line, what, fix));
                Vec::new()
            }
            Value::Nothing | Value::Text(_) => {
                self.troubles
                    .push(no_devices(entry.line, "no devices are named"));
                Vec::new()
            }
        }
    }

    fn device(&mut self, node: &Node, parent: Option<&str>, devices: &mut Vec<Device>) {
        let words = self.dialect;
        let Value::Map(entries) = &node.value else {
            let fix = format!("write `{}: …` and its other keys", words.id);
            self.troubles
                .push(Trouble::new(node.line, "this is no device", fix));
            return;
        };
        self.only(
            entries,
            &[
                words.id,
                words.hostname,
                words.edge_agent,
                words.deployment,
                words.auth,
                words.children,
            ],
        );
        let Some(id) = self.text(entries, words.id) else {
            let what = "this device has no id";
            let fix = format!("write `{}: …` with its id in the IoT hub", words.id);
            self.troubles.push(Trouble::new(node.line, what, fix));
            return;
        };
        let hostname = self.text(entries, words.hostname);
        let place = devices.len();
        devices.push(Device {
            id: id.text.clone(),
            hostname: hostname.map(|hostname| hostname.text),
            parent: parent.map(ToOwned::to_owned),
            children: Vec::new(),
            deployment: self.text(entries, words.deployment),
            edge_agent: self.text(entries, words.edge_agent),
            auth: self.auth(entries),
            line: id.line,
        });
        let mut children = Vec::new();
        for child in self.children(entries) {
            let first = devices.len();
            self.device(child, Some(&id.text), devices);
            children.extend(devices.get(first).map(|child| child.id.clone()));
        }
        if let Some(device) = devices.get_mut(place) {
            device.children = children;
        }
    }

    fn children<'a>(&mut self, device: &'a [Entry]) -> Vec<&'a Node> {
        let Some(entry) = device
            .iter()
            .find(|entry| entry.key == self.dialect.children)
        else {
            return Vec::new();
        };
        match &entry.node.value {
            Value::List(children) => children.iter().collect(),
            Value::Nothing => Vec::new(),
            Value::Map(_) | Value::Text(_) => {
                let what = format!("`{}` is no list", entry.key);
                let fix = "write each child as an item that begins with `-`";
                self.troubles.push(Trouble::new(entry.line, what, fix));
                Vec::new()
            }
        }
    }

    fn auth(&mut self, device: &[Entry]) -> Option<ContainerAuth> {
        let words = self.dialect;
        let entries = self.map(device, words.auth);
        self.only(entries, &[words.address, words.username, words.password]);
        let first = entries.first()?;
        let Some(username) = self.text(entries, words.username) else {
            let what = format!("`{}` has no `{}`", words.auth, words.username);
            let fix = "name the user, or leave the whole key out";
            self.troubles.push(Trouble::new(first.line, what, fix));
            return None;
        };
        let address = self.text(entries, words.address);
        let password = self.text(entries, words.password);
        Some(ContainerAuth {
            address: address.map(|address| address.text),
            username: username.text,
            password: password.map(|password| password.text),
        })
    }

    fn map<'a>(&mut self, entries: &'a [Entry], key: &str) -> &'a [Entry] {
        let Some(entry) = entries.iter().find(|entry| entry.key == key) else {
            return &[];
        };
        match &entry.node.value {
            Value::Map(entries) => entries,
            Value::Nothing => &[],
            Value::Text(_) | Value::List(_) => {
                let what = format!("`{key}` is no mapping of keys to values");
                let fix = "write its keys below it, indented";
                self.troubles.push(Trouble::new(entry.line, what, fix));
                &[]
            }
        }
    }

    /// What is written as `key`; nothing and an empty text are the same as no key.
    fn text(&mut self, entries: &[Entry], key: &str) -> Option<Written> {
        let entry = entries.iter().find(|entry| entry.key == key)?;
        match &entry.node.value {
            Value::Text(text) if text.trim().is_empty() => None,
            Value::Text(text) => Some(Written {
                text: text.trim().to_owned(),
                line: entry.line,
            }),
            Value::Nothing => None,
            Value::List(_) | Value::Map(_) => {
                let what = format!("`{key}` is no text");
                self.troubles.push(Trouble::new(
                    entry.line,
                    what,
                    "write one value behind the colon",
                ));
                None
            }
        }
    }

    fn only(&mut self, entries: &[Entry], known: &[&str]) {
        for entry in entries {
            if known.contains(&entry.key.as_str()) {
                continue;
            }
            let what = format!("nobody reads `{}` here", entry.key);
            match self.dialect.spelling_of(&entry.key) {
                Some(ours) if known.contains(&ours) => {
                    let fix = format!(
                        "write `{ours}`: this file has the keys of {}",
                        self.dialect.program
                    );
                    self.troubles.push(Trouble::new(entry.line, what, fix));
                }
                _ => {
                    let fix = format!("keys that are read here: {}", known.join(", "));
                    self.warnings.push(Trouble::new(entry.line, what, fix));
                }
            }
        }
    }
}
