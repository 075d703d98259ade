//! `cistern edge images`: the list of images, for people, for programs, and for warming.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cistern_deploy::images::{ImagesOptions, LayerImage, images};
use cistern_deploy::{Document, Manifest, NamedManifest};
use clap::ValueEnum;

use super::files::Source;
use super::{Console, Exit};

#[derive(Debug, clap::Args)]
#[command(
    after_long_help = "Exit code 1 if a file is no deployment manifest.\n\n\
    Examples:\n  cistern edge images middle.json bottom.json\n  \
    cistern warm $(cistern edge images --format plain bottom.json)\n  \
    REGISTRY_WARM_IMAGES=$(cistern edge images --format plain bottom.json | paste -sd,)"
)]
pub(in crate::commands) struct Arguments {
    /// For people, the whole of it for programs, or one name per line, each once, as `cistern warm` and warm.images take it
    #[arg(long, value_enum, default_value_t)]
    format: ListFormat,
    /// The edition of IoT Edge for the images that are implied; if not given, that of the manifest's edgeAgent, else 1.5
    #[arg(long)]
    edition: Option<String>,
    /// The parent's name as in config.toml: images from there are the cache's business too
    #[arg(long, value_name = "HOST[:PORT]")]
    parent: Option<String>,
    /// Deployment manifests; `-` or none is standard input
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum ListFormat {
    /// Lines for people
    #[default]
    Text,
    /// A list of objects
    Json,
    /// One name per line
    Plain,
}

pub(super) fn run(arguments: &Arguments, console: &mut Console<'_>) -> Exit {
    let mut manifests = Vec::new();
    let mut is_well = true;
    for source in Source::all(&arguments.files) {
        match read(&source) {
            Ok(manifest) => manifests.push((source.name(), manifest)),
            Err(why) => {
                console.complain(format!("error: {why}"));
                is_well = false;
            }
        }
    }
    let options = ImagesOptions {
        edition: arguments.edition.clone(),
        parent: arguments.parent.clone(),
    };
    let named = manifests
        .iter()
        .map(|(file, manifest)| NamedManifest { file, manifest });
    let list = images(&named.collect::<Vec<_>>(), &options);
    match arguments.format {
        ListFormat::Text => manifests
            .iter()
            .for_each(|(file, _)| say_layer(file, &list, console)),
        ListFormat::Json => match serde_json::to_string_pretty(&list) {
            Ok(text) => console.say(text),
            Err(error) => console.complain(format!("error: {error}")),
        },
        ListFormat::Plain => say_plain(&list, console),
    }
    if is_well {
        Exit::Success
    } else {
        Exit::Failure
    }
}

fn read(source: &Source) -> Result<Manifest, String> {
    let name = source.name();
    let document =
        Document::parse(&source.read()?).map_err(|why| format!("{name} is not JSON: {why}"))?;
    Manifest::read(&document).map_err(|why| format!("{name} is not a deployment manifest: {why}"))
}

fn say_layer(file: &str, list: &[LayerImage], console: &mut Console<'_>) {
    let of_file: Vec<_> = list.iter().filter(|image| image.file == file).collect();
    let width = of_file
        .iter()
        .map(|image| image.image.chars().count())
        .max()
        .unwrap_or_default();
    console.say(format!("{file}:"));
    for image in of_file {
        let modules = image.modules.join(", ");
        let asked = match (&image.asked, &image.registry) {
            (None, _) => "nobody is asked".to_owned(),
            (Some(asked), None) => format!("the cache is asked for {asked}"),
            (Some(asked), Some(registry)) => format!("{registry} is asked for {asked}"),
        };
        let implied = if image.is_implied { "implied, " } else { "" };
        console.say(format!("  {:width$}  {asked}", image.image));
        console.say(format!(
            "  {:width$}  {implied}{modules}: {}",
            "", image.why
        ));
    }
}

fn say_plain(list: &[LayerImage], console: &mut Console<'_>) {
    let mut said = BTreeSet::new();
    for image in list {
        match image.to_warm() {
            Some(name) => {
                if said.insert(name.clone()) {
                    console.say(name);
                }
            }
            None => console.complain(format!("note: {} is left out: {}", image.image, image.why)),
        }
    }
}
