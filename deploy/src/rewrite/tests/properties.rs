//! Manifests of every shape, made up.

use proptest::prelude::*;

use super::*;
use crate::{ImageName, Node, Value};

#[derive(Clone, Debug)]
struct Part {
    registry: usize,
    repository: usize,
    tag: &'static str,
    options: &'static str,
    env: &'static str,
    form: usize,
    has_escapes: bool,
}

/// Each registry has repositories of its own, so that nothing falls together.
const REGISTRIES: [(&str, &[&str]); 6] = [
    (
        "mcr.microsoft.com",
        &["azureiotedge-agent", "azureiotedge-hub"],
    ),
    ("acr.example", &["team/app", "team/deep/er/app"]),
    ("10.0.0.4:5000", &["bare"]),
    ("<Container_Registry>", &["microsoft/load-gen"]),
    ("$ACR_ADDRESS", &["placed"]),
    ("", &["registry", "someone/thing"]),
];
const TAGS: [&str; 5] = ["", ":1.5", ":<Build>-linux", "@sha256:abcdef", ":latest"];
const OPTIONS: [&str; 5] = [
    "",
    r#", "createOptions": """#,
    r#","createOptions":"{\"Image\":\"mcr.microsoft.com\/x\"}""#,
    ", \"createOptions\": {\r\n\t\"HostConfig\": {\"Memory\": 1e9, \"Memory\": 10.0}}",
    r#", "createOptions": "{", "createOptions01": "}""#,
];
const ENVS: [&str; 4] = [
    "",
    r#", "env": {"A": {"value": 1.50}, "B:C": {"value": true}}"#,
    r#", "env": {"REGISTRY_PROXY_REMOTEURL": {"value": "https:\/\/mcr.microsoft.com"}}"#,
    ",\t\"env\": {\"U\": {\"value\": \"$upstream:443/acr.example/x\"}}",
];

fn part() -> impl Strategy<Value = Part> {
    let text = (
        prop::sample::select(&TAGS[..]),
        prop::sample::select(&OPTIONS[..]),
        prop::sample::select(&ENVS[..]),
    );
    (
        0..REGISTRIES.len(),
        0_usize..2,
        text,
        0_usize..4,
        any::<bool>(),
    )
        .prop_map(
            |(registry, repository, (tag, options, env), form, has_escapes)| Part {
                registry,
                repository,
                tag,
                options,
                env,
                form,
                has_escapes,
            },
        )
}

fn image(part: &Part) -> String {
    let (registry, repositories) = REGISTRIES[part.registry];
    let repository = repositories[part.repository % repositories.len()];
    let slash = if registry.is_empty() { "" } else { "/" };
    let image = format!("{registry}{slash}{repository}{}", part.tag);
    if part.has_escapes {
        image.replace('/', "\\/")
    } else {
        image
    }
}

/// A module with dotted keys of some depth, or nested.
fn module(number: usize, part: &Part) -> String {
    let image = image(part);
    let Part { options, env, .. } = part;
    match part.form {
        0 => format!(
            "\"properties.desired.modules.m{number}\": {{\"settings\": {{\"image\": \"{image}\"{options}}}{env}}}"
        ),
        1 => format!(
            "\"properties.desired.modules.m{number}.settings\" : {{\"image\":\"{image}\"{options}}}"
        ),
        2 => format!("\"properties.desired.modules.m{number}.settings.image\": \"{image}\""),
        _ => format!(
            "\"properties.desired.systemModules.edgeHub\":{{\"settings\":{{\"image\":\"{image}\"{options}}}{env}}}"
        ),
    }
}

fn nested(number: usize, part: &Part) -> String {
    let image = image(part);
    let Part { options, env, .. } = part;
    format!(
        "\"m{number}\":\t{{\"settings\": {{\"image\": \"{image}\"{options}}}{env}, \"startupOrder\": 1.0}}"
    )
}

