//! Asking for manifests. Our own complete list of types goes with every question, whatever a caller accepts, so that one tag
//! has one answer.

use bytes::Bytes;
use cistern_oci::{
    Digest, MANIFEST_ACCEPT, MANIFEST_SIZE_LIMIT, Manifest, Reference, RepositoryName, Resource,
};
use http::Method;
use http::header::{ACCEPT, HeaderMap, HeaderValue};

use super::body::{read_all, require_bare};
use super::redirect::Arrival;
use super::retry::retrying;
use super::send::{Ask, Failure, Shared};
use super::token::Purpose;
use super::{Fault, FetchedManifest, Heard, ManifestHead, UpstreamBody, UpstreamError, answer};

impl Shared {
    pub(super) async fn head_manifest(
        &self,
        of: &RepositoryName,
        which: &Reference,
        heard: &Heard,
    ) -> Result<ManifestHead, UpstreamError> {
        let ask = self.ask_manifest(Method::HEAD, of, which, heard);
        match retrying(|| self.send(&ask)).await {
            Ok(arrival) => {
                if let Some(digest) = answer::content_digest(arrival.headers()) {
                    return Ok(ManifestHead {
                        digest: Some(digest),
                        manifest: None,
                        unconfirmed: answer::unconfirmed(arrival.headers()),
                    });
                }
            }
            Err(failure) if failure.is_refusal => {}
            Err(failure) => return Err(failure.error),
        }
        let fetched = self.get_manifest(of, which, heard).await?;
        Ok(ManifestHead {
            digest: Some(fetched.manifest.digest),
            manifest: Some(fetched.manifest),
            unconfirmed: fetched.unconfirmed,
        })
    }

    pub(super) async fn get_manifest(
        &self,
        of: &RepositoryName,
        which: &Reference,
        heard: &Heard,
    ) -> Result<FetchedManifest, UpstreamError> {
        let (fetched, named) = self.get_named(of, which, heard).await?;
        let differing = named.filter(|named| *named != fetched.manifest.digest);
        match (which, differing) {
            (Reference::Tag(_), Some(named)) => self.either(of, fetched, named, heard).await,
            (Reference::Tag(_), None) | (Reference::Digest(_), _) => Ok(fetched),
        }
    }

    /// The answer to a tag whose digest header names other bytes than came: the header is wrong, as some upstreams' are, or the
    /// bytes are. Asking by the named digest tells which. Only where the upstream does not know it, the bytes are believed.
    async fn either(
        &self,
        of: &RepositoryName,
        came: FetchedManifest,
        named: Digest,
        heard: &Heard,
    ) -> Result<FetchedManifest, UpstreamError> {
        let by_digest = Reference::Digest(named);
        let ask = self.ask_manifest(Method::GET, of, &by_digest, heard);
        match retrying(|| self.fetch_manifest(&ask, &by_digest)).await {
            Ok((fetched, _)) => Ok(fetched),
            Err(failure)
                if failure.is_refusal || matches!(failure.error.fault, Fault::NotFound(_)) =>
            {
                Ok(came)
            }
            Err(failure) => Err(failure.error),
        }
    }

    /// A manifest, and the digest that its answer names.
    async fn get_named(
        &self,
        of: &RepositoryName,
        which: &Reference,
        heard: &Heard,
    ) -> Result<(FetchedManifest, Option<Digest>), UpstreamError> {
        let ask = self.ask_manifest(Method::GET, of, which, heard);
        retrying(|| self.fetch_manifest(&ask, which))
            .await
            .map_err(|failure| failure.error)
    }

    fn ask_manifest<'a>(
        &self,
        method: Method,
        of: &'a RepositoryName,
        which: &Reference,
        heard: &'a Heard,
    ) -> Ask<'a> {
        Ask {
            method,
            url: self.address.of(of, Resource::Manifest(which.clone())),
            repository: of,
            purpose: Purpose::Pull,
            headers: HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(MANIFEST_ACCEPT))]),
            is_of_blob: false,
            may_leave: true,
            may_renew: true,
            heard,
        }
    }

    /// A manifest that breaks on its way is asked for again like one that never came: nobody has seen any of it.
    async fn fetch_manifest(
        &self,
        ask: &Ask<'_>,
        which: &Reference,
    ) -> Result<(FetchedManifest, Option<Digest>), Failure> {
        let arrival = self.send(ask).await?;
        self.read_manifest(arrival, which)
            .await
            .map_err(Failure::of)
    }

    async fn read_manifest(
        &self,
        arrival: Arrival,
        which: &Reference,
    ) -> Result<(FetchedManifest, Option<Digest>), UpstreamError> {
        require_bare(&arrival)?;
        let too_large = answer::content_length(arrival.headers())
            .is_some_and(|length| length > MANIFEST_SIZE_LIMIT);
        if too_large {
            let what = format!("announced a manifest of more than {MANIFEST_SIZE_LIMIT} bytes");
            return Err(arrival.fault(Fault::Invalid(what)));
        }
        let named = answer::content_digest(arrival.headers());
        let unconfirmed = answer::unconfirmed(arrival.headers());
        let content_type = answer::content_type(arrival.headers()).map(str::to_owned);
        let mut refused = arrival.fault(Fault::Invalid(String::new()));
        let body = UpstreamBody::new(arrival, None, self.idle(), self.budget.clone());
        let bytes = read_all(body, MANIFEST_SIZE_LIMIT).await?;
        let content_type = content_type.as_deref();
        let manifest = match which {
            Reference::Digest(digest) => {
                Manifest::by_digest(*digest, content_type, bytes).map_err(|wrong| wrong.to_string())
            }
            Reference::Tag(_) if !is_json_object(&bytes) => Err(
                "answered something that is no manifest, as a login page on the way would"
                    .to_owned(),
            ),
            Reference::Tag(_) => Ok(Manifest::by_tag(named.as_ref(), content_type, bytes)),
        };
        match manifest {
            Ok(manifest) => {
                let fetched = FetchedManifest {
                    manifest,
                    unconfirmed,
                };
                Ok((fetched, named))
            }
            Err(why) => {
                refused.fault = Fault::Invalid(why);
                Err(refused)
            }
        }
    }
}

/// All that is asked of a tag's manifest: what it must say inside is not for us to judge.
fn is_json_object(bytes: &Bytes) -> bool {
    let opens = bytes.trim_ascii_start().first() == Some(&b'{');
    opens && serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}
