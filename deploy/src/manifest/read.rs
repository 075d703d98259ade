//! From a JSON document to a manifest.
//!
//! The keys below a module's name may be nested objects or one dotted key, cut anywhere: both are walked as one path.

mod parts;

use std::collections::BTreeMap;

use super::{Located, Manifest, NotAManifest, Oddity, Role, Route, Twin};
use crate::Place;
use crate::json::{Document, Member, Node, Value};

/// The name of the part that everything is in, and an old spelling of it.
const CONTENT: [&str; 2] = ["modulesContent", "moduleContent"];

pub(super) fn read(document: &Document) -> Result<Manifest, NotAManifest> {
    let mut reader = Reader {
        document,
        manifest: Manifest::default(),
        options: BTreeMap::new(),
    };
    for content in reader.contents()? {
        reader.content(content)?;
    }
    let manifest = reader.finish();
    if manifest.modules.is_empty()
        && manifest.twins.is_empty()
        && manifest.routes.is_empty()
        && manifest.credentials.is_empty()
        && !manifest.shape.has_agent
    {
        let (line, _) = document.line_of(document.root().span.start);
        let what = "`modulesContent` is empty: there is no module in it".to_owned();
        return Err(NotAManifest { line, what });
    }
    Ok(manifest)
}

/// A path inside the manifest.
type Path = Vec<String>;

struct Reader<'input> {
    document: &'input Document,
    manifest: Manifest,
    /// The pieces of create options, by module and number.
    options: BTreeMap<usize, BTreeMap<u32, Located<String>>>,
}

impl<'input> Reader<'input> {
    fn refuse<T>(&self, node: &Node, what: &str) -> Result<T, NotAManifest> {
        let (line, _) = self.document.line_of(node.span.start);
        let what = what.to_owned();
        Err(NotAManifest { line, what })
    }

    /// The objects that `modulesContent` names.
    fn contents(&mut self) -> Result<Vec<&'input Node>, NotAManifest> {
        let root = self.document.root();
        let Some(members) = root.as_object() else {
            let what = format!(
                "{} where the object with `modulesContent` is expected",
                root.kind()
            );
            return self.refuse(root, &what);
        };
        let direct = contents_of(members);
        if !direct.is_empty() {
            return Ok(direct);
        }
        let wrapped = members.iter().filter(|member| member.key == "content");
        let wrapped = wrapped.filter_map(|member| member.node.as_object());
        let inside: Vec<_> = wrapped.flat_map(contents_of).collect();
        self.manifest.shape.is_wrapped = !inside.is_empty();
        if inside.is_empty() {
            return self.refuse(root, &instead_of_a_manifest(root));
        }
        Ok(inside)
    }

    fn content(&mut self, content: &'input Node) -> Result<(), NotAManifest> {
        let Some(modules) = content.as_object() else {
            let what = format!(
                "`modulesContent` is {}: an object of modules is expected",
                content.kind()
            );
            return self.refuse(content, &what);
        };
        for module in modules {
            self.top(module);
        }
        Ok(())
    }

    /// One member of `modulesContent`.
    fn top(&mut self, module: &'input Member) {
        let place = self.place(std::slice::from_ref(&module.key), module.key_span.start);
        let Some(members) = module.node.as_object() else {
            self.odd(place, "an object", &module.node);
            return;
        };
        let dotted = |member: &Member| member.key.starts_with("properties.desired.");
        self.manifest.shape.is_layered |= members.iter().any(dotted);
        self.manifest.shape.has_agent |= module.key == "$edgeAgent";
        for member in members {
            let mut path = vec![module.key.clone()];
            path.extend(member.key.split('.').map(str::to_owned));
            match module.key.as_str() {
                "$edgeAgent" => self.agent(&mut path, member),
                "$edgeHub" => self.hub(&mut path, member),
                _ => self.twin(&place, &path, member),
            }
        }
    }

    /// Something at a path below `$edgeAgent`.
    fn agent(&mut self, path: &mut Path, member: &Member) {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        match parts.get(1..).unwrap_or_default() {
            ["properties"]
            | ["properties", "desired"]
            | [
                "properties",
                "desired",
                "runtime" | "systemModules" | "modules",
            ]
            | ["properties", "desired", "runtime", "settings"]
            | [
                "properties",
                "desired",
                "runtime",
                "settings",
                "registryCredentials",
            ] => {
                self.descend(path, member, Self::agent);
            }
            ["properties", "desired", "schemaVersion"] => {
                self.manifest.agent_schema = self.text(path, member);
            }
            [
                "properties",
                "desired",
                "runtime",
                "settings",
                "registryCredentials",
                id,
                rest @ ..,
            ] => {
                let credential = self.credential(id, path, member);
                match rest {
                    [] => self.descend(path, member, Self::agent),
                    [key] => self.credential_part(credential, key, path, member),
                    _ => {}
                }
            }
            [
                "properties",
                "desired",
                section @ ("systemModules" | "modules"),
                name,
                rest @ ..,
            ] => {
                if member.node.value == Value::Null {
                    return;
                }
                let role = role_of(section, name);
                let module = self.module(name, role, path, member);
                match rest {
                    [] | ["settings" | "env"] => self.descend(path, member, Self::agent),
                    rest => self.module_part(module, rest, path, member),
                }
            }
            _ => {}
        }
    }

    /// Something at a path below `$edgeHub`.
    fn hub(&mut self, path: &mut Path, member: &Member) {
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        match parts.get(1..).unwrap_or_default() {
            ["properties"] | ["properties", "desired"] | ["properties", "desired", "routes"] => {
                self.descend(path, member, Self::hub);
            }
            ["properties", "desired", "schemaVersion"] => {
                self.manifest.hub_schema = self.text(path, member);
            }
            ["properties", "desired", "routes", _] if member.node.as_object().is_some() => {
                self.descend(path, member, Self::hub);
            }
            ["properties", "desired", "routes", name]
            | ["properties", "desired", "routes", name, "route"] => {
                let name = (*name).to_owned();
                if let Some(route) = self.text(path, member) {
                    self.manifest.routes.push(Route { name, route });
                }
            }
            _ => {}
        }
    }

    /// Something of the twin of a module.
    fn twin(&mut self, at: &Place, path: &[String], member: &Member) {
        match path {
            [_, properties, desired, rest @ ..]
                if properties == "properties" && desired == "desired" =>
            {
                self.twin_part(at, path, rest, &member.node);
            }
            [_, properties] if properties == "properties" => {
                if let Some(desired) = member.node.member("desired") {
                    self.twin_part(at, path, &[], desired);
                }
            }
            _ => {}
        }
    }

    fn twin_part(&mut self, at: &Place, path: &[String], below: &[String], node: &Node) {
        let module = path.first().cloned().unwrap_or_default();
        let twins = &mut self.manifest.twins;
        let known = twins.iter().position(|twin| twin.module == module);
        let index = known.unwrap_or_else(|| {
            let desired = serde_json::Value::Object(serde_json::Map::new());
            twins.push(Twin {
                module,
                desired,
                at: at.clone(),
            });
            twins.len() - 1
        });
        if let Some(twin) = twins.get_mut(index) {
            put(&mut twin.desired, below, node.to_json());
        }
    }

    /// Goes on with the members of an object.
    fn descend(
        &mut self,
        path: &mut Path,
        member: &Member,
        go_on: fn(&mut Self, &mut Path, &Member),
    ) {
        match &member.node.value {
            Value::Object(members) => {
                for inner in members {
                    path.push(inner.key.clone());
                    go_on(self, path, inner);
                    path.pop();
                }
            }
            Value::Null => {}
            _ => {
                let place = self.place(path, member.node.span.start);
                self.odd(place, "an object", &member.node);
            }
        }
    }

    fn place(&self, path: &[String], offset: usize) -> Place {
        let (line, _) = self.document.line_of(offset);
        let path = path.join(".");
        Place { path, line }
    }

    fn odd(&mut self, at: Place, expected: &str, found: &Node) {
        let what = format!("{} where {expected} is expected", found.kind());
        self.manifest.oddities.push(Oddity { what, at });
    }

    fn text(&mut self, path: &[String], member: &Member) -> Option<Located<String>> {
        let at = self.place(path, member.node.span.start);
        if let Some(text) = member.node.as_text() {
            return Some(Located {
                value: text.to_owned(),
                at,
                span: member.node.span.clone(),
            });
        }
        if member.node.value != Value::Null {
            self.odd(at, "a text", &member.node);
        }
        None
    }
}

