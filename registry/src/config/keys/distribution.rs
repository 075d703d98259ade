//! The keys of Distribution that are not read, and the sections of ours that are still to come.

use super::{Key, Standing};

const fn accepted(path: &'static str, why: &'static str) -> Key {
    Key {
        path,
        standing: Standing::Accepted,
        why,
    }
}

const fn missing(path: &'static str, why: &'static str) -> Key {
    Key {
        path,
        standing: Standing::Missing,
        why,
    }
}

const fn refused(path: &'static str, why: &'static str, advice: &'static str) -> Key {
    Key {
        path,
        standing: Standing::Refused { advice },
        why,
    }
}

const fn driver(path: &'static str) -> Key {
    refused(
        path,
        "bytes are kept in a file system and nowhere else yet",
        "remove it and set storage.filesystem.rootdirectory",
    )
}

pub(super) const KEYS: &[Key] = &[
    accepted(
        "http.host",
        "URLs in answers are always relative, so the outside name is not needed.",
    ),
    accepted("http.relativeurls", "URLs in answers are always relative."),
    accepted(
        "http.secret",
        "It signs the state of pushes on its way through clients; here that state stays on the disk.",
    ),
    accepted(
        "http.http2",
        "It concerns HTTP/2 over TLS; we speak HTTP/1.1.",
    ),
    accepted("auth.none", "Without `auth.htpasswd` nobody is asked."),
    accepted(
        "storage.redirect",
        "Blobs are always served by the cache itself.",
    ),
    accepted("storage.tag", "Looking tags up needs no limit."),
    accepted(
        "storage.cache.blobdescriptor",
        "Descriptions of blobs are always cached.",
    ),
    accepted(
        "storage.cache.blobdescriptorsize",
        "The size of that cache is bounded by itself.",
    ),
    accepted(
        "storage.cache.layerinfo",
        "The old name of `storage.cache.blobdescriptor`.",
    ),
    accepted(
        "storage.maintenance.uploadpurging",
        "Pushes that nobody goes on with are always dropped after a day.",
    ),
    accepted(
        "health.storagedriver",
        "`/healthz` always checks the store.",
    ),
    accepted(
        "proxy.cachewritetimeout",
        "A download may take as long as it needs.",
    ),
    missing("log.fields", "fields are not added to log lines"),
    missing("log.hooks", "nothing is mailed from the log"),
    missing(
        "log.reportcaller",
        "log lines do not name places in the source",
    ),
    missing(
        "storage.filesystem.maxthreads",
        "the number of threads for the disk is not adjustable",
    ),
    missing("http.prefix", "the API is always below /v2/"),
    missing("http.h2c", "only HTTP/1.1 is spoken"),
    missing(
        "http.tls.ciphersuites",
        "the cipher suites are not adjustable; every one that is spoken has forward secrecy and authenticated encryption",
    ),
    missing(
        "health.file",
        "/healthz looks at the process and the store only",
    ),
    missing(
        "health.http",
        "/healthz looks at the process and the store only",
    ),
    missing(
        "health.tcp",
        "/healthz looks at the process and the store only",
    ),
    missing("middleware", "there are no middlewares"),
    missing("notifications", "nobody is notified of pulls and pushes"),
    missing(
        "redis",
        "no redis is used; descriptions of blobs are cached in the process",
    ),
    missing("reporting", "nothing is reported to bugsnag or newrelic"),
    missing(
        "catalog",
        "the size of a page of the catalog is not adjustable",
    ),
    missing("compatibility", "schema 1 manifests are not converted"),
    missing(
        "validation",
        "URLs and platforms named in manifests are not restricted",
    ),
    missing("policy", "repositories are not restricted by class"),
    refused(
        "auth.token",
        "tokens are not checked yet, so everybody could pull",
        "use auth.htpasswd, or put a proxy in front that asks for credentials",
    ),
    refused(
        "auth.silly",
        "it lets everybody in who sends any credentials at all",
        "use auth.htpasswd",
    ),
    refused(
        "http.tls.letsencrypt",
        "certificates are not asked for at Let's Encrypt, so nothing would be encrypted",
        "set http.tls.certificate and http.tls.key",
    ),
    refused(
        "proxy.remotenamespace",
        "repositories are not renamed, so other images would be served",
        "name repositories by their full path",
    ),
    driver("storage.azure"),
    driver("storage.gcs"),
    driver("storage.inmemory"),
    driver("storage.oss"),
    driver("storage.s3"),
    driver("storage.s3aws"),
    driver("storage.swift"),
];
