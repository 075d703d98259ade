//! What names mean where several registries are mirrored.

use proptest::prelude::*;

use super::*;
use crate::upstream::UpstreamOptions;

fn upstream(url: &str) -> Upstream {
    Upstream::new(UpstreamOptions::new(url.parse().unwrap())).unwrap()
}

fn mirrored(url: &str) -> Mirrored {
    let upstream = upstream(url);
    let name = upstream.authority().to_owned();
    Mirrored::new(upstream, [name.as_str()])
}

fn prefix(text: &str, url: &str) -> Route {
    Route {
        matching: RouteMatch::Prefix(text.to_owned()),
        rewrite: None,
        to: mirrored(url),
    }
}

fn pattern(text: &str, url: &str) -> Route {
    Route {
        matching: RouteMatch::Pattern(text.parse().unwrap()),
        ..prefix("", url)
    }
}

fn rewritten(route: Route, rewrite: &str) -> Route {
    Route {
        rewrite: Some(rewrite.to_owned()),
        ..route
    }
}

fn cache(otherwise: Option<&str>, routes: Vec<Route>) -> Repositories {
    Repositories::new(RepositoriesOptions {
        upstream: otherwise.map(mirrored),
        routes,
        hosted: vec!["local/*".parse().unwrap()],
        own_names: vec!["gateway.example".to_owned()],
    })
}

/// `host name-there name-in-the-store`, or `here name`.
fn told(repository: &Repository) -> String {
    match repository {
        Repository::Hosted(hosted) => format!("here {}", hosted.name),
        Repository::Mirror(mirror) => format!(
            "{} {} {}",
            mirror.upstream.host(),
            mirror.name_there,
            mirror.name
        ),
    }
}

fn found(cache: &Repositories, name: &str, ns: Option<&str>) -> String {
    match cache.find(&name.parse().unwrap(), ns, None) {
        Ok(repository) => told(&repository),
        Err(error) => format!("not mirrored {}", error.namespace),
    }
}

const MCR: &str = "https://mcr.example";
const ACR: &str = "https://acr.example";
const HUB: &str = "https://registry-1.docker.io";

#[test]
fn the_longest_route_that_matches_counts_and_the_rest_goes_where_it_went() {
    let routes = vec![
        prefix("team/", "https://one.example"),
        prefix("team/app-", "https://two.example"),
        pattern("*/base", "https://three.example"),
        pattern("team/app-*", "https://four.example"),
        prefix("local/", "https://five.example"),
    ];
    let cache = cache(Some(ACR), routes);
    for (name, host) in [
        ("team/x", "one.example"),
        ("team/app-x", "two.example"),
        ("other/base", "three.example"),
        // Both have five letters: a prefix goes before a pattern.
        ("team/base", "one.example"),
        ("team", "acr.example"),
        ("x/team/y", "acr.example"),
    ] {
        assert_eq!(found(&cache, name, None), format!("{host} {name} {name}"));
    }
    assert_eq!(found(&cache, "local/x", None), "here local/x");
    assert_eq!(
        cache.route_of(&"team/app-x".parse().unwrap()),
        Some("team/app-*")
    );
    assert_eq!(cache.route_of(&"x".parse().unwrap()), None);
}

#[test]
fn without_a_remoteurl_what_no_route_takes_lives_here() {
    let cache = cache(None, vec![prefix("azureiotedge-", MCR)]);
    assert_eq!(
        found(&cache, "azureiotedge-agent", None),
        "mcr.example azureiotedge-agent azureiotedge-agent"
    );
    assert_eq!(found(&cache, "team/app", None), "here team/app");
    assert!(cache.is_cache() && cache.hosts(&"team/app".parse().unwrap()));
}

#[test]
fn a_rewrite_replaces_what_was_matched_and_what_becomes_no_name_is_not_taken() {
    let routes = vec![
        rewritten(prefix("edge/", ACR), "group/team/"),
        rewritten(prefix("x-", MCR), ""),
        rewritten(pattern("*/base", MCR), "mirror/"),
    ];
    let cache = cache(Some("https://rest.example"), routes);
    for (name, host, there) in [
        ("edge/app", "acr.example", "group/team/app"),
        ("x-app", "mcr.example", "app"),
        ("a/base", "mcr.example", "mirror/a/base"),
        ("x--app", "rest.example", "x--app"),
    ] {
        assert_eq!(found(&cache, name, None), format!("{host} {there} {name}"));
    }
}

#[test]
fn a_registry_that_a_client_names_is_asked_for_the_name_there() {
    let routes = vec![
        prefix("azureiotedge-", MCR),
        rewritten(prefix("edge/", "https://quay.example:5000"), "team/"),
    ];
    let cache = cache(Some(ACR), routes);
    for (name, ns, wanted) in [
        // The name here that leads there too is the one in the store.
        (
            "azureiotedge-agent",
            "mcr.example",
            "mcr.example azureiotedge-agent azureiotedge-agent",
        ),
        (
            "team/app",
            "quay.example:5000",
            "quay.example:5000 team/app edge/app",
        ),
        ("x", "ACR.example", "acr.example x x"),
        // Others are kept below their host.
        ("x", "mcr.example", "mcr.example x mcr.example/x"),
        (
            "x",
            "quay.example:5000",
            "quay.example:5000 x quay.example_5000/x",
        ),
        (
            "azureiotedge-agent",
            "acr.example",
            "acr.example azureiotedge-agent acr.example/azureiotedge-agent",
        ),
        (
            "local/x",
            "mcr.example",
            "mcr.example local/x mcr.example/local/x",
        ),
        ("local/x", "acr.example", "here local/x"),
        ("x", "else.example", "not mirrored else.example"),
        (
            "azureiotedge-agent",
            "gateway.example:443",
            "mcr.example azureiotedge-agent azureiotedge-agent",
        ),
    ] {
        assert_eq!(found(&cache, name, Some(ns)), wanted, "{name} at {ns}");
    }
    // The name in the store means the same again.
    assert_eq!(
        found(&cache, "mcr.example/x", None),
        "mcr.example x mcr.example/x"
    );
}

