//! `cistern explain IMAGE`: what a child that asks for it now would get, and why.

use std::time::Duration;

use url::form_urlencoded;

use super::admin_socket::{Told, ask, plain};
use super::arguments::{Format, RunningServer};
use super::status::short;
use super::{Console, Environment, Exit};
use crate::http::admin::words::{bytes, counted, lasting};
use crate::http::admin::{EXPLAIN_PATH, ExplainPage, FailureLine, ItemLine, PlatformLine};

pub(super) fn run(
    image: &str,
    platform: Option<&str>,
    server: &RunningServer,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("image", image);
    query.extend_pairs(platform.map(|platform| ("platform", platform)));
    let path = format!("{EXPLAIN_PATH}?{}", query.finish());
    let Told { text, page } = match ask::<ExplainPage>(server, &path, environment) {
        Ok(told) => told,
        Err(why) => {
            console.complain(format!("error: {why}"));
            return Exit::Failure;
        }
    };
    if server.format == Format::Json {
        console.say(text.trim_end());
    } else {
        for line in lines(&page) {
            console.say(plain(&line));
        }
    }
    if page.is_known {
        return Exit::Success;
    }
    console.complain(plain(&unknown(&page)));
    Exit::Failure
}

/// What to do about an image of which nothing is known.
fn unknown(page: &ExplainPage) -> String {
    let similar = match &page.similar {
        Some(similar) => format!(" There is a repository {similar} here: is that meant?"),
        None => String::new(),
    };
    let what_to_do = match page.kind.as_str() {
        "hosted" => "push it, or see hosted.repositories and proxy.remoteurl",
        _ => {
            "pull it once through this cache, and ask again. If a child was told that it does not exist, its request did not come \
             here, or before this server was started: see the child's own settings, and the log of this cache"
        }
    };
    format!(
        "nothing is known of {} here, and no request for it failed since this server was started: {what_to_do}.{similar}",
        page.image
    )
}

fn lines(page: &ExplainPage) -> Vec<String> {
    let of = match (&page.name_there, &page.upstream) {
        (Some(name), Some(upstream)) => format!("mirror of {}/{name}", upstream.upstream),
        (Some(name), None) => format!("mirror of {name}"),
        (None, _) => "lives here".to_owned(),
    };
    let route = page.route.as_ref();
    let route = route.map_or_else(String::new, |route| format!(", by the route {route}"));
    let mut lines = vec![format!("{} ({of}{route})", page.image)];
    if let Some(digest) = &page.digest {
        lines.push(format!("  {digest}"));
    }
    let mut paragraph = |title: &str, told: Vec<String>| {
        if !told.is_empty() {
            lines.push(String::new());
            lines.push(title.to_owned());
            lines.extend(told);
        }
    };
    let indented = |said: &[String]| said.iter().map(|line| format!("  {line}")).collect();
    paragraph("Now", indented(&page.answer));
    paragraph("What the upstream said", indented(&page.upstream_said));
    paragraph(
        "What is here",
        page.platforms.iter().flat_map(platform).collect(),
    );
    paragraph(
        "Requests that failed",
        page.failures.iter().flat_map(failure).collect(),
    );
    lines
}

fn platform(platform: &PlatformLine) -> Vec<String> {
    let name = platform.platform.as_deref().unwrap_or("image");
    let held = if platform.state == "here" {
        format!(
            "{} of {} here",
            bytes(platform.bytes_here),
            bytes(platform.bytes)
        )
    } else {
        "manifest not here".to_owned()
    };
    let mut lines = vec![format!("  {name}  {}  {held}", short(&platform.digest))];
    lines.extend(platform.blobs.iter().map(item));
    lines
}

