//! `proxy`, what concerns the link: how long callers are held while it is down, how fast it may be used and when, where else the
//! upstream can be reached, and which tags are never served unconfirmed.

use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::LoadFrom;
use super::duration;
use super::rate::{self, RateWindow};
use super::reader::{Problem, Reader, Written, flag};
use super::remote_url::RemoteUrl;
use crate::repositories::{ImagePattern, NotAnImagePattern};

/// How the link to the upstream is used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uplink {
    /// `proxy.alternates`: other addresses of the same registry, tried in this order when the one before does not answer.
    pub alternates: Vec<RemoteUrl>,
    /// `proxy.hold`: how long a caller whose headers have left is held while the link is down.
    pub hold: Duration,
    /// `proxy.holdlimit`: how many callers are held at once.
    pub hold_limit: usize,
    /// `proxy.rate`: bytes per second that bodies from the upstream may take. None: no limit.
    pub rate: Option<NonZeroU64>,
    /// `proxy.ratewindows`: times with another rate; the first that matches counts.
    pub rate_windows: Vec<RateWindow>,
    /// `proxy.timezone`: the time zone of the windows.
    pub time_zone: TimeZone,
    /// `proxy.downloads`: how many blobs are downloaded at once.
    pub downloads: usize,
    /// `proxy.strict`: tags that are answered 503 rather than served unconfirmed.
    pub strict: Vec<ImagePattern>,
    /// `proxy.readahead`: missing blobs of a served platform manifest are downloaded at once.
    pub read_ahead: bool,
    /// `proxy.exec`: a program that tells the credentials.
    pub exec: Option<Exec>,
    /// `proxy.clientcertificate` and `proxy.clientkey`.
    pub client_identity: Option<ClientIdentity>,
}

/// A credential helper, as docker's are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// `proxy.exec.command`: the program, called with the argument `get`.
    pub command: PathBuf,
    /// `proxy.exec.lifetime`: how long its answer holds. None: for good, until the upstream refuses it.
    pub lifetime: Option<Duration>,
}

/// The certificate that an upstream is shown, and its key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// `proxy.clientcertificate`: the certificate, and those between it and its root.
    pub certificate: PathBuf,
    /// `proxy.clientkey`.
    pub key: PathBuf,
}

pub(super) fn read(reader: &mut Reader<'_>, from: &LoadFrom<'_>) -> Option<Uplink> {
    let alternates = alternates(reader, from, "proxy");
    let hold = reader.value("proxy.hold", duration::parse);
    let hold_limit = reader.value("proxy.holdlimit", count);
    let rate = reader.value("proxy.rate", rate::parse).flatten();
    let rate_windows = texts(reader, "proxy.ratewindows", rate::window);
    let time_zone = reader.value("proxy.timezone", time_zone);
    let downloads = reader.value("proxy.downloads", at_least_one);
    let strict = texts(reader, "proxy.strict", image);
    let read_ahead = reader.value("proxy.readahead", flag);
    let exec = exec(reader, "proxy");
    let client_identity = client_identity(reader, from, "proxy");
    Some(Uplink {
        alternates,
        hold: hold?,
        hold_limit: hold_limit?,
        rate,
        rate_windows,
        time_zone: time_zone?,
        downloads: downloads?,
        strict,
        read_ahead: read_ahead?,
        exec,
        client_identity,
    })
}

/// Other addresses of the registry of `section`.
pub(super) fn alternates(
    reader: &mut Reader<'_>,
    from: &LoadFrom<'_>,
    section: &str,
) -> Vec<RemoteUrl> {
    texts(reader, &format!("{section}.alternates"), |text| {
        RemoteUrl::parse(text, from.environment)
    })
}

fn texts<T>(
    reader: &mut Reader<'_>,
    path: &str,
    parse: impl Fn(&str) -> Result<T, Problem>,
) -> Vec<T> {
    let written: Vec<Written> = reader.list(path);
    written
        .iter()
        .filter_map(|written| reader.parse(path, written, &parse))
        .collect()
}

fn time_zone(text: &str) -> Result<TimeZone, Problem> {
    TimeZone::get(text.trim()).map_err(|_| {
        Problem::new(
            format!("`{text}` is no time zone"),
            "write one of the IANA database, such as Europe/Berlin, or UTC",
        )
    })
}

fn image(text: &str) -> Result<ImagePattern, Problem> {
    text.trim().parse().map_err(|error: NotAnImagePattern| {
        Problem::new(
            error.to_string(),
            "write repository:tag, with `*` for any part of it, such as plant/*:latest",
        )
    })
}

fn count(text: &str) -> Result<usize, Problem> {
    text.trim()
        .parse()
        .map_err(|_| Problem::new(format!("`{text}` is no count"), "write a whole number"))
}

fn at_least_one(text: &str) -> Result<usize, Problem> {
    match count(text)? {
        0 => Err(Problem::new(
            "with none at once nothing would ever be downloaded",
            "write at least 1",
        )),
        count => Ok(count),
    }
}

/// The credential helper of the registry of `section`.
pub(super) fn exec(reader: &mut Reader<'_>, section: &str) -> Option<Exec> {
    let path = format!("{section}.exec.command");
    let lifetime = reader
        .value(&format!("{section}.exec.lifetime"), duration::parse)
        .filter(|lifetime| !lifetime.is_zero());
    let command = reader.set(&path)?;
    for other in ["username", "usernamefile"].map(|word| format!("{section}.{word}")) {
        if reader.says(&other) {
            reader.fail(
                command.place.clone(),
                &path,
                format!("{other} is set too, and only one of them can tell the credentials"),
                "remove one of them",
            );
        }
    }
    Some(Exec {
        command: PathBuf::from(command.text),
        lifetime,
    })
}

/// What the registry of `section` is shown.
pub(super) fn client_identity(
    reader: &mut Reader<'_>,
    from: &LoadFrom<'_>,
    section: &str,
) -> Option<ClientIdentity> {
    let certificate_key = format!("{section}.clientcertificate");
    let key_key = format!("{section}.clientkey");
    let certificate = file(reader, from, &certificate_key);
    let key = file(reader, from, &key_key);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(ClientIdentity { certificate, key }),
        (None, None) => None,
        (given, _) => {
            let (path, missing) = if given.is_some() {
                (&certificate_key, &key_key)
            } else {
                (&key_key, &certificate_key)
            };
            if let Some(written) = reader.set(path)
                && !reader.says(missing)
            {
                let advice = format!("set {missing} too");
                reader.fail(written.place, path, "the other half is missing", &advice);
            }
            None
        }
    }
}

fn file(reader: &mut Reader<'_>, from: &LoadFrom<'_>, path: &str) -> Option<PathBuf> {
    let written = reader.set(path)?;
    let file = PathBuf::from(&written.text);
    match (from.read)(&file) {
        Ok(_) => Some(file),
        Err(error) => {
            let what = format!("{} cannot be read: {error}", file.display());
            reader.fail(written.place, path, what, "name a file in PEM form");
            None
        }
    }
}
