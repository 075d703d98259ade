//! What refers to a manifest: the upstream's own list, however it keeps it; filtered, paged and remembered here.

mod instead;

use cistern_tests::caller::{Answered, get, head};
use cistern_tests::eventually;
use cistern_tests::images::{Image, Item, OCI_INDEX, OCI_MANIFEST, artifact, random_bytes};
use cistern_tests::scripted_upstream::{Answer, Gate, ScriptedUpstream};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::scene::{REPOSITORY, SOON, Scene, assert_refused, is_stale, manifest};
use crate::tag_lists::next as next_of;

const SIGNATURE: &str = "application/vnd.example.signature.v1";
const SBOM: &str = "application/vnd.example.sbom.v1";
/// The upstream is asked every time.
const ALWAYS: &[(&str, &str)] = &[("PROXY_CHECKEVERY", "0s")];
/// Every question for a list of referrers.
const QUESTIONS: &str = "/v2/*/referrers/*";

fn path(subject: &str) -> String {
    format!("/v2/{REPOSITORY}/referrers/{subject}")
}

fn descriptor(of: &Item, kind: &str) -> Value {
    let mut descriptor = of.descriptor();
    descriptor["artifactType"] = json!(kind);
    descriptor["annotations"] = json!({ "org.example.note": "made by a test" });
    descriptor
}

/// As many descriptors as wanted, with turns of the two kinds, sorted by digest.
fn many(count: usize) -> Vec<Value> {
    let mut all: Vec<Value> = (0..count)
        .map(|number| {
            let item = Item::new(OCI_MANIFEST, number.to_string());
            descriptor(&item, [SIGNATURE, SBOM][number % 2])
        })
        .collect();
    all.sort_by_key(|descriptor| descriptor["digest"].as_str().unwrap().to_owned());
    all
}

fn index(descriptors: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": descriptors })
}

fn answer(descriptors: &[Value]) -> Answer {
    Answer::body(200, OCI_INDEX, index(descriptors).to_string())
}

/// The descriptors of a good answer.
#[track_caller]
fn listed(answer: &Answered) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.is_complete());
    assert_eq!(answer.header("Content-Type"), Some(OCI_INDEX));
    let body = answer.json();
    assert_eq!(
        (&body["schemaVersion"], &body["mediaType"]),
        (&json!(2), &json!(OCI_INDEX))
    );
    body["manifests"].as_array().unwrap().clone()
}

/// A scene whose upstream serves this list of the image's referrers.
async fn with_list(settings: &[(&str, &str)], descriptors: &[Value]) -> (Scene, String) {
    let scene = Scene::with(settings).await;
    let path = path(scene.image.digest());
    scene.upstream.on("GET", &path, answer(descriptors));
    (scene, path)
}

/// Puts a list of referrers at the upstream, under the tag that clients use where there is no API.
fn hold_under_tag(upstream: &ScriptedUpstream, subject: &str, descriptors: &[Value]) -> String {
    let tag: String = subject.replace(':', "-").chars().take(71).collect();
    let list = Image {
        manifests: vec![Item::new(OCI_INDEX, index(descriptors).to_string())],
        blobs: Vec::new(),
    };
    upstream.hold(&list, REPOSITORY, &[&tag]);
    tag
}

