//! What is to be run, from the command line and from what `conformance/run` has set.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::setups;

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Options {
    only: Vec<String>,
    /// Whether `conformance/RESULTS.md` is written.
    pub(crate) update: bool,
    /// The suite's program.
    pub(crate) suite: PathBuf,
    /// Its version, for the reader.
    pub(crate) version: String,
}

impl Options {
    /// Reads the arguments; the error is what to tell the user instead.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let missing = || "this program is started by conformance/run".to_owned();
        let mut options = Self {
            only: Vec::new(),
            update: false,
            suite: std::env::var_os("CONFORMANCE_SUITE")
                .map(PathBuf::from)
                .ok_or_else(missing)?,
            version: std::env::var("CONFORMANCE_VERSION").unwrap_or_default(),
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--update" => options.update = true,
                "--only" => options.only.push(known(words.next())?),
                _ => return Err(usage()),
            }
        }
        if options.update && !options.only.is_empty() {
            return Err("results are only written of all set-ups together".to_owned());
        }
        Ok(options)
    }

    /// Whether the set-up of this name is to be run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

fn known(word: Option<String>) -> Result<String, String> {
    word.filter(|word| setups::ALL.iter().any(|setup| setup.name == word))
        .ok_or_else(usage)
}

fn usage() -> String {
    let mut text = "usage: conformance/run [--update] [--only SET-UP]…\n\n".to_owned();
    for setup in setups::ALL {
        writeln!(text, "  {:<20} {}", setup.name, setup.what).unwrap();
    }
    text.push_str("\n--update writes conformance/RESULTS.md, and its table into the README.");
    text
}
