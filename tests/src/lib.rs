//! The harness behind the promises: tiny real images, upstreams that misbehave on command, the registry under
//! test as a process of its own, and the real programs that people pull with.
//!
//! Nothing here uses the product's own crates. What judges the product must not share its mistakes, so digests,
//! paths and answers are computed here a second time, in the plainest way.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "test code: a failed step must end the test at once with its place, and the harness owns its own files and tasks"
)]

pub mod addresses;
pub mod api_proxy;
pub mod caller;
mod certificates;
pub mod cistern;
pub mod clients;
pub mod container;
pub mod distribution;
pub mod images;
pub mod markdown;
pub mod need;
pub mod process;
pub mod pusher;
pub mod registry;
pub mod relay;
pub mod scripted_upstream;
pub mod store;
pub mod token_server;

use std::future::Future;
use std::time::{Duration, Instant};

/// Waits until `condition` holds, looking every 10 ms.
///
/// # Panics
/// When it does not hold within `limit`; the message names `what`.
pub async fn eventually<F, R>(what: &str, limit: Duration, mut condition: F)
where
    F: FnMut() -> R,
    R: Future<Output = bool>,
{
    let deadline = Instant::now() + limit;
    while !condition().await {
        assert!(
            Instant::now() < deadline,
            "{what} did not happen within {limit:?}"
        );
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A ready file of `deploy`, with these words of it replaced.
///
/// # Panics
/// When there is no such file, or a word is not in it.
pub fn asset(path: &str, replaced: &[(&str, &str)]) -> String {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/");
    let text = std::fs::read_to_string(format!("{file}{path}")).unwrap();
    replaced.iter().fold(text, |text, (word, with)| {
        assert!(text.contains(word), "{path} has no {word}");
        text.replace(word, with)
    })
}
