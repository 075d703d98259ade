//! Registry modules: their upstream, their store, their settings, and where their own image comes from.

use super::SettingsJudge;
use super::layers::{Layer, Rank};
use super::parts::{self, Program, RegistryModule};
use super::report::{Report, Spot};
use super::rules;
use crate::manifest::{Module, Variable};
use crate::{Host, Severity};

const REMOTE: &str = "REGISTRY_PROXY_REMOTEURL";

pub(super) fn check(layer: &Layer<'_>, judge: &SettingsJudge<'_>, report: &mut Report) {
    for registry in &layer.registries {
        remote(layer, registry, report);
        volume(layer, registry, report);
        through_itself(layer, registry, report);
        settings(layer, registry, judge, report);
    }
    if let [_, second, ..] = layer.registries.as_slice() {
        let names: Vec<_> = layer
            .registries
            .iter()
            .map(|one| one.module.name.as_str())
            .collect();
        report.add(
            rules::SEVERAL_REGISTRIES,
            Spot::at(layer.file, &second.module.at),
            format!("registry modules: {}", names.join(", ")),
            "one Cistern serves several upstreams by proxy.routes (REGISTRY_PROXY_ROUTES_0_PREFIX, …_REMOTEURL)",
        );
    }
    for module in &layer.manifest.modules {
        for variable in &module.env {
            in_env(layer, module, variable, report);
        }
    }
}

/// The host of an upstream's address, as forgiving as Cistern reads it.
pub(super) fn host_of(address: &str) -> &str {
    let without_scheme = address
        .trim()
        .split_once("://")
        .map_or(address.trim(), |(_, rest)| rest);
    without_scheme.split('/').next().unwrap_or_default()
}

/// An address without the user and password it may carry.
fn without_login(address: &str) -> String {
    match (address.find("://"), address.find('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (before, _) = address.split_at(scheme + 3);
            format!("{before}{}", address.get(at + 1..).unwrap_or_default())
        }
        _ => address.to_owned(),
    }
}

fn is_placeholder(text: &str) -> bool {
    text.starts_with('<') || (text.contains('$') && !text.contains("$upstream"))
}

fn remote(layer: &Layer<'_>, registry: &RegistryModule<'_>, report: &mut Report) {
    let name = &registry.module.name;
    let Some(variable) = registry.module.variable(REMOTE) else {
        return no_remote(layer, registry, report);
    };
    let text = without_login(&variable.value.as_text());
    let spot = || Spot::at(layer.file, &variable.at);
    let host = host_of(&text);
    if is_placeholder(&text) || text.contains("$upstream") {
        return;
    }
    if !text.contains("://") {
        let severity = match registry.program {
            Program::Distribution => Severity::Error,
            Program::Cistern => Severity::Note,
        };
        report.add_as(
            rules::REMOTE_SCHEME,
            severity,
            spot(),
            format!("{name}: {REMOTE} is `{text}`, without a scheme"),
            format!("write `https://{}`", text.trim()),
        );
    }
    let Some((severity, fix)) = cut_short(layer, host) else {
        return;
    };
    report.add_as(
        rules::REMOTE_TRUNCATED,
        severity,
        spot(),
        format!("{name}: {REMOTE} is `{text}`"),
        fix,
    );
}

fn no_remote(layer: &Layer<'_>, registry: &RegistryModule<'_>, report: &mut Report) {
    let has_other_work = registry.module.env.iter().any(|variable| {
        let ways = ["REGISTRY_PROXY_ROUTES_", "REGISTRY_HOSTED_"];
        ways.iter().any(|way| variable.name.starts_with(way))
    });
    if !has_other_work && !layer.manifest.shape.is_layered {
        report.add(
            rules::REMOTE_MISSING,
            Spot::at(layer.file, &registry.module.at),
            format!("{} has no {REMOTE}", registry.module.name),
            format!("add it: {REMOTE}=https://myregistry.azurecr.io"),
        );
    }
}

/// Whether a part of this host's name is missing: for certain, or because it has no `.` and nobody here is called so.
fn cut_short(layer: &Layer<'_>, host: &str) -> Option<(Severity, String)> {
    if host.ends_with(".azurecr") {
        let fix = "Microsoft's page shows this address cut short";
        return Some((Severity::Error, format!("write `https://{host}.io`; {fix}")));
    }
    let name = host.split(':').next().unwrap_or_default();
    let is_whole = name.contains('.') || name == "localhost" || host.starts_with('[');
    let is_near = is_whole || layer.manifest.module(name).is_some();
    (!is_near).then(|| {
        (
            Severity::Warning,
            "write the whole name of the registry".to_owned(),
        )
    })
}

fn volume(layer: &Layer<'_>, registry: &RegistryModule<'_>, report: &mut Report) {
    let module = registry.module;
    if layer.manifest.shape.is_layered && module.create_options.value.is_none()
        || matches!(module.create_options.value, Some(Err(_)))
        || keeps_its_store(module)
    {
        return;
    }
    let root = store_of(module);
    report.add(
        rules::REGISTRY_WITHOUT_VOLUME,
        Spot::at(
            layer.file,
            module.create_options.at.as_ref().unwrap_or(&module.at),
        ),
        format!("{} has no volume or bind for {root}", module.name),
        format!("add \"HostConfig\": {{\"Binds\": [\"registry:{root}\"]}}"),
    );
}

/// The folder of the store in the container.
pub(super) fn store_of(module: &Module) -> String {
    parts::value_of(module, "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY")
        .unwrap_or_else(|| "/var/lib/registry".to_owned())
}

