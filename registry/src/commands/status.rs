//! `cistern status`: how the running server is.

use std::time::Duration;

use super::admin_socket::{Told, ask, plain};
use super::arguments::{Format, RunningServer};
use super::{Console, Environment, Exit};
use crate::http::admin::words::{bytes, counted, lasting};
use crate::http::admin::{DownloadLine, STATUS_PATH, StatusPage, UpstreamLine, WarmCount};

pub(super) fn run(
    server: &RunningServer,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    match ask(server, STATUS_PATH, environment) {
        Err(why) => {
            console.complain(format!("error: {why}"));
            Exit::Failure
        }
        Ok(Told { text, .. }) if server.format == Format::Json => {
            console.say(text.trim_end());
            Exit::Success
        }
        Ok(Told { page, .. }) => {
            for line in lines(&page) {
                console.say(plain(&line));
            }
            Exit::Success
        }
    }
}

fn lines(page: &StatusPage) -> Vec<String> {
    let mut lines = vec![format!(
        "cistern {}, up {} (since {})",
        page.version,
        seconds(page.up_seconds),
        page.started
    )];
    if page.upstreams.is_empty() {
        lines.push("upstream   none: every repository lives here".to_owned());
    }
    lines.extend(page.upstreams.iter().flat_map(upstream));
    if !page.upstreams.is_empty() {
        lines.push(rate(page));
    }
    lines.push(store(page));
    if let Some(room) = page.room.filter(|room| room.partials > 0) {
        lines.push(format!(
            "partials   {} to be gone on with: {} of them are here",
            counted(room.partials, "unfinished blob"),
            bytes(room.partial_bytes)
        ));
    }
    if page.held_callers > 0 {
        lines.push(format!(
            "held       {} wait for the link with open connections",
            counted(
                usize::try_from(page.held_callers).unwrap_or(usize::MAX),
                "caller"
            )
        ));
    }
    lines.extend(warm(&page.warm));
    lines.extend(stale_tags(page));
    lines.extend(downloads(page));
    lines
}

fn seconds(seconds: u64) -> String {
    lasting(Duration::from_secs(seconds))
}

fn upstream(upstream: &UpstreamLine) -> Vec<String> {
    let mut lines = vec![format!(
        "upstream   {} is {} for {} (since {})",
        upstream.upstream,
        upstream.state,
        seconds(upstream.for_seconds),
        upstream.since
    )];
    if !upstream.names.is_empty() {
        lines.push(format!(
            "           mirrored from it: {}",
            upstream.names.join(", ")
        ));
    }
    if let Some(error) = &upstream.last_error {
        lines.push(format!("           last error: {error}"));
    }
    if upstream.credentials_refused {
        lines.push(
            "           it refuses this cache's credentials: see username and password, of proxy or of its route"
                .to_owned(),
        );
    }
    if let Some(pause) = upstream.paused_for_seconds {
        lines.push(format!(
            "           it had too many requests, and is left alone for another {}",
            seconds(pause)
        ));
    }
    lines
}

fn rate(page: &StatusPage) -> String {
    let link = &page.link;
    let rate = match link.bytes_per_second {
        Some(rate) => format!("{}/s", bytes(rate)),
        None => "unlimited".to_owned(),
    };
    let from = match &link.window {
        Some(window) => format!(", by the window {window}"),
        None => String::new(),
    };
    let waiting = match (link.interactive_waiting, link.warm_waiting) {
        (0, 0) => String::new(),
        (wanted, warm) => format!(
            "; for their share wait {}, and {warm} more that fetch ahead",
            counted(wanted, "download")
        ),
    };
    format!("rate       {rate}{from}{waiting}")
}

fn store(page: &StatusPage) -> String {
    let room = match &page.room {
        Some(room) => format!(
            ", {} free of {}, of which {} stay free",
            bytes(room.free),
            bytes(room.total),
            bytes(room.reserve)
        ),
        None => String::new(),
    };
    format!("store      {} is {}{room}", page.store, page.store_state)
}

/// Nothing where nothing is wanted before anybody asks.
fn warm(warm: &WarmCount) -> Option<String> {
    let more = [
        (warm.failed, "failed"),
        (
            warm.held_back,
            "held back until all of the new image is here",
        ),
        (warm.pinned, "pinned"),
    ];
    let more = more.iter().filter(|(count, _)| *count > 0);
    let more: Vec<_> = more
        .map(|(count, what)| format!(", {count} {what}"))
        .collect();
    let more = more.concat();
    let (ready, all) = (warm.ready, counted(warm.images, "image"));
    let line = || format!("warm       {ready} of {all} ready{more} (see `cistern images`)");
    (warm.images > 0).then(line)
}

