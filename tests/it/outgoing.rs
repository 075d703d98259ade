//! The way to the upstream: through the proxy that the environment names, by certificates that the operator trusts.

use cistern_tests::caller::get;
use cistern_tests::cistern::mirror_of;
use cistern_tests::images::{Image, image};
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Protection, ScriptedUpstream, TokenDesk};

use crate::scene::{
    REPOSITORY, SOON, TAG, TAG_PATH, assert_refused, assert_served, blob, cache_of, upstream,
};
use crate::tunnel::Tunnel;

/// A name that no resolver knows: only a proxy can lead to it.
const NAME: &str = "registry.inside.example.invalid";

async fn secure() -> (ScriptedUpstream, Image) {
    let upstream = ScriptedUpstream::start_tls().await;
    let image = image().random_layers(1, 2, 20_000).build();
    upstream.hold(&image, REPOSITORY, &[TAG]);
    (upstream, image)
}

async fn assert_pulls(cache: &Registry, image: &Image) {
    let ask = async |path: &str| get(path).send(&cache.host()).await;
    assert_served(&ask(TAG_PATH).await, &image.top().bytes);
    for layer in &image.blobs {
        assert_served(&ask(&blob(&layer.digest)).await, &layer.bytes);
    }
}

#[tokio::test]
async fn https_proxy_leads_to_an_upstream_that_nothing_else_leads_to() {
    for variable in ["https_proxy", "HTTPS_PROXY"] {
        let (upstream, image) = secure().await;
        let tunnel = Tunnel::to(upstream.address()).await;
        let cache = mirror_of(&format!("https://{NAME}"))
            .set(variable, &tunnel.url())
            .set("REGISTRY_PROXY_INSECURE", "true")
            .start()
            .await;
        assert_pulls(&cache, &image).await;
        let asked = tunnel.asked();
        assert!(!asked.is_empty() && asked.iter().all(|place| *place == format!("{NAME}:443")));
    }
}

#[tokio::test]
async fn a_proxy_without_a_scheme_and_with_a_password_is_understood() {
    let (upstream, image) = secure().await;
    let tunnel = Tunnel::to(upstream.address()).await;
    let address = tunnel.url_with("me", "pencil");
    let cache = mirror_of(&format!("https://{NAME}"))
        .set("https_proxy", address.trim_start_matches("http://"))
        .set("REGISTRY_PROXY_INSECURE", "true")
        .start()
        .await;
    assert_pulls(&cache, &image).await;
    // me:pencil
    let shown = tunnel.heads().iter().all(|head| {
        head.to_lowercase().contains("proxy-authorization: basic") && head.contains("bWU6cGVuY2ls")
    });
    assert!(shown, "{:?}", tunnel.heads());
    assert!(!cache.log().contains("pencil"));
    let inside = upstream.requests();
    assert!(
        inside
            .iter()
            .all(|request| request.header("Proxy-Authorization").is_none())
    );
}

#[tokio::test]
async fn http_proxy_leads_to_an_upstream_without_tls() {
    let (upstream, image) = upstream().await;
    let tunnel = Tunnel::to(upstream.address()).await;
    let cache = mirror_of(&format!("http://{NAME}"))
        .set("http_proxy", &tunnel.url())
        .start()
        .await;
    assert_pulls(&cache, &image).await;
    assert!(tunnel.asked().iter().all(|place| place == NAME));
}

#[tokio::test]
async fn no_proxy_names_what_is_reached_directly() {
    let (upstream, image) = upstream().await;
    let tunnel = Tunnel::to(upstream.address()).await;
    let unreachable = format!("http://{NAME}");
    for except in [
        "*",
        NAME,
        ".example.invalid",
        "elsewhere.example, example.invalid",
    ] {
        let cache = mirror_of(&unreachable)
            .set("http_proxy", &tunnel.url())
            .set("no_proxy", except)
            .start()
            .await;
        let answer = get(TAG_PATH).send(&cache.host()).await;
        assert_refused(&answer, 503, "UNAVAILABLE", &[NAME]);
        assert_eq!(tunnel.asked(), Vec::<String>::new(), "{except}");
    }
    let cache = mirror_of(&unreachable)
        .set("http_proxy", &tunnel.url())
        .set("NO_PROXY", "other.example,10.0.0.0/8")
        .start()
        .await;
    assert_pulls(&cache, &image).await;
    assert!(!tunnel.asked().is_empty());
}

#[tokio::test]
async fn an_upstream_on_this_machine_is_reached_directly() {
    let (upstream, image) = upstream().await;
    let tunnel = Tunnel::to(upstream.address()).await;
    let cache = cache_of(&upstream, &[])
        .set("http_proxy", &tunnel.url())
        .start()
        .await;
    assert_pulls(&cache, &image).await;
    assert_eq!(tunnel.asked(), Vec::<String>::new());
}

