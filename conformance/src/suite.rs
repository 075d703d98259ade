//! One run of the suite against one registry.

use std::time::Duration;

use cistern_tests::process::{launch, run};
use cistern_tests::registry::Registry;

use crate::options::Options;
use crate::report::Report;

/// Longer than any run takes that comes to an end.
const LIMIT: Duration = Duration::from_mins(5);

/// Runs it with these settings, `OCI_` left out of their names. What it printed follows its report, for who looks for a reason.
pub(crate) async fn run_against(
    registry: &Registry,
    settings: &[(&str, String)],
    options: &Options,
) -> (Report, String) {
    let folder = tempfile::Builder::new()
        .prefix("cistern-conformance-")
        .tempdir()
        .unwrap();
    let mut launch = launch::<&str>(options.suite.clone(), folder.path(), []);
    let fixed = [
        ("REGISTRY", registry.host()),
        ("TLS", "disabled".to_owned()),
        (
            "RESULTS_DIR",
            folder.path().join("results").display().to_string(),
        ),
        ("LOG", "error".to_owned()),
    ];
    launch.environment = fixed
        .iter()
        .chain(settings)
        .map(|(name, value)| (format!("OCI_{name}"), value.clone()))
        .collect();
    let ran = run(&launch, LIMIT).await;
    (Report::read(&ran.output), ran.output)
}
