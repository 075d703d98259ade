//! edgeAgent's impatience: it gives a pull five minutes, and throws the rest away. Its times are divided here, by thirty or by five: each test says.

use std::time::Duration;

use cistern_tests::caller::get;
use cistern_tests::edge_agent::{EdgeAgent, Patience, Trouble};
use cistern_tests::hierarchy::{AGENT, Cut, Hierarchy, LARGE, Plan};
use cistern_tests::images::OCI_INDEX;
use cistern_tests::need;
use cistern_tests::need::heavy;

/// A pull may take ten seconds, a head two.
const FASTER: u32 = 30;

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_takes_longer_than_edge_agent_waits_arrives_for_one_copy_and_is_replaced_without_the_uplink()
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
    let agent = EdgeAgent::new(&docker, Patience::times_faster(FASTER));
    let (size, name) = (
        hierarchy.images.large.blob_bytes() as u64,
        hierarchy.name_of(LARGE),
    );
    // More than two of its pulls long, and each of the large layers, three at a time, is longer than one.
    hierarchy.uplink.throttle(Some(size / 24));
    let before = hierarchy.uplink.came_down();
    let troubles = agent.prepare(&name, 8).await.unwrap();
    let log = hierarchy.top.cache().log();
    assert!((2..=5).contains(&troubles.len()), "{troubles:?}\n{log}");
    assert!(
        troubles.iter().all(|trouble| *trouble == Trouble::TooSlow),
        "{troubles:?}\n{log}"
    );
    let paid = hierarchy.uplink.came_down() - before;
    assert!(
        (size..size + size / 10).contains(&paid),
        "{paid} bytes for {size}\n{log}"
    );

    let dies = || hierarchy.uplink.cut(Cut::Silent);
    let replaced = agent.replace("vision", &name, dies).await;
    assert_eq!(replaced, Ok(()), "{}", hierarchy.top.cache().log());
    assert_eq!(agent.image_of("vision").await, Some(name));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_absent_waits_for_the_plan_and_what_is_away_is_tried_again_at_once() {
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
    let hierarchy = Hierarchy::build(Plan {
        top: vec![("REGISTRY_PROXY_CHECKEVERY", "1ms".to_owned())],
        ..Plan::default()
    })
    .await;
    let docker = hierarchy.docker().await;
    let agent = EdgeAgent::new(&docker, Patience::times_faster(5));
    let known = async || {
        let path = format!("/v2/{}", AGENT.replace(':', "/manifests/"));
        let call = get(&path).header("Accept", OCI_INDEX);
        assert_eq!(hierarchy.puller().call(call).await.status, 200);
    };
    known().await;
    let absent = hierarchy.name_of("plant/vision:9.9");
    let troubles = agent.prepare(&absent, 1).await.unwrap_err();
    let [Trouble::Refused(404, said)] = &troubles[..] else {
        panic!("{troubles:?}");
    };
    assert!(
        said.contains("manifest unknown") || said.contains("not found"),
        "{said}"
    );

    hierarchy.uplink.cut(Cut::Down);
    // Served unconfirmed: from now on the top knows that the link is away. Until then a question that only the cloud can answer may wait for it
    // up to 55 s, which is within the real device's minute, but not within a fifth of it.
    known().await;
    let troubles = agent
        .prepare(&hierarchy.name_of(LARGE), 1)
        .await
        .unwrap_err();
    assert_eq!(
        troubles.len(),
        4,
        "{troubles:?}\n{}",
        hierarchy.top.cache().log()
    );
    for trouble in &troubles {
        let Trouble::Refused(500, said) = trouble else {
            panic!("{trouble:?}");
        };
        // What the technician reads on the device names the host that could not be reached.
        assert!(said.contains("cloud.example"), "{said}");
    }
    hierarchy.uplink.mend();
    cistern_tests::eventually("the pull", Duration::from_secs(60), || async {
        agent.pull(&hierarchy.name_of(LARGE)).await == Ok(())
    })
    .await;
}
