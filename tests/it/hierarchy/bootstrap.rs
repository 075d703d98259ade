//! What a gateway fetches before any child has asked for it.

use cistern_tests::caller::get;
use cistern_tests::hierarchy::{AGENT, CISTERN, Cut, Hierarchy, NEW_CISTERN, Plan};
use cistern_tests::need;
use cistern_tests::need::heavy;

use super::pull_and_run;
use crate::common::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_pull_of_a_child_works_although_the_uplink_was_cut_before_any_child_asked() {
    need!(
        "network namespaces",
        "nginx",
        "docker-registry",
        "htpasswd",
        "static busybox",
        "dockerd",
        "docker",
        "containerd",
        "runc"
    );
    let _alone = heavy().await;
    let bootstrap = [AGENT, CISTERN, NEW_CISTERN].join(",");
    let hierarchy = Hierarchy::build(Plan {
        top: vec![
            ("REGISTRY_EDGE_BOOTSTRAP", bootstrap),
            ("REGISTRY_EDGE_REQUIREBOOTSTRAP", "true".to_owned()),
        ],
        ..Plan::default()
    })
    .await;
    let is_ready = async || {
        let call = get("/readyz").from(&hierarchy.top.namespace);
        call.send("127.0.0.5:5000").await.status == 200
    };
    cistern_tests::eventually("the bootstrap set", SOON, is_ready).await;
    hierarchy.uplink.cut(Cut::Silent);
    let docker = hierarchy.docker().await;
    pull_and_run(&docker, &hierarchy, &[AGENT, CISTERN, NEW_CISTERN], "cold").await;
}
