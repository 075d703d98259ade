//! Several registries behind one port (`proxy.routes`): each gets what it is asked for and nobody else's credentials, and one that
//! is away takes nothing of the others with it.

use cistern_tests::caller::{get, head};
use cistern_tests::cistern::{hosted, mirror_of};
use cistern_tests::distribution;
use cistern_tests::eventually;
use cistern_tests::images::{Image, image};
use cistern_tests::pusher::Pusher;
use cistern_tests::registry::{Registry, RegistryBuilder};
use cistern_tests::scripted_upstream::{Protection, ScriptedUpstream};

use crate::common::{SOON, assert_manifest, manifest_path, pull, pull_and_keep};
use crate::status::{cistern, store_of};

const AGENT: &str = "azureiotedge-agent";
const APP: &str = "team/app";

fn picture(seed: u64) -> Image {
    image().random_layers(seed, 2, 5000).build()
}

/// A route by variables alone.
fn route(cache: RegistryBuilder, number: usize, keys: &[(&str, &str)]) -> RegistryBuilder {
    keys.iter().fold(cache, |cache, (key, value)| {
        cache.set(&format!("REGISTRY_PROXY_ROUTES_{number}_{key}"), value)
    })
}

/// A cache of `rest`, whose names that begin with `azureiotedge-` come from `public`.
async fn cache_of(public: &ScriptedUpstream, rest: &ScriptedUpstream) -> RegistryBuilder {
    route(
        mirror_of(&rest.url()),
        0,
        &[("PREFIX", "azureiotedge-"), ("REMOTEURL", &public.url())],
    )
}

async fn two() -> (ScriptedUpstream, Image, ScriptedUpstream, Image) {
    let (public, rest) = (
        ScriptedUpstream::start().await,
        ScriptedUpstream::start().await,
    );
    let (agent, app) = (picture(1), picture(2));
    public.hold(&agent, AGENT, &["1.5"]);
    rest.hold(&app, APP, &["v1"]);
    (public, agent, rest, app)
}

async fn top(cache: &Registry, repository: &str, query: &str) -> (u16, String) {
    let path = format!("{}{query}", manifest_path(repository, "v1"));
    let answer = get(&path).send(&cache.host()).await;
    (answer.status, answer.text())
}

#[tokio::test]
async fn public_images_come_from_one_registry_and_the_rest_from_a_private_one_by_variables_alone() {
    let public = ScriptedUpstream::start().await;
    let private = distribution::hosted()
        .htpasswd("cache", "s3cret")
        .start()
        .await;
    let (agent, app) = (picture(1), picture(2));
    public.hold(&agent, AGENT, &["1.5"]);
    let pusher = Pusher::to(&private.host()).login("cache", "s3cret");
    pusher.image(&app, APP, &["v1"]).await;
    let cache = mirror_of(&private.url())
        .set("REGISTRY_PROXY_USERNAME", "cache")
        .set("REGISTRY_PROXY_PASSWORD", "s3cret");
    let keys = [("PREFIX", "azureiotedge-"), ("REMOTEURL", &*public.url())];
    let cache = route(cache, 0, &keys).start().await;
    pull(&cache, AGENT, "1.5", &agent).await;
    pull(&cache, APP, "v1", &app).await;
    for request in public.requests() {
        assert_eq!(request.header("Authorization"), None, "{}", request.path);
        assert!(!request.path.contains("team"), "{}", request.path);
    }
    assert!(public.count("GET", "/v2/*/manifests/*") > 0);
    assert!(!cache.log().contains("s3cret"));
}

#[tokio::test]
async fn the_credentials_of_a_route_are_shown_to_its_registry_alone() {
    let (public, agent, rest, app) = two().await;
    public.protect(Protection::basic("edge", "r0ute"));
    rest.protect(Protection::basic("rest", "0ther"));
    let cache = cache_of(&public, &rest).await;
    let cache = route(cache, 0, &[("USERNAME", "edge"), ("PASSWORD", "r0ute")])
        .set("REGISTRY_PROXY_USERNAME", "rest")
        .set("REGISTRY_PROXY_PASSWORD", "0ther")
        .start()
        .await;
    pull(&cache, AGENT, "1.5", &agent).await;
    pull(&cache, APP, "v1", &app).await;
    let shown = |upstream: &ScriptedUpstream| {
        let mut shown: Vec<_> = upstream
            .requests()
            .iter()
            .filter_map(|request| request.header("Authorization").map(str::to_owned))
            .collect();
        shown.sort();
        shown.dedup();
        shown
    };
    let (at_public, at_rest) = (shown(&public), shown(&rest));
    assert_eq!((at_public.len(), at_rest.len()), (1, 1));
    assert_ne!(at_public, at_rest);
}

