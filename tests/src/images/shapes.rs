//! Shapes beyond one plain image: several platforms, indexes of indexes, absent children, artifacts, odd JSON.

use std::fmt::Write as _;

use bytes::Bytes;
use serde_json::{Value, json};

use super::{Algorithm, Image, ImageBuilder, Item, OCI_INDEX, OCI_MANIFEST, image};

/// An index (or Docker's list) over the images, with their platforms.
///
/// # Panics
/// Without any image.
pub fn index(children: &[ImageBuilder]) -> Image {
    let first = children.first().expect("an index over at least one image");
    let mut whole = Image {
        manifests: Vec::new(),
        blobs: Vec::new(),
    };
    let mut descriptors = Vec::new();
    for child in children {
        let built = child.build();
        let mut descriptor = built.top().descriptor();
        descriptor["platform"] = child.platform_json();
        descriptors.push(descriptor);
        whole.manifests.extend(built.manifests);
        whole.blobs.extend(built.blobs);
    }
    whole.manifests.push(index_item(
        first.used_algorithm(),
        first.index_type(),
        &descriptors,
    ));
    whole
}

fn index_item(algorithm: Algorithm, media_type: &str, descriptors: &[Value]) -> Item {
    let body = json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": descriptors });
    Item::with(algorithm, media_type, body.to_string())
}

/// An index over an index over one image.
pub fn nested_index(child: &ImageBuilder) -> Image {
    let mut whole = index(std::slice::from_ref(child));
    let outer = index_item(Algorithm::Sha256, OCI_INDEX, &[whole.top().descriptor()]);
    whole.manifests.push(outer);
    whole
}

/// An index that names `present` and two further children that exist nowhere.
pub fn sparse_index(present: &ImageBuilder) -> Image {
    let mut whole = present.build();
    let mut here = whole.top().descriptor();
    here["platform"] = present.platform_json();
    let absent = |architecture: &str| {
        let child = image()
            .platform(architecture, None)
            .created("1999-01-01T00:00:00Z");
        let mut descriptor = child.build().top().descriptor();
        descriptor["platform"] = child.platform_json();
        descriptor
    };
    whole.manifests.push(index_item(
        Algorithm::Sha256,
        OCI_INDEX,
        &[here, absent("s390x"), absent("ppc64le")],
    ));
    whole
}

fn empty_config() -> Item {
    Item::new("application/vnd.oci.empty.v1+json", "{}")
}

/// An artifact: a manifest with an `artifactType`, an empty config and one blob.
pub fn artifact(artifact_type: &str, content: impl Into<Bytes>) -> Image {
    artifact_with(artifact_type, content.into(), None)
}

/// An artifact about `subject`: its manifest names it.
pub fn referring_artifact(artifact_type: &str, content: impl Into<Bytes>, subject: &Item) -> Image {
    artifact_with(artifact_type, content.into(), Some(subject))
}

fn artifact_with(artifact_type: &str, content: Bytes, subject: Option<&Item>) -> Image {
    let (config, blob) = (empty_config(), Item::new("text/plain", content));
    let mut manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": config.descriptor(),
        "layers": [blob.descriptor()],
        "annotations": { "org.example.note": "made by a test" },
    });
    if let Some(subject) = subject {
        manifest["subject"] = subject.descriptor();
    }
    Image {
        manifests: vec![Item::new(OCI_MANIFEST, manifest.to_string())],
        blobs: vec![config, blob],
    }
}

/// The image with its top manifest replaced by other bytes of the same meaning.
pub fn flat_json(image: &Image, media_type: &str, text: String) -> Image {
    let mut changed = image.clone();
    changed.manifests.pop();
    changed.manifests.push(Item::new(media_type, text));
    changed
}

/// The image in JSON that any rewriting would change: odd white space, unknown fields, no `mediaType`, escapes and a
/// number that no float holds, a line end at the end.
pub fn odd_json(image: &Image) -> Image {
    let mut manifest: Value = serde_json::from_slice(&image.top().bytes).unwrap();
    manifest.as_object_mut().unwrap().remove("mediaType");
    let members = manifest.as_object().unwrap();
    let mut text = String::from(
        "\n{\t\"x-unknown\" : { \"z\":1, \"a\" : [ null , 12345678901234567890123 , \"\\u00e9\\/\" ] } ,\r\n",
    );
    for (name, value) in members {
        let value = serde_json::to_string_pretty(value).unwrap();
        writeln!(text, "   \"{name}\"  :   {value}  ,").unwrap();
    }
    text.push_str(" \"x-last\" : { } }\n\n");
    flat_json(image, &image.top().media_type, text)
}
