//! Cistern itself becomes another version, by its own image, in a plant where it is what images come through.

use cistern_tests::edge_agent::{EdgeAgent, Patience, Trouble};
use cistern_tests::hierarchy::{CISTERN, Cut, Hierarchy, NEW_CISTERN, Plan};
use cistern_tests::need;
use cistern_tests::need::heavy;

const MODULE: &str = "registry";
const FASTER: u32 = 5;

#[tokio::test(flavor = "multi_thread")]
async fn the_top_layer_pulls_its_registry_from_the_cloud_and_has_both_versions_when_the_link_drops_in_between()
 {
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
    let hierarchy = Hierarchy::build(Plan::default()).await;
    let docker = hierarchy.docker_of_the_top().await;
    let [old, new] = [CISTERN, NEW_CISTERN].map(|image| hierarchy.name_in_the_cloud(image));
    docker.pull(&old).await.well();
    let agent = EdgeAgent::new(&docker, Patience::times_faster(FASTER));
    agent.start(MODULE, &old).await;
    docker.pull(&new).await.well();
    let log = hierarchy.top.cache().log();
    assert!(
        !log.contains("plant/cistern"),
        "it was pulled through itself:\n{log}"
    );

    // Between the removal of the old container and the second pull the link drops: the module is gone, as on the real device.
    let dies = || hierarchy.uplink.cut(Cut::Down);
    let trouble = agent.replace(MODULE, &new, dies).await.unwrap_err();
    assert!(matches!(trouble, Trouble::Refused(500, _)), "{trouble:?}");
    assert_eq!(agent.image_of(MODULE).await, None);
    // The way back needs nobody: both versions are on the device.
    for image in [&new, &old] {
        agent.start(MODULE, image).await;
        assert_eq!(agent.image_of(MODULE).await.as_ref(), Some(image));
        docker.run(&["rm", "--force", MODULE]).await.well();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lower_layer_pulls_its_registry_from_its_parent_which_serves_both_versions_when_the_link_drops_in_between()
 {
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
    let hierarchy = Hierarchy::build(Plan::default()).await;
    let docker = hierarchy.docker().await;
    let [old, new] = [CISTERN, NEW_CISTERN].map(|image| hierarchy.name_of(image));
    let agent = EdgeAgent::new(&docker, Patience::times_faster(FASTER));
    assert_eq!(agent.prepare(&old, 1).await, Ok(vec![]));
    agent.start(MODULE, &old).await;
    assert_eq!(agent.prepare(&new, 1).await, Ok(vec![]));
    let dies = || hierarchy.uplink.cut(Cut::Silent);
    assert_eq!(agent.replace(MODULE, &new, dies).await, Ok(()));
    assert_eq!(agent.image_of(MODULE).await, Some(new.clone()));
    // Back to the old one, on a device that has lost both, and still without the uplink.
    docker.run(&["rm", "--force", MODULE]).await.well();
    for image in [&old, &new] {
        docker.forget_images().await;
        assert_eq!(agent.replace(MODULE, image, || ()).await, Ok(()));
        assert_eq!(agent.image_of(MODULE).await.as_ref(), Some(image));
        docker.run(&["rm", "--force", MODULE]).await.well();
    }
    // When it is the parent that is away, what is on the device starts all the same.
    hierarchy.lower.cut(Cut::Down);
    let trouble = agent.replace(MODULE, &old, || ()).await.unwrap_err();
    assert!(matches!(trouble, Trouble::Refused(500, _)), "{trouble:?}");
    agent.start(MODULE, &new).await;
    assert_eq!(agent.image_of(MODULE).await, Some(new));
}
