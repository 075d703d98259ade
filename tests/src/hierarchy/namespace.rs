//! Network namespaces: each is a machine of its own, as far as the network is concerned.
//!
//! They are named after this process, so that tests run beside each other, and are gone with their last user. Those of a test process that
//! was killed are taken away by the next one that makes any.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, Once};

use rustix::process::{Pid, Signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use tempfile::TempDir;
use tokio::net::{TcpSocket, TcpStream};

use crate::need;
use crate::process::Launch;

/// What every name of a namespace begins with.
const PREFIX: &str = "cistern-tests.";
/// The address of docker's own name server inside a container, which the API proxy asks.
const NAME_SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11));

/// A namespace. Clones are the same one; what still runs in it when the last of them goes is killed.
#[derive(Clone, Debug)]
pub struct Namespace(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    door: File,
    /// Holds its `hosts` file.
    folder: TempDir,
    names: Mutex<BTreeMap<String, Ipv4Addr>>,
}

/// Whether this machine lets us make namespaces, and links between them: tried once.
pub(crate) fn are_possible() -> bool {
    static POSSIBLE: LazyLock<bool> = LazyLock::new(|| {
        let programs = ["ip", "nsenter", "unshare", "mount", "sh"];
        need::is_root() && need::missing(&programs).is_none() && try_out().is_ok()
    });
    *POSSIBLE
}

fn try_out() -> io::Result<()> {
    let name = unused_name("try");
    ip(&["netns", "add", &name])?;
    let both = ip(&[
        "-n", &name, "link", "add", "up", "type", "veth", "peer", "name", "down",
    ]);
    ip(&["netns", "del", &name])?;
    both
}

impl Namespace {
    /// A new one, with nothing but its loopback.
    ///
    /// # Panics
    /// When it cannot be made; ask with `need!("network namespaces")`.
    pub fn new(role: &str) -> Self {
        static SWEPT: Once = Once::new();
        SWEPT.call_once(sweep);
        let name = unused_name(role);
        ip(&["netns", "add", &name]).unwrap();
        let namespace = Self(Arc::new(Inner {
            door: File::open(door(&name)).unwrap(),
            name,
            folder: tempfile::Builder::new()
                .prefix("cistern-namespace-")
                .tempdir()
                .unwrap(),
            names: Mutex::default(),
        }));
        namespace.write_hosts();
        // Nothing but what the tests do shall cross a link that is counted: not IPv6 looking for neighbours.
        namespace.inside(|| {
            std::fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1").ok();
            std::fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1").ok();
        });
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// What `ip netns` calls it.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Runs `ip` on it.
    ///
    /// # Panics
    /// When that fails.
    pub fn ip(&self, words: &[&str]) {
        let own = ["-n", self.name()];
        ip(&[&own, words].concat()).unwrap();
    }

    /// Does something in it, on a thread of its own. Sockets that are made there stay there.
    ///
    /// # Panics
    /// When that panics.
    pub fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let network = Some(LinkNameSpaceType::Network);
                move_into_link_name_space(self.0.door.as_fd(), network).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }

    /// The same program, started in it, with its names in `/etc/hosts`. Mounts that it makes are its own and go with it.
    #[must_use]
    pub fn launch(&self, launch: Launch) -> Launch {
        self.launch_on(launch, None)
    }

    /// The same with a block device mounted at a folder.
    pub(super) fn launch_on(&self, mut launch: Launch, disk: Option<(&str, &Path)>) -> Launch {
        let script = "mount --bind \"$0\" /etc/hosts && device=$1 folder=$2 && shift 2 && \
             if [ \"$device\" ]; then mount \"$device\" \"$folder\"; fi && exec \"$@\"";
        let (device, folder) = disk.unwrap_or(("", Path::new("")));
        let mut words = vec![format!("--net={}", door(self.name()).display()).into()];
        words.extend(
            [
                "unshare",
                "--mount",
                "--propagation",
                "slave",
                "sh",
                "-c",
                script,
            ]
            .map(Into::into),
        );
        words.extend([self.hosts().into(), device.into(), folder.into()]);
        words.push(launch.program.into());
        words.append(&mut launch.arguments);
        launch.program = need::program("nsenter");
        launch.arguments = words;
        launch
    }

    /// Kills every program that runs in it.
    pub(super) fn kill_all(&self) {
        kill_all(self.name());
    }

    fn hosts(&self) -> PathBuf {
        self.0.folder.path().join("hosts")
    }

    /// Lets this name be known in it, to programs and to who asks [`Namespace::serve_names`].
    pub fn know(&self, name: &str, address: Ipv4Addr) {
        let mut names = self.0.names.lock().unwrap();
        names.insert(name.to_owned(), address);
        drop(names);
        self.write_hosts();
    }

