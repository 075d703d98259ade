//! `edge`: what the devices below need to start at all, and so must be here before anything else.

use super::reader::{Reader, flag};
use super::warm;

/// The section `edge`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edge {
    /// `edge.bootstrap`: images that are fetched first, whatever the time, and kept.
    pub bootstrap: Vec<String>,
    /// `edge.requirebootstrap`: `/readyz` says no until all of them are here.
    pub require_bootstrap: bool,
}

const BOOTSTRAP: &str = "edge.bootstrap";
const REQUIRE: &str = "edge.requirebootstrap";

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Edge> {
    let bootstrap = warm::images(reader, BOOTSTRAP);
    let require_bootstrap = reader.value(REQUIRE, flag)?;
    if let (true, true, Some(place)) = (
        require_bootstrap,
        bootstrap.is_empty(),
        reader.place_of(REQUIRE),
    ) {
        let what = "it has no effect: no image is named";
        reader.warn(place, REQUIRE, what, "name the images in edge.bootstrap");
    }
    Some(Edge {
        bootstrap,
        require_bootstrap,
    })
}
