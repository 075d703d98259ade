//! One child process: started with a clean environment, logging into a file, stopped by its own id only.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::need::find_program;

/// What to start.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The program file.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Its whole environment beside `PATH`, `HOME`, `TMPDIR` and coverage settings.
    pub environment: Vec<(String, String)>,
    /// Where its output and its `HOME` go.
    pub folder: PathBuf,
}

/// A running child, killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// Starts it. Its output is appended to `log` in its folder.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn start(launch: &Launch) -> Self {
        let log = launch.folder.join("log");
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        let mut command = command(launch);
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output);
        let child = spawn(command)
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", launch.program.display()));
        Self {
            child,
            log,
            ended: None,
        }
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written so far, with what earlier runs in the same folder wrote.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().unwrap();
        }
        self.ended
    }

    /// Memory resident now, in bytes (Linux).
    pub fn resident_bytes(&self) -> u64 {
        self.status_kib("VmRSS:") * 1024
    }

    /// The most memory that was ever resident, in bytes (Linux).
    pub fn peak_resident_bytes(&self) -> u64 {
        self.status_kib("VmHWM:") * 1024
    }

    fn status_kib(&self, key: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(key));
        line.and_then(|line| line.split_whitespace().next())
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    }

    /// Sends a signal, if it still runs.
    pub fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let id = Pid::from_raw(i32::try_from(self.id()).unwrap()).unwrap();
            rustix::process::kill_process(id, signal).ok();
        }
    }

    /// Waits at most `limit` for its end.
    pub async fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let deadline = Instant::now() + limit;
        while self.ended().is_none() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.ended
    }

    /// SIGTERM, then waits. SIGKILL after `limit`, which the status then shows.
    pub async fn stop(&mut self, limit: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        match self.wait(limit).await {
            Some(status) => status,
            None => self.kill(),
        }
    }

    /// SIGKILL, and its end.
    pub fn kill(&mut self) -> ExitStatus {
        self.signal(Signal::KILL);
        let status = self.child.wait().unwrap();
        self.ended = Some(status);
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::TERM);
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.ended().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.ended().is_none() {
            self.kill();
        }
    }
}

/// The command with a clean environment, ended by the kernel when this test process ends (where `setpriv` exists).
pub(crate) fn command(launch: &Launch) -> Command {
    let mut command = match find_program("setpriv") {
        Some(setpriv) => {
            let mut command = Command::new(setpriv);
            command
                .args(["--pdeathsig", "TERM", "--"])
                .arg(&launch.program);
            command
        }
        None => Command::new(&launch.program),
    };
    command
        .args(&launch.arguments)
        .env_clear()
        .env("HOME", &launch.folder);
    for kept in ["PATH", "TMPDIR", "LLVM_PROFILE_FILE", "RUST_BACKTRACE"] {
        if let Some(value) = std::env::var_os(kept) {
            command.env(kept, value);
        }
    }
    command.envs(launch.environment.iter().map(|(name, value)| (name, value)));
    command.current_dir(&launch.folder);
    command
}

type Job = (Command, Sender<std::io::Result<Child>>);

/// Children are told of the death of the *thread* that started them, so one thread that never ends starts them all.
static STARTER: LazyLock<Mutex<Sender<Job>>> = LazyLock::new(|| {
    let (sender, jobs) = channel::<Job>();
    std::thread::spawn(move || {
        for (mut command, answer) in jobs {
            answer.send(command.spawn()).ok();
        }
    });
    Mutex::new(sender)
});

fn spawn(command: Command) -> std::io::Result<Child> {
    let (answer, result) = channel();
    STARTER.lock().unwrap().send((command, answer)).unwrap();
    result.recv().unwrap()
}

/// How a program that runs to its end went.
#[derive(Debug)]
pub struct Ran {
    /// Whether it ended with exit code 0 within its time.
    pub success: bool,
    /// What it wrote, output and errors together.
    pub output: String,
    /// How long it took.
    pub duration: Duration,
}

impl Ran {
    /// Its output, if it went well.
    ///
    /// # Panics
    /// With the output, if not.
    #[track_caller]
    pub fn well(self) -> String {
        assert!(self.success, "after {:?}:\n{}", self.duration, self.output);
        self.output
    }

    /// Its output, if it failed.
    ///
    /// # Panics
    /// With the output, if it went well.
    #[track_caller]
    pub fn badly(self) -> String {
        assert!(
            !self.success,
            "went well, but should not have:\n{}",
            self.output
        );
        self.output
    }
}

/// Runs a program to its end, killing it after `limit`.
pub async fn run(launch: &Launch, limit: Duration) -> Ran {
    let began = Instant::now();
    let own = tempfile::tempdir_in(&launch.folder).unwrap();
    let output = File::create(own.path().join("output")).unwrap();
    let mut command = command(launch);
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap())
        .stderr(output);
    let child = spawn(command)
        .unwrap_or_else(|error| panic!("cannot start {}: {error}", launch.program.display()));
    let mut process = Process {
        child,
        log: own.path().join("output"),
        ended: None,
    };
    let ended = process.wait(limit).await;
    let mut output = process.log();
    if ended.is_none() {
        output.push_str("\n(killed: it took too long)");
    }
    Ran {
        success: ended.is_some_and(|status| status.success()),
        output,
        duration: began.elapsed(),
    }
}

/// A launch of `program` with `arguments` in `folder`.
pub fn launch<A: Into<OsString>>(
    program: PathBuf,
    folder: &Path,
    arguments: impl IntoIterator<Item = A>,
) -> Launch {
    let arguments = arguments.into_iter().map(Into::into).collect();
    Launch {
        program,
        arguments,
        environment: Vec::new(),
        folder: folder.to_owned(),
    }
}
