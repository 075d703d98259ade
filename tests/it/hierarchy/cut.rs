//! Links that fail in the middle of something.

use cistern_tests::hierarchy::{Cut, Hierarchy, LARGE, Plan};
use cistern_tests::need;
use cistern_tests::need::heavy;

use crate::common::SOON;

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_the_uplink_left_in_the_middle_goes_on_when_it_is_back_and_pays_nothing_twice()
{
    need!(
        "network namespaces",
        "slow links",
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
    let hierarchy = Hierarchy::build(Plan::default()).await;
    let docker = hierarchy.docker().await;
    let size = hierarchy.images.large.blob_bytes() as u64;
    let before = hierarchy.uplink.came_down();
    let came = || hierarchy.uplink.came_down() - before;
    hierarchy.uplink.throttle(Some(6 << 20));
    let name = hierarchy.name_of(LARGE);
    let breaks = async {
        for (cut, part) in [(Cut::Down, 4), (Cut::Silent, 2)] {
            cistern_tests::eventually("a part of it", SOON, || async { came() > size / part })
                .await;
            hierarchy.uplink.cut(cut);
            tokio::time::sleep(std::time::Duration::from_secs(2)).await;
            hierarchy.uplink.mend();
        }
    };
    let (pulled, ()) = tokio::join!(docker.pull(&name), breaks);
    pulled.well();
    let paid = came();
    assert!(
        (size..size + size / 8).contains(&paid),
        "{paid} bytes for {size}\n{}",
        hierarchy.top.cache().log()
    );
}
