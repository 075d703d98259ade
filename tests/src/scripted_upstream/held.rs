//! What the upstream holds, and what a correct registry answers from it.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use serde_json::json;

use super::record::Request;
use crate::images::{Image, Item};

/// How the `Link` of a page of tags looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkStyle {
    /// `</v2/NAME/tags/list?last=…&n=…>; rel="next"`
    Relative,
    /// The same with scheme and host.
    Absolute,
    /// `?next_page=` and a cursor that only the upstream can read.
    Opaque,
    /// `<list?last=…>`, relative to the request's own path.
    PathRelative,
    /// The same page again and again.
    Loop,
}

#[derive(Default)]
pub(super) struct Held {
    repositories: HashMap<String, Repository>,
    files: HashMap<String, Item>,
    pages: Option<(usize, LinkStyle)>,
}

#[derive(Default)]
struct Repository {
    manifests: HashMap<String, Item>,
    blobs: HashMap<String, Item>,
    tags: BTreeMap<String, String>,
}

/// An answer's status, headers and body, before anything is done to it.
pub(super) struct Found {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Bytes,
    /// Whether ranges of it may be asked for.
    pub(super) ranged: bool,
}

impl Found {
    pub(super) fn fixed(status: u16, body: Bytes) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body,
            ranged: false,
        }
    }

    fn json(status: u16, body: &serde_json::Value) -> Self {
        let mut found = Self::fixed(status, body.to_string().into());
        found.set("Content-Type", "application/json");
        found
    }

    fn error(code: &str, message: &str) -> Self {
        Self::json(
            404,
            &json!({ "errors": [{ "code": code, "message": message, "detail": null }] }),
        )
    }

    fn item(item: &Item) -> Self {
        let mut found = Self::fixed(200, item.bytes.clone());
        found.set("Content-Type", &item.media_type);
        found.set("Docker-Content-Digest", &item.digest);
        found.set("Etag", &format!("\"{}\"", item.digest));
        found
    }

    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case(name));
    }
}

impl Held {
    pub(super) fn put(&mut self, image: &Image, repository: &str, tags: &[&str]) {
        let held = self.repositories.entry(repository.to_owned()).or_default();
        held.manifests.extend(
            image
                .manifests
                .iter()
                .map(|item| (item.digest.clone(), item.clone())),
        );
        held.blobs.extend(
            image
                .blobs
                .iter()
                .map(|item| (item.digest.clone(), item.clone())),
        );
        held.tags.extend(
            tags.iter()
                .map(|tag| ((*tag).to_owned(), image.digest().to_owned())),
        );
    }

    pub(super) fn put_blob(&mut self, blob: &Item, repository: &str) {
        let held = self.repositories.entry(repository.to_owned()).or_default();
        held.blobs.insert(blob.digest.clone(), blob.clone());
    }

    pub(super) fn put_file(&mut self, path: &str, file: Item) {
        self.files.insert(path.to_owned(), file);
    }

    pub(super) fn set_tag(&mut self, repository: &str, tag: &str, digest: Option<&str>) {
        let tags = &mut self
            .repositories
            .entry(repository.to_owned())
            .or_default()
            .tags;
        match digest {
            Some(digest) => tags.insert(tag.to_owned(), digest.to_owned()),
            None => tags.remove(tag),
        };
    }

    pub(super) fn forget(&mut self, repository: &str, digest: &str) {
        if let Some(held) = self.repositories.get_mut(repository) {
            held.manifests.remove(digest);
            held.blobs.remove(digest);
        }
    }

    pub(super) fn page_tags(&mut self, size: usize, link: LinkStyle) {
        self.pages = Some((size, link));
    }

    pub(super) fn blob(&self, repository: &str, digest: &str) -> Option<&Item> {
        self.repositories.get(repository)?.blobs.get(digest)
    }

