//! Who may come in, and who may write: with logins and without, from this machine and through proxies.

use std::path::PathBuf;

use cistern_tests::caller::{Answered, Call, call, get, head};
use cistern_tests::eventually;
use cistern_tests::registry::{Product, Registry, RegistryBuilder};
use tempfile::TempDir;

use crate::scene::{
    REPOSITORY, SOON, Scene, TAG_PATH, assert_refused, assert_served, blob, cache_of, configured,
    upstream,
};

// Printed by Apache's `htpasswd -nbB -C 4 USER PASSWORD`.
const JANE: &str = "jane:$2y$04$hkeMDoqYpZnz8DqzLJLex.Si5DmJDw3v0CluLj7k2nSvZhS90f8Tu\n";
const JOE: &str = "joe:$2y$04$yUSYSGkL9twaIgu32tILi.TXwHNHR8KNgD8vCR52ik52B1My9tdKa\n";
const JOES_PASSWORD: &str = "p:a ß";

const UPLOADS: &str = "/v2/local/app/blobs/uploads/";
const UPLOADS_OF_A_MIRROR: &str = "/v2/team/app/blobs/uploads/";
const HOSTED: (&str, &str) = ("HOSTED_REPOSITORIES", "local/*");
const TRUSTED: (&str, &str) = ("HTTP_TRUSTEDPROXIES", "127.0.0.0/8");
const ANONYMOUS: (&str, &str) = ("HTTP_ANONYMOUSPULL", "true");

/// A file of users.
struct Users {
    _folder: TempDir,
    path: PathBuf,
}

impl Users {
    fn new(lines: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users");
        std::fs::write(&path, lines).unwrap();
        Self {
            _folder: folder,
            path,
        }
    }

    /// The settings that name it.
    fn with<'a>(&'a self, others: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let own = [
            ("AUTH", "htpasswd"),
            ("AUTH_HTPASSWD_REALM", "the \"Roof\""),
            ("AUTH_HTPASSWD_PATH", self.path.to_str().unwrap()),
        ];
        [&own, others].concat()
    }
}

/// A registry without an upstream.
async fn plain(settings: &[(&str, &str)]) -> Registry {
    configured(RegistryBuilder::new(Product::Cistern), settings)
        .start()
        .await
}

fn as_jane(call: Call) -> Call {
    call.basic("jane", "pencil")
}

/// Starts a push.
fn push(path: &str) -> Call {
    call("POST", path).body("")
}

#[track_caller]
fn assert_asked_to_log_in(answer: &Answered) {
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(
        answer.header("WWW-Authenticate"),
        Some("Basic realm=\"the \\\"Roof\\\"\"")
    );
    assert!(answer.header("X-Request-Id").is_some());
}

/// Whatever else becomes of it: it was not for who asked, or from where.
#[track_caller]
fn assert_let_through(answer: &Answered) {
    assert!(![0, 401, 403].contains(&answer.status), "{}", answer.text());
    assert_eq!(answer.header("WWW-Authenticate"), None);
}

#[track_caller]
fn assert_not_from_there(answer: &Answered, says: &[&str]) {
    assert_refused(answer, 403, "DENIED", &["hosted.writefrom"]);
    assert_refused(answer, 403, "DENIED", says);
    assert_eq!(answer.header("WWW-Authenticate"), None);
}

#[tokio::test]
async fn with_a_file_of_users_nothing_is_answered_without_a_login() {
    let users = Users::new(JANE);
    let (upstream, image) = upstream().await;
    let cache = cache_of(&upstream, &users.with(&[HOSTED])).start().await;
    let host = cache.host();
    let layer = blob(&image.largest_blob().digest);
    for request in [
        get("/v2/"),
        get("/v2"),
        get("/v2/_catalog"),
        get("/v2/team/app/tags/list"),
        get(TAG_PATH),
        get(&layer),
        push(UPLOADS),
        push(UPLOADS_OF_A_MIRROR),
        call("DELETE", TAG_PATH),
        call("OPTIONS", "/v2/"),
    ] {
        let answer = request.clone().send(&host).await;
        assert_asked_to_log_in(&answer);
        assert_refused(&answer, 401, "UNAUTHORIZED", &["log in"]);
        for (user, password, says) in [
            ("jane", "crayon", "is wrong"),
            ("nobody", "pencil", "is wrong"),
            ("", "", "log in"),
        ] {
            let wrong = request.clone().basic(user, password).send(&host).await;
            assert_asked_to_log_in(&wrong);
            assert_refused(&wrong, 401, "UNAUTHORIZED", &[says]);
        }
        let token = request.header("Authorization", "Bearer abc");
        assert_asked_to_log_in(&token.send(&host).await);
    }
    assert_asked_to_log_in(&head(TAG_PATH).send(&host).await);
    assert_eq!(upstream.requests().len(), 0);
    for page in ["/healthz", "/readyz", "/"] {
        assert_eq!(get(page).send(&host).await.status, 200, "{page}");
    }
}

