//! One large layer to one reader: what a byte costs.

use super::warm::{Warm, figure};
use crate::figures::{Figure, Goal};
use crate::options::Options;
use crate::placement::Placement;
use crate::upstream::Thing;

/// A 200 MiB blob, again and again over one connection, with server and reader where the kernel puts them and in the two places that
/// are the same for every server.
pub(crate) fn run(options: &Options) -> Vec<Figure> {
    let blob = Thing::blob(200 * 1024 * 1024, 2000);
    let path = blob.blob_path();
    let warm = Warm::with(options, &[(path.clone(), blob)]);
    let places = [
        (Placement::OneCore, "server and reader on one core"),
        (Placement::TwoCores, "server on one core, reader on another"),
        (Placement::Free, "wherever the kernel puts them"),
    ];
    let measure = |(placement, place): (Placement, &str)| {
        let rounds = warm.load(options, std::slice::from_ref(&path), 1, placement);
        let what = format!("200 MiB blob, one stream, {place}");
        [
            figure(
                what.as_str(),
                "server s/GB",
                Goal::AtMostTimesNginx(1.0),
                &rounds,
                1,
            ),
            figure(what, "GB/s", Goal::None, &rounds, 0),
        ]
    };
    places.into_iter().flat_map(measure).collect()
}
