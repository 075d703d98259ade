//! Who may come in, what lives here, and who may write to it: in the words of `config check`.

use std::fmt::Display;

use crate::config::Config;

/// Who may come in.
pub(super) fn callers(config: &Config) -> String {
    let Some(file) = &config.auth else {
        return "everybody who reaches the address; nobody is asked for a login".to_owned();
    };
    let path = file.path.display();
    if config.http.anonymous_pull {
        format!("everybody may read; a login of {path} may write too")
    } else {
        format!("whoever has a login of {path} (realm {:?})", file.realm)
    }
}

/// What lives here beside the mirrored repositories.
pub(super) fn hosted(config: &Config) -> String {
    let patterns = &config.hosted.repositories;
    if !config.proxy.is_cache() || patterns.is_empty() {
        return String::new();
    }
    format!("{}, never asked for upstream", listed(patterns))
}

/// Who may write, and what beyond pushing.
pub(super) fn writers(config: &Config) -> String {
    let is_cache = config.proxy.is_cache();
    if config.proxy.remote.is_some() && config.hosted.repositories.is_empty() {
        return "nobody: every repository mirrors the upstream".to_owned();
    }
    if config.storage.read_only {
        return "nobody: the store is read-only".to_owned();
    }
    let deletes = if config.storage.delete {
        "may delete too"
    } else {
        "deletes nothing (storage.delete.enabled)"
    };
    match (&config.auth, &config.hosted.write_from) {
        (_, Some(networks)) if networks.is_empty() => {
            "nobody: hosted.writefrom is empty".to_owned()
        }
        (Some(_), Some(networks)) => format!(
            "whoever has a login and comes from {}; {deletes}",
            listed(networks)
        ),
        (Some(_), None) => format!("whoever has a login; {deletes}"),
        (None, Some(networks)) => format!(
            "everybody from {}, without a login; {deletes}; {}",
            listed(networks),
            proxies(config)
        ),
        (None, None) if is_cache => format!(
            "this machine only, without a login; {deletes}; {}{}",
            proxies(config),
            if config.http.trusted_proxies.is_empty() {
                ", on this machine as this machine"
            } else {
                ""
            }
        ),
        (None, None) => {
            format!("everybody who reaches the address, without a login; {deletes}")
        }
    }
}

/// Who is taken for whom where the address decides.
fn proxies(config: &Config) -> String {
    let trusted = &config.http.trusted_proxies;
    if trusted.is_empty() {
        return "whoever comes through a proxy counts as the proxy".to_owned();
    }
    format!(
        "whoever comes through a proxy counts as the proxy, but for those of {}, whose X-Forwarded-For counts",
        listed(trusted)
    )
}

fn listed<T: Display>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    items.join(", ")
}