    pub(super) fn find(&self, request: &Request) -> Found {
        if !matches!(request.method.as_str(), "GET" | "HEAD") {
            return Found::json(
                405,
                &json!({ "errors": [{ "code": "UNSUPPORTED", "message": "read-only" }] }),
            );
        }
        let mut found = self.look_up(request);
        found.set("Docker-Distribution-Api-Version", "registry/2.0");
        let etag = found
            .headers
            .iter()
            .find(|(name, _)| name == "Etag")
            .map(|(_, value)| value.as_str());
        if etag.is_some() && request.header("If-None-Match") == etag {
            return Found::fixed(304, Bytes::new());
        }
        found
    }

    fn look_up(&self, request: &Request) -> Found {
        if let Some(file) = self.files.get(&request.path) {
            return Found {
                ranged: true,
                ..Found::item(file)
            };
        }
        if request.path == "/v2/" || request.path == "/v2" {
            return Found::json(200, &json!({}));
        }
        let Some(name) = request.repository() else {
            return Found::error("NAME_UNKNOWN", "no such page");
        };
        let rest = &request.path["/v2/".len() + name.len() + 1..];
        let Some(repository) = self.repositories.get(name) else {
            let code = if rest.starts_with("manifests") {
                "MANIFEST_UNKNOWN"
            } else {
                "NAME_UNKNOWN"
            };
            return Found::error(code, "repository name not known to registry");
        };
        match rest.split_once('/') {
            Some(("manifests", reference)) => repository.manifest(reference),
            Some(("blobs", digest)) => repository.blob(digest),
            Some(("tags", "list")) => self.tags(name, repository, request),
            _ => Found::error("UNSUPPORTED", "not here"),
        }
    }

    fn tags(&self, name: &str, repository: &Repository, request: &Request) -> Found {
        let (most, link) = self.pages.unwrap_or((usize::MAX, LinkStyle::Relative));
        let asked = request
            .parameter("n")
            .and_then(|number| number.parse().ok())
            .unwrap_or(usize::MAX);
        let size = most.min(asked);
        let cursor = request
            .parameter("next_page")
            .and_then(|cursor| cursor.strip_prefix("opaque-").map(str::to_owned));
        let last = cursor
            .or_else(|| request.parameter("last"))
            .filter(|_| link != LinkStyle::Loop);
        let after = |tag: &&String| last.as_ref().is_none_or(|last| *tag > last);
        let tags: Vec<_> = repository.tags.keys().filter(after).collect();
        let more = tags.len() > size;
        let page = &tags[..size.min(tags.len())];
        let mut found = Found::json(200, &json!({ "name": name, "tags": page }));
        if let Some(last) = page.last().filter(|_| more) {
            let host = request.header("Host").unwrap_or_default();
            let target = match link {
                LinkStyle::Relative => format!("/v2/{name}/tags/list?last={last}&n={size}"),
                LinkStyle::Absolute => {
                    format!("http://{host}/v2/{name}/tags/list?last={last}&n={size}")
                }
                LinkStyle::Opaque => {
                    format!("/v2/{name}/tags/list?n={size}&next_page=opaque-{last}")
                }
                LinkStyle::PathRelative => format!("list?last={last}"),
                LinkStyle::Loop => format!("/v2/{name}/tags/list?n={size}"),
            };
            found.set("Link", &format!("<{target}>; rel=\"next\""));
        }
        found
    }
}

impl Repository {
    fn manifest(&self, reference: &str) -> Found {
        let digest = if reference.contains(':') {
            Some(reference)
        } else {
            self.tags.get(reference).map(String::as_str)
        };
        match digest.and_then(|digest| self.manifests.get(digest)) {
            Some(item) => Found::item(item),
            None => Found::error("MANIFEST_UNKNOWN", "manifest unknown"),
        }
    }

    fn blob(&self, digest: &str) -> Found {
        let Some(item) = self.blobs.get(digest) else {
            return Found::error("BLOB_UNKNOWN", "blob unknown to registry");
        };
        let mut found = Found {
            ranged: true,
            ..Found::item(item)
        };
        found.set("Content-Type", "application/octet-stream");
        found.set("Accept-Ranges", "bytes");
        found
    }
}
