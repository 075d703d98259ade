//! `cistern edge generate`: reads the hierarchy and the secrets, and writes the folders of the devices. What is in the files is decided
//! in `cistern_deploy`.

mod files;

use std::path::PathBuf;

use cistern_deploy::generate::{
    Edition, Generated, Layer, Login, Metrics, Network, Outcome, Registry, Site, Wishes, generate,
    placeholders, to_import,
};
use cistern_deploy::hierarchy::{Hierarchy, Trouble};

use super::{Console, Exit};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "One device, its deployment manifest on standard output:\n  \
    cistern edge generate --registry https://plant.azurecr.io --layer top\n\
    A whole hierarchy, a folder for each device:\n  \
    cistern edge generate --registry https://plant.azurecr.io --mcr --hierarchy hierarchy.yml --out devices\n\
    deploy/docs/generate.md goes through an example."
)]
pub(in crate::commands) struct Arguments {
    /// The registry that the top layer caches, such as `https://plant.azurecr.io`
    #[arg(long, value_name = "URL")]
    registry: String,
    /// All devices, from a file for `iotedge_config` or for `az iot edge devices create`
    #[arg(long, value_name = "FILE", conflicts_with_all = ["layer", "hostname", "parent", "device_id"])]
    hierarchy: Option<PathBuf>,
    /// One device: its layer. A lower one has children, a bottom one has none
    #[arg(long, value_enum, required_unless_present = "hierarchy")]
    layer: Option<LayerName>,
    /// One device: its full name or address in the network; `config.toml` needs it
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// One device: the hostname of its parent
    #[arg(long, value_name = "NAME")]
    parent: Option<String>,
    /// One device: its id in the IoT hub; without it, its hostname
    #[arg(long, value_name = "ID")]
    device_id: Option<String>,
    /// The edition of IoT Edge; without it, that of the hierarchy's edgeAgent, else 1.5
    #[arg(long, value_enum)]
    edition: Option<EditionName>,
    /// The port of the API proxies
    #[arg(long, default_value_t = 443)]
    port: u16,
    #[command(flatten)]
    images: ImageArguments,
    #[command(flatten)]
    modules: ModuleArguments,
    /// The user for the registry; without --password-file its password stays to be filled in
    #[arg(long, value_name = "USER")]
    username: Option<String>,
    /// A file that holds the password. It will stand in what is generated for the top layer
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Your own config.toml: all of it is kept but what has to be each device's own
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// The certificate of the root on each device
    #[arg(
        long,
        value_name = "PATH",
        default_value = "/var/aziot/certs/root-ca.pem"
    )]
    trust_bundle: String,
    /// Write deployment.json, config.toml and README.md here; of a hierarchy, a folder for each device
    #[arg(long, value_name = "FOLDER", required_if_eq_any = [("force", "true")])]
    out: Option<PathBuf>,
    /// Take the place of files that are there
    #[arg(long)]
    force: bool,
    /// Without --out: what of the one device is printed
    #[arg(long, value_enum, default_value_t, conflicts_with = "out")]
    print: Part,
}

#[derive(Debug, clap::Args)]
struct ImageArguments {
    /// Cistern's image as the top layer pulls it; without it, `cistern` of this version in the registry
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Cistern's image that runs there now, kept at hand for the way back
    #[arg(long, value_name = "IMAGE")]
    previous_image: Option<String>,
    /// Microsoft's images come from mcr.microsoft.com although the registry is another one
    #[arg(long)]
    mcr: bool,
    /// A further image to fetch ahead and keep, such as `team/app:1.2`; may be repeated
    #[arg(long, value_name = "IMAGE")]
    bootstrap: Vec<String>,
}

