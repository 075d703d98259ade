//! The files a `config.toml` names: whether they are there, and whether the right user may read them and nobody else.

use super::layers::Device;
use super::report::{Report, Spot};
use super::{Access, FileFacts, path_of_uri, rules};
use crate::Severity;
use crate::certificates::holds_a_key;
use crate::device_config::{DeviceConfig, Setting};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Certificate,
    Key,
}

/// The files a `config.toml` names: each URI, and what it is for.
pub(super) fn named(config: &DeviceConfig) -> Vec<(&Setting<String>, Use)> {
    let edge_ca = config.edge_ca.as_ref();
    [
        (config.trust_bundle.as_ref(), Use::Certificate),
        (
            edge_ca.and_then(|edge_ca| edge_ca.certificate.as_ref()),
            Use::Certificate,
        ),
        (edge_ca.and_then(|edge_ca| edge_ca.key.as_ref()), Use::Key),
    ]
    .into_iter()
    .filter_map(|(uri, kind)| Some((uri?, kind)))
    .collect()
}

/// What is known of the file a URI names.
pub(super) fn facts<'a>(device: &Device<'a>, uri: &str) -> Option<&'a FileFacts> {
    let path = path_of_uri(uri)?;
    device.files.iter().find(|file| file.path == path)
}

/// What a file holds, if it could be read.
pub(super) fn contents<'a>(device: &Device<'a>, uri: &str) -> Option<&'a str> {
    facts(device, uri)?.contents.as_deref().ok()
}

pub(super) fn check(devices: &[&Device<'_>], report: &mut Report) {
    for device in devices {
        for (uri, kind) in named(device.config) {
            file(device, uri, kind, report);
        }
    }
}

fn file(device: &Device<'_>, uri: &Setting<String>, kind: Use, report: &mut Report) {
    let spot = || Spot::at(device.file, &uri.at);
    if path_of_uri(&uri.value).is_none() {
        // A key may also be a key of a hardware store.
        if !(kind == Use::Key && uri.value.starts_with("pkcs11:")) {
            report.add(
                rules::NOT_A_FILE_URI,
                spot(),
                format!("{} is `{}`", uri.at.path, uri.value),
                "write an absolute path behind `file://`: \"file:///var/aziot/certs/…\"",
            );
        }
        return;
    }
    let Some(facts) = facts(device, &uri.value) else {
        return;
    };
    match &facts.contents {
        Err(why) => {
            let (severity, fix) = if facts.is_on_device {
                (
                    Severity::Error,
                    "put it there, owned by aziotcs (certificates) or aziotks (keys)",
                )
            } else {
                (
                    Severity::Warning,
                    "check on the device itself, or say with `--root FOLDER` where its files are",
                )
            };
            report.add_as(
                rules::FILE_MISSING,
                severity,
                spot(),
                format!("{}: {}: {why}", uri.at.path, facts.path),
                fix.to_owned(),
            );
        }
        Ok(text) if kind == Use::Certificate && holds_a_key(text) => report.add(
            rules::KEY_EXPOSED,
            spot(),
            format!("{} holds a private key beside certificates", facts.path),
            "take the key out of it; it belongs into a file of its own below /var/aziot/secrets",
        ),
        Ok(_) => {}
    }
    access(device, uri, facts, kind, report);
}

fn access(
    device: &Device<'_>,
    uri: &Setting<String>,
    facts: &FileFacts,
    kind: Use,
    report: &mut Report,
) {
    let (owner, mode, folder_mode) = match kind {
        Use::Certificate => ("aziotcs", 0o644, 0o755),
        Use::Key => ("aziotks", 0o600, 0o700),
    };
    let folder = facts
        .path
        .rsplit_once('/')
        .map_or("/", |(folder, _)| folder);
    let both = [
        (&facts.access, facts.path.as_str(), mode),
        (&facts.folder, folder, folder_mode),
    ];
    for (access, path, mode) in both {
        let Some(access) = access else {
            continue;
        };
        if access.owner != owner {
            report.add(
                rules::WRONG_OWNER,
                Spot::at(device.file, &uri.at),
                format!("{path} belongs to {}", access.owner),
                format!("chown {owner}:{owner} {path}"),
            );
        }
        if !is_fine(access, mode, kind) {
            report.add(
                rules::WRONG_MODE,
                Spot::at(device.file, &uri.at),
                format!("{path} has mode {:o}", access.mode),
                format!("chmod {mode:o} {path}"),
            );
        }
    }
}

/// Keys may be read by nobody else; certificates must be readable by all and writable by nobody else.
fn is_fine(access: &Access, wanted: u32, kind: Use) -> bool {
    match kind {
        Use::Key => access.mode.is_multiple_of(0o100) && access.mode & 0o400 != 0,
        Use::Certificate => access.mode & wanted == wanted && access.mode & 0o022 == 0,
    }
}
