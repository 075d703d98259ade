//! One schedule, played against a real process.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use cistern_tests::caller::{Answered, Ended, get, head};
use cistern_tests::cistern::mirror_of;
use cistern_tests::images::{Image, Item, OCI_MANIFEST, sha256};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, ScriptedUpstream};
use parking_lot::Mutex;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use super::schedule::{Caller, Does, Event, Schedule};
use crate::common::{REPOSITORY, blob_path, manifest_path};

/// `proxy.hold`: far longer than all that a schedule does to the link.
const HOLD: &str = "15s";
/// A piece that takes longer than this is a hang.
const HANG: Duration = Duration::from_secs(35);
/// After the last fault, every blob is right by then.
const GOOD_WITHIN: Duration = Duration::from_secs(60);
/// Beyond what a stream that is cut in order can lose on its way.
const SLACK: usize = 300_000;

/// A run that goes on.
pub(super) struct Run {
    schedule: Arc<Schedule>,
    items: Arc<Vec<Item>>,
    upstream: ScriptedUpstream,
    cache: Registry,
    /// Faults that are still to come, by blob.
    left: Vec<Arc<Mutex<VecDeque<super::schedule::Fault>>>>,
    /// Rises whenever the cache dies.
    deaths: Arc<AtomicUsize>,
}

/// What a caller was told, and whether the cache died meanwhile.
struct Told {
    caller: Caller,
    answer: Answered,
    died: bool,
}

impl Run {
    /// Everything is ready, and nobody has asked yet.
    pub(super) async fn new(schedule: Schedule) -> Self {
        let upstream = ScriptedUpstream::start().await;
        let items: Vec<Item> = (0..schedule.blobs.len())
            .map(|number| schedule.item(number))
            .collect();
        let image = image_of(&items);
        upstream.hold(&image, REPOSITORY, &["v1"]);
        let cache = mirror_of(&upstream.url())
            .set("REGISTRY_PROXY_HOLD", HOLD)
            .start()
            .await;
        if schedule.is_named {
            let path = manifest_path(REPOSITORY, "v1");
            assert_eq!(get(&path).send(&cache.host()).await.status, 200);
        }
        let mut left = Vec::new();
        for (item, blob) in items.iter().zip(&schedule.blobs) {
            let faults = Arc::new(Mutex::new(VecDeque::from(blob.faults.clone())));
            let to_come = Arc::clone(&faults);
            let path = blob_path(REPOSITORY, &item.digest);
            let next = Answer::by(move |_| {
                let fault = to_come.lock().pop_front();
                fault.map_or_else(Answer::held, super::schedule::Fault::answer)
            });
            upstream.on("GET", &path, next);
            left.push(faults);
        }
        upstream.forget_requests();
        Self {
            schedule: Arc::new(schedule),
            items: Arc::new(items),
            upstream,
            cache,
            left,
            deaths: Arc::default(),
        }
    }

    /// Plays it; what was wrong.
    pub(super) async fn to_the_end(mut self) -> Vec<String> {
        let began = tokio::time::Instant::now();
        let mut calling = JoinSet::new();
        for caller in self.schedule.callers.clone() {
            let (items, host) = (Arc::clone(&self.items), self.cache.host());
            let deaths = Arc::clone(&self.deaths);
            calling.spawn(async move {
                sleep_until(began + caller.starts_after).await;
                let before = deaths.load(Ordering::SeqCst);
                let answer = call(&caller, &items[caller.blob], &host).await;
                // Odd while it is dead.
                let died = before % 2 == 1 || deaths.load(Ordering::SeqCst) != before;
                Told {
                    caller,
                    answer,
                    died,
                }
            });
        }
        let mut events = self.schedule.events.clone();
        events.sort_by_key(|(at, _)| *at);
        for (at, event) in events {
            sleep_until(began + at).await;
            self.befall(event).await;
        }
        let mut wrong = Vec::new();
        while let Some(told) = calling.join_next().await {
            wrong.extend(self.judge(&told.unwrap()));
        }
        wrong.extend(self.ends_well().await);
        if !wrong.is_empty() {
            let seed = self.schedule.seed;
            wrong.insert(0, format!("seed {seed}:"));
            if std::env::var_os("FAULT_SEEDS").is_some() {
                wrong.push(self.cache.log());
            }
        }
        wrong
    }

