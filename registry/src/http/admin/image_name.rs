//! The name of an image as people and children write it: `parent:443/azureiotedge-agent:1.5`, `repo:tag`, `repo@sha256:…`.
//! Knows nothing of what is mirrored.

use std::str::FromStr;

use cistern_oci::{Digest, Reference, RepositoryName, Tag};

/// What an image's name says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ImageName {
    /// The registry it names, if it names one: as the container engines have it, a first part with a dot, a colon or a dollar
    /// sign, or `localhost`.
    pub(super) host: Option<String>,
    pub(super) repository: RepositoryName,
    /// The digest if there is one, which is what engines ask for; else the tag, `latest` where there is none.
    pub(super) reference: Reference,
}

impl FromStr for ImageName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("`{text}` is no image: {why}");
        let text_of_image = text.trim().trim_start_matches("docker://");
        let text_of_image = text_of_image.trim_start_matches("https://");
        let (name, digest) = match text_of_image.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text_of_image, None),
        };
        let (host, path) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (Some(first.to_owned()), rest),
            _ => (None, name),
        };
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        let digest: Option<Digest> = digest
            .map(|digest| digest.parse().map_err(|error| wrong(format!("{error}"))))
            .transpose()?;
        let tag: Tag = tag
            .unwrap_or("latest")
            .parse()
            .map_err(|error| wrong(format!("{error}")))?;
        Ok(Self {
            host,
            repository: repository
                .parse()
                .map_err(|error| wrong(format!("{error}")))?,
            reference: digest.map_or(Reference::Tag(tag), Reference::Digest),
        })
    }
}

fn is_host(first: &str) -> bool {
    first.contains(['.', ':', '$']) || first == "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Option<String>, String, String) {
        let name: ImageName = text.parse().unwrap();
        (
            name.host,
            name.repository.to_string(),
            name.reference.to_string(),
        )
    }

    #[test]
    fn an_image_is_found_in_whatever_a_child_writes() {
        let host = |host: &str| Some(host.to_owned());
        for (text, wanted) in [
            (
                "parent:443/azureiotedge-agent:1.5",
                (host("parent:443"), "azureiotedge-agent", "1.5"),
            ),
            (
                "$upstream:443/team/app:v1",
                (host("$upstream:443"), "team/app", "v1"),
            ),
            (
                "mcr.example/azureiotedge-hub",
                (host("mcr.example"), "azureiotedge-hub", "latest"),
            ),
            ("localhost/app:v1", (host("localhost"), "app", "v1")),
            ("team/app", (None, "team/app", "latest")),
            ("team/app:v1", (None, "team/app", "v1")),
            (
                "docker://quay.example/team/app:v1",
                (host("quay.example"), "team/app", "v1"),
            ),
        ] {
            let (host, repository, reference) = wanted;
            assert_eq!(
                read(text),
                (host, repository.to_owned(), reference.to_owned()),
                "{text}"
            );
        }
    }

    #[test]
    fn of_a_tag_and_a_digest_the_digest_counts() {
        let digest = format!("sha256:{}", "ab".repeat(32));
        let wanted = (None, "team/app".to_owned(), digest.clone());
        assert_eq!(read(&format!("team/app@{digest}")), wanted);
        assert_eq!(read(&format!("team/app:v1@{digest}")), wanted);
    }

    #[test]
    fn what_is_no_image_says_why() {
        for text in [
            "",
            "Team/App",
            "team/app:",
            "team/app@sha256:12",
            "http://host/app",
        ] {
            let error = text.parse::<ImageName>().unwrap_err();
            assert!(error.contains("is no image"), "{error}");
        }
    }
}
