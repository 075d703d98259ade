//! One row: an upstream, a cache of its own in front of it, and the fault between them.

use std::time::Duration;

use cistern_tests::caller::get;
use cistern_tests::cistern::mirror_of;
use cistern_tests::eventually;
use cistern_tests::images::sha256;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, Protection, ScriptedUpstream, TokenDesk};
use cistern_tests::store::Store;

use super::fault::{Fault, How, Times};
use super::hands::{Hands, sign};
use super::judge::{After, Saw, judge};
use super::names::Names;
use super::situation::{CELLS, Cell, Situation, TAG};
use crate::common::{SOON, manifest_path};

/// Longer than a caller may wait for anything here: 30 s of silence in a body, then `proxy.hold`.
const ENOUGH: Duration = Duration::from_secs(75);
/// When containerd gives up on headers.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
/// How long a caller looks at a body that comes byte by byte.
const LOOK: Duration = Duration::from_secs(3);
/// What the bodies of refusals may come to.
const WORDS: usize = 4096;
/// Beyond every time after which a failure is forgotten or the link is looked at again.
const GOOD_WITHIN: Duration = Duration::from_secs(60);

/// The parts of a row.
pub(super) struct Ground {
    upstream: ScriptedUpstream,
    storage: ScriptedUpstream,
    cache: Registry,
    hands: Hands,
    names: Option<Names>,
}

impl Ground {
    /// Everything as it is before the fault: each cell's part of the cache is in its situation.
    pub(super) async fn prepare(fault: &Fault) -> Self {
        let upstream = match fault.how {
            How::ForeignCertificate => ScriptedUpstream::start_tls().await,
            _ => ScriptedUpstream::start().await,
        };
        let storage = ScriptedUpstream::start().await;
        let store = Store::new();
        for cell in CELLS.iter() {
            cell.put(&upstream);
            cell.put_signed(&storage);
            if let Some(before) = &cell.before {
                store.put(before, &cell.repository, &[TAG]);
            }
        }
        let names = matches!(fault.how, How::NoName).then(Names::new);
        let mut ground = Self {
            cache: start(fault, &upstream, &store, names.as_ref()).await,
            hands: Hands {
                gate: Gate::new(),
                storage: storage.url(),
            },
            upstream,
            storage,
            names,
        };
        ground.fetch_a_part().await;
        ground.warm().await;
        ground
    }

    /// Half of a blob is fetched, then the cache is killed and started again.
    async fn fetch_a_part(&mut self) {
        let cell = cell(Situation::PartBlob);
        let (gate, half) = (Gate::new(), cell.body.len() / 2);
        self.cached(cell, cell.image.digest()).await;
        self.upstream
            .on_next(1, "GET", &cell.path, Answer::held().stops_at(half, &gate));
        let mut opened = get(&cell.path).open(&self.cache.host()).await.unwrap();
        let began = opened.read(half / 2).await;
        assert!(cell.body.starts_with(&began) && began.len() >= half / 2);
        gate.wait_reached(1, SOON).await;
        let partials = self.cache.store().path().join("cistern/partials");
        eventually("writing the half", SOON, || async {
            let files = std::fs::read_dir(&partials).into_iter().flatten().flatten();
            let lengths = files.filter_map(|file| file.metadata().ok());
            lengths.map(|file| file.len()).sum::<u64>() >= half as u64 / 2
        })
        .await;
        self.cache.kill();
        gate.open();
        self.cache.start().await;
    }

    /// A real caller of a blob has had its manifest before; and one tag was asked for a moment ago.
    async fn warm(&self) {
        for situation in [Situation::ColdBlob, Situation::PartBlob] {
            let cell = cell(situation);
            self.cached(cell, cell.image.digest()).await;
        }
        self.cached(cell(Situation::FreshTag), TAG).await;
        self.upstream.forget_requests();
    }

