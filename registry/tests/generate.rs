//! `cistern edge generate` as it is started: what it writes, what it refuses, and that the ready files and the page about it are what it
//! writes.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read and write files, and fail by panicking"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const HIERARCHY: &str = "deploy/iotedge/hierarchy.example.yml";
const REGISTRY: &str = "https://plant.azurecr.io";

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Exit code, standard output, standard error; paths are those of the repository.
fn generate(words: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cistern"));
    command.env_clear().current_dir(repository());
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .args(["edge", "generate"])
        .args(words)
        .output()
        .unwrap();
    (
        status.code().unwrap(),
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    )
}

/// The example of the page, written into `folder`.
fn example(folder: &str, more: &[&str]) -> (i32, String, String) {
    let mut words = vec!["--registry", REGISTRY, "--mcr", "--username", "puller"];
    words.extend(["--hierarchy", HIERARCHY, "--out", folder]);
    words.extend(more);
    generate(&words)
}

/// Compares a document with what it should be; `UPDATE_DOCS=1` writes it.
fn assert_document(path: &Path, expected: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is out of date; run the tests with UPDATE_DOCS=1",
        path.display()
    );
}

#[test]
fn the_ready_files_are_what_the_program_writes_for_the_example() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, err) = example(folder.path().to_str().unwrap(), &[]);
    assert_eq!(code, 0, "{err}");
    let ready = repository().join("deploy/iotedge");
    for (device, layer) in [
        ("plant-top", "top"),
        ("line-1", "lower"),
        ("press-1", "bottom"),
    ] {
        for (file, name) in [
            ("deployment.json", format!("{layer}.json")),
            ("config.toml", format!("{layer}.config.toml")),
        ] {
            let text = std::fs::read_to_string(folder.path().join(device).join(file)).unwrap();
            assert_document(&ready.join(name), &text);
        }
    }
}

#[test]
fn the_page_about_generating_shows_what_the_program_says() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let (code, out, err) = example(place, &[]);
    assert_eq!(code, 0, "{err}");
    let said = format!("{out}{err}").replace(place, "devices");
    let hierarchy = std::fs::read_to_string(repository().join(HIERARCHY)).unwrap();
    let steps = std::fs::read_to_string(folder.path().join("line-1/README.md")).unwrap();
    let config = std::fs::read_to_string(folder.path().join("line-1/config.toml")).unwrap();
    let path = repository().join("deploy/docs/generate.md");
    let mut page = std::fs::read_to_string(&path).unwrap();
    for (name, kind, text) in [
        ("hierarchy", "yaml", hierarchy),
        ("said", "text", said),
        ("config", "toml", config),
        ("steps", "markdown", steps),
    ] {
        let (begin, end) = (
            format!("<!-- {name}: begin -->\n"),
            format!("<!-- {name}: end -->"),
        );
        let (before, rest) = page.split_once(&begin).unwrap();
        let (_, after) = rest.split_once(&end).unwrap();
        page = format!("{before}{begin}```{kind}\n{text}```\n{end}{after}");
    }
    assert_document(&path, &page);
    let options: Vec<_> = generate(&["--help"])
        .1
        .split_whitespace()
        .map(|word| word.trim_end_matches([':', ',', '.', ';']))
        .filter(|word| word.starts_with("--"))
        .map(ToOwned::to_owned)
        .collect();
    assert!(options.len() > 20);
    for option in options.iter().filter(|option| *option != "--help") {
        assert!(
            page.contains(option.as_str()),
            "{option} is not on the page"
        );
    }
}

#[test]
fn one_device_needs_no_file_and_is_printed() {
    let (code, out, err) = generate(&["--registry", REGISTRY, "--layer", "lower"]);
    assert_eq!((code, err.as_str()), (0, ""));
    let manifest: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert!(manifest["modulesContent"]["$edgeAgent"].is_object());
    let words = [
        "--registry",
        REGISTRY,
        "--layer",
        "lower",
        "--print",
        "config",
    ];
    let (code, out, err) = generate(&words);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("--hostname"), "{err}");
    let mut named = words.to_vec();
    named.extend([
        "--hostname",
        "line.plant.example",
        "--parent",
        "top.plant.example",
    ]);
    let (code, out, _) = generate(&named);
    assert_eq!(code, 0);
    assert!(
        out.contains("image = \"top.plant.example:443/azureiotedge-agent:1.5\""),
        "{out}"
    );
}

#[test]
fn nothing_is_overwritten_unless_it_is_asked_for_and_then_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().to_str().unwrap();
    let there = folder.path().join("line-1/config.toml");
    std::fs::create_dir_all(there.parent().unwrap()).unwrap();
    std::fs::write(&there, "mine").unwrap();
    let (code, out, err) = example(place, &[]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains("line-1/config.toml is there already; --force"),
        "{err}"
    );
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "mine");
    assert!(!folder.path().join("plant-top").exists());
    let (code, out, _) = example(place, &["--force"]);
    assert_eq!((code, out.lines().count()), (0, 9));
    assert_ne!(std::fs::read_to_string(&there).unwrap(), "mine");
}

