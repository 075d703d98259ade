//! A registry as a process: the product under test or the program that it replaces, started alike.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::caller;
use crate::hierarchy::Place;
use crate::process::{Launch, Process, launch};
use crate::store::Store;
use crate::token_server::TokenServer;
use crate::{addresses, cistern, distribution, eventually};

/// Which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Product {
    /// Ours.
    Cistern,
    /// CNCF Distribution, as Debian's `docker-registry`.
    Distribution,
}

/// Who may come in.
#[derive(Clone, Debug)]
pub(crate) enum Door {
    Open,
    Htpasswd {
        user: String,
        password: String,
    },
    Tokens {
        realm: String,
        service: String,
        issuer: String,
        certificate: PathBuf,
    },
}

/// A registry to be started.
#[derive(Debug)]
pub struct RegistryBuilder {
    product: Product,
    address: SocketAddr,
    store: Store,
    settings: BTreeMap<String, String>,
    door: Door,
    program: Option<PathBuf>,
    arguments: Option<Vec<String>>,
    place: Option<Place>,
}

/// A registry that was started. Stopped (its own process only) when dropped.
#[derive(Debug)]
pub struct Registry {
    spec: RegistryBuilder,
    folder: TempDir,
    process: Option<Process>,
}

/// How long a registry may take to answer after its start.
const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long it may take to end after SIGTERM.
const STOPS_WITHIN: Duration = Duration::from_secs(20);

impl RegistryBuilder {
    /// On a free loopback port, with an empty store.
    pub fn new(product: Product) -> Self {
        Self {
            product,
            address: addresses::free(),
            store: Store::new(),
            settings: BTreeMap::new(),
            door: Door::Open,
            program: None,
            arguments: None,
            place: None,
        }
    }

    /// A pull-through cache of the registry at `url`.
    #[must_use]
    pub fn proxy_of(self, url: &str) -> Self {
        self.set("REGISTRY_PROXY_REMOTEURL", url)
    }

    /// What it says to its upstream.
    #[must_use]
    pub fn proxy_credentials(self, user: &str, password: &str) -> Self {
        self.set("REGISTRY_PROXY_USERNAME", user)
            .set("REGISTRY_PROXY_PASSWORD", password)
    }

    /// On this store. The default is an empty one of its own.
    #[must_use]
    pub fn store(mut self, store: &Store) -> Self {
        self.store = store.clone();
        self
    }

    /// On this address instead of a free one.
    #[must_use]
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// An environment variable.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        self.settings.insert(name.to_owned(), value.to_owned());
        self
    }

    /// In this place instead of where the test runs; its address must be one of that place.
    #[must_use]
    pub fn place(mut self, place: &Place) -> Self {
        self.place = Some(place.clone());
        self
    }

    /// This program file instead of the usual one: another name of it, or a program that becomes it.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = Some(program.to_owned());
        self
    }

    /// These arguments instead of the usual ones.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments = Some(
            arguments
                .iter()
                .map(|argument| (*argument).to_owned())
                .collect(),
        );
        self
    }

    /// Lets in only this user, by an htpasswd file.
    #[must_use]
    pub fn htpasswd(mut self, user: &str, password: &str) -> Self {
        self.door = Door::Htpasswd {
            user: user.to_owned(),
            password: password.to_owned(),
        };
        self
    }

    /// Lets in only who brings a token of `server` (Distribution: `auth.token`).
    #[must_use]
    pub fn tokens_of(mut self, server: &TokenServer) -> Self {
        self.door = Door::Tokens {
            realm: server.realm(),
            service: server.service().to_owned(),
            issuer: server.issuer().to_owned(),
            certificate: server.certificate(),
        };
        self
    }

    /// Starts it and waits until it answers.
    ///
    /// # Panics
    /// With its log, when it does not.
    pub async fn start(self) -> Registry {
        let mut registry = self.prepare();
        registry.start().await;
        registry
    }

    /// Starts it and waits for its end: for starts that must fail. Its exit status and its output.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn start_in_vain(self) -> (ExitStatus, String) {
        let mut registry = self.prepare();
        registry.spawn();
        let process = registry.process.as_mut().unwrap();
        let status = process
            .wait(READY_WITHIN)
            .await
            .expect("it should have refused to start");
        (status, registry.log())
    }

    fn prepare(self) -> Registry {
        let folder = tempfile::Builder::new()
            .prefix("cistern-registry-")
            .tempdir()
            .unwrap();
        Registry {
            spec: self,
            folder,
            process: None,
        }
    }
}

impl Registry {
    /// `127.a.b.c:port`.
    pub fn host(&self) -> String {
        self.spec.address.to_string()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.spec.address
    }

