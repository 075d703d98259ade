mod properties;

use super::*;

/// Manifests of others, as they are published.
pub(super) const REAL: [&str; 4] = [
    include_str!("../../tests/data/iotedge/quickstart_deployment.template.json"),
    include_str!("../../tests/data/iotedge/runtime_only_deployment.template.json"),
    include_str!("../../tests/data/iotedge_config_cli/deploymentTopLayer.json"),
    include_str!("../../tests/data/iotedge_config_cli/deploymentLowerLayer.json"),
];

pub(super) fn lower(text: &str, options: &LowerOptions) -> Rewritten {
    to_lower("m.json", &Document::parse(text).unwrap(), options).unwrap()
}

pub(super) fn top(text: &str, options: &TopOptions) -> Rewritten {
    to_top("m.json", &Document::parse(text).unwrap(), options).unwrap()
}

pub(super) fn all(port: u16) -> LowerOptions {
    LowerOptions {
        port,
        registries: Vec::new(),
    }
}

fn only(registry: &str) -> LowerOptions {
    LowerOptions {
        port: 443,
        registries: vec![registry.to_owned()],
    }
}

fn with_images(images: &[&str]) -> String {
    let modules = images.iter().enumerate();
    let modules = modules.map(|(number, image)| {
        format!("\"m{number}\": {{\"settings\": {{\"image\": \"{image}\"}}}}")
    });
    let modules = modules.collect::<Vec<_>>().join(",\r\n\t");
    format!(
        "{{\"modulesContent\": {{\"$edgeAgent\": {{\"properties.desired\": {{\"modules\": {{{modules}}}}}}}}}}}"
    )
}

fn with_credentials(credentials: &str) -> String {
    format!(
        r#"{{"modulesContent": {{"$edgeAgent": {{"properties.desired": {{"runtime": {{"settings": {{"registryCredentials": {{{credentials}}}}}}},
        "modules": {{"a": {{"settings": {{"image": "one.example/a:1"}}}}, "b": {{"settings": {{"image": "two.example/b:1"}}}}}}}}}}}}}}"#
    )
}

fn one(image: &str, options: &LowerOptions) -> String {
    let after = lower(&with_images(&[image]), options);
    after
        .changes
        .first()
        .map_or_else(|| image.to_owned(), |change| change.to.clone())
}

fn rules(after: &Rewritten) -> Vec<&'static str> {
    after.findings.iter().map(|finding| finding.rule).collect()
}

#[test]
fn each_image_of_a_lower_layer_comes_from_its_parent() {
    for (image, wanted) in [
        (
            "mcr.microsoft.com/azureiotedge-agent:1.5",
            "$upstream:443/azureiotedge-agent:1.5",
        ),
        (
            "mcr.microsoft.com/azureiotedge-api-proxy",
            "$upstream:443/azureiotedge-api-proxy",
        ),
        ("10.16.7.4:8000/team/app:1", "$upstream:443/team/app:1"),
        ("registry:latest", "$upstream:443/library/registry:latest"),
        ("docker.io/registry:2", "$upstream:443/library/registry:2"),
        ("team/app:1", "$upstream:443/team/app:1"),
        (
            "<Container_Registry>/microsoft/hub:<N>-linux",
            "$upstream:443/microsoft/hub:<N>-linux",
        ),
        ("$ACR_ADDRESS/app:1", "$upstream:443/app:1"),
        ("x.example/app@sha256:ab", "$upstream:443/app@sha256:ab"),
        ("x.example/app:1@sha256:ab", "$upstream:443/app:1@sha256:ab"),
        ("$upstream/app:1", "$upstream:443/app:1"),
        (" x.example/app:1 ", " $upstream:443/app:1 "),
        ("$upstream:443/app:1", "$upstream:443/app:1"),
        ("$upstream:8000/app:1", "$upstream:8000/app:1"),
        ("${MODULES.app}", "${MODULES.app}"),
        ("localhost:5000/app:1", "localhost:5000/app:1"),
        ("127.0.0.1:5000/app:1", "127.0.0.1:5000/app:1"),
    ] {
        assert_eq!(one(image, &all(443)), wanted, "{image}");
    }
    assert_eq!(one("x.example/app", &all(8000)), "$upstream:8000/app");
}

