//! Sweeping up what a killed run left behind. Touches only names that no finished thing can have.

use crate::{core::Core, layout::Layout};

/// The most files that are removed at one start.
const MOST: usize = 10_000;

impl Core {
    /// Removes files in the making that are not this run's, how many; and partials that nobody can go on with. The others stay.
    pub(crate) fn sweep(&self) -> usize {
        let directory = self.layout.partials();
        let names = self.disk.list(&directory).unwrap_or_default();
        let leftovers = names
            .iter()
            .filter_map(|name| name.to_str())
            .filter(|name| Layout::is_leftover(name, &self.run))
            .take(MOST);
        let mut removed = 0;
        for name in leftovers {
            let path = directory.join(name);
            match self.disk.remove(&path) {
                Ok(()) => removed += 1,
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "cannot remove a leftover");
                }
            }
        }
        if removed > 0 {
            tracing::info!(
                files = removed,
                "removed unfinished files of an earlier run"
            );
        }
        match self.drop_useless_partials() {
            Ok(dropped) if dropped.partials > 0 => {
                tracing::info!(
                    partials = dropped.partials,
                    bytes = dropped.bytes,
                    "removed what was left of downloads and nobody can go on with"
                );
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "cannot look through the partials"),
        }
        removed
    }
}
