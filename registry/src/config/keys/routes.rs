//! The keys of one route, `proxy.routes.N`.

use super::used::{ours, shaped};
use super::{Key, Shape};

pub(super) const KEYS: &[Key] = &[
    ours(
        "proxy.routes.0.prefix",
        "",
        "Names that begin so are mirrored from another registry than the rest: `azureiotedge-`, `team/`. The longest that matches counts.",
    ),
    ours(
        "proxy.routes.0.pattern",
        "",
        "In place of `prefix`: names in which `*` stands for anything, such as `*/base`.",
    ),
    ours(
        "proxy.routes.0.remoteurl",
        "",
        "The registry that these names are mirrored from.",
    ),
    ours(
        "proxy.routes.0.rewrite",
        "",
        "What the matched prefix (of a pattern: what stands before its first `*`) becomes there, such as `mirror/`; `/` drops it; unset: names stay.",
    ),
    ours(
        "proxy.routes.0.username",
        "",
        "As `proxy.username`, for this registry alone.",
    ),
    shaped(
        Shape::Secret,
        ours("proxy.routes.0.password", "", "As `proxy.password`."),
    ),
    ours(
        "proxy.routes.0.usernamefile",
        "",
        "As `proxy.usernamefile`.",
    ),
    ours(
        "proxy.routes.0.passwordfile",
        "",
        "As `proxy.passwordfile`.",
    ),
    ours(
        "proxy.routes.0.exec.command",
        "",
        "As `proxy.exec.command`.",
    ),
    ours(
        "proxy.routes.0.exec.lifetime",
        "",
        "As `proxy.exec.lifetime`.",
    ),
    shaped(
        Shape::Several,
        ours("proxy.routes.0.ca", "", "As `proxy.ca`."),
    ),
    ours("proxy.routes.0.insecure", "false", "As `proxy.insecure`."),
    ours(
        "proxy.routes.0.clientcertificate",
        "",
        "As `proxy.clientcertificate`.",
    ),
    ours("proxy.routes.0.clientkey", "", "As `proxy.clientkey`."),
    shaped(
        Shape::Several,
        ours("proxy.routes.0.aliases", "", "As `proxy.aliases`."),
    ),
    shaped(
        Shape::Several,
        ours("proxy.routes.0.realms", "", "As `proxy.realms`."),
    ),
    shaped(
        Shape::Several,
        ours("proxy.routes.0.alternates", "", "As `proxy.alternates`."),
    ),
];