#[tokio::test]
async fn whoever_has_a_login_reads_and_may_write_to_what_is_hosted() {
    let users = Users::new(&format!("{JANE}{JOE}"));
    let (upstream, image) = upstream().await;
    let cache = cache_of(&upstream, &users.with(&[HOSTED])).start().await;
    let host = cache.host();
    assert_served(&as_jane(get("/v2/")).send(&host).await, b"{}");
    let joe = get(TAG_PATH).basic("joe", JOES_PASSWORD);
    assert_served(&joe.send(&host).await, &image.top().bytes);
    assert_let_through(&as_jane(push(UPLOADS)).send(&host).await);
    let mirror = as_jane(push(UPLOADS_OF_A_MIRROR)).send(&host).await;
    assert_refused(&mirror, 405, "UNSUPPORTED", &["push there"]);
    for request in upstream.requests() {
        assert_eq!(request.header("Authorization"), None, "it is meant for us");
    }
    let log = cache.log();
    assert!(log.contains("jane") && !log.contains("pencil") && !log.contains("$2y$"));
}

#[tokio::test]
async fn a_path_that_cannot_be_read_is_said_to_be_so_before_a_login() {
    let users = Users::new(JANE);
    let registry = plain(&users.with(&[])).await;
    let answer = get("/v2/UPPER/manifests/v1").send(&registry.host()).await;
    assert_refused(&answer, 400, "NAME_INVALID", &[]);
}

#[tokio::test]
async fn anonymous_pull_reads_without_a_login_and_writes_with_one() {
    let users = Users::new(JANE);
    let (upstream, image) = upstream().await;
    let cache = cache_of(&upstream, &users.with(&[HOSTED, ANONYMOUS]))
        .start()
        .await;
    let host = cache.host();
    let ping = get("/v2/").send(&host).await;
    assert_served(&ping, b"{}");
    assert_eq!(ping.header("WWW-Authenticate"), None);
    assert_served(&get(TAG_PATH).send(&host).await, &image.top().bytes);
    assert_eq!(head(TAG_PATH).send(&host).await.status, 200);
    assert_eq!(get("/v2/_catalog").send(&host).await.status, 200);
    for request in [
        push(UPLOADS),
        call("PUT", "/v2/local/app/manifests/v1").body("{}"),
        call("DELETE", "/v2/local/app/manifests/v1"),
        get(&format!("{UPLOADS}1234")),
    ] {
        assert_asked_to_log_in(&request.send(&host).await);
    }
    for path in ["/v2/", TAG_PATH, "/v2/_catalog"] {
        let wrong = get(path).basic("jane", "crayon").send(&host).await;
        assert_asked_to_log_in(&wrong);
    }
    assert_let_through(&as_jane(push(UPLOADS)).send(&host).await);
    assert!(
        cache.log().contains("http.anonymouspull"),
        "{}",
        cache.log()
    );
}

#[tokio::test]
async fn a_changed_file_of_users_counts_without_a_restart() {
    let users = Users::new(JANE);
    let registry = plain(&users.with(&[])).await;
    let host = registry.host();
    assert_eq!(as_jane(get("/v2/")).send(&host).await.status, 200);
    let joe = || get("/v2/").basic("joe", JOES_PASSWORD);
    assert_eq!(joe().send(&host).await.status, 401);
    std::fs::write(&users.path, JOE).unwrap();
    assert_eq!(joe().send(&host).await.status, 200, "a new user, at once");
    eventually("jane is out", SOON, || async {
        as_jane(get("/v2/")).send(&host).await.status == 401
    })
    .await;
}

#[tokio::test]
async fn logins_together_with_networks_must_both_fit() {
    let users = Users::new(JANE);
    let writefrom = ("HOSTED_WRITEFROM", "10.0.0.0/8");
    let registry = plain(&users.with(&[writefrom, TRUSTED])).await;
    let host = registry.host();
    let from = |address: &str| as_jane(push(UPLOADS)).header("X-Forwarded-For", address);
    assert_let_through(&from("10.0.0.7").send(&host).await);
    assert_not_from_there(&from("192.168.0.7").send(&host).await, &["192.168.0.7"]);
    let without_login = push(UPLOADS).header("X-Forwarded-For", "10.0.0.7");
    assert_asked_to_log_in(&without_login.send(&host).await);
    assert_eq!(as_jane(get("/v2/")).send(&host).await.status, 200);
}

