//! The name of one request, in its answer and in the log.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::{HeaderMap, HeaderValue};

use super::response::REQUEST_ID;

/// The longest id of a caller that is kept.
const LONGEST_KEPT: usize = 128;

/// The name of one request: the caller's own if it sent a sane one, else ours.
#[derive(Clone, Debug)]
pub(super) struct RequestId(HeaderValue);

/// Makes names that do not repeat within a process and are unlikely to repeat between processes.
#[derive(Debug)]
pub(super) struct RequestIds {
    next: AtomicU64,
}

// === impl RequestId ===

impl RequestId {
    pub(super) fn header(&self) -> HeaderValue {
        self.0.clone()
    }

    /// The text: always visible ASCII.
    pub(super) fn text(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

// === impl RequestIds ===

impl RequestIds {
    pub(super) fn new() -> Self {
        // The standard library's hash keys are the system's random numbers.
        Self {
            next: AtomicU64::new(RandomState::new().hash_one("request id")),
        }
    }

    /// The id that came with the request, or a new one.
    pub(super) fn of(&self, headers: &HeaderMap) -> RequestId {
        match headers.get(REQUEST_ID) {
            Some(sent) if is_sane(sent.as_bytes()) => RequestId(sent.clone()),
            _ => self.new_id(),
        }
    }

    fn new_id(&self) -> RequestId {
        let mut text = [0; 16];
        let mut rest = scramble(self.next.fetch_add(1, Ordering::Relaxed));
        for place in text.iter_mut().rev() {
            let digit = (rest & 0xf) as u8;
            *place = if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            };
            rest >>= 4;
        }
        RequestId(HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("-")))
    }
}

/// Ids end up in logs and in the caller's terminal: letters, digits and the marks that ids are made of.
fn is_sane(id: &[u8]) -> bool {
    !id.is_empty()
        && id.len() <= LONGEST_KEPT
        && id
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte))
}

/// A bijection (the finalizer of SplitMix64), so that a counter yields ids that look alike to nobody and never repeat.
fn scramble(count: u64) -> u64 {
    let mixed = (count ^ (count >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
