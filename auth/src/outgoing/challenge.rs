//! Reading `WWW-Authenticate`. Registries write it in ways the grammar does not allow (unquoted scopes and addresses, missing
//! commas), and a challenge that is not understood is a pull that fails, so what the strict reader rejects is read once more
//! by a tolerant one.

use http_auth::ChallengeRef;

/// One challenge: a scheme and its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// In lower case: `bearer`, `basic`, `negotiate`…
    scheme: String,
    /// Names in lower case, in the order of the header.
    parameters: Vec<(String, String)>,
}

/// Schemes known by name, so that a bare word after a comma is not taken for one.
const SCHEMES: [&str; 8] = [
    "basic",
    "bearer",
    "digest",
    "mutual",
    "negotiate",
    "ntlm",
    "oauth",
    "hoba",
];

impl Challenge {
    /// All challenges of one header field. Call it for each field by itself: one broken field must not hide another.
    pub fn parse_all(field: &str) -> Vec<Self> {
        match http_auth::parse_challenges(field) {
            Ok(challenges) => challenges.iter().map(Self::from_strict).collect(),
            Err(_) => parse_tolerantly(field),
        }
    }

    /// The scheme in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The value of a parameter, named in lower case. An empty value counts as absent.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        let (_, value) = self.parameters.iter().find(|(known, _)| known == name)?;
        Some(value.as_str()).filter(|value| !value.is_empty())
    }

    fn from_strict(strict: &ChallengeRef<'_>) -> Self {
        let parameters = strict.params.iter();
        Self {
            scheme: strict.scheme.to_ascii_lowercase(),
            parameters: parameters
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_unescaped()))
                .collect(),
        }
    }
}

/// Reads a field from left to right and takes what it can: `word` starts a challenge, `name=value` belongs to the last one.
fn parse_tolerantly(field: &str) -> Vec<Challenge> {
    let mut found: Vec<Challenge> = Vec::new();
    let mut rest = field;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',', ';']);
        let (word, after) = split_word(rest);
        if word.is_empty() {
            // Not the start of anything: step over one character.
            let mut characters = rest.chars();
            if characters.next().is_none() {
                return found;
            }
            rest = characters.as_str();
        } else if let Some(value) = after.trim_start().strip_prefix('=') {
            let (value, after) = split_value(value.trim_start());
            rest = after;
            if let Some(challenge) = found.last_mut() {
                challenge
                    .parameters
                    .push((word.to_ascii_lowercase(), value));
            }
        } else {
            rest = after;
            if found.is_empty() || is_scheme(word) {
                found.push(Challenge {
                    scheme: word.to_ascii_lowercase(),
                    parameters: Vec::new(),
                });
            }
        }
    }
}

fn is_scheme(word: &str) -> bool {
    SCHEMES
        .iter()
        .any(|scheme| scheme.eq_ignore_ascii_case(word))
}

/// A leading word of the characters that names are made of, and the rest.
fn split_word(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        .unwrap_or(text.len());
    text.split_at(end)
}

/// A leading value, quoted or bare, and the rest.
fn split_value(text: &str) -> (String, &str) {
    match text.strip_prefix('"') {
        Some(quoted) => split_quoted(quoted),
        None => split_bare(text),
    }
}

fn split_quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '"' => break,
            '\\' => value.extend(characters.next()),
            other => value.push(other),
        }
    }
    (value, characters.as_str())
}

