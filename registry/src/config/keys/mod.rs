//! The table of keys: which exist, what we do with each, their defaults, and one line of why. Everything else here asks it.
//!
//! A list of maps, such as `proxy.routes`, stands in the table with its first element: `proxy.routes.0.prefix`. Paths that are looked
//! up may have any number there.

mod distribution;
mod routes;
mod used;

use std::borrow::Cow;

/// A key of the configuration and what we do with it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    /// The path, joined by dots. A key that is not `Used` stands for everything below it too.
    pub(super) path: &'static str,
    pub(super) standing: Standing,
    /// What it means, or why nothing is lost, or what is not done: one line for an operator.
    pub(super) why: &'static str,
}

/// What we do with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is read; the text is its default, empty for none.
    Used {
        shape: Shape,
        default: &'static str,
        from: From,
    },
    /// It is Distribution's, and nothing is lost by not reading it.
    Accepted,
    /// It is Distribution's, and what it asks for is not done: one warning.
    Missing,
    /// It decides who may come in, how the wire is protected, where bytes live or what is served: the server does not start.
    Refused {
        /// What to do instead.
        advice: &'static str,
    },
}

/// Whose key it is; Distribution starts with ours in its file only below `proxy`, `http` and `storage.cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Distribution,
    Cistern,
}

/// What may be written under a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One text, number or truth value.
    One,
    /// One text that is never printed.
    Secret,
    /// Several texts.
    Several,
    /// Names with one or several texts each.
    Names,
}

/// What the table says about a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known {
    /// A key.
    Key(&'static Key),
    /// Something below a key that stands for all below it.
    Below(&'static Key),
    /// Keys begin with it.
    Section,
    /// Nothing.
    No,
}

/// All keys, ours and Distribution's, in the order of the documentation.
pub(super) fn all() -> impl Iterator<Item = &'static Key> {
    let read = used::KEYS.iter().chain(routes::KEYS);
    read.chain(distribution::KEYS)
}

/// Looks a path up.
pub(super) fn look_up(path: &str) -> Known {
    let path = &*in_the_table(path);
    if let Some(key) = all().find(|key| key.path == path) {
        return Known::Key(key);
    }
    if let Some(key) = all().find(|key| is_below(path, key.path)) {
        return Known::Below(key);
    }
    if all().any(|key| is_below(key.path, path)) {
        Known::Section
    } else {
        Known::No
    }
}

/// The default of a key that is read; empty if it has none.
pub(super) fn default_of(path: &str) -> &'static str {
    match look_up(path) {
        Known::Key(Key {
            standing: Standing::Used { default, .. },
            ..
        }) => default,
        Known::Key(_) | Known::Below(_) | Known::Section | Known::No => "",
    }
}

/// Whether below this path stands a list of maps.
pub(super) fn is_list_of_maps(path: &str) -> bool {
    let first = format!("{}.0", in_the_table(path));
    all().any(|key| is_below(key.path, &first))
}

/// A path as the table has it: every place in a list of maps is the first.
pub(super) fn in_the_table(path: &str) -> Cow<'_, str> {
    let is_place = |word: &str| word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty();
    if !path.split('.').any(|word| is_place(word) && word != "0") {
        return Cow::Borrowed(path);
    }
    let mut known = String::with_capacity(path.len());
    for word in path.split('.') {
        let is_element = is_place(word) && {
            let first = format!("{known}.0");
            all().any(|key| is_below(key.path, &first))
        };
        if !known.is_empty() {
            known.push('.');
        }
        known.push_str(if is_element { "0" } else { word });
    }
    Cow::Owned(known)
}

/// The words that may stand directly below a section: `""` gives the sections themselves.
pub(super) fn words_below(section: &str) -> Vec<&'static str> {
    let section = &*in_the_table(section);
    let mut words: Vec<&'static str> = all()
        .filter_map(|key| {
            let rest = if section.is_empty() {
                Some(key.path)
            } else {
                key.path.strip_prefix(section)?.strip_prefix('.')
            };
            rest.and_then(|rest| rest.split('.').next())
        })
        .collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The environment twin: `proxy.remoteurl` is `REGISTRY_PROXY_REMOTEURL`.
pub(super) fn variable_of(path: &str) -> String {
    format!("REGISTRY_{}", path.to_uppercase().replace('.', "_"))
}

fn is_below(path: &str, section: &str) -> bool {
    path.strip_prefix(section)
        .is_some_and(|rest| rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_of_ours_has_an_underscore_and_none_stands_twice() {
        let mut paths: Vec<_> = all().map(|key| key.path).collect();
        assert!(paths.iter().all(|path| {
            path.chars()
                .all(|c| c == '.' || c.is_ascii_lowercase() || c.is_ascii_digit())
        }));
        paths.sort_unstable();
        let count = paths.len();
        paths.dedup();
        assert_eq!(paths.len(), count);
    }

    #[test]
    fn no_key_hides_another() {
        for key in all() {
            assert!(
                !all().any(|other| is_below(other.path, key.path)),
                "{} is a key and a section",
                key.path
            );
        }
    }

    #[test]
    fn a_path_is_a_key_a_section_or_below_one() {
        assert!(matches!(look_up("proxy.remoteurl"), Known::Key(_)));
        assert!(matches!(look_up("auth.token.realm"), Known::Below(_)));
        assert!(matches!(look_up("http.debug"), Known::Section));
        assert!(matches!(look_up("proxyremote"), Known::No));
    }

    #[test]
    fn every_element_of_a_list_of_maps_has_the_keys_of_the_first() {
        for path in ["proxy.routes.0.prefix", "proxy.routes.17.exec.command"] {
            assert!(matches!(look_up(path), Known::Key(_)), "{path}");
        }
        assert!(matches!(look_up("proxy.routes.3.ca.12"), Known::Below(_)));
        assert!(matches!(look_up("proxy.routes.3"), Known::Section));
        assert!(matches!(look_up("proxy.routes.x.prefix"), Known::No));
        assert!(is_list_of_maps("proxy.routes") && !is_list_of_maps("proxy.routes.1.exec"));
        assert!(words_below("proxy.routes.2").contains(&"rewrite"));
    }
}
