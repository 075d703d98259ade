//! What is about a deployment as a whole: create options, schema versions, routes, leftovers.

use super::layers::Layer;
use super::report::{Report, Spot};
use super::rules;
use crate::manifest::{Located, Module, Role};

/// How many bytes IoT Hub keeps of one text in a twin.
const LONGEST: usize = 4096;

pub(super) fn check(layer: &Layer<'_>, report: &mut Report) {
    for oddity in &layer.manifest.oddities {
        report.add(
            rules::ODD_VALUE,
            Spot::at(layer.file, &oddity.at),
            oddity.what.clone(),
            "write what is expected there, once",
        );
    }
    for module in &layer.manifest.modules {
        options(layer, module, report);
        experimental(layer, module, report);
    }
    let versions = [
        ("$edgeAgent", &layer.manifest.agent_schema, 1),
        ("$edgeHub", &layer.manifest.hub_schema, 2),
    ];
    for (whose, version, newest) in versions {
        if let Some(version) = version {
            schema(layer, whose, version, newest, report);
        }
    }
    routes(layer, report);
}

fn options(layer: &Layer<'_>, module: &Module, report: &mut Report) {
    let options = &module.create_options;
    let Some(at) = options.at.as_ref() else {
        return;
    };
    let spot = || Spot::at(layer.file, at);
    let is_gapless = options.chunks.iter().enumerate().all(|(position, number)| {
        u32::try_from(position).is_ok_and(|position| position == *number)
    });
    if !is_gapless {
        let numbers: Vec<_> = options.chunks.iter().map(u32::to_string).collect();
        report.add(
            rules::OPTIONS_GAP,
            spot(),
            format!(
                "{}: createOptions come in the chunks {}",
                module.name,
                numbers.join(", ")
            ),
            "number them createOptions, createOptions01, createOptions02 … without a gap",
        );
    } else if let Some(Err(error)) = &options.value {
        report.add(
            rules::OPTIONS_NOT_JSON,
            spot(),
            format!("{}: createOptions are no JSON: {error}", module.name),
            "write a JSON object, its quotes escaped: \"{\\\"HostConfig\\\": {…}}\"",
        );
    }
    if options.longest > LONGEST {
        report.add(
            rules::OPTIONS_TOO_LONG,
            spot(),
            format!(
                "{}: a chunk of createOptions has {} bytes",
                module.name, options.longest
            ),
            "divide it into createOptions, createOptions01, … of at most 512 bytes each",
        );
    }
}

fn experimental(layer: &Layer<'_>, module: &Module, report: &mut Report) {
    for variable in &module.env {
        if variable
            .name
            .to_lowercase()
            .starts_with("experimentalfeatures")
        {
            report.add(
                rules::EXPERIMENTAL,
                Spot::at(layer.file, &variable.at),
                format!("{}: {}", module.name, variable.name),
                "take it out",
            );
        }
    }
}

fn schema(
    layer: &Layer<'_>,
    whose: &str,
    version: &Located<String>,
    newest: u32,
    report: &mut Report,
) {
    let text = version.value.trim();
    let accepted =
        (0..=newest).any(|minor| text == format!("1.{minor}") || text == format!("1.{minor}.0"));
    if !accepted && !text.starts_with(['$', '<']) {
        report.add(
            rules::SCHEMA_VERSION,
            Spot::at(layer.file, &version.at),
            format!("schemaVersion of {whose} is `{text}`"),
            "write \"1.1\"",
        );
    }
}

fn routes(layer: &Layer<'_>, report: &mut Report) {
    let manifest = layer.manifest;
    let has_hub = manifest
        .modules
        .iter()
        .any(|module| module.role == Role::Hub);
    if manifest.shape.is_layered || !has_hub {
        return;
    }
    let leads_upstream = |route: &str| {
        let route = route.to_lowercase();
        route
            .split("into")
            .nth(1)
            .is_some_and(|end| end.trim_start().starts_with("$upstream"))
    };
    if manifest
        .routes
        .iter()
        .any(|route| leads_upstream(&route.route.value))
    {
        return;
    }
    let spot = match manifest.routes.first() {
        Some(route) => Spot::at(layer.file, &route.route.at),
        None => Spot::whole(layer.file),
    };
    report.add(
        rules::NO_ROUTE_UPSTREAM,
        spot,
        "no route of edgeHub leads INTO $upstream",
        "add the route `FROM /messages/* INTO $upstream`",
    );
}
