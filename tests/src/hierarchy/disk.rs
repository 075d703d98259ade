//! A disk whose power can be cut: an ext4 file system of its own in a file, seen by one program only.
//!
//! To cut the power, the file system is shut down with its journal left as it is (`EXT4_IOC_SHUTDOWN` without a flush, which the tests of
//! file systems use): whatever the program had not synced, data and names alike, is lost, as on a device whose plug is pulled. The next program
//! mounts it again, and ext4 replays its journal.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::namespace::{Namespace, are_possible, run};
use crate::need;
use crate::process::Launch;

/// The size of a disk: a hole in a file, as long as nobody writes.
const SIZE: u64 = 512 << 20;
/// The kernel may take this long to let go of a file system that nobody has.
const FREE_WITHIN: Duration = Duration::from_secs(20);

/// The disk. It is gone when dropped.
#[derive(Debug)]
pub struct Disk {
    folder: TempDir,
    device: String,
}

/// Whether this machine can mount files and shut file systems down. Tried once.
pub(crate) fn is_possible() -> bool {
    static POSSIBLE: LazyLock<bool> = LazyLock::new(|| {
        let programs = ["mkfs.ext4", "losetup", "mount", "perl"];
        are_possible() && need::missing(&programs).is_none() && attach_and_detach().is_ok()
    });
    *POSSIBLE
}

fn attach_and_detach() -> std::io::Result<()> {
    let device = attach(&image())?;
    run("losetup", &["--detach", &device])
}

/// An empty file system in a file.
fn image() -> TempDir {
    let folder = tempfile::Builder::new()
        .prefix("cistern-disk-")
        .tempdir()
        .unwrap();
    let file = folder.path().join("image");
    std::fs::File::create(&file).unwrap().set_len(SIZE).unwrap();
    let words = ["-q", "-F", "-m", "0", "-E", "lazy_itable_init=1"];
    run(
        "mkfs.ext4",
        &[&words[..], &[&file.display().to_string()]].concat(),
    )
    .unwrap();
    std::fs::create_dir(folder.path().join("disk")).unwrap();
    folder
}

fn attach(folder: &TempDir) -> std::io::Result<String> {
    let found = Command::new(need::program("losetup"))
        .args(["--find", "--show"])
        .arg(folder.path().join("image"))
        .output()?;
    if !found.status.success() {
        let said = String::from_utf8_lossy(&found.stderr).into_owned();
        return Err(std::io::Error::other(said));
    }
    Ok(String::from_utf8_lossy(&found.stdout).trim().to_owned())
}

impl Disk {
    /// An empty one.
    ///
    /// # Panics
    /// When it cannot be made; ask with `need!("power cuts")`.
    pub fn new() -> Self {
        let folder = image();
        let device = attach(&folder).unwrap();
        Self { folder, device }
    }

    /// Where the program that uses it finds it: a store folder. Nobody else sees anything there.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// The same program, started in a namespace, with the disk mounted.
    pub(crate) fn launch(&self, namespace: &Namespace, launch: Launch) -> Launch {
        namespace.launch_on(launch, Some((&self.device, &self.path())))
    }

    /// The disk as the process with this id sees it.
    fn seen_by(&self, process: u32) -> PathBuf {
        let inner = self.path();
        Path::new(&format!("/proc/{process}/root")).join(inner.strip_prefix("/").unwrap())
    }

    /// Cuts its power, as the process with this id has it mounted. All that this process can do from now on is to fail.
    ///
    /// # Panics
    /// When that process does not have it.
    pub fn cut_power(&self, process: u32) {
        assert!(self.is_mounted(), "nobody has {}", self.device);
        // 2: the journal is not flushed.
        let script = "use Fcntl; sysopen(my $disk, $ARGV[0], O_RDONLY | O_DIRECTORY) or die $!; \
                      my $how = pack('L', 2); ioctl($disk, 0x8004587d, $how) or die $!;";
        let folder = self.seen_by(process).display().to_string();
        run("perl", &["-e", script, &folder]).unwrap();
    }

    /// Waits until nobody has it mounted.
    ///
    /// # Panics
    /// When somebody keeps it.
    pub async fn is_free(&self) {
        let began = Instant::now();
        while self.is_mounted() {
            assert!(
                began.elapsed() < FREE_WITHIN,
                "{} stays mounted",
                self.device
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn is_mounted(&self) -> bool {
        let name = Path::new(&self.device).file_name().unwrap();
        Path::new("/sys/fs/ext4").join(name).exists()
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run("losetup", &["--detach", &self.device]).ok();
    }
}
