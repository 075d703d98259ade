//! The registries that callers meant and that are not mirrored here: each is told to the operator once.

use std::collections::HashSet;

use parking_lot::Mutex;

/// Those that were told.
#[derive(Default)]
pub(super) struct Strangers(Mutex<HashSet<String>>);

/// More are not told, since callers can make names up.
const MOST_STRANGERS: usize = 32;
/// No host has a longer name.
const LONGEST_HOST: usize = 255;

impl Strangers {
    /// Whether this is a new one, and worth telling.
    pub(super) fn are_joined_by(&self, namespace: &str) -> bool {
        let mut known = self.0.lock();
        namespace.len() <= LONGEST_HOST
            && known.len() < MOST_STRANGERS
            && known.insert(namespace.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_registry_that_is_not_mirrored_is_told_once_and_made_up_names_end() {
        let strangers = Strangers::default();
        assert!(strangers.are_joined_by("quay.example"));
        assert!(!strangers.are_joined_by("QUAY.example"));
        assert!(!strangers.are_joined_by(&"x".repeat(300)));
        let told = (0..1000).filter(|name: &u32| strangers.are_joined_by(&name.to_string()));
        assert_eq!(told.count(), MOST_STRANGERS - 1);
    }
}
