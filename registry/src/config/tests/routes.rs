//! `proxy.routes`, and that every list can be set by variables alone.

use super::*;
use crate::config::keys::{self, Shape, Standing};
use crate::config::{CredentialText, Credentials, Secret};
use crate::repositories::RouteMatch;

fn found(given: &Given) -> Vec<(String, String, String)> {
    let findings = match given.load() {
        Ok(loaded) => loaded.findings,
        Err(errors) => errors.findings,
    };
    let told = findings.into_iter();
    told.map(|finding| (finding.key, finding.what, finding.advice))
        .collect()
}

/// One route that is fine, with these lines more.
fn with_lines(lines: &str) -> Given {
    let lines = lines.replace('\n', "\n      ");
    Given::keys(&format!(
        "proxy:\n  routes:\n    - prefix: azureiotedge-\n      remoteurl: https://mcr.example\n      {lines}\n"
    ))
}

#[test]
fn a_list_of_routes_is_read_from_a_file() {
    let given = Given::keys(
        "proxy:\n  remoteurl: https://acr.example\n  username: u\n  password: p\n  routes:\n    - prefix: azureiotedge-\n      \
         remoteurl: mcr.example\n      rewrite: /\n      aliases: [one.example, two.example]\n    - pattern: '*/base'\n      \
         remoteurl: https://quay.example\n      username: me\n      passwordfile: /secret\n      exec: {lifetime: 1h}\n",
    )
    .with_file("/secret", "s3cret");
    let proxy = given.load().unwrap().config.proxy;
    let [first, second] = proxy.routes.as_slice() else {
        panic!("{:?}", proxy.routes)
    };
    assert_eq!(
        first.matching,
        RouteMatch::Prefix("azureiotedge-".to_owned())
    );
    assert_eq!(first.rewrite.as_deref(), Some(""));
    assert_eq!(first.aliases, ["one.example", "two.example"]);
    assert_eq!(first.upstream.credentials, None, "nothing is inherited");
    assert_eq!(second.matching.to_string(), "*/base");
    assert_eq!(
        second.upstream.credentials,
        Some(Credentials {
            username: CredentialText::Inline(Secret::new("me")),
            password: CredentialText::File("/secret".into()),
        })
    );
}

#[test]
fn routes_are_set_by_variables_alone() {
    let given = Given::nothing()
        .with("REGISTRY_PROXY_ROUTES_0_PREFIX", "azureiotedge-")
        .with("REGISTRY_PROXY_ROUTES_0_REMOTEURL", "https://mcr.example")
        .with("REGISTRY_PROXY_ROUTES_0_REALMS", "a.example,b.example")
        .with("REGISTRY_PROXY_ROUTES_0_ALIASES_0", "c.example")
        .with("REGISTRY_PROXY_ROUTES_0_ALIASES_1", "d.example")
        .with("REGISTRY_PROXY_ROUTES_1_PATTERN", "*/base")
        .with("REGISTRY_PROXY_ROUTES_1_REMOTEURL", "https://quay.example")
        .with("REGISTRY_PROXY_ROUTES_1_USERNAME", "me")
        .with("REGISTRY_PROXY_ROUTES_1_PASSWORD_FILE", "/secret")
        .with("REGISTRY_PROXY_ROUTES_2_PREFIX", "team/")
        .with("REGISTRY_PROXY_ROUTES_2_REMOTEURL", "https://team.example")
        .with("REGISTRY_PROXY_ROUTES_2_EXEC_COMMAND", "helper")
        .with_file("/secret", "s3cret")
        .strict();
    let routes = given.load().unwrap().config.proxy.routes;
    assert_eq!(routes.len(), 3);
    assert_eq!(routes[0].upstream.realms, ["a.example", "b.example"]);
    assert_eq!(routes[0].aliases, ["c.example", "d.example"]);
    assert!(routes[1].upstream.credentials.is_some());
    assert!(routes[2].upstream.exec.is_some());
}

#[test]
fn a_variable_overrides_its_part_of_a_route_in_the_file() {
    let given =
        with_lines("username: me\npassword: old").with("REGISTRY_PROXY_ROUTES_0_PASSWORD", "new");
    let routes = given.load().unwrap().config.proxy.routes;
    let credentials = routes[0].upstream.credentials.clone().unwrap();
    assert_eq!(
        credentials.password,
        CredentialText::Inline(Secret::new("new"))
    );
    assert_eq!(routes[0].matching.to_string(), "azureiotedge-*");
}

