//! `cistern edge rewrite`: reads manifests, has them rewritten, and puts the result where it is wanted.

use std::path::PathBuf;

use cistern_deploy::rewrite::{LowerOptions, Rewritten, TopOptions, to_lower, to_top};
use cistern_deploy::{Document, Finding};
use clap::ValueEnum;
use similar::TextDiff;

use super::files::{Source, replace};
use super::{Console, Exit};

#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Changed are the names of images and the addresses of registryCredentials; everything else stays byte for byte. \
    Exit code 1 if a file is no deployment manifest or something needs a decision of yours; then nothing is written.\n\n\
    Examples:\n  cistern edge rewrite --layer lower top.json > lower.json\n  \
    cistern edge rewrite --layer lower --port 8000 --registry myregistry.azurecr.io --in-place deployment.template.json\n  \
    cistern edge rewrite --layer top --registry mcr.microsoft.com --map team/=myregistry.azurecr.io --diff lower.json"
)]
pub(in crate::commands) struct Arguments {
    /// The layer to write for: one that has a parent, or the one that has none
    #[arg(long, value_enum)]
    layer: LayerChoice,
    /// The port of the parent's API proxy; 443 if not given
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// With lower: rewrite images of these registries alone. With top: the registry that $upstream stood for
    #[arg(long, value_name = "HOST", value_delimiter = ',', value_parser = host)]
    registry: Vec<String>,
    /// With top: repositories that begin like this are from there; the longest beginning counts
    #[arg(long, value_name = "PREFIX=HOST", value_parser = pair)]
    map: Vec<(String, String)>,
    /// With top: the registryCredentials of this name are for there
    #[arg(long, value_name = "NAME=HOST", value_parser = credential)]
    credential: Vec<(String, String)>,
    /// Write the result into the files
    #[arg(long, conflicts_with = "diff")]
    in_place: bool,
    /// Show what would change
    #[arg(long)]
    diff: bool,
    /// Deployment manifests; `-` or none is standard input
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LayerChoice {
    /// A layer that has a parent: images come from $upstream
    Lower,
    /// The layer that has none: images come from their registries
    Top,
}

/// A manifest before and after.
struct Done {
    source: Source,
    before: String,
    after: Rewritten,
}

pub(super) fn run(arguments: &Arguments, console: &mut Console<'_>) -> Exit {
    let sources = Source::all(&arguments.files);
    if let Err(why) = makes_sense(arguments, &sources) {
        console.complain(format!("error: {why}"));
        return Exit::Misuse;
    }
    let mut all = Vec::new();
    let mut is_fit = true;
    for source in sources {
        match rewrite(source, arguments) {
            Ok(done) => {
                tell(&done.after.findings, console);
                is_fit &= !done.after.has_errors();
                all.push(done);
            }
            Err(why) => {
                console.complain(format!("error: {why}"));
                is_fit = false;
            }
        }
    }
    if !is_fit {
        console.complain("nothing was written");
        return Exit::Failure;
    }
    if let Err(why) = hand_over(&all, arguments, console) {
        console.complain(format!("error: {why}"));
        return Exit::Failure;
    }
    Exit::Success
}

fn makes_sense(arguments: &Arguments, sources: &[Source]) -> Result<(), &'static str> {
    let has_input = sources.contains(&Source::StandardInput);
    let inputs = sources
        .iter()
        .filter(|source| **source == Source::StandardInput);
    if inputs.count() > 1 {
        return Err("standard input can be read once only");
    }
    if arguments.in_place && has_input {
        return Err("--in-place needs files: standard input has no place");
    }
    if sources.len() > 1 && !arguments.in_place && !arguments.diff {
        return Err("several files at once go with --in-place or --diff only");
    }
    let says_what = !arguments.map.is_empty() || !arguments.credential.is_empty();
    match arguments.layer {
        LayerChoice::Lower if says_what => Err(
            "--map and --credential belong to --layer top: for a lower layer everything is at the parent",
        ),
        LayerChoice::Top if arguments.port.is_some() => {
            Err("--port belongs to --layer lower: nothing of the parent is left on the top layer")
        }
        LayerChoice::Top if arguments.registry.len() > 1 => Err(
            "which image is from which registry? Say it with --map PREFIX=HOST; --registry is the one for the rest",
        ),
        LayerChoice::Top if arguments.registry.is_empty() && arguments.map.is_empty() => Err(
            "which registry did $upstream stand for? Say it with --registry HOST, or by repository with --map PREFIX=HOST",
        ),
        LayerChoice::Lower | LayerChoice::Top => Ok(()),
    }
}

