//! What is to be measured, from the command line.

use std::fmt::Write as _;

use crate::scenarios;

/// What is to be measured, and how often.
#[derive(Debug)]
pub(crate) struct Options {
    only: Vec<String>,
    /// Interleaved rounds of each scenario.
    pub(crate) rounds: usize,
    /// Seconds that one measurement under load takes.
    pub(crate) seconds: u64,
    /// Whether Distribution is left out: it is the slowest part of a run.
    pub(crate) without_distribution: bool,
    /// Whether the table about the link is written into the README and the page of results.
    pub(crate) update: bool,
}

impl Options {
    /// Reads the arguments; the error is what to tell the user instead.
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            only: Vec::new(),
            rounds: 5,
            seconds: 3,
            without_distribution: false,
            update: false,
        };
        while let Some(word) = words.next() {
            match word.as_str() {
                "--rounds" => options.rounds = number(words.next())?,
                "--seconds" => options.seconds = number(words.next())?,
                "--update" => options.update = true,
                "--without-distribution" => options.without_distribution = true,
                name if scenarios::ALL.iter().any(|one| one.name == name) => {
                    options.only.push(word);
                }
                _ => return Err(usage()),
            }
        }
        if options.update && !options.has_all_of_the_link() {
            return Err(usage());
        }
        Ok(options)
    }

    /// Whether the scenario of this name is to be run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }

    /// Whether everything about the link is measured, with Distribution beside it.
    fn has_all_of_the_link(&self) -> bool {
        let mut all = scenarios::ALL.iter().filter(|one| one.of_the_link);
        all.all(|one| self.wants(one.name)) && !self.without_distribution
    }

    /// Whether everything is measured, so that the results are worth keeping.
    pub(crate) fn is_complete(&self) -> bool {
        self.only.is_empty() && !self.without_distribution
    }
}

fn number<N: std::str::FromStr>(word: Option<String>) -> Result<N, String> {
    word.and_then(|word| word.parse().ok()).ok_or_else(usage)
}

fn usage() -> String {
    let mut text = "usage: tests/bench/run [--rounds N] [--seconds N] [--without-distribution] [--update] [SCENARIO…]\n\n".to_owned();
    for scenario in scenarios::ALL {
        writeln!(text, "  {:<10} {}", scenario.name, scenario.what).unwrap();
    }
    text.push_str(
        "\nWithout a scenario all are run, and tests/bench/RESULTS.md is written. `--update uplink offline` puts their table into that page\n\
         and into the README.",
    );
    text
}
