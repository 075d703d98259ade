//! Asking for blobs, whole and in part. What comes is checked for being the part that was asked for; whether it is the blob is
//! for its digest to tell, elsewhere.

use cistern_oci::{ByteRange, Digest, RepositoryName, Resource};
use http::Method;
use http::header::{HeaderMap, HeaderValue, RANGE};

use super::answer::ContentRange;
use super::body::require_bare;
use super::redirect::Arrival;
use super::retry::retrying;
use super::send::{Ask, Failure, Shared};
use super::token::Purpose;
use super::{BlobAnswer, BlobHead, Fault, Heard, Part, UpstreamBody, UpstreamError, answer};

/// The size of an empty blob is the only one that may be announced as 0: some registries answer every HEAD that way.
fn is_empty(digest: &Digest) -> bool {
    Digest::of(digest.algorithm(), b"") == *digest
}

/// One pebibyte: larger than anything a disk below us could hold, so that what announces more is no blob.
const MOST_BLOB_BYTES: u64 = 1 << 50;

/// A size that may be true. One that cannot be would be told to callers, and believed.
fn credible(size: Option<u64>) -> Result<Option<u64>, Fault> {
    match size {
        Some(size) if size > MOST_BLOB_BYTES => Err(Fault::Invalid(format!(
            "announced {size} bytes, which no blob has"
        ))),
        size => Ok(size),
    }
}

impl Shared {
    pub(super) async fn head_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
    ) -> Result<BlobHead, UpstreamError> {
        let heard = Heard::default();
        let ask = self.ask_blob(Method::HEAD, of, digest, Part::Whole, &heard);
        let refusal = match retrying(|| self.send(&ask)).await {
            Ok(arrival) => {
                let bare = answer::content_encoding(arrival.headers()).is_none();
                let size = length(&arrival)?.filter(|size| bare && (*size > 0 || is_empty(digest)));
                if size.is_some() {
                    return Ok(BlobHead { size });
                }
                None
            }
            Err(failure) if failure.is_refusal => Some(failure.error),
            Err(failure) => return Err(failure.error),
        };
        match (self.size_by_first_byte(of, digest, &heard).await, refusal) {
            (Ok(size), _) => Ok(BlobHead { size }),
            (Err(error), Some(_)) => Err(error),
            // The HEAD has said that it is there.
            (Err(_), None) => Ok(BlobHead { size: None }),
        }
    }

    /// Asks for one byte and leaves: the answer's head tells the size.
    async fn size_by_first_byte(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        heard: &Heard,
    ) -> Result<Option<u64>, UpstreamError> {
        let first = Part::Range(ByteRange { first: 0, last: 0 });
        let ask = self.ask_blob(Method::GET, of, digest, first, heard);
        match retrying(|| self.send(&ask)).await {
            Ok(arrival) if arrival.status() == 206 => {
                let range = answer::content_range(arrival.headers());
                credible(range.and_then(|range| range.total)).map_err(|fault| arrival.fault(fault))
            }
            Ok(arrival) => {
                require_bare(&arrival)?;
                length(&arrival)
            }
            // An empty blob has no first byte.
            Err(failure) if failure.error.fault == Fault::Status(416) && is_empty(digest) => {
                Ok(Some(0))
            }
            Err(failure) => Err(failure.error),
        }
    }

    pub(super) async fn get_blob(
        &self,
        of: &RepositoryName,
        digest: &Digest,
        part: Part,
    ) -> Result<BlobAnswer, UpstreamError> {
        let heard = Heard::default();
        let ask = self.ask_blob(Method::GET, of, digest, part, &heard);
        let arrival = retrying(|| self.send(&ask))
            .await
            .map_err(|failure: Failure| failure.error)?;
        let length = length(&arrival)?;
        if arrival.status() == 200 {
            // Some stores label layers, which are archives anyway, as compressed. The bytes on the wire are the blob or they are
            // not: the digest tells, whatever the label says.
            return Ok(BlobAnswer {
                first: 0,
                size: length.filter(|size| *size > 0 || is_empty(digest)),
                body: self.body(arrival, None),
            });
        }
        require_bare(&arrival)?;
        let range = answer::content_range(arrival.headers());
        let (first, part_length, size) =
            check_part(range, part).map_err(|why| arrival.fault(Fault::Invalid(why)))?;
        if length.is_some_and(|length| length != part_length) {
            return Err(arrival.fault(Fault::Invalid(
                "its Content-Length and Content-Range differ".to_owned(),
            )));
        }
        Ok(BlobAnswer {
            first,
            size,
            body: self.body(arrival, Some(part_length)),
        })
    }

    fn body(&self, arrival: Arrival, length: Option<u64>) -> UpstreamBody {
        UpstreamBody::new(arrival, length, self.idle(), self.budget.clone())
    }

    fn ask_blob<'a>(
        &self,
        method: Method,
        of: &'a RepositoryName,
        digest: &Digest,
        part: Part,
        heard: &'a Heard,
    ) -> Ask<'a> {
        let range = match part {
            Part::Whole | Part::From(0) => None,
            Part::From(first) => Some(format!("bytes={first}-")),
            Part::Range(range) => Some(format!("bytes={range}")),
        };
        let value = range.and_then(|range| HeaderValue::try_from(range).ok());
        Ask {
            // Some registries answer 401 to every HEAD of a blob, whatever the token. The question for the first byte
            // that follows gets a new one if it needs it.
            may_renew: method != Method::HEAD,
            method,
            url: self.address.of(of, Resource::Blob(*digest)),
            repository: of,
            purpose: Purpose::Pull,
            is_of_blob: true,
            may_leave: true,
            headers: value
                .map(|value| (RANGE, value))
                .into_iter()
                .collect::<HeaderMap>(),
            heard,
        }
    }
}

