//! The roles in which Cistern is judged, and the servers that each needs.

use cistern_tests::pusher::Pusher;
use cistern_tests::registry::{Product, Registry, RegistryBuilder};
use cistern_tests::{cistern, distribution, need};

use crate::content::Content;
use crate::options::Options;
use crate::report::Report;
use crate::suite;

/// What is pushed to, or read through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A registry that takes everything; with images whose parts were never pushed, where those are tested too.
    Hosted { sparse: bool },
    /// A cache of this product, which was filled before.
    CacheOf(Product),
}

/// A role, and the version of the specification that it is held to.
#[derive(Debug)]
pub(crate) struct Setup {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    version: &'static str,
    role: Role,
}

/// All of them, in the order in which they are run.
pub(crate) const ALL: &[Setup] = &[
    Setup {
        name: "hosted-1.1",
        what: "pushed to, held to version 1.1",
        version: "1.1",
        role: Role::Hosted { sparse: false },
    },
    Setup {
        name: "hosted-dev",
        what: "pushed to, held to what comes after it",
        version: "dev",
        role: Role::Hosted { sparse: false },
    },
    Setup {
        name: "hosted-dev-sparse",
        what: "the same, and images whose parts are missing (`hosted.incomplete`)",
        version: "dev",
        role: Role::Hosted { sparse: true },
    },
    Setup {
        name: "cache-distribution",
        what: "read through a cache of Distribution",
        version: "dev",
        role: Role::CacheOf(Product::Distribution),
    },
    Setup {
        name: "cache-cistern",
        what: "read through a cache of a hosted Cistern, with referrers and sha512",
        version: "dev",
        role: Role::CacheOf(Product::Cistern),
    },
];

/// How a set-up went.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) setup: &'static Setup,
    /// Of Cistern; none where the set-up could not be made.
    pub(crate) cistern: Option<Report>,
    /// Of Distribution in the same role, for comparison.
    pub(crate) distribution: Option<Report>,
}

impl Outcome {
    /// Nothing failed; where everything can be pushed, nothing was skipped either.
    pub(crate) fn is_passed(&self) -> bool {
        let skips_allowed = matches!(self.setup.role, Role::CacheOf(_));
        self.cistern
            .as_ref()
            .is_some_and(|report| report.is_good(skips_allowed))
    }
}

/// Runs both products in this role, side by side.
pub(crate) async fn run(setup: &'static Setup, options: &Options) -> Outcome {
    let has_distribution = need::find_program("docker-registry").is_some();
    let mut outcome = Outcome {
        setup,
        cistern: None,
        distribution: None,
    };
    if setup.role == Role::CacheOf(Product::Distribution) && !has_distribution {
        return outcome;
    }
    let (_upstream, mut settings, registries) = servers(setup.role).await;
    settings.push(("VERSION", setup.version.to_owned()));
    let [ours, theirs] = registries;
    let ours = async { Some(judge(ours, &settings, options).await) };
    let theirs = async {
        if has_distribution {
            Some(judge(theirs, &settings, options).await)
        } else {
            None
        }
    };
    (outcome.cistern, outcome.distribution) = tokio::join!(ours, theirs);
    outcome
}

async fn judge(
    registry: RegistryBuilder,
    settings: &[(&'static str, String)],
    options: &Options,
) -> Report {
    let registry = registry.start().await;
    let (report, output) = suite::run_against(&registry, settings, options).await;
    if report.result.is_empty() {
        println!("the suite did not come to its end:\n{output}");
    }
    report
}

/// The upstream if there is one, the suite's settings, and the two registries that are to be judged: ours, then Distribution.
async fn servers(
    role: Role,
) -> (
    Option<Registry>,
    Vec<(&'static str, String)>,
    [RegistryBuilder; 2],
) {
    match role {
        Role::Hosted { sparse } => {
            let ours = cistern::hosted().set("REGISTRY_HOSTED_INCOMPLETE", &sparse.to_string());
            let settings = vec![("DATA_SPARSE", sparse.to_string())];
            (None, settings, [ours, distribution::hosted()])
        }
        Role::CacheOf(product) => {
            let upstream = match product {
                Product::Cistern => cistern::hosted(),
                Product::Distribution => distribution::hosted(),
            };
            let upstream = upstream.start().await;
            let pusher = Pusher::to(&upstream.host());
            let content = match product {
                Product::Cistern => Content::push_everything(&pusher).await,
                Product::Distribution => Content::push_ordinary(&pusher).await,
            };
            let url = upstream.url();
            let caches = [cistern::mirror_of(&url), distribution::mirror_of(&url)];
            (Some(upstream), content.settings(), caches)
        }
    }
}
