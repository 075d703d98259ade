//! `cistern edge rewrite` and `cistern edge images` as they are started, and the page about them.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests write manifests, and fail by panicking"
)]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

const TOP: &str = "{\"modulesContent\": {\"$edgeAgent\": {\"properties.desired\": {\"modules\": {\r\n\
    \t\"a\": {\"settings\": {\"image\": \"mcr.microsoft.com\\/a:1\"}}}}}}}";
const LOWER: &str = "{\"modulesContent\": {\"$edgeAgent\": {\"properties.desired\": {\"modules\": {\r\n\
    \t\"a\": {\"settings\": {\"image\": \"$upstream:443\\/a:1\"}}}}}}}";

/// Exit code, standard output, standard error.
fn cistern(folder: &Path, arguments: &[&str], input: &[u8]) -> (i32, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cistern"));
    command.env_clear().current_dir(folder).args(arguments);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // A command that needs no input may be gone before it is written.
    let _ = process.stdin.take().unwrap().write_all(input);
    let output = process.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

fn rewrite(folder: &Path, arguments: &[&str], input: &str) -> (i32, String, String) {
    let arguments = [&["edge", "rewrite"], arguments].concat();
    cistern(folder, &arguments, input.as_bytes())
}

#[test]
fn standard_input_goes_to_standard_output_and_back_again_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["--layer", "lower"][..], &["--layer", "lower", "-"]] {
        let (code, out, err) = rewrite(folder.path(), arguments, TOP);
        assert_eq!((code, out.as_str()), (0, LOWER), "{err}");
        assert!(
            err.contains("--layer top --registry mcr.microsoft.com"),
            "{err}"
        );
    }
    let (code, out, err) = rewrite(
        folder.path(),
        &["--layer", "top", "--registry", "mcr.microsoft.com"],
        LOWER,
    );
    assert_eq!((code, out.as_str(), err.as_str()), (0, TOP, ""));
}

#[test]
fn a_file_is_replaced_in_its_place_with_its_mode_and_through_a_link() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.json");
    std::fs::write(&file, TOP).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("m.json", folder.path().join("link.json")).unwrap();
    let (code, out, _) = rewrite(
        folder.path(),
        &["--layer", "lower", "--in-place", "link.json"],
        "",
    );
    assert_eq!((code, out.as_str()), (0, "link.json: 1 change\n"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), LOWER);
    assert_eq!(
        file.metadata().unwrap().permissions().mode() & 0o7777,
        0o640
    );
    assert!(folder.path().join("link.json").is_symlink());
    let before = file.metadata().unwrap().modified().unwrap();
    let (code, out, _) = rewrite(
        folder.path(),
        &["--layer", "lower", "--in-place", "m.json"],
        "",
    );
    assert_eq!((code, out.as_str()), (0, "m.json: nothing to change\n"));
    assert_eq!(
        file.metadata().unwrap().modified().unwrap(),
        before,
        "not even touched"
    );
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        2,
        "nothing is left beside it"
    );
}

#[test]
fn if_one_file_is_not_understood_none_is_written() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good.json"), TOP).unwrap();
    std::fs::write(
        folder.path().join("bad.json"),
        "{\n  \"modulesContent\": {,}\n}",
    )
    .unwrap();
    let (code, out, err) = rewrite(
        folder.path(),
        &["--layer", "lower", "--in-place", "good.json", "bad.json"],
        "",
    );
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains("bad.json is not JSON: line 2, column 22: "),
        "{err}"
    );
    assert_eq!(
        std::fs::read_to_string(folder.path().join("good.json")).unwrap(),
        TOP
    );
}

#[test]
fn a_difference_can_be_applied_by_patch() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("m.json");
    std::fs::write(&file, TOP).unwrap();
    let (code, out, _) = rewrite(folder.path(), &["--layer", "lower", "--diff", "m.json"], "");
    assert_eq!(code, 0);
    assert!(
        out.starts_with("--- m.json\n+++ m.json\n@@ -1,2 +1,2 @@\n"),
        "{out}"
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), TOP);
    std::fs::write(folder.path().join("d"), &out).unwrap();
    let mut patch = Command::new("patch");
    patch
        .current_dir(folder.path())
        .args(["--binary", "-s", "m.json", "d"]);
    match patch.status() {
        Ok(status) => {
            assert!(status.success(), "{out}");
            assert_eq!(std::fs::read_to_string(&file).unwrap(), LOWER);
        }
        Err(error) => eprintln!("skipped: patch does not run: {error}"),
    }
}

