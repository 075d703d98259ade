//! The machine: what it is, whose processor time went where.

use std::process::Command;
use std::time::{Duration, Instant};

/// What the figures were taken on, as lines for the reader.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) lines: Vec<String>,
}

impl Machine {
    /// This one.
    pub(crate) fn here() -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        let model = line_of("/proc/cpuinfo", "model name").unwrap_or_default();
        let memory = line_of("/proc/meminfo", "MemTotal").unwrap_or_default();
        let cistern = cistern_tests::cistern::program();
        let file_system = said("stat", &["-f", "-c", "%T", &temporary()]);
        let lines = vec![
            format!("date: {}", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
            format!(
                "machine: {cpus} cores, {model}, {memory}, Linux {}",
                said("uname", &["-r"])
            ),
            format!("stores on: {file_system}, everything in the page cache"),
            format!(
                "Cistern: {} at commit {}",
                said(&cistern.display().to_string(), &["version"]),
                said("git", &["rev-parse", "--short", "HEAD"])
            ),
            format!("nginx: {}", said("nginx", &["-v"])),
            format!("Distribution: {}", said("docker-registry", &["--version"])),
        ];
        Self { lines }
    }
}

fn temporary() -> String {
    std::env::temp_dir().display().to_string()
}

/// The first line that a program says.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map_or_else(
        |_| Vec::new(),
        |output| [output.stdout, output.stderr].concat(),
    );
    let text = String::from_utf8_lossy(&text);
    text.lines().next().unwrap_or("unknown").trim().to_owned()
}

fn line_of(file: &str, key: &str) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// Ticks per second of the kernel's processor times, the same on every Linux.
const TICKS: f64 = 100.0;

/// The fields of a `stat` file of a process after its name.
fn stat(id: u32) -> Option<Vec<String>> {
    let text = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn ticks(fields: &[String], which: &[usize]) -> f64 {
    let number = |at: &usize| fields.get(*at)?.parse::<f64>().ok();
    which.iter().filter_map(number).sum()
}

/// The ids of a process and of its children.
pub(crate) fn family(id: u32) -> Vec<u32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let children = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|child| stat(*child).is_some_and(|fields| fields.get(1) == Some(&id.to_string())));
    std::iter::once(id).chain(children).collect()
}

/// The processor seconds that a process and its living children have used so far.
pub(crate) fn cpu_seconds(id: u32) -> f64 {
    let used = |id: u32| stat(id).map_or(0.0, |fields| ticks(&fields, &[11, 12]));
    family(id).into_iter().map(used).sum::<f64>() / TICKS
}

/// A value from `status` of a process and its children added up, in bytes.
fn memory(id: u32, key: &str) -> f64 {
    let of = |id: u32| {
        let value = line_of(&format!("/proc/{id}/status"), key)?;
        value.split_whitespace().next()?.parse::<f64>().ok()
    };
    family(id).into_iter().filter_map(of).sum::<f64>() * 1024.0
}

/// Resident memory now, in MiB, children added.
pub(crate) fn resident(id: u32) -> f64 {
    memory(id, "VmRSS") / MIB
}

/// The most memory that ever was resident, in MiB, children added.
pub(crate) fn peak_resident(id: u32) -> f64 {
    memory(id, "VmHWM") / MIB
}

/// Bytes in a MiB.
pub(crate) const MIB: f64 = 1024.0 * 1024.0;

/// Watches how much of the machine others use while something is measured.
#[derive(Debug)]
pub(crate) struct Others {
    servers: Vec<u32>,
    began: Instant,
    busy: f64,
    ours: f64,
}

impl Others {
    /// From now on. `servers` are ours, with their children.
    pub(crate) fn watch(servers: &[u32]) -> Self {
        Self {
            servers: servers.to_vec(),
            began: Instant::now(),
            busy: busy_seconds(),
            ours: our_seconds(servers),
        }
    }

    /// The share of all cores that others used, 0 to 1.
    pub(crate) fn share(&self) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let passed = self.began.elapsed().max(Duration::from_millis(1));
        let others = (busy_seconds() - self.busy) - (our_seconds(&self.servers) - self.ours);
        (others / (passed.as_secs_f64() * cores)).clamp(0.0, 1.0)
    }
}

/// The processor seconds that this process, its ended children (wrk) and `servers` have used.
fn our_seconds(servers: &[u32]) -> f64 {
    let own = stat(std::process::id()).unwrap();
    let own = ticks(&own, &[11, 12, 13, 14]) / TICKS;
    own + servers.iter().map(|id| cpu_seconds(*id)).sum::<f64>()
}

/// The processor seconds that anybody has used.
fn busy_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap();
    let line: Vec<String> = text
        .lines()
        .next()
        .unwrap()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    // user, nice, system, irq, softirq, steal
    ticks(&line, &[1, 2, 3, 6, 7, 8]) / TICKS
}
