//! The program as it is started: names, arguments, exit codes, and which stream says what.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write configuration files, play the server, and fail by panicking"
)]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn cistern() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cistern"));
    command.env_clear();
    command
}

/// Exit code, standard output, standard error.
fn outcome(command: &mut Command) -> (i32, String, String) {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

fn file(directory: &Path, text: &str) -> String {
    let path = directory.join("config.yml");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

#[test]
fn passwords_that_nobody_made_stop_the_start_with_code_2_and_say_how_to_make_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(
        directory.path(),
        "version: 0.1\nauth:\n  htpasswd:\n    realm: r\n    path: /p\n",
    );
    for arguments in [&["serve", &path][..], &[&path]] {
        let (code, out, err) = outcome(cistern().args(arguments));
        assert_eq!((code, out.as_str()), (2, ""));
        assert!(
            err.contains("config.yml:5: auth.htpasswd.path: /p cannot be read")
                && err.contains("htpasswd -Bbn USER PASSWORD > /p"),
            "{err}"
        );
    }
    let (code, _, err) = outcome(
        cistern()
            .arg("serve")
            .env("REGISTRY_HTTP_TLS_CERTIFICATE", "/c.pem"),
    );
    assert_eq!(code, 2);
    assert!(
        err.contains("REGISTRY_HTTP_TLS_CERTIFICATE: http.tls.certificate: the other half is missing; set http.tls.key too"),
        "{err}"
    );
}

#[test]
fn config_check_has_its_own_code_for_a_configuration_that_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = file(
        directory.path(),
        "version: 0.1\nhttp: {addr: nowhere, tls: {certificate: /c}}\n",
    );
    let (code, out, err) = outcome(cistern().args(["config", "check", &path]));
    assert_eq!(
        (code, out.as_str(), err.lines().count()),
        (1, "", 3),
        "{err}"
    );
    let path = file(directory.path(), "version: 0.1\ncolour: blue\n");
    let (code, out, err) = outcome(cistern().args(["config", "check", &path]));
    assert_eq!(code, 0);
    assert!(
        out.contains(":5000") && err.contains("warning: "),
        "{out}{err}"
    );
    assert_eq!(
        outcome(cistern().args(["config", "check", "--strict", &path])).0,
        1
    );
}

#[test]
fn the_program_works_under_the_name_registry() {
    let directory = tempfile::tempdir().unwrap();
    let registry = directory.path().join("registry");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cistern"), &registry).unwrap();
    let (code, out, _) = outcome(Command::new(&registry).arg("--version"));
    assert_eq!(
        (code, out.trim()),
        (0, concat!("cistern ", env!("CARGO_PKG_VERSION")))
    );
    let (code, _, err) = outcome(
        Command::new(&registry)
            .args(["serve", "/etc/no/such/config.yml"])
            .env_clear(),
    );
    assert_eq!(code, 2);
    assert!(err.contains("/etc/no/such/config.yml"), "{err}");
    let (code, _, err) = outcome(Command::new(&registry).args([
        "garbage-collect",
        "-m",
        "/etc/docker/registry/config.yml",
    ]));
    assert_eq!(code, 1);
    assert!(err.contains("garbage-collect"), "{err}");
}

#[test]
fn a_command_line_that_makes_no_sense_is_code_2() {
    for arguments in [
        &["serve", "--no-such-flag"][..],
        &["config"],
        &["config", "explain"],
        &["servee"],
    ] {
        let (code, out, err) = outcome(cistern().args(arguments));
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}");
        assert!(!err.is_empty());
    }
}

/// Answers one request with `answer` and returns what was asked.
fn play_server(listener: TcpListener, answer: &'static str) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut piece = [0_u8; 1024];
        while !request.ends_with(b"\r\n\r\n") {
            let count = connection.read(&mut piece).unwrap();
            request.extend_from_slice(&piece[..count]);
        }
        connection.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(request).unwrap()
    })
}

#[test]
fn a_health_check_asks_the_configured_address() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 0),
        (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
            1,
        ),
        ("SSH-2.0-something\r\n", 1),
        ("", 1),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = play_server(listener, answer);
        let mut command = cistern();
        command
            .args(["healthcheck", "/dev/null"])
            .env("REGISTRY_HTTP_ADDR", &address);
        let (code, out, err) = outcome(&mut command);
        assert_eq!(
            (code, out.lines().count() + err.lines().count()),
            (expected, 1),
            "{out}{err}"
        );
        let request = server.join().unwrap();
        assert!(
            request.starts_with("GET /healthz HTTP/1.1\r\n")
                && request.contains(&format!("Host: {address}\r\n")),
            "{request}"
        );
    }
}

#[test]
fn a_health_check_does_not_wait_longer_than_three_seconds() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/healthz", listener.local_addr().unwrap());
    let begin = std::time::Instant::now();
    let (code, _, err) = outcome(cistern().args(["healthcheck", "--url", &url]));
    assert_eq!(code, 1);
    assert!(err.contains("did not answer within 3 s"), "{err}");
    assert!(begin.elapsed() < std::time::Duration::from_secs(5));
}