#[tokio::test]
async fn a_registry_that_is_away_takes_nothing_of_the_others_with_it() {
    let (public, agent, rest, app) = two().await;
    let cache = cache_of(&public, &rest).await;
    let cache = cache.set("REGISTRY_PROXY_CHECKEVERY", "1ms").start().await;
    rest.stop().await;
    pull(&cache, AGENT, "1.5", &agent).await;
    assert_eq!(
        head(&manifest_path(APP, "v1"))
            .send(&cache.host())
            .await
            .status,
        503
    );
    rest.start_again().await;
    eventually("the other one is back", SOON, || async {
        get(&manifest_path(APP, "v1"))
            .send(&cache.host())
            .await
            .status
            == 200
    })
    .await;
    pull_and_keep(&cache, APP, "v1", &app).await;
    public.stop().await;
    let answer = get(&manifest_path(AGENT, "1.5")).send(&cache.host()).await;
    assert_manifest(&answer, agent.top());
    assert!(answer.header("Warning").is_some(), "served unconfirmed");
    let answer = get(&manifest_path(APP, "v1")).send(&cache.host()).await;
    assert_eq!((answer.status, answer.header("Warning")), (200, None));
    let ready = get("/readyz").send(&cache.host()).await.json();
    let state = |host: &str| {
        let upstreams = ready["upstreams"].as_array().unwrap();
        let found = upstreams
            .iter()
            .find(|upstream| upstream["upstream"] == host);
        found.unwrap()["state"].clone()
    };
    assert_ne!(state(&public.host()), "online");
    assert_eq!(state(&rest.host()), "online");
}

#[tokio::test]
async fn a_rewritten_name_is_asked_for_as_it_is_called_there() {
    let upstream = ScriptedUpstream::start().await;
    let app = picture(3);
    upstream.hold(&app, "group/project/app", &["v1"]);
    let keys = [
        ("PREFIX", "edge/"),
        ("REMOTEURL", &*upstream.url()),
        ("REWRITE", "group/project/"),
    ];
    let cache = route(hosted(), 0, &keys).start().await;
    pull(&cache, "edge/app", "v1", &app).await;
    let tags = get("/v2/edge/app/tags/list")
        .send(&cache.host())
        .await
        .json();
    assert_eq!(
        (&tags["name"], &tags["tags"][0]),
        (&"edge/app".into(), &"v1".into())
    );
    let by_ns = get(&format!(
        "/v2/group/project/app/manifests/v1?ns={}",
        upstream.host()
    ));
    let before = upstream.count("GET", "/v2/*");
    assert_manifest(&by_ns.send(&cache.host()).await, app.top());
    assert_eq!(
        upstream.count("GET", "/v2/*"),
        before,
        "it is the same repository"
    );
}

#[tokio::test]
async fn the_same_name_of_two_registries_is_two_repositories() {
    let (public, _, rest, _) = two().await;
    let (one, other) = (picture(4), picture(5));
    public.hold(&one, "same", &["v1"]);
    rest.hold(&other, "same", &["v1"]);
    let cache = cache_of(&public, &rest).await;
    let cache = cache.set("REGISTRY_PROXY_CHECKEVERY", "1h").start().await;
    let at = |upstream: &ScriptedUpstream| format!("?ns={}", upstream.host());
    let text = |image: &Image| String::from_utf8_lossy(&image.top().bytes).into_owned();
    for _ in 0..2 {
        assert_eq!(top(&cache, "same", &at(&public)).await, (200, text(&one)));
        assert_eq!(top(&cache, "same", &at(&rest)).await, (200, text(&other)));
        assert_eq!(top(&cache, "same", "").await, (200, text(&other)));
    }
    let kept = format!("{}/same", public.host().replace(':', "_"));
    assert_eq!(top(&cache, &kept, "").await, (200, text(&one)));
    // What one registry has is not another's by its digest either.
    let digest = manifest_path("same", one.digest());
    assert_eq!(get(&digest).send(&cache.host()).await.status, 404);
    assert_eq!(top(&cache, "same", "?ns=else.example").await.0, 404);
}

