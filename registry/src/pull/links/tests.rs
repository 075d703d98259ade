use cistern_storage::SystemClock;
use tokio::time::{advance, timeout};

use super::*;

const HOST: &str = "registry.example";

fn links() -> Links {
    let links = Links::new(Arc::new(SystemClock), Arc::new(Metrics::new()));
    let _ = links.watch_host(HOST);
    links
}

fn lost() -> Result<(), UpstreamError> {
    Err(UpstreamError {
        host: HOST.into(),
        fault: Fault::Unreachable {
            link: LinkFault::Timeout,
            detail: "silence".to_owned(),
        },
    })
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_link_goes_on_when_it_is_back() {
    let links = links();
    links.back(HOST).await;
    links.note_silence(HOST);
    links.back(HOST).await;
    links.note_probe(HOST, &lost());
    assert_eq!(links.state(HOST), LinkState::Offline);
    let mut waiting = std::pin::pin!(links.back(HOST));
    let hour = Duration::from_secs(3600);
    assert!(timeout(hour, &mut waiting).await.is_err());
    links.note_probe(HOST, &Ok(()));
    timeout(hour, waiting).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_report_says_since_when_and_why() {
    let links = links();
    links.note_silence(HOST);
    advance(Duration::from_secs(90)).await;
    let reports = links.reports();
    assert_eq!(reports.len(), 1);
    let report = &reports[0];
    assert_eq!(
        (report.upstream.as_str(), report.state),
        (HOST, LinkState::Degraded)
    );
    let for_long = SystemClock.now().duration_since(report.since).unwrap();
    assert!(for_long.abs_diff(Duration::from_secs(90)) < Duration::from_secs(1));
    let why = report.last_error.as_deref().unwrap();
    assert!(why.contains("no answer in time"), "{why}");
    assert!(!report.credentials_refused && report.paused_for.is_none());
}

#[tokio::test]
async fn a_host_that_nobody_watches_is_never_waited_for() {
    let links = links();
    for _ in 0..10 {
        links.note_silence("storage.example");
    }
    assert_eq!(links.state("storage.example"), LinkState::Online);
    links.back("storage.example").await;
    assert_eq!(links.reports().len(), 1);
}

#[tokio::test]
async fn refused_credentials_of_a_token_server_are_known_too() {
    let links = links();
    let refused = UpstreamError {
        host: "tokens.example".into(),
        fault: Fault::CredentialsRefused { status: 401 },
    };
    links.note_error("tokens.example", &refused);
    assert!(links.refuses_credentials("tokens.example"));
    assert_eq!(links.reports().len(), 1);
}

#[tokio::test]
async fn the_state_of_a_link_and_its_changes_are_counted() {
    let links = links();
    links.note_silence(HOST);
    links.note_probe(HOST, &lost());
    let page = links.shared.metrics.render();
    for line in [
        "cistern_link_state{upstream=\"registry.example\"} 2",
        "cistern_link_changes_total{upstream=\"registry.example\",state=\"degraded\"} 1",
        "cistern_link_changes_total{upstream=\"registry.example\",state=\"offline\"} 1",
        "cistern_probes_total{upstream=\"registry.example\",outcome=\"failed\"} 1",
    ] {
        assert!(page.lines().any(|told| told == line), "{line}: {page}");
    }
}
