//! The servers that are measured: Cistern, Distribution, and nginx as what it is best at.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use cistern_tests::process::{Process, launch};
use cistern_tests::registry::{Registry, RegistryBuilder};
use cistern_tests::store::Store;
use cistern_tests::{addresses, cistern, distribution, need};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use crate::upstream::Thing;

/// The harness starts and stops registries asynchronously; nothing else here is.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Cistern as a cache of `upstream`, tags fresh for an hour, without its access log. On a disk that is nearly full it would pass
/// through and keep nothing, which is not what is measured.
pub(crate) fn cistern_of(upstream: &str) -> RegistryBuilder {
    let cache = cistern::mirror_of(upstream)
        .set("REGISTRY_PROXY_CHECKEVERY", "1h")
        .set("REGISTRY_STORAGE_CACHE_RESERVE", "256MiB");
    quiet(cache)
}

/// Distribution as a cache of `upstream`, without its access log and with as few other lines as it can.
pub(crate) fn distribution_of(upstream: &str) -> RegistryBuilder {
    quiet(distribution::mirror_of(upstream)).set("REGISTRY_LOG_LEVEL", "error")
}

/// Without its access log.
pub(crate) fn quiet(registry: RegistryBuilder) -> RegistryBuilder {
    registry.set("REGISTRY_LOG_ACCESSLOG_DISABLED", "true")
}

/// A server that is measured.
pub(crate) enum Server {
    /// Cistern or Distribution.
    Registry(Registry),
    Nginx(Nginx),
}

impl Server {
    pub(crate) fn start(runtime: &Runtime, registry: RegistryBuilder) -> Self {
        Self::Registry(runtime.block_on(registry.start()))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Registry(registry) => registry.address(),
            Self::Nginx(nginx) => nginx.address,
        }
    }

    /// The process id; of nginx its master's.
    pub(crate) fn id(&self) -> u32 {
        match self {
            Self::Registry(registry) => registry.id(),
            Self::Nginx(nginx) => nginx.process.id(),
        }
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        match self {
            Self::Registry(registry) => registry.log(),
            Self::Nginx(nginx) => nginx.process.log(),
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }
}

/// nginx with two workers, sendfile and no access log.
pub(crate) struct Nginx {
    address: SocketAddr,
    process: Process,
    folder: TempDir,
}

impl Nginx {
    /// One that serves files.
    pub(crate) fn of_files() -> Self {
        Self::start("root files;")
    }

    /// One that caches what `upstream` has; of callers who want the same, one asks and the others wait.
    pub(crate) fn cache_of(upstream: SocketAddr) -> Self {
        Self::start(&format!(
            "proxy_pass http://{upstream}; proxy_http_version 1.1; proxy_set_header Connection '';
             proxy_cache kept; proxy_cache_valid 200 1d;
             proxy_cache_lock on; proxy_cache_lock_timeout 1h; proxy_cache_lock_age 1h;"
        ))
    }

    fn start(location: &str) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("cistern-bench-nginx-")
            .tempdir()
            .unwrap();
        let address = addresses::free();
        std::fs::create_dir(folder.path().join("files")).unwrap();
        std::fs::write(folder.path().join("nginx.conf"), config(address, location)).unwrap();
        let prefix = format!("{}/", folder.path().display());
        let arguments = ["-p", &prefix, "-c", "nginx.conf", "-e", "error.log"];
        let process = Process::start(&launch(need::program("nginx"), folder.path(), arguments));
        let began = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "nginx: {}",
                process.log()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
        Self {
            address,
            process,
            folder,
        }
    }

    /// Serves `thing` under `path` from now on.
    pub(crate) fn has(&self, path: &str, thing: &Thing) {
        let file = self
            .folder
            .path()
            .join("files")
            .join(path.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, &thing.bytes).unwrap();
    }
}

fn config(address: SocketAddr, location: &str) -> String {
    let user = if need::is_root() { "user root;" } else { "" };
    format!(
        "{user} worker_processes 2; daemon off; pid nginx.pid; error_log error.log crit;
         events {{ worker_connections 4096; }}
         http {{
           access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000;
           default_type application/octet-stream;
           client_body_temp_path body; proxy_temp_path proxied; fastcgi_temp_path fast; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
           proxy_cache_path kept levels=1:2 keys_zone=kept:10m inactive=1d use_temp_path=off;
           server {{ listen {address} backlog=4096; location / {{ {location} }} }}
         }}"
    )
}

/// Removes what Cistern keeps beside Distribution's files, as if it had never run on this store.
pub(crate) fn forget_cistern(store: &Path) {
    match std::fs::remove_dir_all(store.join("cistern")) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => panic!("{error}"),
    }
}

/// A store of Distribution's with `count` small blobs in twenty repositories.
pub(crate) fn store_of(count: usize) -> Store {
    let store = Store::new();
    for number in 0..count {
        let bytes = format!("the small blob number {number}").into_bytes();
        let digest = cistern_tests::images::sha256(&bytes);
        let link = store.layer_link(&format!("bench/repository-{}", number % 20), &digest);
        for (file, bytes) in [
            (store.blob_file(&digest), &bytes[..]),
            (link, digest.as_bytes()),
        ] {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, bytes).unwrap();
        }
    }
    store
}