#[tokio::test]
async fn beside_routes_alone_the_rest_lives_here_and_is_written_to_from_this_machine() {
    let (public, agent, _rest, app) = two().await;
    let keys = [("PREFIX", "azureiotedge-"), ("REMOTEURL", &*public.url())];
    let cache = route(hosted(), 0, &keys).start().await;
    Pusher::to(&cache.host()).image(&app, APP, &["v1"]).await;
    pull(&cache, APP, "v1", &app).await;
    pull(&cache, AGENT, "1.5", &agent).await;
    let refused = Pusher::to(&cache.host()).begin(AGENT).await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (405, "UNSUPPORTED")
    );
}

#[tokio::test]
async fn a_name_that_goes_to_another_registry_after_a_restart_is_asked_for_there_first() {
    let (public, _, rest, app) = two().await;
    let moved = picture(6);
    public.hold(&moved, APP, &["v1"]);
    let cache = cache_of(&public, &rest).await;
    let mut cache = cache.set("REGISTRY_PROXY_CHECKEVERY", "1h").start().await;
    pull_and_keep(&cache, APP, "v1", &app).await;
    cache.set("REGISTRY_PROXY_ROUTES_1_PREFIX", "team/");
    cache.set("REGISTRY_PROXY_ROUTES_1_REMOTEURL", &public.url());
    cache.restart().await;
    let answer = get(&manifest_path(APP, "v1")).send(&cache.host()).await;
    assert_manifest(&answer, moved.top());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unused_goes_only_of_registries_that_answer() {
    let (public, agent, rest, app) = two().await;
    let cache = cache_of(&public, &rest).await;
    let cache = cache.set("REGISTRY_PROXY_TTL", "4s").start().await;
    pull_and_keep(&cache, AGENT, "1.5", &agent).await;
    pull_and_keep(&cache, APP, "v1", &app).await;
    rest.stop().await;
    eventually("expiring what can be fetched again", SOON, || async {
        cache.store().tag(AGENT, "1.5").is_none()
            && !cache.store().blob_file(agent.digest()).is_file()
    })
    .await;
    assert_eq!(cache.store().tag(APP, "v1").as_deref(), Some(app.digest()));
    for item in app.blobs.iter().chain(&app.manifests) {
        assert!(cache.store().blob_file(&item.digest).is_file());
    }
}

#[tokio::test]
async fn a_cache_below_one_with_routes_needs_none_of_its_own() {
    let (public, agent, rest, app) = two().await;
    let above = cache_of(&public, &rest).await.start().await;
    let below = mirror_of(&above.url()).start().await;
    pull(&below, AGENT, "1.5", &agent).await;
    pull(&below, APP, "v1", &app).await;
    let far = picture(7);
    public.hold(&far, "other", &["v1"]);
    let kept = format!("{}/other", public.host().replace(':', "_"));
    pull(&below, &kept, "v1", &far).await;
}

#[tokio::test]
async fn status_and_explain_say_which_registry_an_image_comes_from_and_why() {
    let (public, agent, rest, app) = two().await;
    let cache = cache_of(&public, &rest).await.start().await;
    pull_and_keep(&cache, AGENT, "1.5", &agent).await;
    pull_and_keep(&cache, APP, "v1", &app).await;
    let [option, store] = store_of(&cache);
    let told = async |arguments: &[&str]| {
        let mut arguments = arguments.to_vec();
        arguments.extend([option, store]);
        cistern(&arguments).await.well()
    };
    let status = told(&["status"]).await;
    assert!(
        status.contains("mirrored from it: azureiotedge-*"),
        "{status}"
    );
    assert!(status.contains("mirrored from it: the rest"), "{status}");
    let image = format!("{AGENT}:1.5");
    let explained = told(&["explain", &image]).await;
    let wanted = format!(
        "mirror of {}/{AGENT}, by the route azureiotedge-*",
        public.host()
    );
    assert!(explained.contains(&wanted), "{explained}");
    let explained = told(&["explain", "team/app:v1"]).await;
    assert!(!explained.contains("by the route"), "{explained}");
}