/// The announced length of an answer about a blob.
fn length(arrival: &Arrival) -> Result<Option<u64>, UpstreamError> {
    credible(answer::content_length(arrival.headers())).map_err(|fault| arrival.fault(fault))
}

/// The first byte and the length of a part and the size of the whole, if the part is the one asked for.
fn check_part(range: Option<ContentRange>, part: Part) -> Result<(u64, u64, Option<u64>), String> {
    let range = range.ok_or("answered 206 without one readable Content-Range")?;
    let (first, last) = range
        .bytes
        .ok_or("answered 206 without saying which bytes it sends")?;
    let (wanted_first, wanted_last) = match part {
        Part::Whole => (0, None),
        Part::From(first) => (first, None),
        Part::Range(range) => (range.first, Some(range.last)),
    };
    if first != wanted_first {
        return Err(format!(
            "sent bytes from {first} where {wanted_first} was asked for"
        ));
    }
    if wanted_last.is_some_and(|wanted| last > wanted) {
        return Err(format!("sent bytes up to {last}, more than was asked for"));
    }
    let length = last
        .checked_sub(first)
        .and_then(|length| length.checked_add(1))
        .filter(|_| range.total.unwrap_or(last) <= MOST_BLOB_BYTES)
        .ok_or("sent a Content-Range of more bytes than any blob has")?;
    let ends_the_blob = last
        .checked_add(1)
        .is_some_and(|end| range.total == Some(end));
    let is_short = |wanted| last < wanted && !ends_the_blob;
    if wanted_last.is_some_and(is_short) {
        return Err(format!(
            "sent bytes up to {last} only, less than was asked for"
        ));
    }
    Ok((first, length, range.total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_taken_only_if_it_is_the_one_asked_for() {
        let range = |first, last, total| {
            Some(ContentRange {
                bytes: Some((first, last)),
                total,
            })
        };
        assert_eq!(
            check_part(range(5, 9, Some(10)), Part::From(5)),
            Ok((5, 5, Some(10)))
        );
        assert_eq!(
            check_part(range(5, 9, None), Part::From(5)),
            Ok((5, 5, None))
        );
        assert!(check_part(range(4, 9, Some(10)), Part::From(5)).is_err());
        let asked = Part::Range(ByteRange { first: 2, last: 4 });
        assert_eq!(
            check_part(range(2, 4, Some(10)), asked),
            Ok((2, 3, Some(10)))
        );
        assert!(check_part(range(2, 5, Some(10)), asked).is_err());
        assert!(check_part(range(2, 3, Some(10)), asked).is_err());
        assert!(check_part(range(2, 3, None), asked).is_err());
        let at_the_end = check_part(range(2, 3, Some(4)), asked);
        assert_eq!(at_the_end, Ok((2, 2, Some(4))));
        assert!(check_part(None, asked).is_err());
        assert!(
            check_part(
                Some(ContentRange {
                    bytes: None,
                    total: Some(10)
                }),
                asked
            )
            .is_err()
        );
    }

    #[test]
    fn a_part_of_impossible_size_is_refused_and_counts_nothing_over() {
        for (first, last, total) in [
            (0, u64::MAX, None),
            (0, u64::MAX - 1, Some(u64::MAX)),
            (0, 1 << 60, None),
            (0, 9, Some(1 << 60)),
        ] {
            let range = ContentRange {
                bytes: Some((first, last)),
                total,
            };
            for part in [
                Part::Whole,
                Part::Range(ByteRange {
                    first: 0,
                    last: u64::MAX,
                }),
            ] {
                assert!(check_part(Some(range), part).is_err(), "{range:?}");
            }
        }
    }

    #[test]
    fn only_the_digest_of_nothing_is_empty() {
        assert!(is_empty(&Digest::of(cistern_oci::Algorithm::Sha512, b"")));
        assert!(!is_empty(&Digest::of(cistern_oci::Algorithm::Sha256, b"x")));
    }
}
