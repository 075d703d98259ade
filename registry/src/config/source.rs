//! Which file is read, and reading it.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::environment::PATH_VARIABLE;
use super::finding::{Finding, Place};
use super::node::Node;
use super::yaml::{self, Origin};
use super::{FileChoice, LoadFrom};

/// Where the images of Distribution 3 and 2 keep their file.
pub(crate) const USUAL_PLACES: [&str; 2] = [
    "/etc/distribution/config.yml",
    "/etc/docker/registry/config.yml",
];

/// What was read before the environment is looked at.
pub(super) struct Source {
    pub(super) file: Option<PathBuf>,
    pub(super) tree: Node,
    pub(super) findings: Vec<Finding>,
}

/// Reads the file that was chosen, if there is one. A file that was named and is not there is an error.
pub(super) fn read(from: &LoadFrom<'_>) -> Result<Source, Box<Finding>> {
    match &from.file {
        FileChoice::Named(path) => named(
            from,
            path,
            &Place::File {
                path: path.clone(),
                line: 0,
            },
        ),
        FileChoice::NotNamed | FileChoice::Search => match path_of_environment(from.environment) {
            Some(path) => named(from, &path, &Place::Variable(PATH_VARIABLE.to_owned())),
            None if from.file == FileChoice::Search => search(from),
            None => Ok(nothing()),
        },
    }
}

fn path_of_environment(environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    environment
        .get(PATH_VARIABLE)
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
}

fn nothing() -> Source {
    Source {
        file: None,
        tree: Node::null(Place::Default),
        findings: Vec::new(),
    }
}

fn named(from: &LoadFrom<'_>, path: &Path, place: &Place) -> Result<Source, Box<Finding>> {
    let bytes = (from.read)(path).map_err(|error| Box::new(unreadable(path, place, &error)))?;
    parse(path, bytes)
}

fn search(from: &LoadFrom<'_>) -> Result<Source, Box<Finding>> {
    for path in USUAL_PLACES.map(Path::new) {
        match (from.read)(path) {
            Ok(bytes) => return parse(path, bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                let place = Place::File {
                    path: path.to_path_buf(),
                    line: 0,
                };
                return Err(Box::new(unreadable(path, &place, &error)));
            }
        }
    }
    Ok(nothing())
}

fn parse(path: &Path, bytes: Vec<u8>) -> Result<Source, Box<Finding>> {
    let text = String::from_utf8(bytes).map_err(|_| {
        let place = Place::File {
            path: path.to_path_buf(),
            line: 0,
        };
        Box::new(Finding::error(
            place,
            "",
            "this file is not UTF-8 text",
            "name a YAML file",
        ))
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let (tree, findings) = yaml::read(text, &Origin::File(path))?;
    Ok(Source {
        file: Some(path.to_path_buf()),
        tree,
        findings,
    })
}

fn unreadable(path: &Path, place: &Place, error: &io::Error) -> Finding {
    let advice = match error.kind() {
        io::ErrorKind::NotFound => {
            "name a file that is there; `cistern serve` without a file needs none"
        }
        io::ErrorKind::IsADirectory => {
            "name a file; docker makes a directory where a mounted file does not exist on the host"
        }
        io::ErrorKind::FileTooLarge => "name a YAML file",
        io::ErrorKind::PermissionDenied => "let the user we run as read it",
        _ => "",
    };
    let what = match place {
        Place::Variable(_) => format!("it names {}, which cannot be read: {error}", path.display()),
        Place::File { .. } | Place::Default => {
            format!("this configuration file cannot be read: {error}")
        }
    };
    Finding::error(place.clone(), "", what, advice)
}
