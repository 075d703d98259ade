//! A device that pulls over HTTPS as the daemons do: manifests by tag and by digest, then config and layers, three at a time.

use serde_json::Value;

use super::namespace::Namespace;
use crate::caller::{Answered, Call, get};
use crate::images::{
    DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, sha256, this_architecture,
};

/// As many layers as docker pulls at once.
const AT_ONCE: usize = 3;

/// The device.
#[derive(Clone, Debug)]
pub struct Puller {
    namespace: Namespace,
    host: String,
    bundle: String,
}

impl Puller {
    pub(super) fn new(namespace: &Namespace, host: &str, bundle: &str) -> Self {
        Self {
            namespace: namespace.clone(),
            host: host.to_owned(),
            bundle: bundle.to_owned(),
        }
    }

    /// Makes a call of its own to its parent.
    pub async fn call(&self, call: Call) -> Answered {
        let call = call.from(&self.namespace).trusting(&self.bundle);
        call.send(&self.host).await
    }

    /// Pulls `repository:tag` for this machine's platform. Says how many bytes the config and the layers have.
    ///
    /// # Errors
    /// What was asked for, and what came instead.
    pub async fn pull(&self, image: &str) -> Result<usize, String> {
        let (repository, tag) = image.split_once(':').ok_or("no tag")?;
        let mut manifest = self.manifest(repository, tag).await?;
        if let Some(children) = manifest["manifests"].as_array() {
            let ours = |child: &&Value| child["platform"]["architecture"] == this_architecture();
            let child = children.iter().find(ours).ok_or("no such platform")?;
            let digest = child["digest"].as_str().ok_or("no digest")?;
            manifest = self.manifest(repository, digest).await?;
        }
        let layers: Vec<_> = manifest["layers"]
            .as_array()
            .ok_or("no layers")?
            .iter()
            .map(digest_of)
            .collect();
        let mut bytes = self
            .blob(repository, digest_of(&manifest["config"]))
            .await?;
        for some in layers.chunks(AT_ONCE) {
            let mut tasks = tokio::task::JoinSet::new();
            for layer in some {
                let device = (self.clone(), repository.to_owned(), layer.clone());
                tasks.spawn(async move { device.0.blob(&device.1, device.2).await });
            }
            while let Some(pulled) = tasks.join_next().await {
                bytes += pulled.map_err(|error| error.to_string())??;
            }
        }
        Ok(bytes)
    }

    async fn manifest(&self, repository: &str, reference: &str) -> Result<Value, String> {
        let accepted = [OCI_INDEX, DOCKER_LIST, OCI_MANIFEST, DOCKER_MANIFEST].join(", ");
        let path = format!("/v2/{repository}/manifests/{reference}");
        let answer = self.call(get(&path).header("Accept", &accepted)).await;
        let digest = answer.header("docker-content-digest").unwrap_or_default();
        let by_digest = reference.contains(':').then_some(reference);
        let expected = by_digest.unwrap_or(digest).to_owned();
        checked(&path, &answer, &expected)?;
        serde_json::from_slice(&answer.body).map_err(|error| error.to_string())
    }

    async fn blob(&self, repository: &str, digest: String) -> Result<usize, String> {
        let path = format!("/v2/{repository}/blobs/{digest}");
        let answer = self.call(get(&path)).await;
        checked(&path, &answer, &digest)?;
        Ok(answer.body.len())
    }
}

fn digest_of(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap_or_default().to_owned()
}

fn checked(path: &str, answer: &Answered, digest: &str) -> Result<(), String> {
    if answer.status == 200 && answer.is_complete() && sha256(&answer.body) == digest {
        return Ok(());
    }
    let text: String = answer.text().chars().take(300).collect();
    let (status, length) = (answer.status, answer.body.len());
    Err(format!(
        "{path}: {status}, {:?} after {length} bytes: {text}",
        answer.ended
    ))
}
