use super::*;
use std::sync::Arc;
use tempfile::TempDir;

/// A helper made of these shell lines. It is written by another process: a file that this one has just written cannot be
/// run while any thread of it is starting a program.
fn helper(lines: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("docker-credential-test");
    let script = format!("#!/bin/sh\ncd '{}'\n{lines}\n", folder.path().display());
    let written = std::process::Command::new("/bin/sh")
        .args(["-c", "printf %s \"$2\" > \"$1\" && chmod 700 \"$1\"", "sh"])
        .arg(&path)
        .arg(&script)
        .status()
        .unwrap();
    assert!(written.success());
    (folder, path)
}

/// Says who it was asked for, and counts its runs.
const COUNTING: &str = r#"
read server
echo run >> runs
printf '{"ServerURL":"%s","Username":"%s","Secret":"pencil-%s"}' "$server" "$server:$1" "$(wc -l < runs | tr -d ' ')"
"#;

fn runs(folder: &TempDir) -> usize {
    let lines = std::process::Command::new("cat")
        .arg(folder.path().join("runs"))
        .output()
        .unwrap();
    lines.stdout.split(|byte| *byte == b'\n').count() - 1
}

async fn secret(command: &CredentialCommand) -> String {
    let credentials = command.current("h.example").await.unwrap().unwrap();
    credentials.password.expose().to_owned()
}

#[tokio::test]
async fn a_helper_is_asked_for_the_server_once_and_by_one_caller_for_all() {
    let (folder, path) = helper(COUNTING);
    let command = Arc::new(CredentialCommand::new(&path, None));
    let answers = usernames(&command, 20).await;
    assert!(answers.iter().all(|answer| answer == "h.example:get"));
    assert_eq!(runs(&folder), 1);
}

async fn usernames(command: &Arc<CredentialCommand>, count: usize) -> Vec<String> {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..count {
        let command = Arc::clone(command);
        tasks.spawn(async move {
            let said = command.current("h.example").await;
            said.unwrap().unwrap().username
        });
    }
    tasks.join_all().await
}

#[tokio::test]
async fn a_refused_answer_is_asked_for_anew_and_a_second_refusal_waits() {
    let (_folder, path) = helper(COUNTING);
    let command = CredentialCommand::new(&path, None);
    assert_eq!(secret(&command).await, "pencil-1");
    let first = command.current("h.example").await.unwrap().unwrap();
    command.refused("h.example", &first);
    assert_eq!(secret(&command).await, "pencil-2");
    // Somebody else's late refusal of the first answer, and one of the second.
    let second = command.current("h.example").await.unwrap().unwrap();
    command.refused("h.example", &first);
    command.refused("h.example", &second);
    assert_eq!(secret(&command).await, "pencil-2");
}

#[tokio::test]
async fn an_answer_is_used_for_its_lifetime() {
    let (_folder, path) = helper(COUNTING);
    let brief = CredentialCommand::new(&path, Some(Duration::from_millis(1)));
    assert_eq!(secret(&brief).await, "pencil-1");
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(secret(&brief).await, "pencil-2");
}

#[tokio::test]
async fn a_helper_that_fails_later_takes_nothing_away() {
    let (folder, path) = helper(&format!("[ -f broken ] && exit 3\n{COUNTING}"));
    let command = CredentialCommand::new(&path, Some(Duration::from_millis(1)));
    assert_eq!(secret(&command).await, "pencil-1");
    let broken = folder.path().join("broken");
    let touched = std::process::Command::new("touch").arg(broken).status();
    assert!(touched.unwrap().success());
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(secret(&command).await, "pencil-1");
    assert_eq!(runs(&folder), 1);
}

#[tokio::test]
async fn what_a_helper_writes_is_in_no_error() {
    let huge = "head -c 100000 /dev/zero | tr '\\0' p; echo encil";
    for (lines, says) in [
        ("echo pencil; exit 7", "exit status: 7"),
        ("echo '{\"Username\":\"pencil\"}'", "not the JSON"),
        ("echo pencil", "not the JSON"),
        ("true", "not the JSON"),
        (huge, ""),
    ] {
        let (_folder, path) = helper(lines);
        let command = CredentialCommand::new(&path, None);
        let error = command.current("h.example").await.unwrap_err();
        let text = format!("{error} {error:?} {command:?}");
        assert!(text.contains(says), "{text}");
        assert!(text.contains("docker-credential-test"), "{text}");
        assert!(!text.contains("pencil") && !text.contains("ppp"), "{text}");
    }
    let missing = CredentialCommand::new("/does/not/exist", None);
    let error = missing.current("h.example").await.unwrap_err().to_string();
    assert!(
        error.contains("/does/not/exist: it cannot be started"),
        "{error}"
    );
}

#[tokio::test]
async fn a_server_unknown_to_the_helper_is_used_anonymously() {
    for lines in [
        "echo credentials not found in native keychain; exit 1",
        "echo '{\"Username\":\"\",\"Secret\":\"\"}'",
    ] {
        let (_folder, path) = helper(lines);
        let command = CredentialCommand::new(&path, None);
        assert_eq!(command.current("h.example").await.unwrap(), None);
    }
}
