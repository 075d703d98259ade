//! A page for whoever stands in front of the device: which file goes where, and what is still to be filled in.

use super::{Layer, Network, Site, Wishes, images};

/// The page of one device, Markdown.
pub(super) fn write(
    site: &Site,
    wishes: &Wishes,
    network: Option<(&str, &Network)>,
    (deployment, config): (&str, Option<&str>),
) -> String {
    let mut page = vec![
        format!("# {}, {} layer", site.id, site.layer.as_str()),
        String::new(),
    ];
    let all = format!("{}{}", config.unwrap_or_default(), deployment);
    let open = placeholders(&all);
    if !open.is_empty() {
        page.push("Fill in first:".to_owned());
        page.push(String::new());
        page.extend(open.iter().map(|hole| format!("- `{hole}`")));
        page.push(String::new());
    }
    let imports = images::to_import(wishes);
    if site.layer == Layer::Top && !imports.is_empty() {
        let host = &wishes.registry.host;
        page.push(format!(
            "These images of mcr.microsoft.com have to be in {host} too: {}.",
            imports.join(", ")
        ));
        page.push(String::new());
    }
    page.push("1. Certificates: the files that `config.toml` names, and the root certificate in the trust store of the operating system;".to_owned());
    page.push("   then restart docker.".to_owned());
    page.push("2. `config.toml`: into `/etc/aziot/config.toml` as its first lines say, then `sudo iotedge config apply`.".to_owned());
    if let Some((name, network)) = network {
        page.push(format!(
            "   Modules get a network of their own, {}, which IoT Edge makes only where there is none called `{name}`. On a device that has",
            network.subnet()
        ));
        page.push(
            "   one, remove it before, with the containers in it, which IoT Edge creates again:"
                .to_owned(),
        );
        page.push(format!(
            "   `sudo iotedge system stop; sudo docker rm -f $(sudo docker ps -aq --filter network={name}); sudo docker network rm {name}`."
        ));
    }
    page.push(format!(
        "3. `deployment.json`: `az iot edge set-modules --hub-name HUB --device-id {} --content deployment.json`.",
        site.id
    ));
    page.push(wait(site));
    page.push("5. `sudo iotedge check` on the device; `cistern edge check deployment.json --config-toml config.toml` before.".to_owned());
    page.push(String::new());
    page.push("How each step is done: `deploy/docs/hierarchy` in Cistern's repository.".to_owned());
    page.push(String::new());
    page.join("\n")
}

fn wait(site: &Site) -> String {
    match site.layer {
        Layer::Top => {
            "4. `sudo iotedge list` until all modules run, before any device below is started."
                .to_owned()
        }
        Layer::Lower | Layer::Bottom => format!(
            "4. The parent{} comes first: all of this device's images come from there.",
            site.parent_hostname
                .as_ref()
                .map_or_else(String::new, |parent| format!(", {parent},"))
        ),
    }
}

/// What is still to be filled in: every `<…>` in a text, once.
pub fn placeholders(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("\"<") {
        let Some((hole, behind)) = after.split_once(">\"") else {
            break;
        };
        let hole = format!("<{hole}>");
        if !found.contains(&hole) {
            found.push(hole);
        }
        rest = behind;
    }
    found
}
