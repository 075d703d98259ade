//! `cistern warm`: images are asked for now, and watched until they are here. The server fetches them; whoever stops watching stops
//! nothing.

mod shown;

use std::io::Read;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use cistern_deploy::{Document, Manifest};

use self::shown::Shown;
use super::admin_socket::{ask, plain, wish};
use super::arguments::{Format, RunningServer, WarmArguments};
use super::{Console, Environment, Exit};
use crate::http::admin::{Done, IMAGES_PATH, ImageLine, ImagesPage, WARM_PATH, WarmWish};

/// How often the server is asked how far it is.
const EVERY: Duration = Duration::from_millis(500);
/// The longest deployment manifest that is read, in bytes.
const LONGEST: u64 = 16 * 1024 * 1024;

pub(super) fn run(
    wanted: &WarmArguments,
    environment: &Environment,
    console: &mut Console<'_>,
) -> Exit {
    let images = match images(wanted) {
        Ok(images) => images,
        Err(why) => {
            console.complain(plain(&format!("error: {why}")));
            return Exit::Misuse;
        }
    };
    let watch = Watch {
        server: wanted.server.server(),
        environment,
    };
    // Whether there is a server at all is said once, not for each image.
    if let Err(why) = watch.page() {
        console.complain(plain(&format!("error: {why}")));
        return Exit::Failure;
    }
    let (asked, refused) = watch.ask_for(&images, &wanted.platform, console);
    let exit = if wanted.no_wait || asked.is_empty() {
        Exit::Success
    } else {
        watch.wait(asked, console)
    };
    if refused { Exit::Failure } else { exit }
}

/// What the command line and its manifests name, each once.
fn images(wanted: &WarmArguments) -> Result<Vec<String>, String> {
    let mut images = wanted.images.clone();
    for file in &wanted.manifest {
        let shown = file.display();
        let text = read(file).map_err(|error| format!("{shown} cannot be read: {error}"))?;
        images.extend(images_of(&text).map_err(|why| format!("{shown}: {why}"))?);
    }
    let mut seen = std::collections::HashSet::new();
    images.retain(|image| seen.insert(image.clone()));
    if images.is_empty() {
        return Err("no image is named: not even in a manifest".to_owned());
    }
    Ok(images)
}

/// The images of a deployment manifest that its edgeAgent would pull.
fn images_of(text: &str) -> Result<Vec<String>, String> {
    let document = Document::parse(text).map_err(|error| error.to_string())?;
    let manifest = Manifest::read(&document).map_err(|error| error.to_string())?;
    let is_pulled = |module: &&cistern_deploy::manifest::Module| {
        let policy = module.pull_policy.as_ref();
        policy.is_none_or(|policy| !policy.value.eq_ignore_ascii_case("never"))
    };
    let modules = manifest.modules.iter().filter(is_pulled);
    let images = modules.filter_map(|module| module.image.as_ref());
    let images = images.map(|image| image.value.trim().to_owned());
    Ok(images.filter(|image| !image.is_empty()).collect())
}

fn read(file: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().take(LONGEST).read_to_string(&mut text)?;
        return Ok(text);
    }
    #[expect(
        clippy::disallowed_methods,
        reason = "a file of the operator, not of the store"
    )]
    let opened = std::fs::File::open(file)?;
    opened.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// An image that was asked for.
struct Asked {
    /// As the operator wrote it.
    image: String,
    /// As the server keeps it.
    repository: Option<String>,
    reference: Option<String>,
}

impl Asked {
    fn is(&self, line: &ImageLine) -> bool {
        let is_same_text = line.image == self.image;
        let is_same_image = self.repository.is_some()
            && (&line.repository, &line.reference) == (&self.repository, &self.reference);
        line.named && (is_same_text || is_same_image)
    }
}

/// How an image that is watched is doing.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is all here.
    Ready,
    /// It is not, and the last try failed.
    Failed(String),
    /// It is on its way.
    Going,
}

impl Step {
    fn of(line: &ImageLine) -> Self {
        let why = || {
            line.trouble
                .clone()
                .unwrap_or_else(|| format!("it is {}", line.state))
        };
        match line.state.as_str() {
            "ready" | "held-back" => Self::Ready,
            "failed" | "not-mirrored" => Self::Failed(why()),
            _ => Self::Going,
        }
    }
}

struct Watch<'a> {
    server: RunningServer,
    environment: &'a Environment,
}

