//! What the name of an image means here.

use cistern_deploy::image::ImageName;
use cistern_oci::{Digest, Reference, RepositoryName, Tag};

use crate::repositories::{Repositories, Repository};

/// What a name means.
#[derive(Clone)]
pub(super) enum Meaning {
    /// An image of this repository.
    Image(Repository, Reference),
    /// Nothing that could be fetched; why, in words for an operator.
    Nothing(String),
}

/// What tells one image from another, however it is written.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Key {
    /// A tag or digest of a repository in the store.
    Image(RepositoryName, Reference),
    /// A text that means nothing.
    Text(String),
}

impl Meaning {
    /// Reads a name as children, deployment manifests and people write it: `$upstream:443/x:1`, `{parent}:443/x:1`,
    /// `mcr.microsoft.com/x:1`, `x:1`. A digest beside a tag is what counts, as engines have it; without either it is `latest`.
    pub(super) fn of(repositories: &Repositories, text: &str) -> Self {
        match read(text) {
            Ok((host, name, reference)) => match repositories.of_image(host.as_deref(), &name) {
                Ok(repository) => Self::Image(repository, reference),
                Err(error) => Self::Nothing(error.to_string()),
            },
            Err(why) => Self::Nothing(format!("`{text}` is no image: {why}")),
        }
    }

    pub(super) fn key(&self, text: &str) -> Key {
        match self {
            Self::Image(repository, reference) => {
                Key::Image(repository.name().clone(), reference.clone())
            }
            Self::Nothing(_) => Key::Text(text.to_owned()),
        }
    }
}

fn read(text: &str) -> Result<(Option<String>, RepositoryName, Reference), String> {
    let text = text.trim();
    // As edgeAgent writes it in its own documentation.
    let plain = text.replacen("{parent}", "$upstream", 1);
    let name = ImageName::parse(&plain).map_err(|error| error.to_string())?;
    let repository = name
        .repository
        .parse()
        .map_err(|error| format!("{error}"))?;
    let reference = match (&name.digest, &name.tag) {
        (Some(digest), _) => {
            let digest: Digest = digest.parse().map_err(|error| format!("{error}"))?;
            Reference::Digest(digest)
        }
        (None, tag) => {
            let tag: Tag = tag
                .as_deref()
                .unwrap_or("latest")
                .parse()
                .map_err(|error| format!("{error}"))?;
            Reference::Tag(tag)
        }
    };
    Ok((
        name.host.map(|host| host.to_string()),
        repository,
        reference,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_children_and_manifests_write_them() {
        let written = |text: &str| {
            let (host, name, reference) = read(text).unwrap();
            format!("{} {name} {reference}", host.unwrap_or_default())
        };
        for (text, wanted) in [
            (
                "$upstream:443/azureiotedge-agent:1.5",
                "$upstream:443 azureiotedge-agent 1.5",
            ),
            ("{parent}:443/team/app:1", "$upstream:443 team/app 1"),
            (
                "mcr.microsoft.com/azureiotedge-hub:1.5",
                "mcr.microsoft.com azureiotedge-hub 1.5",
            ),
            ("team/app", " team/app latest"),
        ] {
            assert_eq!(written(text), wanted, "{text}");
        }
        let digest = format!("sha256:{}", "ab".repeat(32));
        let both = written(&format!("team/app:1@{digest}"));
        assert_eq!(both, format!(" team/app {digest}"));
        for text in [
            "",
            "Team/App:1",
            "app:",
            "https://host/app:1",
            "app@sha256:ab",
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
