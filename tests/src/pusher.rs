//! A client that pushes, by plain HTTP as the specification has it: for content that no real program makes, and to see every answer.

use crate::caller::{Answered, Call, call};
use crate::images::{Image, Item};

/// Who pushes, and where.
#[derive(Clone, Debug)]
pub struct Pusher {
    host: String,
    login: Option<(String, String)>,
}

impl Pusher {
    /// To the registry at `address:port`, as nobody.
    pub fn to(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            login: None,
        }
    }

    /// The same with a name and a password.
    #[must_use]
    pub fn login(mut self, user: &str, password: &str) -> Self {
        self.login = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// `address:port` of the registry.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// A request of this client, with its credentials.
    pub fn call(&self, method: &str, target: &str) -> Call {
        let call = call(method, target);
        match &self.login {
            Some((user, password)) => call.basic(user, password),
            None => call,
        }
    }

    /// Sends one without a body.
    pub async fn ask(&self, method: &str, target: &str) -> Answered {
        self.call(method, target).send(&self.host).await
    }

    /// Begins an upload. The answer's [`location`] says where it goes on.
    pub async fn begin(&self, repository: &str) -> Answered {
        let target = format!("/v2/{repository}/blobs/uploads/");
        self.call("POST", &target).body("").send(&self.host).await
    }

    /// Pushes a blob: begins, and sends all of it with its digest. The last answer that came.
    pub async fn blob(&self, repository: &str, blob: &Item) -> Answered {
        let begun = self.begin(repository).await;
        if begun.status != 202 {
            return begun;
        }
        let target = with_query(&location(&begun), "digest", &blob.digest);
        let call = self.call("PUT", &target).body(blob.bytes.clone());
        call.header("Content-Type", "application/octet-stream")
            .send(&self.host)
            .await
    }

    /// Pushes a manifest under a tag or its digest.
    pub async fn manifest(&self, repository: &str, reference: &str, manifest: &Item) -> Answered {
        let target = format!("/v2/{repository}/manifests/{reference}");
        let call = self.call("PUT", &target).body(manifest.bytes.clone());
        call.header("Content-Type", &manifest.media_type)
            .send(&self.host)
            .await
    }

    /// Pushes all of an image, and gives it these tags.
    ///
    /// # Panics
    /// When anything of it is refused.
    pub async fn image(&self, image: &Image, repository: &str, tags: &[&str]) {
        for blob in &image.blobs {
            let answer = self.blob(repository, blob).await;
            assert_eq!(answer.status, 201, "{}: {}", blob.digest, answer.text());
        }
        for manifest in &image.manifests {
            let answer = self.manifest(repository, &manifest.digest, manifest).await;
            assert_eq!(answer.status, 201, "{}: {}", manifest.digest, answer.text());
        }
        for tag in tags {
            let answer = self.manifest(repository, tag, image.top()).await;
            assert_eq!(answer.status, 201, "{tag}: {}", answer.text());
        }
    }
}

/// Where an answer says that it goes on, from the path on.
///
/// # Panics
/// When it does not say so.
pub fn location(answer: &Answered) -> String {
    let location = answer
        .header("Location")
        .unwrap_or_else(|| panic!("{} without Location", answer.status));
    match location.split_once("://") {
        Some((_, rest)) => {
            let path = rest.find('/').map_or("/", |start| &rest[start..]);
            path.to_owned()
        }
        None => location.to_owned(),
    }
}

/// The target with one more member in its query.
pub fn with_query(target: &str, name: &str, value: &str) -> String {
    let mark = if target.contains('?') { '&' } else { '?' };
    format!("{target}{mark}{name}={value}")
}
