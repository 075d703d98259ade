//! `cistern config check`: what will be served from where, who said so, and everything that is wrong or doubtful.

mod access;

use super::{Console, Environment, Exit, load_from};
use crate::config::{
    Config, CredentialText, FileChoice, ListenHost, Loaded, LogFormat, LogLevel, MetricsAt, Proxy,
    Reserve, Route, UpstreamSettings, WhenGone, counted, written_duration,
};

pub(super) fn run(
    file: FileChoice,
    strict: bool,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    let searched = file == FileChoice::Search;
    match Config::load(&load_from(file, strict, environment)) {
        Ok(loaded) => {
            report(&loaded, searched, console);
            loaded
                .findings
                .iter()
                .for_each(|finding| console.complain(finding));
            if !loaded.findings.is_empty() {
                console.complain(format!(
                    "A server starts with this: {}, which --strict makes errors.",
                    counted(&loaded.findings)
                ));
            }
            Exit::Success
        }
        Err(errors) => {
            console.complain(&errors);
            if searched {
                console.complain("No file was named, so the one that `cistern` without arguments reads was checked; `cistern serve` reads none.");
            }
            console.complain(format!(
                "A server does not start with this: {}.",
                counted(&errors.findings)
            ));
            Exit::Failure
        }
    }
}

fn report(loaded: &Loaded, searched: bool, console: &mut Console<'_>) {
    let config = &loaded.config;
    for (label, text) in [
        ("file", file(loaded, searched)),
        ("address", address(config)),
        ("store", store(config)),
        ("upstream", upstream(&config.proxy)),
        ("names", names(&config.proxy)),
        ("callers", access::callers(config)),
        ("hosted", access::hosted(config)),
        ("writers", access::writers(config)),
        ("freshness", freshness(&config.proxy)),
        ("kept", kept(&config.proxy)),
        ("way out", way_out(config)),
        ("metrics", metrics(config)),
        (
            "stopping",
            format!(
                "requests in flight get {} after a stop signal",
                written_duration(config.http.drain_timeout)
            ),
        ),
        ("log", log(config)),
    ] {
        if !text.is_empty() {
            console.say(format!("{label:<10}{text}"));
        }
        if label == "names" {
            for route in routes(&config.proxy) {
                console.say(format!("{:<10}{route}", "route"));
            }
        }
    }
    if loaded.settings.is_empty() {
        console.say("\nNothing is set; all of this is default.");
        return;
    }
    console.say("\nSet, the rest is default:");
    for setting in &loaded.settings {
        console.say(format!(
            "  {} = {}  ({})",
            setting.key, setting.value, setting.place
        ));
    }
}

fn file(loaded: &Loaded, searched: bool) -> String {
    match &loaded.file {
        Some(path) if searched => format!(
            "{}, as `cistern` without arguments reads it",
            path.display()
        ),
        Some(path) => path.display().to_string(),
        None => "none; defaults and environment only".to_owned(),
    }
}

fn address(config: &Config) -> String {
    let address = &config.http.address;
    match address.host {
        ListenHost::Every => format!("{address}, every interface, plain HTTP"),
        ListenHost::Ip(_) | ListenHost::Name(_) => format!("{address}, plain HTTP"),
    }
}

fn store(config: &Config) -> String {
    let storage = &config.storage;
    let free = match storage.reserve {
        Reserve::Default => "5 % of the disk, at least 256 MiB".to_owned(),
        Reserve::Percent(percent) => format!("{percent} % of the disk"),
        Reserve::Bytes(bytes) => format!("{} MiB", bytes >> 20),
    };
    let directory = storage.root_directory.display();
    if storage.read_only {
        format!("{directory}, read-only")
    } else {
        format!("{directory}, leaving free {free}")
    }
}

fn upstream(proxy: &Proxy) -> String {
    match proxy.upstream() {
        Some(upstream) => told(&upstream),
        None if proxy.is_cache() => "none; what no route takes is hosted here".to_owned(),
        None => "none; every repository is hosted here".to_owned(),
    }
}

