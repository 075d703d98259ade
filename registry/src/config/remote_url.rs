//! `proxy.remoteurl`, read forgivingly: `host`, `host:443`, `https://host/`, `$upstream:443`, Docker Hub by any of its names.

use std::collections::BTreeMap;

use url::Url;

use super::reader::Problem;

/// Where edgeAgent tells a module the host name of the device's parent.
const PARENT_VARIABLE: &str = "IOTEDGE_PARENTHOSTNAME";

/// The host that serves Docker Hub's registry, and the names people give it.
const DOCKER_HUB: &str = "registry-1.docker.io";
const DOCKER_HUB_NAMES: [&str; 5] = [
    DOCKER_HUB,
    "docker.io",
    "index.docker.io",
    "registry.hub.docker.com",
    "hub.docker.com",
];

const ADVICE: &str =
    "write a host such as mcr.microsoft.com, a URL such as http://10.0.0.7:5000, or $upstream:443";

/// The upstream registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteUrl {
    /// `http` or `https`, host, and the path below which `/v2/` is found; no slash at its end unless it is the root, no credentials.
    pub url: Url,
    /// Names of this upstream that a caller may give as `ns`: the host we ask comes first. Lower case; with a port and, where the
    /// port is the scheme's own, without it too.
    pub names: Vec<String>,
}

impl RemoteUrl {
    /// Reads what an operator wrote. `environment` is asked for the parent's host name if it says `$upstream`.
    pub(super) fn parse(
        text: &str,
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Problem> {
        let (scheme, rest) = split_scheme(text.trim())?;
        let rest = with_parent(rest, environment)?;
        if rest.is_empty() {
            return Err(Problem::new("it names no host", ADVICE));
        }
        // The message does not repeat the text: a password may be in it.
        let url = Url::parse(&format!("{scheme}://{rest}"))
            .map_err(|error| Problem::new(format!("this is no registry's URL: {error}"), ADVICE))?;
        Self::from_url(url)
    }

    /// The same for a command line.
    ///
    /// # Errors
    /// Why it is no registry's address, and what to write.
    pub fn of(text: &str, environment: &BTreeMap<String, String>) -> Result<Self, String> {
        Self::parse(text, environment)
            .map_err(|problem| format!("{}: {}", problem.what, problem.advice))
    }

    fn from_url(mut url: Url) -> Result<Self, Problem> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Problem::new(
                "it holds credentials",
                "put them into the keys beside it: proxy.username and proxy.passwordfile, or those of its route",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Problem::new(
                "it has a `?` or a `#`",
                "leave only scheme, host, port and path",
            ));
        }
        if url.port() == Some(0) || url.host_str().is_none_or(str::is_empty) {
            return Err(Problem::new(
                "it has no host or no port that could be asked",
                ADVICE,
            ));
        }
        let mut path = url.path().trim_end_matches('/').to_owned();
        let is_hub = url
            .host_str()
            .is_some_and(|host| DOCKER_HUB_NAMES.contains(&host));
        if is_hub && url.port().is_none() {
            url.set_host(Some(DOCKER_HUB))
                .map_err(|error| Problem::new(error.to_string(), ADVICE))?;
            path.clear();
        }
        if let Some(prefix) = path.strip_suffix("/v2") {
            path = prefix.to_owned();
        }
        url.set_path(&path);
        let names = names(&url, is_hub);
        Ok(Self { url, names })
    }

    /// Host and, unless it is the scheme's own, port: `mcr.microsoft.com`, `127.0.0.2:5001`.
    pub fn authority(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

fn split_scheme(text: &str) -> Result<(&'static str, &str), Problem> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Ok(("https", text));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "https" => Ok(("https", rest)),
        "http" => Ok(("http", rest)),
        other => Err(Problem::new(
            format!("registries are not asked over `{other}`"),
            "write https:// or http://",
        )),
    }
}

/// `$upstream:443` is what IoT Edge writes for "my parent"; what it stands for is in the environment of every module of a child.
fn with_parent(rest: &str, environment: &BTreeMap<String, String>) -> Result<String, Problem> {
    let Some(after) = rest.strip_prefix('$') else {
        return Ok(rest.to_owned());
    };
    let (name, after) = match after
        .strip_prefix('{')
        .and_then(|inside| inside.split_once('}'))
    {
        Some(pair) => pair,
        None => after.split_at(
            after
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .unwrap_or(after.len()),
        ),
    };
    if !name.eq_ignore_ascii_case("upstream") && name != PARENT_VARIABLE {
        return Err(Problem::new(
            format!("nothing is known about `${name}`"),
            "only $upstream is replaced; write the host itself",
        ));
    }
    let Some(parent) = environment
        .get(PARENT_VARIABLE)
        .map(|host| host.trim())
        .filter(|host| !host.is_empty())
    else {
        let advice = "on a device without a parent name the registry itself; elsewhere set that variable to the parent's host name";
        return Err(Problem::new(
            format!("${name} stands for the parent device, and {PARENT_VARIABLE} is not set"),
            advice,
        ));
    };
    let is_bare_ipv6 = parent.parse::<std::net::Ipv6Addr>().is_ok();
    Ok(if is_bare_ipv6 {
        format!("[{parent}]{after}")
    } else {
        format!("{parent}{after}")
    })
}

fn names(url: &Url, is_hub: bool) -> Vec<String> {
    let host = url.host_str().unwrap_or_default().to_lowercase();
    let mut names = if let Some(port) = url.port() {
        vec![format!("{host}:{port}")]
    } else {
        let port = url.port_or_known_default().unwrap_or(443);
        vec![host.clone(), format!("{host}:{port}")]
    };
    if is_hub {
        names.extend(
            DOCKER_HUB_NAMES
                .iter()
                .filter(|name| **name != host)
                .map(|name| (*name).to_owned()),
        );
    }
    names
}
