//! Promises of the upstream client, each over real loopback HTTP against a small scripted server that counts, delays, cuts
//! and lies.

#![expect(
    clippy::disallowed_methods,
    reason = "tests spawn their servers and write their files freely"
)]
#![expect(
    clippy::unwrap_used,
    reason = "what fails in a test's own machinery fails the test"
)]

mod alternates;
mod blobs;
mod challenges;
mod connections;
mod credentials;
mod failures;
mod helper;
mod identity;
mod limits;
mod manifests;
mod odd;
mod rate;
mod redirects;
mod referrers;
mod refresh_tokens;
mod server;
mod tags;
mod tokens;
mod trust;

use std::time::Duration;

use cistern::upstream::{Fault, Timeouts, Upstream, UpstreamError, UpstreamOptions};
use cistern_auth::outgoing::CredentialSource;
use cistern_oci::{Algorithm, Digest, Reference, RepositoryName};
use url::Url;

use server::Server;

/// An upstream with more patience than any test needs, however busy the machine is.
fn options(url: &str) -> UpstreamOptions {
    let mut options = UpstreamOptions::new(Url::parse(url).unwrap());
    options.timeouts = Timeouts {
        connect: Duration::from_secs(20),
        header: Duration::from_secs(20),
        idle: Duration::from_secs(20),
    };
    options
}

/// An upstream whose silence is noticed soon.
fn impatient(url: &str) -> UpstreamOptions {
    let mut options = options(url);
    options.timeouts = Timeouts {
        connect: Duration::from_millis(700),
        header: Duration::from_millis(700),
        idle: Duration::from_millis(400),
    };
    options
}

fn anonymous(server: &Server) -> Upstream {
    Upstream::new(options(&server.url())).unwrap()
}

/// An upstream to which this cache is "rain" with the password "pencil".
fn known(server: &Server) -> Upstream {
    let mut options = options(&server.url());
    options.credentials = CredentialSource::inline("rain", "pencil");
    Upstream::new(options).unwrap()
}

const RAIN_PENCIL: &str = "Basic cmFpbjpwZW5jaWw=";

fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

fn reference(text: &str) -> Reference {
    text.parse().unwrap()
}

fn sha256(bytes: &[u8]) -> Digest {
    Digest::of(Algorithm::Sha256, bytes)
}

fn fault<T: std::fmt::Debug>(result: Result<T, UpstreamError>) -> Fault {
    result.unwrap_err().fault
}

/// The words of an answer that cannot be used.
fn invalid<T: std::fmt::Debug>(result: Result<T, UpstreamError>) -> String {
    match fault(result) {
        Fault::Invalid(words) => words,
        other => panic!("{other:?}"),
    }
}
