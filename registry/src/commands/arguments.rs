//! The command line. What is written here is what `--help` prints.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::edge::EdgeCommand;

#[derive(Debug, Parser)]
#[command(
    name = "cistern",
    version,
    about = "A registry for the top layer of an edge hierarchy: a pull-through cache, and repositories of its own",
    long_about = "A registry for the top layer of an edge hierarchy: a pull-through cache, and repositories of its own.\n\n\
        It takes the place of CNCF Distribution's `registry` in proxy mode: same config.yml, same REGISTRY_… variables, same \
        volume, same arguments, also under the name `registry`.",
    after_help = "Without any argument the configuration is $REGISTRY_CONFIGURATION_PATH, else /etc/distribution/config.yml, \
        else /etc/docker/registry/config.yml, else none: port 5000, store in /var/lib/registry.\n\
        `cistern FILE` is `cistern serve FILE`.",
    disable_version_flag = true
)]
pub(super) struct Arguments {
    /// Print the version
    #[arg(short = 'V', short_alias = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve the registry API until stopped
    ///
    /// Without FILE no file is read but $REGISTRY_CONFIGURATION_PATH; REGISTRY_… variables count in any case.
    Serve {
        /// The configuration, Distribution's config.yml
        file: Option<PathBuf>,
        /// Do not start if there is any warning
        #[arg(long)]
        strict: bool,
    },
    /// Look at the configuration
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Ask the running server on this machine whether it is healthy
    ///
    /// Exit code 0 if it answers within 3 seconds that process and store are well, else 1. For containers without a shell.
    Healthcheck {
        /// Ask here instead of the configured http.addr, such as http://127.0.0.1:5000/healthz
        #[arg(long)]
        url: Option<String>,
        /// The configuration the server was started with; without it, the one it finds without arguments
        file: Option<PathBuf>,
    },
    /// Show how the running server on this machine is: links, stale tags, downloads, room
    ///
    /// Asks through the socket below the store, so it has to run as the server's user or as root. Exit code 1 if no server answers.
    Status {
        #[command(flatten)]
        server: RunningServer,
    },
    /// Explain what a child that asks for an image now would get, and why
    ///
    /// Asks the running server on this machine; nothing is fetched for it. Exit code 1 if no server answers, or nothing is known of
    /// the image here.
    Explain {
        /// The image as a child writes it, with or without its host: parent:443/team/app:v1, team/app:v1, team/app@sha256:…
        image: String,
        /// Only this platform of a list, such as linux/arm64 or linux/arm/v7
        #[arg(long, value_name = "OS/ARCH")]
        platform: Option<String>,
        #[command(flatten)]
        server: RunningServer,
    },
    /// List the images of the running server: what is wanted, how much of it is here, and what is cached besides
    ///
    /// Asks through the socket below the store, so it has to run as the server's user or as root. Exit code 1 if no server answers.
    Images {
        /// Also the images that are cached although nobody named them
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        server: RunningServer,
    },
    /// Fetch images now, so that they can be pulled while the link is down
    ///
    /// The running server fetches them in the background, after what children wait for. Waits until they are all here; whoever stops
    /// waiting stops nothing. Exit code 1 if one could not be fetched, or no server answers.
    Warm(WarmArguments),
    /// Keep images until they are unpinned: fetched, refreshed, never dropped
    Pin(ImagesArguments),
    /// Take a pin back
    Unpin(ImagesArguments),
    /// Remove images of mirrored repositories from the store, with all that nothing else needs
    Purge {
        /// Do not ask whether it is meant
        #[arg(long, short)]
        yes: bool,
        #[command(flatten)]
        images: ImagesArguments,
    },
    /// Deployments of IoT Edge: rewrite, check, list images, generate
    Edge {
        #[command(subcommand)]
        command: EdgeCommand,
    },
    /// Show what a cache is for, on this machine alone: twenty children, a slow link, a cut, a restart
    ///
    /// Needs no internet, no docker and no root, and takes about ten seconds.
    Demo {
        /// Only the cold pull, then leave the upstream and the cache running for a client of your own
        #[arg(long)]
        keep: bool,
    },
    /// Print the version
    Version,
    /// Distribution's; there is nothing to collect
    #[command(hide = true, disable_help_flag = true)]
    GarbageCollect {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, num_args = 0..)]
        rest: Vec<OsString>,
    },
    #[command(external_subcommand)]
    File(Vec<OsString>),
}

impl Command {
    /// What may have been meant by a word that is neither a command nor a file.
    pub(super) const NAMES: [&str; 14] = [
        "serve",
        "config",
        "healthcheck",
        "status",
        "explain",
        "images",
        "warm",
        "pin",
        "unpin",
        "purge",
        "edge",
        "demo",
        "version",
        "help",
    ];
}

/// Which server is asked, and in which form its answer is printed.
#[derive(Debug, Args)]
pub(super) struct RunningServer {
    /// The configuration the server was started with; without it, the one it finds without arguments
    pub(super) file: Option<PathBuf>,
    /// The folder of its store, instead of the one in the configuration
    #[arg(long, value_name = "FOLDER", conflicts_with = "file")]
    pub(super) store: Option<PathBuf>,
    /// For people, or the whole document for programs
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Format,
}

/// Images, and which server is asked.
#[derive(Debug, Args)]
pub(super) struct ImagesArguments {
    /// An image as a child writes it: team/app:v1, $upstream:443/team/app:v1, mcr.microsoft.com/team/app:v1
    #[arg(required = true, value_name = "IMAGE")]
    pub(super) images: Vec<String>,
    #[command(flatten)]
    pub(super) server: NamedServer,
}

/// What is to be fetched.
#[derive(Debug, Args)]
pub(super) struct WarmArguments {
    /// An image as a child writes it: team/app:v1, $upstream:443/team/app:v1, mcr.microsoft.com/team/app:v1
    #[arg(required_unless_present = "manifest", value_name = "IMAGE")]
    pub(super) images: Vec<String>,
    /// Also every image of this deployment manifest; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(super) manifest: Vec<PathBuf>,
    /// For this platform, such as linux/arm64 or linux/arm/v7, or `all`; without it, what warm.platforms says
    #[arg(long, value_name = "OS/ARCH")]
    pub(super) platform: Vec<String>,
    /// Ask for them and do not wait
    #[arg(long)]
    pub(super) no_wait: bool,
    #[command(flatten)]
    pub(super) server: NamedServer,
}

/// Which server is asked, where the words of the command line are images.
#[derive(Debug, Args)]
pub(super) struct NamedServer {
    /// The configuration the server was started with; without it, the one it finds without arguments
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The folder of its store, instead of the one in the configuration
    #[arg(long, value_name = "FOLDER", conflicts_with = "config")]
    store: Option<PathBuf>,
    /// For people, or the documents for programs, one after the other
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl NamedServer {
    /// The same, as other commands name it.
    pub(super) fn server(&self) -> RunningServer {
        RunningServer {
            file: self.config.clone(),
            store: self.store.clone(),
            format: self.format,
        }
    }
}

/// How an answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// The document as the server wrote it.
    Json,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Print what will be served from where, and everything that is wrong or doubtful
    ///
    /// Exit code 1 if a server would not start with it. Without FILE: what `cistern` without arguments would read.
    Check {
        /// Count warnings as errors
        #[arg(long)]
        strict: bool,
        /// The configuration, Distribution's config.yml
        file: Option<PathBuf>,
    },
}