#[test]
fn only_the_registries_that_are_named_are_rewritten() {
    let options = only("https://MCR.microsoft.com/");
    assert_eq!(one("mcr.microsoft.com/a:1", &options), "$upstream:443/a:1");
    assert_eq!(
        one("mcr.microsoft.com:443/a:1", &options),
        "$upstream:443/a:1"
    );
    assert_eq!(one("acr.example/a:1", &options), "acr.example/a:1");
    assert_eq!(one("registry:2", &options), "registry:2");
    assert_eq!(
        one("registry:2", &only("docker.io")),
        "$upstream:443/library/registry:2"
    );
    assert_eq!(
        one("localhost:5000/a", &only("localhost:5000")),
        "$upstream:443/a"
    );
    assert_eq!(one("<CR>/a", &only("<CR>")), "$upstream:443/a");
    let after = lower(&with_images(&["acr.example/a:1"]), &options);
    assert_eq!(rules(&after), ["registry-kept", "registry-not-found"]);
}

#[test]
fn an_image_that_is_loaded_by_hand_keeps_its_name() {
    let text = r#"{"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": {"a": {
        "settings": {"image": "x.example/a:1"}, "imagePullPolicy": "never"}}}}}}"#;
    let after = lower(text, &all(443));
    assert_eq!(after.text, text);
    assert_eq!(rules(&after), ["image-loaded-by-hand"]);
}

#[test]
fn one_repository_of_two_registries_is_an_error_because_a_module_would_run_the_others_image() {
    let text = with_images(&["one.example/app:1", "two.example/app:2"]);
    let after = lower(&text, &all(443));
    assert!(
        after.has_errors() && rules(&after).contains(&"repositories-fall-together"),
        "{:?}",
        after.findings
    );
    assert!(!lower(&text, &only("one.example")).has_errors());
    let both_hub = with_images(&["registry:2", "docker.io/library/registry:3"]);
    assert!(!lower(&both_hub, &all(443)).has_errors());
    let spelled = with_images(&["One.example/app:1", "one.example/app:2"]);
    assert!(!lower(&spelled, &all(443)).has_errors());
}

#[test]
fn what_a_lower_layer_cannot_do_is_said() {
    let after = lower(REAL[2], &all(8000));
    assert_eq!(
        rules(&after),
        [
            "docker-hub-image",
            "cache-on-a-lower-layer",
            "several-registries"
        ]
    );
    assert!(!after.has_errors());
    for (image, rule) in [
        ("$upstream:8000/a:1", "upstream-port"),
        ("${MODULES.a}", "image-not-understood"),
        ("https://x.example/a", "image-not-understood"),
        ("localhost:5000/a", "registry-kept"),
        ("x.example/a:1@sha256:ab", "tag-and-digest"),
        ("registry", "docker-hub-image"),
    ] {
        assert_eq!(
            rules(&lower(&with_images(&[image]), &all(443))),
            [rule],
            "{image}"
        );
    }
    assert!(
        lower(&with_images(&["x.example/a:1"]), &all(443))
            .findings
            .is_empty()
    );
}

#[test]
fn an_environment_that_names_a_registry_stays_and_is_pointed_at() {
    let text = r#"{"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": {"a": {
        "settings": {"image": "acr.example/a:1", "createOptions": "{\"Image\":\"acr.example\/a:1\"}"},
        "env": {"PULLS": {"value": "https://acr.example/v2"}, "OTHER": {"value": "not-acr.example"}, "N": {"value": 1.0}}}}}},
        "$edgeHub": {"properties.desired": {"routes": {"r": "FROM /* INTO $upstream"}}},
        "a": {"properties.desired": {"image": "acr.example/a:1"}}}}"#;
    let after = lower(text, &all(443));
    assert_eq!(rules(&after), ["registry-in-environment"]);
    assert_eq!(
        after.text,
        text.replacen("\"acr.example/a:1\"", "\"$upstream:443/a:1\"", 1)
    );
}

#[test]
fn credentials_follow_their_registry_and_none_is_lost() {
    let text = with_credentials(
        r#""one": {"address": "https://one.example", "username": "u1", "password": "p1"},
           "two": {"address": "two.example", "username": "u2", "password": "p2"},
           "hub": {"address": "https://index.docker.io/v1/", "username": "u3", "password": "p3"},
           "bare": {"address": "$upstream", "username": "u4", "password": "p4"}"#,
    );
    let after = lower(&text, &all(443));
    assert_eq!(
        after.text.matches("\"address\": \"$upstream:443\"").count(),
        4
    );
    let together = after
        .findings
        .iter()
        .find(|finding| finding.rule == "credentials-fall-together")
        .unwrap();
    assert!(
        together.what.contains("one, two, hub, bare")
            && together.why.contains("the first whose address fits: one")
    );
    for kept in ["u1", "p2", "u3", "p4"] {
        assert!(after.text.contains(kept));
    }
    assert_eq!(
        after.way_back.credentials["hub"],
        "https://index.docker.io/v1/"
    );
    let limited = lower(&text, &only("two.example"));
    assert!(
        limited.text.contains("https://one.example") && !limited.text.contains("\"two.example\"")
    );
}

