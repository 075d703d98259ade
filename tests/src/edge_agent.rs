//! A stand-in for edgeAgent with aziot-edged: how an IoT Edge device pulls images, and when it loses patience.
//!
//! What it knows of them: a module is updated by two pulls, the first (`prepareupdate`) while the old container runs, the second after that has
//! been removed; dockerd is asked by `POST /images/create`; its head must come within a minute; a whole pull may take five minutes, then the
//! connection is closed, upon which dockerd gives the pull up; an answer of 500 or more is tried again three times at once, everything else is left
//! to the plan, which waits 10 · 2ⁿ seconds after the nth failure. All of these times are divided by one factor.

use std::time::Duration;

use serde_json::Value;

use crate::caller::{Opened, call};
use crate::clients::Docker;

/// How long the device waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    head: Duration,
    pull: Duration,
    unit: Duration,
}

impl Patience {
    /// The real device's times, so many times faster.
    pub fn times_faster(factor: u32) -> Self {
        Self {
            head: Duration::from_secs(60) / factor,
            pull: Duration::from_secs(300) / factor,
            unit: Duration::from_secs(10) / factor,
        }
    }

    /// How long a whole pull may take.
    pub fn pull(&self) -> Duration {
        self.pull
    }
}

/// Why a pull failed, as the device tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// dockerd had not answered in time.
    NoHead,
    /// It had not all come in time, and was cancelled.
    TooSlow,
    /// dockerd said no, with a status and a message.
    Refused(u16, String),
    /// It broke off in the middle: dockerd says why.
    Broke(String),
}

/// A device. Needs what [`Docker`] needs.
#[derive(Debug)]
pub struct EdgeAgent<'a> {
    docker: &'a Docker,
    patience: Patience,
}

/// The wait before a quick retry, in seconds of the real device.
const QUICK: u32 = 2;
/// How often an answer of 500 or more is tried again at once.
const QUICK_RETRIES: u32 = 3;

impl<'a> EdgeAgent<'a> {
    /// The device of this dockerd.
    pub fn new(docker: &'a Docker, patience: Patience) -> Self {
        Self { docker, patience }
    }

    /// One pull, as one call to dockerd.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn pull(&self, image: &str) -> Result<(), Trouble> {
        match tokio::time::timeout(self.patience.pull, self.pull_patiently(image)).await {
            Ok(pulled) => pulled,
            // The connection is dropped with the future, and dockerd gives up.
            Err(_) => Err(Trouble::TooSlow),
        }
    }

    async fn pull_patiently(&self, image: &str) -> Result<(), Trouble> {
        let target =
            format!("/images/create?fromImage={image}&fromSrc=&repo=&tag=&message=&platform=");
        let asked = call("POST", &target)
            .header("X-Registry-Auth", "")
            .body("")
            .patience(self.patience.pull)
            .through(&self.docker.socket());
        let head = tokio::time::timeout(self.patience.head, asked.open("docker")).await;
        let opened = head.map_err(|_| Trouble::NoHead)?;
        let opened = opened.map_err(|ended| Trouble::Broke(format!("{ended:?}")))?;
        let status = opened.status;
        let lines = lines_of(opened).await?;
        if status != 200 {
            let message = |line: &Value| line["message"].as_str().map(str::to_owned);
            let message = lines.last().and_then(message).unwrap_or_default();
            return Err(Trouble::Refused(status, message));
        }
        match lines.last().map(|line| &line["errorDetail"]["message"]) {
            Some(Value::String(why)) => Err(Trouble::Broke(why.clone())),
            _ => Ok(()),
        }
    }

    /// One call of edgeAgent: what dockerd has no fault in is tried again at once.
    async fn pull_with_quick_retries(&self, image: &str, troubles: &mut Vec<Trouble>) -> bool {
        for retry in 0..=QUICK_RETRIES {
            let Err(trouble) = self.pull(image).await else {
                return true;
            };
            let is_quick = match &trouble {
                Trouble::Refused(status, _) => *status >= 500,
                Trouble::Broke(_) => true,
                Trouble::NoHead | Trouble::TooSlow => false,
            };
            troubles.push(trouble);
            if !is_quick || retry == QUICK_RETRIES {
                break;
            }
            tokio::time::sleep(self.patience.unit * QUICK * 2_u32.pow(retry) / 10).await;
        }
        false
    }

    /// The first pull of an update, as often as the plan allows. What went wrong before it went well.
    ///
    /// # Errors
    /// What went wrong, when the plan was tried so often in vain.
    pub async fn prepare(&self, image: &str, plans: u32) -> Result<Vec<Trouble>, Vec<Trouble>> {
        let mut troubles = Vec::new();
        for failures in 1..=plans {
            if self.pull_with_quick_retries(image, &mut troubles).await {
                return Ok(troubles);
            }
            if failures < plans {
                tokio::time::sleep(self.patience.unit * 2_u32.pow(failures)).await;
            }
        }
        Err(troubles)
    }

    /// The rest of an update: the old container is stopped and removed, the image is pulled again, the new container is made and started.
    /// `once_removed` happens after the removal.
    ///
    /// # Errors
    /// Why the second pull failed. There is no container then.
    pub async fn replace(
        &self,
        module: &str,
        image: &str,
        once_removed: impl FnOnce(),
    ) -> Result<(), Trouble> {
        self.docker.run(&["rm", "--force", module]).await;
        once_removed();
        self.pull(image).await?;
        self.start(module, image).await;
        Ok(())
    }

    /// Makes and starts a container of an image that is here, without asking anybody.
    ///
    /// # Panics
    /// When dockerd cannot.
    pub async fn start(&self, module: &str, image: &str) {
        let words = [
            "create",
            "--pull=never",
            "--network=none",
            "--name",
            module,
            image,
        ];
        self.docker.run(&words).await.well();
        self.docker.run(&["start", module]).await.well();
    }

    /// The image of the module's container, if there is one.
    pub async fn image_of(&self, module: &str) -> Option<String> {
        let format = "--format={{.Config.Image}}";
        let found = self
            .docker
            .run(&["container", "inspect", format, module])
            .await;
        found.success.then(|| found.output.trim().to_owned())
    }
}

/// The JSON objects of an answer, one a line.
async fn lines_of(opened: Opened) -> Result<Vec<Value>, Trouble> {
    let answer = opened.finish().await;
    if !answer.is_complete() {
        return Err(Trouble::Broke(format!("{:?}", answer.ended)));
    }
    let lines = serde_json::Deserializer::from_slice(&answer.body).into_iter();
    lines
        .collect::<Result<_, _>>()
        .map_err(|error| Trouble::Broke(error.to_string()))
}
