//! The text of an htpasswd file: one `user:hash` a line, as Apache's `htpasswd -B` writes it. Only bcrypt counts, as in Distribution.

use std::collections::HashMap;

/// Users by name, each with a bcrypt hash.
#[derive(Debug, Default)]
pub(super) struct Users {
    hashes: HashMap<String, String>,
    /// What an unknown user's password is compared with, so that it takes as long as a known one's.
    stand_in: Option<String>,
}

/// What a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Examined {
    /// How many users can log in.
    pub users: usize,
    /// The lines, counted from one, that let nobody in: no bcrypt, or no line of this format at all.
    pub unusable_lines: Vec<usize>,
}

/// Looks at the content of a file without keeping any of it.
pub fn examine(content: &[u8]) -> Examined {
    let (users, unusable_lines) = Users::read(content);
    Examined {
        users: users.hashes.len(),
        unusable_lines,
    }
}

impl Users {
    /// Reads a file; beside it the lines, counted from one, that let nobody in. Of several lines for one user the last counts, as
    /// in Distribution.
    pub(super) fn read(content: &[u8]) -> (Self, Vec<usize>) {
        let (mut users, mut unusable) = (Self::default(), Vec::new());
        for (number, line) in (1..).zip(content.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let pair = std::str::from_utf8(line)
                .ok()
                .and_then(|line| line.split_once(':'));
            match pair {
                Some((user, hash)) if !user.is_empty() && is_bcrypt(hash) => {
                    users.stand_in.get_or_insert_with(|| hash.to_owned());
                    users.hashes.insert(user.to_owned(), hash.to_owned());
                }
                // A hash of another kind: this user had a password once, and must not get in with an older one.
                Some((user, _)) => {
                    users.hashes.remove(user);
                    unusable.push(number);
                }
                None => unusable.push(number),
            }
        }
        (users, unusable)
    }

    /// How many users can log in.
    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// The hash to compare with, and whether equality means anything. None if nobody can log in at all.
    pub(super) fn hash_of(&self, user: &str) -> Option<(&str, bool)> {
        match self.hashes.get(user) {
            Some(hash) => Some((hash, true)),
            None => self.stand_in.as_deref().map(|hash| (hash, false)),
        }
    }
}

/// `$2y$10$` and 53 characters of salt and hash; `$2a$`, `$2b$` and `$2x$` are its sisters.
fn is_bcrypt(hash: &str) -> bool {
    hash.parse::<bcrypt::HashParts>().is_ok()
}