    async fn cached(&self, cell: &Cell, reference: &str) {
        let path = manifest_path(&cell.repository, reference);
        let answer = get(&path).send(&self.cache.host()).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    /// From now on the fault is there.
    pub(super) async fn begin(&self, fault: &Fault) {
        match &fault.how {
            How::Refused => self.upstream.stop().await,
            How::NoName => {
                // A connection that stands needs no name.
                self.names.as_ref().unwrap().resolve(None);
                self.upstream.stop().await;
                self.upstream.start_again().await;
            }
            How::ForeignCertificate => self.upstream.foreign_certificate(true).await,
            How::Mute => self.upstream.black_hole(true),
            How::OtherPassword => self.upstream.protect(Protection::basic("cache", "new")),
            How::RefusesTokens(status) => {
                self.upstream.protect(Protection::Bearer(TokenDesk::new()));
                let refusal = Answer::status(*status)
                    .header("WWW-Authenticate", "Bearer error=\"insufficient_scope\"");
                self.upstream.on("*", "/v2/*", refusal);
            }
            How::Signs(answer) => {
                for cell in CELLS.iter() {
                    let signed = format!("/signed{}", cell.requests());
                    self.storage.on("*", &signed, answer(cell));
                    self.upstream.on("*", &cell.requests(), sign(&self.hands));
                }
            }
            How::Answers {
                method,
                times,
                answer,
            } => {
                for cell in CELLS.iter() {
                    let answer = answer(cell, &self.hands);
                    let rule = self.upstream.on(method, &cell.requests(), answer);
                    if *times == Times::Once {
                        rule.limit(1);
                    }
                }
            }
        }
    }

    /// From now on it is not.
    pub(super) async fn end(&self, fault: &Fault) {
        match &fault.how {
            How::Refused => self.upstream.start_again().await,
            How::NoName => self.names.as_ref().unwrap().resolve(Some(&self.upstream)),
            How::ForeignCertificate => self.upstream.foreign_certificate(false).await,
            How::Mute => self.upstream.black_hole(false),
            How::OtherPassword => self.upstream.protect(Protection::Open),
            How::RefusesTokens(_) => {
                self.upstream.protect(Protection::Open);
                self.upstream.forget_script();
            }
            How::Signs(_) | How::Answers { .. } => {
                self.upstream.forget_script();
                self.storage.forget_script();
                self.hands.gate.open();
            }
        }
    }

    /// Asks once.
    pub(super) async fn ask(&self, cell: &Cell, fault: &Fault) -> Saw {
        let call = get(&cell.path).patience(ENOUGH);
        let opened = match call.open(&self.cache.host()).await {
            Ok(opened) => opened,
            Err(ended) => return Saw::Wrong(format!("no head: {ended:?}")),
        };
        if opened.head_after >= HEAD_WITHIN {
            return Saw::Wrong(format!("a head after {:?}", opened.head_after));
        }
        let crawls = fault.crawls() && opened.status == 200;
        let limit = if crawls { LOOK } else { ENOUGH };
        match tokio::time::timeout(limit, opened.finish()).await {
            Ok(answer) => judge(cell, &answer, fault.falsifies()),
            Err(_) if crawls => Saw::Coming,
            Err(_) => Saw::Wrong("hangs".to_owned()),
        }
    }

    /// What the cache has of a cell now.
    pub(super) async fn kept(&self, cell: &Cell, saw: &Saw) -> &'static str {
        let store = self.cache.store();
        match cell.situation {
            Situation::ColdBlob | Situation::PartBlob => {
                let file = store.blob_file(&cell.image.largest_blob().digest);
                if *saw == Saw::Whole {
                    eventually("keeping the blob", SOON, || async { file.is_file() }).await;
                }
                match (file.is_file(), self.has_part(cell)) {
                    (true, _) => "all of it",
                    (false, true) => "a part",
                    (false, false) => "nothing",
                }
            }
            Situation::ByDigest => {
                let link = store.revision_link(&cell.repository, cell.image.digest());
                if link.is_file() {
                    "the manifest"
                } else {
                    "nothing"
                }
            }
            Situation::TagList | Situation::Referrers => {
                let lists = store.path().join("cistern/listings").join(&cell.repository);
                if lists.is_dir() {
                    "the list"
                } else {
                    "nothing"
                }
            }
            _ => match store.tag(&cell.repository, TAG) {
                None => "nothing",
                Some(digest) if digest == cell.image.digest() => "the tag as it is",
                Some(_) => "the tag as it was",
            },
        }
    }

    fn has_part(&self, cell: &Cell) -> bool {
        let digest = &cell.image.largest_blob().digest;
        let (_, hex) = digest.split_once(':').unwrap();
        let partials = self.cache.store().path().join("cistern/partials");
        let files = std::fs::read_dir(partials).into_iter().flatten().flatten();
        files.into_iter().any(|file| {
            let length = file.metadata().map_or(0, |file| file.len());
            file.file_name().to_string_lossy().contains(hex) && length > 1000
        })
    }

