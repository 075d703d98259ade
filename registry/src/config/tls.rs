//! `http.tls`: with which certificate callers are spoken to, and which certificates they must have themselves.

use std::path::PathBuf;

use super::LoadFrom;
use super::address::{ListenAddress, ListenHost};
use super::iotedge::{IotEdge, Workload};
use super::reader::{Problem, Reader, Written};

/// TLS towards callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// `http.tls.addr`: an address of its own for TLS. None: `http.addr` speaks it, and nothing speaks plain HTTP.
    pub address: Option<ListenAddress>,
    /// Where the certificate comes from.
    pub source: CertificateFrom,
    /// `http.tls.clientcas`: who issues certificates to callers. Empty: callers need none.
    pub client_authorities: Vec<PathBuf>,
    /// `http.tls.clientauth`: whether a caller may come without one all the same.
    pub client_certificate: ClientCertificate,
    /// `http.tls.minimumtls`.
    pub minimum: MinimumTls,
}

/// Where the certificate that callers are shown comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFrom {
    /// Two files, read again when they change.
    Files {
        /// `http.tls.certificate`: the certificate, and those between it and its root.
        certificate: PathBuf,
        /// `http.tls.key`.
        key: PathBuf,
    },
    /// IoT Edge's workload API (`http.tls.source: iotedge`); renewed before it ends.
    IotEdge {
        /// Whom to ask, and as whom.
        workload: Workload,
        /// The name or address in it: `http.tls.commonname`, else `IOTEDGE_GATEWAYHOSTNAME`.
        common_name: String,
    },
}

/// What is asked of a caller where `http.tls.clientcas` is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// One by these authorities.
    Required,
    /// None; but one that is shown must be by these authorities.
    IfGiven,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MinimumTls {
    /// TLS 1.2 and 1.3.
    V12,
    /// TLS 1.3 alone.
    V13,
}

const CERTIFICATE: &str = "http.tls.certificate";
const KEY: &str = "http.tls.key";
const AUTHORITIES: &str = "http.tls.clientcas";
const SOURCE: &str = "http.tls.source";
const ADDRESS: &str = "http.tls.addr";
const COMMON_NAME: &str = "http.tls.commonname";
const CLIENT_AUTH: &str = "http.tls.clientauth";

/// Something in the section is wrong, and was noted.
pub(super) struct Noted;

/// What the section says; none is plain HTTP.
pub(super) fn read(
    reader: &mut Reader<'_>,
    from: &LoadFrom<'_>,
    iotedge: &IotEdge,
    main: Option<&ListenAddress>,
) -> Result<Option<Tls>, Noted> {
    let minimum = reader.value("http.tls.minimumtls", minimum);
    let client_certificate = reader.value(CLIENT_AUTH, client_certificate);
    let source = reader.value(SOURCE, kind);
    let address = reader.value(ADDRESS, ListenAddress::parse);
    let (authorities, found) = authorities(reader, from);
    let source_is_wrong = reader.says(SOURCE) && source.is_none();
    let address_is_wrong = reader.says(ADDRESS) && address.is_none();
    if source_is_wrong || address_is_wrong || !found {
        return Err(Noted);
    }
    let certificate = match source {
        Some(Kind::IotEdge) => Some(from_iotedge(reader, iotedge).ok_or(Noted)?),
        Some(Kind::Files) | None => from_files(reader, from, source.is_some())?,
    };
    let Some(certificate) = certificate else {
        return without_certificate(reader).map(|()| None);
    };
    clash(reader, main, address.as_ref())?;
    Ok(Some(Tls {
        address,
        source: certificate,
        client_authorities: authorities,
        client_certificate: client_certificate.ok_or(Noted)?,
        minimum: minimum.ok_or(Noted)?,
    }))
}

/// Whether `http.addr` itself speaks TLS, whatever else may be wrong: for a program that wants to talk to the server.
pub(super) fn is_on_main_address(reader: &Reader<'_>) -> bool {
    (reader.says(CERTIFICATE) || reader.says(SOURCE)) && !reader.says(ADDRESS)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Files,
    IotEdge,
}

fn kind(text: &str) -> Result<Kind, Problem> {
    match text {
        "files" => Ok(Kind::Files),
        "iotedge" => Ok(Kind::IotEdge),
        _ => Err(Problem::new(
            format!("there is no source `{text}` of certificates"),
            "write files or iotedge",
        )),
    }
}

fn minimum(text: &str) -> Result<MinimumTls, Problem> {
    match text {
        "tls1.2" => Ok(MinimumTls::V12),
        "tls1.3" => Ok(MinimumTls::V13),
        "tls1.0" | "tls1.1" => Err(Problem::new(
            format!("{text} is broken and is not spoken"),
            "write tls1.2 or tls1.3; docker, containerd and podman speak both",
        )),
        _ => Err(Problem::new(
            format!("there is no version `{text}`"),
            "write tls1.2 or tls1.3",
        )),
    }
}

fn client_certificate(text: &str) -> Result<ClientCertificate, Problem> {
    match text {
        "require-and-verify-client-cert" => Ok(ClientCertificate::Required),
        "verify-client-cert-if-given" => Ok(ClientCertificate::IfGiven),
        "request-client-cert" | "require-any-client-cert" => Err(Problem::new(
            format!("`{text}` lets in whoever has made a certificate himself"),
            "write require-and-verify-client-cert or verify-client-cert-if-given",
        )),
        _ => Err(Problem::new(
            format!("there is no way `{text}`"),
            "write require-and-verify-client-cert or verify-client-cert-if-given",
        )),
    }
}

