use super::*;

fn check(
    upstream: &str,
    realm: &str,
    with_credentials: bool,
    realms: &[&str],
) -> Result<(), String> {
    let upstream = Url::parse(upstream).unwrap();
    let realms: Vec<String> = realms.iter().map(|entry| (*entry).to_owned()).collect();
    let rules = RealmRules::new(&upstream, &realms).unwrap();
    rules
        .check(
            &Url::parse(realm).unwrap(),
            with_credentials,
            Reach::of_url(&upstream),
        )
        .map_err(|no| no.to_string())
}

#[test]
fn credentials_go_to_the_upstreams_own_host_and_domain() {
    for (upstream, realm) in [
        ("https://ghcr.io", "https://ghcr.io/token"),
        (
            "https://registry.example",
            "https://registry.example:5001/token",
        ),
        (
            "https://registry-1.docker.io",
            "https://auth.docker.io/token",
        ),
        ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth"),
        ("http://10.0.0.5:5000", "http://10.0.0.5:5001/token"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5001/token"),
        ("http://registry.example", "https://registry.example/token"),
    ] {
        assert_eq!(
            check(upstream, realm, true, &[]),
            Ok(()),
            "{upstream} {realm}"
        );
    }
}

#[test]
fn credentials_go_to_no_stranger() {
    for (upstream, realm) in [
        (
            "https://registry.example.com",
            "https://auth.example.org/token",
        ),
        ("https://a.github.io", "https://b.github.io/token"),
        ("https://registry.example.com", "https://127.0.0.1/token"),
        ("https://registry.example.com", "https://localhost:9/token"),
        (
            "https://registry.example.com",
            "https://[::ffff:a00:1]/token",
        ),
        ("http://10.0.0.5", "http://10.0.0.6/token"),
        ("http://127.0.0.1:5000", "http://127.0.0.2:5000/token"),
        (
            "https://registry.example.com",
            "http://registry.example.com/token",
        ),
        (
            "https://registry.example.com",
            "ftp://registry.example.com/token",
        ),
        ("https://a.co.uk", "https://b.co.uk/token"),
    ] {
        let said = check(upstream, realm, true, &[]).unwrap_err();
        assert!(said.contains(realm.trim_end_matches("/token")), "{said}");
    }
}

#[test]
fn a_refusal_names_the_setting_and_no_secret() {
    let said = check(
        "https://a.example.com",
        "https://u:p@b.example.org/t?key=secret",
        true,
        &[],
    )
    .unwrap_err();
    assert!(
        said.contains("proxy.realms") && said.contains("https://b.example.org/t"),
        "{said}"
    );
    assert!(!said.contains("secret") && !said.contains("u:p"), "{said}");
}

#[test]
fn named_realms_are_allowed_except_over_plain_http() {
    let allowed = |realm, realms| check("https://registry.example.com", realm, true, realms);
    assert_eq!(
        allowed("https://login.other.net/t", &["login.other.net"]),
        Ok(())
    );
    assert_eq!(
        allowed(
            "https://login.other.net:8443/t",
            &["https://login.other.net"]
        ),
        Ok(())
    );
    assert_eq!(allowed("https://10.1.2.3/t", &["10.1.2.3:443"]), Ok(()));
    assert!(allowed("https://10.1.2.3:444/t", &["10.1.2.3:443"]).is_err());
    assert!(allowed("http://login.other.net/t", &["login.other.net"]).is_err());
}

#[test]
fn an_anonymous_request_may_go_abroad_but_never_nearer_than_the_upstream() {
    assert_eq!(
        check(
            "https://registry.example.com",
            "https://auth.example.org/t",
            false,
            &[]
        ),
        Ok(())
    );
    assert!(
        check(
            "https://registry.example.com",
            "https://192.168.0.1/t",
            false,
            &[]
        )
        .is_err()
    );
    assert!(
        check(
            "https://registry.example.com",
            "https://169.254.169.254/t",
            false,
            &[]
        )
        .is_err()
    );
    assert!(check("http://10.0.0.5", "http://127.0.0.1:9/t", false, &[]).is_err());
    assert_eq!(
        check("http://10.0.0.5", "http://10.0.0.6/t", false, &[]),
        Ok(())
    );
    assert_eq!(
        check("http://127.0.0.1:1", "http://127.0.0.2:2/t", false, &[]),
        Ok(())
    );
}

#[test]
fn only_an_upstream_on_the_local_link_or_the_operator_leads_there() {
    let metadata = [
        "http://169.254.169.254/t",
        "http://[fe80::1]/t",
        "http://[::ffff:169.254.169.254]/t",
        "http://[64:ff9b::a9fe:a9fe]/t",
    ];
    for realm in metadata {
        for upstream in [
            "http://127.0.0.1:5000",
            "http://[::1]:5000",
            "http://localhost:5000",
            "http://10.0.0.5",
            "http://registry.example",
        ] {
            let said = check(upstream, realm, false, &[]).unwrap_err();
            assert!(said.contains("on the local link"), "{upstream}: {said}");
        }
        assert_eq!(check("http://169.254.7.7", realm, false, &[]), Ok(()));
        let host = Url::parse(realm).unwrap();
        let named = [host.host_str().unwrap()];
        assert_eq!(check("http://127.0.0.1:5000", realm, true, &named), Ok(()));
    }
    assert!(check("http://169.254.7.7", "http://127.0.0.1/t", false, &[]).is_err());
}

#[test]
fn what_is_found_at_two_reaches_leads_only_where_both_may() {
    let all = [
        Reach::Public,
        Reach::Private,
        Reach::LinkLocal,
        Reach::Loopback,
    ];
    for one in all {
        for other in all {
            for there in all {
                let both = one.may_lead_to(there) && other.may_lead_to(there);
                assert_eq!(one.and(other).may_lead_to(there), both);
            }
        }
    }
}

#[test]
fn every_address_has_its_reach() {
    for (address, reach) in [
        ("8.8.8.8", Reach::Public),
        ("100.63.0.1", Reach::Public),
        ("100.64.0.1", Reach::Private),
        ("172.31.0.1", Reach::Private),
        ("fd00::1", Reach::Private),
        ("169.254.169.254", Reach::LinkLocal),
        ("fe80::1", Reach::LinkLocal),
        ("0.0.0.0", Reach::Loopback),
        ("::", Reach::Loopback),
        ("::1", Reach::Loopback),
        ("::ffff:127.0.0.1", Reach::Loopback),
        ("::ffff:169.254.169.254", Reach::LinkLocal),
        ("64:ff9b::a9fe:a9fe", Reach::LinkLocal),
        ("64:ff9b::7f00:1", Reach::Loopback),
        ("64:ff9b::808:808", Reach::Public),
        ("2600::1", Reach::Public),
    ] {
        let found = Reach::of_address(address.parse().unwrap());
        assert_eq!(found, reach, "{address}");
    }
}

#[test]
fn an_entry_that_is_no_host_is_named() {
    let upstream = Url::parse("https://registry.example").unwrap();
    assert_eq!(
        RealmRules::new(&upstream, &["a b".into()]).unwrap_err(),
        "a b"
    );
}
