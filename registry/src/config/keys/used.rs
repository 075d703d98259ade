//! The keys that are read.

use super::{From, Key, Shape, Standing};

const fn theirs(path: &'static str, default: &'static str, why: &'static str) -> Key {
    Key {
        path,
        standing: Standing::Used {
            shape: Shape::One,
            default,
            from: From::Distribution,
        },
        why,
    }
}

pub(super) const fn ours(path: &'static str, default: &'static str, why: &'static str) -> Key {
    Key {
        path,
        standing: Standing::Used {
            shape: Shape::One,
            default,
            from: From::Cistern,
        },
        why,
    }
}

pub(super) const fn shaped(shape: Shape, key: Key) -> Key {
    match key.standing {
        Standing::Used { default, from, .. } => Key {
            standing: Standing::Used {
                shape,
                default,
                from,
            },
            ..key
        },
        Standing::Accepted | Standing::Missing | Standing::Refused { .. } => key,
    }
}

pub(super) const KEYS: &[Key] = &[
    theirs(
        "version",
        "0.1",
        "The version of this format; Distribution does not start without it.",
    ),
    theirs(
        "log.level",
        "info",
        "The least important thing that is still said: `error`, `warn`, `info` or `debug`.",
    ),
    theirs(
        "log.formatter",
        "text",
        "The form of a line: `text` for people, `json` for machines.",
    ),
    theirs(
        "log.accesslog.disabled",
        "false",
        "`true` leaves out the line for each request; downloads are still reported.",
    ),
    theirs(
        "loglevel",
        "",
        "The old name of `log.level`, read where that one is not set.",
    ),
    theirs(
        "storage.filesystem.rootdirectory",
        "/var/lib/registry",
        "Where everything is kept, in Distribution's own layout.",
    ),
    theirs(
        "storage.maintenance.readonly.enabled",
        "false",
        "`true` serves what is stored, passes the rest through, and writes nothing.",
    ),
    theirs(
        "storage.delete.enabled",
        "false",
        "`true`: tags, manifests and blobs of hosted repositories can be deleted; those of mirrored ones never.",
    ),
    ours(
        "storage.cache.reserve",
        "",
        "Free space that is never filled, such as `10%` or `20GiB`; unset: 5 % of the disk, at least 256 MiB.",
    ),
    theirs(
        "http.addr",
        ":5000",
        "The address to listen on; `:5000` is every interface.",
    ),
    theirs("http.net", "tcp", "The kind of address; only `tcp`."),
    shaped(
        Shape::Names,
        theirs(
            "http.headers",
            "",
            "Headers added to every answer, such as `X-Content-Type-Options: [nosniff]`.",
        ),
    ),
    theirs(
        "http.draintimeout",
        "8s",
        "How long requests in flight may go on after a stop signal; docker kills after 10 s.",
    ),
    theirs(
        "http.debug.addr",
        "",
        "A second address, for `/metrics`, `/healthz` and `/readyz` away from callers.",
    ),
    theirs(
        "http.debug.prometheus.enabled",
        "",
        "`/metrics`: on by itself where `http.debug.addr` is set; `true` without it serves them on `http.addr`.",
    ),
    theirs(
        "http.debug.prometheus.path",
        "/metrics",
        "The path of the metrics.",
    ),
    shaped(
        Shape::Several,
        ours(
            "http.trustedproxies",
            "",
            "Networks whose `X-Forwarded-For` is believed, such as `172.16.0.0/12`.",
        ),
    ),
    theirs(
        "http.tls.certificate",
        "",
        "A certificate (PEM) with all between it and its root; set: callers are spoken to with TLS. Read again when it changes.",
    ),
    theirs(
        "http.tls.key",
        "",
        "The key of that certificate (PEM, unencrypted).",
    ),
    shaped(
        Shape::Several,
        theirs(
            "http.tls.clientcas",
            "",
            "Files with the authorities (PEM) of callers' certificates; set: a caller needs one. Read again when they change.",
        ),
    ),
    theirs(
        "http.tls.clientauth",
        "require-and-verify-client-cert",
        "With `clientcas`: `verify-client-cert-if-given` lets in callers without a certificate too.",
    ),
    theirs(
        "http.tls.minimumtls",
        "tls1.2",
        "The oldest version of TLS that is spoken: `tls1.2` or `tls1.3`.",
    ),
    ours(
        "http.tls.source",
        "",
        "`iotedge`: the certificate comes from IoT Edge's workload API, and is renewed by itself; unset or `files`: from the files above.",
    ),
    ours(
        "http.tls.addr",
        "",
        "An address of its own for TLS, such as `:5443`; then `http.addr` stays plain. Unset: `http.addr` speaks TLS.",
    ),
    ours(
        "http.tls.commonname",
        "",
        "The name that `iotedge` certificates are for; unset: `$IOTEDGE_GATEWAYHOSTNAME`.",
    ),
    ours(
        "http.anonymouspull",
        "false",
        "`true`: with `auth.htpasswd`, reading needs no login. `/v2/` then asks for none, so docker, podman and skopeo cannot push.",
    ),
    theirs(
        "auth.htpasswd.realm",
        "Cistern",
        "What people are told they log in to.",
    ),
    theirs(
        "auth.htpasswd.path",
        "",
        "A file of users with bcrypt hashes (`htpasswd -B`), read again when it changes; each of them may read and write.",
    ),
    shaped(
        Shape::Several,
        ours(
            "hosted.repositories",
            "",
            "Repositories that live here and are never asked for upstream, such as `local/*`; `*` stands for anything. Without `proxy.remoteurl`: all.",
        ),
    ),
    shaped(
        Shape::Several,
        ours(
            "hosted.writefrom",
            "",
            "Networks from which hosted repositories are written to; unset: anywhere, but this machine only with `proxy.remoteurl` and no `auth.htpasswd`.",
        ),
    ),
    ours(
        "hosted.incomplete",
        "false",
        "`true` also takes manifests whose blobs are not here.",
    ),
    theirs(
        "proxy.remoteurl",
        "",
        "The registry this is a cache of, such as `https://mcr.microsoft.com` or `$upstream:443`; unset: no upstream.",
    ),
    theirs(
        "proxy.username",
        "",
        "The user name for the upstream; unset: anonymous.",
    ),
    shaped(
        Shape::Secret,
        theirs(
            "proxy.password",
            "",
            "The password or token for it; never printed.",
        ),
    ),
    ours(
        "proxy.usernamefile",
        "",
        "A file that holds the user name, read again when it changes.",
    ),
    ours(
        "proxy.passwordfile",
        "",
        "A file that holds the password, read again when it changes and when the upstream refuses.",
    ),
    theirs(
        "proxy.ttl",
        "",
        "Drop what was not used for this long, such as `720h`, never while the upstream is away; unset or `0`: keep.",
    ),
    ours(
        "proxy.checkevery",
        "",
        "A tag confirmed more recently than this is served without asking the upstream; unset: `30s`, and `5s` while the upstream is a Cistern too, which costs the local network only.",
    ),
    ours(
        "proxy.checkdeadline",
        "3s",
        "How long the upstream may be silent before a tag we know is served unconfirmed.",
    ),
    ours(
        "proxy.whengone",
        "keep",
        "A cached tag that the upstream no longer has: `keep` serves it, `follow` answers 404 too.",
    ),
    shaped(
        Shape::Several,
        ours(
            "proxy.aliases",
            "",
            "Further names of the upstream that clients may send as `ns`, such as `registry.example.com`.",
        ),
    ),
    shaped(
        Shape::Several,
        ours(
            "proxy.realms",
            "",
            "Further hosts that may see our credentials because they issue the upstream's tokens.",
        ),
    ),
    shaped(
        Shape::Several,
        ours(
            "proxy.ca",
            "",
            "Files with certificates (PEM) that are trusted beside the system's, such as IoT Edge's trust bundle.",
        ),
    ),
    ours(
        "proxy.insecure",
        "false",
        "`true` does not check the upstream's certificate; for test rigs only.",
    ),
    shaped(
        Shape::Several,
        ours(
            "proxy.alternates",
            "",
            "Other addresses of the same registry, tried in this order when the one before does not answer; same credentials.",
        ),
    ),
    ours(
        "proxy.hold",
        "4m",
        "How long a caller in the middle of a blob is held while the link is down; then its connection is cut. `0`: after one more try.",
    ),
    ours(
        "proxy.holdlimit",
        "100",
        "How many callers are held at once; later ones are answered 503 or cut at once while the link is down. `0`: nobody is held.",
    ),
    ours(
        "proxy.rate",
        "unlimited",
        "Bytes per second that bodies from the upstream may take, such as `2MB` (16 Mbit/s).",
    ),
    shaped(
        Shape::Several,
        ours(
            "proxy.ratewindows",
            "",
            "Times with another rate, such as `Mon-Fri 06:00-18:00 500kB` or `22:00-05:00 unlimited`; the first that matches counts.",
        ),
    ),
    ours(
        "proxy.timezone",
        "UTC",
        "The time zone of `proxy.ratewindows` and `warm.windows`, such as `Europe/Berlin`.",
    ),
    ours(
        "proxy.downloads",
        "64",
        "How many blobs are downloaded at once; those that most callers wait for go first.",
    ),
    shaped(
        Shape::Several,
        ours(
            "proxy.strict",
            "",
            "Tags that are answered 503 rather than served unconfirmed, such as `plant/*:latest`.",
        ),
    ),
    ours(
        "proxy.readahead",
        "false",
        "`true` downloads the missing blobs of a platform's manifest as soon as it is served.",
    ),
    theirs(
        "proxy.exec.command",
        "",
        "A credential helper, as docker's are: it is called with `get`, reads the upstream's address and writes `Username` and `Secret`.",
    ),
    theirs(
        "proxy.exec.lifetime",
        "",
        "How long its answer holds, such as `6h`; unset or `0`: until the upstream refuses it.",
    ),
    ours(
        "proxy.clientcertificate",
        "",
        "A certificate (PEM) that the upstream is shown, read again when it changes.",
    ),
    ours("proxy.clientkey", "", "The key of that certificate (PEM)."),
    ours(
        "storage.cache.partials",
        "20GiB",
        "How much unfinished downloads may take on disk; the oldest go first. A share of the disk, such as `5%`, is possible.",
    ),
    shaped(
        Shape::Several,
        ours(
            "edge.bootstrap",
            "",
            "Images that devices below need to start at all, such as `$upstream:443/azureiotedge-agent:1.5`: fetched first, whatever `warm.windows` says, and kept.",
        ),
    ),
    ours(
        "edge.requirebootstrap",
        "false",
        "`true`: `/readyz` answers 503 until all of them are here.",
    ),
    shaped(
        Shape::Several,
        ours(
            "warm.images",
            "",
            "Images that are fetched before anybody asks, refreshed, and kept while they are named here.",
        ),
    ),
    shaped(
        Shape::Several,
        ours(
            "warm.manifests",
            "",
            "Files with IoT Edge deployment manifests whose images are treated so; read again when they change.",
        ),
    ),
    ours(
        "warm.artifact",
        "",
        "An OCI artifact in the upstream, `repository:tag`, that holds such manifests or lists of images; read again every `warm.every`.",
    ),
    shaped(
        Shape::Several,
        ours(
            "warm.platforms",
            "",
            "The machines that are fetched for, such as `linux/amd64, linux/arm64`, or `all`; unset: machines such as this one.",
        ),
    ),
    ours(
        "warm.every",
        "1h",
        "How often each of these images is asked about, and at most the pause after a failure.",
    ),
    shaped(
        Shape::Several,
        ours(
            "warm.windows",
            "",
            "The only times at which anything is fetched ahead, such as `Mon-Fri 18:00-06:00`, in `proxy.timezone`; unset: always.",
        ),
    ),
    ours(
        "warm.holdback",
        "false",
        "`true`: a tag of these images moves only when all of the new image is here; until then children get the old one.",
    ),
];
