//! Which images of a list a machine would take, as containerd and docker choose them (containerd `platforms`, `Only`): names are
//! made one (`aarch64` is `arm64`, `arm64/v8` is `arm64`, `arm` is `arm/v7`), and a machine that finds nothing of its own kind takes
//! the nearest older kind. Pure; must not know what is here.

use cistern_oci::{Descriptor, Platform};

/// The platforms that images are wanted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Platforms {
    /// Every one that a list has.
    All,
    /// These. A manifest that is for no platform in particular is wanted too.
    These(Vec<Platform>),
}

impl Platforms {
    /// The platform this program was built for, which is the machine's own as far as container engines go.
    pub fn of_this_machine() -> Self {
        Self::These(vec![this_machine()])
    }

    /// The entries of a list that are wanted, in its order. Attestations and lists inside it are not judged here.
    pub(super) fn choose<'list>(&self, entries: &[&'list Descriptor]) -> Chosen<'list> {
        let wanted = match self {
            Self::All => {
                return Chosen {
                    entries: entries.to_vec(),
                    absent: Vec::new(),
                };
            }
            Self::These(wanted) => wanted,
        };
        let mut is_chosen: Vec<bool> = entries
            .iter()
            .map(|entry| entry.platform.is_none())
            .collect();
        let has_plain = is_chosen.contains(&true);
        let mut absent = Vec::new();
        for platform in wanted {
            let mut found = false;
            for place in best(entries, platform) {
                if let Some(chosen) = is_chosen.get_mut(place) {
                    (*chosen, found) = (true, true);
                }
            }
            if !found && !has_plain && !entries.is_empty() {
                absent.push(platform.clone());
            }
        }
        let chosen = entries.iter().zip(is_chosen);
        Chosen {
            entries: chosen
                .filter_map(|(entry, chosen)| chosen.then_some(*entry))
                .collect(),
            absent,
        }
    }
}

/// What was chosen of a list.
pub(super) struct Chosen<'list> {
    pub(super) entries: Vec<&'list Descriptor>,
    /// The wanted platforms that the list has nothing for.
    pub(super) absent: Vec<Platform>,
}

/// The places of the entries that this machine would take: those of the best kind that is there, one for each version of the
/// operating system.
fn best(entries: &[&Descriptor], machine: &Platform) -> Vec<usize> {
    for kind in kinds(machine) {
        let mut places: Vec<usize> = Vec::new();
        let mut versions: Vec<Option<&str>> = Vec::new();
        for (place, entry) in entries.iter().enumerate() {
            let Some(platform) = &entry.platform else {
                continue;
            };
            let version = platform.os_version.as_deref();
            if one_name(platform) == kind && !versions.contains(&version) {
                places.push(place);
                versions.push(version);
            }
        }
        if !places.is_empty() {
            return places;
        }
    }
    Vec::new()
}

/// The kinds of machine whose images this one runs, the best first.
fn kinds(machine: &Platform) -> Vec<Platform> {
    let own = one_name(machine);
    let kind = |architecture: &str, variant: Option<String>| Platform {
        os: own.os.clone(),
        architecture: architecture.to_owned(),
        variant,
        os_version: None,
    };
    let arm = |from: u32| {
        (5..=from)
            .rev()
            .map(move |version| ("arm", Some(format!("v{version}"))))
    };
    let number = |variant: &str| variant.trim_start_matches('v').parse::<u32>().ok();
    let version = own.variant.as_deref().and_then(number);
    let more: Vec<(&str, Option<String>)> = match (own.architecture.as_str(), version) {
        ("arm", Some(version @ 6..=8)) => arm(version - 1).collect(),
        ("arm64", None) => arm(8).collect(),
        ("amd64", version) => {
            let older = (2..version.unwrap_or(1))
                .rev()
                .map(|version| ("amd64", Some(format!("v{version}"))));
            let plain = version.map(|_| ("amd64", None));
            older.chain(plain).chain([("386", None)]).collect()
        }
        _ => Vec::new(),
    };
    let more = more
        .into_iter()
        .map(|(architecture, variant)| kind(architecture, variant));
    std::iter::once(own.clone()).chain(more).collect()
}

/// A platform by the one name that all its names mean. The version of the operating system is left out.
fn one_name(platform: &Platform) -> Platform {
    let lower = |text: &str| text.to_ascii_lowercase();
    let os = match lower(&platform.os).as_str() {
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    };
    let variant = platform.variant.as_deref().map(lower);
    let (architecture, variant) = match (lower(&platform.architecture).as_str(), variant.as_deref())
    {
        ("x86_64" | "x86-64" | "amd64", None | Some("" | "v1")) => ("amd64", None),
        ("x86_64" | "x86-64" | "amd64", Some(variant)) => ("amd64", Some(variant)),
        ("aarch64" | "arm64", None | Some("" | "8" | "v8" | "v8.0")) => ("arm64", None),
        ("aarch64" | "arm64", Some(variant)) => ("arm64", Some(variant)),
        ("armhf", _) | ("arm", None | Some("" | "7")) => ("arm", Some("v7")),
        ("armel", _) | ("arm", Some("6")) => ("arm", Some("v6")),
        ("arm", Some("5")) => ("arm", Some("v5")),
        ("arm", Some("8")) => ("arm", Some("v8")),
        ("i386" | "386", _) => ("386", None),
        (_, variant) => (platform.architecture.as_str(), variant),
    };
    Platform {
        os,
        architecture: lower(architecture),
        variant: variant
            .filter(|variant| !variant.is_empty())
            .map(str::to_owned),
        os_version: None,
    }
}

