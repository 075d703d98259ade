//! From TOML to [`DeviceConfig`].

use std::ops::Range;

use toml_edit::{Document, Item, Key, TableLike};

use super::{Agent, DeviceConfig, EdgeCa, ImageCollection, Login, NotToml, Setting, colons};
use crate::Place;

/// Keys that count only before the first section.
const TOP: [&str; 3] = ["hostname", "parent_hostname", "trust_bundle_cert"];

pub(super) fn read(text: &str) -> Result<DeviceConfig, NotToml> {
    let (meant, colons, document) = match Document::parse(text.to_owned()) {
        Ok(document) => (text.to_owned(), Vec::new(), document),
        Err(error) => {
            let (meant, colons) = colons::read_as_equals(text);
            match Document::parse(meant.clone()) {
                Ok(document) if !colons.is_empty() => (meant, colons, document),
                Ok(_) | Err(_) => return Err(broken(text, &error)),
            }
        }
    };
    let reader = Reader { text: &meant };
    let root: &dyn TableLike = document.as_table();
    Ok(DeviceConfig {
        hostname: reader.text_of(root, "", "hostname"),
        parent_hostname: reader.text_of(root, "", "parent_hostname"),
        trust_bundle: reader.text_of(root, "", "trust_bundle_cert"),
        edge_ca: reader.edge_ca(root),
        agent: reader.agent(root),
        collection: reader.collection(root),
        strays: reader.strays(root, ""),
        colons,
    })
}

fn broken(text: &str, error: &toml_edit::TomlError) -> NotToml {
    NotToml {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        message: error.message().replace('\n', ", "),
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    before
        .iter()
        .fold(1, |line, byte| line + usize::from(*byte == b'\n'))
}

struct Reader<'a> {
    text: &'a str,
}

impl Reader<'_> {
    fn place(&self, within: &str, name: &str, span: Option<Range<usize>>) -> Place {
        let path = if within.is_empty() {
            name.to_owned()
        } else {
            format!("{within}.{name}")
        };
        Place {
            path,
            line: span.map_or(1, |span| line_of(self.text, span.start)),
        }
    }

    /// Where a key of a table stands; of a `[section]` that its header stands on.
    fn place_of(&self, table: &dyn TableLike, within: &str, name: &str) -> Place {
        let span = table
            .get(name)
            .and_then(Item::span)
            .or_else(|| table.key(name).and_then(Key::span));
        self.place(within, name, span)
    }

    fn setting<T>(
        &self,
        table: &dyn TableLike,
        within: &str,
        name: &str,
        read: impl FnOnce(&Item) -> Option<T>,
    ) -> Option<Setting<T>> {
        Some(Setting {
            value: read(table.get(name)?)?,
            at: self.place_of(table, within, name),
        })
    }

    fn text_of(&self, table: &dyn TableLike, within: &str, name: &str) -> Option<Setting<String>> {
        self.setting(table, within, name, |item| {
            item.as_str().map(ToOwned::to_owned)
        })
    }

    fn edge_ca(&self, root: &dyn TableLike) -> Option<EdgeCa> {
        let table = section(root, "edge_ca")?;
        Some(EdgeCa {
            at: self.place_of(root, "", "edge_ca"),
            certificate: self.text_of(table, "edge_ca", "cert"),
            key: self.text_of(table, "edge_ca", "pk"),
            method: self.text_of(table, "edge_ca", "method"),
            auto_generated_days: self.setting(
                table,
                "edge_ca",
                "auto_generated_edge_ca_expiry_days",
                Item::as_integer,
            ),
        })
    }

    fn agent(&self, root: &dyn TableLike) -> Option<Agent> {
        let agent = section(root, "agent")?;
        let config = section(agent, "config");
        let of_config = |name| config.and_then(|config| self.text_of(config, "agent.config", name));
        Some(Agent {
            at: self.place_of(root, "", "agent"),
            image: of_config("image"),
            pull_policy: self.text_of(agent, "agent", "imagePullPolicy"),
            create_options_is_a_table: config.and_then(|config| {
                self.setting(config, "agent.config", "createOptions", |item| {
                    Some(item.is_table_like())
                })
            }),
            login: config.and_then(|config| self.login(config)),
        })
    }

    fn login(&self, config: &dyn TableLike) -> Option<Login> {
        const WITHIN: &str = "agent.config.auth";
        let login = section(config, "auth")?;
        Some(Login {
            at: self.place_of(config, "agent.config", "auth"),
            address: self.text_of(login, WITHIN, "serveraddress"),
            username: self.text_of(login, WITHIN, "username"),
            password_is_set: login
                .get("password")
                .and_then(Item::as_str)
                .is_some_and(|password| !password.trim().is_empty()),
        })
    }

    fn collection(&self, root: &dyn TableLike) -> Option<ImageCollection> {
        const WITHIN: &str = "image_garbage_collection";
        let table = section(root, WITHIN)?;
        Some(ImageCollection {
            at: self.place_of(root, "", WITHIN),
            is_enabled: table.get("enabled").and_then(Item::as_bool).unwrap_or(true),
            age: self.text_of(table, WITHIN, "image_age_cleanup_threshold"),
        })
    }

    /// Keys of the top in sections, however deep. `[provisioning]` has texts of its own under such names in no case.
    fn strays(&self, table: &dyn TableLike, within: &str) -> Vec<Setting<String>> {
        let mut found = Vec::new();
        for (name, item) in table.iter() {
            if !within.is_empty() && TOP.contains(&name) && item.is_str() {
                found.push(Setting {
                    value: name.to_owned(),
                    at: self.place_of(table, within, name),
                });
            }
            // A module's environment may have any name.
            if let Some(below) = item.as_table_like().filter(|_| name != "env") {
                let path = self.place(within, name, None).path;
                found.extend(self.strays(below, &path));
            }
        }
        found.sort_by_key(|stray| stray.at.line);
        found
    }
}

fn section<'a>(table: &'a dyn TableLike, name: &str) -> Option<&'a dyn TableLike> {
    table.get(name)?.as_table_like()
}
