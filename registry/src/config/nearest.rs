//! The name that was probably meant.

/// The candidate that differs least from `name`, if it is near enough that a typing error is likely; else the shortest that
/// begins or ends with it (`user` for `username`, `url` for `remoteurl`).
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    /// Fewer letters begin too much.
    const FEWEST: usize = 3;
    let name = plain(name);
    let allowed = (name.chars().count() / 3).max(1);
    let candidates: Vec<(String, &str)> = candidates
        .into_iter()
        .map(|candidate| (plain(candidate), candidate))
        .collect();
    let mistyped = candidates
        .iter()
        .map(|(plain, candidate)| (strsim::osa_distance(&name, plain), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance);
    let shortened = || {
        candidates
            .iter()
            .filter(|(plain, _)| plain.starts_with(&name) || plain.ends_with(&name))
            .min_by_key(|(plain, _)| plain.len())
            .map(|(_, candidate)| *candidate)
            .filter(|_| name.len() >= FEWEST)
    };
    mistyped.map(|(_, candidate)| *candidate).or_else(shortened)
}

/// A name without what people write differently: case, and marks between words.
fn plain(name: &str) -> String {
    let letters = name.chars().filter(|letter| !matches!(letter, '_' | '-'));
    letters.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typing_error_finds_the_word_that_was_meant() {
        assert_eq!(
            nearest("checkevry", ["remoteurl", "checkevery", "checkdeadline"]),
            Some("checkevery")
        );
        assert_eq!(
            nearest("remoteURL", ["remoteurl", "username"]),
            Some("remoteurl")
        );
    }

    #[test]
    fn a_shortened_word_finds_the_whole_one() {
        let words = ["remoteurl", "usernamefile", "username", "password"];
        for (short, whole) in [
            ("remote", "remoteurl"),
            ("url", "remoteurl"),
            ("user", "username"),
            ("pass", "password"),
            ("remote_url", "remoteurl"),
            ("REMOTE-URL", "remoteurl"),
        ] {
            assert_eq!(nearest(short, words), Some(whole), "{short}");
        }
        assert_eq!(nearest("re", words), None);
    }

    #[test]
    fn a_word_of_its_own_finds_nothing() {
        assert_eq!(nearest("port", ["remoteurl", "username"]), None);
    }
}