/// The two files, or that there are none; an error where one of them cannot be, which was noted.
fn from_files(
    reader: &mut Reader<'_>,
    from: &LoadFrom<'_>,
    is_wanted: bool,
) -> Result<Option<CertificateFrom>, Noted> {
    let (certificate, key) = (reader.set(CERTIFICATE), reader.set(KEY));
    if let Some(name) = reader.set(COMMON_NAME) {
        let advice = "remove it, or set http.tls.source to iotedge";
        let what = "it has no effect: the name of a certificate in a file is already made";
        reader.warn(name.place, COMMON_NAME, what, advice);
    }
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            let certificate = file(reader, from, CERTIFICATE, &certificate);
            let key = file(reader, from, KEY, &key);
            let both = certificate.zip(key).ok_or(Noted)?;
            Ok(Some(CertificateFrom::Files {
                certificate: both.0,
                key: both.1,
            }))
        }
        (None, None) if is_wanted => {
            let place = reader.place_of(SOURCE).ok_or(Noted)?;
            let what = "no certificate is named, so TLS could not be spoken";
            reader.fail(
                place,
                SOURCE,
                what,
                "set http.tls.certificate and http.tls.key",
            );
            Err(Noted)
        }
        (None, None) => Ok(None),
        (Some(written), None) => {
            other_half(reader, CERTIFICATE, KEY, written);
            Err(Noted)
        }
        (None, Some(written)) => {
            other_half(reader, KEY, CERTIFICATE, written);
            Err(Noted)
        }
    }
}

fn other_half(reader: &mut Reader<'_>, path: &str, missing: &str, written: Written) {
    let advice = format!("set {missing} too");
    reader.fail(written.place, path, "the other half is missing", advice);
}

fn from_iotedge(reader: &mut Reader<'_>, iotedge: &IotEdge) -> Option<CertificateFrom> {
    let place = reader.place_of(SOURCE)?;
    for path in [CERTIFICATE, KEY] {
        if let Some(written) = reader.set(path) {
            let what = "there are two certificates: this one, and the one that http.tls.source: iotedge asks for";
            reader.fail(written.place, path, what, "remove one of the two");
            return None;
        }
    }
    let Some(workload) = iotedge.workload.clone() else {
        let what = "IoT Edge's workload API is not known here: IOTEDGE_WORKLOADURI (unix:///…), IOTEDGE_MODULEID and \
                    IOTEDGE_MODULEGENERATIONID are set in modules that IoT Edge starts";
        let advice =
            "run this as a module, or name files with http.tls.certificate and http.tls.key";
        reader.fail(place, SOURCE, what, advice);
        return None;
    };
    let name = reader.set(COMMON_NAME).map(|written| written.text);
    let Some(common_name) = name.or_else(|| iotedge.gateway.clone()) else {
        let what = "nothing says for which name the certificate shall be: IOTEDGE_GATEWAYHOSTNAME is not set";
        let advice = "set http.tls.commonname to the name by which callers know this device";
        reader.fail(place, SOURCE, what, advice);
        return None;
    };
    Some(CertificateFrom::IotEdge {
        workload,
        common_name,
    })
}

/// Settings of TLS without TLS: those that protect something stop the start, the others are told.
fn without_certificate(reader: &mut Reader<'_>) -> Result<(), Noted> {
    let advice = "set http.tls.certificate and http.tls.key, or http.tls.source: iotedge";
    let what = "no certificate is named, so everything would cross the wire in the clear";
    let mut judgement = Ok(());
    for path in [AUTHORITIES, ADDRESS] {
        if let (true, Some(place)) = (reader.says(path), reader.place_of(path)) {
            reader.fail(place, path, what, advice);
            judgement = Err(Noted);
        }
    }
    for path in ["http.tls.minimumtls", CLIENT_AUTH] {
        if let Some(written) = reader.set(path) {
            reader.warn(
                written.place,
                path,
                "it has no effect: TLS is not spoken",
                advice,
            );
        }
    }
    judgement
}

/// Two listeners cannot have one address.
fn clash(
    reader: &mut Reader<'_>,
    main: Option<&ListenAddress>,
    tls: Option<&ListenAddress>,
) -> Result<(), Noted> {
    let (Some(main), Some(tls), Some(written)) = (main, tls, reader.set(ADDRESS)) else {
        return Ok(());
    };
    let is_every = |address: &ListenAddress| match &address.host {
        ListenHost::Every => true,
        ListenHost::Ip(ip) => ip.is_unspecified(),
        ListenHost::Name(_) => false,
    };
    let is_same = main.host == tls.host || is_every(main) || is_every(tls);
    if main.port != tls.port || main.port == 0 || !is_same {
        return Ok(());
    }
    let what = format!("http.addr is {main}, and one port cannot speak both");
    let advice = "write another port, or remove it: then http.addr speaks TLS";
    reader.fail(written.place, ADDRESS, what, advice);
    Err(Noted)
}

/// The files of authorities, and whether all could be read.
fn authorities(reader: &mut Reader<'_>, from: &LoadFrom<'_>) -> (Vec<PathBuf>, bool) {
    let written: Vec<Written> = reader.list(AUTHORITIES);
    let all = written.len();
    let files: Vec<PathBuf> = written
        .iter()
        .filter_map(|written| file(reader, from, AUTHORITIES, written))
        .collect();
    let found = files.len() == all;
    (files, found)
}

fn file(
    reader: &mut Reader<'_>,
    from: &LoadFrom<'_>,
    path: &str,
    written: &Written,
) -> Option<PathBuf> {
    let file = PathBuf::from(&written.text);
    match (from.read)(&file) {
        Ok(_) => Some(file),
        Err(error) => {
            let what = format!("{} cannot be read: {error}", file.display());
            reader.fail(written.place.clone(), path, what, "name a file in PEM form");
            None
        }
    }
}