#[test]
fn a_password_comes_from_a_file_and_is_for_the_owner_to_read() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("password");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let place = folder.path().join("out");
    let (code, out, err) = example(
        place.to_str().unwrap(),
        &["--password-file", secret.to_str().unwrap()],
    );
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains("hunter2") && !err.contains("hunter2"));
    let top = place.join("plant-top/deployment.json");
    assert!(
        std::fs::read_to_string(&top)
            .unwrap()
            .contains("\"hunter2\"")
    );
    assert_eq!(
        std::fs::metadata(&top).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let lower = std::fs::read_to_string(place.join("line-1/deployment.json")).unwrap();
    assert!(!lower.contains("hunter2"));
    std::fs::write(&secret, "\n").unwrap();
    let (code, _, err) = example(
        place.to_str().unwrap(),
        &["--force", "--password-file", secret.to_str().unwrap()],
    );
    assert_eq!(code, 2);
    assert!(err.contains("holds no password"), "{err}");
}

#[test]
fn what_is_wrong_with_a_hierarchy_file_is_told_with_its_line_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hierarchy.yml");
    let place = folder.path().join("out");
    let attempt = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let words = [
            "--registry",
            REGISTRY,
            "--hierarchy",
            file.to_str().unwrap(),
        ];
        generate(&[&words[..], &["--out", place.to_str().unwrap()]].concat())
    };
    for (text, said) in [
        (
            "edgeDevices:\n- deviceId: a\n",
            "hierarchy.yml: line 2: `a` has no hostname",
        ),
        (
            "edgeDevices:\n- deviceId: a\n- deviceId: a\n",
            "hierarchy.yml: line 3: `a` is also",
        ),
        ("edgeDevices: [\n", "is not YAML"),
        (
            "edgeConfiguration:\n  templateConfigPath: no.toml\nedgeDevices:\n- deviceId: a\n  hostname: a.example\n",
            "line 2: no.toml cannot be read",
        ),
    ] {
        let (code, out, err) = attempt(text);
        assert_eq!((code, out.as_str()), (2, ""), "{err}");
        assert!(err.contains(said), "{err}");
    }
    assert!(!place.exists());
}

#[test]
fn a_template_that_the_hierarchy_names_lies_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hierarchy.yml");
    let text = "edgeConfiguration:\n  templateConfigPath: ./ours.toml\nedgeDevices:\n- deviceId: a\n  hostname: a.example\n";
    std::fs::write(&file, text).unwrap();
    std::fs::write(
        folder.path().join("ours.toml"),
        "[watchdog]\nmax_retries = 7\n",
    )
    .unwrap();
    let words = [
        "--registry",
        REGISTRY,
        "--hierarchy",
        file.to_str().unwrap(),
    ];
    let (code, out, err) = generate(&[&words[..], &["--print", "config"]].concat());
    assert_eq!(code, 0, "{err}");
    assert!(
        out.contains("max_retries = 7") && out.contains("hostname = \"a.example\""),
        "{out}"
    );
}

#[test]
fn a_command_line_that_makes_no_sense_is_code_2_and_says_why() {
    let top = ["--registry", REGISTRY, "--layer", "top"];
    for (more, said) in [
        (["--hierarchy", "x"], "cannot be used with"),
        (["--password-file", "x"], "--username"),
        (["--subnet", "10.0.0.0"], "no subnet"),
        (["--registry-address", "10.0.0.9"], "--subnet"),
        (["--edition", "1.1"], "1.4"),
        (["--parent", "a.example"], "has a parent"),
        (["--print", "config"], "--hostname"),
    ] {
        assert_misuse(&[&top[..], &more].concat(), said);
    }
    assert_misuse(&[&top[..], &["--force"]].concat(), "--out");
    assert_misuse(&[], "--registry");
    assert_misuse(&["--registry", REGISTRY], "--layer");
    for (registry, said) in [
        ("ftp://x", "https or http"),
        ("plant", "Docker Hub"),
        ("mcr.microsoft.com", "--image"),
    ] {
        assert_misuse(&["--registry", registry, "--layer", "top"], said);
    }
    for (hierarchy, said) in [
        ("/no/such", "/no/such cannot be read"),
        (HIERARCHY, "--out"),
    ] {
        let words = ["--registry", REGISTRY, "--hierarchy", hierarchy];
        assert_misuse(&words, said);
    }
    let parentless = ["--layer", "lower", "--hostname", "a.example"];
    assert_misuse(
        &[&["--registry", REGISTRY][..], &parentless].concat(),
        "--parent",
    );
}

fn assert_misuse(words: &[&str], said: &str) {
    let (code, out, err) = generate(words);
    assert_eq!((code, out.as_str()), (2, ""), "{words:?}: {err}");
    assert!(err.contains(said), "{words:?}: {err}");
}
