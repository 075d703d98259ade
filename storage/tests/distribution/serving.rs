//! Distribution as a process over a store, and one question to it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::PROGRAM;

/// Writes a configuration for a store beside it.
pub(crate) fn configuration(root: &Path, address: &str) -> PathBuf {
    let config = root.join("config.yml");
    let text = format!(
        "version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
        root.display()
    );
    std::fs::OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&config)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
        .unwrap();
    config
}

/// Distribution, serving a store; stopped when dropped.
pub(crate) struct Serving {
    child: std::process::Child,
    address: String,
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago: Distribution cannot be asked which one it took.
pub(crate) fn serve(root: &Path) -> Serving {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let config = configuration(root, &address);
    let child = Command::new(PROGRAM)
        .arg("serve")
        .arg(&config)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let serving = Serving { child, address };
    while std::net::TcpStream::connect(&serving.address).is_err() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    serving
}

/// The status, the head in lower case, and the body of one answer.
pub(crate) fn get(from: &Serving, path: &str) -> (u16, String, Vec<u8>) {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(&from.address).unwrap();
    let accept = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
        application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n"
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .unwrap();
    let body = answer.split_off(end + 4);
    let head = String::from_utf8(answer).unwrap().to_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head, body)
}