#[tokio::test]
async fn the_upstreams_list_is_served_with_all_that_it_says_and_asked_for_once() {
    let (scene, path) = with_list(&[], &many(3)).await;
    for _ in 0..3 {
        let answer = scene.get(&path).await;
        assert_eq!(listed(&answer), many(3));
        assert_eq!(answer.header("OCI-Filters-Applied"), None);
        assert!(!is_stale(&answer) && next_of(&answer).is_none());
    }
    let head = head(&path).send(&scene.cache.host()).await;
    assert_eq!(head.header("Content-Type"), Some(OCI_INDEX));
    assert_eq!(scene.upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_list_is_filtered_by_kind_of_artifact_here_and_the_answer_says_so() {
    let (scene, path) = with_list(&[], &many(9)).await;
    let of_kind = |kind: &str| -> Vec<Value> {
        let all = many(9).into_iter();
        all.filter(|one| one["artifactType"] == kind).collect()
    };
    for (query, expected, is_filtered) in [
        (format!("artifactType={SBOM}"), of_kind(SBOM), true),
        (
            format!("artifactType={SIGNATURE}&ns={}", scene.upstream.host()),
            of_kind(SIGNATURE),
            true,
        ),
        (
            format!("artifactType={SBOM}&artifactType={SIGNATURE}"),
            many(9),
            true,
        ),
        (
            "artifactType=application%2Fother".to_owned(),
            Vec::new(),
            true,
        ),
        ("artifactType=".to_owned(), many(9), false),
    ] {
        let answer = scene.get(&format!("{path}?{query}")).await;
        assert_eq!(listed(&answer), expected, "{query}");
        let applied = answer.header("OCI-Filters-Applied");
        assert_eq!(applied, is_filtered.then_some("artifactType"), "{query}");
    }
    assert_eq!(scene.upstream.requests().len(), 1);
    assert_eq!(scene.upstream.requests()[0].query, "");
}

#[tokio::test]
async fn long_lists_come_in_pages_that_follow_one_another_by_their_links() {
    let (scene, path) = with_list(&[], &many(2100)).await;
    let ns = scene.upstream.host();
    let sboms: Vec<_> = many(2100)
        .into_iter()
        .filter(|one| one["artifactType"] == SBOM)
        .collect();
    let filtered = format!("artifactType={SBOM}");
    for (query, largest, expected) in [
        (format!("ns={ns}"), 1000, many(2100)),
        (format!("ns={ns}&n=5000"), 1000, many(2100)),
        (format!("{filtered}&ns={ns}&n=400"), 400, sboms),
    ] {
        let (mut found, mut next) = (Vec::new(), Some(format!("{path}?{query}")));
        while let Some(page) = next {
            let answer = scene.get(&page).await;
            let some = listed(&answer);
            assert!(some.len() <= largest && !some.is_empty(), "{page}");
            assert_eq!(answer.header("OCI-Namespace"), Some(&*ns), "{page}");
            found.extend(some);
            next = next_of(&answer);
        }
        assert_eq!(found, expected, "{query}");
    }
    let last = many(2100)[2097]["digest"].as_str().unwrap().to_owned();
    let rest = scene.get(&format!("{path}?last={last}")).await;
    assert_eq!(
        (listed(&rest), next_of(&rest)),
        (many(2100)[2098..].to_vec(), None)
    );
    let none = scene.get(&format!("{path}?n=0")).await;
    assert_eq!((listed(&none).len(), next_of(&none)), (0, None));
    let bad = scene.get(&format!("{path}?n=some")).await;
    assert_refused(&bad, 400, "PAGINATION_NUMBER_INVALID", &[]);
    assert_eq!(scene.upstream.requests().len(), 1);
}

#[tokio::test]
async fn a_page_has_at_most_two_mebibytes_unless_one_descriptor_is_longer() {
    let mut heavy = many(5);
    for one in &mut heavy {
        one["annotations"]["a"] = json!("x".repeat(900_000));
    }
    heavy[4]["annotations"]["a"] = json!("x".repeat(3_000_000));
    let (scene, path) = with_list(&[], &heavy).await;
    let (mut found, mut next) = (Vec::new(), Some(path));
    while let Some(page) = next {
        let answer = scene.get(&page).await;
        assert!(answer.body.len() < 4 * 1024 * 1024);
        found.push(listed(&answer).len());
        next = next_of(&answer);
    }
    assert_eq!(found, [2, 2, 1]);
}

#[tokio::test]
async fn the_pages_of_an_upstream_become_one_list() {
    let scene = Scene::new().await;
    let path = path(scene.image.digest());
    let absolute = scene.upstream.url_of(&path);
    let here = path.clone();
    let pages = Answer::by(move |request| match request.query.as_str() {
        "" => answer(&many(30)[..10])
            .header("Link", &format!("<{here}?cursor=a%3D%3D>; rel=\"next\"")),
        "cursor=a%3D%3D" => {
            answer(&many(30)[8..20]).header("Link", &format!("<{absolute}?cursor=b>; rel=next"))
        }
        _ => answer(&many(30)[20..]),
    });
    scene.upstream.on("GET", &path, pages);
    assert_eq!(listed(&scene.get(&path).await), many(30));
    assert_eq!(scene.upstream.requests().len(), 3);
}

#[tokio::test]
async fn an_upstream_that_pages_without_end_is_left_and_is_not_taken_for_one_without_referrers() {
    let circle = answer(&many(3)).header("Link", "<?last=x>; rel=\"next\"");
    let elsewhere = answer(&many(3)).header("Link", "<http://127.9.9.9/more>; rel=\"next\"");
    for (bad, says) in [(circle, "without end"), (elsewhere, "another host")] {
        let scene = Scene::new().await;
        let path = path(scene.image.digest());
        scene.upstream.on("GET", &path, bad);
        let refused = scene.get(&path).await;
        assert_refused(
            &refused,
            503,
            "UNAVAILABLE",
            &[says, &scene.upstream.host()],
        );
        assert!(scene.upstream.requests().len() < 5);
    }
}

#[tokio::test]
async fn huge_lists_have_an_end() {
    let scene = Scene::new().await;
    let path = path(scene.image.digest());
    let pages = Answer::by(|request| {
        let start: usize = request
            .parameter("from")
            .map_or(0, |from| from.parse().unwrap());
        let page: Vec<Value> = (start..start + 1000)
            .map(|number| Item::new(OCI_MANIFEST, number.to_string()).descriptor())
            .collect();
        answer(&page).header("Link", &format!("<?from={}>; rel=\"next\"", start + 1000))
    });
    scene.upstream.on("GET", &path, pages);
    let (mut found, mut next) = (0, Some(path));
    while let Some(page) = next {
        let answer = scene.get(&page).await;
        found += listed(&answer).len();
        next = next_of(&answer);
    }
    assert_eq!(found, 10_000);
    assert!(scene.upstream.requests().len() <= 10);
}

#[tokio::test]
async fn descriptors_that_make_no_sense_are_passed_over() {
    let mut odd = vec![
        json!(null),
        json!(7),
        json!("sha256:abc"),
        json!([]),
        json!({}),
        json!({ "mediaType": OCI_MANIFEST, "digest": "sha256:short", "size": 1 }),
        json!({ "mediaType": OCI_MANIFEST, "digest": many(1)[0]["digest"], "size": -1 }),
        json!({ "mediaType": 5, "digest": many(1)[0]["digest"], "size": 1 }),
    ];
    odd.extend(many(2));
    odd.extend(many(2));
    let (scene, path) = with_list(&[], &odd).await;
    assert_eq!(listed(&scene.get(&path).await), many(2));
}

#[tokio::test]
async fn a_herd_costs_one_question_of_each_kind() {
    let scene = Scene::new().await;
    let by_api = path(scene.image.digest());
    let gate = Gate::new();
    scene
        .upstream
        .on("GET", &by_api, answer(&many(5)).behind(&gate));
    let tagged = Item::random(8, 10).digest;
    let tag = hold_under_tag(&scene.upstream, &tagged, &many(2));
    scene
        .upstream
        .on("GET", &path(&tagged), Answer::status(404).behind(&gate));
    let mut callers = JoinSet::new();
    for number in 0..60 {
        let (host, path) = (
            scene.cache.host(),
            [by_api.clone(), path(&tagged)][number % 2].clone(),
        );
        callers.spawn(async move { listed(&get(&path).send(&host).await).len() });
    }
    gate.wait_reached(2, SOON).await;
    gate.open();
    let counts = callers.join_all().await;
    assert_eq!(counts.iter().sum::<usize>(), 30 * 5 + 30 * 2);
    assert_eq!(scene.upstream.count("GET", QUESTIONS), 2);
    assert_eq!(scene.upstream.count("HEAD", &manifest(&tag)), 1);
    assert_eq!(scene.upstream.requests().len(), 4);
}

#[tokio::test]
async fn a_new_referrer_is_listed_after_the_interval() {
    let (scene, path) = with_list(&[("PROXY_CHECKEVERY", "500ms")], &many(1)).await;
    assert_eq!(listed(&scene.get(&path).await), many(1));
    scene.upstream.forget_script();
    scene.upstream.on("GET", &path, answer(&many(2)));
    eventually("listing it", SOON, || async {
        listed(&scene.get(&path).await) == many(2)
    })
    .await;
}

#[tokio::test]
async fn manifests_that_refer_to_one_another_in_a_circle_are_listed_one_question_at_a_time() {
    let scene = Scene::new().await;
    let (one, other) = (artifact(SBOM, "1"), artifact(SBOM, "2"));
    scene.upstream.on(
        "GET",
        &path(one.digest()),
        answer(&[descriptor(other.top(), SBOM)]),
    );
    scene.upstream.on(
        "GET",
        &path(other.digest()),
        answer(&[descriptor(one.top(), SBOM)]),
    );
    let itself = Item::new(OCI_MANIFEST, random_bytes(9, 10));
    scene.upstream.on(
        "GET",
        &path(&itself.digest),
        answer(&[descriptor(&itself, SBOM)]),
    );
    for subject in [one.digest(), other.digest(), &itself.digest] {
        assert_eq!(listed(&scene.get(&path(subject)).await).len(), 1);
    }
    assert_eq!(scene.upstream.requests().len(), 3);
}

#[tokio::test]
async fn a_subject_that_is_no_digest_is_refused_without_asking() {
    let scene = Scene::new().await;
    for subject in [
        "sha256:baddigeststring",
        "latest",
        "md5:d41d8cd98f00b204e9800998ecf8427e",
    ] {
        let refused = scene.get(&path(subject)).await;
        assert_refused(&refused, 400, "DIGEST_INVALID", &[]);
    }
    assert_eq!(scene.upstream.requests().len(), 0);
}
