//! The certificates that a configuration names: read, and told whose they are, for which names and until when.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cistern_storage::{Clock, SystemClock};

use super::super::Console;
use crate::app::tls::files_of;
use crate::config::{CertificateFrom, ClientCertificate, Config, MinimumTls, Tls, read_file};
use crate::metrics::CertificateGauges;
use crate::tls::{CertificatesInUse, Described, ServerTls};

/// Of one file so many are told.
const MOST: usize = 8;
/// Who is told of an end ahead of time, is told so long ahead.
const NEAR: Duration = Duration::from_hours(14 * 24);

/// What `http.tls` means, in one line; nothing without it.
pub(super) fn tls(config: &Config) -> String {
    let Some(tls) = &config.tls else {
        return String::new();
    };
    let place = match &tls.address {
        Some(address) => format!("HTTPS on {address}, plain HTTP on {}", config.http.address),
        None => "HTTPS".to_owned(),
    };
    let source = match &tls.source {
        CertificateFrom::Files { certificate, key } => {
            format!(
                "with {} and the key in {}",
                certificate.display(),
                key.display()
            )
        }
        CertificateFrom::IotEdge { common_name, .. } => {
            format!("with a certificate for {common_name} from IoT Edge's workload API")
        }
    };
    let clients = match (tls.client_authorities.is_empty(), tls.client_certificate) {
        (true, _) => "",
        (false, ClientCertificate::Required) => ", for callers with a certificate",
        (false, ClientCertificate::IfGiven) => {
            ", looking at callers' certificates if they have one"
        }
    };
    let minimum = match tls.minimum {
        MinimumTls::V12 => "TLS 1.2",
        MinimumTls::V13 => "TLS 1.3",
    };
    format!("{place}, from {minimum} on, {source}{clients}")
}

/// Reads every file of certificates as a server would, and tells what is in it. Whether a server would start with them.
pub(super) fn check(config: &Config, console: &mut Console<'_>) -> bool {
    let now = SystemClock.now();
    let mut is_fine = true;
    if let Some(tls) = &config.tls {
        match examine(tls) {
            Ok(doubts) => doubts
                .iter()
                .for_each(|doubt| console.complain(format!("warning: {doubt}"))),
            Err(error) => {
                console.complain(format!("error: {error}"));
                is_fine = false;
            }
        }
    }
    for (setting, path) in files(config) {
        let certificates = read_file(path).map(|text| Described::all_of(&text));
        let mut certificates = certificates.unwrap_or_default();
        certificates.sort_by_key(|certificate| certificate.not_after);
        for certificate in certificates.iter().take(MOST) {
            console.say(format!(
                "  {setting} {}: {}",
                path.display(),
                certificate.line()
            ));
            // Of those that callers are shown, the end was told already.
            match certificate.left(now) {
                None if setting != CERTIFICATE => console.complain(format!(
                    "warning: {setting}: {}: the certificate of {} is over since {}",
                    path.display(),
                    certificate.subject,
                    certificate.until()
                )),
                Some(left) if left < NEAR => console.complain(format!(
                    "warning: {setting}: {}: the certificate of {} ends in {} days: renew it",
                    path.display(),
                    certificate.subject,
                    left.as_secs() / 86_400
                )),
                None | Some(_) => {}
            }
        }
        if certificates.len() > MOST {
            let more = certificates.len() - MOST;
            console.say(format!(
                "  {setting} {}: {more} more that end later",
                path.display()
            ));
        }
    }
    is_fine
}

const CERTIFICATE: &str = "http.tls.certificate";

fn examine(tls: &Tls) -> Result<Vec<String>, String> {
    let server = ServerTls::new(tls.minimum, tls.client_certificate)
        .map_err(|error| format!("http.tls: {error}"))?;
    let nowhere = CertificatesInUse::new(Arc::new(SystemClock), CertificateGauges::default());
    let doubts = files_of(tls).set_up(&server, &nowhere, SystemClock.now());
    doubts.map_err(|error| error.to_string())
}

fn files(config: &Config) -> Vec<(&'static str, &Path)> {
    let mut files: Vec<(&'static str, &Path)> = Vec::new();
    if let Some(tls) = &config.tls {
        if let CertificateFrom::Files { certificate, .. } = &tls.source {
            files.push((CERTIFICATE, certificate));
        }
        let authorities = tls.client_authorities.iter();
        files.extend(authorities.map(|path| ("http.tls.clientcas", path.as_path())));
    }
    let authorities = config.proxy.ca_files.iter();
    files.extend(authorities.map(|path| ("proxy.ca", path.as_path())));
    if let Some(identity) = &config.proxy.uplink.client_identity {
        files.push(("proxy.clientcertificate", &identity.certificate));
    }
    files
}