fn rewrite(source: Source, arguments: &Arguments) -> Result<Done, String> {
    let before = source.read()?;
    let name = source.name();
    let document = Document::parse(&before).map_err(|why| format!("{name} is not JSON: {why}"))?;
    let after = match arguments.layer {
        LayerChoice::Lower => {
            let options = LowerOptions {
                port: arguments.port.unwrap_or(443),
                registries: arguments.registry.clone(),
            };
            to_lower(&name, &document, &options)
        }
        LayerChoice::Top => {
            let options = TopOptions {
                registry: arguments.registry.first().cloned(),
                maps: arguments.map.iter().cloned().collect(),
                credentials: arguments.credential.iter().cloned().collect(),
            };
            to_top(&name, &document, &options)
        }
    };
    let after = after.map_err(|why| format!("{name} is not a deployment manifest: {why}"))?;
    Ok(Done {
        source,
        before,
        after,
    })
}

/// What the reader should know, on standard error: the result may be on its way to a file.
fn tell(findings: &[Finding], console: &mut Console<'_>) {
    for finding in findings {
        let line = finding.at.as_ref().map(|at| format!(":{}", at.line));
        let place = format!("{}{}", finding.file, line.unwrap_or_default());
        console.complain(format!(
            "{}: {place}: {} ({})",
            finding.severity, finding.what, finding.rule
        ));
        console.complain(format!("    {}", finding.why));
        console.complain(format!("    {}", finding.fix));
    }
}

fn hand_over(all: &[Done], arguments: &Arguments, console: &mut Console<'_>) -> Result<(), String> {
    for Done {
        source,
        before,
        after,
    } in all
    {
        let name = source.name();
        if arguments.diff {
            let diff = TextDiff::from_lines(before.as_str(), after.text.as_str());
            let diff = diff.unified_diff().header(&name, &name).to_string();
            write(console, &diff)?;
        } else if let (true, Source::File(path)) = (arguments.in_place, source) {
            if *before != after.text {
                let replaced = replace(path, &after.text);
                replaced.map_err(|error| {
                    format!("{name} cannot be replaced and is as it was: {error}")
                })?;
            }
            console.say(format!("{name}: {}", changed(after.changes.len())));
        } else {
            write(console, &after.text)?;
        }
        if let Some(way_back) = way_back(&after.way_back) {
            console.complain(format!(
                "note: {name}: the way back is --layer top{way_back}"
            ));
        }
    }
    Ok(())
}

fn write(console: &mut Console<'_>, text: &str) -> Result<(), String> {
    let written = console.out.write_all(text.as_bytes());
    let flushed = written.and_then(|()| console.out.flush());
    flushed.map_err(|error| format!("the result cannot be written: {error}"))
}

fn changed(count: usize) -> String {
    match count {
        0 => "nothing to change".to_owned(),
        1 => "1 change".to_owned(),
        count => format!("{count} changes"),
    }
}

/// The flags that undo it.
fn way_back(options: &TopOptions) -> Option<String> {
    let registry = options
        .registry
        .iter()
        .map(|host| format!(" --registry {}", quoted(host)));
    let maps = options
        .maps
        .iter()
        .map(|(prefix, host)| format!(" --map {}", quoted(&format!("{prefix}={host}"))));
    let credentials = options
        .credentials
        .iter()
        .map(|(id, host)| format!(" --credential {}", quoted(&format!("{id}={host}"))));
    let flags: String = registry.chain(maps).chain(credentials).collect();
    (!flags.is_empty()).then_some(flags)
}

/// As a shell takes it for one word.
fn quoted(word: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".:/=_-@".contains(letter);
    if word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn host(text: &str) -> Result<String, String> {
    let host = text
        .strip_prefix("https://")
        .unwrap_or(text)
        .trim_end_matches('/');
    if host.is_empty() || host.contains(['/', ' ', '=']) {
        return Err(
            "a registry is a host name, with a port if it needs one: myregistry.azurecr.io"
                .to_owned(),
        );
    }
    Ok(host.to_owned())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let Some((prefix, registry)) = text
        .split_once('=')
        .filter(|(prefix, _)| !prefix.is_empty())
    else {
        return Err(
            "write the beginning of repositories and their registry: team/=myregistry.azurecr.io"
                .to_owned(),
        );
    };
    Ok((prefix.to_owned(), host(registry)?))
}

/// The address is written as it is given: that of Docker Hub has a scheme and a path.
fn credential(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, address)) if !name.is_empty() && !address.trim().is_empty() => {
            Ok((name.to_owned(), address.to_owned()))
        }
        _ => Err(
            "write the name of the credentials and their registry: acr=myregistry.azurecr.io"
                .to_owned(),
        ),
    }
}
