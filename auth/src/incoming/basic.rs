//! HTTP's Basic scheme (RFC 7617): reading what a caller shows, writing what it is asked for.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::Secret;

/// User name and password of an `Authorization` header. None if it is of another scheme, or not what the scheme says.
pub fn basic(header: &str) -> Option<(String, Secret)> {
    let (scheme, credentials) = header.trim().split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(credentials.trim()).ok()?).ok()?;
    let (user, password) = pair.split_once(':')?;
    Some((user.to_owned(), Secret::new(password)))
}

/// The value of `WWW-Authenticate`: show us a user name and a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    realm: String,
}

impl Challenge {
    /// `realm` is what people are told they log in to (`auth.htpasswd.realm`).
    pub fn new(realm: impl Into<String>) -> Self {
        Self {
            realm: realm.into(),
        }
    }
}

/// A quoted string of HTTP: quotes and backslashes escaped, what cannot be in a header left out.
impl fmt::Display for Challenge {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Basic realm=\"")?;
        for character in self.realm.chars() {
            match character {
                '"' | '\\' => write!(out, "\\{character}")?,
                ' '..='~' => fmt::Write::write_char(out, character)?,
                _ => {}
            }
        }
        out.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_and_a_password_are_read_as_they_were_typed() {
        for (pair, user, password) in [
            ("jane:pencil", "jane", "pencil"),
            ("jane:a:b", "jane", "a:b"),
            ("jane:", "jane", ""),
            (":x", "", "x"),
            ("jané:schlüssel", "jané", "schlüssel"),
        ] {
            let text = STANDARD.encode(pair);
            for header in [
                format!("Basic {text}"),
                format!("basic {text}"),
                format!("BASIC   {text} "),
            ] {
                let (found, secret) = basic(&header).unwrap();
                assert_eq!((found.as_str(), secret.expose()), (user, password));
            }
        }
    }

    #[test]
    fn what_is_not_basic_is_nobody() {
        let latin = format!("Basic {}", STANDARD.encode(b"jan\xe9:x"));
        let without_colon = format!("Basic {}", STANDARD.encode("jane"));
        for header in [
            "",
            "Basic",
            "Basic !!!",
            "Bearer abc",
            &latin,
            &without_colon,
        ] {
            assert!(basic(header).is_none(), "{header:?}");
        }
    }

    #[test]
    fn a_realm_stays_inside_its_quotes() {
        for (realm, header) in [
            ("Roof", "Basic realm=\"Roof\""),
            ("a \"b\" \\c", "Basic realm=\"a \\\"b\\\" \\\\c\""),
            ("a\r\nX: y", "Basic realm=\"aX: y\""),
        ] {
            assert_eq!(Challenge::new(realm).to_string(), header);
        }
    }
}