fn item(item: &ItemLine) -> String {
    let size = bytes(item.size);
    let state = match item.state.as_str() {
        "running" => format!(
            "being downloaded: {} of {size}, {}{}",
            bytes(item.bytes_here),
            counted(item.callers.unwrap_or_default(), "caller"),
            item.waits
                .as_ref()
                .map_or_else(String::new, |why| format!(", waits: {why}"))
        ),
        "partial" => format!("partial: {} of {size}", bytes(item.bytes_here)),
        state => format!("{state}, {size}"),
    };
    format!("    {:<6}  {}  {state}", item.kind, short(&item.digest))
}

fn failure(failure: &FailureLine) -> Vec<String> {
    let times = match failure.times {
        0 | 1 => String::new(),
        times => format!(", {times} times"),
    };
    let caller = match &failure.caller {
        Some(caller) => format!(" by {caller}"),
        None => String::new(),
    };
    let head = format!(
        "  {} ({} ago{times})  {}  {}{caller}  request id {}",
        failure.at,
        lasting(Duration::from_secs(failure.seconds_ago)),
        failure.status,
        failure.request,
        failure.request_id
    );
    vec![head, format!("    {}", failure.message)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::admin::UpstreamLine;

    fn digest(letter: &str) -> String {
        format!("sha256:{}", letter.repeat(64))
    }

    fn blob(kind: &str, state: &str, bytes_here: u64) -> ItemLine {
        ItemLine {
            kind: kind.to_owned(),
            digest: digest("b"),
            size: 40_000_000,
            state: state.to_owned(),
            bytes_here,
            callers: (state == "running").then_some(3),
            waits: None,
        }
    }

    fn platforms() -> Vec<PlatformLine> {
        vec![
            PlatformLine {
                platform: Some("linux/arm64".to_owned()),
                digest: digest("c"),
                state: "here".to_owned(),
                bytes: 120_000_000,
                bytes_here: 60_000_000,
                blobs: vec![
                    blob("config", "here", 40_000_000),
                    blob("layer", "running", 10_000_000),
                    blob("layer", "partial", 10_000_000),
                    blob("layer", "missing", 0),
                ],
            },
            PlatformLine {
                platform: Some("linux/amd64".to_owned()),
                digest: digest("d"),
                state: "missing".to_owned(),
                ..PlatformLine::default()
            },
        ]
    }

    #[test]
    fn an_image_is_explained_from_the_answer_down_to_the_failed_request() {
        let page = ExplainPage {
            image: "team/app:v1".to_owned(),
            name_there: Some("team/app".to_owned()),
            upstream: Some(UpstreamLine {
                upstream: "mcr.example".to_owned(),
                ..UpstreamLine::default()
            }),
            digest: Some(digest("a")),
            answer: vec!["It comes from here.".to_owned()],
            upstream_said: vec!["It said so.".to_owned()],
            platforms: platforms(),
            failures: vec![FailureLine {
                at: "2026-01-01T00:00:00Z".to_owned(),
                seconds_ago: 240,
                times: 2,
                request: "GET manifest v1".to_owned(),
                status: 503,
                message: "the link was down".to_owned(),
                caller: Some("127.0.0.7".to_owned()),
                request_id: "abc".to_owned(),
            }],
            is_known: true,
            ..ExplainPage::default()
        };
        let wanted = format!(
            "\
team/app:v1 (mirror of mcr.example/team/app)
  {}

Now
  It comes from here.

What the upstream said
  It said so.

What is here
  linux/arm64  sha256:cccccccccccc  60.0 MB of 120 MB here
    config  sha256:bbbbbbbbbbbb  here, 40.0 MB
    layer   sha256:bbbbbbbbbbbb  being downloaded: 10.0 MB of 40.0 MB, 3 callers
    layer   sha256:bbbbbbbbbbbb  partial: 10.0 MB of 40.0 MB
    layer   sha256:bbbbbbbbbbbb  missing, 40.0 MB
  linux/amd64  sha256:dddddddddddd  manifest not here

Requests that failed
  2026-01-01T00:00:00Z (4 min ago, 2 times)  503  GET manifest v1 by 127.0.0.7  request id abc
    the link was down",
            digest("a")
        );
        assert_eq!(lines(&page).join("\n"), wanted);
    }
}
