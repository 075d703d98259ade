//! What proxies do to answers on their way down: nothing that a child needs is lost, and nothing names a host that the child cannot reach.

use std::time::Duration;

use cistern_tests::caller::{Answered, get, head};
use cistern_tests::hierarchy::{AGENT, Cut, Hierarchy, LARGE, Plan};
use cistern_tests::images::OCI_INDEX;
use cistern_tests::need;
use cistern_tests::need::heavy;

/// Longer than anything may take that does not wait for a link.
const PATIENCE: Duration = Duration::from_secs(40);

async fn ask(hierarchy: &Hierarchy, path: &str) -> Answered {
    let call = get(path).header("Accept", OCI_INDEX).patience(PATIENCE);
    hierarchy.puller().call(call).await
}

fn manifest(image: &str) -> String {
    let (repository, tag) = image.split_once(':').unwrap();
    format!("/v2/{repository}/manifests/{tag}")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_top_says_of_an_answer_comes_down_through_every_proxy() {
    need!(
        "network namespaces",
        "nginx",
        "docker-registry",
        "htpasswd",
        "static busybox"
    );
    let _alone = heavy().await;
    let plan = Plan {
        top: vec![("REGISTRY_PROXY_CHECKEVERY", "1ms".to_owned())],
        ..Plan::default()
    };
    let mut hierarchy = Hierarchy::build(plan).await;
    let path = manifest(AGENT);
    let fresh = ask(&hierarchy, &path).await;
    assert_eq!(fresh.status, 200, "{}", fresh.text());
    assert_eq!(fresh.header("warning"), None);
    assert_eq!(
        fresh.header("docker-content-digest"),
        Some(hierarchy.images.agent.digest())
    );
    assert!(fresh.header("via").is_some(), "{:?}", fresh.headers);

    hierarchy.uplink.cut(Cut::Down);
    let stale = ask(&hierarchy, &path).await;
    assert_eq!(stale.body, fresh.body);
    let warning = stale.header("warning").unwrap_or_default();
    assert!(
        warning.starts_with("110") || warning.starts_with("299"),
        "{:?}",
        stale.headers
    );
    assert!(stale.header("age").is_some(), "{:?}", stale.headers);
    assert!(stale.header("via").is_some());

    let absent = ask(&hierarchy, &manifest("azureiotedge-agent:9.9")).await;
    assert_eq!(
        (absent.status, absent.error_code()),
        (503, "UNAVAILABLE".to_owned())
    );
    let seconds = absent.header("retry-after").unwrap().parse::<u64>();
    assert!(seconds.is_ok_and(|seconds| seconds > 0));
    assert!(absent.text().contains("cloud.example"), "{}", absent.text());
    hierarchy.uplink.mend();

    // A gateway whose Cistern is away: nginx speaks for it, in its own words.
    let cache = hierarchy.top.cache.as_mut().unwrap();
    cache.stop().await;
    let spoken_for = ask(&hierarchy, &path).await;
    assert_eq!(spoken_for.status, 502);
    assert!(
        spoken_for.text().starts_with("<html>"),
        "{}",
        spoken_for.text()
    );
    let cache = hierarchy.top.cache.as_mut().unwrap();
    cache.start().await;
    assert_eq!(ask(&hierarchy, &path).await.body, fresh.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_names_a_host_that_a_child_cannot_reach_and_no_blob_lies_on_the_disk_of_the_nearest_proxy()
 {
    need!(
        "network namespaces",
        "nginx",
        "docker-registry",
        "htpasswd",
        "static busybox"
    );
    let _alone = heavy().await;
    let hierarchy = Hierarchy::build(Plan::default()).await;
    let device = hierarchy.puller();
    let size = hierarchy.images.large.blob_bytes();
    assert_eq!(device.pull(LARGE).await, Ok(size));

    // A child that reads nothing for a while: whoever stands between must not swallow the blob meanwhile.
    let layer = hierarchy.images.large.largest_blob();
    let path = format!("/v2/plant/vision/blobs/{}", layer.digest);
    let slow = get(&path)
        .from(&hierarchy.middle.namespace)
        .trusting(&hierarchy.bundle());
    let mut opened = slow.open(&hierarchy.top.host()).await.unwrap();
    opened.read(1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(
        !hierarchy.top.proxy.has_spooled(),
        "{}",
        hierarchy.top.proxy.log()
    );
    assert_eq!(
        opened.header("x-accel-buffering"),
        None,
        "nginx keeps it for itself"
    );
    drop(opened);

    let tags = device.call(get("/v2/plant/vision/tags/list?n=1")).await;
    let blob = device.call(head(&path)).await;
    let listed = device.call(get("/v2/_catalog?n=1")).await;
    for answer in [&tags, &blob, &listed] {
        for name in ["location", "link", "www-authenticate"] {
            let value = answer.header(name).unwrap_or_default();
            let elsewhere = ["http:", "https:", "cloud", "registry:5000", "//", "10."];
            assert!(
                !elsewhere.iter().any(|host| value.contains(host)),
                "{name}: {value}"
            );
        }
    }
    assert_eq!((tags.status, blob.status), (200, 200));
}