    async fn befall(&mut self, event: Event) {
        match event {
            Event::KillCache => {
                self.deaths.fetch_add(1, Ordering::SeqCst);
                self.cache.kill();
                self.cache.start().await;
                self.deaths.fetch_add(1, Ordering::SeqCst);
            }
            Event::RestartCache => {
                self.deaths.fetch_add(1, Ordering::SeqCst);
                self.cache.restart().await;
                self.deaths.fetch_add(1, Ordering::SeqCst);
            }
            Event::Outage(time) => {
                self.upstream.stop().await;
                sleep(time).await;
                self.upstream.start_again().await;
            }
        }
    }

    fn judge(&self, told: &Told) -> Option<String> {
        let Told {
            caller,
            answer,
            died,
        } = told;
        let item = &self.items[caller.blob];
        let faults = &self.schedule.blobs[caller.blob].faults;
        let is_false = faults.iter().any(|fault| fault.is_false());
        if *died && (answer.status == 0 || !answer.is_complete()) {
            return None;
        }
        let wrong = judge(caller, answer, &item.bytes, is_false).or_else(|| {
            let goes_on = faults.iter().all(|fault| fault.is_survived());
            let left = matches!(caller.does, Does::Leaves(_));
            let is_cut = matches!(answer.status, 200 | 206) && !answer.is_complete();
            (goes_on && is_cut && !left).then(|| format!("cut after {} bytes", answer.body.len()))
        });
        Some(format!("{caller:?}: {}", wrong?))
    }

    /// The faults come to their end, and then everything is right, and was not paid for too often.
    async fn ends_well(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (number, item) in self.items.iter().enumerate() {
            match self.becomes_right(item).await {
                Ok(asks) => wrong.extend(self.was_asked_too_much(number, asks)),
                Err(what) => wrong.push(format!("blob {number}: {what}")),
            }
        }
        let store = self.cache.store();
        for digest in store.digests() {
            if store
                .blob(&digest)
                .is_some_and(|bytes| sha256(&bytes) != digest)
            {
                wrong.push(format!("a false file for {digest}"));
            }
        }
        wrong
    }

    /// How often it was asked for until it was right.
    async fn becomes_right(&self, item: &Item) -> Result<usize, String> {
        let path = blob_path(REPOSITORY, &item.digest);
        let began = Instant::now();
        for asks in 1.. {
            let answer = get(&path).patience(HANG).send(&self.cache.host()).await;
            if answer.status == 200 && answer.is_complete() {
                let is_right = answer.body == item.bytes;
                return is_right.then_some(asks).ok_or("WRONG BYTES".to_owned());
            }
            if answer.ended == Ended::TimedOut || began.elapsed() > GOOD_WITHIN {
                let (status, ended) = (answer.status, answer.ended);
                return Err(format!(
                    "does not recover: {status}, {ended:?}: {}",
                    answer.text()
                ));
            }
            sleep(Duration::from_millis(300)).await;
        }
        unreachable!("the loop ends by returning")
    }

    fn was_asked_too_much(&self, number: usize, asks: usize) -> Option<String> {
        let (item, blob) = (&self.items[number], &self.schedule.blobs[number]);
        let path = blob_path(REPOSITORY, &item.digest);
        let requests = self.upstream.requests_of("*", &path);
        let sent: u64 = requests.iter().map(|request| request.bytes_sent()).sum();
        let met = blob.faults.len() - self.left[number].lock().len();
        let wasted = blob.faults[..met]
            .iter()
            .filter(|fault| fault.wastes())
            .count();
        let parts = self
            .schedule
            .callers
            .iter()
            .filter(|caller| caller.blob == number);
        let ahead: usize = parts
            .filter_map(|caller| caller.does.small_part(blob.size))
            .sum();
        // What the dead and the cut off have not read of their sockets is sent again.
        let wholes = 1 + wasted + self.schedule.events.len();
        let most = wholes * blob.size + ahead + (met + 1) * SLACK;
        if sent > most as u64 {
            return Some(format!(
                "blob {number}: {sent} bytes were sent, {most} are sensible"
            ));
        }
        let most = 3 * (1 + met + asks + self.schedule.callers.len() + self.schedule.events.len());
        let count = requests.len();
        (count > most).then(|| format!("blob {number}: {count} requests, {most} are sensible"))
    }
}