/// A bare value ends at a comma or space that another parameter, another scheme or nothing follows; other commas and
/// spaces are part of it (`scope=repository:a:pull,push`).
fn split_bare(text: &str) -> (String, &str) {
    let ends_here = |at: usize| {
        let (_, rest) = text.split_at(at);
        let rest = rest.trim_start_matches([' ', '\t', ',']);
        let (word, after) = split_word(rest);
        rest.is_empty()
            || is_scheme(word)
            || (!word.is_empty() && after.trim_start().starts_with('='))
    };
    let separators = text
        .char_indices()
        .filter(|(_, c)| matches!(c, ',' | ' ' | '\t'));
    let end = separators
        .map(|(at, _)| at)
        .find(|at| ends_here(*at))
        .unwrap_or(text.len());
    let (value, rest) = text.split_at(end);
    (value.to_owned(), rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(field: &str) -> Vec<(String, Vec<(String, String)>)> {
        Challenge::parse_all(field)
            .into_iter()
            .map(|one| (one.scheme, one.parameters))
            .collect()
    }

    fn bearer(parameters: &[(&str, &str)]) -> (String, Vec<(String, String)>) {
        (
            "bearer".into(),
            parameters
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        )
    }

    #[test]
    fn docker_hubs_challenge_is_read() {
        let field = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull""#;
        let expected = bearer(&[
            ("realm", "https://auth.docker.io/token"),
            ("service", "registry.docker.io"),
            ("scope", "repository:a/b:pull"),
        ]);
        assert_eq!(read(field), [expected]);
    }

    #[test]
    fn unquoted_values_are_read() {
        let field = "bearer realm=https://auth.example/token?a=b&c=d,service=registry,scope=repository:a/b:pull,push";
        let expected = bearer(&[
            ("realm", "https://auth.example/token?a=b&c=d"),
            ("service", "registry"),
            ("scope", "repository:a/b:pull,push"),
        ]);
        assert_eq!(read(field), [expected]);
    }

    #[test]
    fn missing_commas_and_spaces_round_the_sign_are_borne() {
        let field = r#"BEARER realm = "https://a.example/t" service=x y scope=repository:a:pull repository:b:pull"#;
        let expected = bearer(&[
            ("realm", "https://a.example/t"),
            ("service", "x y"),
            ("scope", "repository:a:pull repository:b:pull"),
        ]);
        assert_eq!(read(field), [expected]);
    }

    #[test]
    fn several_challenges_in_one_field_are_told_apart() {
        let schemes = |field: &str| {
            read(field)
                .into_iter()
                .map(|(scheme, _)| scheme)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            schemes(r#"Negotiate, Basic realm="x""#),
            ["negotiate", "basic"]
        );
        assert_eq!(
            schemes(r#"Bearer realm=https://x/t,scope=a:b:pull,push, Basic realm="x""#),
            ["bearer", "basic"]
        );
        assert_eq!(schemes("Negotiate"), ["negotiate"]);
        assert_eq!(schemes(""), Vec::<String>::new());
    }

    #[test]
    fn escapes_in_quotes_are_undone_by_both_readers() {
        assert_eq!(read(r#"Basic realm="a \"b\"""#)[0].1[0].1, r#"a "b""#);
        assert_eq!(
            parse_tolerantly(r#"Basic realm="a \"b\", c""#)[0].parameter("realm"),
            Some(r#"a "b", c"#)
        );
    }

    #[test]
    fn an_empty_parameter_is_absent() {
        let challenges = Challenge::parse_all(r#"Bearer realm="https://x/t",scope="""#);
        assert_eq!(challenges[0].parameter("scope"), None);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_fail(field in "\\PC{0,200}") {
            let _ = Challenge::parse_all(&field);
            let _ = parse_tolerantly(&field);
        }

        #[test]
        fn what_the_strict_reader_accepts_the_tolerant_one_reads_alike(
            realm in "https://[a-z]{1,8}\\.example/[a-z]{0,8}", service in "[a-z.]{1,12}", scope in "repository:[a-z/]{1,12}:pull(,push)?",
        ) {
            let field = format!(r#"Bearer realm="{realm}",service="{service}",scope="{scope}""#);
            prop_assert_eq!(Challenge::parse_all(&field), parse_tolerantly(&field));
            let bare = format!("Bearer realm={realm},service={service},scope={scope}");
            prop_assert_eq!(Challenge::parse_all(&field), parse_tolerantly(&bare));
        }
    }
}
