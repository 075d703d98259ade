//! nginx as the IoT Edge API proxy sets it up in front of a registry, or in front of the proxy of the layer above.
//!
//! What its template leaves to nginx's defaults is left to them here too. `proxy_pass` is built from a variable: then nginx
//! rewrites no `Location`, and what a registry says of its own address reaches the child as it is. Names in it are asked of the
//! name server that docker runs in a container; of addresses nobody is asked.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::hierarchy::Place;
use crate::process::{Process, launch};
use crate::registry::Registry;
use crate::{addresses, certificates, need};

/// The name of the proxy's module: proxies of adjacent layers know each other by it.
pub const MODULE: &str = "IoTEdgeAPIProxy";
/// nginx may take this long to listen.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// What a proxy is made of.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Where it runs; from where the tests run without one.
    pub(crate) place: Option<Place>,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// What it sends of certificates, and the key.
    pub(crate) chain: String,
    pub(crate) key: String,
    /// Whom it believes.
    pub(crate) bundle: String,
    /// Where requests go.
    pub(crate) route: Route,
}

/// Where a proxy sends requests for images.
#[derive(Debug)]
pub(crate) enum Route {
    /// To the registry at `host:port`, over plain http.
    Registry(String),
    /// To the proxy of the layer above at `host:port`, over TLS.
    Parent(String),
}

/// The proxy. Needs `nginx`.
#[derive(Debug)]
pub struct ApiProxy {
    process: Option<Process>,
    folder: TempDir,
    setup: Setup,
}

impl ApiProxy {
    /// The top layer's: TLS outside, plain http to `registry`.
    pub async fn of(registry: &Registry) -> Self {
        Self::alone(addresses::free(), Route::Registry(registry.host()), None).await
    }

    /// The next layer's: TLS outside, TLS to the proxy above it, on the same port.
    pub async fn below(parent: &Self) -> Self {
        let bundle = std::fs::read_to_string(parent.folder.path().join("authority.pem")).unwrap();
        let address = SocketAddr::new(addresses::next(), parent.setup.address.port());
        Self::alone(address, Route::Parent(parent.host()), Some(bundle)).await
    }

    /// With an authority of its own.
    async fn alone(address: SocketAddr, route: Route, bundle: Option<String>) -> Self {
        let issued = certificates::issue(address.ip(), &[MODULE]);
        let proxy = Self::prepare(Setup {
            place: None,
            address,
            chain: issued.certificate_pem,
            key: issued.key_pem,
            bundle: bundle.unwrap_or_else(|| issued.authority_pem.clone()),
            route,
        });
        let file = proxy.folder.path().join("authority.pem");
        std::fs::write(file, issued.authority_pem).unwrap();
        proxy.started().await
    }

    /// As it is set up.
    pub(crate) async fn with(setup: Setup) -> Self {
        Self::prepare(setup).started().await
    }

    fn prepare(setup: Setup) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("cistern-proxy-")
            .tempdir()
            .unwrap();
        write_files(folder.path(), &setup);
        Self {
            process: None,
            folder,
            setup,
        }
    }

    async fn started(mut self) -> Self {
        self.start().await;
        self
    }

    /// Starts it, on the same address and with the same files as before.
    ///
    /// # Panics
    /// With its log, when it does not listen.
    pub async fn start(&mut self) {
        let folder = self.folder.path();
        let prefix = format!("{}/", folder.display());
        let words = ["-p", &prefix, "-c", "nginx.conf", "-e", "stderr"];
        let mut launch = launch(need::program("nginx"), folder, words);
        if let Some(place) = &self.setup.place {
            launch = place.launch(launch);
        }
        let began = Instant::now();
        self.process = Some(Process::start(&launch));
        while !self.listens().await {
            let ended = self.process.as_mut().and_then(Process::ended);
            assert!(
                ended.is_none() && began.elapsed() < READY_WITHIN,
                "nginx does not listen ({ended:?}):\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGKILL of its master; what is left of it is the namespace's to kill.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }

    async fn listens(&self) -> bool {
        let address = self.setup.address;
        match &self.setup.place {
            Some(place) => place
                .namespace()
                .connect(&address.to_string())
                .await
                .is_ok(),
            None => tokio::net::TcpStream::connect(address).await.is_ok(),
        }
    }

    /// `address:port`, where it speaks TLS.
    pub fn host(&self) -> String {
        self.setup.address.to_string()
    }

    /// What nginx had to say.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
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

impl Route {
    /// The rewrite and the location of the template.
    fn lines(&self) -> String {
        let (name, target, trust) = match self {
            Self::Registry(host) => ("registry", format!("http://{host}"), String::new()),
            Self::Parent(host) => (
                "parent",
                format!("https://{host}"),
                format!(
                    "proxy_ssl_server_name on;\n\
                     proxy_ssl_name {MODULE};\n\
                     proxy_ssl_trusted_certificate trustedCA.crt;\n\
                     proxy_ssl_verify_depth 7;\n\
                     proxy_ssl_verify on;\n"
                ),
            ),
        };
        format!(
            "rewrite ^/v2*. /{name}$uri last;\n\
             location ~^/{name}/(.*) {{\n\
               proxy_http_version 1.1;\n\
               resolver 127.0.0.11;\n\
               {trust}\
               set ${name} {target};\n\
               proxy_pass ${name}$request_uri;\n\
             }}\n"
        )
    }
}

fn write_files(folder: &Path, setup: &Setup) {
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    write("server.crt", &setup.chain);
    write("private_key_server.pem", &setup.key);
    write("trustedCA.crt", &setup.bundle);
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
         }}\n",
        address = setup.address,
        routes = setup.route.lines(),
    );
    write("nginx.conf", &text);
}