#[test]
fn the_top_layer_gets_each_image_from_the_registry_with_the_longest_beginning() {
    let text = with_images(&[
        "$upstream:443/azureiotedge-hub:1.5",
        "$upstream:8000/team/app:1",
        "$upstream/library/registry:2",
        "x.example/y",
    ]);
    let mut options = TopOptions {
        registry: Some("mcr.microsoft.com".to_owned()),
        ..TopOptions::default()
    };
    options
        .maps
        .insert("team/".to_owned(), "acr.example".to_owned());
    options
        .maps
        .insert("t".to_owned(), "wrong.example".to_owned());
    options
        .maps
        .insert("library/".to_owned(), "docker.io".to_owned());
    let after = top(&text, &options);
    assert_eq!(
        after.text,
        with_images(&[
            "mcr.microsoft.com/azureiotedge-hub:1.5",
            "acr.example/team/app:1",
            "registry:2",
            "x.example/y"
        ])
    );
    assert_eq!(rules(&after), ["port-lost"]);
}

#[test]
fn a_short_name_of_docker_hub_that_looks_like_a_registry_is_written_in_full() {
    let options = TopOptions {
        registry: Some("docker.io".to_owned()),
        ..TopOptions::default()
    };
    for (image, wanted) in [
        ("$upstream:443/my.team/app", "docker.io/my.team/app"),
        ("$upstream:443/team/app", "team/app"),
        ("$upstream:443/library/registry", "registry"),
        ("$upstream:443/registry", "registry"),
    ] {
        assert_eq!(
            top(&with_images(&[image]), &options).text,
            with_images(&[wanted]),
            "{image}"
        );
    }
}

#[test]
fn what_the_way_back_cannot_know_is_an_error_that_says_what_to_tell_it() {
    let mut options = TopOptions::default();
    options
        .maps
        .insert("team/".to_owned(), "acr.example".to_owned());
    let after = top(&with_images(&["$upstream:443/other:1"]), &options);
    assert!(after.has_errors());
    assert!(
        after.findings[0].fix.contains("--map other=REGISTRY"),
        "{:?}",
        after.findings
    );
    let text =
        with_credentials(r#""c": {"address": "$upstream:443", "username": "u", "password": "p"}"#);
    options.registry = Some("mcr.microsoft.com".to_owned());
    let after = top(&text, &options);
    assert_eq!(rules(&after), ["credentials-unknown"]);
    options
        .credentials
        .insert("c".to_owned(), "acr.example".to_owned());
    assert!(
        top(&text, &options)
            .text
            .contains("\"address\": \"acr.example\"")
    );
    options.credentials.clear();
    let named = text.replace("\"u\"", "\"ACR\"");
    assert!(
        top(&named, &options)
            .text
            .contains("\"address\": \"acr.example\""),
        "called after its user"
    );
}

#[test]
fn real_manifests_go_down_and_come_back_byte_for_byte() {
    for text in REAL {
        let down = lower(text, &all(443));
        assert!(!down.has_errors(), "{:?}", down.findings);
        assert_eq!(lower(&down.text, &all(443)).text, down.text);
        if down.changes.is_empty() {
            assert!(text.contains("$upstream:8000/"), "nothing was to be done");
            continue;
        }
        assert_ne!(down.text, text);
        assert_eq!(top(&down.text, &down.way_back).text, text);
    }
    let options = TopOptions {
        registry: Some("mcr.microsoft.com".to_owned()),
        ..TopOptions::default()
    };
    let up = top(REAL[3], &options);
    assert_eq!(up.changes.len(), 3);
    assert_eq!(lower(&up.text, &all(8000)).text, REAL[3]);
}

#[test]
fn the_way_back_never_guesses_where_an_image_is_from_that_was_at_the_parent_before() {
    let text = with_images(&["$upstream:443/team/tool:2", "registry:2"]);
    let down = lower(&text, &all(443));
    assert_eq!(down.way_back.registry, None);
    let up = top(&down.text, &down.way_back);
    assert_eq!(rules(&up), ["registry-unknown"]);
    assert_eq!(up.text, text, "what is known came back");
}
