//! A stand-in for IoT Edge's workload API: a Unix socket that issues certificates for servers and gives the trust bundle, and
//! fails, hangs and talks nonsense on command.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::AbortHandle;

use crate::certificates::{Authority, EdgeCa, Lifetime};

/// The module that it answers.
pub const MODULE: &str = "registry $1";
/// The module's generation.
pub const GENERATION: &str = "637000000000000000";

/// The workload API of one device. It goes away when dropped.
#[derive(Debug)]
pub struct WorkloadApi {
    socket: PathBuf,
    state: Arc<State>,
    listening: Option<AbortHandle>,
}

/// What it does instead of answering well.
#[derive(Clone, Debug, Default)]
pub enum Mood {
    /// Nothing: it answers well.
    #[default]
    Well,
    /// It refuses with this status and message.
    Refuses(u16, String),
    /// It takes the question and says nothing.
    Silent,
    /// It answers 200 or 201 with this body.
    Says(Vec<u8>),
    /// It writes these bytes and nothing else.
    Writes(Vec<u8>),
}

struct State {
    edge_ca: Mutex<EdgeCa>,
    now: Mutex<Now>,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Now {
    mood: Mood,
    life: Option<Duration>,
    bundle: Option<String>,
    calls: Vec<String>,
}

impl WorkloadApi {
    /// Listens on `workload.sock` in this folder, for a device of this authority.
    pub fn start(folder: &Path, authority: &Authority) -> Self {
        let mut api = Self::away(folder, authority);
        api.appear();
        api
    }

    /// The same, but nobody listens yet.
    pub fn away(folder: &Path, authority: &Authority) -> Self {
        Self {
            socket: folder.join("workload.sock"),
            state: Arc::new(State {
                edge_ca: Mutex::new(authority.edge_ca("gateway")),
                now: Mutex::new(Now {
                    bundle: Some(authority.bundle()),
                    ..Now::default()
                }),
            }),
            listening: None,
        }
    }

    /// Begins to listen.
    pub fn appear(&mut self) {
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).unwrap();
        let state = Arc::clone(&self.state);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&state)));
            }
        });
        self.listening = Some(task.abort_handle());
    }

    /// What it does from now on.
    pub fn set_mood(&self, mood: Mood) {
        self.state.now.lock().mood = mood;
    }

    /// How long certificates hold from now on; 30 days at first.
    pub fn issue_for(&self, life: Duration) {
        self.state.now.lock().life = Some(life);
    }

    /// Certificates come from a device of this authority from now on, as after a renewal of the edge CA.
    pub fn move_to(&self, authority: &Authority) {
        *self.state.edge_ca.lock() = authority.edge_ca("gateway");
    }

    /// The trust bundle from now on; `None` is 404.
    pub fn set_bundle(&self, bundle: Option<String>) {
        self.state.now.lock().bundle = bundle;
    }

    /// How often a path that contains this was asked for.
    pub fn calls(&self, part: &str) -> usize {
        let now = self.state.now.lock();
        now.calls.iter().filter(|call| call.contains(part)).count()
    }

    /// The request lines so far.
    pub fn all_calls(&self) -> Vec<String> {
        self.state.now.lock().calls.clone()
    }

    /// The variables of a module of this device, which is known to its children by this name.
    pub fn environment(&self, gateway: &str) -> Vec<(&'static str, String)> {
        let socket = format!("unix://{}", self.socket.display());
        vec![
            ("IOTEDGE_WORKLOADURI", socket),
            ("IOTEDGE_MODULEID", MODULE.to_owned()),
            ("IOTEDGE_MODULEGENERATIONID", GENERATION.to_owned()),
            ("IOTEDGE_APIVERSION", "2022-08-03".to_owned()),
            ("IOTEDGE_GATEWAYHOSTNAME", gateway.to_owned()),
        ]
    }
}

impl Drop for WorkloadApi {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

async fn answer(mut stream: UnixStream, state: Arc<State>) {
    let Some((line, body)) = read(&mut stream).await else {
        return;
    };
    let mood = {
        let mut now = state.now.lock();
        now.calls.push(line.clone());
        now.mood.clone()
    };
    let bytes = match mood {
        Mood::Silent => {
            tokio::time::sleep(Duration::from_mins(10)).await;
            return;
        }
        Mood::Writes(bytes) => bytes,
        Mood::Says(body) => framed(200, &body),
        Mood::Refuses(status, message) => framed(
            status,
            serde_json::json!({ "message": message })
                .to_string()
                .as_bytes(),
        ),
        Mood::Well => well(&line, &body, &state),
    };
    let _ = stream.write_all(&bytes).await;
}

fn well(line: &str, body: &[u8], state: &State) -> Vec<u8> {
    let path = line.split([' ', '?']).nth(1).unwrap_or_default();
    // `$` and blanks must come encoded.
    let own = format!("/modules/registry%20%241/genid/{GENERATION}/certificate/server");
    let (status, document) = match path {
        "/trust-bundle" => match state.now.lock().bundle.clone() {
            Some(bundle) => (200, serde_json::json!({ "certificate": bundle })),
            None => (404, serde_json::json!({ "message": "not found" })),
        },
        path if path == own => {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            let name = body["commonName"].as_str().unwrap_or_default();
            (201, issue(name, state))
        }
        _ => (403, serde_json::json!({ "message": "Module not found" })),
    };
    framed(status, document.to_string().as_bytes())
}

fn issue(name: &str, state: &State) -> serde_json::Value {
    let life = state
        .now
        .lock()
        .life
        .unwrap_or(Duration::from_hours(30 * 24));
    let now = SystemTime::now();
    let lifetime = Lifetime::between(now, now + life);
    let module = MODULE.replace([' ', '$'], "");
    let issued = state.edge_ca.lock().server_with(name, &[&module], lifetime);
    let until = humantime(issued.until);
    serde_json::json!({
        "privateKey": { "type": "key", "bytes": issued.key },
        "certificate": issued.chain,
        "expiration": until,
    })
}

/// RFC 3339, by the days' own arithmetic: there is no calendar among the dependencies here.
fn humantime(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let (mut days, rest) = (seconds / 86_400, seconds % 86_400);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    let mut year = 1970;
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [
        31,
        28 + u64::from(is_leap(year)),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!(
        "{year}-{month:02}-{:02}T{hour:02}:{minute:02}:{second:02}Z",
        days + 1
    )
}

fn framed(status: u16, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// The request line and the body.
async fn read(stream: &mut UnixStream) -> Option<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, _)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length")
                .then(|| value.trim().parse::<usize>().ok())?
        });
        let body = bytes.get(head.len() + 4..).unwrap_or_default().to_vec();
        if body.len() >= length.unwrap_or(0) {
            return Some((head.lines().next()?.to_owned(), body));
        }
    }
}
