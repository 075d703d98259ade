//! What is fetched before anybody asks.

use std::path::Path;
use std::time::Duration;

use super::{Given, assert_one};
use crate::config::WarmPlatforms;

#[test]
fn every_key_of_edge_and_warm_has_its_effect() {
    let config = Given::keys(
        "
proxy: {remoteurl: https://a.example}
edge: {bootstrap: ['$upstream:443/azureiotedge-agent:1.5'], requirebootstrap: true}
warm:
  images: [team/app:1, team/app:1, mcr.microsoft.com/x:2]
  manifests: [/etc/iotedge/deployment.json]
  artifact: fleet/images:plant-7
  platforms: [linux/arm64, linux/arm/v7]
  every: 10m
  windows: [Mon-Fri 18:00-06:00, 12:00-13:00]
  holdback: true
",
    )
    .config();
    assert_eq!(
        config.edge.bootstrap,
        ["$upstream:443/azureiotedge-agent:1.5"]
    );
    assert!(config.edge.require_bootstrap);
    let warm = config.warm;
    assert_eq!(warm.images, ["team/app:1", "mcr.microsoft.com/x:2"]);
    assert_eq!(warm.manifests, [Path::new("/etc/iotedge/deployment.json")]);
    assert_eq!(warm.artifact.as_deref(), Some("fleet/images:plant-7"));
    let platforms = ["linux/arm64", "linux/arm/v7"].map(|text| text.parse().unwrap());
    assert_eq!(warm.platforms, WarmPlatforms::These(platforms.to_vec()));
    assert_eq!(
        (warm.every, warm.windows.len()),
        (Duration::from_mins(10), 2)
    );
    assert!(warm.holdback);
}

#[test]
fn without_a_word_nothing_is_fetched_ahead() {
    let config = Given::nothing().config();
    assert!(config.edge.bootstrap.is_empty() && !config.edge.require_bootstrap);
    let warm = config.warm;
    assert!(warm.images.is_empty() && warm.manifests.is_empty() && warm.artifact.is_none());
    assert_eq!(warm.platforms, WarmPlatforms::ThisMachine);
    assert_eq!(
        (warm.every, warm.holdback),
        (Duration::from_hours(1), false)
    );
}

#[test]
fn the_environment_says_it_too() {
    let config = Given::nothing()
        .with("REGISTRY_WARM_IMAGES", "a:1, b:2")
        .with("REGISTRY_EDGE_BOOTSTRAP_0", "c:3")
        .with("REGISTRY_WARM_PLATFORMS", "all")
        .with("REGISTRY_WARM_HOLDBACK", "true")
        .config();
    assert_eq!(config.warm.images, ["a:1", "b:2"]);
    assert_eq!(config.edge.bootstrap, ["c:3"]);
    assert_eq!(config.warm.platforms, WarmPlatforms::All);
    assert!(config.warm.holdback);
}

#[test]
fn what_cannot_be_meant_is_named() {
    for (text, key) in [
        ("warm: {images: ['https://a/b:1']}", "warm.images"),
        ("warm: {images: ['a b']}", "warm.images"),
        ("warm: {artifact: fleet/images}", "warm.artifact"),
        ("warm: {platforms: [linux]}", "warm.platforms"),
        ("warm: {every: 0s}", "warm.every"),
        ("warm: {windows: [night]}", "warm.windows"),
        ("warm: {imgaes: [a]}", "warm.imgaes"),
        ("edge: {bootstap: [a]}", "edge.bootstap"),
    ] {
        assert_one(&Given::keys(text).errors(), &[key]);
    }
}