#[test]
fn an_image_of_a_manifest_is_found_by_placeholder_by_our_name_and_by_its_registry() {
    let cache = cache(Some(ACR), vec![prefix("azureiotedge-", MCR)]);
    let name = "azureiotedge-hub".parse().unwrap();
    let of = |host: Option<&str>| cache.of_image(host, &name).map(|found| told(&found));
    let here = "mcr.example azureiotedge-hub azureiotedge-hub";
    for host in [
        None,
        Some("$upstream:443"),
        Some("{parent}:443"),
        Some("gateway.example:8000"),
        Some("mcr.example"),
    ] {
        assert_eq!(of(host).unwrap(), here, "{host:?}");
    }
    assert_eq!(
        of(Some("acr.example")).unwrap(),
        "acr.example azureiotedge-hub acr.example/azureiotedge-hub"
    );
    assert!(of(Some("else.example")).is_err());
}

#[test]
fn docker_hub_has_its_library_whether_it_is_a_route_or_not() {
    let hub = Route {
        to: Mirrored::new(upstream(HUB), ["docker.io", "registry-1.docker.io"]),
        ..prefix("nginx", HUB)
    };
    let cache = cache(Some(ACR), vec![hub]);
    let nginx = "registry-1.docker.io library/nginx nginx";
    assert_eq!(found(&cache, "nginx", None), nginx);
    assert_eq!(found(&cache, "nginx", Some("docker.io")), nginx);
    assert_eq!(found(&cache, "library/nginx", Some("docker.io")), nginx);
    assert_eq!(
        found(&cache, "library/nginx", None),
        "acr.example library/nginx library/nginx"
    );
    assert_eq!(
        found(&cache, "busybox", Some("docker.io")),
        "registry-1.docker.io library/busybox registry-1.docker.io/library/busybox"
    );
}

#[test]
fn one_upstream_alone_keeps_every_name_as_it_was() {
    let cache = cache(Some(ACR), Vec::new());
    assert_eq!(
        found(&cache, "acr.example/x", None),
        "acr.example acr.example/x acr.example/x"
    );
}

#[test]
fn a_host_becomes_the_first_part_of_a_name() {
    for (host, wanted) in [
        ("quay.example", "quay.example"),
        ("127.0.0.2:5001", "127.0.0.2_5001"),
        ("parent", "parent_443"),
    ] {
        assert_eq!(component(host), wanted);
    }
    for host in [
        "[::1]:5000",
        "acr.example (team/*)",
        "a_b.example",
        "acr.example/prefix",
    ] {
        let part = component(host);
        assert!(part.starts_with("h-") && format!("{part}/x").parse::<RepositoryName>().is_ok());
    }
}

const HOSTS: [&str; 4] = [MCR, ACR, "https://mcr.example:5000", HUB];

fn any_route() -> impl Strategy<Value = Route> {
    let texts = prop::sample::select(vec![
        "a",
        "a/",
        "b-",
        "mcr.example/",
        "library/",
        "a/b",
        "mcr.example_5000/",
    ]);
    let rewrite = prop::option::of(prop::sample::select(vec!["", "a/", "b-", "library/"]));
    let host = prop::sample::select(HOSTS.to_vec());
    (texts, any::<bool>(), rewrite, host).prop_map(|(text, is_prefix, rewrite, host)| {
        let route = if is_prefix {
            prefix(text, host)
        } else {
            pattern(&format!("*{}", text.trim_end_matches(['/', '-'])), host)
        };
        Route {
            rewrite: rewrite.map(str::to_owned),
            ..route
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_two_repositories_of_registries_share_a_name_in_the_store(
        routes in prop::collection::vec(any_route(), 0..5),
        otherwise in prop::option::of(prop::sample::select(HOSTS.to_vec())),
        names in prop::collection::vec("(mcr[.]example/|mcr[.]example_5000/|library/|local/)?[ab](/|-)?[ab](/[ab])?", 1..12),
    ) {
        let cache = cache(otherwise, routes);
        let hosts = [None, Some("mcr.example"), Some("acr.example"), Some("mcr.example:5000"), Some("registry-1.docker.io")];
        let mut kept = std::collections::HashMap::new();
        for name in &names {
            for ns in hosts {
                let Ok(found) = cache.find(&name.parse().unwrap(), ns, None) else { continue };
                let stored = found.name().clone();
                let again = cache.find(&stored, None, None).unwrap();
                prop_assert_eq!(told(&again), told(&found), "{} at {:?}", name, ns);
                let before = kept.insert(stored, told(&found));
                prop_assert!(before.is_none_or(|before| before == told(&found)));
            }
        }
    }
}