#[test]
fn input_that_is_no_manifest_is_code_1_and_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    for (input, wanted) in [
        (
            &b""[..],
            "standard input is not JSON: line 1, column 1: there is nothing here",
        ),
        (
            b"{}",
            "standard input is not a deployment manifest: line 1: there is no `modulesContent` in it",
        ),
        (b"\xff\xfe{\0}\0", "standard input is in UTF-16"),
        (b"{\n\"\xe9\": 1}", "standard input:2: not UTF-8"),
    ] {
        for command in [
            &["edge", "rewrite", "--layer", "lower"][..],
            &["edge", "images"],
        ] {
            let (code, _, err) = cistern(folder.path(), command, input);
            assert!(code == 1 && err.contains(wanted), "{code} {err}");
        }
    }
    let (code, _, err) = rewrite(folder.path(), &["--layer", "lower", "no.json"], "");
    assert!(
        code == 1 && err.contains("no.json cannot be read: No such file"),
        "{err}"
    );
}

#[test]
fn flags_that_do_not_go_together_are_code_2() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, wanted) in [
        (&["m.json"][..], "--layer"),
        (
            &["--layer", "lower", "--in-place"],
            "standard input has no place",
        ),
        (
            &["--layer", "lower", "a.json", "b.json"],
            "--in-place or --diff only",
        ),
        (
            &["--layer", "lower", "--in-place", "--diff", "a.json"],
            "cannot be used with",
        ),
        (
            &["--layer", "lower", "--map", "a=b"],
            "belong to --layer top",
        ),
        (
            &["--layer", "top"],
            "which registry did $upstream stand for?",
        ),
        (
            &["--layer", "top", "--registry", "a,b"],
            "--map PREFIX=HOST",
        ),
        (
            &["--layer", "top", "--registry", "a", "--port", "8000"],
            "--port belongs to --layer lower",
        ),
        (&["--layer", "lower", "--port", "0"], "--port"),
        (
            &["--layer", "top", "--map", "a"],
            "team/=myregistry.azurecr.io",
        ),
        (
            &["--layer", "top", "--registry", "a/b"],
            "a registry is a host name",
        ),
    ] {
        let (code, out, err) = rewrite(folder.path(), arguments, TOP);
        assert_eq!((code, out.as_str()), (2, ""), "{arguments:?}: {err}");
        assert!(err.contains(wanted), "{arguments:?}: {err}");
    }
}

#[test]
fn what_needs_a_decision_is_code_1_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, err) = rewrite(
        folder.path(),
        &["--layer", "top", "--map", "team/=x.example"],
        LOWER,
    );
    assert_eq!((code, out.as_str()), (1, ""));
    assert!(
        err.contains("error: standard input:2: which registry `a` of a is from is not known")
            && err.contains("--map a=REGISTRY"),
        "{err}"
    );
}

#[test]
fn the_list_of_images_is_for_people_programs_and_for_warming() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.json"), LOWER).unwrap();
    let list = |format: &str| {
        let (code, out, _) = cistern(
            folder.path(),
            &["edge", "images", "--format", format, "m.json", "m.json"],
            b"",
        );
        assert_eq!(code, 0);
        out
    };
    assert!(list("text").contains("  $upstream:443/a:1 "));
    let plain = list("plain");
    assert_eq!(
        plain.lines().filter(|line| *line == "a:1").count(),
        1,
        "{plain}"
    );
    assert!(plain.contains("azureiotedge-diagnostics:1.5\n"));
    let json: serde_json::Value = serde_json::from_str(&list("json")).unwrap();
    assert_eq!(
        (&json[0]["image"], &json[0]["asked"], &json[0]["is_implied"]),
        (&"$upstream:443/a:1".into(), &"a:1".into(), &false.into())
    );
}

/// Runs what stands behind `$`, and returns what it printed: standard output, then standard error.
fn run_example(folder: &Path, command: &str) -> String {
    let (command, into) = command
        .split_once(" > ")
        .map_or((command, None), |(command, file)| (command, Some(file)));
    let arguments: Vec<&str> = command.split(' ').skip(1).collect();
    let (_, out, err) = cistern(folder, &arguments, b"");
    match into {
        Some(file) => std::fs::write(folder.join(file), out).unwrap(),
        None => return out + &err,
    }
    err
}

#[test]
fn every_example_of_the_page_about_manifests_prints_what_the_page_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/docs/manifests.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut expected = String::new();
    let (mut file, mut lines) = (None, page.lines());
    while let Some(line) = lines.next() {
        expected.push_str(line);
        expected.push('\n');
        if let Some(name) = line.strip_prefix("<!-- file: ") {
            file = name.strip_suffix(" -->");
        }
        if line == "```json" || line == "```console" {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            if let Some(name) = file.take() {
                let text = block.join("\n") + "\n";
                std::fs::write(folder.path().join(name), &text).unwrap();
                expected.push_str(&text);
            } else {
                let command = block[0].strip_prefix("$ ").unwrap();
                let printed = run_example(folder.path(), command);
                expected.extend(["$ ", command, "\n", &printed]);
            }
            expected.push_str("```\n");
        }
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        page == expected,
        "deploy/docs/manifests.md is out of date; run the tests with UPDATE_DOCS=1:\n{expected}"
    );
}
