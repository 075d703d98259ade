//! The name that was probably meant.

/// The candidate that differs least from `name`, if it is near enough that a typing error is likely.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let name = name.to_lowercase();
    let allowed = (name.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::osa_distance(&name, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
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
    fn a_word_of_its_own_finds_nothing() {
        assert_eq!(nearest("port", ["remoteurl", "username"]), None);
    }
}
