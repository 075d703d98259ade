//! A name that does not resolve until it does: the cache runs with a table of names of its own in place of the machine's.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use cistern_tests::cistern::program;
use cistern_tests::need::{find_program, is_root};
use cistern_tests::scripted_upstream::ScriptedUpstream;
use tempfile::TempDir;

/// The table, and a program that becomes the cache with it.
pub(super) struct Names {
    folder: TempDir,
}

impl Names {
    /// Whether this machine allows it.
    pub(super) fn are_ours() -> bool {
        let Some(unshare) = find_program("unshare") else {
            return false;
        };
        let tried = Command::new(unshare).args(how()).arg("true").output();
        tried.is_ok_and(|tried| tried.status.success())
    }

    /// An empty table.
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = Self { folder };
        names.write("");
        let script = format!(
            "#!/bin/sh\nexec unshare {} sh -c 'mount --bind {} /etc/hosts && exec \"$0\" \"$@\"' {} \"$@\"\n",
            how().join(" "),
            names.table().display(),
            program().display()
        );
        std::fs::write(names.program(), script).unwrap();
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(names.program(), executable).unwrap();
        names
    }

    /// What to start instead of the cache.
    pub(super) fn program(&self) -> PathBuf {
        self.folder.path().join("cistern")
    }

    /// The upstream by name. The name is too long for one: no server of names is ever asked for it.
    pub(super) fn url(upstream: &ScriptedUpstream) -> String {
        format!("http://{}:{}", name(), upstream.address().port())
    }

    /// The name leads to the upstream, or nowhere.
    pub(super) fn resolve(&self, upstream: Option<&ScriptedUpstream>) {
        let line = upstream.map(|upstream| format!("{} {}\n", upstream.address().ip(), name()));
        self.write(&line.unwrap_or_default());
    }

    /// In place: what is mounted is this very file.
    fn write(&self, text: &str) {
        std::fs::write(self.table(), text).unwrap();
    }

    fn table(&self) -> PathBuf {
        let folder: &Path = self.folder.path();
        folder.join("hosts")
    }
}

fn name() -> String {
    format!("{}.invalid", "a".repeat(64))
}

fn how() -> Vec<&'static str> {
    let mut how = vec!["--mount", "--propagation", "private"];
    if !is_root() {
        how.push("--map-root-user");
    }
    how
}