fn manifest() -> impl Strategy<Value = String> {
    let parts = prop::collection::vec(part(), 0..6);
    let credentials = prop::sample::subsequence(
        vec![
            "mcr.microsoft.com",
            "acr.example",
            "<Container_Registry>",
            "https://index.docker.io/v1/",
        ],
        0..4,
    );
    (parts, credentials, any::<[bool; 4]>()).prop_map(|(parts, credentials, [is_layered, is_wrapped, has_mark, ends])| {
        let credentials = credentials.iter().enumerate();
        let credentials: Vec<_> = credentials.map(|(number, address)| format!("\"c{number}\": {{\"username\": \"u\", \"password\": \"p\\/\", \"address\": \"{address}\"}}")).collect();
        let credentials = credentials.join(", ");
        let numbered = parts.iter().enumerate();
        let agent = if is_layered {
            let mut keys: Vec<_> = numbered.map(|(number, part)| module(number, part)).collect();
            keys.push(format!("\"properties.desired.runtime.settings.registryCredentials\": {{{credentials}}}"));
            keys.join(",\r\n")
        } else {
            let modules: Vec<_> = numbered.map(|(number, part)| nested(number, part)).collect();
            format!("\"properties.desired\": {{\"runtime\": {{\"settings\": {{\"registryCredentials\": {{{credentials}}}}}}},\n\"modules\": {{{}}}}}", modules.join(",\n\t"))
        };
        let hub = r#""$edgeHub": {"properties.desired": {"routes": {"r": "FROM \/* INTO $upstream", "r": {"route": "FROM /mcr.microsoft.com/x INTO $upstream"}}}}"#;
        let content = format!("{{\"modulesContent\": {{\"$edgeAgent\": {{{agent}}}, {hub}}}}}");
        let content = if is_wrapped { format!("{{\"id\": \"x\", \"content\": {content}, \"priority\": 1.0}}") } else { content };
        format!("{}{content}{}", if has_mark { "\u{feff}" } else { "" }, if ends { "\r\n" } else { "" })
    })
}

/// All values of a document but images and addresses, as they are spelled.
fn others(document: &Document, node: &Node, key: &str, found: &mut Vec<String>) {
    match &node.value {
        Value::Object(members) => {
            for member in members {
                found.push(document.text()[member.key_span.clone()].to_owned());
                others(document, &member.node, &member.key, found);
            }
        }
        Value::List(nodes) => nodes
            .iter()
            .for_each(|node| others(document, node, key, found)),
        _ if key.rsplit('.').next() == Some("image") || key == "address" => {}
        _ => found.push(document.text()[node.span.clone()].to_owned()),
    }
}

fn all_others(text: &str) -> Vec<String> {
    let document = Document::parse(text).unwrap();
    let mut found = Vec::new();
    others(&document, document.root(), "", &mut found);
    found
}

proptest! {
    #[test]
    fn whatever_goes_down_comes_back_byte_for_byte(text in manifest()) {
        let down = lower(&text, &all(443));
        prop_assert!(!down.has_errors(), "{:?}", down.findings);
        let up = top(&down.text, &down.way_back);
        prop_assert!(!up.has_errors(), "{:?}", up.findings);
        prop_assert_eq!(up.text, text);
    }

    #[test]
    fn rewriting_twice_is_rewriting_once(text in manifest(), port in 1_u16..) {
        let once = lower(&text, &all(port));
        let twice = lower(&once.text, &all(port));
        prop_assert_eq!(&twice.text, &once.text);
        prop_assert!(twice.changes.is_empty());
    }

    #[test]
    fn nothing_but_images_and_addresses_changes(text in manifest(), port in 1_u16..) {
        let after = lower(&text, &all(port));
        prop_assert_eq!(all_others(&after.text), all_others(&text));
        let document = Document::parse(&after.text).unwrap();
        for named in Manifest::read(&document).unwrap().images {
            let name = ImageName::parse(&named.image.value).unwrap();
            prop_assert!(name.host.is_some_and(|host| host.is_upstream()), "{}", named.image.value);
        }
        // Put back, span by span, it is what it was: what lies between was not touched.
        let mut edits = Edits::default();
        let before = Manifest::read(&Document::parse(&text).unwrap()).unwrap();
        let read = Manifest::read(&document).unwrap();
        for (new, old) in read.images.iter().zip(&before.images) {
            edits.replace_span(new.image.span.clone(), &old.image.value);
        }
        for (new, old) in read.credentials.iter().zip(&before.credentials) {
            let (new, old) = (new.address.as_ref().unwrap(), old.address.as_ref().unwrap());
            edits.replace_span(new.span.clone(), &old.value);
        }
        prop_assert_eq!(edits.apply(&document), text);
    }

    #[test]
    fn a_registry_that_is_not_named_keeps_its_images(text in manifest()) {
        let options = LowerOptions { port: 443, registries: vec!["acr.example".to_owned()] };
        let after = lower(&text, &options);
        for change in &after.changes {
            prop_assert!(change.from.starts_with("acr.example"), "{change:?}");
        }
        let count = |text: &str| text.matches("mcr.microsoft.com").count();
        prop_assert_eq!(count(&after.text), count(&text));
    }

    #[test]
    fn a_broken_manifest_is_never_a_crash(text in manifest(), at in any::<usize>(), with in any::<char>()) {
        let mut characters: Vec<char> = text.chars().collect();
        let at = at % characters.len();
        characters[at] = with;
        let text: String = characters.into_iter().collect();
        if let Ok(document) = Document::parse(&text) {
            let _ = to_lower("m.json", &document, &all(443));
            let _ = to_top("m.json", &document, &TopOptions::default());
        }
    }
}
