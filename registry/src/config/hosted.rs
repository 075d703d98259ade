//! `hosted`: which repositories live here beside the mirrored ones, and who may write to them.

use ipnet::IpNet;

use super::network;
use super::reader::{Problem, Reader, Written, flag};
use super::{HtpasswdFile, Http, Proxy};
use crate::repositories::NamePattern;

/// The section `hosted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hosted {
    /// `hosted.repositories`: which repositories live here. Without an upstream all of them do, whatever is here.
    pub repositories: Vec<NamePattern>,
    /// `hosted.writefrom`: where writers must be. None: nothing was said; an empty list: nobody writes.
    pub write_from: Option<Vec<IpNet>>,
    /// `hosted.incomplete`: manifests whose blobs are not here are taken too.
    pub incomplete: bool,
}

const REPOSITORIES: &str = "hosted.repositories";
const WRITE_FROM: &str = "hosted.writefrom";

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Hosted> {
    let written: Vec<Written> = reader.list(REPOSITORIES);
    let repositories = written
        .iter()
        .filter_map(|written| reader.parse(REPOSITORIES, written, pattern))
        .collect();
    let write_from = reader
        .says(WRITE_FROM)
        .then(|| network::list(reader, WRITE_FROM));
    let incomplete = reader.value("hosted.incomplete", flag);
    Some(Hosted {
        repositories,
        write_from,
        incomplete: incomplete?,
    })
}

fn pattern(text: &str) -> Result<NamePattern, Problem> {
    text.parse()
        .map_err(|error: crate::repositories::NotAPattern| {
            Problem::new(
                error.to_string(),
                "write a repository's name, with `*` for any part of it, such as local/*",
            )
        })
}

/// Settings that are valid and still likely not meant, seen together with who may come in and where the rest comes from.
pub(super) fn doubts(
    reader: &mut Reader<'_>,
    hosted: &Hosted,
    proxy: &Proxy,
    http: &Http,
    auth: Option<&HtpasswdFile>,
) {
    let _ = (hosted, proxy, http, auth, reader);
}
