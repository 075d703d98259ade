//! The sub-commands, one file each. They are for operators: errors go to standard error and say what to do.

mod admin_socket;
mod arguments;
mod config_check;
mod demo;
mod edge;
mod explain;
mod garbage_collect;
mod healthcheck;
mod images;
mod pin;
mod privileges;
mod purge;
mod serve;
mod status;
mod version;
mod warm;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::config::nearest::nearest;
use crate::config::{FileChoice, LoadFrom, read_file};
use arguments::{Arguments, Command, ConfigCommand};

/// Where a command writes. A reader that went away is no error.
pub struct Console<'a> {
    /// Standard output: what was asked for.
    pub out: &'a mut dyn Write,
    /// Standard error: what went wrong.
    pub err: &'a mut dyn Write,
}

impl Console<'_> {
    /// Writes a line of the answer.
    pub fn say(&mut self, line: impl Display) {
        let _ = writeln!(self.out, "{line}");
    }

    /// Writes a line about what went wrong.
    pub fn complain(&mut self, line: impl Display) {
        let _ = writeln!(self.err, "{line}");
    }
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0.
    Success,
    /// 1: it was understood, and did not work out.
    Failure,
    /// 2: the command line or the configuration is wrong.
    Misuse,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Misuse => 2,
        })
    }
}

/// The environment a command runs in.
pub(crate) type Environment = BTreeMap<String, String>;

/// Runs what `arguments` ask for; the first of them is the program's own name, which is not looked at: `registry` is as good.
pub fn run(
    mut arguments: Vec<OsString>,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    // `docker run IMAGE registry serve FILE`: the entry point of Distribution's image takes its own name too.
    if arguments.get(1).is_some_and(|first| first == "registry") {
        arguments.remove(1);
    }
    match Arguments::try_parse_from(arguments) {
        Ok(arguments) => dispatch(arguments.command, environment, console),
        Err(error) if error.use_stderr() => {
            console.complain(error.to_string().trim_end());
            Exit::Misuse
        }
        Err(help_or_version) => {
            console.say(help_or_version.to_string().trim_end());
            Exit::Success
        }
    }
}

fn dispatch(
    command: Option<Command>,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    match command {
        None => serve::run(FileChoice::Search, false, environment, console),
        Some(Command::Serve { file, strict }) => {
            let file = file.map_or(FileChoice::NotNamed, FileChoice::Named);
            serve::run(file, strict, environment, console)
        }
        Some(Command::Config {
            command: ConfigCommand::Check { strict, file },
        }) => {
            let file = file.map_or(FileChoice::Search, FileChoice::Named);
            config_check::run(file, strict, environment, console)
        }
        Some(Command::Demo { keep }) => demo::run(keep, console),
        Some(Command::Version) => version::run(console),
        Some(Command::Healthcheck { url, file }) => {
            let file = file.map_or(FileChoice::Search, FileChoice::Named);
            healthcheck::run(url, file, environment, console)
        }
        Some(Command::Status { server }) => status::run(&server, environment, console),
        Some(Command::Explain {
            image,
            platform,
            server,
        }) => explain::run(&image, platform.as_deref(), &server, environment, console),
        Some(Command::Images { all, server }) => images::run(all, &server, environment, console),
        Some(Command::Warm(wanted)) => warm::run(&wanted, environment, console),
        Some(Command::Pin(images)) => pin::pin(&images, environment, console),
        Some(Command::Unpin(images)) => pin::unpin(&images, environment, console),
        Some(Command::Purge { yes, images }) => purge::run(yes, &images, environment, console),
        Some(Command::Edge { command }) => edge::run(&command, environment, console),
        Some(Command::GarbageCollect { .. }) => garbage_collect::run(console),
        Some(Command::File(words)) => bare_file(&words, environment, console),
    }
}

/// `cistern FILE` is `cistern serve FILE`; one word that is no file is a command with a typing error.
fn bare_file(words: &[OsString], environment: &Environment, console: &mut Console<'_>) -> Exit {
    let [word] = words else {
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        console.complain(format!(
            "error: `{}` is no command; see `cistern --help`",
            words.join(" ")
        ));
        return Exit::Misuse;
    };
    let path = Path::new(word);
    let text = word.to_string_lossy();
    if !text.contains(['/', '.']) && !path.exists() {
        let advice = match nearest(&text, Command::NAMES) {
            Some(near) => format!("did you mean `cistern {near}`?"),
            None => "see `cistern --help`".to_owned(),
        };
        console.complain(format!(
            "error: there is no command and no file `{text}`; {advice}"
        ));
        return Exit::Misuse;
    }
    serve::run(
        FileChoice::Named(path.to_path_buf()),
        false,
        environment,
        console,
    )
}

fn load_from(file: FileChoice, strict: bool, environment: &Environment) -> LoadFrom<'_> {
    LoadFrom {
        file,
        environment,
        strict,
        read: &read_file,
    }
}

#[cfg(test)]
mod tests;