#[derive(Debug, clap::Args)]
struct ModuleArguments {
    /// A Cistern in every layer that has one below it, not in the top one only
    #[arg(long)]
    cache_in_every_layer: bool,
    /// Azure Blob Storage on IoT Edge in the top layer, for the uploads of all layers
    #[arg(long)]
    blob: bool,
    /// A collector of metrics on each device, which looks at Cistern too
    #[arg(long)]
    metrics: bool,
    /// The resource id of the IoT hub, for the collector of metrics
    #[arg(long, value_name = "ID", requires = "metrics")]
    hub_resource: Option<String>,
    /// A folder of the device or the name of a volume, for what Cistern keeps
    #[arg(long, value_name = "FOLDER", default_value = "/srv/registry")]
    volume: String,
    /// A network for the modules in which Cistern's address never changes, such as 172.30.0.0/24
    #[arg(long, value_name = "CIDR")]
    subnet: Option<String>,
    /// Cistern's address in it; without it, the second one
    #[arg(long, value_name = "ADDRESS", requires = "subnet")]
    registry_address: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum LayerName {
    Top,
    Lower,
    Bottom,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum EditionName {
    #[value(name = "1.4")]
    V1_4,
    #[value(name = "1.5")]
    V1_5,
}

/// What is printed of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// The deployment manifest.
    #[default]
    Deployment,
    /// config.toml.
    Config,
    /// What to do with the two.
    Readme,
}

/// Why nothing was generated, line by line.
struct Refused {
    lines: Vec<String>,
    exit: Exit,
}

impl Refused {
    fn misuse(why: &impl ToString) -> Self {
        Self {
            lines: vec![why.to_string()],
            exit: Exit::Misuse,
        }
    }

