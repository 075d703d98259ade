//! The certificate, its key and the authorities of callers, from files that are read again when they change.
//!
//! A pair that is written in two steps does not fit for a moment: then the one before stays in use, and the files are looked at again.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use cistern_auth::WatchedFile;
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_util::sync::CancellationToken;

use super::described::Described;
use super::in_use::{CertificatesInUse, Kept, Use};
use super::pair::Pair;
use super::server::ServerTls;

/// How long a change may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A file of `http.tls` that cannot be used; the text names the setting, the file and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {}: {what}", path.display())]
pub struct TlsSetupError {
    setting: &'static str,
    path: PathBuf,
    what: String,
}

/// The files that `http.tls` names.
#[derive(Debug, Default)]
pub struct Files {
    pair: Option<(Arc<WatchedFile>, Arc<WatchedFile>)>,
    authorities: Vec<Arc<WatchedFile>>,
    looked: Looked,
}

/// The same content, told by where it lies in memory: a file that did not change comes back as the same.
type Content = Vec<Arc<[u8]>>;

/// What one look at the files showed.
#[derive(Debug, Default)]
struct Looked {
    pair: Option<Content>,
    authorities: Option<Content>,
    /// What was complained of last, so that it is said once.
    complaint: Option<String>,
}

const CERTIFICATE: &str = "http.tls.certificate";
const KEY: &str = "http.tls.key";
const AUTHORITIES: &str = "http.tls.clientcas";

// === impl Files ===

impl Files {
    /// Names the files; nothing is read yet.
    pub fn new(pair: Option<(PathBuf, PathBuf)>, authorities: &[PathBuf]) -> Self {
        let watched = |path: PathBuf| Arc::new(WatchedFile::new(path));
        Self {
            pair: pair.map(|(certificate, key)| (watched(certificate), watched(key))),
            authorities: authorities.iter().cloned().map(watched).collect(),
            looked: Looked::default(),
        }
    }

