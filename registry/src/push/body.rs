//! The bytes of a request on their way in.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::timeout;

use super::PushError;

/// How long a sender may be silent. Slow links are waited for; a sender that is gone without a word must not keep its turn.
const SILENCE: Duration = Duration::from_secs(120);

/// The bytes of a request as they come: an error item means that they broke off, and says why.
pub trait PushBody: Stream<Item = Result<Bytes, String>> + Send + Unpin {}

impl<S: Stream<Item = Result<Bytes, String>> + Send + Unpin> PushBody for S {}

/// The next bytes, which are some; `None` at the end.
pub(super) async fn next(body: &mut impl PushBody) -> Result<Option<Bytes>, PushError> {
    loop {
        let next = timeout(SILENCE, body.next()).await;
        match next {
            Err(_) => {
                let silence = format!("nothing came for {} seconds", SILENCE.as_secs());
                return Err(PushError::BodyBroke(silence));
            }
            Ok(None) => return Ok(None),
            Ok(Some(Err(why))) => return Err(PushError::BodyBroke(why)),
            Ok(Some(Ok(bytes))) if bytes.is_empty() => {}
            Ok(Some(Ok(bytes))) => return Ok(Some(bytes)),
        }
    }
}
