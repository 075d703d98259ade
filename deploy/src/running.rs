//! A registry as it runs today: from what `docker inspect` says, or from a deployment manifest. What would be kept of it when
//! another program takes its place is decided by whoever knows that program's settings.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::RegistryModule;
use crate::manifest::Module;

/// Where the store lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Store {
    /// In a folder of the device, or in a volume with a name: the next container finds it again.
    Kept(String),
    /// In a volume without a name, or inside the container: the next container begins with an empty one.
    Lost,
}

/// A registry as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The name of its container or module.
    pub name: String,
    /// The image it runs.
    pub image: String,
    /// Its environment.
    pub environment: BTreeMap<String, String>,
    /// Where the store lies.
    pub store: Store,
    /// The folder of the store in the container.
    pub store_folder: String,
    /// The user it runs as, when one is named.
    pub user: Option<String>,
    /// The ports of the device that lead to it.
    pub ports: Vec<u16>,
    /// An entry point that was named for it, and does not come with the image.
    pub entrypoint: Option<String>,
    /// Where on the device its configuration file lies, when one is bound.
    pub config_file: Option<String>,
}

/// Distribution's own entry points, which nobody has named.
const ENTRYPOINTS: [&str; 2] = ["/entrypoint.sh", "registry"];

impl Running {
    /// Reads what `docker inspect CONTAINER…` prints. None if the text is something else.
    pub fn of_inspect(text: &str) -> Option<Vec<Self>> {
        let value: Value = serde_json::from_str(text).ok()?;
        let containers = match &value {
            Value::Array(containers) => containers.clone(),
            one @ Value::Object(_) => vec![one.clone()],
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
        containers.iter().map(container).collect()
    }

    /// Takes a registry module of a deployment manifest.
    pub fn of_module(registry: &RegistryModule<'_>) -> Self {
        let module = registry.module;
        let options = options(module);
        let text_at = |pointer| {
            let text = options.pointer(pointer).and_then(Value::as_str);
            text.map(str::to_owned)
        };
        let environment: BTreeMap<String, String> = module
            .env
            .iter()
            .map(|variable| (variable.name.clone(), variable.value.as_text()))
            .collect();
        let store_folder = store_folder(&environment);
        let binds = binds(&options);
        Self {
            name: module.name.clone(),
            image: module
                .image
                .as_ref()
                .map_or_else(String::new, |image| image.value.clone()),
            store: kept(&binds, &store_folder),
            store_folder,
            user: text_at("/User").filter(|user| !user.is_empty()),
            ports: ports(options.pointer("/HostConfig/PortBindings")),
            entrypoint: words(options.pointer("/Entrypoint")),
            config_file: config_file(&binds),
            environment,
        }
    }
}

fn options(module: &Module) -> Value {
    let value = module.create_options.value.clone();
    value.and_then(Result::ok).unwrap_or_default()
}

fn container(value: &Value) -> Option<Running> {
    let config = value.get("Config")?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let environment: BTreeMap<String, String> = config
        .get("Env")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.as_str()?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let store_folder = store_folder(&environment);
    let mounts = mounts(value.get("Mounts"));
    let entrypoint = words(config.get("Entrypoint"));
    Some(Running {
        name: text(value.get("Name"))?.trim_start_matches('/').to_owned(),
        image: text(config.get("Image"))?,
        store: kept(&mounts, &store_folder),
        store_folder,
        user: text(config.get("User")).filter(|user| !user.is_empty()),
        ports: ports(value.pointer("/HostConfig/PortBindings")),
        entrypoint: entrypoint.filter(|entry| !ENTRYPOINTS.contains(&entry.as_str())),
        config_file: config_file(&mounts),
        environment,
    })
}

fn store_folder(environment: &BTreeMap<String, String>) -> String {
    let named = environment.get("REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY");
    named.map_or_else(|| "/var/lib/registry".to_owned(), Clone::clone)
}

/// What lies outside the container: its place there, and in the container.
fn mounts(value: Option<&Value>) -> Vec<(String, String)> {
    let mounts = value.and_then(Value::as_array).into_iter().flatten();
    mounts
        .filter_map(|mount| {
            let text = |name| mount.get(name).and_then(Value::as_str);
            let source = match text("Type")? {
                "volume" => text("Name").filter(|name| !is_nameless(name))?,
                "bind" => text("Source")?,
                _ => return None,
            };
            Some((source.to_owned(), text("Destination")?.to_owned()))
        })
        .collect()
}

/// Docker calls a volume that nobody named by 64 hexadecimal digits.
fn is_nameless(volume: &str) -> bool {
    volume.len() == 64 && volume.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The same, from create options.
fn binds(options: &Value) -> Vec<(String, String)> {
    let list = |pointer| {
        let list = options.pointer(pointer).and_then(Value::as_array);
        list.into_iter().flatten()
    };
    let binds = list("/HostConfig/Binds").filter_map(|bind| {
        let mut parts = bind.as_str()?.split(':');
        Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
    });
    let mounts = list("/HostConfig/Mounts").filter_map(|mount| {
        let text = |name| mount.get(name).and_then(Value::as_str);
        if text("Type") == Some("tmpfs") {
            return None;
        }
        Some((text("Source")?.to_owned(), text("Target")?.to_owned()))
    });
    binds.chain(mounts).collect()
}

fn kept(mounts: &[(String, String)], store: &str) -> Store {
    let holds = |target: &str| {
        let target = target.trim_end_matches('/');
        store == target || store.starts_with(&format!("{target}/"))
    };
    match mounts.iter().find(|(_, target)| holds(target)) {
        Some((source, _)) => Store::Kept(source.clone()),
        None => Store::Lost,
    }
}

fn config_file(mounts: &[(String, String)]) -> Option<String> {
    let is_config = |target: &str| {
        target.starts_with("/etc/docker/registry") || target.starts_with("/etc/distribution")
    };
    let mut mounts = mounts.iter();
    let found = mounts.find(|(_, target)| is_config(target));
    found.map(|(source, _)| source.clone())
}

fn ports(bindings: Option<&Value>) -> Vec<u16> {
    let bindings = bindings.and_then(Value::as_object).into_iter().flatten();
    bindings
        .filter_map(|(_, bound)| bound.as_array())
        .flatten()
        .filter_map(|binding| binding.get("HostPort")?.as_str()?.parse().ok())
        .collect()
}

fn words(value: Option<&Value>) -> Option<String> {
    let words: Vec<&str> = value?
        .as_array()?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    (!words.is_empty()).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INSPECT: &str = r#"[{"Name":"/registry","Config":{"Image":"registry:2","User":"","Env":["REGISTRY_PROXY_REMOTEURL=https://a.example","PATH=/bin"],
        "Entrypoint":["/entrypoint.sh"],"Cmd":["/etc/docker/registry/config.yml"]},
        "HostConfig":{"PortBindings":{"5000/tcp":[{"HostIp":"","HostPort":"5000"}]}},
        "Mounts":[{"Type":"volume","Name":"registry","Source":"/var/lib/docker/volumes/registry/_data","Destination":"/var/lib/registry"},
                  {"Type":"bind","Source":"/srv/config.yml","Destination":"/etc/docker/registry/config.yml"}]}]"#;

    #[test]
    fn a_running_container_is_read_from_what_docker_says_of_it() {
        let running = Running::of_inspect(INSPECT).unwrap().remove(0);
        assert_eq!(running.name, "registry");
        assert_eq!(running.store, Store::Kept("registry".to_owned()));
        assert_eq!(
            (running.ports, running.user, running.entrypoint),
            (vec![5000], None, None)
        );
        assert_eq!(running.config_file.as_deref(), Some("/srv/config.yml"));
        assert_eq!(
            running.environment["REGISTRY_PROXY_REMOTEURL"],
            "https://a.example"
        );
    }

    #[test]
    fn a_volume_without_a_name_does_not_keep_the_store() {
        let nameless = INSPECT.replace(
            "\"Name\":\"registry\"",
            &format!("\"Name\":\"{}\"", "0a".repeat(32)),
        );
        assert_eq!(
            Running::of_inspect(&nameless).unwrap()[0].store,
            Store::Lost
        );
        assert_eq!(Running::of_inspect("version: 0.1"), None);
        assert_eq!(Running::of_inspect("{\"modulesContent\":{}}"), None);
    }
}