fn this_machine() -> Platform {
    let variant = if cfg!(target_arch = "arm") {
        Some(
            if cfg!(target_feature = "v7") {
                "v7"
            } else {
                "v6"
            }
            .to_owned(),
        )
    } else {
        None
    };
    one_name(&Platform {
        os: std::env::consts::OS.to_owned(),
        architecture: std::env::consts::ARCH.to_owned(),
        variant,
        os_version: None,
    })
}

#[cfg(test)]
mod tests {
    use cistern_oci::ManifestLinks;

    use super::*;

    /// What a machine takes of a list that has these.
    fn taken(machine: &str, list: &[&str]) -> Vec<String> {
        let children: Vec<String> = list
            .iter()
            .enumerate()
            .map(|(number, text)| {
                let (platform, version) = text.split_once('@').unwrap_or((text, ""));
                let platform = match platform.parse::<Platform>() {
                    Ok(it) => format!(
                        r#", "platform": {{"os": "{}", "architecture": "{}", "variant": "{}", "os.version": "{version}"}}"#,
                        it.os, it.architecture, it.variant.unwrap_or_default()
                    ),
                    Err(_) => String::new(),
                };
                format!(r#"{{"digest": "sha256:{number:064x}", "size": 1{platform}}}"#)
            })
            .collect();
        let list = format!(r#"{{"manifests": [{}]}}"#, children.join(","));
        let links = ManifestLinks::read(list.as_bytes()).unwrap();
        let entries: Vec<&Descriptor> = links.children.iter().collect();
        let machines = machine.split(' ').map(|machine| machine.parse().unwrap());
        let chosen = Platforms::These(machines.collect()).choose(&entries);
        let written = |entry: &&Descriptor| match &entry.platform {
            Some(platform) => match &platform.os_version {
                Some(version) => format!("{platform}@{version}"),
                None => platform.to_string(),
            },
            None => "any".to_owned(),
        };
        let absent = chosen.absent.iter().map(|absent| format!("no {absent}"));
        chosen.entries.iter().map(written).chain(absent).collect()
    }

    #[test]
    fn a_machine_takes_the_image_that_containerd_would_take() {
        let all = [
            "linux/amd64",
            "linux/arm/v6",
            "linux/arm/v7",
            "linux/arm64/v8",
            "linux/386",
        ];
        for (machine, list, wanted) in [
            ("linux/amd64", &all[..], &["linux/amd64"][..]),
            ("linux/arm64", &all, &["linux/arm64/v8"]),
            (
                "linux/arm64/v8",
                &["linux/arm64", "linux/arm/v7"],
                &["linux/arm64"],
            ),
            ("linux/aarch64", &all, &["linux/arm64/v8"]),
            ("linux/arm/v7", &all, &["linux/arm/v7"]),
            ("linux/arm", &all, &["linux/arm/v7"]),
            ("linux/armhf", &all, &["linux/arm/v7"]),
            ("linux/arm/v6", &all, &["linux/arm/v6"]),
            (
                "linux/arm/v7",
                &["linux/arm", "linux/amd64"],
                &["linux/arm"],
            ),
            (
                "linux/arm/v7",
                &["linux/arm/v5", "linux/arm/v6"],
                &["linux/arm/v6"],
            ),
            ("linux/arm/v6", &["linux/arm/v7"], &["no linux/arm/v6"]),
            ("linux/arm/v5", &["linux/arm/v6"], &["no linux/arm/v5"]),
            (
                "linux/arm64",
                &["linux/amd64", "linux/arm/v7"],
                &["linux/arm/v7"],
            ),
            ("linux/amd64", &["linux/386"], &["linux/386"]),
            (
                "linux/amd64",
                &["linux/amd64/v2", "linux/amd64/v1"],
                &["linux/amd64/v1"],
            ),
            (
                "linux/amd64/v3",
                &["linux/amd64", "linux/amd64/v2"],
                &["linux/amd64/v2"],
            ),
            (
                "linux/amd64/v3",
                &["linux/amd64/v4", "linux/x86_64"],
                &["linux/x86_64"],
            ),
            ("linux/386", &["linux/amd64", "linux/i386"], &["linux/i386"]),
            ("linux/amd64", &["windows/amd64"], &["no linux/amd64"]),
            ("linux/riscv64", &["linux/riscv64"], &["linux/riscv64"]),
        ] {
            assert_eq!(taken(machine, list), wanted, "{machine} of {list:?}");
        }
    }

    #[test]
    fn an_entry_that_names_no_platform_may_be_for_any_and_one_of_each_windows_is_taken() {
        assert_eq!(taken("linux/arm/v7", &["", "linux/amd64"]), ["any"]);
        assert_eq!(
            taken(
                "windows/amd64",
                &["windows/amd64@1", "windows/amd64@2", "windows/amd64@1"]
            ),
            ["windows/amd64@1", "windows/amd64@2"]
        );
    }

    #[test]
    fn of_several_platforms_each_finds_its_own_and_what_is_lacking_is_said() {
        let list = ["linux/arm64", "linux/amd64", "linux/amd64"];
        let wanted = ["linux/arm64", "linux/amd64", "no linux/s390x"];
        assert_eq!(taken("linux/amd64 linux/arm64 linux/s390x", &list), wanted);
    }

    #[test]
    fn this_machine_has_a_name_that_engines_know() {
        let own = this_machine();
        assert_eq!(own, one_name(&own));
        assert!(!["x86_64", "aarch64"].contains(&own.architecture.as_str()));
    }
}