    /// How much more of the blobs was sent than there is, where what was sent has arrived: nothing is sent twice.
    pub(super) fn sent_twice(&self, fault: &Fault) -> Vec<String> {
        let blobs = CELLS.iter().filter(|cell| cell.situation.is_blob());
        let mut found = Vec::new();
        for cell in blobs.filter(|_| fault.spares_bytes()) {
            let asked = self.upstream.requests_of("GET", &cell.path);
            let sent: u64 = asked.iter().map(|request| request.bytes_sent()).sum();
            // Of the one that was half here when the cache was killed, no more than the rest, and what was not written yet.
            let size = match cell.situation {
                Situation::PartBlob => cell.body.len() * 5 / 8,
                _ => cell.body.len(),
            };
            if sent > (size + WORDS) as u64 {
                found.push(format!(
                    "{}: {sent} bytes were sent",
                    cell.situation.title()
                ));
            }
        }
        found
    }

    /// What the store holds under another name than its digest.
    pub(super) fn false_files(&self) -> Vec<String> {
        let store = self.cache.store();
        let digests = store.digests().into_iter();
        digests
            .filter(|digest| {
                store
                    .blob(digest)
                    .is_some_and(|bytes| sha256(&bytes) != *digest)
            })
            .collect()
    }

    /// Asks until the answer is right, after the fault is gone; what is wrong if that does not come.
    pub(super) async fn recovers(&self, cell: &Cell, fault: &Fault) -> Result<After, String> {
        let deadline = tokio::time::Instant::now() + GOOD_WITHIN;
        let mut after = After::AtOnce;
        loop {
            let now = self.ask(cell, fault).await;
            if now == Saw::Whole {
                return Ok(after);
            }
            if now == Saw::Empty && fault.says_that_there_is_none() {
                return Ok(After::Later);
            }
            if matches!(now, Saw::Wrong(_)) || tokio::time::Instant::now() > deadline {
                return Err(format!("does not recover: {}", now.words()));
            }
            after = After::Soon;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Without an upstream, all that was pulled is there and right.
    pub(super) async fn is_kept_for_good(&self, cell: &Cell, fault: &Fault) -> Option<String> {
        if matches!(cell.situation, Situation::TagList | Situation::Referrers) {
            return None;
        }
        let path = &cell.path;
        let answer = get(path).patience(ENOUGH).send(&self.cache.host()).await;
        if answer.status == 200 && answer.is_complete() && answer.body == cell.body {
            return None;
        }
        let saw = judge(cell, &answer, fault.falsifies());
        Some(format!(
            "was good, and then without an upstream: {}",
            saw.words()
        ))
    }

    pub(super) async fn cut_off(&self) {
        for cell in CELLS.iter().filter(|cell| cell.situation.is_blob()) {
            let digest = &cell.image.largest_blob().digest;
            let file = self.cache.store().blob_file(digest);
            eventually("keeping the blob", SOON, || async { file.is_file() }).await;
        }
        self.upstream.stop().await;
    }

    pub(super) fn log(&self) -> String {
        self.cache.log()
    }
}

fn cell(situation: Situation) -> &'static Cell {
    let mut cells = CELLS.iter();
    cells.find(|cell| cell.situation == situation).unwrap()
}

async fn start(
    fault: &Fault,
    upstream: &ScriptedUpstream,
    store: &Store,
    names: Option<&Names>,
) -> Registry {
    let mut builder = mirror_of(&upstream.url());
    if let Some(names) = names {
        names.resolve(Some(upstream));
        builder = mirror_of(&Names::url(upstream)).program(&names.program());
    }
    // Where one body falls silent, callers have to be held until that is noticed.
    let hold = if fault.waits_for_silence() {
        "45s"
    } else {
        "3s"
    };
    let settings = [
        ("CHECKEVERY", "1h"),
        ("CHECKDEADLINE", "3s"),
        ("HOLD", hold),
    ];
    for (name, value) in settings {
        builder = builder.set(&format!("REGISTRY_PROXY_{name}"), value);
    }
    match fault.how {
        How::OtherPassword => builder = builder.proxy_credentials("cache", "old"),
        How::ForeignCertificate => {
            let authority = upstream.certificate().display().to_string();
            builder = builder.set("REGISTRY_PROXY_CA", &authority);
        }
        _ => {}
    }
    builder.store(store).start().await
}
