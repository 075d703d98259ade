//! A server that is told to stop lets those finish who are being served, and takes nobody else in.

use std::time::{Duration, Instant};

use cistern_tests::caller::{Ended, Opened, get};
use cistern_tests::eventually;
use cistern_tests::images::Item;
use cistern_tests::registry::Registry;
use cistern_tests::scripted_upstream::{Answer, Gate, ScriptedUpstream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::scene::{REPOSITORY, SOON, Scene, TAG_PATH, blob, cache_of};

const SIZE: usize = 1 << 20;

/// A cache in the middle of a body, which goes on when the gate opens.
async fn in_the_middle(
    settings: &[(&str, &str)],
) -> (ScriptedUpstream, Registry, Item, Gate, Opened) {
    let upstream = ScriptedUpstream::start().await;
    let (layer, gate) = (Item::random(3, SIZE), Gate::new());
    upstream.hold_blob(&layer, REPOSITORY);
    let cache = cache_of(&upstream, settings).start().await;
    let path = blob(&layer.digest);
    upstream.on("GET", &path, Answer::held().stops_at(SIZE / 2, &gate));
    let mut opened = get(&path).open(&cache.host()).await.unwrap();
    assert!(opened.read(SIZE / 4).await.len() >= SIZE / 4);
    (upstream, cache, layer, gate, opened)
}

async fn refuses_newcomers(cache: &Registry) {
    eventually("refusing new connections", SOON, || async {
        TcpStream::connect(cache.address()).await.is_err()
    })
    .await;
}

#[tokio::test]
async fn a_running_body_finishes_while_newcomers_are_refused() {
    let (_upstream, mut cache, layer, gate, opened) = in_the_middle(&[]).await;
    cache.begin_to_stop();
    refuses_newcomers(&cache).await;
    assert!(cache.is_running());
    gate.open();
    let answer = opened.finish().await;
    assert!(answer.is_complete(), "{:?}", answer.ended);
    let status = cache.ended_within(SOON).await;
    assert_eq!(status.code(), Some(0), "{}", cache.log());
    drop(layer);
}

#[tokio::test]
async fn what_was_finished_while_stopping_is_kept() {
    let (upstream, mut cache, layer, gate, opened) = in_the_middle(&[]).await;
    cache.begin_to_stop();
    refuses_newcomers(&cache).await;
    gate.open();
    assert!(opened.finish().await.is_complete());
    cache.ended_within(SOON).await;
    upstream.forget_requests();
    cache.start().await;
    let again = get(&blob(&layer.digest)).send(&cache.host()).await;
    assert_eq!(again.body, layer.bytes);
    assert_eq!(upstream.requests().len(), 0);
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let (_upstream, mut cache, _, _gate, opened) =
        in_the_middle(&[("HTTP_DRAINTIMEOUT", "10m")]).await;
    cache.begin_to_stop();
    refuses_newcomers(&cache).await;
    assert!(cache.is_running());
    cache.begin_to_stop();
    let answer = opened.finish().await;
    assert_eq!(
        answer.ended,
        Ended::Short,
        "an orderly end that can be resumed after"
    );
    cache.ended_within(SOON).await;
}

#[tokio::test]
async fn a_body_that_takes_longer_than_the_drain_time_is_cut() {
    let (_upstream, mut cache, _, _gate, opened) =
        in_the_middle(&[("HTTP_DRAINTIMEOUT", "1s")]).await;
    let began = Instant::now();
    cache.begin_to_stop();
    let answer = opened.finish().await;
    assert_eq!(answer.ended, Ended::Short);
    assert!(
        began.elapsed() >= Duration::from_millis(900),
        "{:?}",
        began.elapsed()
    );
    let status = cache.ended_within(SOON).await;
    assert_eq!(status.code(), Some(0), "{}", cache.log());
}

#[tokio::test]
async fn idle_connections_do_not_hold_it_up() {
    let mut scene = Scene::with(&[("HTTP_DRAINTIMEOUT", "10m")]).await;
    let mut idle = TcpStream::connect(scene.cache.address()).await.unwrap();
    let request = format!(
        "GET {TAG_PATH} HTTP/1.1\r\nHost: {}\r\n\r\n",
        scene.cache.host()
    );
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 16];
    idle.read_exact(&mut answer).await.unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200 OK"));
    scene.cache.begin_to_stop();
    let status = scene.cache.ended_within(SOON).await;
    assert_eq!(status.code(), Some(0));
    let mut rest = Vec::new();
    idle.read_to_end(&mut rest).await.unwrap();
}

#[tokio::test]
async fn an_interrupt_from_a_terminal_stops_it_too() {
    let mut scene = Scene::warm(&[]).await;
    let id = rustix::process::Pid::from_raw(i32::try_from(scene.cache.id()).unwrap()).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
    let status = scene.cache.ended_within(SOON).await;
    assert_eq!(status.code(), Some(0), "{}", scene.cache.log());
}