    /// `http://127.a.b.c:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.spec.address)
    }

    /// Its store.
    pub fn store(&self) -> &Store {
        &self.spec.store
    }

    /// Everything it has logged, over all its runs.
    pub fn log(&self) -> String {
        let log = self.process.as_ref().map(Process::log);
        log.unwrap_or_else(|| {
            std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
        })
    }

    /// Waits until its log says this.
    ///
    /// # Panics
    /// When it does not say so for a long time.
    pub async fn logs(&self, words: &str) {
        let limit = Duration::from_secs(30);
        eventually(words, limit, || async { self.log().contains(words) }).await;
    }

    /// Its process id.
    ///
    /// # Panics
    /// When it does not run.
    pub fn id(&self) -> u32 {
        self.running().id()
    }

    /// Memory resident now, in bytes.
    pub fn rss(&self) -> u64 {
        self.running().resident_bytes()
    }

    /// The most memory that was ever resident in this run, in bytes.
    pub fn peak_rss(&self) -> u64 {
        self.running().peak_resident_bytes()
    }

    fn running(&self) -> &Process {
        self.process.as_ref().expect("a registry that runs")
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.ended().is_none())
    }

    /// Changes an environment variable for the next start.
    pub fn set(&mut self, name: &str, value: &str) {
        self.spec.settings.insert(name.to_owned(), value.to_owned());
    }

    /// Takes an environment variable away for the next start.
    pub fn unset(&mut self, name: &str) {
        self.spec.settings.remove(name);
    }

    /// SIGTERM, and waits for its end. Stopped already: the status is that of a success.
    pub async fn stop(&mut self) -> ExitStatus {
        match self.process.take() {
            Some(mut process) => process.stop(STOPS_WITHIN).await,
            None => ExitStatus::default(),
        }
    }

    /// SIGTERM, without waiting.
    pub fn begin_to_stop(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal(rustix::process::Signal::TERM);
        }
    }

    /// Waits at most `limit` for its end, which something else has caused.
    ///
    /// # Panics
    /// When it does not end by then.
    pub async fn ended_within(&mut self, limit: Duration) -> ExitStatus {
        let process = self.process.as_mut().expect("a registry that was started");
        let ended = process.wait(limit).await;
        ended.unwrap_or_else(|| panic!("still running after {limit:?}:\n{}", self.log()))
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    /// Starts it, on the same address and store as before, and says how long it took to answer.
    ///
    /// # Panics
    /// With its log, when it does not answer.
    pub async fn start(&mut self) -> Duration {
        let started = self.try_start(READY_WITHIN).await;
        started.unwrap_or_else(|why| panic!("{:?} {why}:\n{}", self.spec.product, self.log()))
    }

    /// The same, but when it does not answer within `limit`, what it did instead; it may still run then.
    pub async fn try_start(&mut self, limit: Duration) -> Result<Duration, String> {
        // Before the clock starts: finding the program may mean building it.
        let launch = self.launch();
        let began = Instant::now();
        self.process = Some(Process::start(&launch));
        while !self.answers().await {
            if let Some(status) = self.process.as_mut().and_then(Process::ended) {
                return Err(format!("ended at its start ({status})"));
            }
            if began.elapsed() >= limit {
                return Err(format!("did not answer within {limit:?}"));
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Ok(began.elapsed())
    }

    /// Stops it and starts it again.
    pub async fn restart(&mut self) -> Duration {
        self.stop().await;
        self.start().await
    }

    /// Stops it and starts the other program in its place: same address, same store, same environment.
    pub async fn replace_with(&mut self, product: Product) -> Duration {
        self.stop().await;
        self.spec.product = product;
        self.start().await
    }

    fn spawn(&mut self) {
        let launch = self.launch();
        self.process = Some(Process::start(&launch));
    }

    fn launch(&self) -> Launch {
        let folder = self.folder.path();
        let (program, usual) = match self.spec.product {
            Product::Cistern => (cistern::program(), vec!["serve".to_owned()]),
            Product::Distribution => {
                let config = distribution::write_config(folder, &self.spec.door);
                (distribution::program(), vec!["serve".to_owned(), config])
            }
        };
        let mut launch = launch(
            self.spec.program.clone().unwrap_or(program),
            folder,
            self.spec.arguments.clone().unwrap_or(usual),
        );
        let fixed = [
            ("REGISTRY_HTTP_ADDR", self.host()),
            (
                "REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY",
                self.spec.store.path().display().to_string(),
            ),
        ];
        launch.environment = fixed.map(|(name, value)| (name.to_owned(), value)).to_vec();
        if self.spec.product == Product::Cistern {
            // The machine that runs the tests may have little room left, and that is seldom what is tested.
            let reserve = ("REGISTRY_STORAGE_CACHE_RESERVE", "16MiB");
            launch
                .environment
                .push((reserve.0.to_owned(), reserve.1.to_owned()));
            if let Door::Htpasswd { user, password } = &self.spec.door {
                let file = distribution::write_htpasswd(folder, user, password);
                let door = [("REALM", "test".to_owned()), ("PATH", file)];
                launch.environment.extend(
                    door.map(|(name, value)| (format!("REGISTRY_AUTH_HTPASSWD_{name}"), value)),
                );
            }
        }
        launch.environment.extend(self.spec.settings.clone());
        match &self.spec.place {
            Some(place) => place.launch(launch),
            None => launch,
        }
    }

    async fn answers(&self) -> bool {
        let mut call = caller::get("/v2/").patience(Duration::from_secs(2));
        if let Some(place) = &self.spec.place {
            call = call.from(place.namespace());
        }
        call.send(&self.host()).await.status != 0
    }
}
