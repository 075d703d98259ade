//! `[agent]` and garbage collection in `config.toml`: whether the first module of a device can be pulled.

use super::images::edition;
use super::layers::{Device, Layers};
use super::report::{Report, Spot};
use super::rules;
use crate::device_config::{Agent, Login, Setting};
use crate::{Host, ImageName};

/// A day, in seconds.
const DAY: u64 = 24 * 60 * 60;

pub(super) fn check(devices: &[&Device<'_>], layers: &Layers<'_>, report: &mut Report) {
    for device in devices {
        match &device.config.agent {
            Some(agent) => {
                image(device, agent, layers, report);
                options(device, agent, report);
                if let Some(login) = &agent.login {
                    fits(device, agent, login, report);
                }
            }
            None => no_agent(device, report),
        }
        collection(device, report);
    }
}

fn no_agent(device: &Device<'_>, report: &mut Report) {
    if let Some(parent) = &device.config.parent_hostname {
        report.add(
            rules::AGENT_PAST_PARENT,
            Spot::whole(device.file),
            "there is no [agent.config] image: the default comes from mcr.microsoft.com",
            format!(
                "write [agent.config] and image = \"{}:443/azureiotedge-agent:1.5\" below it",
                parent.value
            ),
        );
    }
}

fn image(device: &Device<'_>, agent: &Agent, layers: &Layers<'_>, report: &mut Report) {
    let Some(written) = &agent.image else {
        return no_agent(device, report);
    };
    let spot = || Spot::at(device.file, &written.at);
    let image = match ImageName::parse(written.value.trim()) {
        Ok(image) => image,
        Err(error) => {
            // aziot-edged replaces `$upstream` alone too; docker then asks port 443.
            if written.value.starts_with("$upstream") {
                return;
            }
            return report.add(
                rules::BAD_IMAGE,
                spot(),
                format!("agent.config.image `{}`: {error}", written.value),
                "write HOST:PORT/REPOSITORY:TAG",
            );
        }
    };
    if image.tag.is_none() && image.digest.is_none() {
        report.add(
            rules::MISSING_TAG,
            spot(),
            format!("agent.config.image `{}` has no tag", written.value),
            "write the version: `…:1.5`",
        );
    }
    match device.parent() {
        Some(parent) => {
            of_child(device, written, &image, parent, report);
            port(device, written, &image, layers, report);
        }
        None => of_top(device, written, &image, report),
    }
}

fn of_top(device: &Device<'_>, written: &Setting<String>, image: &ImageName, report: &mut Report) {
    if image.host.as_ref().is_some_and(Host::is_upstream) {
        report.add(
            rules::UPSTREAM_ON_TOP,
            Spot::at(device.file, &written.at),
            format!("agent.config.image `{}` on a device without parent_hostname: `$upstream` is the IoT hub there", written.value),
            "name the registry itself: mcr.microsoft.com/azureiotedge-agent:1.5",
        );
    }
}

fn of_child(
    device: &Device<'_>,
    written: &Setting<String>,
    image: &ImageName,
    parent: &str,
    report: &mut Report,
) {
    let spot = || Spot::at(device.file, &written.at);
    if edition(image).is_some_and(|edition| edition < (1, 2))
        && image.short_name().starts_with("azureiotedge-")
    {
        report.add(
            rules::AGENT_TOO_OLD,
            spot(),
            format!(
                "agent.config.image `{}` on a device with a parent",
                written.value
            ),
            "use 1.5 or newer",
        );
    }
    match &image.host {
        Some(Host::Upstream { .. } | Host::Placeholder(_)) => {}
        Some(Host::Named(host)) => {
            let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
            if !name.eq_ignore_ascii_case(parent) {
                report.add(
                    rules::AGENT_PAST_PARENT,
                    spot(),
                    format!("agent.config.image `{}` comes from {name}; the parent is {parent}", written.value),
                    format!("write `{parent}:443/azureiotedge-agent:1.5`, unless this device reaches {name} itself"),
                );
            }
        }
        None if image.repository.split('/').next() == Some(parent) => report.add(
            rules::SINGLE_LABEL_PARENT,
            spot(),
            format!("in `{}` docker sees no host: `{parent}` is taken for a user of Docker Hub", written.value),
            format!("write `{parent}:443/azureiotedge-agent:1.5`, or better a full name as parent_hostname"),
        ),
        None => report.add(
            rules::AGENT_PAST_PARENT,
            spot(),
            format!("agent.config.image `{}` comes from Docker Hub", written.value),
            format!("write `{parent}:443/azureiotedge-agent:1.5`"),
        ),
    }
}

/// Where the parent's manifest is known, its proxy's port is.
fn port(
    device: &Device<'_>,
    written: &Setting<String>,
    image: &ImageName,
    layers: &Layers<'_>,
    report: &mut Report,
) {
    let asked = match &image.host {
        Some(Host::Upstream { port }) => port.unwrap_or(443),
        Some(Host::Named(host)) => match host.rsplit_once(':') {
            Some((_, port)) => port.parse().unwrap_or_default(),
            None => 443,
        },
        Some(Host::Placeholder(_)) | None => return,
    };
    let above = layers
        .of_device(device)
        .and_then(|layer| layers.parent_of(layer));
    let Some((above, proxy)) = above.and_then(|above| Some((above, above.proxy.as_ref()?))) else {
        return;
    };
    let is_parent = match &image.host {
        Some(Host::Named(host)) => device
            .parent()
            .is_some_and(|parent| host.to_lowercase().starts_with(&parent.to_lowercase())),
        Some(Host::Upstream { .. } | Host::Placeholder(_)) | None => true,
    };
    if is_parent && asked != proxy.port {
        report.add(
            rules::AGENT_PORT,
            Spot::at(device.file, &written.at),
            format!(
                "agent.config.image `{}` asks port {asked}; the API proxy of {} listens on {}",
                written.value, above.file, proxy.port
            ),
            format!("write port {}", proxy.port),
        );
    }
}

fn options(device: &Device<'_>, agent: &Agent, report: &mut Report) {
    if let Some(options) = agent
        .create_options_is_a_table
        .as_ref()
        .filter(|options| !options.value)
    {
        report.add(
            rules::AGENT_OPTIONS,
            Spot::at(device.file, &options.at),
            "agent.config.createOptions is a text",
            "write a TOML table: createOptions = { HostConfig = { Binds = [\"/a:/b\"] } }",
        );
    }
}

fn fits(device: &Device<'_>, agent: &Agent, login: &Login, report: &mut Report) {
    let Some(address) = &login.address else {
        return report.add(
            rules::AGENT_LOGIN,
            Spot::at(device.file, &login.at),
            "[agent.config.auth] has no serveraddress",
            "write the host of the agent's image, port included",
        );
    };
    let spot = || Spot::at(device.file, &address.at);
    if login
        .username
        .as_ref()
        .is_none_or(|name| name.value.trim().is_empty())
        || !login.password_is_set
    {
        report.add(
            rules::AGENT_LOGIN,
            Spot::at(device.file, &login.at),
            "[agent.config.auth] has no username or no password",
            "write both, or take the section out",
        );
    }
    if address.value.contains("://") {
        let host = address.value.split("://").nth(1).unwrap_or_default();
        return report.add(
            rules::AGENT_LOGIN,
            spot(),
            format!("serveraddress is `{}`, with a scheme", address.value),
            format!("write `{}`", host.trim_end_matches('/')),
        );
    }
    let Some(host) = agent
        .image
        .as_ref()
        .and_then(|image| ImageName::parse(image.value.trim()).ok())
        .and_then(|image| image.host)
    else {
        return;
    };
    let resolved = |text: &str| match device.parent() {
        Some(parent) => text.replace("$upstream", parent).to_lowercase(),
        None => text.to_lowercase(),
    };
    if resolved(&host.to_string()) != resolved(address.value.trim()) {
        report.add(
            rules::AGENT_LOGIN,
            spot(),
            format!(
                "serveraddress is `{}`, and the image begins with `{host}`",
                address.value
            ),
            format!("write `{host}`"),
        );
    }
}

fn collection(device: &Device<'_>, report: &mut Report) {
    let Some(collection) = device
        .config
        .collection
        .as_ref()
        .filter(|collection| collection.is_enabled)
    else {
        return;
    };
    let Some(age) = &collection.age else {
        return;
    };
    if seconds(&age.value).is_some_and(|age| age < DAY) {
        report.add(
            rules::COLLECTION_SHORT,
            Spot::at(device.file, &age.at),
            format!("image_age_cleanup_threshold is `{}`", age.value),
            "leave it at 7d, or choose what outlasts the longest time without a link",
        );
    }
}

/// `7d`, `12h`, `1d 6h`.
fn seconds(text: &str) -> Option<u64> {
    let mut sum = 0;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let number: u64 = rest.get(..digits)?.parse().ok()?;
        rest = rest.get(digits..)?.trim_start();
        let letters = rest
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .unwrap_or(rest.len());
        sum += number.checked_mul(match rest.get(..letters)? {
            "s" | "sec" | "secs" | "second" | "seconds" => 1,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "h" | "hr" | "hrs" | "hour" | "hours" => 60 * 60,
            "d" | "day" | "days" => DAY,
            "w" | "week" | "weeks" => 7 * DAY,
            _ => return None,
        })?;
        rest = rest.get(letters..)?.trim_start();
    }
    (!text.trim().is_empty()).then_some(sum)
}
