//! Following redirects: on every endpoint, within bounds, never with credentials to another place, never from https to http,
//! never to an address nearer to us than the upstream. The body of a redirect is thrown away.

use std::sync::Arc;

use cistern_auth::Secret;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use http::{Method, StatusCode};
use reqwest::Response;
use url::Url;

use super::address::{host_and_port, same_place};
use super::dial::{Dialer, Hop};
use super::{Fault, Heard, UpstreamError, answer};

/// A request that may be sent on.
pub(super) struct Journey {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    /// Shown at the first place only, and never again once it was left.
    pub(super) authorization: Option<HeaderValue>,
    /// The form to POST, a secret: a redirect that would take it elsewhere is the answer.
    pub(super) form: Option<Secret>,
    /// Whether another host may be asked. If not, the redirect that leads there is the answer.
    pub(super) may_leave: bool,
}

/// The answer at the end of the way.
pub(super) struct Arrival {
    pub(super) response: Response,
    /// Who answered.
    pub(super) url: Url,
    /// Whether the way led to another place than where it began.
    pub(super) away: bool,
}

/// More than any registry needs: registry, storage front, storage region.
const MOST_REDIRECTS: usize = 5;

impl Arrival {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        self.response.headers()
    }

    /// Who answered, for messages.
    pub(super) fn host(&self) -> Arc<str> {
        host_and_port(&self.url)
    }

    /// A fault of whoever answered.
    pub(super) fn fault(&self, fault: Fault) -> UpstreamError {
        fault.at(&self.host())
    }
}

/// Sends a request and whatever requests its answers lead to.
pub(super) async fn follow(
    dialer: &Dialer,
    journey: &Journey,
    heard: &Heard,
) -> Result<Arrival, UpstreamError> {
    let mut visited = vec![journey.url.clone()];
    let mut url = journey.url.clone();
    let mut away = false;
    loop {
        let mut headers = journey.headers.clone();
        if let (false, Some(authorization)) = (away, &journey.authorization) {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        let hop = Hop {
            method: &journey.method,
            url: &url,
            headers,
            form: journey.form.as_ref(),
        };
        let response = dialer.ask(hop, heard).await?;
        if !is_redirect(response.status()) || journey.form.is_some() {
            return Ok(Arrival {
                response,
                url,
                away,
            });
        }
        let invalid = |why: String| Fault::Invalid(why).at(&host_and_port(&url));
        let next = next(&url, response.headers(), |to| dialer.may_lead_to(to));
        let leads_astray = || !matches!(&next, Ok(to) if to.host() == journey.url.host());
        if !journey.may_leave && leads_astray() {
            return Ok(Arrival {
                response,
                url,
                away,
            });
        }
        let next = next.map_err(invalid)?;
        if visited.contains(&next) {
            return Err(invalid("redirects in a loop".to_owned()));
        }
        if visited.len() > MOST_REDIRECTS {
            return Err(invalid(format!(
                "redirects more than {MOST_REDIRECTS} times"
            )));
        }
        answer::drain(response).await;
        away |= !same_place(&journey.url, &next);
        visited.push(next.clone());
        url = next;
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Where an answer sends us, if we go there.
fn next(
    from: &Url,
    headers: &HeaderMap,
    may_lead_to: impl Fn(&Url) -> bool,
) -> Result<Url, String> {
    let location = headers
        .get(LOCATION)
        .ok_or("redirects without saying where to")?;
    let location = String::from_utf8_lossy(location.as_bytes());
    let mut to = from
        .join(location.trim())
        .map_err(|_| "redirects to something that is no address")?;
    to.set_fragment(None);
    // Both fail only for addresses without a host, which are refused below.
    let _ = to.set_username("");
    let _ = to.set_password(None);
    let place = host_and_port(&to);
    match (from.scheme(), to.scheme()) {
        (_, "https") | ("http", "http") => {}
        (_, "http") => {
            return Err(format!(
                "redirects from https to http at {place}, which is not followed"
            ));
        }
        (_, other) => {
            return Err(format!(
                "redirects to a {other} address, which is not followed"
            ));
        }
    }
    if !may_lead_to(&to) {
        return Err(format!(
            "redirects to {place}, on a private network, the local link or this machine, where the upstream is not; proxy.realms can allow it"
        ));
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cistern_auth::outgoing::Reach;

    fn go(from: &str, location: &'static str, reach: Reach) -> Result<String, String> {
        let headers = HeaderMap::from_iter([(LOCATION, HeaderValue::from_static(location))]);
        next(&Url::parse(from).unwrap(), &headers, |to| {
            reach.may_lead_to(Reach::of_url(to))
        })
        .map(|url| url.to_string())
    }

    #[test]
    fn relative_and_absolute_addresses_are_followed() {
        let from = "https://h.example:5000/v2/a/blobs/x?y=1";
        assert_eq!(
            go(from, "/other?z=2#f", Reach::Public).as_deref(),
            Ok("https://h.example:5000/other?z=2")
        );
        assert_eq!(
            go(from, "next", Reach::Public).as_deref(),
            Ok("https://h.example:5000/v2/a/blobs/next")
        );
        assert_eq!(
            go(from, "//cdn.example/b", Reach::Public).as_deref(),
            Ok("https://cdn.example/b")
        );
        assert_eq!(
            go(
                "http://h.example/a",
                "https://u:p@cdn.example/b",
                Reach::Public
            )
            .as_deref(),
            Ok("https://cdn.example/b")
        );
    }

    #[test]
    fn a_redirect_loses_no_protection_and_leads_to_nobody_nearer() {
        let public = "https://h.example/a";
        for location in [
            "http://h.example/a",
            "ftp://h.example/a",
            "file:///etc/passwd",
            "https://127.0.0.1/",
            "https://localhost/",
            "https://169.254.169.254/latest",
            "https://[fd00::1]/",
            "https://0x7f.1/",
            "http://[::1",
        ] {
            assert!(go(public, location, Reach::Public).is_err(), "{location}");
        }
        assert!(
            go(
                "http://127.0.0.1:1/a",
                "http://127.0.0.2:2/b",
                Reach::Loopback
            )
            .is_ok()
        );
        assert!(go("http://10.0.0.1/a", "http://127.0.0.1/b", Reach::Private).is_err());
        for upstream in ["http://127.0.0.1:1/a", "http://10.0.0.1/a"] {
            let reach = Reach::of_url(&Url::parse(upstream).unwrap());
            for location in [
                "http://169.254.169.254/latest",
                "http://[fe80::1]/",
                "http://[::ffff:169.254.169.254]/",
            ] {
                assert!(go(upstream, location, reach).is_err(), "{upstream}");
            }
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_a_signed_query() {
        let said = go(
            "https://h.example/a",
            "http://cdn.example/b?sig=secret",
            Reach::Public,
        )
        .unwrap_err();
        assert!(
            said.contains("cdn.example") && !said.contains("secret"),
            "{said}"
        );
    }
}
