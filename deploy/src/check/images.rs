//! Images of modules: what edgeAgent and docker make of their names, and whether anybody has them.

use super::layers::{Layer, Layers, Rank};
use super::report::{Report, Spot};
use super::rules;
use crate::manifest::{Located, Module, NamedImage, Role};
use crate::{Host, ImageName, NotAnImageName, Severity};

pub(super) fn check(layer: &Layer<'_>, layers: &Layers<'_>, report: &mut Report) {
    for named in &layer.manifest.images {
        one(layer, layers, named, report);
    }
    for module in &layer.manifest.modules {
        missing(layer, module, report);
        hand_loaded(layer, module, report);
    }
    editions(layer, report);
}

fn one(layer: &Layer<'_>, layers: &Layers<'_>, named: &NamedImage, report: &mut Report) {
    let text = named.image.value.trim();
    let spot = || Spot::at(layer.file, &named.image.at);
    let image = match ImageName::parse(text) {
        Ok(image) => image,
        Err(error) => return unreadable(&named.image, &error, spot(), report),
    };
    tag(layer, named, &image, report);
    match &image.host {
        Some(Host::Upstream { port }) => upstream(layer, layers, named, *port, report),
        Some(Host::Placeholder(placeholder)) => report.add(
            rules::PLACEHOLDER,
            spot(),
            format!("`{text}` still has the placeholder `{placeholder}`"),
            "put the registry in its place before the deployment",
        ),
        Some(Host::Named(host)) => past_parent(layer, named, host, report),
        None => single_label(layer, layers, named, &image, report),
    }
}

fn unreadable(
    image: &Located<String>,
    error: &NotAnImageName,
    spot: Spot<'_>,
    report: &mut Report,
) {
    match error {
        NotAnImageName::Upstream => report.add(
            rules::UPSTREAM_WITHOUT_PORT,
            spot,
            format!("`{}` has no usable port behind `$upstream`", image.value),
            "write `$upstream:443/…`, with the port the parent's API proxy listens on",
        ),
        NotAnImageName::Whole(placeholder) => report.add(
            rules::PLACEHOLDER,
            spot,
            format!("the whole image is the placeholder `{placeholder}`"),
            "put the image in its place before the deployment",
        ),
        NotAnImageName::Scheme(scheme) => report.add(
            rules::BAD_IMAGE,
            spot,
            format!("`{}` is a URL, and no image name", image.value),
            format!("leave `{scheme}://` away"),
        ),
        NotAnImageName::Empty | NotAnImageName::Character(_) | NotAnImageName::EmptyPart => report
            .add(
                rules::BAD_IMAGE,
                spot,
                format!("`{}` is no image name: {error}", image.value),
                "write HOST/REPOSITORY:TAG",
            ),
    }
}

fn tag(layer: &Layer<'_>, named: &NamedImage, image: &ImageName, report: &mut Report) {
    let spot = Spot::at(layer.file, &named.image.at);
    match (&image.tag, &image.digest) {
        (Some(tag), Some(digest)) => report.add(
            rules::TAG_AND_DIGEST,
            spot,
            format!("`{}` has the tag `{tag}` and a digest", named.image.value),
            format!("leave one away: `…@{digest}` for exactly this image, `…:{tag}` for what the tag names"),
        ),
        (None, None) => report.add(
            rules::MISSING_TAG,
            spot,
            format!("`{}` has no tag", named.image.value),
            "write the version: `…:1.5`",
        ),
        (Some(_), None) | (None, Some(_)) => {}
    }
}

fn upstream(
    layer: &Layer<'_>,
    layers: &Layers<'_>,
    named: &NamedImage,
    port: Option<u16>,
    report: &mut Report,
) {
    let spot = || Spot::at(layer.file, &named.image.at);
    let text = &named.image.value;
    let Some(port) = port else {
        return report.add(
            rules::UPSTREAM_WITHOUT_PORT,
            spot(),
            format!("`{text}` has no port behind `$upstream`"),
            "write `$upstream:443/…`, with the port the parent's API proxy listens on",
        );
    };
    if layer.rank.is_top() {
        let fix = match layer.rank {
            Rank::GuessedTop => {
                "name the registry itself (`cistern edge rewrite --layer top` does it); if this is a lower layer, say `--layer lower`"
            }
            Rank::Top | Rank::Lower | Rank::GuessedLower => {
                "name the registry itself (`cistern edge rewrite --layer top` does it); manifests are given from the top layer downwards"
            }
        };
        return report.add_as(
            rules::UPSTREAM_ON_TOP,
            layer.rank.severity(),
            spot(),
            format!("`{text}` in the top layer, which has no parent"),
            fix.to_owned(),
        );
    }
    let parent = layers.parent_of(layer);
    if let Some((above, proxy)) = parent.and_then(|above| Some((above, above.proxy.as_ref()?)))
        && proxy.port != port
    {
        report.add(
            rules::UPSTREAM_PORT,
            spot(),
            format!(
                "`{text}` asks port {port}; the API proxy of {} listens on {}",
                above.file, proxy.port
            ),
            format!("write `$upstream:{}/…`", proxy.port),
        );
    }
}

