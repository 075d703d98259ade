//! The environment's word on how other hosts are reached: `https_proxy`, `http_proxy`, `no_proxy`.

use std::collections::BTreeMap;
use std::fmt;

use url::Url;

use super::finding::Place;
use super::reader::{Problem, Reader};

/// The proxies for connections to the upstream; read as Go programs do: `HTTPS_PROXY` before `https_proxy`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutgoingProxies {
    /// For `https://` upstreams.
    pub https: Option<OutgoingProxy>,
    /// For `http://` upstreams.
    pub http: Option<OutgoingProxy>,
    /// Hosts, domains and networks that are reached directly, as written: separated by commas.
    pub except: Option<String>,
}

/// The URL of a proxy. Its user name and password, if it has them, are never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingProxy(Url);

impl OutgoingProxy {
    /// The URL with its credentials.
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for OutgoingProxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}://{}",
            self.0.scheme(),
            self.0.host_str().unwrap_or_default()
        )?;
        self.0
            .port_or_known_default()
            .map_or(Ok(()), |port| write!(out, ":{port}"))
    }
}

impl fmt::Debug for OutgoingProxy {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Reads the variables that concern the schemes of our upstreams; the others may say what they like.
pub(super) fn read(
    reader: &mut Reader<'_>,
    environment: &BTreeMap<String, String>,
    schemes: &[&str],
) -> OutgoingProxies {
    let mut proxies = OutgoingProxies::default();
    if let Some((_, except)) = first_set(environment, ["NO_PROXY", "no_proxy"]) {
        proxies.except = Some(except.to_owned());
    }
    if schemes.contains(&"https") {
        proxies.https = one(reader, environment, ["HTTPS_PROXY", "https_proxy"]);
    }
    if schemes.contains(&"http") {
        proxies.http = one(reader, environment, ["HTTP_PROXY", "http_proxy"]);
    }
    // A redirect may lead from http to https (never back), so the other proxy is taken along if it is one.
    if schemes.contains(&"http") && !schemes.contains(&"https") {
        proxies.https = first_set(environment, ["HTTPS_PROXY", "https_proxy"])
            .and_then(|(_, text)| parse(text).ok());
    }
    proxies
}

fn one(
    reader: &mut Reader<'_>,
    environment: &BTreeMap<String, String>,
    names: [&str; 2],
) -> Option<OutgoingProxy> {
    let (name, text) = first_set(environment, names)?;
    match parse(text) {
        Ok(proxy) => Some(proxy),
        Err(problem) => {
            reader.fail(
                Place::Variable(name.to_owned()),
                "",
                problem.what,
                problem.advice,
            );
            None
        }
    }
}

fn first_set<'a>(
    environment: &'a BTreeMap<String, String>,
    names: [&'a str; 2],
) -> Option<(&'a str, &'a str)> {
    names.into_iter().find_map(|name| {
        environment
            .get(name)
            .filter(|text| !text.is_empty())
            .map(|text| (name, text.as_str()))
    })
}

/// The message never repeats the text: it may hold a password.
fn parse(text: &str) -> Result<OutgoingProxy, Problem> {
    let advice = "write http://host:port";
    let text = text.trim();
    let with_scheme = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    match Url::parse(&with_scheme) {
        Ok(url)
            if url.host_str().is_some_and(|host| !host.is_empty())
                && matches!(url.scheme(), "http" | "https") =>
        {
            Ok(OutgoingProxy(url))
        }
        Ok(url) if url.scheme().starts_with("socks") => {
            Err(Problem::new("SOCKS proxies are not supported", advice))
        }
        Ok(_) | Err(_) => Err(Problem::new("this is no proxy's URL", advice)),
    }
}
