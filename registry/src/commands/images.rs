//! `cistern images`: what is wanted, how much of it is here, and what is cached besides.

use std::time::Duration;

use url::form_urlencoded::byte_serialize;

use super::admin_socket::{Told, ask, plain};
use super::arguments::{Format, RunningServer};
use super::{Console, Environment, Exit};
use crate::http::admin::words::{bytes, counted, lasting};
use crate::http::admin::{IMAGES_PATH, ImageLine, ImagePlatform, ImagesPage};

/// So many images that nobody named are asked for at once.
const PAGE: usize = 500;

pub(super) fn run(
    all: bool,
    server: &RunningServer,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    let told = match asked(all, None, server, environment) {
        Ok(told) => told,
        Err(why) => return failed(&why, console),
    };
    let is_json = server.format == Format::Json;
    let mut page = told.page;
    if is_json && page.next.is_none() {
        console.say(told.text.trim_end());
        return Exit::Success;
    }
    while all && let Some(after) = page.next.clone() {
        match asked(all, Some(&after), server, environment) {
            Ok(told) => {
                page.images.extend(told.page.images);
                page.next = told.page.next;
            }
            Err(why) => return failed(&why, console),
        }
    }
    if is_json {
        match serde_json::to_string_pretty(&page) {
            Ok(text) => console.say(text),
            Err(error) => return failed(&error.to_string(), console),
        }
        return Exit::Success;
    }
    for line in lines(&page, all) {
        console.say(plain(&line));
    }
    Exit::Success
}

fn failed(why: &str, console: &mut Console<'_>) -> Exit {
    console.complain(format!("error: {why}"));
    Exit::Failure
}

/// One page. Without `all` one image that nobody named is asked for: to know whether there are any.
fn asked(
    all: bool,
    after: Option<&str>,
    server: &RunningServer,
    environment: &Environment,
) -> Result<Told<ImagesPage>, String> {
    let number = if all || server.format == Format::Json {
        PAGE
    } else {
        1
    };
    let mut path = format!("{IMAGES_PATH}?n={number}");
    if let Some(after) = after {
        path.push_str("&after=");
        path.extend(byte_serialize(after.as_bytes()));
    }
    ask(server, &path, environment)
}

/// The image comes last on its line and nothing is padded to its length: a narrow terminal wraps names, not columns.
fn lines(page: &ImagesPage, all: bool) -> Vec<String> {
    let (named, unnamed): (Vec<_>, Vec<_>) = page.images.iter().partition(|image| image.named);
    let mut lines = Vec::new();
    if named.is_empty() {
        lines.push(
            "no images are wanted: see edge.bootstrap, warm.images, warm.manifests, `cistern warm` and `cistern pin`"
                .to_owned(),
        );
    } else {
        let ready = named.iter().filter(|image| image.offline_ready).count();
        lines.push(format!(
            "{ready} of {} ready to be pulled offline",
            counted(named.len(), "image")
        ));
        lines.push(header());
        lines.extend(named.iter().flat_map(|image| image_lines(image)));
    }
    if page.bootstrap.required && !page.bootstrap.ready {
        lines.push(format!(
            "not ready (edge.requirebootstrap): {} of edge.bootstrap missing",
            counted(page.bootstrap.missing.len(), "image")
        ));
    }
    for list in page.lists.iter().filter(|list| list.trouble.is_some()) {
        let why = list.trouble.as_deref().unwrap_or_default();
        lines.push(format!("{} cannot be read: {why}", list.list));
    }
    if all {
        lines.push(format!(
            "cached besides: {}",
            counted(unnamed.len(), "image")
        ));
        if !unnamed.is_empty() {
            lines.push(header());
            lines.extend(unnamed.iter().flat_map(|image| image_lines(image)));
        }
    } else if !unnamed.is_empty() {
        lines.push("more are cached although nobody named them: `cistern images --all`".to_owned());
    }
    lines
}

fn header() -> String {
    format!("{:<9} {:>9} {:>9}  IMAGE", "STATE", "MISSING", "TOTAL")
}

fn image_lines(image: &ImageLine) -> Vec<String> {
    let number = |number: Option<u64>| number.map_or("?".to_owned(), bytes);
    let mut lines = vec![format!(
        "{:<9} {:>9} {:>9}  {}",
        short_state(&image.state),
        number(image.missing_bytes),
        number(image.total_bytes),
        image.image
    )];
    let mut about = Vec::new();
    about.extend(image.hosted.then(|| "hosted".to_owned()));
    about.extend(image.pinned.then(|| "pinned".to_owned()));
    about.extend((!image.origins.is_empty()).then(|| format!("from {}", image.origins.join(", "))));
    about.extend(image.last_used.as_ref().map(|at| format!("used {at}")));
    about.extend(platforms(&image.platforms));
    if !about.is_empty() {
        lines.push(format!("          {}", about.join("; ")));
    }
    if let Some(to) = &image.held_back_to {
        let to = super::status::short(to);
        lines.push(format!(
            "          held back: the tag means {to} upstream, which is not all here yet"
        ));
    }
    if !image.foreign_layers.is_empty() {
        let count = counted(image.foreign_layers.len(), "layer");
        lines.push(format!(
            "          {count} of it must not be distributed and is fetched from elsewhere"
        ));
    }
    if let Some(trouble) = &image.trouble {
        let next = image.next_try_seconds.filter(|_| !image.offline_ready);
        let next =
            next.map(|wait| format!("; tried again in {}", lasting(Duration::from_secs(wait))));
        lines.push(format!("          {trouble}{}", next.unwrap_or_default()));
    }
    lines
}

