//! Every certificate that is in use, and when it ends: for the metrics, `/readyz`, `cistern status`, and a warning once a day.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cistern_auth::WatchedFile;
use cistern_storage::Clock;
use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::described::Described;
use crate::metrics::{CertificateGauges, Expiry};

/// What a certificate is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Use {
    /// Callers are shown it.
    Server,
    /// Callers' certificates are issued by it.
    ClientAuthority,
    /// Upstreams' certificates are believed for its sake (`proxy.ca`).
    UpstreamAuthority,
    /// An upstream is shown it (`proxy.clientcertificate`).
    UpstreamClient,
    /// IoT Edge's trust bundle, for the parent.
    TrustBundle,
}

/// Who sees to it that a certificate is replaced before it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kept {
    /// Somebody outside of this program, who is warned two weeks ahead.
    ByOperator,
    /// This program itself: only when that does not succeed, somebody has to know.
    ByItself,
}

/// One certificate in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateReport {
    /// What it is used for.
    pub used_for: Use,
    /// Its file, or `workload API`.
    pub from: String,
    /// What it says.
    pub says: Described,
}

/// The certificates in use. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct CertificatesInUse {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Arc<dyn Clock>,
    gauges: CertificateGauges,
    rows: Mutex<Vec<Row>>,
    files: Mutex<Vec<(Use, Arc<WatchedFile>)>>,
    warned: Mutex<HashMap<(Use, String), (SystemTime, Instant)>>,
}

/// What one file or one answer holds.
struct Row {
    used_for: Use,
    from: String,
    kept: Kept,
    certificates: Vec<Described>,
}

/// How often the gauges are set and the files looked at.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// From how long before its end an operator is warned.
const WARN_AHEAD: Duration = Duration::from_hours(14 * 24);
/// How often.
const WARN_EVERY: Duration = Duration::from_hours(24);
/// Of one file's certificates so many are told, those that end first.
const MOST_OF_A_FILE: usize = 32;

// === impl Use ===

impl Use {
    /// One word, for labels and pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::ClientAuthority => "client-authority",
            Self::UpstreamAuthority => "upstream-authority",
            Self::UpstreamClient => "upstream-client",
            Self::TrustBundle => "trust-bundle",
        }
    }
}

// === impl CertificatesInUse ===

impl CertificatesInUse {
    /// None yet.
    pub fn new(clock: Arc<dyn Clock>, gauges: CertificateGauges) -> Self {
        Self {
            inner: Arc::new(Inner {
                clock,
                gauges,
                rows: Mutex::default(),
                files: Mutex::default(),
                warned: Mutex::default(),
            }),
        }
    }

    /// The time by which certificates are judged.
    pub fn now(&self) -> SystemTime {
        self.inner.clock.now()
    }

    /// These are now used for this, in place of those from the same place before.
    pub fn note(&self, used_for: Use, from: &str, kept: Kept, mut certificates: Vec<Described>) {
        certificates.sort_by_key(|certificate| certificate.not_after);
        certificates.truncate(MOST_OF_A_FILE);
        let row = Row {
            used_for,
            from: from.to_owned(),
            kept,
            certificates,
        };
        let mut rows = self.inner.rows.lock();
        match rows
            .iter_mut()
            .find(|row| row.used_for == used_for && row.from == from)
        {
            Some(before) => *before = row,
            None => rows.push(row),
        }
        drop(rows);
        self.measure();
    }

    /// The certificates of this file are used by somebody who reads it by himself; it is looked at now and then.
    pub fn note_file(&self, used_for: Use, path: &Path) {
        let file = Arc::new(WatchedFile::new(PathBuf::from(path)));
        self.inner.files.lock().push((used_for, file));
    }

    /// All of them, those that end first first.
    pub fn reports(&self) -> Vec<CertificateReport> {
        let rows = self.inner.rows.lock();
        let all = rows.iter().flat_map(|row| {
            row.certificates.iter().map(|says| CertificateReport {
                used_for: row.used_for,
                from: row.from.clone(),
                says: says.clone(),
            })
        });
        let mut all: Vec<_> = all.collect();
        all.sort_by_key(|report| report.says.not_after);
        all
    }

