//! Names in `config.toml`: what children, certificates and docker make of them.

use std::net::IpAddr;

use super::layers::Device;
use super::report::{Report, Spot};
use super::rules;
use crate::Severity;
use crate::device_config::Setting;

/// The common name of a certificate has room for fewer than this.
const LONGEST: usize = 64;

pub(super) fn check(devices: &[&Device<'_>], report: &mut Report) {
    for device in devices {
        spelling(device, report);
        let has_children = devices.iter().any(|other| device.is_parent_of(other));
        match &device.config.hostname {
            None => report.add(
                rules::HOSTNAME_MISSING,
                Spot::whole(device.file),
                "there is no `hostname`",
                "write `hostname = \"…\"` at the very beginning, with the name or address by which children find the device",
            ),
            Some(hostname) => name(device, hostname, has_children, report),
        }
        if let Some(parent) = &device.config.parent_hostname {
            name(device, parent, true, report);
            family(device, parent, devices, report);
        }
    }
    mixed(devices, report);
}

fn spelling(device: &Device<'_>, report: &mut Report) {
    for line in &device.config.colons {
        report.add(
            rules::COLON,
            Spot::at(device.file, &line.at),
            format!(
                "`{}` is no TOML; it is judged below as if it had `=`",
                line.value
            ),
            format!("write `{} = …`", line.at.path),
        );
    }
    for stray in &device.config.strays {
        report.add(
            rules::STRAY_KEY,
            Spot::at(device.file, &stray.at),
            format!(
                "`{}` stands in a section, as {}",
                stray.value, stray.at.path
            ),
            "move it to the beginning of the file, before the first [section]",
        );
    }
}

fn name(
    device: &Device<'_>,
    written: &Setting<String>,
    is_connected_to: bool,
    report: &mut Report,
) {
    let text = written.value.as_str();
    let key = &written.at.path;
    let spot = || Spot::at(device.file, &written.at);
    if text.chars().count() >= LONGEST {
        report.add(
            rules::HOSTNAME_TOO_LONG,
            spot(),
            format!("{key} has {} characters", text.chars().count()),
            "choose one of at most 63",
        );
    }
    let is_address = text.parse::<IpAddr>().is_ok();
    let is_plain = text
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    if !is_address && (!is_plain || text.is_empty() || text.starts_with('.')) {
        report.add(
            rules::NOT_A_NAME,
            spot(),
            format!("{key} is `{text}`"),
            "write a host name or an address alone, without scheme, port or path",
        );
    } else if !is_address && !text.contains('.') {
        let severity = if is_connected_to {
            Severity::Error
        } else {
            Severity::Warning
        };
        report.add_as(
            rules::HOSTNAME_SINGLE_LABEL,
            severity,
            spot(),
            format!("{key} is `{text}`, without a `.`"),
            "write the fully qualified name, or the address".to_owned(),
        );
    }
}

fn family(
    device: &Device<'_>,
    parent: &Setting<String>,
    devices: &[&Device<'_>],
    report: &mut Report,
) {
    let spot = || Spot::at(device.file, &parent.at);
    if goes_round(device, devices) {
        report.add(
            rules::PARENT_IS_SELF,
            spot(),
            format!(
                "parent_hostname `{}` leads back to this device",
                parent.value
            ),
            "name the device above; the top layer has no parent_hostname",
        );
        return;
    }
    let mut others = devices
        .iter()
        .filter(|other| other.file != device.file)
        .peekable();
    if others.peek().is_none() || others.any(|other| other.is_parent_of(device)) {
        return;
    }
    let known: Vec<_> = devices
        .iter()
        .filter(|other| other.file != device.file)
        .filter_map(|other| Some(format!("{} ({})", other.hostname()?, other.file)))
        .collect();
    report.add(
        rules::PARENT_UNKNOWN,
        spot(),
        format!("parent_hostname is `{}`; the other hostnames are: {}", parent.value, known.join(", ")),
        "write exactly what the parent's config.toml has as `hostname`, or give the parent's config.toml too",
    );
}

/// Whether the parents of a device lead back to it.
fn goes_round(device: &Device<'_>, devices: &[&Device<'_>]) -> bool {
    let mut above = device;
    for _ in devices {
        match devices.iter().find(|other| other.is_parent_of(above)) {
            Some(parent) if parent.file == device.file => return true,
            Some(parent) => above = parent,
            None => return false,
        }
    }
    false
}

/// Names beside addresses: the first of the rarer kind is told.
fn mixed(devices: &[&Device<'_>], report: &mut Report) {
    let mut written: Vec<(&Device<'_>, &Setting<String>, bool)> = Vec::new();
    for device in devices {
        for setting in [&device.config.hostname, &device.config.parent_hostname]
            .into_iter()
            .flatten()
        {
            written.push((device, setting, setting.value.parse::<IpAddr>().is_ok()));
        }
    }
    let addresses = written
        .iter()
        .filter(|(_, _, is_address)| *is_address)
        .count();
    if addresses == 0 || addresses == written.len() {
        return;
    }
    let rarer_is_address = addresses * 2 <= written.len();
    for (device, setting, _) in written
        .iter()
        .filter(|(_, _, is_address)| *is_address == rarer_is_address)
    {
        let (this, others) = if rarer_is_address {
            ("an address", "names")
        } else {
            ("a name", "addresses")
        };
        report.add(
            rules::HOSTNAMES_MIXED,
            Spot::at(device.file, &setting.at),
            format!(
                "{} `{}` is {this}, where others are {others}",
                setting.at.path, setting.value
            ),
            "use names everywhere, or addresses everywhere",
        );
    }
}
