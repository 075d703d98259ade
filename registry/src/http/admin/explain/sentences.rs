//! The sentences of the page: for the person who was told "image not found" and has to find out why.

use std::borrow::Cow;
use std::fmt::Write as _;

use cistern_oci::{Digest, Reference};

use super::super::about::written as written_time;
use super::super::words::{bytes, counted, lasting};
use super::{ApiError, Asked};
use crate::pull::{ClosureManifest, KnownTag, LinkState, Outlook, PullError};
use crate::repositories::Repository;

impl Asked<'_> {
    /// What a child that asks now would get, and why.
    pub(super) fn answer(&self) -> Vec<String> {
        let mut said = vec![self.manifest_sentence()];
        said.extend(self.host_sentence());
        said.extend(self.platform_sentences());
        said
    }

    fn upstream_host(&self) -> &str {
        match &self.repository {
            Repository::Hosted(_) => "nobody",
            Repository::Mirror(mirror) => mirror.upstream.host(),
        }
    }

    fn manifest_sentence(&self) -> String {
        let image = self.named();
        let host = self.upstream_host();
        let tag = self.explanation.tag.as_ref();
        let digest = self
            .explanation
            .digest
            .map_or_else(String::new, |digest| short(&digest));
        match &self.explanation.outlook {
            Outlook::FromHere => format!(
                "A child that asks for {image} now gets {digest} from here at once: {}.",
                self.why_from_here()
            ),
            Outlook::Unconfirmed(error) => format!(
                "A child that asks for {image} now gets {digest} from here at once, marked as unconfirmed (`Warning: 299`), because \
                 {}.",
                because(error, host)
            ),
            Outlook::AskedFirst => format!(
                "For a child that asks for {image} now {host} is asked first whether the tag still means {digest}; if it is silent, \
                 broken or away, {digest} is served from here, marked as unconfirmed (`Warning: 299`)."
            ),
            Outlook::Fetched if tag.is_some_and(|tag| tag.is_strict) => format!(
                "For a child that asks for {image} now {host} is asked whether the tag still means {digest}; if it cannot say, the \
                 child is told 503, because the tag is in proxy.strict."
            ),
            Outlook::Fetched if self.link_state() == LinkState::Offline => format!(
                "For a child that asks for {image} now {host} is asked although it cannot be reached, since nothing is here that \
                 could be served instead: as long as that is so, the child is told 503 within half a minute, and should ask again."
            ),
            Outlook::Fetched => format!(
                "For a child that asks for {image} now {host} is asked, and the child gets what it answers: nothing is here that \
                 could be served instead."
            ),
            Outlook::Refused(error) => self.refusal(error),
        }
    }

    fn why_from_here(&self) -> String {
        let host = self.upstream_host();
        match (&self.repository, &self.explanation.tag) {
            (Repository::Hosted(_), _) => {
                "the repository lives here, and nobody else is asked for it".to_owned()
            }
            (Repository::Mirror(_), None) => {
                format!("what a digest names never changes, so {host} is not asked")
            }
            (Repository::Mirror(_), Some(tag)) => {
                let ago = tag.confirmed_ago.unwrap_or_default();
                format!(
                    "{host} confirmed the tag {} ago, and is not asked again for another {} (proxy.checkevery)",
                    lasting(ago),
                    lasting(tag.check_every.saturating_sub(ago))
                )
            }
        }
    }

    fn refusal(&self, error: &PullError) -> String {
        let image = self.named();
        let refusal = ApiError::from(error.clone());
        let sentence = format!(
            "A child that asks for {image} now is told {}: {}.",
            refusal.status.as_u16(),
            refusal.message
        );
        match &self.explanation.tag {
            Some(tag) if tag.is_strict && self.explanation.digest.is_some() => format!(
                "{sentence} What is here is not served unconfirmed, because the tag is in proxy.strict."
            ),
            _ => sentence,
        }
    }

    /// Of a host in the image's name: whom it may mean.
    fn host_sentence(&self) -> Option<String> {
        let named = self.image.host.as_ref()?;
        let refused = !self.http.repositories.knows(named, None);
        refused.then(|| {
            format!(
                "{named} is taken for a name of this cache. A client that is sent here as to a mirror of {named} (it adds \
                 `ns={named}`) is told 404: the mirrored registry is {}; other names for it go into proxy.aliases.",
                self.upstream_host()
            )
        })
    }

    fn platform_sentences(&self) -> Vec<String> {
        let explanation = &self.explanation;
        let manifests = &explanation.manifests;
        if explanation.digest.is_some()
            && manifests.is_empty()
            && let Some(wanted) = &self.wanted
        {
            return vec![format!(
                "The list of {} names no image for {wanted}.",
                self.named()
            )];
        }
        let here: Vec<_> = manifests
            .iter()
            .filter(|manifest| manifest.is_here)
            .collect();
        let missing = manifests.len() - here.len();
        let mut said: Vec<_> = here
            .into_iter()
            .map(|manifest| self.blobs_sentence(manifest))
            .collect();
        if missing > 0 {
            said.push(format!(
                "{} of its list {} not here; no child has asked for {} yet.",
                counted(missing, "platform"),
                if missing == 1 { "is" } else { "are" },
                if missing == 1 { "it" } else { "them" },
            ));
        }
        said
    }

    fn blobs_sentence(&self, manifest: &ClosureManifest) -> String {
        let of = match &manifest.platform {
            Some(platform) => format!("Of {platform}"),
            None => "Of the image".to_owned(),
        };
        let all: u64 = manifest.blobs.iter().map(|blob| blob.size).sum();
        let lacking: Vec<_> = manifest.blobs.iter().filter(|blob| !blob.is_here).collect();
        if lacking.is_empty() {
            let blobs = counted(manifest.blobs.len(), "blob");
            return format!("{of} everything is here: {blobs}, {}.", bytes(all));
        }
        let to_come: u64 = lacking
            .iter()
            .map(|blob| {
                let here = blob.bytes_here();
                blob.size.saturating_sub(here)
            })
            .sum();
        format!(
            "{of} {} of {} are not all here: {} of {} are to come{}.",
            lacking.len(),
            counted(manifest.blobs.len(), "blob"),
            bytes(to_come),
            bytes(all),
            self.how_they_come()
        )
    }

    fn how_they_come(&self) -> String {
        let host = self.upstream_host();
        match (&self.repository, self.link_state()) {
            (Repository::Hosted(_), _) => ", and only a push can bring them".to_owned(),
            (Repository::Mirror(_), LinkState::Offline) => format!(
                " from {host}, which cannot be reached: a child that asks for them waits, and then is told 503 or is cut"
            ),
            (Repository::Mirror(_), LinkState::Degraded) => format!(
                " from {host}, which did not answer as it should when it was last asked, when a child asks for them"
            ),
            (Repository::Mirror(_), LinkState::Online) => {
                format!(" from {host} when a child asks for them")
            }
        }
    }

    fn link_state(&self) -> LinkState {
        let link = self.explanation.link.as_ref();
        link.map_or(LinkState::Online, |link| link.state)
    }

    /// What the upstream said last, and when.
    pub(super) fn upstream_said(&self) -> Vec<String> {
        if matches!(self.repository, Repository::Hosted(_)) {
            return Vec::new();
        }
        let mut said = vec![self.link_sentence()];
        match &self.explanation.tag {
            Some(tag) => said.extend(self.tag_sentences(tag)),
            None if matches!(self.image.reference, Reference::Tag(_)) => said.push(format!(
                "{} has never named a manifest for this tag here.",
                self.upstream_host()
            )),
            None => {}
        }
        for (reference, asked) in &self.explanation.refusals {
            said.push(format!(
                "{} was asked for `{reference}` {} ago: {}. That is remembered for a while.",
                asked.error.host,
                lasting(asked.ago),
                asked.error.fault
            ));
        }
        said
    }

    fn link_sentence(&self) -> String {
        let host = self.upstream_host();
        let Some(link) = &self.explanation.link else {
            return format!("Nothing is known of the link to {host} yet.");
        };
        let mut said = format!(
            "The link to {host} is {} since {} ({}).",
            link.state.as_str(),
            written_time(link.since),
            lasting(self.http.about.since(link.since))
        );
        if let Some(error) = &link.last_error {
            let _ = write!(said, " What went wrong last: {error}.");
        }
        if link.credentials_refused {
            said.push_str(" It refused the credentials of proxy.username and proxy.password.");
        }
        if let Some(pause) = link.paused_for {
            let _ = write!(
                said,
                " It had too many requests, and is left alone for another {}.",
                lasting(pause)
            );
        }
        said
    }

    fn tag_sentences(&self, tag: &KnownTag) -> Vec<String> {
        let host = self.upstream_host();
        let now = match &self.repository {
            Repository::Hosted(_) => Cow::Borrowed(host),
            Repository::Mirror(mirror) => mirror.source(),
        };
        let digest = short(&tag.digest);
        let mut said = vec![match tag.confirmed_ago {
            Some(ago) => format!(
                "{} said last at {} ({} ago) that the tag means {digest}.",
                tag.source.as_deref().unwrap_or(host),
                self.http.about.before(ago),
                lasting(ago)
            ),
            None => format!(
                "The tag means {digest} here; when that was confirmed is not known, so {host} is asked before it counts."
            ),
        }];
        if let Some(source) = tag.source.as_deref().filter(|source| *source != now) {
            said.push(format!(
                "That was before proxy.remoteurl or a route was changed from {source} to {now}, so it counts as unconfirmed."
            ));
        }
        if let Some(stale) = &tag.stale {
            said.push(format!(
                "It is served unconfirmed since {} ({}): {}.",
                written_time(stale.since),
                lasting(self.http.about.since(stale.since)),
                stale.why
            ));
        }
        said
    }
}

/// Why something is served unconfirmed.
fn because(error: &PullError, host: &str) -> String {
    match error {
        PullError::StillFetching => format!("{host} did not answer in time"),
        other => ApiError::from(other.clone()).message,
    }
}

/// A digest as people compare them.
fn short(digest: &Digest) -> String {
    let hex: String = digest.hex().chars().take(12).collect();
    format!("{}:{hex}…", digest.algorithm())
}
