//! TLS on both sides, put together: what callers are shown, what the hierarchy gives us, and what is told about both.

use std::path::PathBuf;
use std::sync::Arc;

use cistern_storage::Clock;
use tokio_util::task::TaskTracker;

use super::StartError;
use crate::config::{CertificateFrom, Config, Tls};
use crate::edge::{Renewal, TrustBundle, WorkloadApi};
use crate::http::Stopping;
use crate::metrics::Metrics;
use crate::tls::{CertificatesInUse, Files, ServerTls, Use};

/// Everything about certificates that the other parts need.
pub(super) struct Certificates {
    /// All that are in use.
    pub(super) in_use: CertificatesInUse,
    /// What callers are shown, if TLS is spoken.
    pub(super) server: Option<ServerTls>,
    /// The hierarchy's roots, on a device that has a parent.
    pub(super) bundle: Option<TrustBundle>,
    files: Files,
}

// === impl Certificates ===

impl Certificates {
    /// Reads the files. Nothing of the hierarchy is asked for yet.
    pub(super) fn set_up(
        config: &Config,
        clock: &Arc<dyn Clock>,
        metrics: &Metrics,
    ) -> Result<Self, StartError> {
        let gauges = metrics.certificate_expiry_seconds.clone();
        let in_use = CertificatesInUse::new(Arc::clone(clock), gauges);
        let own = config.proxy.upstream();
        let routes = config.proxy.routes.iter().map(|route| &route.upstream);
        for settings in own.iter().chain(routes) {
            for path in &settings.ca_files {
                in_use.note_file(Use::UpstreamAuthority, path);
            }
            if let Some(identity) = &settings.client_identity {
                in_use.note_file(Use::UpstreamClient, &identity.certificate);
            }
        }
        let (mut server, mut files) = (None, Files::default());
        if let Some(tls) = &config.tls {
            let shown = ServerTls::new(tls.minimum, tls.client_certificate)
                .map_err(StartError::TlsSettings)?;
            files = files_of(tls);
            for doubt in files.set_up(&shown, &in_use, clock.now())? {
                tracing::warn!("{doubt}");
            }
            server = Some(shown);
        }
        let parent = config.iotedge.parent.as_deref();
        let bundle = parent.filter(|_| config.iotedge.workload.is_some());
        Ok(Self {
            in_use,
            server,
            bundle: bundle.map(TrustBundle::new),
            files,
        })
    }

    /// Keeps all of it fresh until the server stops.
    pub(super) fn watch(self, config: &Config, stopping: &Stopping, tasks: &TaskTracker) {
        let stop = || stopping.gently.clone();
        if let (Some(bundle), Some(workload)) = (self.bundle, &config.iotedge.workload) {
            let api = WorkloadApi::new(workload);
            tasks.spawn(bundle.watch(api, self.in_use.clone(), stop()));
        }
        if let (Some(server), Some(tls)) = (self.server, &config.tls) {
            if let CertificateFrom::IotEdge {
                workload,
                common_name,
            } = &tls.source
            {
                let api = WorkloadApi::new(workload);
                let (name, in_use) = (common_name.clone(), self.in_use.clone());
                let renewal = Renewal::new(api, name, server.clone(), in_use);
                tasks.spawn(renewal.run(stop()));
            }
            tasks.spawn(self.files.watch(server, self.in_use.clone(), stop()));
        }
        tasks.spawn(self.in_use.watch(stop()));
    }
}

/// The files that `http.tls` names.
pub(crate) fn files_of(tls: &Tls) -> Files {
    let pair: Option<(PathBuf, PathBuf)> = match &tls.source {
        CertificateFrom::Files { certificate, key } => Some((certificate.clone(), key.clone())),
        CertificateFrom::IotEdge { .. } => None,
    };
    Files::new(pair, &tls.client_authorities)
}