fn stale_tags(page: &StatusPage) -> Vec<String> {
    if page.stale_tags_count == 0 {
        return vec!["stale      no tag is served unconfirmed".to_owned()];
    }
    let mut lines = vec![format!(
        "stale      {} served unconfirmed (a roll-out does not reach whoever pulls them):",
        counted(page.stale_tags_count, "tag")
    )];
    lines.extend(page.stale_tags.iter().map(|tag| {
        format!(
            "           {}:{}  {}  for {}, asked for {} ago: {}",
            tag.repository,
            tag.tag,
            short(&tag.digest),
            seconds(tag.for_seconds),
            seconds(tag.asked_seconds_ago),
            tag.why
        )
    }));
    let left_out = page.stale_tags_count.saturating_sub(page.stale_tags.len());
    if left_out > 0 {
        lines.push(format!("           and {left_out} more"));
    }
    lines
}

fn downloads(page: &StatusPage) -> Vec<String> {
    if page.downloads.is_empty() {
        return vec!["downloads  none".to_owned()];
    }
    let mut lines = vec![format!("downloads  {} running:", page.downloads.len())];
    lines.extend(page.downloads.iter().map(download));
    lines
}

fn download(download: &DownloadLine) -> String {
    let progress = match download.size {
        Some(size) if size > 0 => format!(
            "{} of {} ({} %)",
            bytes(download.written),
            bytes(size),
            u128::from(download.written) * 100 / u128::from(size)
        ),
        _ => bytes(download.written),
    };
    let state = match download.state.as_str() {
        "running" => String::new(),
        why => format!(", waits: {why}"),
    };
    format!(
        "           {}  {progress}, {}, for {}{state}",
        short(&download.digest),
        counted(download.callers, "caller"),
        download.repositories.join(", ")
    )
}

/// A digest as people compare them.
pub(super) fn short(digest: &str) -> String {
    let end = digest.find(':').map_or(12, |colon| colon + 13);
    digest.chars().take(end).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::admin::{LinkUse, StaleTagLine, StoreRoom};

    fn page() -> StatusPage {
        StatusPage {
            version: "1.0".to_owned(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            up_seconds: 10_000,
            upstreams: vec![UpstreamLine {
                upstream: "mcr.example".to_owned(),
                state: "offline".to_owned(),
                since: "2026-01-01T02:00:00Z".to_owned(),
                for_seconds: 1_000,
                last_error: Some("no connection".to_owned()),
                ..UpstreamLine::default()
            }],
            link: LinkUse {
                bytes_per_second: Some(500_000),
                window: Some("mon+tue 06:00-18:00".to_owned()),
                interactive_waiting: 2,
                warm_waiting: 1,
            },
            stale_tags: vec![StaleTagLine {
                repository: "team/app".to_owned(),
                tag: "v1".to_owned(),
                digest: format!("sha256:{}", "ab".repeat(32)),
                for_seconds: 900,
                why: "the link is down".to_owned(),
                ..StaleTagLine::default()
            }],
            stale_tags_count: 3,
            downloads: vec![DownloadLine {
                digest: format!("sha256:{}", "cd".repeat(32)),
                repositories: vec!["team/app".to_owned()],
                size: Some(200_000_000),
                written: 50_000_000,
                callers: 20,
                state: "the link is down".to_owned(),
            }],
            held_callers: 20,
            warm: WarmCount {
                images: 9,
                ready: 6,
                failed: 1,
                held_back: 2,
                pinned: 9,
            },
            store: "/var/lib/registry".to_owned(),
            store_state: "ok".to_owned(),
            room: Some(StoreRoom {
                total: 100_000_000_000,
                free: 41_000_000_000,
                reserve: 5_000_000_000,
                partials: 2,
                partial_bytes: 150_000_000,
            }),
            ..StatusPage::default()
        }
    }

    #[test]
    fn the_status_of_a_server_that_lost_its_link_says_so_line_by_line() {
        let wanted = "\
cistern 1.0, up 2 h (since 2026-01-01T00:00:00Z)
upstream   mcr.example is offline for 16 min (since 2026-01-01T02:00:00Z)
           last error: no connection
rate       500 kB/s, by the window mon+tue 06:00-18:00; for their share wait 2 downloads, and 1 more that fetch ahead
store      /var/lib/registry is ok, 41.0 GB free of 100 GB, of which 5.00 GB stay free
partials   2 unfinished blobs to be gone on with: 150 MB of them are here
held       20 callers wait for the link with open connections
warm       6 of 9 images ready, 1 failed, 2 held back until all of the new image is here, 9 pinned (see `cistern images`)
stale      3 tags served unconfirmed (a roll-out does not reach whoever pulls them):
           team/app:v1  sha256:abababababab  for 15 min, asked for 0 s ago: the link is down
           and 2 more
downloads  1 running:
           sha256:cdcdcdcdcdcd  50.0 MB of 200 MB (25 %), 20 callers, for team/app, waits: the link is down";
        assert_eq!(lines(&page()).join("\n"), wanted);
    }

    #[test]
    fn a_quiet_server_is_told_in_a_few_lines() {
        let page = StatusPage {
            upstreams: vec![UpstreamLine::default()],
            ..StatusPage::default()
        };
        let told = lines(&page).join("\n");
        assert!(told.contains("rate       unlimited\n"), "{told}");
        assert!(
            told.ends_with("stale      no tag is served unconfirmed\ndownloads  none"),
            "{told}"
        );
    }
}