/// Whether the folder of the store lies outside the container.
pub(super) fn keeps_its_store(module: &Module) -> bool {
    let store = store_of(module);
    let holds = |target: &str| {
        let target = target.trim_end_matches('/');
        !target.is_empty() && (store == target || store.starts_with(&format!("{target}/")))
    };
    let Some(options) = parts::options(module) else {
        return false;
    };
    let list = |pointer| {
        options
            .pointer(pointer)
            .and_then(serde_json::Value::as_array)
            .into_iter()
            .flatten()
    };
    let by_bind = list("/HostConfig/Binds")
        .filter_map(serde_json::Value::as_str)
        .any(|bind| bind.split(':').nth(1).is_some_and(holds));
    let by_mount = list("/HostConfig/Mounts").any(|mount| {
        let is_kept = mount.get("Type").is_none_or(|kind| kind != "tmpfs");
        is_kept
            && mount
                .get("Target")
                .and_then(serde_json::Value::as_str)
                .is_some_and(holds)
    });
    by_bind || by_mount
}

fn through_itself(layer: &Layer<'_>, registry: &RegistryModule<'_>, report: &mut Report) {
    let Some(host) = parts::image_of(registry.module).and_then(|image| image.host) else {
        return;
    };
    let Host::Named(text) = &host else {
        return;
    };
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) => (name, port.parse().ok()),
        None => (text.as_str(), Some(443)),
    };
    let is_own_name = matches!(name, "localhost" | "127.0.0.1" | "[::1]")
        || name.eq_ignore_ascii_case(&registry.module.name)
        || layer
            .hostname()
            .is_some_and(|own| own.eq_ignore_ascii_case(name));
    let bound = parts::bindings(registry.module);
    let is_own_port =
        port == Some(registry.port) || bound.iter().any(|binding| Some(binding.host) == port);
    let routes_here = layer
        .proxy
        .as_ref()
        .is_some_and(|proxy| proxy.route.is_some() && Some(proxy.port) == port);
    if is_own_name && (is_own_port || routes_here) {
        let way = if is_own_port {
            "by itself"
        } else {
            "by itself, behind its API proxy"
        };
        let from = match layer.rank {
            Rank::Top | Rank::GuessedTop => {
                "write the registry that holds it, as mcr.microsoft.com or your own"
            }
            Rank::Lower | Rank::GuessedLower => {
                "write `$upstream:PORT/…`: it comes from the parent's cache"
            }
        };
        report.add(
            rules::THROUGH_ITSELF,
            Spot::at(
                layer.file,
                registry
                    .module
                    .image
                    .as_ref()
                    .map_or(&registry.module.at, |image| &image.at),
            ),
            format!(
                "the image of {} is served {way}: `{text}`",
                registry.module.name
            ),
            from,
        );
    }
}

fn settings(
    layer: &Layer<'_>,
    registry: &RegistryModule<'_>,
    judge: &SettingsJudge<'_>,
    report: &mut Report,
) {
    for doubt in judge(&parts::environment(registry.module)) {
        let variable = doubt
            .variable
            .as_deref()
            .and_then(|name| registry.module.variable(name));
        let what = match &doubt.variable {
            Some(name) => format!("{}: {name}: {}", registry.module.name, doubt.what),
            None => format!("{}: {}", registry.module.name, doubt.what),
        };
        // What Cistern says of a setting need not hold for Distribution.
        let severity = match registry.program {
            Program::Cistern => doubt.severity,
            Program::Distribution => doubt.severity.min(Severity::Warning),
        };
        report.add_as(
            rules::REGISTRY_SETTING,
            severity,
            Spot::at(
                layer.file,
                variable.map_or(&registry.module.at, |variable| &variable.at),
            ),
            what,
            doubt.fix,
        );
    }
}

fn in_env(layer: &Layer<'_>, module: &Module, variable: &Variable, report: &mut Report) {
    let text = variable.value.as_text();
    let spot = || Spot::at(layer.file, &variable.at);
    let registry = layer
        .registries
        .iter()
        .find(|registry| registry.module.name == module.name);
    let is_cistern = registry.is_some_and(|registry| registry.program == Program::Cistern);
    if text.contains("$upstream") && !is_cistern {
        report.add(
            rules::UPSTREAM_IN_ENV,
            spot(),
            format!("{}: {} has `$upstream` in it", module.name, variable.name),
            "write the parent's name, or give the module a program that reads $IOTEDGE_PARENTHOSTNAME itself",
        );
    }
    if is_secret(&variable.name) && !text.trim().is_empty() && !is_placeholder(&text) {
        let fix = match registry {
            Some(registry) if registry.program == Program::Cistern => format!("put it into a file below a bind, and name the file: {}FILE", variable.name),
            Some(_) | None => "give it rights to read only, for this alone, and renew it; or put it into a file below a bind".to_owned(),
        };
        report.add(
            rules::SECRET_IN_ENV,
            spot(),
            format!(
                "{}: {} is written in the deployment",
                module.name, variable.name
            ),
            fix,
        );
    }
}

fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    let ends = [
        "PASSWORD",
        "PASSWD",
        "SECRET",
        "ACCOUNT_KEY",
        "CONNECTION_STRING",
        "CONNECTIONSTRING",
        "_TOKEN",
        "_APIKEY",
        "ACCESSKEY",
    ];
    ends.iter().any(|end| name.ends_with(end)) || name.ends_with("ACCOUNT_KEY")
}
