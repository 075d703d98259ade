//! `http`: where we listen, what is added to answers, who may speak for a caller's address.

use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use ipnet::IpNet;

use super::address::ListenAddress;
use super::duration;
use super::network;
use super::reader::{Problem, Reader, flag};

/// The section `http`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// `http.addr`: where callers come in.
    pub address: ListenAddress,
    /// `http.headers`: added to every answer, unless the answer has that header already.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `http.draintimeout`: how long requests in flight may go on after a stop signal.
    pub drain_timeout: Duration,
    /// `http.debug.addr`: a second address for `/metrics`, `/healthz` and `/readyz`.
    pub debug_address: Option<ListenAddress>,
    /// Where `/metrics` is answered, and under which path.
    pub metrics: MetricsAt,
    /// `http.trustedproxies`: peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// `http.anonymouspull`: with `auth.htpasswd`, whoever shows no credentials may still read.
    pub anonymous_pull: bool,
}

/// Where metrics are served; the text is the path, `/metrics` unless `http.debug.prometheus.path` says otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricsAt {
    /// Nowhere: nobody asked for them.
    Nowhere,
    /// On `http.debug.addr`.
    DebugAddress(String),
    /// On `http.addr`: they were asked for, and there is no debug address.
    MainAddress(String),
}

/// Headers that belong to each answer or to the connection; another value would make answers wrong.
const OURS: [&str; 12] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "content-type",
    "docker-content-digest",
    "docker-distribution-api-version",
    "etag",
    "location",
    "transfer-encoding",
    "upgrade",
    "www-authenticate",
];

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Http> {
    let address = reader
        .value("http.net", net)
        .and_then(|()| read_address(reader));
    let headers = headers(reader);
    let drain_timeout = reader.value("http.draintimeout", duration::parse);
    let debug_address = reader.value("http.debug.addr", ListenAddress::parse);
    let metrics = metrics(reader, debug_address.is_some());
    let trusted_proxies = network::list(reader, "http.trustedproxies");
    let anonymous_pull = reader.value("http.anonymouspull", flag);
    Some(Http {
        address: address?,
        headers,
        drain_timeout: drain_timeout?,
        debug_address,
        metrics: metrics?,
        trusted_proxies,
        anonymous_pull: anonymous_pull?,
    })
}

/// `http.addr` alone, for a program that wants to talk to the server that was started with this.
pub(super) fn read_address(reader: &mut Reader<'_>) -> Option<ListenAddress> {
    reader.value("http.addr", ListenAddress::parse)
}

fn net(text: &str) -> Result<(), Problem> {
    match text {
        "tcp" => Ok(()),
        "unix" => {
            let advice = "remove it and set http.addr to an address such as 127.0.0.1:5000";
            Err(Problem::new(
                "not supported yet: unix sockets are not listened on",
                advice,
            ))
        }
        _ => Err(Problem::new(
            format!("there is no network `{text}`"),
            "remove it, or write tcp",
        )),
    }
}

fn headers(reader: &mut Reader<'_>) -> Vec<(HeaderName, HeaderValue)> {
    const PATH: &str = "http.headers";
    let mut headers = Vec::new();
    for (name, values) in reader.names(PATH) {
        if OURS.iter().any(|ours| name.text.eq_ignore_ascii_case(ours)) {
            let what = format!("`{}` is the server's own and stays as it is", name.text);
            reader.warn(name.place, PATH, what, "remove it");
            continue;
        }
        let parsed = reader.parse(PATH, &name, |text| {
            HeaderName::from_bytes(text.as_bytes())
                .map_err(|_| Problem::new(format!("`{text}` is no header's name"), "correct it"))
        });
        for value in values {
            let value = reader.parse(PATH, &value, |text| {
                HeaderValue::from_str(text).map_err(|_| {
                    Problem::new(
                        format!("the value of `{}` cannot be sent", name.text),
                        "use plain ASCII",
                    )
                })
            });
            if let (Some(name), Some(value)) = (&parsed, value) {
                headers.push((name.clone(), value));
            }
        }
    }
    headers
}

fn metrics(reader: &mut Reader<'_>, has_debug_address: bool) -> Option<MetricsAt> {
    let enabled = reader.value("http.debug.prometheus.enabled", flag);
    let path = reader.value("http.debug.prometheus.path", metrics_path)?;
    Some(match (enabled, has_debug_address) {
        (Some(false), _) | (None, false) => MetricsAt::Nowhere,
        (_, true) => MetricsAt::DebugAddress(path),
        (Some(true), false) => MetricsAt::MainAddress(path),
    })
}

fn metrics_path(text: &str) -> Result<String, Problem> {
    let is_path = text.starts_with('/')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"?#{}*".contains(&byte));
    let is_taken = matches!(text, "/" | "/v2" | "/healthz" | "/readyz") || text.starts_with("/v2/");
    match (is_path, is_taken) {
        (true, false) => Ok(text.to_owned()),
        (true, true) => Err(Problem::new(
            format!("`{text}` is answered by something else"),
            "write another path, such as /metrics",
        )),
        (false, _) => Err(Problem::new(
            format!("`{text}` is no path"),
            "write a path that begins with a slash, such as /metrics",
        )),
    }
}