impl Watch<'_> {
    fn page(&self) -> Result<ImagesPage, String> {
        let told = ask::<ImagesPage>(
            &self.server,
            &format!("{IMAGES_PATH}?n=0"),
            self.environment,
        );
        Ok(told?.page)
    }

    /// Asks for all of them. What was granted comes back, and whether anything was refused.
    fn ask_for(
        &self,
        images: &[String],
        platforms: &[String],
        console: &mut Console<'_>,
    ) -> (Vec<Asked>, bool) {
        let (mut asked, mut refused) = (Vec::new(), false);
        for image in images {
            let wanted = WarmWish {
                image: image.clone(),
                platforms: (!platforms.is_empty()).then(|| platforms.to_vec()),
            };
            match wish::<Done>(&self.server, WARM_PATH, &wanted, self.environment) {
                Ok(told) => {
                    if self.server.format == Format::Json {
                        console.say(told.text.trim_end());
                    } else {
                        console.say(plain(&format!("{image} is asked for")));
                    }
                    asked.push(Asked {
                        image: image.clone(),
                        repository: told.page.repository,
                        reference: told.page.reference,
                    });
                }
                Err(why) => {
                    console.complain(plain(&format!("error: {image}: {why}")));
                    refused = true;
                }
            }
        }
        (asked, refused)
    }

    fn wait(&self, asked: Vec<Asked>, console: &mut Console<'_>) -> Exit {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                console.complain(format!("error: the wait could not begin: {error}"));
                return Exit::Failure;
            }
        };
        runtime.block_on(self.until_all_are_here(asked, console))
    }

    async fn until_all_are_here(&self, asked: Vec<Asked>, console: &mut Console<'_>) -> Exit {
        let mut shown = Shown::new(self.server.format == Format::Json);
        let (mut left, mut exit) = (asked, Exit::Success);
        let mut stopped = pin!(tokio::signal::ctrl_c());
        loop {
            let page = match self.page() {
                Ok(page) => page,
                Err(why) => {
                    shown.clear();
                    console.complain(plain(&format!(
                        "error: the server cannot be asked any more: {why}"
                    )));
                    return Exit::Failure;
                }
            };
            let mut going = Vec::new();
            for asked in left {
                let line = page.images.iter().find(|line| asked.is(line));
                match line.map(Step::of) {
                    Some(Step::Ready) => shown.ready(&asked.image, line, console),
                    Some(Step::Going) => {
                        shown.going(&asked.image, line, console);
                        going.push(asked);
                    }
                    Some(Step::Failed(why)) => {
                        exit = Exit::Failure;
                        shown.failed(&asked.image, &why, console);
                    }
                    None => {
                        exit = Exit::Failure;
                        shown.failed(
                            &asked.image,
                            "the server does not know of it any more",
                            console,
                        );
                    }
                }
            }
            left = going;
            if left.is_empty() {
                shown.clear();
                return exit;
            }
            tokio::select! {
                _ = &mut stopped => {
                    shown.clear();
                    console.complain("stopped watching; the server goes on fetching (see `cistern images`)");
                    return Exit::Failure;
                }
                () = tokio::time::sleep(EVERY) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"{"modulesContent": {"$edgeAgent": {"properties.desired": {"schemaVersion": "1.1",
        "systemModules": {"edgeAgent": {"type": "docker", "settings": {"image": "$upstream:443/azureiotedge-agent:1.5"}},
            "edgeHub": {"type": "docker", "settings": {"image": " mcr.example/azureiotedge-hub:1.5 "}}},
        "modules": {"registry": {"type": "docker", "imagePullPolicy": "never", "settings": {"image": "cistern:1"}},
            "again": {"type": "docker", "settings": {"image": "$upstream:443/azureiotedge-agent:1.5"}}}}}}}"#;

    #[test]
    fn a_deployment_manifest_names_what_its_agent_would_pull() {
        let mut images = images_of(MANIFEST).unwrap();
        images.sort();
        images.dedup();
        assert_eq!(
            images,
            [
                "$upstream:443/azureiotedge-agent:1.5",
                "mcr.example/azureiotedge-hub:1.5"
            ]
        );
        let error = images_of("{\n \"a\": }").unwrap_err();
        assert!(error.starts_with("line 2"), "{error}");
        assert!(images_of("{}").is_err());
    }

    #[test]
    fn an_image_is_recognised_by_what_it_is_whatever_it_was_called_first() {
        let asked = Asked {
            image: "team/app:v1".to_owned(),
            repository: Some("team/app".to_owned()),
            reference: Some("v1".to_owned()),
        };
        let mut line = ImageLine {
            image: "$upstream:443/team/app:v1".to_owned(),
            named: true,
            repository: Some("team/app".to_owned()),
            reference: Some("v1".to_owned()),
            ..ImageLine::default()
        };
        assert!(asked.is(&line));
        line.named = false;
        assert!(!asked.is(&line));
        line.named = true;
        line.reference = Some("v2".to_owned());
        assert!(!asked.is(&line));
    }

    #[test]
    fn an_image_that_failed_says_why() {
        let line = |state: &str, trouble: Option<&str>| ImageLine {
            state: state.to_owned(),
            trouble: trouble.map(str::to_owned),
            ..ImageLine::default()
        };
        assert_eq!(Step::of(&line("ready", Some("x"))), Step::Ready);
        assert_eq!(Step::of(&line("fetching", Some("x"))), Step::Going);
        assert_eq!(
            Step::of(&line("failed", Some("x"))),
            Step::Failed("x".to_owned())
        );
        let unknown = Step::of(&line("not-mirrored", None));
        assert_eq!(unknown, Step::Failed("it is not-mirrored".to_owned()));
    }
}