fn image_of(items: &[Item]) -> Image {
    let descriptors: Vec<_> = items.iter().map(Item::descriptor).collect();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptors[0],
        "layers": descriptors[1..],
    });
    Image {
        manifests: vec![Item::new(OCI_MANIFEST, manifest.to_string())],
        blobs: items.to_vec(),
    }
}

async fn call(caller: &Caller, item: &Item, host: &str) -> Answered {
    let path = blob_path(REPOSITORY, &item.digest);
    let call = match caller.does {
        Does::Head => head(&path),
        _ => get(&path),
    };
    let call = match caller.does {
        Does::Part(first, last) => call.range(&format!("bytes={first}-{last}")),
        Does::FromOn(first) => call.range(&format!("bytes={first}-")),
        Does::Last(count) => call.range(&format!("bytes=-{count}")),
        Does::Whole | Does::Head | Does::Leaves(_) => call,
    };
    let call = call.patience(HANG);
    let Does::Leaves(count) = caller.does else {
        return call.send(host).await;
    };
    let Ok(mut opened) = call.open(host).await else {
        return call.send(host).await;
    };
    if opened.status != 200 {
        return opened.finish().await;
    }
    let body = opened.read(count).await;
    // Whoever leaves knows no end.
    let ended = opened.ended.unwrap_or(Ended::Short);
    Answered {
        status: 200,
        headers: std::mem::take(&mut opened.headers),
        body,
        ended,
        first_byte_after: None,
        whole_after: Duration::ZERO,
    }
}

/// What is wrong with an answer, if anything.
fn judge(caller: &Caller, answer: &Answered, bytes: &[u8], is_false: bool) -> Option<String> {
    let status = answer.status;
    if status == 0 || answer.ended == Ended::TimedOut || answer.ended == Ended::Reset {
        return Some(format!("{status}, {:?}", answer.ended));
    }
    let due = match caller.does.range(bytes.len()) {
        None if status == 200 => bytes,
        Some((first, last)) if status == 206 => &bytes[first..=last],
        // Whoever lies about the length makes a range that begins beyond it.
        Some(_) if status == 416 && is_false => return None,
        _ => return refused(answer, matches!(caller.does, Does::Head)),
    };
    if matches!(caller.does, Does::Head) {
        let length = answer.header("Content-Length").map(str::to_owned);
        let is_right = length == Some(due.len().to_string());
        return (!is_right && !is_false).then(|| format!("HEAD says {length:?}"));
    }
    if answer.is_complete() {
        // The part of a blob that is not here yet cannot be verified before all of it is.
        let is_right = answer.body == due || (status == 206 && is_false);
        return (!is_right).then(|| "WRONG BYTES, as if complete".to_owned());
    }
    let is_right = is_false || due.starts_with(&answer.body);
    (!is_right).then(|| "other bytes before the cut".to_owned())
}

fn refused(answer: &Answered, is_head: bool) -> Option<String> {
    let status = answer.status;
    let is_clean = match status {
        404 => answer.error_code() == "BLOB_UNKNOWN",
        503 => answer.error_code() == "UNAVAILABLE",
        _ => return Some(format!("{status} {}", answer.text())),
    };
    let is_clean = is_clean || (is_head && answer.body.is_empty());
    (!is_clean || !answer.is_complete()).then(|| format!("{status} {}", answer.text()))
}

impl Does {
    /// First and last byte of what was asked for, where that is a part.
    fn range(&self, size: usize) -> Option<(usize, usize)> {
        match *self {
            Self::Part(first, last) => Some((first, last)),
            Self::FromOn(first) => Some((first, size - 1)),
            Self::Last(count) => Some((size - count, size - 1)),
            Self::Whole | Self::Head | Self::Leaves(_) => None,
        }
    }

    /// The length of a part that may be fetched by itself.
    fn small_part(&self, size: usize) -> Option<usize> {
        let (first, last) = self.range(size)?;
        Some(last - first + 1).filter(|length| *length <= 1 << 20)
    }
}
