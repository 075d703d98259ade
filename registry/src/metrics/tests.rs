use super::*;

#[test]
fn the_names_of_the_metrics_are_these() {
    let page = Metrics::new().render();
    let names: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "))
        .collect();
    assert_eq!(
        names,
        [
            "cistern_build info",
            "cistern_requests counter",
            "cistern_request_seconds histogram",
            "cistern_body_seconds histogram",
            "cistern_body_bytes counter",
            "cistern_bodies_unfinished counter",
            "cistern_connections gauge",
            "cistern_downloads_running gauge",
            "cistern_downloads counter",
            "cistern_download_resumes counter",
            "cistern_partial_bytes_saved counter",
            "cistern_download_bytes counter",
            "cistern_link_bytes counter",
            "cistern_link_rate_limit gauge",
            "cistern_link_waiting gauge",
            "cistern_held_callers gauge",
            "cistern_readers_per_download histogram",
            "cistern_passed_through counter",
            "cistern_upstream_requests counter",
            "cistern_credentials_refused counter",
            "cistern_link_state gauge",
            "cistern_link_changes counter",
            "cistern_probes counter",
            "cistern_tag_checks counter",
            "cistern_stale_tags gauge",
            "cistern_stale_tags_moved counter",
            "cistern_held_back_tags gauge",
            "cistern_withdrawn_tags gauge",
            "cistern_warm_images gauge",
            "cistern_pinned_images gauge",
            "cistern_warm_lists_broken gauge",
            "cistern_writes counter",
            "cistern_pushed_bytes counter",
            "cistern_uploads_open gauge",
            "cistern_evicted_bytes counter",
        ]
    );
}

#[test]
fn the_help_of_a_metric_is_its_documentation() {
    let page = Metrics::new().render();
    assert!(
        page.contains("# HELP cistern_connections Connections open now.\n"),
        "{page}"
    );
    assert!(page.ends_with("# EOF\n"));
}

#[test]
fn what_was_counted_is_written_with_its_labels() {
    let metrics = Metrics::new();
    metrics.requests.count(
        Action::BlobGet,
        StatusLabel::PartialContent,
        Some(Served::Joined),
    );
    metrics.requests.count(
        Action::BlobGet,
        StatusLabel::PartialContent,
        Some(Served::Joined),
    );
    metrics.requests.count(Action::Ping, StatusLabel::Ok, None);
    metrics.body_bytes.add(Served::Hit, 42);
    metrics
        .downloads
        .count("mcr.example", DownloadOutcome::Complete);
    metrics.download_bytes.of("mcr.example").inc_by(7);
    metrics
        .upstream_requests
        .count("mcr.example", UpstreamKind::BlobGet, UpstreamOutcome::Ok);
    let page = metrics.render();
    for line in [
        "cistern_requests_total{action=\"blob_get\",status=\"206\",served=\"joined\"} 2",
        "cistern_requests_total{action=\"ping\",status=\"200\",served=\"none\"} 1",
        "cistern_body_bytes_total{served=\"hit\"} 42",
        "cistern_body_bytes_total{served=\"miss\"} 0",
        "cistern_downloads_total{upstream=\"mcr.example\",outcome=\"complete\"} 1",
        "cistern_download_bytes_total{upstream=\"mcr.example\"} 7",
        "cistern_upstream_requests_total{upstream=\"mcr.example\",kind=\"blob_get\",outcome=\"ok\"} 1",
    ] {
        assert!(
            page.lines().any(|written| written == line),
            "{line} is not in\n{page}"
        );
    }
    let requests = page
        .lines()
        .filter(|line| line.starts_with("cistern_requests_total"))
        .count();
    assert_eq!(requests, 2, "combinations that never came are not written");
}

#[test]
fn every_label_stands_where_its_index_says() {
    fn check<L: Label + PartialEq>() {
        for (place, value) in L::ALL.iter().enumerate() {
            assert_eq!(value.index(), place, "{value:?}");
        }
    }
    check::<Action>();
    check::<StatusLabel>();
    check::<Served>();
    check::<UpstreamKind>();
    check::<LinkState>();
    check::<ProbeOutcome>();
    check::<UpstreamOutcome>();
}