/// A registry, and how it is asked.
fn told(upstream: &UpstreamSettings) -> String {
    let remote = &upstream.remote;
    let credentials = match (&upstream.exec, &upstream.credentials) {
        (Some(exec), _) => format!("as {} says", exec.command.display()),
        (None, None) => "anonymous".to_owned(),
        (None, Some(credentials)) => match (&credentials.username, &credentials.password) {
            (CredentialText::Inline(username), CredentialText::Inline(_)) => {
                format!("as {}", username.expose())
            }
            (CredentialText::Inline(username), CredentialText::File(path)) => {
                format!(
                    "as {} with the password in {}",
                    username.expose(),
                    path.display()
                )
            }
            (CredentialText::File(path), _) => format!("as the user named in {}", path.display()),
        },
    };
    let certificates = match (
        remote.url.scheme(),
        upstream.insecure,
        upstream.ca_files.len(),
    ) {
        ("http", _, _) => ", plain HTTP".to_owned(),
        (_, true, _) => ", certificate not checked".to_owned(),
        (_, false, 0) => String::new(),
        (_, false, _) => format!(
            ", trusting also {}",
            upstream
                .ca_files
                .iter()
                .map(|path| path.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        ),
    };
    format!(
        "{}, {credentials}{certificates}",
        remote.url.as_str().trim_end_matches('/')
    )
}

/// A line per route, those that count first before the others.
fn routes(proxy: &Proxy) -> Vec<String> {
    let mut routes: Vec<_> = proxy.routes.iter().collect();
    routes.sort_by_key(|route| std::cmp::Reverse(route.matching.weight()));
    let line = |route: &&Route| {
        let (start, rewrite) = (route.matching.start(), route.rewrite.as_deref());
        let renamed = match rewrite {
            None => String::new(),
            Some(rewrite) => format!(", where {start}app is {rewrite}app"),
        };
        let names: Vec<&str> = route.names().collect();
        format!(
            "{} from {}{renamed}; ns {}",
            route.matching,
            told(&route.upstream),
            names.join(", ")
        )
    };
    routes.iter().map(line).collect()
}

fn names(proxy: &Proxy) -> String {
    let names = proxy.names();
    if names.is_empty() {
        String::new()
    } else {
        format!("{} (accepted as ns)", names.join(", "))
    }
}

fn freshness(proxy: &Proxy) -> String {
    if !proxy.is_cache() {
        return String::new();
    }
    let gone = match proxy.when_gone {
        WhenGone::Keep => "kept",
        WhenGone::Follow => "gone here too",
    };
    let every = written_duration(proxy.check_every);
    let every = if proxy.check_every == proxy.check_every_of_cistern {
        every
    } else {
        let sooner = written_duration(proxy.check_every_of_cistern);
        format!("{every}, after {sooner} where the upstream is a Cistern")
    };
    format!(
        "a tag is asked for again after {every}; an upstream silent for {} is not waited for; a tag gone there is {gone}",
        written_duration(proxy.check_deadline)
    )
}

fn kept(proxy: &Proxy) -> String {
    match proxy.ttl {
        None => String::new(),
        Some(ttl) => format!(
            "what is not used for {} is dropped while the upstream answers",
            written_duration(ttl)
        ),
    }
}

fn way_out(config: &Config) -> String {
    let outgoing = &config.outgoing;
    let mut proxies = Vec::new();
    for remote in config.proxy.remotes() {
        let proxy = match remote.url.scheme() {
            "http" => &outgoing.http,
            _ => &outgoing.https,
        };
        let proxy = proxy.as_ref().map(ToString::to_string);
        proxies.extend(proxy.filter(|proxy| !proxies.contains(proxy)));
    }
    let proxies = proxies.join(" or ");
    match (proxies.as_str(), &outgoing.except) {
        ("", _) => String::new(),
        (proxies, None) => format!("through {proxies}"),
        (proxies, Some(except)) => format!("through {proxies}, except {except}"),
    }
}

fn metrics(config: &Config) -> String {
    match (&config.http.metrics, &config.http.debug_address) {
        (MetricsAt::DebugAddress(path), Some(address)) => format!("{path} on {address}"),
        (MetricsAt::MainAddress(path), _) => format!("{path} on {}", config.http.address),
        (MetricsAt::Nowhere | MetricsAt::DebugAddress(_), _) => String::new(),
    }
}

fn log(config: &Config) -> String {
    let level = match config.log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        LogLevel::Debug => "debug",
    };
    let format = match config.log.format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let requests = if config.log.access_log {
        "with a line per request"
    } else {
        "without a line per request"
    };
    format!("{level}, {format}, {requests}")
}
