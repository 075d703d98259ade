//! What a list of images says: a deployment manifest of IoT Edge, or a name on each line. Pure.

use cistern_deploy::images::ImagesOptions;
use cistern_deploy::{Document, Manifest, NamedManifest};

/// More images than this are no list for one site.
pub(super) const MOST_IMAGES: usize = 2_000;

/// The images that this text names, each once, in its order. `name` is told in no error: the caller knows it.
pub(super) fn images(name: &str, bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is no text".to_owned())?;
    let text = text.trim_start_matches('\u{feff}');
    let named = match text.trim_start().chars().next() {
        None => return Err("it is empty".to_owned()),
        Some('{') => of_manifest(name, text)?,
        Some(_) => of_lines(text)?,
    };
    let mut images: Vec<String> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for image in named {
        if seen.insert(image.clone()) {
            images.push(image);
        }
    }
    if images.len() > MOST_IMAGES {
        return Err(format!(
            "it names {} images, and more than {MOST_IMAGES} are not taken",
            images.len()
        ));
    }
    Ok(images)
}

/// Those that it names and those that it implies, as they are asked for here. What a template has not filled in yet is told as it is
/// written, and means nothing; what is never pulled is left out.
fn of_manifest(name: &str, text: &str) -> Result<Vec<String>, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let manifest = Manifest::read(&document).map_err(|error| error.to_string())?;
    let named = NamedManifest {
        file: name,
        manifest: &manifest,
    };
    let all = cistern_deploy::images::images(&[named], &ImagesOptions::default());
    let asked = all.into_iter().filter_map(|image| {
        let is_template = image.image.contains(['{', '<']);
        image
            .to_warm()
            .or_else(|| is_template.then_some(image.image))
    });
    Ok(asked.collect())
}

fn of_lines(text: &str) -> Result<Vec<String>, String> {
    let mut images = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        if line.contains(char::is_whitespace) || line.len() > 1024 {
            let shown: String = line.chars().take(60).collect();
            return Err(format!("line {} is no image: `{shown}`", number + 1));
        }
        images.push(line.to_owned());
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_list_has_a_name_on_each_line() {
        let text = b"# plant 7\n$upstream:443/app:1\n\n  team/app:2  # the second\nteam/app:2\n";
        assert_eq!(
            images("list", text).unwrap(),
            ["$upstream:443/app:1", "team/app:2"]
        );
        assert_eq!(images("list", b"# none any more\n").unwrap(), [""; 0]);
    }

    #[test]
    fn a_deployment_manifest_names_its_modules_images() {
        let text = br#"{"modulesContent": {"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1",
            "runtime": {"type": "docker", "settings": {}},
            "systemModules": {"edgeAgent": {"type": "docker", "settings": {"image": "mcr.microsoft.com/azureiotedge-agent:1.5"}}},
            "modules": {"app": {"type": "docker", "settings": {"image": "$upstream:443/team/app:1"}}}}}}}"#;
        let named = images("deployment.json", text).unwrap();
        for image in [
            "mcr.microsoft.com/azureiotedge-agent:1.5",
            "team/app:1",
            "azureiotedge-diagnostics:1.5",
        ] {
            assert!(named.iter().any(|named| named == image), "{named:?}");
        }
    }

    #[test]
    fn what_is_no_list_is_told_with_its_place() {
        for (text, part) in [
            (&b""[..], "empty"),
            (b"\xff\xfe", "no text"),
            (b"one two", "line 1"),
            (b"{\"a\": ", "line 1"),
        ] {
            let error = images("list", text).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
        let many: Vec<String> = (0..=MOST_IMAGES)
            .map(|number| format!("app:{number}"))
            .collect();
        let many = many.join("\n");
        assert!(
            images("list", many.as_bytes())
                .unwrap_err()
                .contains("2000")
        );
    }
}