    /// Reads everything and sets `tls` up with it; what is doubtful, in sentences that name the setting.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn set_up(
        &mut self,
        tls: &ServerTls,
        in_use: &CertificatesInUse,
        now: SystemTime,
    ) -> Result<Vec<String>, TlsSetupError> {
        let mut doubts = Vec::new();
        if let Some((certificate, key)) = &self.pair {
            let texts = [read(CERTIFICATE, certificate)?, read(KEY, key)?];
            doubts = self.show(&texts, tls, in_use, now)?;
            self.looked.pair = Some(texts.to_vec());
        }
        if !self.authorities.is_empty() {
            let texts: Content = self
                .authorities
                .iter()
                .map(|file| read(AUTHORITIES, file))
                .collect::<Result<_, _>>()?;
            self.ask_for(&texts, tls, in_use)?;
            self.looked.authorities = Some(texts);
        }
        Ok(doubts)
    }

    /// Looks at the files once a second and uses what has changed, until `stop`.
    pub async fn watch(
        mut self,
        tls: ServerTls,
        in_use: CertificatesInUse,
        stop: CancellationToken,
    ) {
        if self.pair.is_none() && self.authorities.is_empty() {
            return;
        }
        let mut looked = std::mem::take(&mut self.looked);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let result = self.look(&mut looked, &tls, &in_use).await;
            let complaint = result.err().map(|error| error.to_string());
            if complaint != looked.complaint {
                if let Some(error) = &complaint {
                    tracing::warn!(%error, "the certificates read before stay in use");
                } else {
                    tracing::info!("the files of http.tls can be used again");
                }
                tls.in_trouble(complaint.clone());
                looked.complaint = complaint;
            }
        }
    }

    async fn look(
        &self,
        looked: &mut Looked,
        tls: &ServerTls,
        in_use: &CertificatesInUse,
    ) -> Result<(), TlsSetupError> {
        let pair = self.current_pair().await?;
        if let Some(texts) = pair
            && !looked
                .pair
                .as_ref()
                .is_some_and(|before| is_same(before, &texts))
        {
            for doubt in self.show(&texts, tls, in_use, in_use.now())? {
                tracing::warn!("{doubt}");
            }
            tracing::info!("the certificate of http.tls.certificate was read again");
            looked.pair = Some(texts);
        }
        let authorities = self.current_authorities().await?;
        if !authorities.is_empty()
            && !looked
                .authorities
                .as_ref()
                .is_some_and(|before| is_same(before, &authorities))
        {
            self.ask_for(&authorities, tls, in_use)?;
            tracing::info!("the authorities of http.tls.clientcas were read again");
            looked.authorities = Some(authorities);
        }
        Ok(())
    }

    async fn current_pair(&self) -> Result<Option<Content>, TlsSetupError> {
        let Some((certificate, key)) = &self.pair else {
            return Ok(None);
        };
        let certificate = current(CERTIFICATE, certificate).await?;
        Ok(Some(vec![certificate, current(KEY, key).await?]))
    }

    async fn current_authorities(&self) -> Result<Content, TlsSetupError> {
        let mut texts = Vec::with_capacity(self.authorities.len());
        for file in &self.authorities {
            texts.push(current(AUTHORITIES, file).await?);
        }
        Ok(texts)
    }

    /// Shows the certificate to callers; what is doubtful about it.
    fn show(
        &self,
        texts: &[Arc<[u8]>],
        tls: &ServerTls,
        in_use: &CertificatesInUse,
        now: SystemTime,
    ) -> Result<Vec<String>, TlsSetupError> {
        let (Some((certificate, key)), [certificate_text, key_text]) = (&self.pair, texts) else {
            return Ok(Vec::new());
        };
        let pair = Pair::read(certificate_text, key_text, tls.provider()).map_err(|error| {
            if error.is_about_key() {
                wrong(KEY, key, error.to_string())
            } else {
                wrong(CERTIFICATE, certificate, error.to_string())
            }
        })?;
        tls.show(Arc::clone(&pair.certified))
            .map_err(|error| wrong(CERTIFICATE, certificate, error))?;
        let known = RootCertStore {
            roots: webpki_roots::TLS_SERVER_ROOTS.to_vec(),
        };
        let path = certificate.path().display();
        let doubts = pair.doubts(now, &known);
        let doubts = doubts
            .iter()
            .map(|doubt| format!("{CERTIFICATE}: {path}: {doubt}"));
        let doubts = doubts.collect();
        in_use.note(Use::Server, &path.to_string(), Kept::ByOperator, pair.chain);
        Ok(doubts)
    }

    fn ask_for(
        &self,
        texts: &[Arc<[u8]>],
        tls: &ServerTls,
        in_use: &CertificatesInUse,
    ) -> Result<(), TlsSetupError> {
        let Some(first) = self.authorities.first() else {
            return Ok(());
        };
        let mut roots = RootCertStore::empty();
        for (file, text) in self.authorities.iter().zip(texts) {
            let before = roots.len();
            for certificate in CertificateDer::pem_slice_iter(text) {
                let certificate = certificate
                    .map_err(|_| wrong(AUTHORITIES, file, "a certificate in it is damaged"))?;
                roots
                    .add(certificate)
                    .map_err(|error| wrong(AUTHORITIES, file, error.to_string()))?;
            }
            if roots.len() == before {
                return Err(wrong(
                    AUTHORITIES,
                    file,
                    "it holds no certificate in PEM form",
                ));
            }
        }
        tls.ask_for(roots)
            .map_err(|error| wrong(AUTHORITIES, first, error))?;
        for (file, text) in self.authorities.iter().zip(texts) {
            let path = file.path().display().to_string();
            in_use.note(
                Use::ClientAuthority,
                &path,
                Kept::ByOperator,
                Described::all_of(text),
            );
        }
        Ok(())
    }
}

fn is_same(one: &[Arc<[u8]>], other: &[Arc<[u8]>]) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|(one, other)| Arc::ptr_eq(one, other))
}

fn read(setting: &'static str, file: &WatchedFile) -> Result<Arc<[u8]>, TlsSetupError> {
    file.read()
        .map_err(|error| unreadable(setting, file, &error))
}

async fn current(
    setting: &'static str,
    file: &Arc<WatchedFile>,
) -> Result<Arc<[u8]>, TlsSetupError> {
    let content = file.current().await;
    content.map_err(|error| unreadable(setting, file, &error))
}

fn unreadable(setting: &'static str, file: &WatchedFile, error: &io::Error) -> TlsSetupError {
    wrong(setting, file, format!("it cannot be read: {error}"))
}

fn wrong(setting: &'static str, file: &WatchedFile, what: impl Into<String>) -> TlsSetupError {
    TlsSetupError {
        setting,
        path: file.path().to_owned(),
        what: what.into(),
    }
}