    /// Keeps the gauges true and warns of what is about to end, until `stop`.
    pub async fn watch(self, stop: CancellationToken) {
        loop {
            self.look_at_files().await;
            self.measure();
            self.warn();
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    async fn look_at_files(&self) {
        let files = self.inner.files.lock().clone();
        for (used_for, file) in files {
            // Whoever uses the file complains of it.
            if let Ok(text) = file.current().await {
                let from = file.path().display().to_string();
                self.note(used_for, &from, Kept::ByOperator, Described::all_of(&text));
            }
        }
    }

    fn measure(&self) {
        let now = self.now();
        let expiry = |report: CertificateReport| Expiry {
            used_for: report.used_for.as_str(),
            seconds: seconds_until(report.says.not_after, now),
            from: report.from,
            subject: report.says.subject,
        };
        let all = self.reports().into_iter().map(expiry).collect();
        self.inner.gauges.replace(all);
    }

    fn warn(&self) {
        let now = self.now();
        let rows = self.inner.rows.lock();
        let mut warned = self.inner.warned.lock();
        for row in rows.iter() {
            // One line for each file: of those in it that ends first.
            let Some(first) = row.certificates.first() else {
                continue;
            };
            if !is_near(first, row.kept, now) {
                continue;
            }
            let key = (row.used_for, row.from.clone());
            let is_told = warned
                .get(&key)
                .is_some_and(|(end, at)| *end == first.not_after && at.elapsed() < WARN_EVERY);
            if is_told {
                continue;
            }
            warned.insert(key, (first.not_after, Instant::now()));
            let (used_for, from) = (row.used_for.as_str(), row.from.as_str());
            let (subject, until) = (first.subject.as_str(), first.until());
            if let Some(left) = first.left(now) {
                let days = left.as_secs() / 86_400;
                tracing::warn!(
                    used_for,
                    from,
                    subject,
                    until,
                    days,
                    "a certificate is about to end: renew it"
                );
            } else {
                tracing::warn!(
                    used_for,
                    from,
                    subject,
                    until,
                    "a certificate is over: it is refused"
                );
            }
        }
    }
}

/// Whether somebody has to see to it now. One that is renewed by itself at two thirds of its life is late at five sixths.
fn is_near(certificate: &Described, kept: Kept, now: SystemTime) -> bool {
    let Some(left) = certificate.left(now) else {
        return true;
    };
    let life = certificate.not_after.duration_since(certificate.not_before);
    match kept {
        Kept::ByOperator => left < WARN_AHEAD,
        Kept::ByItself => left < life.unwrap_or_default() / 6,
    }
}

fn seconds_until(end: SystemTime, now: SystemTime) -> i64 {
    let whole = |length: Duration| i64::try_from(length.as_secs()).unwrap_or(i64::MAX);
    match end.duration_since(now) {
        Ok(left) => whole(left),
        Err(over) => -whole(over.duration()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);

    struct Fixed(SystemTime);

    impl Clock for Fixed {
        fn now(&self) -> SystemTime {
            self.0
        }
    }

    /// From the first day of its life to the last.
    fn of_days(first: u32, last: u32) -> Described {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        parameters.not_before = epoch + DAY * first;
        parameters.not_after = epoch + DAY * last;
        Described::of(parameters.self_signed(&key).unwrap().der()).unwrap()
    }

    fn on_day(day: u32) -> SystemTime {
        UNIX_EPOCH + DAY * day
    }

    #[test]
    fn an_operator_is_warned_two_weeks_ahead() {
        let year = of_days(0, 365);
        assert!(!is_near(&year, Kept::ByOperator, on_day(350)));
        assert!(is_near(&year, Kept::ByOperator, on_day(352)));
        assert!(is_near(&year, Kept::ByOperator, on_day(400)));
    }

    #[test]
    fn what_is_renewed_by_itself_is_near_only_when_that_is_late() {
        // Renewed on day 20.
        let month = of_days(0, 30);
        assert!(!is_near(&month, Kept::ByItself, on_day(24)));
        assert!(is_near(&month, Kept::ByItself, on_day(26)));
    }

    #[test]
    fn a_renewed_certificate_takes_the_place_of_the_one_before() {
        let gauges = CertificateGauges::default();
        let in_use = CertificatesInUse::new(Arc::new(Fixed(on_day(10))), gauges);
        in_use.note(
            Use::Server,
            "/c.pem",
            Kept::ByOperator,
            vec![of_days(0, 20)],
        );
        in_use.note(
            Use::TrustBundle,
            "/c.pem",
            Kept::ByOperator,
            vec![of_days(0, 40)],
        );
        in_use.note(
            Use::Server,
            "/c.pem",
            Kept::ByOperator,
            vec![of_days(0, 90)],
        );
        let reports = in_use.reports();
        let told: Vec<_> = reports
            .iter()
            .map(|one| (one.used_for, one.says.not_after))
            .collect();
        assert_eq!(
            told,
            [(Use::TrustBundle, on_day(40)), (Use::Server, on_day(90))]
        );
    }

    #[test]
    fn what_is_over_counts_below_zero() {
        assert_eq!(seconds_until(on_day(2), on_day(1)), 86_400);
        assert_eq!(seconds_until(on_day(1), on_day(2)), -86_400);
    }
}
