//! The parts of a module and of credentials, each found at some path.

use std::collections::BTreeMap;

use super::{Path, Reader};
use crate::json::{Member, Node, Value};
use crate::manifest::{
    CreateOptions, Credential, EnvValue, Located, Manifest, Module, NamedImage, Role, Variable,
};

impl Reader<'_> {
    /// The module of this name and role, by its number; made if it is new.
    pub(super) fn module(&mut self, name: &str, role: Role, path: &Path, member: &Member) -> usize {
        let at = self.place(path, member.key_span.start);
        let modules = &mut self.manifest.modules;
        let known = modules
            .iter()
            .position(|module| module.name == name && module.role == role);
        known.unwrap_or_else(|| {
            modules.push(Module {
                name: name.to_owned(),
                role,
                image: None,
                create_options: CreateOptions::default(),
                env: Vec::new(),
                pull_policy: None,
                status: None,
                restart_policy: None,
                at,
            });
            modules.len() - 1
        })
    }

    /// Something below a module's name. Names are compared as edgeAgent does it: capitals do not matter.
    pub(super) fn module_part(
        &mut self,
        module: usize,
        rest: &[&str],
        path: &Path,
        member: &Member,
    ) {
        match rest {
            ["settings", key] if key.eq_ignore_ascii_case("image") => {
                self.image(module, path, member);
            }
            ["settings", key] => {
                if let Some(number) = chunk(key) {
                    self.create_options(module, number, path, member);
                }
            }
            ["env", name] => {
                let value = member.node.member("value");
                self.variable(module, name, path, value.unwrap_or(&member.node));
            }
            ["env", name, "value"] => self.variable(module, name, path, &member.node),
            [key] if key.eq_ignore_ascii_case("imagePullPolicy") => {
                let text = self.text(path, member);
                self.change(module, |module| module.pull_policy = text);
            }
            [key] if key.eq_ignore_ascii_case("status") => {
                let text = self.text(path, member);
                self.change(module, |module| module.status = text);
            }
            [key] if key.eq_ignore_ascii_case("restartPolicy") => {
                let text = self.text(path, member);
                self.change(module, |module| module.restart_policy = text);
            }
            _ => {}
        }
    }

    fn change(&mut self, module: usize, change: impl FnOnce(&mut Module)) {
        if let Some(module) = self.manifest.modules.get_mut(module) {
            change(module);
        }
    }

    fn image(&mut self, module: usize, path: &Path, member: &Member) {
        let Some(image) = self.text(path, member) else {
            return;
        };
        let Manifest {
            modules, images, ..
        } = &mut self.manifest;
        if let Some(module) = modules.get_mut(module) {
            images.push(NamedImage {
                module: module.name.clone(),
                role: module.role,
                image: image.clone(),
            });
            module.image = Some(image);
        }
    }

    fn create_options(&mut self, module: usize, number: u32, path: &Path, member: &Member) {
        let at = self.place(path, member.node.span.start);
        if let Value::Object(_) = member.node.value {
            let value = Some(Ok(member.node.to_json()));
            self.change(module, |module| {
                module.create_options = CreateOptions {
                    value,
                    at: Some(at),
                    is_object: true,
                    chunks: vec![number],
                    longest: 0,
                };
            });
            return;
        }
        if let Some(text) = self.text(path, member) {
            let chunks = self.options.entry(module).or_default();
            chunks.insert(number, text);
        }
    }

    fn variable(&mut self, module: usize, name: &str, path: &Path, node: &Node) {
        let value = match &node.value {
            Value::Text(text) => EnvValue::Text(text.clone()),
            Value::Number(number) => EnvValue::Number(number.clone()),
            Value::Flag(flag) => EnvValue::Flag(*flag),
            Value::Null | Value::List(_) | Value::Object(_) => EnvValue::Other(node.to_json()),
        };
        let at = self.place(path, node.span.start);
        let name = name.to_owned();
        self.change(module, |module| {
            module.env.push(Variable { name, value, at });
        });
    }

    /// The credentials of this name, by their number; made if they are new.
    pub(super) fn credential(&mut self, id: &str, path: &Path, member: &Member) -> usize {
        let at = self.place(path, member.key_span.start);
        let credentials = &mut self.manifest.credentials;
        let known = credentials
            .iter()
            .position(|credential| credential.id == id);
        known.unwrap_or_else(|| {
            credentials.push(Credential {
                id: id.to_owned(),
                address: None,
                username: None,
                password_is_set: false,
                at,
            });
            credentials.len() - 1
        })
    }

    pub(super) fn credential_part(
        &mut self,
        credential: usize,
        key: &str,
        path: &Path,
        member: &Member,
    ) {
        let text = match key {
            "address" | "username" | "password" => self.text(path, member),
            _ => None,
        };
        let Some(credential) = self.manifest.credentials.get_mut(credential) else {
            return;
        };
        match key {
            "address" => credential.address = text,
            "username" => credential.username = text,
            "password" => {
                credential.password_is_set =
                    text.is_some_and(|password| !password.value.trim().is_empty());
            }
            _ => {}
        }
    }

    /// Joins the chunks of create options.
    pub(super) fn finish(mut self) -> Manifest {
        for (module, chunks) in std::mem::take(&mut self.options) {
            let options = joined(chunks);
            self.change(module, |module| {
                if !module.create_options.is_object {
                    module.create_options = options;
                }
            });
        }
        self.manifest
    }
}

fn joined(chunks: BTreeMap<u32, Located<String>>) -> CreateOptions {
    let at = chunks.values().next().map(|chunk| chunk.at.clone());
    let numbers = chunks.keys().copied().collect();
    let lengths = chunks.values().map(|chunk| chunk.value.len());
    let longest = lengths.max().unwrap_or_default();
    let text: String = chunks.into_values().map(|chunk| chunk.value).collect();
    let value = match text.trim() {
        "" => None,
        text => Some(serde_json::from_str(text).map_err(|error| error.to_string())),
    };
    CreateOptions {
        value,
        at,
        is_object: false,
        chunks: numbers,
        longest,
    }
}

/// The number of a chunk: `createOptions` is 0, `createOptions01` is 1.
fn chunk(key: &str) -> Option<u32> {
    const NAME: &str = "createoptions";
    let (name, number) = key.split_at_checked(NAME.len())?;
    if !name.eq_ignore_ascii_case(NAME) || number.starts_with('+') {
        return None;
    }
    match number {
        "" => Some(0),
        digits => digits.parse().ok(),
    }
}