#[test]
fn every_key_that_is_read_can_be_set_by_a_variable_and_every_list_in_both_ways() {
    for key in keys::all() {
        let Standing::Used { shape, .. } = key.standing else {
            continue;
        };
        // Distribution has no variable for it either: it says how the file is to be read.
        if key.path == "version" {
            continue;
        }
        let name = keys::variable_of(key.path);
        let values = match shape {
            Shape::Several => vec![
                vec![(name.clone(), "one,two")],
                vec![(name.clone(), "[one, two]")],
                vec![(format!("{name}_0"), "one"), (format!("{name}_1"), "two")],
            ],
            Shape::Names => vec![vec![(format!("{name}_X-Y"), "[one, two]")]],
            Shape::One | Shape::Secret => vec![vec![(name.clone(), "one")]],
        };
        for variables in values {
            let environment = variables
                .iter()
                .map(|(name, value)| (name.clone(), (*value).to_owned()))
                .collect();
            let mut tree = crate::config::Node::null(crate::config::Place::Default);
            let findings = crate::config::environment::apply(&mut tree, &environment);
            assert_eq!(findings, [], "{variables:?}");
            let mut reader = crate::config::Reader::new(&tree);
            let texts: Vec<String> = match shape {
                Shape::Several => reader
                    .list(key.path)
                    .into_iter()
                    .map(|written| written.text)
                    .collect(),
                Shape::Names => reader
                    .names(key.path)
                    .into_iter()
                    .flat_map(|(_, values)| values)
                    .map(|written| written.text)
                    .collect(),
                Shape::One | Shape::Secret => {
                    vec![reader.set(key.path).unwrap().text, "two".to_owned()]
                }
            };
            assert_eq!(texts, ["one", "two"], "{variables:?}");
        }
    }
}

#[test]
fn a_number_that_is_left_out_is_named() {
    let given = Given::nothing()
        .with("REGISTRY_PROXY_ROUTES_0_PREFIX", "a/")
        .with("REGISTRY_PROXY_ROUTES_0_REMOTEURL", "https://a.example")
        .with("REGISTRY_PROXY_ROUTES_2_PREFIX", "b/")
        .with("REGISTRY_PROXY_ROUTES_2_REMOTEURL", "https://b.example");
    let findings = found(&given);
    let (key, _, advice) = &findings[0];
    assert_eq!((key.as_str(), findings.len()), ("proxy.routes.1", 1));
    assert!(
        advice
            .contains("REGISTRY_PROXY_ROUTES_2_… is set, and nothing of REGISTRY_PROXY_ROUTES_1_…"),
        "{advice}"
    );
}

#[test]
fn mistakes_in_a_route_stop_the_start_and_are_named() {
    for (lines, key, what) in [
        ("remoteurI: x", "proxy.routes.0.remoteurI", "no such key"),
        (
            "exec: {comand: x}",
            "proxy.routes.0.exec.comand",
            "no such key",
        ),
        (
            "pattern: x",
            "proxy.routes.0.pattern",
            "proxy.routes.0.prefix is set too",
        ),
        (
            "rewrite: /x",
            "proxy.routes.0.rewrite",
            "no repository's name begins with",
        ),
        (
            "clientkey: /none",
            "proxy.routes.0.clientkey",
            "cannot be read",
        ),
        ("ca: [/none]", "proxy.routes.0.ca", "cannot be read"),
        (
            "insecure: maybe",
            "proxy.routes.0.insecure",
            "neither true nor false",
        ),
    ] {
        let given = with_lines(lines);
        assert!(given.load().is_err(), "{lines}");
        let findings = found(&given);
        assert!(
            findings
                .iter()
                .any(|(at, said, _)| at == key && said.contains(what)),
            "{findings:?}"
        );
    }
    for (text, key, what) in [
        (
            "[{prefix: a/}]",
            "proxy.routes.0",
            "does not say where these names come from",
        ),
        (
            "[{remoteurl: a.example}]",
            "proxy.routes.0",
            "does not say which names it takes",
        ),
        ("{prefix: a/}", "proxy.routes", "a list is expected here"),
        ("[a/]", "proxy.routes.0", "keys are expected here"),
        (
            "[{prefix: A/, remoteurl: a.example}]",
            "proxy.routes.0.prefix",
            "no repository's name begins",
        ),
        (
            "[{prefix: a-*, remoteurl: a.example}]",
            "proxy.routes.0.prefix",
            "means nothing in a prefix",
        ),
        (
            "[{prefix: a/, remoteurl: a.example}, {prefix: a/, remoteurl: b.example}]",
            "proxy.routes.1",
            "proxy.routes.0 takes the same names",
        ),
    ] {
        let given = Given::keys(&format!("proxy:\n  routes: {text}\n"));
        assert!(given.load().is_err(), "{text}");
        let findings = found(&given);
        assert!(
            findings
                .iter()
                .any(|(at, said, _)| at == key && said.contains(what)),
            "{findings:?}"
        );
    }
}

