//! One large layer to one reader: what a byte costs.

use super::warm::{Warm, figure};
use crate::figures::{Figure, Goal};
use crate::options::Options;
use crate::upstream::Thing;

/// A 200 MiB blob, again and again over one connection.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let blob = Thing::blob(200 * 1024 * 1024, 2000);
    let path = blob.blob_path();
    let warm = Warm::with(options, &[(path.clone(), blob)]);
    let rounds = warm.load(options, &[path], 1);
    let what = "200 MiB blob, one stream";
    vec![
        figure(what, "server s/GB", Goal::AtMostTimesNginx(1.0), &rounds, 1),
        figure(what, "GB/s", Goal::None, &rounds, 0),
    ]
}
