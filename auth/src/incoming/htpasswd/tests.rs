//! Files as Apache makes them, changed under way.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;

use super::{Htpasswd, HtpasswdError};
use crate::Secret;

// Printed by Apache's `htpasswd -nbB -C 4 USER PASSWORD`.
const JANE_PENCIL: &str = "jane:$2y$04$hkeMDoqYpZnz8DqzLJLex.Si5DmJDw3v0CluLj7k2nSvZhS90f8Tu";
const JOE: &str = "joe:$2y$04$yUSYSGkL9twaIgu32tILi.TXwHNHR8KNgD8vCR52ik52B1My9tdKa";
const JOES_PASSWORD: &str = "p:a ß";
const OLD_MD5: &str = "old:$apr1$MP0.tntr$LOlfL1kWdRZ14MLLNp8Jo/";
const SHA: &str = "sha:{SHA}2PRZAyDhNDqRW2OUFwZQqPNdaSY=";

struct File {
    folder: TempDir,
    users: Htpasswd,
}

impl File {
    /// A file that is looked at before every answer.
    fn of(lines: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::fs::write(&path, lines.join("\n")).unwrap();
        let mut users = Htpasswd::open(&path).unwrap();
        users.look_every = Duration::ZERO;
        Self { folder, users }
    }

    /// Replaces the file at one stroke, as editors do.
    fn becomes(&self, lines: &[&str]) {
        let new = self.folder.path().join("new");
        std::fs::write(&new, lines.join("\n")).unwrap();
        std::fs::rename(&new, self.folder.path().join("users")).unwrap();
    }

    async fn lets_in(&self, user: &str, password: &str) -> bool {
        self.users.verify(user, &Secret::new(password)).await
    }
}

#[tokio::test]
async fn users_that_apache_wrote_get_in_with_their_own_password_only() {
    let file = File::of(&[
        "# ours",
        "",
        JANE_PENCIL,
        &format!("{JOE}\r"),
        OLD_MD5,
        SHA,
        "",
    ]);
    assert!(file.lets_in("jane", "pencil").await);
    assert!(file.lets_in("joe", JOES_PASSWORD).await);
    for (user, password) in [
        ("jane", "Pencil"),
        ("jane", "pencil "),
        ("jane", ""),
        ("joe", "pencil"),
        ("Jane", "pencil"),
        ("nobody", "pencil"),
        ("", ""),
        ("# ours", ""),
        ("old", "md5"),
        ("sha", "sha"),
    ] {
        assert!(!file.lets_in(user, password).await, "{user} {password}");
    }
}

#[tokio::test]
async fn of_two_lines_for_one_user_the_last_counts() {
    let with_joes = JOE.replace("joe:", "jane:");
    let file = File::of(&[JANE_PENCIL, &with_joes]);
    assert!(file.lets_in("jane", JOES_PASSWORD).await);
    assert!(!file.lets_in("jane", "pencil").await);
    let replaced_by_md5 = OLD_MD5.replace("old:", "jane:");
    let file = File::of(&[JOE, JANE_PENCIL, &replaced_by_md5]);
    assert!(!file.lets_in("jane", "pencil").await);
}

#[test]
fn a_file_nobody_could_log_in_with_is_an_error_that_says_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users");
    let missing = Htpasswd::open(&path).unwrap_err();
    assert!(matches!(missing, HtpasswdError::Unreadable { .. }));
    let how = format!("`htpasswd -Bbn USER PASSWORD > {}`", path.display());
    assert!(missing.to_string().contains(&how), "{missing}");
    for content in ["", "# nobody\n", OLD_MD5, "jane:$2y$04$short", "no colon"] {
        std::fs::write(&path, content).unwrap();
        let empty = Htpasswd::open(&path).unwrap_err();
        assert!(matches!(empty, HtpasswdError::NoUsers { .. }), "{content}");
        assert!(empty.to_string().contains("bcrypt"), "{empty}");
    }
}

#[tokio::test]
async fn a_changed_file_counts_at_once() {
    let file = File::of(&[JANE_PENCIL]);
    assert!(file.lets_in("jane", "pencil").await);
    assert!(!file.lets_in("joe", JOES_PASSWORD).await);
    file.becomes(&[JOE]);
    assert!(file.lets_in("joe", JOES_PASSWORD).await);
    assert!(!file.lets_in("jane", "pencil").await);
    file.becomes(&[]);
    assert!(!file.lets_in("joe", JOES_PASSWORD).await);
    file.becomes(&[JANE_PENCIL]);
    assert!(file.lets_in("jane", "pencil").await);
}

#[tokio::test]
async fn a_new_user_gets_in_at_once_even_where_a_yes_holds_for_long() {
    let mut file = File::of(&[JANE_PENCIL]);
    file.users.look_every = Duration::from_secs(3600);
    assert!(file.lets_in("jane", "pencil").await);
    file.becomes(&[JOE]);
    assert!(file.lets_in("jane", "pencil").await, "the yes holds");
    assert!(file.lets_in("joe", JOES_PASSWORD).await);
    assert!(!file.lets_in("jane", "pencil").await, "the file was read");
}

#[tokio::test]
async fn users_last_read_stay_while_the_file_is_away() {
    let file = File::of(&[JANE_PENCIL]);
    std::fs::remove_file(file.folder.path().join("users")).unwrap();
    assert!(file.lets_in("jane", "pencil").await);
    assert!(!file.lets_in("joe", JOES_PASSWORD).await);
    file.becomes(&[JOE]);
    assert!(!file.lets_in("jane", "pencil").await);
}

#[tokio::test]
async fn a_password_is_compared_once_and_not_kept() {
    let file = Arc::new(File::of(&[JANE_PENCIL]));
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let file = Arc::clone(&file);
        callers.spawn(async move { file.lets_in("jane", "pencil").await });
    }
    assert!(callers.join_all().await.into_iter().all(|is_in| is_in));
    assert_eq!(file.users.verified.remembered().await, 1);
    assert!(!file.lets_in("jane", "crayon").await);
    assert_eq!(file.users.verified.remembered().await, 2);
    assert!(!format!("{:?}", file.users).contains("pencil"));
}

#[tokio::test]
async fn what_is_remembered_is_bounded() {
    let file = File::of(&[JANE_PENCIL]);
    for number in 0..1100 {
        assert!(!file.lets_in("jane", &number.to_string()).await);
    }
    assert!(file.users.verified.remembered().await <= 1024);
    assert!(file.lets_in("jane", "pencil").await);
}

#[tokio::test]
async fn an_unknown_user_costs_a_comparison_too() {
    let file = File::of(&[JANE_PENCIL]);
    assert!(!file.lets_in("nobody", "pencil").await);
    assert_eq!(file.users.verified.remembered().await, 1);
    // The same hash was compared with, and said yes: it means nothing for anybody else.
    assert!(!file.lets_in("nobody", "pencil").await);
}
