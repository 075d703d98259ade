//! Which names live here beside an upstream.

use super::*;
use crate::upstream::UpstreamOptions;

fn repositories(upstream: Option<&str>, hosted: &[&str]) -> Repositories {
    let upstream =
        upstream.map(|url| Upstream::new(UpstreamOptions::new(url.parse().unwrap())).unwrap());
    let hosted = hosted.iter().map(|text| text.parse().unwrap()).collect();
    Repositories::new(RepositoriesOptions {
        upstream: upstream.map(|upstream| Mirrored::new(upstream, ["up.example"])),
        hosted,
        ..RepositoriesOptions::default()
    })
}

/// Whether it lives here, and its name in the store.
fn found(repositories: &Repositories, name: &str, namespace: Option<&str>) -> (bool, String) {
    let found = repositories.find(&name.parse().unwrap(), namespace, None);
    match found.unwrap() {
        Repository::Hosted(hosted) => (true, hosted.name.to_string()),
        Repository::Mirror(mirror) => (false, mirror.name.to_string()),
    }
}

#[test]
fn what_lives_here_is_no_mirror_and_the_rest_is() {
    let cache = repositories(Some("https://up.example"), &["local/*", "edge"]);
    for (name, lives_here) in [("local/a/b", true), ("edge", true), ("edge/a", false)] {
        for namespace in [None, Some("up.example")] {
            let expected = (lives_here, name.to_owned());
            assert_eq!(found(&cache, name, namespace), expected);
        }
    }
    assert!(
        cache
            .find(&"edge".parse().unwrap(), Some("other.example"), None)
            .is_err()
    );
    assert_eq!(
        found(&repositories(None, &[]), "a", None),
        (true, "a".to_owned())
    );
}

#[test]
fn a_name_that_lives_here_beside_docker_hub_is_not_looked_for_among_its_official_images() {
    let hub = repositories(
        Some("https://registry-1.docker.io"),
        &["edge", "library/own*"],
    );
    assert_eq!(found(&hub, "edge", None), (true, "edge".to_owned()));
    assert_eq!(
        found(&hub, "nginx", None),
        (false, "library/nginx".to_owned())
    );
    for name in ["own", "library/own"] {
        assert_eq!(found(&hub, name, None), (true, "library/own".to_owned()));
    }
    assert_eq!(
        found(&hub, "library/edge", None),
        (false, "library/edge".to_owned())
    );
}
