//! An image name as edgeAgent and docker read it, and as templates write it.
//!
//! Must not know manifests or what an image is rewritten to.

mod atoms;
#[cfg(test)]
mod tests;

use std::fmt;

use atoms::Atoms;

/// An image name in its parts. What is read is written again byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ImageName {
    /// Whom docker asks; none: Docker Hub.
    pub host: Option<Host>,
    /// The repository as it is written, without the host: `azureiotedge-agent`, `team/app`. Of an image without host and
    /// without `/`, docker means the repository below `library/`.
    pub repository: String,
    /// The tag; none: docker means `latest`, or there is a digest.
    pub tag: Option<String>,
    /// The digest, `sha256:…`.
    pub digest: Option<String>,
}

/// The first part of an image name, where it names whom docker asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// `$upstream`: edgeAgent puts the name of the parent in its place, but only if a port follows.
    Upstream {
        /// The port that follows.
        port: Option<u16>,
    },
    /// A host name or address, with its port if one is written: `mcr.microsoft.com`, `10.0.0.4:8000`.
    Named(String),
    /// What a template has in its place: `<Container_Registry>`, `$ACR_ADDRESS`, `${REGISTRY}.azurecr.io`.
    Placeholder(String),
}

/// Why a text is no image name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnImageName {
    /// Nothing but blanks.
    #[error("nothing is written there")]
    Empty,
    /// A blank or a character that no image name has.
    #[error("{0:?} has no place in an image name")]
    Character(char),
    /// `$upstream` with something behind it that is no port from 1 to 65535, or without a repository.
    #[error("`$upstream` is followed by a port and a repository, as in `$upstream:443/team/app:1`")]
    Upstream,
    /// A URL.
    #[error("an image name has no `{0}://`")]
    Scheme(String),
    /// A part of the name is empty: `team//app`, `app:`, `app@`.
    #[error("a part of the name is empty")]
    EmptyPart,
    /// A placeholder, `${MODULES.app}`, stands for the whole name.
    #[error("`{0}` stands for the whole name")]
    Whole(String),
}

/// What edgeAgent replaces by the name of the parent.
pub const UPSTREAM: &str = "$upstream";

// === impl Host ===

impl Host {
    /// Reads the first part of an image name, or the address of a registry.
    ///
    /// # Errors
    /// `$upstream` with what is no port.
    pub fn parse(text: &str) -> Result<Self, NotAnImageName> {
        if let Some(rest) = text.strip_prefix(UPSTREAM) {
            if rest.is_empty() {
                return Ok(Self::Upstream { port: None });
            }
            if let Some(port) = rest.strip_prefix(':') {
                return match port.parse() {
                    // As edgeAgent reads it: no zero in front, no sign.
                    Ok(number @ 1..)
                        if port.starts_with(|digit: char| ('1'..='9').contains(&digit)) =>
                    {
                        Ok(Self::Upstream { port: Some(number) })
                    }
                    _ => Err(NotAnImageName::Upstream),
                };
            }
        }
        if Atoms::of(text).has_placeholder() {
            return Ok(Self::Placeholder(text.to_owned()));
        }
        Ok(Self::Named(text.to_owned()))
    }

    /// Whether the image comes from the parent.
    pub const fn is_upstream(&self) -> bool {
        matches!(self, Self::Upstream { .. })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upstream { port: None } => f.write_str(UPSTREAM),
            Self::Upstream { port: Some(port) } => write!(f, "{UPSTREAM}:{port}"),
            Self::Named(text) | Self::Placeholder(text) => f.write_str(text),
        }
    }
}

// === impl ImageName ===

