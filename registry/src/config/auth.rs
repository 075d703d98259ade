//! `auth`: who may come in. Only `auth.htpasswd`, as Distribution has it; any other way stops the start.

use std::path::{Path, PathBuf};

use cistern_auth::incoming::{Examined, examine};

use super::LoadFrom;
use super::finding::Place;
use super::reader::Reader;

/// `auth.htpasswd`: users with a password each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HtpasswdFile {
    /// `auth.htpasswd.realm`: what people are told they log in to.
    pub realm: String,
    /// `auth.htpasswd.path`: the file of users, read again when it changes.
    pub path: PathBuf,
}

const WAY: &str = "auth.htpasswd";
const PATH: &str = "auth.htpasswd.path";

pub(super) fn read(reader: &mut Reader<'_>, from: &LoadFrom<'_>) -> Option<HtpasswdFile> {
    // A way of authenticating is chosen by being there, whatever is said below it.
    let place = reader.place_of(WAY)?;
    let realm = reader.value("auth.htpasswd.realm", |text| Ok(text.to_owned()));
    let Some(written) = reader.set(PATH) else {
        let advice = "set auth.htpasswd.path to a file of users, or remove auth";
        reader.fail(place, PATH, "no file of users is named", advice);
        return None;
    };
    let path = PathBuf::from(written.text);
    check(reader, from, &path, written.place);
    Some(HtpasswdFile {
        realm: realm?,
        path,
    })
}

/// Without users nobody could come in; Distribution would make up a user and log the password.
fn check(reader: &mut Reader<'_>, from: &LoadFrom<'_>, path: &Path, place: Place) {
    let shown = path.display();
    let advice = format!("make it with `htpasswd -Bbn USER PASSWORD > {shown}`");
    match (from.read)(path) {
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => reader.fail(
            place,
            PATH,
            format!("{shown} is a directory"),
            "name a file of users, made with `htpasswd -Bbn USER PASSWORD > FILE`".to_owned(),
        ),
        Err(error) => reader.fail(
            place,
            PATH,
            format!("{shown} cannot be read: {error}"),
            advice,
        ),
        Ok(content) => {
            let Examined {
                users,
                unusable_lines,
            } = examine(&content);
            if users == 0 {
                let what =
                    format!("{shown} has no user with a bcrypt hash, so nobody could log in");
                reader.fail(place, PATH, what, advice);
            } else if !unusable_lines.is_empty() {
                let lines: Vec<String> = unusable_lines.iter().map(ToString::to_string).collect();
                let what = format!(
                    "only bcrypt counts, so these lines of {shown} let nobody in: {}",
                    lines.join(", ")
                );
                reader.warn(place, PATH, what, "make them again with `htpasswd -B`");
            }
        }
    }
}