#[tokio::test]
async fn without_logins_a_cache_is_written_to_from_its_own_machine_only() {
    let scene = Scene::with(&[HOSTED, TRUSTED]).await;
    let host = scene.cache.host();
    assert_let_through(&push(UPLOADS).send(&host).await);
    let forwarded = |address: &str| push(UPLOADS).header("X-Forwarded-For", address);
    assert_let_through(&forwarded("127.0.0.1").send(&host).await);
    for address in ["10.0.0.7", "fd00::7", "127.0.0.1, 10.0.0.7"] {
        let seen = address.rsplit(' ').next().unwrap();
        let answer = forwarded(address).send(&host).await;
        assert_not_from_there(&answer, &["this machine only", seen]);
        assert_eq!(answer.header("Connection"), Some("close"));
    }
    assert_not_from_there(&forwarded("unknown").send(&host).await, &["unknown"]);
    for (method, path) in [
        ("PUT", "/v2/local/app/manifests/v1"),
        ("DELETE", "/v2/local/app/manifests/v1"),
        ("PATCH", &format!("{UPLOADS}1234")),
    ] {
        let answer = call(method, path)
            .header("X-Forwarded-For", "10.0.0.7")
            .body("{}")
            .send(&host)
            .await;
        assert_not_from_there(&answer, &["10.0.0.7"]);
    }
    let read = get(TAG_PATH).header("X-Forwarded-For", "10.0.0.7");
    assert_served(&read.send(&host).await, &scene.image.top().bytes);
}

#[tokio::test]
async fn an_address_forwarded_by_a_stranger_is_not_believed() {
    let scene = Scene::with(&[HOSTED, ("HOSTED_WRITEFROM", "10.0.0.0/8")]).await;
    let host = scene.cache.host();
    let pretends = push(UPLOADS).header("X-Forwarded-For", "10.0.0.7");
    assert_not_from_there(&pretends.send(&host).await, &["127.0.0.1"]);
    assert_not_from_there(&push(UPLOADS).send(&host).await, &["127.0.0.1"]);
}

#[tokio::test]
async fn networks_that_are_named_may_write_without_a_login() {
    let writefrom = ("HOSTED_WRITEFROM", "[10.0.0.0/8, 'fd00::/8']");
    let scene = Scene::with(&[HOSTED, TRUSTED, writefrom]).await;
    let host = scene.cache.host();
    let from = |address: &str| push(UPLOADS).header("X-Forwarded-For", address);
    for address in ["10.0.0.7", "fd00::7", "[fd00::7]:4711", "::ffff:10.0.0.7"] {
        assert_let_through(&from(address).send(&host).await);
    }
    for address in ["127.0.0.1", "192.168.0.7", "fe80::1"] {
        assert_not_from_there(&from(address).send(&host).await, &[address]);
    }
}

#[tokio::test]
async fn a_plain_registry_without_logins_takes_writes_from_everybody() {
    let registry = plain(&[TRUSTED]).await;
    let host = registry.host();
    for address in ["10.0.0.7", "unknown"] {
        let answer = push(UPLOADS).header("X-Forwarded-For", address);
        assert_let_through(&answer.send(&host).await);
    }
    let closed = plain(&[TRUSTED, ("HOSTED_WRITEFROM", "10.0.0.0/8")]).await;
    let elsewhere = push(UPLOADS).header("X-Forwarded-For", "192.168.0.7");
    assert_not_from_there(&elsewhere.send(&closed.host()).await, &["192.168.0.7"]);
}

#[tokio::test]
async fn a_mirror_takes_no_writes_from_anybody() {
    let scene = Scene::with(&[HOSTED, TRUSTED]).await;
    for address in ["127.0.0.1", "10.0.0.7"] {
        let answer = push(UPLOADS_OF_A_MIRROR)
            .header("X-Forwarded-For", address)
            .send(&scene.cache.host())
            .await;
        assert_refused(&answer, 405, "UNSUPPORTED", &["push there"]);
        assert_eq!(answer.header("Allow"), Some("GET, HEAD"));
    }
}

#[tokio::test]
async fn a_hosted_name_is_never_asked_upstream() {
    let scene = Scene::with(&[HOSTED]).await;
    scene.upstream.hold(&scene.image, "local/app", &["v1"]);
    let layer = &scene.image.largest_blob().digest;
    for path in [
        "/v2/local/app/manifests/v1",
        "/v2/local/app/tags/list",
        &format!("/v2/local/app/manifests/{}", scene.image.digest()),
        &format!("/v2/local/app/blobs/{layer}"),
        &format!("/v2/local/app/manifests/v1?ns={}", scene.upstream.host()),
    ] {
        assert_eq!(scene.get(path).await.status, 404, "{path}");
        assert_eq!(scene.head(path).await.status, 404, "{path}");
    }
    assert_eq!(scene.upstream.requests().len(), 0);
    scene.pull().await;
    assert!(scene.upstream.count("GET", &format!("/v2/{REPOSITORY}/*")) > 0);
}

#[tokio::test]
async fn many_callers_with_one_login_are_let_in_while_others_guess() {
    let users = Users::new(JANE);
    let registry = plain(&users.with(&[])).await;
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..60 {
        let host = registry.host();
        callers.spawn(async move {
            let guesses = number % 3 == 0;
            let password = if guesses {
                format!("guess {number}")
            } else {
                "pencil".to_owned()
            };
            let call = get("/v2/").basic("jane", &password).patience(SOON);
            (guesses, call.send(&host).await.status)
        });
    }
    for (guesses, status) in callers.join_all().await {
        assert_eq!(status, if guesses { 401 } else { 200 });
    }
}
