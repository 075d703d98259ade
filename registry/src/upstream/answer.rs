//! Reading the heads of answers. Everything tolerant about upstream headers is here; what is not understood is absent.

use std::time::{Duration, SystemTime};

use cistern_oci::Digest;
use futures_util::StreamExt as _;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, DATE, HeaderMap,
    HeaderName, LINK, RETRY_AFTER, VIA, WARNING, WWW_AUTHENTICATE,
};

use cistern_auth::outgoing::Challenge;

use super::{Fault, Unconfirmed};
use crate::chain;

/// `Docker-Content-Digest`.
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");

/// A `Content-Range` of one part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ContentRange {
    /// First and last byte; absent in `bytes */N`.
    pub(super) bytes: Option<(u64, u64)>,
    /// The size of the whole; absent in `bytes a-b/*`.
    pub(super) total: Option<u64>,
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A number of decimal digits only: signs, spaces and more than fits are no number.
fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

/// The announced length of the body, also in the answer to a HEAD.
pub(super) fn content_length(headers: &HeaderMap) -> Option<u64> {
    number(text(headers, CONTENT_LENGTH)?)
}

pub(super) fn content_type(headers: &HeaderMap) -> Option<&str> {
    text(headers, CONTENT_TYPE)
}

/// The digest the upstream claims, if it is one.
pub(super) fn content_digest(headers: &HeaderMap) -> Option<Digest> {
    text(headers, CONTENT_DIGEST)?.parse().ok()
}

/// The encoding of the body, where it is not its bare bytes.
pub(super) fn content_encoding(headers: &HeaderMap) -> Option<&str> {
    text(headers, CONTENT_ENCODING)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("identity"))
}

/// The one `Content-Range` of an answer; none if there are several.
pub(super) fn content_range(headers: &HeaderMap) -> Option<ContentRange> {
    let mut fields = headers.get_all(CONTENT_RANGE).iter();
    let field = fields.next()?.to_str().ok()?.trim();
    if fields.next().is_some() {
        return None;
    }
    let (unit, rest) = field.split_once([' ', '='])?;
    let (bytes, total) = rest.trim().split_once('/')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let total = number(total.trim()).filter(|_| total.trim() != "*");
    if bytes.trim() == "*" {
        return Some(ContentRange { bytes: None, total });
    }
    let (first, last) = bytes.split_once('-')?;
    let (first, last) = (number(first.trim())?, number(last.trim())?);
    let sound = first <= last && total.is_none_or(|total| last < total);
    sound.then_some(ContentRange {
        bytes: Some((first, last)),
        total,
    })
}

/// The server's clock when it answered.
pub(super) fn date(headers: &HeaderMap) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, DATE)?).ok()
}

/// Nobody means more than a day, and more than the clock can count would be an error of ours.
const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// How long to wait: seconds, or a date compared with the same server's clock. A date in the past means no wait.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER)?;
    if let Some(seconds) = number(value) {
        return Some(Duration::from_secs(seconds).min(LONGEST_WAIT));
    }
    let until = httpdate::parse_http_date(value).ok()?;
    let wait = until.duration_since(date(headers)?).unwrap_or_default();
    Some(wait.min(LONGEST_WAIT))
}

/// What a 503 means: it may say when to come back.
pub(super) fn unavailable(headers: &HeaderMap) -> Fault {
    match retry_after(headers) {
        Some(retry_after) => Fault::Unavailable { retry_after },
        None => Fault::Status(503),
    }
}

/// Whether the answer has been through a Cistern.
pub(super) fn is_from_cistern(headers: &HeaderMap) -> bool {
    headers.contains_key(VIA) && chain::names_a_cistern(texts(headers, VIA))
}

/// Whether a cache above says that it could not confirm this. A Cistern has one warning only, and is known by its words where
/// something on the way has taken its name off; of others 299 may say anything, and 110 is RFC 7234's word for it.
pub(super) fn unconfirmed(headers: &HeaderMap) -> Option<Unconfirmed> {
    let is_cistern = is_from_cistern(headers);
    let says_so = |warning: &str| {
        let is = |code| warning.split_ascii_whitespace().next() == Some(code);
        is("110") || (is("299") && (is_cistern || warning == chain::STALE))
    };
    texts(headers, WARNING)
        .any(|warning| says_so(warning.trim()))
        .then(|| Unconfirmed {
            age: text(headers, AGE).and_then(number).map(Duration::from_secs),
        })
}

fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let fields = headers.get_all(name).iter();
    fields.filter_map(|field| field.to_str().ok())
}

/// All challenges of all `WWW-Authenticate` fields.
pub(super) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let fields = headers.get_all(WWW_AUTHENTICATE).iter();
    fields
        .flat_map(|field| Challenge::parse_all(&String::from_utf8_lossy(field.as_bytes())))
        .collect()
}

/// The address of the next page, as it was written.
pub(super) fn next_link(headers: &HeaderMap) -> Option<String> {
    let fields = headers
        .get_all(LINK)
        .iter()
        .filter_map(|field| std::str::from_utf8(field.as_bytes()).ok());
    fields
        .flat_map(links)
        .find_map(|(target, parameters)| is_next(parameters).then(|| target.to_owned()))
}

