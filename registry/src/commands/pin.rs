//! `cistern pin` and `cistern unpin`: what is kept whatever happens.

use super::admin_socket::{Told, plain, wish};
use super::arguments::{Format, ImagesArguments};
use super::{Console, Environment, Exit};
use crate::http::admin::{Done, PIN_PATH, UNPIN_PATH, Wish};

pub(super) fn pin(
    images: &ImagesArguments,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    each(images, PIN_PATH, environment, console, |done| {
        format!(
            "{} is pinned: it is fetched, refreshed and kept until it is unpinned",
            done.image
        )
    })
}

pub(super) fn unpin(
    images: &ImagesArguments,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    each(images, UNPIN_PATH, environment, console, unpinned)
}

fn unpinned(done: &Done) -> String {
    let first = if done.was_pinned == Some(false) {
        format!("{} was not pinned", done.image)
    } else {
        format!("{} is not pinned any more", done.image)
    };
    if done.still_wanted.is_empty() {
        return first;
    }
    format!(
        "{first}; it is kept all the same, for {}",
        done.still_wanted.join(", ")
    )
}

/// Hands the server the same wish for each image, and says how each went. One that is refused stops none of the others.
pub(super) fn each(
    images: &ImagesArguments,
    path: &str,
    environment: &Environment,
    console: &mut Console<'_>,
    said: impl Fn(&Done) -> String,
) -> Exit {
    let server = images.server.server();
    let mut exit = Exit::Success;
    for image in &images.images {
        let image = image.clone();
        match wish::<Done>(
            &server,
            path,
            &Wish {
                image: image.clone(),
            },
            environment,
        ) {
            Ok(Told { text, .. }) if server.format == Format::Json => console.say(text.trim_end()),
            Ok(Told { page, .. }) => console.say(plain(&said(&page))),
            Err(why) => {
                console.complain(plain(&format!("error: {image}: {why}")));
                exit = Exit::Failure;
            }
        }
    }
    exit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_a_pin_back_hears_what_keeps_the_image_all_the_same() {
        let mut done = Done {
            image: "team/app:v1".to_owned(),
            was_pinned: Some(true),
            ..Done::default()
        };
        assert_eq!(unpinned(&done), "team/app:v1 is not pinned any more");
        done.still_wanted = vec!["warm.images".to_owned(), "edge.bootstrap".to_owned()];
        assert_eq!(
            unpinned(&done),
            "team/app:v1 is not pinned any more; it is kept all the same, for warm.images, edge.bootstrap"
        );
        done.was_pinned = Some(false);
        assert!(unpinned(&done).starts_with("team/app:v1 was not pinned;"));
    }
}