#[test]
fn the_key_or_variable_that_was_meant_is_named() {
    let advice = found(&with_lines("remoteuri: x")).remove(0).2;
    assert!(advice.contains("proxy.routes.0.remoteurl"), "{advice}");
    let given = Given::nothing().with("REGISTRY_PROXY_ROUTES_0_PREFX", "x");
    let advice = found(&given).remove(0).2;
    assert!(
        advice.contains("REGISTRY_PROXY_ROUTES_0_PREFIX"),
        "{advice}"
    );
}

#[test]
fn what_is_likely_not_meant_in_routes_is_a_warning() {
    let with = |text: &str| Given::keys(text);
    for (given, key, what) in [
        (
            with(
                "proxy:\n  routes: [{prefix: a/, remoteurl: 'http://a.example', username: u, password: p}]\n",
            ),
            "proxy.routes.0.remoteurl",
            "in the clear",
        ),
        (
            with(
                "hosted: {repositories: ['a/*']}\nproxy:\n  routes: [{prefix: a/b/, remoteurl: a.example}]\n",
            ),
            "proxy.routes.0.prefix",
            "lives here",
        ),
        (
            with(
                "proxy:\n  routes: [{prefix: a/, remoteurl: a.example}, {pattern: a/*, remoteurl: b.example}]\n",
            ),
            "proxy.routes.1.pattern",
            "never taken",
        ),
        (
            with("proxy:\n  routes: [{prefix: b.example/, remoteurl: b.example}]\n"),
            "proxy.routes.0.prefix",
            "mean that registry without a route",
        ),
        (
            with(
                "proxy:\n  remoteurl: b.example\n  routes: [{pattern: '*', remoteurl: a.example}]\n",
            ),
            "proxy.remoteurl",
            "asked for nothing",
        ),
        (
            with("proxy:\n  routes: [{prefix: a/, remoteurl: a.example, rewrite: group}]\n"),
            "proxy.routes.0.rewrite",
            "becomes groupapp",
        ),
        (
            with(
                "proxy:\n  username: u\n  password: p\n  routes: [{prefix: a/, remoteurl: a.example}]\n",
            ),
            "proxy.username",
            "each route has its own",
        ),
        (
            with(
                "proxy:\n  remoteurl: b.example\n  routes: [{prefix: a/, remoteurl: a.example, aliases: b.example}]\n",
            ),
            "proxy.routes.0.aliases",
            "name of b.example already",
        ),
    ] {
        assert!(given.load().is_ok());
        let findings = found(&given);
        assert!(
            findings
                .iter()
                .any(|(at, said, _)| at == key && said.contains(what)),
            "{what}: {findings:?}"
        );
    }
}

#[test]
fn what_is_meant_in_routes_is_no_warning() {
    let given = Given::keys(
        "proxy:\n  remoteurl: acr.example\n  routes: [{prefix: azureiotedge-, remoteurl: mcr.example}, {prefix: a/, remoteurl: \
         acr.example, rewrite: b/}]\nhosted: {repositories: ['local/*']}\n",
    );
    assert_eq!(found(&given), []);
}

#[test]
fn the_secrets_of_routes_are_not_shown() {
    let settings = with_lines("username: me\npassword: s3cret")
        .load()
        .unwrap()
        .settings;
    let shown: Vec<_> = settings
        .iter()
        .map(|set| format!("{} = {}", set.key, set.value))
        .collect();
    assert!(shown.contains(&"proxy.routes.0.prefix = azureiotedge-".to_owned()));
    assert!(shown.contains(&"proxy.routes.0.password = (secret)".to_owned()));
    assert!(!shown.concat().contains("s3cret"));
}
