//! nginx as the IoT Edge API proxy sets it up in front of a registry, or in front of the proxy of the layer above.
//!
//! What its template leaves to nginx's defaults is left to them here too. `proxy_pass` is built from a variable: then nginx
//! rewrites no `Location`, and what a registry says of its own address reaches the child as it is.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::{Process, launch};
use crate::registry::Registry;
use crate::{addresses, certificates, need};

/// The name of the proxy's module: proxies of adjacent layers know each other by it.
const MODULE: &str = "IoTEdgeAPIProxy";
/// nginx may take this long to listen.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// The proxy. Needs `nginx`.
#[derive(Debug)]
pub struct ApiProxy {
    process: Process,
    folder: TempDir,
    address: SocketAddr,
}

impl ApiProxy {
    /// The top layer's: TLS outside, plain http to `registry`.
    pub async fn of(registry: &Registry) -> Self {
        let routes = format!(
            "rewrite ^/v2*. /registry$uri last;\n\
             location ~^/registry/(.*) {{\n\
               proxy_http_version 1.1;\n\
               set $registry http://{};\n\
               proxy_pass $registry$request_uri;\n\
             }}\n",
            registry.host()
        );
        Self::start(addresses::free(), &routes, None).await
    }

    /// The next layer's: TLS outside, TLS to the proxy above it, on the same port.
    pub async fn below(parent: &Self) -> Self {
        let routes = format!(
            "rewrite ^/v2*. /parent$uri last;\n\
             location ~^/parent/(.*) {{\n\
               proxy_http_version 1.1;\n\
               proxy_ssl_server_name on;\n\
               proxy_ssl_name {MODULE};\n\
               proxy_ssl_trusted_certificate trustedCA.crt;\n\
               proxy_ssl_verify_depth 7;\n\
               proxy_ssl_verify on;\n\
               set $parent https://{};\n\
               proxy_pass $parent$request_uri;\n\
             }}\n",
            parent.host()
        );
        let bundle = std::fs::read_to_string(parent.folder.path().join("authority.pem")).unwrap();
        let address = SocketAddr::new(addresses::next(), parent.address.port());
        Self::start(address, &routes, Some(bundle)).await
    }

    async fn start(address: SocketAddr, routes: &str, bundle: Option<String>) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("cistern-proxy-")
            .tempdir()
            .unwrap();
        write_files(folder.path(), address, routes, bundle.as_deref());
        let prefix = format!("{}/", folder.path().display());
        let words = ["-p", &prefix, "-c", "nginx.conf", "-e", "stderr"];
        let process = Process::start(&launch(need::program("nginx"), folder.path(), words));
        let mut proxy = Self {
            process,
            folder,
            address,
        };
        proxy.wait_ready().await;
        proxy
    }

    async fn wait_ready(&mut self) {
        let began = Instant::now();
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            let ended = self.process.ended();
            assert!(
                ended.is_none() && began.elapsed() < READY_WITHIN,
                "nginx does not listen ({ended:?}):\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// `127.a.b.c:port`, where it speaks TLS with a certificate that nobody trusts.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What nginx had to say.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// One line for each request: the request, the status, the bytes that were sent.
    pub fn requests(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("access.log"));
        text.unwrap_or_default()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Whether nginx has written a body to its disk on the way.
    pub fn has_spooled(&self) -> bool {
        self.log().contains("is buffered to a temporary file")
    }
}

fn write_files(folder: &Path, address: SocketAddr, routes: &str, bundle: Option<&str>) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let issued = certificates::issue(address.ip(), &[MODULE]);
    write("server.crt", &issued.certificate_pem);
    write("private_key_server.pem", &issued.key_pem);
    write("authority.pem", &issued.authority_pem);
    write("trustedCA.crt", bundle.unwrap_or(&issued.authority_pem));
    // The folder is root's where root runs this, so its workers must be root's as well.
    let user = if need::is_root() { "user root;\n" } else { "" };
    let text = format!(
        "{user}daemon off;\npid nginx.pid;\nerror_log stderr info;\nevents {{}}\n\
         http {{\n\
           log_format short '$request $status $body_bytes_sent';\n\
           access_log access.log short;\n\
           client_body_temp_path body;\nproxy_temp_path spool;\n\
           fastcgi_temp_path fastcgi;\nuwsgi_temp_path uwsgi;\nscgi_temp_path scgi;\n\
           proxy_buffers 32 160k;\nproxy_buffer_size 160k;\nproxy_read_timeout 3600;\n\
           server {{\n\
             listen {address} ssl default_server;\n\
             chunked_transfer_encoding on;\n\
             ssl_protocols TLSv1.2;\n\
             ssl_certificate server.crt;\n\
             ssl_certificate_key private_key_server.pem;\n\
             ssl_client_certificate trustedCA.crt;\n\
             ssl_verify_depth 7;\n\
             ssl_verify_client optional_no_ca;\n\
             {routes}\
           }}\n\
         }}\n"
    );
    write("nginx.conf", &text);
}
