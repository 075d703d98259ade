//! wrk, for many small answers.

use std::path::Path;
use std::time::Duration;

use cistern_tests::{need, process};

use crate::reader::ACCEPT;

/// Requests per second that `url` bears over `connections` connections.
///
/// # Panics
/// When any answer was not a success, or a connection broke.
pub(crate) fn requests_per_second(
    runtime: &tokio::runtime::Runtime,
    url: &str,
    connections: usize,
    seconds: u64,
) -> f64 {
    let arguments = [
        "-t2".to_owned(),
        format!("-c{connections}"),
        format!("-d{seconds}s"),
        "-H".to_owned(),
        format!("Accept: {ACCEPT}"),
        url.to_owned(),
    ];
    let folder = std::env::temp_dir();
    let launch = process::launch(need::program("wrk"), Path::new(&folder), arguments);
    let limit = Duration::from_secs(seconds + 30);
    let said = runtime.block_on(process::run(&launch, limit)).well();
    assert!(
        !said.contains("Non-2xx") && !said.contains("Socket errors"),
        "{url}:\n{said}"
    );
    let figure = said
        .lines()
        .find_map(|line| line.strip_prefix("Requests/sec:"));
    figure
        .and_then(|figure| figure.trim().parse().ok())
        .expect("a figure of wrk's")
}
