//! `--from-distribution`: what changes for a registry that runs when Cistern takes its place, setting by setting.

use std::path::Path;

use cistern_deploy::check::registry_modules;
use cistern_deploy::running::{Running, Store};
use cistern_deploy::{Document, Manifest};
use serde::Serialize;

use super::{Text, settings};
use crate::commands::arguments::Format;
use crate::commands::{Console, Exit};
use crate::config::{ConfigErrors, Finding, Loaded, Place, Severity};

/// What becomes of one setting or circumstance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    /// Something to do.
    Do,
    /// As before.
    Kept,
    /// Not as before, and nothing to do.
    Different,
    /// Cistern does not start with it.
    Refused,
}

#[derive(Clone, Debug, Serialize)]
struct Line {
    standing: Standing,
    subject: String,
    what: String,
}

#[derive(Clone, Debug, Serialize)]
struct Registry {
    name: String,
    image: String,
    lines: Vec<Line>,
}

/// What was given, told apart by what it holds.
#[derive(Default)]
struct Given<'a> {
    running: Vec<Running>,
    config: Option<&'a Text>,
}

pub(super) fn run(texts: &[Text], format: Format, console: &mut Console<'_>) -> Exit {
    let given = match sort(texts) {
        Ok(given) => given,
        Err(why) => {
            console.complain(format!("error: {why}"));
            return Exit::Misuse;
        }
    };
    let registries: Vec<Registry> = if given.running.is_empty() {
        let of_file = given.config.map(|config| Registry {
            name: config.name.clone(),
            image: String::new(),
            lines: of_settings(None, Some(config)),
        });
        of_file.into_iter().collect()
    } else {
        let each = given.running.iter();
        each.map(|running| registry(running, given.config))
            .collect()
    };
    match format {
        Format::Json => console.say(format!(
            "{:#}",
            serde_json::json!({ "registries": registries })
        )),
        Format::Text => registries
            .iter()
            .for_each(|registry| say(registry, console)),
    }
    let mut lines = registries.iter().flat_map(|registry| &registry.lines);
    if lines.any(|line| line.standing == Standing::Refused) {
        Exit::Failure
    } else {
        Exit::Success
    }
}

fn sort(texts: &[Text]) -> Result<Given<'_>, String> {
    let mut given = Given::default();
    for text in texts {
        if let Some(running) = Running::of_inspect(&text.text) {
            given.running.extend(running);
        } else if let Ok(document) = Document::parse(&text.text) {
            let manifest = Manifest::read(&document).map_err(|error| {
                format!(
                    "{} is neither a deployment manifest nor what `docker inspect` prints: {error}",
                    text.name
                )
            })?;
            let modules = registry_modules(&manifest);
            if modules.is_empty() {
                return Err(format!("{} has no registry module", text.name));
            }
            given.running.extend(modules.iter().map(Running::of_module));
        } else if given.config.is_none() {
            given.config = Some(text);
        } else {
            return Err(format!("{} is a second config.yml; give one", text.name));
        }
    }
    Ok(given)
}

fn registry(running: &Running, config: Option<&Text>) -> Registry {
    let mut lines = vec![image(running)];
    lines.extend(of_settings(Some(running), config));
    lines.extend(config_file(running, config));
    lines.push(volume(running));
    lines.push(ports(running));
    lines.push(user(running));
    lines.extend(entrypoint(running));
    Registry {
        name: running.name.clone(),
        image: running.image.clone(),
        lines,
    }
}

fn line(standing: Standing, subject: &str, what: impl Into<String>) -> Line {
    Line {
        standing,
        subject: subject.to_owned(),
        what: what.into(),
    }
}

fn image(running: &Running) -> Line {
    if running.image.contains("cistern") {
        return line(
            Standing::Kept,
            "image",
            format!("{} is Cistern already", running.image),
        );
    }
    let version = env!("CARGO_PKG_VERSION");
    line(
        Standing::Do,
        "image",
        format!(
            "write HOST/cistern:{version} instead of {}, HOST being a registry this device reaches without this cache",
            running.image
        ),
    )
}

/// Each setting, as the server's own reader takes it.
fn of_settings(running: Option<&Running>, config: Option<&Text>) -> Vec<Line> {
    let environment = running.map(|running| running.environment.clone());
    let environment = environment.unwrap_or_default();
    let file = config.map(|config| (config.name.as_str(), config.text.as_str()));
    let loaded = settings::load(&environment, file);
    let findings = settings::findings(&loaded);
    let is_found = |place: &Place| findings.iter().any(|finding| finding.place == *place);
    let mut told: Vec<Line> = Vec::new();
    if let Ok(loaded) = &loaded {
        let accepted = loaded.settings.iter();
        let accepted = accepted.filter(|setting| !is_found(&setting.place));
        told.extend(accepted.map(|setting| {
            let what = format!("{} ({})", setting.value, setting.place);
            line(Standing::Kept, &setting.key, what)
        }));
    } else {
        let names = environment.keys();
        let names = names.filter(|name| name.starts_with("REGISTRY_"));
        let accepted = names.filter(|name| !is_found(&Place::Variable((*name).clone())));
        told.extend(accepted.map(|name| line(Standing::Kept, name, "as it is")));
    }
    told.extend(findings.into_iter().map(of_finding));
    told.extend(life(&loaded));
    told
}

