use super::*;

fn read(text: &str) -> Manifest {
    Manifest::read(&Document::parse(text).unwrap()).unwrap()
}

fn refused(text: &str) -> String {
    let document = Document::parse(text).unwrap();
    Manifest::read(&document).unwrap_err().to_string()
}

fn images(manifest: &Manifest) -> Vec<(&str, &str)> {
    let images = manifest.images.iter();
    images
        .map(|named| (named.module.as_str(), named.image.value.as_str()))
        .collect()
}

const FULL: &str = include_str!("../../tests/data/iotedge_config_cli/deploymentTopLayer.json");

#[test]
fn a_full_manifest_is_read_with_its_places() {
    let manifest = read(FULL);
    assert_eq!(
        manifest.shape,
        Shape {
            is_layered: false,
            is_wrapped: false,
            has_agent: true
        }
    );
    let registry = manifest.module("registry").unwrap();
    assert_eq!(registry.role, Role::Custom);
    let image = registry.image.as_ref().unwrap();
    assert_eq!(
        image.at.path,
        "$edgeAgent.properties.desired.modules.registry.settings.image"
    );
    assert_eq!(image.at.line, 8);
    assert_eq!(&FULL[image.span.clone()], "\"registry:latest\"");
    let remote = registry.variable("REGISTRY_PROXY_REMOTEURL").unwrap();
    assert_eq!(
        remote.value,
        EnvValue::Text("https://mcr.microsoft.com".to_owned())
    );
    let options = registry
        .create_options
        .value
        .as_ref()
        .unwrap()
        .as_ref()
        .unwrap();
    assert_eq!(
        options["HostConfig"]["PortBindings"]["5000/tcp"][0]["HostPort"],
        "5000"
    );
    assert_eq!(manifest.module("edgeAgent").unwrap().role, Role::Agent);
    assert_eq!(manifest.module("edgeHub").unwrap().role, Role::Hub);
    assert!(
        manifest
            .module("edgeAgent")
            .unwrap()
            .create_options
            .value
            .is_none(),
        "an empty text is none"
    );
    assert_eq!(
        manifest.routes[0].route.value,
        "FROM /messages/* INTO $upstream"
    );
    assert!(manifest.oddities.is_empty());
}

#[test]
fn dotted_keys_of_any_depth_are_the_same_module() {
    let manifest = read(
        r#"{"content": {"modulesContent": {"$edgeAgent": {
            "properties.desired.modules.a": {"settings": {"image": "x/a:1"}},
            "properties.desired.modules.b.settings": {"image": "x/b:1"},
            "properties.desired.modules.b.env.N": {"value": 1.50},
            "properties.desired.modules.b.env": {"F": {"value": true}},
            "properties.desired.modules.c.settings.image": "x/c:1",
            "properties.desired.modules.gone": null,
            "properties.desired.systemModules.edgeHub.settings.image": "x/hub:1",
            "properties.desired.runtime.settings.registryCredentials.r": {"address": "x.example", "username": "u", "password": "p"},
            "properties.desired.runtime.settings.registryCredentials.s.address": "y.example"
        }, "$edgeHub": {"properties.desired.routes.one": "FROM /* INTO $upstream",
            "properties.desired.routes.two": {"route": "FROM /a INTO $upstream", "priority": 1}},
        "c": {"properties.desired.settings": {"a": 1}, "properties.desired.settings.b": 2}}},
        "labels": {"x": "y"}, "targetCondition": "*", "priority": 10}"#,
    );
    assert_eq!(
        manifest.shape,
        Shape {
            is_layered: true,
            is_wrapped: true,
            has_agent: true
        }
    );
    assert_eq!(
        images(&manifest),
        [
            ("a", "x/a:1"),
            ("b", "x/b:1"),
            ("c", "x/c:1"),
            ("edgeHub", "x/hub:1")
        ]
    );
    assert!(manifest.module("gone").is_none());
    let b = manifest.module("b").unwrap();
    assert_eq!(
        b.variable("N").unwrap().value,
        EnvValue::Number("1.50".to_owned())
    );
    assert_eq!(b.variable("F").unwrap().value.as_text(), "true");
    assert_eq!(manifest.credentials.len(), 2);
    assert!(manifest.credentials[0].password_is_set && !manifest.credentials[1].password_is_set);
    assert_eq!(manifest.routes.len(), 2);
    assert_eq!(
        manifest.twins[0].desired,
        serde_json::json!({"settings": {"a": 1, "b": 2}})
    );
}