impl ImageName {
    /// Reads an image name.
    ///
    /// Docker's rule: the first part is a host if it has a `.`, a `:` or a capital letter or is `localhost`; in addition what
    /// has a placeholder in it. `registry:latest` has none and is `library/registry` of Docker Hub. What docker would refuse
    /// later (a repository in capitals, a digest that is too short) is read all the same: it is not ours to lose.
    ///
    /// # Errors
    /// What cannot be taken apart.
    pub fn parse(text: &str) -> Result<Self, NotAnImageName> {
        if text.trim().is_empty() {
            return Err(NotAnImageName::Empty);
        }
        let atoms = Atoms::of(text);
        if let Some(odd) = atoms.plain().find(|letter| is_odd(*letter)) {
            return Err(NotAnImageName::Character(odd));
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(NotAnImageName::Scheme(scheme.to_owned()));
        }
        let (host, rest) = match atoms.find('/') {
            Some(slash) if is_host(text.get(..slash).unwrap_or_default()) => {
                let host = Host::parse(text.get(..slash).unwrap_or_default())?;
                (Some(host), text.get(slash + 1..).unwrap_or_default())
            }
            _ => (None, text),
        };
        let name = Self::after_host(host, rest)?;
        if name.host.is_none() && name.repository.starts_with(UPSTREAM) {
            return Err(NotAnImageName::Upstream);
        }
        if name.host.is_none() && name.repository == text && Atoms::of(text).is_placeholder() {
            return Err(NotAnImageName::Whole(text.to_owned()));
        }
        Ok(name)
    }

    fn after_host(host: Option<Host>, rest: &str) -> Result<Self, NotAnImageName> {
        let (rest, digest) = match Atoms::of(rest).find('@') {
            Some(at) => (rest.get(..at), rest.get(at + 1..).map(str::to_owned)),
            None => (Some(rest), None),
        };
        let rest = rest.unwrap_or_default();
        let name_starts = Atoms::of(rest).rfind('/').map_or(0, |slash| slash + 1);
        let last = rest.get(name_starts..).unwrap_or_default();
        let (repository, tag) = match Atoms::of(last).find(':') {
            Some(colon) => {
                let colon = name_starts + colon;
                (rest.get(..colon), rest.get(colon + 1..).map(str::to_owned))
            }
            None => (Some(rest), None),
        };
        let repository = repository.unwrap_or_default().to_owned();
        let has_empty_part = repository.split('/').any(str::is_empty)
            || tag.as_deref() == Some("")
            || digest.as_deref() == Some("");
        if has_empty_part {
            return Err(NotAnImageName::EmptyPart);
        }
        Ok(Self {
            host,
            repository,
            tag,
            digest,
        })
    }

    /// The repository as a registry is asked for it: that of Docker Hub's own images is below `library/`.
    pub fn repository_at_host(&self) -> String {
        let is_hub = match &self.host {
            None => true,
            Some(Host::Named(host)) => is_docker_hub(host),
            Some(Host::Upstream { .. } | Host::Placeholder(_)) => false,
        };
        if is_hub && !self.repository.contains('/') {
            return format!("library/{}", self.repository);
        }
        self.repository.clone()
    }

    /// What a registry is asked for below the repository: the digest, else the tag, else `latest`.
    pub fn reference(&self) -> &str {
        let written = self.digest.as_deref().or(self.tag.as_deref());
        written.unwrap_or("latest")
    }

    /// `repository:tag` or `repository@digest`, as a registry is asked for it.
    pub fn asked(&self) -> String {
        let repository = self.repository_at_host();
        match &self.digest {
            Some(digest) => format!("{repository}@{digest}"),
            None => format!("{repository}:{}", self.reference()),
        }
    }

    /// Whether some part of it has still to be filled in.
    pub fn has_placeholder(&self) -> bool {
        Atoms::of(&self.to_string()).has_placeholder()
    }

    /// The last part of the repository: `azureiotedge-agent` of `microsoft/azureiotedge-agent`.
    pub fn short_name(&self) -> &str {
        let last = self.repository.rsplit('/').next();
        last.unwrap_or(&self.repository)
    }
}

impl fmt::Display for ImageName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        f.write_str(&self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

/// Whether docker takes this host for Docker Hub.
pub fn is_docker_hub(host: &str) -> bool {
    host.eq_ignore_ascii_case("docker.io") || host.eq_ignore_ascii_case("index.docker.io")
}

/// Docker's rule, and placeholders.
fn is_host(first: &str) -> bool {
    first == "localhost"
        || first.starts_with(UPSTREAM)
        || first.contains(['.', ':'])
        || first.contains(|letter: char| letter.is_uppercase())
        || Atoms::of(first).has_placeholder()
}

/// Characters that neither an image name nor a placeholder around one has.
fn is_odd(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || matches!(letter, '"' | '\'' | '\\' | '?' | ',' | ';' | '*')
}