/// The links of one field: what stands between the angle brackets, and what follows up to the next opening one.
fn links(field: &str) -> impl Iterator<Item = (&str, &str)> {
    field
        .split('<')
        .skip(1)
        .filter_map(|link| link.split_once('>'))
}

fn is_next(parameters: &str) -> bool {
    parameters
        .split([';', ','])
        .filter_map(|parameter| parameter.split_once('='))
        .any(|(name, value)| {
            let relations = value.trim().trim_matches('"');
            name.trim().eq_ignore_ascii_case("rel")
                && relations
                    .split_ascii_whitespace()
                    .any(|relation| relation.eq_ignore_ascii_case("next"))
        })
}

/// Reads a small rest of an answer nobody wants, so that its connection can be used again; a large or slow one is not
/// worth it.
pub(super) async fn drain(response: reqwest::Response) {
    const WORTH: u64 = 16 * 1024;
    if content_length(response.headers()).is_none_or(|length| length > WORTH) {
        return;
    }
    let mut rest = response.bytes_stream();
    let all = async { while let Some(Ok(_)) = rest.next().await {} };
    let _ = tokio::time::timeout(Duration::from_millis(500), all).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        fields
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn content_ranges_are_read_strictly() {
        let read = |value| content_range(&headers(&[("content-range", value)]));
        let one = |first, last, total| {
            Some(ContentRange {
                bytes: Some((first, last)),
                total,
            })
        };
        assert_eq!(read("bytes 0-99/100"), one(0, 99, Some(100)));
        assert_eq!(read("Bytes 5-9/*"), one(5, 9, None));
        assert_eq!(
            read("bytes */100"),
            Some(ContentRange {
                bytes: None,
                total: Some(100)
            })
        );
        for bad in [
            "bytes 9-5/100",
            "bytes 0-100/100",
            "items 0-1/2",
            "bytes 0-1",
            "bytes +0-1/2",
            "bytes a-b/c",
            "",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
        let mut two = headers(&[("content-range", "bytes 0-1/4")]);
        two.append(CONTENT_RANGE, HeaderValue::from_static("bytes 2-3/4"));
        assert_eq!(content_range(&two), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_own_clock() {
        let seconds = headers(&[("retry-after", "7")]);
        assert_eq!(retry_after(&seconds), Some(Duration::from_secs(7)));
        let date = headers(&[
            ("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT"),
            ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ]);
        assert_eq!(retry_after(&date), Some(Duration::from_secs(30)));
        let past = headers(&[
            ("retry-after", "Wed, 21 Oct 2015 07:27:00 GMT"),
            ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
        ]);
        assert_eq!(retry_after(&past), Some(Duration::ZERO));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
        let endless = headers(&[("retry-after", "18446744073709551615")]);
        assert_eq!(retry_after(&endless), Some(Duration::from_hours(24)));
        assert_eq!(retry_after(&headers(&[])), None);
    }

    #[test]
    fn a_cache_above_that_could_not_confirm_its_answer_is_believed() {
        let read = |fields: &[(&'static str, &'static str)]| unconfirmed(&headers(fields));
        let aged = |age: Option<u64>| {
            let age = age.map(Duration::from_secs);
            Some(Unconfirmed { age })
        };
        let ours = ("warning", chain::STALE);
        assert_eq!(read(&[ours]), aged(None));
        assert_eq!(read(&[ours, ("age", "70")]), aged(Some(70)));
        assert_eq!(read(&[ours, ("age", "-70")]), aged(None));
        let via = ("via", "1.1 cistern-0a1b2c3d, 1.1 nginx");
        assert_eq!(
            read(&[("warning", "299 - \"other words\""), via]),
            aged(None)
        );
        assert_eq!(
            read(&[("warning", "110 squid \"Response is Stale\"")]),
            aged(None)
        );
        for fresh in [
            &[][..],
            &[("age", "70"), via],
            &[("warning", "299 - \"this image is deprecated\"")],
            &[("warning", "199 x \"110 \"")],
        ] {
            assert_eq!(read(fresh), None, "{fresh:?}");
        }
    }

    #[test]
    fn the_next_page_is_found_in_every_form_of_link() {
        let read = |value| next_link(&headers(&[("link", value)]));
        assert_eq!(
            read("</v2/a/tags/list?last=x&n=2>; rel=\"next\"").as_deref(),
            Some("/v2/a/tags/list?last=x&n=2")
        );
        assert_eq!(
            read("<https://h/v2/a?last=a,b;c>;rel=next").as_deref(),
            Some("https://h/v2/a?last=a,b;c")
        );
        assert_eq!(
            read("</first>; rel=first, </more>; title=x; rel=\"last NEXT\"").as_deref(),
            Some("/more")
        );
        assert_eq!(read("</prev>; rel=\"prev\""), None);
        assert_eq!(read("nonsense"), None);
    }

    #[test]
    fn identity_is_no_encoding() {
        let read = |value| headers(&[("content-encoding", value)]);
        assert_eq!(content_encoding(&read("gzip")), Some("gzip"));
        assert_eq!(content_encoding(&read("Identity")), None);
        assert_eq!(content_encoding(&headers(&[])), None);
    }
}