    /// What is wrong with a hierarchy file, or, where there is no line, with what was asked for.
    fn troubles(file: Option<&PathBuf>, troubles: &[Trouble]) -> Self {
        let lines = troubles.iter().map(|trouble| described(file, trouble));
        Self {
            lines: lines.collect(),
            exit: Exit::Misuse,
        }
    }
}

fn described(file: Option<&PathBuf>, trouble: &Trouble) -> String {
    match file {
        Some(file) if trouble.line > 0 => format!("{}: {trouble}", file.display()),
        _ => trouble.to_string(),
    }
}

pub(super) fn run(arguments: &Arguments, console: &mut Console<'_>) -> Exit {
    match attempt(arguments, console) {
        Ok(()) => Exit::Success,
        Err(refused) => {
            for line in refused.lines {
                console.complain(format!("error: {line}"));
            }
            refused.exit
        }
    }
}

fn attempt(arguments: &Arguments, console: &mut Console<'_>) -> Result<(), Refused> {
    let mut wishes = wishes(arguments)?;
    let (sites, template) = match &arguments.hierarchy {
        Some(file) => {
            let (hierarchy, template) = hierarchy(file)?;
            if arguments.edition.is_none() {
                let agent = hierarchy.edge_agent.as_ref();
                let edition = agent.and_then(|agent| Edition::of_image(&agent.text));
                wishes.edition = edition.unwrap_or_default();
            }
            for warning in &hierarchy.warnings {
                console.complain(format!("warning: {}", described(Some(file), warning)));
            }
            let sites = Site::of_hierarchy(&hierarchy)
                .map_err(|troubles| Refused::troubles(Some(file), &troubles))?;
            (sites, template)
        }
        None => (vec![site(arguments)], None),
    };
    let template = match &arguments.template {
        Some(file) => Some(files::read(file).map_err(|why| Refused::misuse(&why))?),
        None => template,
    };
    let file = arguments.hierarchy.as_ref();
    let outcome = generate(&sites, &wishes, template.as_deref())
        .map_err(|troubles| Refused::troubles(file, &troubles))?;
    for warning in &outcome.warnings {
        console.complain(format!("warning: {}", described(file, warning)));
    }
    match &arguments.out {
        Some(folder) => {
            let is_one = arguments.hierarchy.is_none();
            let written = files::write(folder, &outcome.devices, is_one, arguments.force).map_err(
                |lines| Refused {
                    lines,
                    exit: Exit::Failure,
                },
            )?;
            report(&outcome, &written, &wishes, console);
            Ok(())
        }
        None => print(arguments.print, &outcome, console),
    }
}

fn wishes(arguments: &Arguments) -> Result<Wishes, Refused> {
    let registry = Registry::parse(&arguments.registry).map_err(|why| Refused::misuse(&why))?;
    let (images, modules) = (&arguments.images, &arguments.modules);
    let mut wishes = Wishes::new(registry);
    wishes.image.clone_from(&images.image);
    wishes.previous_image.clone_from(&images.previous_image);
    wishes.has_microsoft_route = images.mcr;
    wishes.bootstrap.clone_from(&images.bootstrap);
    wishes.port = arguments.port;
    wishes.is_cached_everywhere = modules.cache_in_every_layer;
    wishes.has_blob_storage = modules.blob;
    wishes.metrics = modules.metrics.then(|| Metrics {
        hub_resource: modules.hub_resource.clone(),
    });
    wishes.volume.clone_from(&modules.volume);
    wishes.trust_bundle.clone_from(&arguments.trust_bundle);
    if let Some(subnet) = &modules.subnet {
        let address = modules.registry_address.as_deref();
        wishes.network =
            Some(Network::parse(subnet, address).map_err(|why| Refused::misuse(&why))?);
    }
    if let Some(edition) = arguments.edition {
        wishes.edition = match edition {
            EditionName::V1_4 => Edition::V1_4,
            EditionName::V1_5 => Edition::V1_5,
        };
    }
    if let Some(username) = &arguments.username {
        let file = arguments.password_file.as_ref();
        let password = file.map(|file| files::password(file)).transpose();
        wishes.login = Some(Login {
            username: username.clone(),
            password: password.map_err(|why| Refused::misuse(&why))?,
        });
    }
    Ok(wishes)
}

/// The hierarchy, and the text of the template that it names.
fn hierarchy(file: &PathBuf) -> Result<(Hierarchy, Option<String>), Refused> {
    let text = files::read(file).map_err(|why| Refused::misuse(&why))?;
    let hierarchy =
        Hierarchy::read(&text).map_err(|troubles| Refused::troubles(Some(file), &troubles))?;
    let template = hierarchy.template.as_ref().map(|template| {
        files::read_beside(&template.text, file).map_err(|why| {
            let fix = "mend the path, or leave the key out";
            let where_ = format!("{}: line {}: {why}; {fix}", file.display(), template.line);
            Refused::misuse(&where_)
        })
    });
    let template = template.transpose()?;
    Ok((hierarchy, template))
}

fn site(arguments: &Arguments) -> Site {
    let layer = match arguments.layer {
        Some(LayerName::Bottom) => Layer::Bottom,
        Some(LayerName::Lower) => Layer::Lower,
        Some(LayerName::Top) | None => Layer::Top,
    };
    let id = arguments.device_id.as_ref().or(arguments.hostname.as_ref());
    let id = id.map_or_else(|| format!("{}-layer", layer.as_str()), Clone::clone);
    let mut site = Site::new(id, layer);
    site.hostname.clone_from(&arguments.hostname);
    site.parent_hostname.clone_from(&arguments.parent);
    site
}

fn print(part: Part, outcome: &Outcome, console: &mut Console<'_>) -> Result<(), Refused> {
    let [device] = outcome.devices.as_slice() else {
        let count = outcome.devices.len();
        return Err(Refused::misuse(&format!(
            "{count} devices are more than standard output is for; name a folder with --out"
        )));
    };
    let text = match part {
        Part::Deployment => &device.deployment,
        Part::Readme => &device.steps,
        Part::Config => config(device)?,
    };
    console.say(text.trim_end());
    Ok(())
}

fn config(device: &Generated) -> Result<&String, Refused> {
    let missing = "config.toml names the device by its hostname; add --hostname NAME";
    device
        .config
        .as_ref()
        .ok_or_else(|| Refused::misuse(&missing))
}

fn report(outcome: &Outcome, written: &[PathBuf], wishes: &Wishes, console: &mut Console<'_>) {
    for path in written {
        console.say(path.display());
    }
    if outcome.devices.iter().any(|device| device.config.is_none()) {
        console.complain(
            "note: there is no config.toml: it names the device by its hostname; add --hostname NAME",
        );
    }
    let imports = to_import(wishes);
    if !imports.is_empty() {
        console.complain(format!(
            "note: {} must have these images of mcr.microsoft.com: {} (or add --mcr)",
            wishes.registry.host,
            imports.join(", ")
        ));
    }
    let texts = outcome
        .devices
        .iter()
        .flat_map(|device| std::iter::once(&device.deployment).chain(device.config.as_ref()));
    let all: Vec<_> = texts.map(String::as_str).collect();
    let open = placeholders(&all.join("\n"));
    if !open.is_empty() {
        console.complain(format!("note: to be filled in: {}", open.join(", ")));
    }
}
