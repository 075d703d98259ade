//! Certificates of devices: whether parents and children believe each other, and for how long.

use std::time::{SystemTime, UNIX_EPOCH};

use super::device_files::contents;
use super::layers::Device;
use super::report::{Report, Spot};
use super::rules;
use crate::certificates::{self, Certificate, Chain};
use crate::device_config::{EdgeCa, Setting};

/// Seconds of a day, and how many days ahead an end is told.
const DAY: i64 = 24 * 60 * 60;
const AHEAD: i64 = 30;

pub(super) fn check(devices: &[&Device<'_>], now: SystemTime, report: &mut Report) {
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    });
    let mut bundles: Vec<(&Device<'_>, Vec<Certificate>)> = Vec::new();
    for device in devices {
        let is_nested =
            device.parent().is_some() || devices.iter().any(|other| device.is_parent_of(other));
        let bundle = device.config.trust_bundle.as_ref();
        if is_nested && bundle.is_none() {
            report.add(
                rules::BUNDLE_MISSING,
                Spot::whole(device.file),
                "there is no `trust_bundle_cert`",
                "write `trust_bundle_cert = \"file:///var/aziot/certs/ROOT.pem\"` at the beginning: the root that all devices share",
            );
        }
        let roots = bundle.and_then(|uri| read(device, uri, now, report));
        edge_ca(device, is_nested, roots.as_deref(), now, report);
        bundles.extend(roots.map(|roots| (*device, roots)));
    }
    common_root(&bundles, report);
}

/// Reads a file of certificates, and judges each by itself.
fn read(
    device: &Device<'_>,
    uri: &Setting<String>,
    now: i64,
    report: &mut Report,
) -> Option<Vec<Certificate>> {
    let found = match certificates::read(contents(device, &uri.value)?) {
        Ok(found) => found,
        Err(error) => {
            report.add(
                rules::BAD_CERTIFICATE,
                Spot::at(device.file, &uri.at),
                format!("{}: {error}", uri.value),
                "bring it as PEM: `openssl x509 -inform der -in FILE -out FILE.pem`",
            );
            return None;
        }
    };
    for certificate in &found {
        dates(device, uri, certificate, now, report);
        let name = &certificate.common_name;
        if name.contains("Test_Only") || name.contains("Azure_IoT_Hub_CA_Cert") {
            report.add(
                rules::TEST_CA,
                Spot::at(device.file, &uri.at),
                format!("`{name}` in {}", uri.value),
                "make a root and edge CAs of your own before production",
            );
        }
    }
    Some(found)
}

fn dates(
    device: &Device<'_>,
    uri: &Setting<String>,
    certificate: &Certificate,
    now: i64,
    report: &mut Report,
) {
    let spot = || Spot::at(device.file, &uri.at);
    let subject = &certificate.subject;
    let fix = "issue it anew, copy it to the device, `iotedge config apply`; a new edge CA restarts all modules";
    let left = certificate.not_after.saturating_sub(now);
    if left < 0 {
        let days = left.saturating_neg() / DAY;
        report.add(
            rules::EXPIRED,
            spot(),
            format!("`{subject}` ended {days} day(s) ago"),
            fix,
        );
    } else if left < AHEAD * DAY {
        report.add(
            rules::EXPIRES_SOON,
            spot(),
            format!("`{subject}` ends in {} day(s)", left / DAY),
            fix,
        );
    }
    if certificate.not_before > now {
        let hours = (certificate.not_before - now) / 3600;
        report.add(
            rules::NOT_YET_VALID,
            spot(),
            format!("`{subject}` counts from {hours} hour(s) from now on"),
            "set the clocks right, or wait",
        );
    }
}

fn edge_ca(
    device: &Device<'_>,
    is_nested: bool,
    roots: Option<&[Certificate]>,
    now: i64,
    report: &mut Report,
) {
    let section = device.config.edge_ca.as_ref();
    let files =
        section.map(|section| (section, section.certificate.as_ref(), section.key.as_ref()));
    match files {
        Some((_, Some(certificate), Some(key))) => {
            pair(device, certificate, key, roots, now, report);
        }
        Some((section, None, None)) if section.method.is_some() => {}
        None | Some((_, None, None)) => quickstart(device, section, is_nested, report),
        Some((section, certificate, _)) => {
            let (there, lacking) = if certificate.is_some() {
                ("cert", "pk")
            } else {
                ("pk", "cert")
            };
            report.add(
                rules::EDGE_CA_HALF,
                Spot::at(device.file, &section.at),
                format!("[edge_ca] has `{there}` and no `{lacking}`"),
                format!("write `{lacking}` too, right below [edge_ca]"),
            );
        }
    }
}