#[test]
fn create_options_are_joined_from_their_chunks_and_taken_as_an_object() {
    let manifest = read(
        r#"{"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": {
            "chunked": {"settings": {"image": "a", "createOptions01": "g\":{}}", "createoptions": "{\"HostConfi"}},
            "object": {"settings": {"image": "a", "createOptions": {"Env": ["A=1"]}}},
            "broken": {"settings": {"image": "a", "createOptions": "{"}}
        }}}}}"#,
    );
    let options = |name: &str| manifest.module(name).unwrap().create_options.clone();
    assert_eq!(
        options("chunked").value,
        Some(Ok(serde_json::json!({"HostConfig": {}})))
    );
    assert_eq!(options("chunked").chunks, [0, 1]);
    assert!(options("object").is_object);
    assert_eq!(
        options("object").value,
        Some(Ok(serde_json::json!({"Env": ["A=1"]})))
    );
    assert!(matches!(options("broken").value, Some(Err(_))));
}

#[test]
fn a_module_that_is_written_twice_has_both_images_named_and_the_last_one_in_use() {
    let manifest = read(
        r#"{"modulesContent": {"$edgeAgent": {"properties": {"desired": {"modules": {
            "a": {"settings": {"image": "x/a:1"}}, "a": {"settings": {"image": "x/a:2"}}}}}}}}"#,
    );
    assert_eq!(images(&manifest), [("a", "x/a:1"), ("a", "x/a:2")]);
    assert_eq!(
        manifest.module("a").unwrap().image.as_ref().unwrap().value,
        "x/a:2"
    );
}

#[test]
fn what_is_odd_is_recorded_and_not_refused() {
    let manifest = read(
        r#"{"modulesContent": {"$edgeAgent": {"properties.desired": {"modules": {
            "a": {"settings": {"image": 5}, "env": {"X": "y"}}, "b": "c"}}}, "m": 3}}"#,
    );
    let odd: Vec<_> = manifest
        .oddities
        .iter()
        .map(|odd| odd.what.as_str())
        .collect();
    assert_eq!(
        odd,
        [
            "a number where a text is expected",
            "a text where an object is expected",
            "a number where an object is expected",
        ]
    );
}

#[test]
fn what_is_no_manifest_is_told_with_what_it_seems_to_be() {
    for (text, wanted) in [
        (
            "\n[]",
            "line 2: a list where the object with `modulesContent` is expected",
        ),
        ("{}", "there is no `modulesContent` in it"),
        (
            r#"{"content": {"deviceContent": {}}}"#,
            "this may be a configuration of devices",
        ),
        (
            r#"{"$edgeAgent": {}}"#,
            "put it into {\"modulesContent\": …}",
        ),
        (r#"{"deviceId": "d", "properties": {}}"#, "this is a twin"),
        (r#"{"modulesContent": []}"#, "`modulesContent` is a list"),
        (r#"{"modulesContent": {}}"#, "`modulesContent` is empty"),
    ] {
        let told = refused(text);
        assert!(told.contains(wanted), "{text}: {told}");
    }
}

#[test]
fn the_manifests_of_others_are_as_long_as_their_sources_say() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let sources = include_str!("../../tests/data/SOURCES.md");
    let mut count = 0;
    for row in sources.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let file = folder.join(cells[1].trim_matches('`'));
        assert_eq!(
            file.metadata().unwrap().len().to_string(),
            cells[5],
            "{row}"
        );
        count += 1;
    }
    assert_eq!(count, 4);
}