    fn write_hosts(&self) {
        let names = self.0.names.lock().unwrap();
        let lines = names
            .iter()
            .map(|(name, address)| format!("{address} {name}\n"));
        let text = format!("127.0.0.1 localhost\n{}", lines.collect::<String>());
        std::fs::write(self.hosts(), text).unwrap();
    }

    /// The address of a name that is known in it.
    pub fn address_of(&self, name: &str) -> Option<Ipv4Addr> {
        let names = self.0.names.lock().unwrap();
        names.get(&name.to_ascii_lowercase()).copied()
    }

    /// Answers questions for names as docker's name server does inside a container.
    ///
    /// # Panics
    /// When the place is taken: once is enough.
    pub fn serve_names(&self) -> super::names::NameServer {
        let known = Arc::downgrade(&self.0);
        let socket = self.inside(|| std::net::UdpSocket::bind((NAME_SERVER, 53)).unwrap());
        super::names::NameServer::start(socket, move |name| {
            let known = Self(known.upgrade()?);
            known.address_of(name)
        })
    }

    /// Connects from inside it to `host:port`, the host being an address or a name that is known.
    ///
    /// # Errors
    /// As `connect(2)`; a name that is not known is an error as well.
    pub async fn connect(&self, host: &str) -> io::Result<TcpStream> {
        let (name, port) = host.rsplit_once(':').ok_or(io::ErrorKind::InvalidInput)?;
        let address = name.parse().ok().or_else(|| self.address_of(name));
        let address = address.ok_or(io::ErrorKind::NotFound)?;
        let port = port.parse().map_err(|_| io::ErrorKind::InvalidInput)?;
        let socket = self.inside(TcpSocket::new_v4)?;
        socket.connect(SocketAddr::new(address.into(), port)).await
    }

    /// What the kernel counts on one of its links: bytes that came, bytes that went.
    ///
    /// # Panics
    /// Without such a link.
    pub fn counted(&self, interface: &str) -> (u64, u64) {
        let text = self.inside(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap());
        let counters = text
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(interface)?.strip_prefix(':'));
        let numbers: Vec<u64> = counters
            .unwrap_or_else(|| panic!("no {interface} in {}", self.name()))
            .split_whitespace()
            .map(|number| number.parse().unwrap())
            .collect();
        (numbers[0], numbers[8])
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

fn door(name: &str) -> PathBuf {
    Path::new("/run/netns").join(name)
}

/// Kills what is left in a namespace that is ours, and removes it. Its links go with it.
fn remove(name: &str) {
    kill_all(name);
    ip(&["netns", "del", name]).ok();
}

fn kill_all(name: &str) {
    if let Ok(left) = Command::new("ip").args(["netns", "pids", name]).output() {
        let ids = String::from_utf8_lossy(&left.stdout).into_owned();
        for id in ids
            .lines()
            .filter_map(|id| Pid::from_raw(id.trim().parse().ok()?))
        {
            rustix::process::kill_process(id, Signal::KILL).ok();
        }
    }
}

/// Removes the namespaces of test processes that are no more.
fn sweep() {
    let Ok(listed) = std::fs::read_dir("/run/netns") else {
        return;
    };
    for entry in listed.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let mut parts = name
            .strip_prefix(PREFIX)
            .into_iter()
            .flat_map(|rest| rest.split('.'));
        let (Some(process), Some(began)) = (parts.next(), parts.next()) else {
            continue;
        };
        if began_at(process).as_deref() != Some(began) {
            remove(&name);
        }
    }
}

/// `cistern-tests.<process>.<when it began>.<number>.<role>`
fn unused_name(role: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let process = std::process::id().to_string();
    let began = began_at(&process).unwrap_or_default();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!("{PREFIX}{process}.{began}.{number}.{role}")
}

/// When a process began, in ticks of the machine: with its id that is its name for good.
fn began_at(process: &str) -> Option<String> {
    let line = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, after_name) = line.rsplit_once(") ")?;
    after_name.split(' ').nth(19).map(str::to_owned)
}

/// Runs `ip`, from iproute2.
pub(super) fn ip(words: &[&str]) -> io::Result<()> {
    run("ip", words)
}

/// Runs a short program, and makes an error of what it says when it fails.
pub(super) fn run(program: &str, words: &[&str]) -> io::Result<()> {
    let ran = Command::new(need::program(program)).args(words).output()?;
    if ran.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&ran.stderr);
    Err(io::Error::other(format!(
        "{program} {}: {said}",
        words.join(" ")
    )))
}
