use proptest::prelude::*;

use super::*;

fn parts(text: &str) -> (Option<String>, String, Option<String>, Option<String>) {
    let name = ImageName::parse(text).unwrap();
    assert_eq!(name.to_string(), text);
    (
        name.host.map(|host| host.to_string()),
        name.repository,
        name.tag,
        name.digest,
    )
}

fn known(
    host: Option<&str>,
    repository: &str,
    tag: Option<&str>,
) -> (Option<String>, String, Option<String>, Option<String>) {
    (
        host.map(str::to_owned),
        repository.to_owned(),
        tag.map(str::to_owned),
        None,
    )
}

#[test]
fn names_are_taken_apart_as_docker_does_it() {
    for (text, wanted) in [
        ("registry:latest", known(None, "registry", Some("latest"))),
        ("registry", known(None, "registry", None)),
        ("team/app:1", known(None, "team/app", Some("1"))),
        (
            "mcr.microsoft.com/azureiotedge-agent:1.5",
            known(Some("mcr.microsoft.com"), "azureiotedge-agent", Some("1.5")),
        ),
        (
            "10.16.7.4:8000/a/b:c",
            known(Some("10.16.7.4:8000"), "a/b", Some("c")),
        ),
        ("[fd00::1]:5000/a", known(Some("[fd00::1]:5000"), "a", None)),
        ("localhost/a", known(Some("localhost"), "a", None)),
        ("Registry/a", known(Some("Registry"), "a", None)),
        ("parent:443/a", known(Some("parent:443"), "a", None)),
        ("parent/a", known(None, "parent/a", None)),
        (
            "$upstream:443/a/b:1",
            known(Some("$upstream:443"), "a/b", Some("1")),
        ),
        ("$upstream/a", known(Some("$upstream"), "a", None)),
    ] {
        assert_eq!(parts(text), wanted, "{text}");
    }
    let digest = format!("sha256:{}", "a".repeat(64));
    let name = ImageName::parse(&format!("h.example/a:1@{digest}")).unwrap();
    assert_eq!(
        (name.tag.as_deref(), name.digest.as_deref()),
        (Some("1"), Some(digest.as_str()))
    );
    assert_eq!(name.asked(), format!("a@{digest}"));
}

#[test]
fn placeholders_of_templates_are_no_separators() {
    for (text, wanted) in [
        (
            "<Container_Registry>/microsoft/agent:<Build.BuildNumber>-linux-<Architecture>",
            known(
                Some("<Container_Registry>"),
                "microsoft/agent",
                Some("<Build.BuildNumber>-linux-<Architecture>"),
            ),
        ),
        (
            "$ACR_ADDRESS/app:1",
            known(Some("$ACR_ADDRESS"), "app", Some("1")),
        ),
        (
            "${CR}.azurecr.io/app:$(Build.BuildId)",
            known(Some("${CR}.azurecr.io"), "app", Some("$(Build.BuildId)")),
        ),
        (
            "${CR:-a.example/b}/app",
            known(Some("${CR:-a.example/b}"), "app", None),
        ),
        (
            "{{ registry }}/app:{{ a/b:c }}",
            known(Some("{{ registry }}"), "app", Some("{{ a/b:c }}")),
        ),
        (
            "#{Registry}#/app:%TAG%",
            known(Some("#{Registry}#"), "app", Some("%TAG%")),
        ),
        (
            "mcr.microsoft.com/${NAME}:1",
            known(Some("mcr.microsoft.com"), "${NAME}", Some("1")),
        ),
        ("$upstreams/app", known(Some("$upstreams"), "app", None)),
    ] {
        assert_eq!(parts(text), wanted, "{text}");
        assert!(ImageName::parse(text).unwrap().has_placeholder());
    }
    assert_eq!(
        ImageName::parse("${MODULES.app.amd64}"),
        Err(NotAnImageName::Whole("${MODULES.app.amd64}".to_owned()))
    );
}

#[test]
fn what_edge_agent_cannot_replace_is_no_upstream() {
    for text in [
        "$upstream",
        "$upstream:443",
        "$upstream:0443/a",
        "$upstream:/a",
        "$upstream:x/a",
        "$upstream:70000/a",
        "$upstream:+44/a",
    ] {
        assert_eq!(
            ImageName::parse(text),
            Err(NotAnImageName::Upstream),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_image_name_is_told() {
    for (text, wanted) in [
        ("  ", "nothing is written there"),
        ("a b", "' ' has no place"),
        ("https://mcr.microsoft.com/a", "has no `https://`"),
        ("mcr.microsoft.com//a", "a part of the name is empty"),
        ("mcr.microsoft.com/a:", "a part of the name is empty"),
        ("mcr.microsoft.com/", "a part of the name is empty"),
        ("a@", "a part of the name is empty"),
    ] {
        let told = ImageName::parse(text).unwrap_err().to_string();
        assert!(told.contains(wanted), "{text:?}: {told}");
    }
}

#[test]
fn a_registry_is_asked_for_the_full_name_of_docker_hubs_own_images() {
    for (text, asked) in [
        ("registry", "library/registry:latest"),
        ("docker.io/registry:2", "library/registry:2"),
        ("team/app", "team/app:latest"),
        ("mcr.microsoft.com/app", "app:latest"),
        ("$upstream:443/registry:2", "registry:2"),
    ] {
        assert_eq!(ImageName::parse(text).unwrap().asked(), asked);
    }
}

proptest! {
    #[test]
    fn a_name_that_is_read_is_written_as_it_was(text in "[a-zA-Z0-9$<>{}().:/@_%#-]{1,30}") {
        if let Ok(name) = ImageName::parse(&text) {
            prop_assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        if let Ok(name) = ImageName::parse(&text) {
            prop_assert_eq!(name.to_string(), text);
        }
    }
}