fn past_parent(layer: &Layer<'_>, named: &NamedImage, host: &str, report: &mut Report) {
    let parent = layer.device.and_then(super::layers::Device::parent);
    let is_parent = parent.is_some_and(|parent| {
        host.split(':')
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case(parent))
    });
    if layer.rank.is_top() || is_parent {
        return;
    }
    let severity = match layer.rank {
        Rank::GuessedLower => Severity::Note,
        Rank::Lower | Rank::Top | Rank::GuessedTop => Severity::Warning,
    };
    report.add_as(
        rules::PAST_PARENT,
        severity,
        Spot::at(layer.file, &named.image.at),
        format!("`{}` comes from {host} and not from the parent", named.image.value),
        "write `$upstream:PORT/…` (`cistern edge rewrite --layer lower` does it), unless this device reaches the registry itself".to_owned(),
    );
}

/// `parent/azureiotedge-agent:1.5`: docker sees no host in it.
fn single_label(
    layer: &Layer<'_>,
    layers: &Layers<'_>,
    named: &NamedImage,
    image: &ImageName,
    report: &mut Report,
) {
    let Some((first, rest)) = image.repository.split_once('/') else {
        return past_parent(layer, named, "Docker Hub", report);
    };
    let is_name = |name: Option<&str>| name.is_some_and(|name| name.eq_ignore_ascii_case(first));
    let is_known = is_name(layer.device.and_then(super::layers::Device::parent))
        || layers.iter().any(|other| is_name(other.hostname()));
    let is_likely = rest.starts_with("azureiotedge-") && first != "microsoft";
    if is_known || is_likely {
        report.add_as(
            rules::SINGLE_LABEL_PARENT,
            if is_known { Severity::Error } else { Severity::Warning },
            Spot::at(layer.file, &named.image.at),
            format!("in `{}` docker sees no host: `{first}` is taken for a user of Docker Hub", named.image.value),
            format!("write `$upstream:PORT/{rest}`, or a name with a `.` or a port: `{first}:443/{rest}`"),
        );
    } else {
        past_parent(layer, named, "Docker Hub", report);
    }
}

fn missing(layer: &Layer<'_>, module: &Module, report: &mut Report) {
    if module.image.is_none() && !layer.manifest.shape.is_layered {
        report.add(
            rules::MISSING_IMAGE,
            Spot::at(layer.file, &module.at),
            format!("module {} has no `settings.image`", module.name),
            "name the image it runs",
        );
    }
}

fn hand_loaded(layer: &Layer<'_>, module: &Module, report: &mut Report) {
    let Some(policy) = module
        .pull_policy
        .as_ref()
        .filter(|policy| policy.value == "never")
    else {
        return;
    };
    let image = module
        .image
        .as_ref()
        .map_or("its image", |image| image.value.as_str());
    report.add(
        rules::HAND_LOADED,
        Spot::at(layer.file, &policy.at),
        format!("module {}: `{image}` is never pulled (`imagePullPolicy: never`)", module.name),
        "load it with `docker load` before the deployment and before every update, or leave the policy away",
    );
}

/// Major and minor number of an edition: 1.5 of `1.5.21-linux-amd64`.
pub(super) fn edition(image: &ImageName) -> Option<(u32, u32)> {
    let mut parts = image.tag.as_deref()?.split(['.', '-']);
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn editions(layer: &Layer<'_>, report: &mut Report) {
    let mut seen: Vec<(Role, (u32, u32))> = Vec::new();
    for named in layer
        .manifest
        .images
        .iter()
        .filter(|named| named.role != Role::Custom)
    {
        let image = ImageName::parse(named.image.value.trim()).ok();
        let Some(edition @ (major, minor)) = image
            .filter(|image| image.short_name().starts_with("azureiotedge-"))
            .and_then(|image| edition(&image))
        else {
            continue;
        };
        let spot = || Spot::at(layer.file, &named.image.at);
        if edition < (1, 2) && !layer.rank.is_top() && named.role == Role::Agent {
            report.add(
                rules::AGENT_TOO_OLD,
                spot(),
                format!("edgeAgent {major}.{minor} in a lower layer"),
                "use 1.5 or newer",
            );
        } else if edition < (1, 5) {
            report.add(
                rules::END_OF_LIFE,
                spot(),
                format!("{} {major}.{minor}", named.module),
                "use 1.5 or newer",
            );
        }
        if let Some((_, other)) = seen
            .iter()
            .find(|(role, other)| *role != named.role && *other != edition)
        {
            report.add(
                rules::EDITIONS_DIFFER,
                spot(),
                format!(
                    "{} is {major}.{minor}, the other one {}.{}",
                    named.module, other.0, other.1
                ),
                "use one edition for both",
            );
        }
        seen.push((named.role, edition));
    }
}