fn of_finding(finding: &Finding) -> Line {
    let standing = match finding.severity {
        Severity::Error => Standing::Refused,
        Severity::Warning => Standing::Different,
    };
    let subject = if finding.key.is_empty() {
        finding.place.to_string()
    } else {
        finding.key.clone()
    };
    let mut what = format!("{} ({})", finding.what, finding.place);
    if !finding.advice.is_empty() {
        what = format!("{what}; {}", finding.advice);
    }
    line(standing, &subject, what)
}

/// How long blobs live: the one thing that has the same name and another meaning.
fn life(loaded: &Result<Loaded, ConfigErrors>) -> Option<Line> {
    let proxy = &loaded.as_ref().ok()?.config.proxy;
    proxy.remote.as_ref()?;
    let here = match proxy.ttl {
        None => "Cistern keeps everything while there is room (proxy.ttl is not set)".to_owned(),
        Some(ttl) => format!(
            "Cistern drops what nobody used for {}, and nothing while the upstream is away",
            crate::config::written_duration(ttl)
        ),
    };
    Some(line(
        Standing::Different,
        "time to live",
        format!(
            "Distribution deletes each blob 7 days (proxy.ttl, from 3.0) after it was fetched, used or not; {here}"
        ),
    ))
}

fn config_file(running: &Running, config: Option<&Text>) -> Option<Line> {
    let source = running.config_file.as_ref()?;
    let what = match config {
        Some(_) => format!("{source} stays bound and is read as before"),
        None => format!(
            "{source} stays bound and is read as before; give it here too, its settings are not in this list"
        ),
    };
    Some(line(Standing::Kept, "config.yml", what))
}

fn volume(running: &Running) -> Line {
    let folder = &running.store_folder;
    match &running.store {
        Store::Kept(source) => line(
            Standing::Kept,
            "store",
            format!(
                "{source} at {folder}: the same files, nothing is converted; scheduler-state.json is moved into {}, so that a Distribution \
                 that comes back does not delete what is older than 7 days",
                Path::new(folder).join("cistern").display()
            ),
        ),
        Store::Lost => line(
            Standing::Do,
            "store",
            format!(
                "nothing with a name is bound at {folder}, so a new container begins with an empty store, as with every update until now: \
                 add \"Binds\": [\"registry:{folder}\"]; to take the old store along, `docker cp {}:{folder}/. FOLDER` before the swap",
                running.name
            ),
        ),
    }
}

fn ports(running: &Running) -> Line {
    let ports: Vec<_> = running.ports.iter().map(u16::to_string).collect();
    let what = if ports.is_empty() {
        "no port of the device leads to it, as before; modules reach it by its name".to_owned()
    } else {
        format!("{} of the device, as before", ports.join(", "))
    };
    line(Standing::Kept, "ports", what)
}

fn user(running: &Running) -> Line {
    let what = match &running.user {
        None => "it starts as root, as Distribution does, and then gives up all rights but the one to write to the store".to_owned(),
        Some(user) => format!("{user}, as before: a user that owns the store works; one that may not write to it gets the chown line printed"),
    };
    line(Standing::Kept, "user", what)
}

fn entrypoint(running: &Running) -> Option<Line> {
    let entrypoint = running.entrypoint.as_ref()?;
    Some(line(
        Standing::Do,
        "entry point",
        format!(
            "take `{entrypoint}` out of the create options: there is no shell and no such program in Cistern's image"
        ),
    ))
}

fn say(registry: &Registry, console: &mut Console<'_>) {
    if registry.image.is_empty() {
        console.say(&registry.name);
    } else {
        console.say(format!("{}, now {}", registry.name, registry.image));
    }
    let width = registry
        .lines
        .iter()
        .map(|line| line.subject.chars().count())
        .max();
    let width = width.unwrap_or_default();
    for line in &registry.lines {
        let standing = match line.standing {
            Standing::Do => "do",
            Standing::Kept => "kept",
            Standing::Different => "different",
            Standing::Refused => "refused",
        };
        console.say(format!(
            "  {standing:<10}{:<width$}  {}",
            line.subject, line.what
        ));
    }
    let has = |standing| registry.lines.iter().any(|line| line.standing == standing);
    console.say(if has(Standing::Refused) {
        "Cistern does not start with what is marked `refused`."
    } else if registry
        .lines
        .iter()
        .filter(|line| line.standing == Standing::Do)
        .count()
        > 1
    {
        "What is marked `do` is to be done; the rest stays as it is."
    } else {
        "Nothing else is to be done."
    });
}
