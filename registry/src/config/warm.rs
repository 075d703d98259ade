//! `warm`: which images are fetched before anybody asks for them, when, and for which machines.

use std::path::PathBuf;
use std::time::Duration;

use cistern_oci::Platform;

use super::duration;
use super::reader::{Problem, Reader, Written, flag};
use super::time_window::{self, TimeWindow};

/// The section `warm`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warm {
    /// `warm.images`: images that are fetched ahead and kept.
    pub images: Vec<String>,
    /// `warm.manifests`: files with deployment manifests of IoT Edge, whose images are fetched ahead and kept.
    pub manifests: Vec<PathBuf>,
    /// `warm.artifact`: an artifact in the upstream that holds such manifests, or lists of images.
    pub artifact: Option<String>,
    /// `warm.platforms`: of a list of images only those for these machines.
    pub platforms: WarmPlatforms,
    /// `warm.every`: how often each image is looked after.
    pub every: Duration,
    /// `warm.windows`: when anything is fetched ahead; empty: always.
    pub windows: Vec<TimeWindow>,
    /// `warm.holdback`: a warmed tag moves only when everything below what it moves to is here.
    pub holdback: bool,
}

#[cfg(test)]
impl Default for Warm {
    fn default() -> Self {
        Self {
            images: Vec::new(),
            manifests: Vec::new(),
            artifact: None,
            platforms: WarmPlatforms::ThisMachine,
            every: Duration::from_hours(1),
            windows: Vec::new(),
            holdback: false,
        }
    }
}

/// For which machines images are fetched ahead.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WarmPlatforms {
    /// For machines such as this one.
    #[default]
    ThisMachine,
    /// For all that there are.
    All,
    /// For these.
    These(Vec<Platform>),
}

/// Every look costs a question for each image, and nobody waits for the answer.
const SHORTEST: Duration = Duration::from_secs(1);

const PLATFORMS: &str = "warm.platforms";
const WINDOWS: &str = "warm.windows";

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Warm> {
    let images = images(reader, "warm.images");
    let manifests: Vec<Written> = reader.list("warm.manifests");
    let artifact = reader.value("warm.artifact", tagged_image);
    let platforms = platforms(reader);
    let every = reader.value("warm.every", every);
    let windows: Vec<Written> = reader.list(WINDOWS);
    let windows = windows
        .iter()
        .filter_map(|written| reader.parse(WINDOWS, written, time_window::parse))
        .collect();
    let holdback = reader.value("warm.holdback", flag);
    Some(Warm {
        images,
        manifests: manifests
            .into_iter()
            .map(|written| PathBuf::from(written.text))
            .collect(),
        artifact,
        platforms,
        every: every?,
        windows,
        holdback: holdback?,
    })
}

/// The images of a list, each once. What they are called in full is not judged here: only that it can be a name at all.
pub(super) fn images(reader: &mut Reader<'_>, path: &str) -> Vec<String> {
    let written: Vec<Written> = reader.list(path);
    let mut images = Vec::new();
    for written in &written {
        if let Some(image) = reader.parse(path, written, image)
            && !images.contains(&image)
        {
            images.push(image);
        }
    }
    images
}

fn image(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.is_empty() || text.contains(char::is_whitespace) || text.contains("://") {
        return Err(Problem::new(
            format!("`{text}` is no image"),
            "write repository:tag, with a host or `$upstream:443` before it if you like, such as azureiotedge-agent:1.5",
        ));
    }
    Ok(text.to_owned())
}

fn tagged_image(text: &str) -> Result<String, Problem> {
    let text = image(text)?;
    let last = text.rsplit('/').next().unwrap_or_default();
    if last.contains(':') {
        return Ok(text);
    }
    Err(Problem::new(
        format!("`{text}` names no tag"),
        "write repository:tag, such as fleet/images:plant-7",
    ))
}

fn platforms(reader: &mut Reader<'_>) -> WarmPlatforms {
    let written: Vec<Written> = reader.list(PLATFORMS);
    if written.is_empty() {
        return WarmPlatforms::ThisMachine;
    }
    if written
        .iter()
        .any(|written| written.text.trim().eq_ignore_ascii_case("all"))
    {
        return WarmPlatforms::All;
    }
    let platforms = written
        .iter()
        .filter_map(|written| reader.parse(PLATFORMS, written, platform));
    WarmPlatforms::These(platforms.collect())
}

fn platform(text: &str) -> Result<Platform, Problem> {
    text.parse().map_err(|error: cistern_oci::NotAPlatform| {
        Problem::new(
            error.to_string(),
            "write linux/amd64, linux/arm64, linux/arm/v7 or all",
        )
    })
}

fn every(text: &str) -> Result<Duration, Problem> {
    match duration::parse(text)? {
        every if every < SHORTEST => Err(Problem::new(
            "images cannot be looked after all the time",
            "write 1s or more, such as 1h",
        )),
        every => Ok(every),
    }
}
