//! Redirects by signed addresses, as object stores and CDNs hand them out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::answer::Answer;
use super::script::Rule;
use super::{ScriptedUpstream, Shared};
use crate::images::Item;

/// How long a signed address is good.
#[derive(Clone, Copy, Debug)]
pub struct Signed {
    /// Refused when older than this.
    pub lifetime: Duration,
    /// Refused after so many uses.
    pub uses: usize,
    /// The status of a refusal.
    pub refusal: u16,
}

impl Default for Signed {
    /// Good for ever.
    fn default() -> Self {
        Self {
            lifetime: Duration::from_hours(1),
            uses: usize::MAX,
            refusal: 403,
        }
    }
}

struct Signature {
    made: Instant,
    used: usize,
}

/// Adds the rules to both: `from` redirects, `to` serves `/signed/<digest>?signature=<number>` while it is good.
pub(super) fn redirect_blobs(
    from: &ScriptedUpstream,
    to: &ScriptedUpstream,
    status: u16,
    signed: Signed,
) -> Rule {
    let signatures = Arc::new(Mutex::new(Vec::<Signature>::new()));
    let (source, target) = (Arc::downgrade(&from.shared), Arc::downgrade(&to.shared));
    let base = to.url();
    let given = Arc::clone(&signatures);
    to.on(
        "*",
        "/signed/*",
        Answer::by(move |request| {
            let mut signatures = given.lock();
            let number: Option<usize> = request
                .parameter("signature")
                .and_then(|text| text.parse().ok());
            let Some(signature) = number.and_then(|number| signatures.get_mut(number)) else {
                return Answer::status(403);
            };
            signature.used += 1;
            let good = signature.made.elapsed() <= signed.lifetime && signature.used <= signed.uses;
            if good {
                Answer::held()
            } else {
                Answer::body(signed.refusal, "application/xml", "<Error>expired</Error>")
            }
        }),
    );
    from.on(
        "GET",
        "/v2/*/blobs/*",
        Answer::by(move |request| {
            let digest = request.path.rsplit('/').next().unwrap_or_default();
            let mut signatures = signatures.lock();
            signatures.push(Signature {
                made: Instant::now(),
                used: 0,
            });
            let path = format!("/signed/{digest}");
            let blob = source
                .upgrade()
                .and_then(|source| find(&source, request.repository()?, digest));
            let Some(blob) = blob else {
                return Answer::status(404);
            };
            if let Some(target) = target.upgrade() {
                target
                    .held
                    .lock()
                    .put_file(&path, Item::new("application/octet-stream", blob));
            }
            Answer::redirect(
                status,
                &format!("{base}{path}?signature={}", signatures.len() - 1),
            )
        }),
    )
}

fn find(source: &Shared, repository: &str, digest: &str) -> Option<bytes::Bytes> {
    source
        .held
        .lock()
        .blob(repository, digest)
        .map(|item| item.bytes.clone())
}
