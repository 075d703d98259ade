//! Blobs of the usual small layer's size, many readers at once.

use super::warm::{Warm, figure};
use crate::figures::{Figure, Goal};
use crate::options::Options;
use crate::placement::Placement;
use crate::upstream::Thing;

/// How many different ones are read in turn.
const DIFFERENT: u64 = 32;

/// 1 MiB blobs over 16 connections.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let things: Vec<_> = (0..DIFFERENT)
        .map(|number| Thing::blob(1024 * 1024, 1000 + number))
        .map(|blob| (blob.blob_path(), blob))
        .collect();
    let paths: Vec<_> = things.iter().map(|(path, _)| path.clone()).collect();
    let warm = Warm::with(options, &things);
    let rounds = warm.load(options, &paths, 16, Placement::Free);
    let what = "1 MiB blobs, 16 connections";
    vec![
        figure(what, "GB/s", Goal::AtLeastTimesNginx(0.8), &rounds, 0),
        figure(what, "server s/GB", Goal::None, &rounds, 1),
    ]
}
