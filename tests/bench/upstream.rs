//! An upstream that costs little and counts: blobs and manifests from memory, one thread per connection.

use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use cistern_tests::{addresses, images};

/// Something that the upstream has.
#[derive(Clone)]
pub(crate) struct Thing {
    pub(crate) digest: String,
    pub(crate) bytes: Arc<[u8]>,
    media_type: &'static str,
}

impl Thing {
    /// A blob of `size` bytes; another one for another seed.
    pub(crate) fn blob(size: usize, seed: u64) -> Self {
        Self::new(random(size, seed), "application/octet-stream")
    }

    /// An image manifest with `layers` layers, which need not exist.
    pub(crate) fn manifest(layers: u64) -> Self {
        let descriptor = |of: &str, kind: &str| serde_json::json!({"mediaType": kind, "size": 1000, "digest": images::sha256(of.as_bytes())});
        let layer = |number| {
            descriptor(
                &format!("layer {number}"),
                "application/vnd.oci.image.layer.v1.tar+gzip",
            )
        };
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": images::OCI_MANIFEST,
            "config": descriptor("config", "application/vnd.oci.image.config.v1+json"),
            "layers": (0..layers).map(layer).collect::<Vec<_>>(),
        });
        Self::new(serde_json::to_vec(&manifest).unwrap(), images::OCI_MANIFEST)
    }

    fn new(bytes: Vec<u8>, media_type: &'static str) -> Self {
        Self {
            digest: images::sha256(&bytes),
            bytes: bytes.into(),
            media_type,
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Where it is, as a blob.
    pub(crate) fn blob_path(&self) -> String {
        format!("/v2/{REPOSITORY}/blobs/{}", self.digest)
    }

    /// Where it is, as a manifest.
    pub(crate) fn manifest_path(&self) -> String {
        format!("/v2/{REPOSITORY}/manifests/{}", self.digest)
    }
}

/// The repository of everything.
const REPOSITORY: &str = "bench/image";

/// Where a tag is.
pub(crate) fn tag_path(tag: &str) -> String {
    format!("/v2/{REPOSITORY}/manifests/{tag}")
}

/// Bytes that do not compress, quickly made.
fn random(size: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}

/// The upstream. Its threads live as long as the benchmark.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    things: Mutex<HashMap<String, Thing>>,
    /// GETs of each path.
    gets: Mutex<HashMap<String, u64>>,
}

// === impl Upstream ===

impl Upstream {
    /// Starts one that has nothing yet.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind((addresses::next(), 0)).unwrap();
        let upstream = Self {
            address: listener.local_addr().unwrap(),
            shared: Arc::default(),
        };
        let shared = Arc::clone(&upstream.shared);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&shared);
                // A connection that breaks off is the other side's affair.
                thread::spawn(move || shared.serve(stream).ok());
            }
        });
        upstream
    }

    /// `http://…`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has `thing` under `path` from now on.
    pub(crate) fn has(&self, path: String, thing: &Thing) {
        self.shared
            .things
            .lock()
            .unwrap()
            .insert(path, thing.clone());
    }

    /// Forgets what is under `path`.
    pub(crate) fn forget(&self, path: &str) {
        self.shared.things.lock().unwrap().remove(path);
    }

    /// How often `path` was got.
    pub(crate) fn gets(&self, path: &str) -> u64 {
        self.shared
            .gets
            .lock()
            .unwrap()
            .get(path)
            .copied()
            .unwrap_or(0)
    }
}

// === impl Shared ===

impl Shared {
    fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer = Vec::new();
        loop {
            let Some(end) = head_end(&mut stream, &mut buffer)? else {
                return Ok(());
            };
            let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
            buffer.drain(..end);
            let mut words = head.split(' ');
            let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
            self.answer(&mut stream, method, path)?;
        }
    }

    fn answer(&self, stream: &mut TcpStream, method: &str, path: &str) -> std::io::Result<()> {
        if method == "GET" {
            *self
                .gets
                .lock()
                .unwrap()
                .entry(path.to_owned())
                .or_default() += 1;
        }
        let thing = self.things.lock().unwrap().get(path).cloned();
        let (head, body) = match &thing {
            Some(thing) => (found(thing), &thing.bytes[..]),
            None if path == "/v2/" => (PING.to_owned(), &b"{}"[..]),
            None => (MISSING.to_owned(), &b"{}"[..]),
        };
        stream.write_all(head.as_bytes())?;
        if method == "GET" {
            stream.write_all(body)?;
        }
        Ok(())
    }
}

const PING: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\r\n";
const MISSING: &str =
    "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n";

fn found(thing: &Thing) -> String {
    let (digest, length, kind) = (&thing.digest, thing.bytes.len(), thing.media_type);
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nDocker-Content-Digest: {digest}\r\nETag: \"{digest}\"\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\r\n"
    )
}

/// Reads until a whole head is there; where it ends. `None` when the other side has closed.
fn head_end(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> std::io::Result<Option<usize>> {
    let mut piece = [0; 4096];
    loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            return Ok(Some(end + 4));
        }
        match stream.read(&mut piece)? {
            0 => return Ok(None),
            count => buffer.extend_from_slice(&piece[..count]),
        }
    }
}