fn contents_of(members: &[Member]) -> Vec<&Node> {
    let named = members
        .iter()
        .filter(|member| CONTENT.contains(&member.key.as_str()));
    named.map(|member| &member.node).collect()
}

fn role_of(section: &str, name: &str) -> Role {
    match (section, name) {
        ("systemModules", "edgeAgent") => Role::Agent,
        ("systemModules", "edgeHub") => Role::Hub,
        _ => Role::Custom,
    }
}

/// What the document is instead of a manifest.
fn instead_of_a_manifest(root: &Node) -> String {
    let expected = "a deployment manifest has `modulesContent`, alone or inside `content`";
    let has = |key: &str| root.member(key).is_some();
    let seen = if has("content") {
        "`content` holds no `modulesContent`: this may be a configuration of devices"
    } else if has("$edgeAgent") {
        "this is the inside of a manifest: put it into {\"modulesContent\": …}"
    } else if has("properties") && (has("deviceId") || has("moduleId")) {
        "this is a twin as `az iot hub module-twin show` prints it"
    } else {
        "there is no `modulesContent` in it"
    };
    format!("{seen}; {expected}")
}

/// Puts a value at a path; what is there already and is an object too gets its members.
fn put(target: &mut serde_json::Value, path: &[String], value: serde_json::Value) {
    let Some((first, rest)) = path.split_first() else {
        match (target, value) {
            (serde_json::Value::Object(target), serde_json::Value::Object(members)) => {
                target.extend(members);
            }
            (target, value) => *target = value,
        }
        return;
    };
    if !target.is_object() {
        *target = serde_json::Value::Object(serde_json::Map::new());
    }
    if let serde_json::Value::Object(members) = target {
        let inner = members
            .entry(first.clone())
            .or_insert(serde_json::Value::Null);
        if inner.is_null() && !rest.is_empty() {
            *inner = serde_json::Value::Object(serde_json::Map::new());
        }
        put(inner, rest, value);
    }
}
