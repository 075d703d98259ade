//! What must hold between the devices of a hierarchy.

use std::collections::{HashMap, HashSet};

use super::{Device, Hierarchy, Trouble};

/// The longest id of a device that the hub takes.
const LONGEST_ID: usize = 128;

/// Everything that does not hold.
pub(super) fn broken(hierarchy: &Hierarchy) -> Vec<Trouble> {
    let mut troubles = ids(&hierarchy.devices);
    let twice = troubles.is_empty().then(|| hostnames(&hierarchy.devices));
    troubles.extend(twice.into_iter().flatten());
    troubles
}

fn ids(devices: &[Device]) -> Vec<Trouble> {
    let mut first: HashMap<&str, &Device> = HashMap::new();
    let mut troubles = Vec::new();
    for device in devices {
        if let Some(why) = not_an_id(&device.id) {
            let what = format!("`{}` can be no device's id: {why}", device.id);
            let fix = "use the id that the device has in the IoT hub";
            troubles.push(Trouble::new(device.line, what, fix));
        }
        let Some(other) = first.get(device.id.as_str()) else {
            first.insert(&device.id, device);
            continue;
        };
        let what = if ancestors(device, devices).contains(device.id.as_str()) {
            format!(
                "`{}` is below itself (line {}): a cycle",
                device.id, other.line
            )
        } else {
            format!("`{}` is also the device of line {}", device.id, other.line)
        };
        let fix = "every device has an id of its own and stands in the file once";
        troubles.push(Trouble::new(device.line, what, fix));
    }
    troubles
}

/// An id is also the name of a folder here, so it may not lead elsewhere.
fn not_an_id(id: &str) -> Option<String> {
    if id.len() > LONGEST_ID {
        return Some(format!("it is longer than {LONGEST_ID} characters"));
    }
    if id == "." || id == ".." {
        return Some("it means a folder".to_owned());
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-.%_*?!(),:=@$'".contains(c);
    let wrong = id.chars().find(|c| !allowed(*c))?;
    Some(format!("{wrong:?} is not allowed in it"))
}

/// The ids of all devices above one. Ids that occur twice are followed by the parents' order in the file, and never for ever.
fn ancestors<'a>(device: &'a Device, devices: &'a [Device]) -> HashSet<&'a str> {
    let mut above = HashSet::new();
    let mut parent = device.parent.as_deref();
    while let Some(id) = parent {
        if !above.insert(id) {
            break;
        }
        parent = devices
            .iter()
            .find(|other| other.id == id)
            .and_then(|other| other.parent.as_deref());
    }
    above
}

fn hostnames(devices: &[Device]) -> Vec<Trouble> {
    let mut first: HashMap<String, &Device> = HashMap::new();
    let mut troubles = Vec::new();
    for device in devices {
        let Some(hostname) = &device.hostname else {
            continue;
        };
        if let Some(other) = first.get(&hostname.to_lowercase()) {
            let what = format!("`{hostname}` is already the hostname of `{}`", other.id);
            let fix = "children find their parent by it: give each device its own";
            troubles.push(Trouble::new(device.line, what, fix));
        } else {
            first.insert(hostname.to_lowercase(), device);
        }
    }
    troubles
}