fn quickstart(device: &Device<'_>, section: Option<&EdgeCa>, is_nested: bool, report: &mut Report) {
    if is_nested {
        report.add(
            rules::QUICKSTART_CA,
            section.map_or(Spot::whole(device.file), |section| Spot::at(device.file, &section.at)),
            "there is no [edge_ca] with `cert` and `pk`",
            "write [edge_ca] with cert = \"file:///var/aziot/certs/CHAIN.pem\" and pk = \"file:///var/aziot/secrets/KEY.pem\"",
        );
    }
}

fn pair(
    device: &Device<'_>,
    certificate: &Setting<String>,
    key: &Setting<String>,
    roots: Option<&[Certificate]>,
    now: i64,
    report: &mut Report,
) {
    let chain = read(device, certificate, now, report);
    let Some((chain, first)) = chain
        .as_deref()
        .and_then(|chain| Some((chain, chain.first()?)))
    else {
        return;
    };
    if let Some(text) = contents(device, &key.value) {
        belongs(device, key, text, first, report);
    }
    let spot = || Spot::at(device.file, &certificate.at);
    if !first.is_authority {
        report.add(
            rules::NOT_AN_AUTHORITY,
            spot(),
            format!("`{}` is no CA (basicConstraints CA:FALSE, or none)", first.subject),
            "an edge CA signs the certificates of its modules: issue it with basicConstraints CA:TRUE and keyUsage keyCertSign",
        );
    }
    if let Some(roots) = roots {
        reaches(chain, roots, &spot, report);
    }
}

fn belongs(
    device: &Device<'_>,
    key: &Setting<String>,
    text: &str,
    first: &Certificate,
    report: &mut Report,
) {
    let spot = Spot::at(device.file, &key.at);
    match certificates::key_matches(text, first) {
        Ok(true) | Err(certificates::BadKey::Unknown) => {}
        Ok(false) => report.add(
            rules::KEY_MISMATCH,
            spot,
            format!("{} is not the key of `{}`", key.value, first.subject),
            "take the key and the certificate from one request; the edge CA's own certificate has to be the first of its file",
        ),
        Err(error) => report.add(
            rules::BAD_KEY,
            spot,
            format!("{}: {error}", key.value),
            "bring it as PEM without a password: `openssl pkey -in FILE -out FILE.pem`",
        ),
    }
}

fn reaches<'a>(
    chain: &[Certificate],
    roots: &[Certificate],
    spot: &dyn Fn() -> Spot<'a>,
    report: &mut Report,
) {
    match certificates::judge(chain, roots) {
        Chain::Complete => {}
        Chain::NotAnAuthority { subject } => report.add(
            rules::NOT_AN_AUTHORITY,
            spot(),
            format!("`{subject}` is in the chain and no CA"),
            "put the issuers' certificates into the chain, not those of servers or devices",
        ),
        Chain::OtherRoot { root } => report.add(
            rules::OTHER_ROOT,
            spot(),
            format!("the chain ends in `{root}`, which is not in the trust bundle"),
            "put this root into trust_bundle_cert on all devices, or issue the edge CA from the root that is there",
        ),
        Chain::Broken { position, subject, issuer, is_misplaced, is_replaced } => {
            let (detail, fix) = if is_misplaced {
                ("its issuer stands elsewhere in the file", "order the file: the edge CA first, then each issuer behind what it signed")
            } else if is_replaced {
                ("a certificate of that name is there, but another key made the signature", "take the issuer that signed it; it was made anew since")
            } else {
                ("its issuer is not there", "append the issuers' certificates: `cat edge-ca.pem intermediate.pem > full-chain.pem`")
            };
            report.add(
                rules::CHAIN_BROKEN,
                spot(),
                format!("certificate {position} `{subject}` was signed by `{issuer}`: {detail}"),
                fix,
            );
        }
    }
}

/// A parent and its child have to have a root in common.
fn common_root(bundles: &[(&Device<'_>, Vec<Certificate>)], report: &mut Report) {
    for (child, mine) in bundles {
        for (parent, theirs) in bundles
            .iter()
            .filter(|(parent, _)| parent.is_parent_of(child))
        {
            if mine.iter().any(|root| theirs.contains(root)) {
                continue;
            }
            let Some(at) = child.config.trust_bundle.as_ref().map(|bundle| &bundle.at) else {
                continue;
            };
            report.add(
                rules::BUNDLES_DIFFER,
                Spot::at(child.file, at),
                format!(
                    "no certificate of this trust bundle is in that of the parent ({})",
                    parent.file
                ),
                "give all devices of the hierarchy the same root",
            );
        }
    }
}
