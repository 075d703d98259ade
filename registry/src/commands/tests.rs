//! The command line, without a process.

use super::*;

/// Exit, standard output, standard error.
fn cistern(words: &[&str], environment: &[(&str, &str)]) -> (Exit, String, String) {
    let environment: Environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut console = Console {
        out: &mut out,
        err: &mut err,
    };
    let arguments = std::iter::once("cistern")
        .chain(words.iter().copied())
        .map(OsString::from)
        .collect();
    let exit = run(arguments, &environment, &mut console);
    (
        exit,
        String::from_utf8(out).unwrap(),
        String::from_utf8(err).unwrap(),
    )
}

#[test]
fn every_way_of_asking_for_the_version_prints_it() {
    for words in [
        &["version"][..],
        &["--version"],
        &["-V"],
        &["-v"],
        &["registry", "--version"],
    ] {
        let (exit, out, _) = cistern(words, &[]);
        assert_eq!(
            (exit, out.trim()),
            (
                Exit::Success,
                concat!("cistern ", env!("CARGO_PKG_VERSION"))
            ),
            "{words:?}"
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_named_in_each_form_of_the_command() {
    for words in [
        &["serve", "/no/such.yml"][..],
        &["/no/such.yml"],
        &["registry", "serve", "/no/such.yml"],
        &["config.that.is.not.there"],
    ] {
        let (exit, _, err) = cistern(words, &[]);
        assert_eq!(exit, Exit::Misuse, "{words:?}");
        assert!(
            err.contains(words.last().unwrap()) && err.contains("cannot be read"),
            "{err}"
        );
    }
}

#[test]
fn a_mistyped_command_is_not_taken_for_a_file() {
    let (exit, _, err) = cistern(&["serv"], &[]);
    assert_eq!(exit, Exit::Misuse);
    assert!(err.contains("did you mean `cistern serve`?"), "{err}");
    assert_eq!(cistern(&["serve", "a", "b"], &[]).0, Exit::Misuse);
    assert_eq!(cistern(&["a.yml", "b.yml"], &[]).0, Exit::Misuse);
    assert_eq!(cistern(&["serve", "--loud"], &[]).0, Exit::Misuse);
}

#[test]
fn help_goes_to_standard_output_and_names_what_an_operator_may_do() {
    let (exit, out, err) = cistern(&["--help"], &[]);
    assert_eq!((exit, err.as_str()), (Exit::Success, ""));
    for word in [
        "serve",
        "config",
        "healthcheck",
        "version",
        "/etc/docker/registry/config.yml",
    ] {
        assert!(out.contains(word), "{word}");
    }
    assert!(!out.contains("garbage"));
}

#[test]
fn garbage_collect_says_that_there_is_nothing_to_do() {
    for words in [
        &["garbage-collect"][..],
        &[
            "garbage-collect",
            "--delete-untagged",
            "/etc/docker/registry/config.yml",
        ],
    ] {
        let (exit, _, err) = cistern(words, &[]);
        assert_eq!(exit, Exit::Failure);
        assert!(err.contains("proxy.ttl"), "{err}");
    }
}

#[test]
fn config_check_prints_what_is_served_from_where_and_who_said_so() {
    let environment = [
        ("REGISTRY_CONFIGURATION_PATH", "/dev/null"),
        ("REGISTRY_PROXY_REMOTEURL", "https://mcr.microsoft.com"),
        ("REGISTRY_PROXY_ALIASES", "cache.example"),
        ("REGISTRY_PROXY_USERNAME", "me"),
        ("REGISTRY_PROXY_PASSWORD", "hunter2"),
        ("REGISTRY_PORT", "tcp://10.0.0.1:5000"),
    ];
    let (exit, out, err) = cistern(&["config", "check"], &environment);
    assert_eq!(exit, Exit::Success, "{err}");
    for part in [
        "address   :5000, every interface",
        "store     /var/lib/registry, leaving free 5 %",
        "upstream  https://mcr.microsoft.com, as me",
        "names     mcr.microsoft.com, mcr.microsoft.com:443, cache.example",
        "after 30s",
        "proxy.remoteurl = https://mcr.microsoft.com  (REGISTRY_PROXY_REMOTEURL)",
        "proxy.password = (secret)",
    ] {
        assert!(out.contains(part), "{part} is not in\n{out}");
    }
    assert!(!out.contains("hunter2") && !err.contains("hunter2"));
    assert!(
        err.starts_with("warning: REGISTRY_PORT: ") && err.contains("this: 1 warning, which"),
        "{err}"
    );
    let (exit, out, err) = cistern(&["config", "check", "--strict"], &environment);
    assert_eq!((exit, out.as_str()), (Exit::Failure, ""));
    assert!(
        err.contains("error: REGISTRY_PORT: ")
            && err.ends_with("does not start with this: 1 error.\n"),
        "{err}"
    );
}

#[test]
fn config_check_counts_errors_and_warnings_apart() {
    let environment = [
        ("REGISTRY_CONFIGURATION_PATH", "/dev/null"),
        ("REGISTRY_HTTP_ADDR", "5000"),
        ("REGISTRY_PROXY_CHECKEVERRY", "1s"),
        ("REGISTRY_STORAGE_WHERE", "x"),
    ];
    let (exit, _, err) = cistern(&["config", "check"], &environment);
    assert_eq!(exit, Exit::Failure);
    assert!(
        err.ends_with("does not start with this: 1 error and 2 warnings.\n")
            && err.contains("write `:5000`"),
        "{err}"
    );
    let (_, _, err) = cistern(&["config", "check", "--strict"], &environment);
    assert!(err.ends_with("this: 3 errors.\n"), "{err}");
}

#[test]
fn a_file_without_end_is_no_configuration() {
    for words in [
        &["config", "check", "/dev/zero"][..],
        &["serve", "/dev/zero"],
    ] {
        let (exit, _, err) = cistern(words, &[]);
        assert_ne!(exit, Exit::Success);
        assert!(
            err.contains("/dev/zero") && err.contains("larger than 1 MiB"),
            "{err}"
        );
    }
}

#[test]
fn config_check_of_no_upstream_says_that_repositories_are_hosted() {
    let (exit, out, _) = cistern(&["config", "check", "/dev/null"], &[]);
    assert_eq!(exit, Exit::Success);
    assert!(
        out.contains("upstream  none; every repository is hosted here")
            && out.contains("all of this is default"),
        "{out}"
    );
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "a test writes the file of users that an operator would"
)]
fn config_check_says_who_may_write_where() {
    let folder = tempfile::tempdir().unwrap();
    let users = folder.path().join("users");
    let hash = "jane:$2y$04$hkeMDoqYpZnz8DqzLJLex.Si5DmJDw3v0CluLj7k2nSvZhS90f8Tu\n";
    std::fs::write(&users, hash).unwrap();
    let users = users.to_str().unwrap();
    let upstream = ("REGISTRY_PROXY_REMOTEURL", "https://mcr.microsoft.com");
    let hosted = ("REGISTRY_HOSTED_REPOSITORIES", "local/*,edge");
    let login = ("REGISTRY_AUTH_HTPASSWD_PATH", users);
    let from = ("REGISTRY_HOSTED_WRITEFROM", "10.0.0.0/8");
    let trusted = ("REGISTRY_HTTP_TRUSTEDPROXIES", "127.0.0.0/8");
    let delete = ("REGISTRY_STORAGE_DELETE_ENABLED", "true");
    let anonymous = ("REGISTRY_HTTP_ANONYMOUSPULL", "true");
    let read_only = ("REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED", "true");
    for (settings, parts) in [
        (
            &[][..],
            &["writers   everybody who reaches the address, without a login; deletes nothing"][..],
        ),
        (&[delete], &["may delete too"]),
        (
            &[from],
            &["writers   everybody from 10.0.0.0/8, without a login"],
        ),
        (
            &[login],
            &[
                "callers   whoever has a login of ",
                "writers   whoever has a login;",
            ],
        ),
        (
            &[login, anonymous],
            &["callers   everybody may read; a login of "],
        ),
        (
            &[login, from],
            &["writers   whoever has a login and comes from 10.0.0.0/8"],
        ),
        (
            &[upstream],
            &["writers   nobody: every repository mirrors the upstream"],
        ),
        (
            &[upstream, hosted],
            &[
                "hosted    local/*, edge, never asked for upstream",
                "writers   this machine only, without a login",
                "through a proxy counts as the proxy, on this machine as this machine",
            ],
        ),
        (
            &[upstream, hosted, trusted],
            &["but for those of 127.0.0.0/8, whose X-Forwarded-For counts"],
        ),
        (
            &[upstream, hosted, login],
            &["writers   whoever has a login;"],
        ),
        (&[read_only], &["writers   nobody: the store is read-only"]),
    ] {
        let mut environment = vec![("REGISTRY_CONFIGURATION_PATH", "/dev/null")];
        environment.extend(settings);
        let (exit, out, err) = cistern(&["config", "check"], &environment);
        assert_eq!(exit, Exit::Success, "{err}");
        for part in parts {
            assert!(out.contains(part), "{part} is not in\n{out}");
        }
    }
}

#[test]
fn a_health_check_without_a_server_is_one_line_and_a_failure() {
    let (exit, out, err) = cistern(&["healthcheck", "--url", "http://127.0.0.1:1"], &[]);
    assert_eq!((exit, out.as_str()), (Exit::Failure, ""));
    assert!(
        err.starts_with("unhealthy: http://127.0.0.1:1/healthz: ") && err.lines().count() == 1,
        "{err}"
    );
}
