//! `cistern purge`: an image of a mirrored repository, and all that nothing else needs, leaves the store.

use std::io::{BufRead, IsTerminal};

use super::arguments::ImagesArguments;
use super::{Console, Environment, Exit, admin_socket::plain, pin};
use crate::http::admin::words::{bytes, counted};
use crate::http::admin::{Done, PURGE_PATH};

pub(super) fn run(
    yes: bool,
    images: &ImagesArguments,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    if !yes {
        let input = std::io::stdin();
        if !input.is_terminal() {
            console.complain(
                "error: nobody can be asked whether this is meant; with --yes it is done without asking",
            );
            return Exit::Misuse;
        }
        if !is_meant(images, &mut input.lock(), console) {
            console.complain("nothing was removed");
            return Exit::Failure;
        }
    }
    pin::each(images, PURGE_PATH, environment, console, purged)
}

fn is_meant(
    images: &ImagesArguments,
    answers: &mut dyn BufRead,
    console: &mut Console<'_>,
) -> bool {
    console.complain(plain(&format!(
        "Remove {} from the store? Until it is fetched again, nobody can pull it here. [y/N]",
        images.images.join(", ")
    )));
    let mut answer = String::new();
    let read = answers.read_line(&mut answer);
    read.is_ok() && ["y", "yes"].contains(&answer.trim().to_ascii_lowercase().as_str())
}

fn purged(done: &Done) -> String {
    let number =
        |count: Option<u64>| usize::try_from(count.unwrap_or_default()).unwrap_or(usize::MAX);
    format!(
        "{} is removed: {} and {}, {} freed",
        done.image,
        counted(number(done.manifests), "manifest"),
        counted(number(done.blobs), "blob"),
        bytes(done.bytes.unwrap_or_default())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_freed_is_told() {
        let done = Done {
            image: "team/app:v1".to_owned(),
            manifests: Some(1),
            blobs: Some(3),
            bytes: Some(5_000_000),
            ..Done::default()
        };
        assert_eq!(
            purged(&done),
            "team/app:v1 is removed: 1 manifest and 3 blobs, 5.00 MB freed"
        );
    }
}