fn short_state(state: &str) -> &str {
    match state {
        "not-mirrored" => "unknown",
        other => other,
    }
}

/// `linux/amd64 ready, linux/arm64 5.00 MB missing`; nothing for the one manifest of an image that is no list.
fn platforms(platforms: &[ImagePlatform]) -> Option<String> {
    let one = |platform: &ImagePlatform| {
        let name = platform.platform.as_deref()?;
        let state = match (&platform.digest, platform.missing_bytes) {
            (None, _) => "not offered by its upstream".to_owned(),
            (Some(_), _) if platform.offline_ready => "ready".to_owned(),
            (Some(_), Some(missing)) => format!("{} missing", bytes(missing)),
            (Some(_), None) => "missing".to_owned(),
        };
        Some(format!("{name} {state}"))
    };
    let told: Vec<_> = platforms.iter().filter_map(one).collect();
    (!told.is_empty()).then(|| told.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::admin::{BootstrapLine, ListLine};

    fn image(name: &str, state: &str) -> ImageLine {
        ImageLine {
            image: name.to_owned(),
            named: true,
            state: state.to_owned(),
            offline_ready: state == "ready",
            ..ImageLine::default()
        }
    }

    fn page() -> ImagesPage {
        let platform = |name: &str, digest: Option<&str>, missing| ImagePlatform {
            platform: Some(name.to_owned()),
            digest: digest.map(str::to_owned),
            offline_ready: missing == Some(0),
            missing_bytes: missing,
            total_bytes: None,
        };
        ImagesPage {
            images: vec![
                ImageLine {
                    missing_bytes: Some(0),
                    total_bytes: Some(150_000_000),
                    pinned: true,
                    origins: vec![
                        "edge.bootstrap".to_owned(),
                        "manifest /etc/site.json".to_owned(),
                    ],
                    last_used: Some("2026-01-01T00:00:00Z".to_owned()),
                    platforms: vec![platform("linux/amd64", Some("x"), Some(0))],
                    ..image("$upstream:443/azureiotedge-agent:1.5", "ready")
                },
                ImageLine {
                    missing_bytes: Some(5_000_000),
                    platforms: vec![
                        platform("linux/arm64", Some("x"), Some(5_000_000)),
                        platform("linux/s390x", None, None),
                    ],
                    trouble: Some("mcr.example: no answer".to_owned()),
                    next_try_seconds: Some(60),
                    ..image("team/app:v1", "failed")
                },
                ImageLine {
                    named: false,
                    ..image("team/other:v1", "partial")
                },
            ],
            bootstrap: BootstrapLine {
                required: true,
                ready: false,
                missing: vec!["x".to_owned()],
            },
            lists: vec![ListLine {
                list: "manifest /etc/site.json".to_owned(),
                images: 3,
                trouble: Some("line 3: not JSON".to_owned()),
            }],
            ..ImagesPage::default()
        }
    }

    #[test]
    fn an_operator_sees_which_images_children_can_pull_without_a_link() {
        let wanted = "\
1 of 2 images ready to be pulled offline
STATE       MISSING     TOTAL  IMAGE
ready           0 B    150 MB  $upstream:443/azureiotedge-agent:1.5
          pinned; from edge.bootstrap, manifest /etc/site.json; used 2026-01-01T00:00:00Z; linux/amd64 ready
failed      5.00 MB         ?  team/app:v1
          linux/arm64 5.00 MB missing, linux/s390x not offered by its upstream
          mcr.example: no answer; tried again in 60 s
not ready (edge.requirebootstrap): 1 image of edge.bootstrap missing
manifest /etc/site.json cannot be read: line 3: not JSON
more are cached although nobody named them: `cistern images --all`";
        assert_eq!(lines(&page(), false).join("\n"), wanted);
        let all = lines(&page(), true).join("\n");
        assert!(
            all.contains("cached besides: 1 image\n") && all.ends_with("team/other:v1"),
            "{all}"
        );
    }

    #[test]
    fn a_server_that_wants_nothing_says_where_to_say_it() {
        let told = lines(&ImagesPage::default(), false).join("\n");
        assert!(
            told.starts_with("no images are wanted: see edge.bootstrap"),
            "{told}"
        );
    }
}