#[tokio::test]
async fn a_proxy_that_is_away_is_told_from_an_upstream_that_is_away() {
    let cache = mirror_of(&format!("https://{NAME}"))
        .set(
            "https_proxy",
            &format!("http://{}", cistern_tests::addresses::refused()),
        )
        .start()
        .await;
    let answer = get(TAG_PATH).send(&cache.host()).await;
    assert_refused(&answer, 503, "UNAVAILABLE", &[NAME, "could not be reached"]);
}

#[tokio::test]
async fn credentials_go_to_token_servers_of_the_upstreams_own_domain_only() {
    let user = [
        ("REGISTRY_PROXY_USERNAME", "cache"),
        ("REGISTRY_PROXY_PASSWORD", "s3cret"),
    ];
    for (realm, allowed) in [
        ("https://auth.docker.io/token", true),
        ("https://registry-1.docker.io:8443/token", true),
        ("https://auth.docker.io.example.com/token", false),
        ("https://example.com/token", false),
        ("https://127.0.0.1/token", false),
        ("https://169.254.169.254/token", false),
        ("http://auth.docker.io/token", false),
    ] {
        let (upstream, image) = secure().await;
        upstream.hold(&image, "company/app", &[TAG]);
        let desk = TokenDesk::new().only_for("cache", "s3cret");
        desk.open_at(&upstream, "/token");
        desk.set_realm(realm);
        upstream.protect(Protection::Bearer(desk));
        let tunnel = Tunnel::to(upstream.address()).await;
        let cache = user
            .iter()
            .fold(
                mirror_of("https://registry-1.docker.io"),
                |cache, (name, value)| cache.set(name, value),
            )
            .set("https_proxy", &tunnel.url())
            .set("REGISTRY_PROXY_INSECURE", "true")
            .start()
            .await;
        let answer = get("/v2/company/app/manifests/v1")
            .send(&cache.host())
            .await;
        assert_eq!(
            answer.status,
            if allowed { 200 } else { 503 },
            "{realm}: {}",
            answer.text()
        );
        assert_eq!(upstream.count("GET", "/token") > 0, allowed, "{realm}");
    }
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_when_the_operator_names_it() {
    let (upstream, image) = secure().await;
    let bundle = upstream.certificate().display().to_string();
    let cache = cache_of(&upstream, &[("PROXY_CA", &bundle)]).start().await;
    assert_pulls(&cache, &image).await;
}

#[tokio::test]
async fn without_that_the_upstream_is_not_trusted_and_nothing_is_sent_to_it() {
    let (upstream, _) = secure().await;
    let other = ScriptedUpstream::start_tls().await;
    let bundle = other.certificate().display().to_string();
    for settings in [&[][..], &[("PROXY_CA", &*bundle)][..]] {
        let cache = cache_of(&upstream, settings).start().await;
        let answer = get(TAG_PATH).send(&cache.host()).await;
        assert_refused(
            &answer,
            503,
            "UNAVAILABLE",
            &["TLS failed", "proxy.ca", &upstream.host()],
        );
    }
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_certificate_for_another_name_is_not_accepted() {
    let (upstream, _) = secure().await;
    let bundle = upstream.certificate().display().to_string();
    let tunnel = Tunnel::to(upstream.address()).await;
    let cache = mirror_of("https://registry-1.docker.io")
        .set("REGISTRY_PROXY_CA", &bundle)
        .set("https_proxy", &tunnel.url())
        .start()
        .await;
    let answer = get("/v2/company/app/manifests/v1")
        .send(&cache.host())
        .await;
    assert_refused(&answer, 503, "UNAVAILABLE", &["TLS failed"]);
}

#[tokio::test]
async fn insecure_skips_the_certificate_and_warns_of_it() {
    let (upstream, image) = secure().await;
    let cache = cache_of(&upstream, &[("PROXY_INSECURE", "true")])
        .start()
        .await;
    assert_pulls(&cache, &image).await;
    let log = cache.log();
    assert!(
        log.contains("WARN") && log.contains("proxy.insecure"),
        "{log}"
    );
}

#[tokio::test]
async fn an_authority_that_is_exchanged_while_running_is_used() {
    let (upstream, image) = secure().await;
    let other = ScriptedUpstream::start_tls().await;
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path().join("ca.pem");
    std::fs::copy(other.certificate(), &bundle).unwrap();
    let cache = cache_of(&upstream, &[("PROXY_CA", bundle.to_str().unwrap())])
        .start()
        .await;
    assert_eq!(get(TAG_PATH).send(&cache.host()).await.status, 503);
    std::fs::copy(upstream.certificate(), &bundle).unwrap();
    cistern_tests::eventually("trusting the new authority", SOON, || async {
        get(TAG_PATH).send(&cache.host()).await.status == 200
    })
    .await;
    assert_pulls(&cache, &image).await;
}

#[tokio::test]
async fn a_bundle_that_cannot_be_read_stops_the_start() {
    let (upstream, _) = upstream().await;
    let (status, output) = cache_of(&upstream, &[("PROXY_CA", "/nowhere/ca.pem")])
        .start_in_vain()
        .await;
    assert_eq!(status.code(), Some(2), "{output}");
    assert!(
        output.contains("proxy.ca") && output.contains("/nowhere/ca.pem"),
        "{output}"
    );
}
