use std::collections::HashMap;
use std::time::Duration;

use cistern_oci::{Algorithm, Digest, Reference};
use tokio::time::{Instant, advance};

use super::{Ended, Entry, FIRST_PAUSE, Key, MOST_ASKED, Meaning, News, Table, Why};
use crate::pull::Platforms;
use crate::repositories::{Hosted, Repository};
use crate::warm::Origin;

const HOUR: Duration = Duration::from_hours(1);

fn meaning(image: &str) -> Meaning {
    let (of, tag) = image.split_once(':').unwrap();
    let name = of.parse().unwrap();
    Meaning::Image(
        Repository::Hosted(Hosted { name }),
        Reference::Tag(tag.parse().unwrap()),
    )
}

fn key(image: &str) -> Key {
    meaning(image).key(image)
}

fn want(table: &mut Table, images: &[(&str, Origin)]) {
    let wanted = images
        .iter()
        .map(|(image, origin)| ((*image).to_owned(), meaning(image), origin.clone()));
    table.want(wanted.collect(), Instant::now());
}

fn next(table: &mut Table) -> Option<String> {
    next_of(table, |_| true)
}

fn next_of(table: &mut Table, may: impl Fn(&Entry) -> bool) -> Option<String> {
    let key = table.begin(Instant::now(), may)?;
    Some(table.get(&key).unwrap().image.clone())
}

fn end(table: &mut Table, image: &str, ended: Ended) -> News {
    table.end(&key(image), ended, HOUR, Instant::now())
}

fn whole() -> Ended {
    Ended {
        is_whole: true,
        ..Ended::default()
    }
}

fn failed(why: Why) -> Ended {
    Ended {
        why,
        trouble: Some("no".to_owned()),
        ..Ended::default()
    }
}

fn until_due(table: &Table, image: &str) -> Duration {
    table.get(&key(image)).unwrap().due - Instant::now()
}

#[tokio::test(start_paused = true)]
async fn what_devices_need_to_start_goes_first_then_what_was_asked_for_then_what_is_missing() {
    let mut table = Table::default();
    want(
        &mut table,
        &[
            ("a:1", Origin::Configured),
            ("b:1", Origin::Configured),
            ("z:1", Origin::Bootstrap),
        ],
    );
    table.note_whole(&key("a:1"), true);
    assert!(table.ask("y:1", meaning("y:1"), None, Instant::now()));
    let order: Vec<_> = std::iter::from_fn(|| next(&mut table)).collect();
    assert_eq!(order, ["z:1", "y:1", "b:1", "a:1"]);
    assert_eq!(table.running(), 4);
}

#[tokio::test(start_paused = true)]
async fn outside_of_the_windows_only_what_is_pressing_may() {
    let mut table = Table::default();
    want(
        &mut table,
        &[("a:1", Origin::Configured), ("z:1", Origin::Bootstrap)],
    );
    assert_eq!(
        next_of(&mut table, Entry::is_pressing).as_deref(),
        Some("z:1")
    );
    assert_eq!(next_of(&mut table, Entry::is_pressing), None);
    end(&mut table, "z:1", whole());
    advance(HOUR).await;
    // A refresh is no emergency.
    assert_eq!(next_of(&mut table, Entry::is_pressing), None);
    table.ask("a:1", meaning("a:1"), None, Instant::now());
    assert_eq!(
        next_of(&mut table, Entry::is_pressing).as_deref(),
        Some("a:1")
    );
    end(&mut table, "a:1", failed(Why::Failed));
    advance(HOUR).await;
    assert_eq!(next_of(&mut table, Entry::is_pressing), None);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_with_growing_patience_and_is_news_once() {
    let mut table = Table::default();
    want(&mut table, &[("a:1", Origin::Configured)]);
    let mut pauses = Vec::new();
    for attempt in 0..8 {
        assert!(next(&mut table).is_some());
        let news = end(&mut table, "a:1", failed(Why::Failed));
        assert_eq!(news == News::FailedFirst, attempt == 0);
        let pause = until_due(&table, "a:1");
        pauses.push(pause.as_secs() / 60);
        advance(pause).await;
    }
    assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 60, 60]);
    assert!(next(&mut table).is_some());
    assert_eq!(end(&mut table, "a:1", whole()), News::Ready);
    assert_eq!(until_due(&table, "a:1"), HOUR);
    advance(HOUR).await;
    assert!(next(&mut table).is_some());
    assert_eq!(end(&mut table, "a:1", whole()), News::None);
}

#[tokio::test(start_paused = true)]
async fn what_failed_for_want_of_a_link_is_due_when_it_is_back_and_nothing_else() {
    let mut table = Table::default();
    want(
        &mut table,
        &[("a:1", Origin::Configured), ("b:1", Origin::Configured)],
    );
    while next(&mut table).is_some() {}
    end(&mut table, "a:1", failed(Why::Link));
    end(&mut table, "b:1", failed(Why::Failed));
    assert_eq!(next(&mut table), None);
    table.link_is_back(|_| false, Instant::now());
    assert_eq!(next(&mut table), None);
    table.link_is_back(|_| true, Instant::now());
    assert_eq!(next(&mut table).as_deref(), Some("a:1"));
    assert_eq!(next(&mut table), None);
    assert_eq!(until_due(&table, "b:1"), FIRST_PAUSE);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_names_any_more_is_not_wanted_and_what_is_still_named_keeps_its_state() {
    let mut table = Table::default();
    want(
        &mut table,
        &[("a:1", Origin::Configured), ("b:1", Origin::Pinned)],
    );
    table.note_whole(&key("a:1"), true);
    want(&mut table, &[("a:1", Origin::Bootstrap)]);
    assert!(table.get(&key("b:1")).is_none());
    let kept = table.get(&key("a:1")).unwrap();
    assert!(kept.is_whole && kept.origins.len() == 1 && kept.is_bootstrap());
}

#[tokio::test(start_paused = true)]
async fn what_was_asked_for_is_remembered_for_a_day_and_not_without_bound() {
    let mut table = Table::default();
    for number in 0..MOST_ASKED {
        let image = format!("a:{number}");
        assert!(table.ask(&image, meaning(&image), None, Instant::now()));
    }
    assert!(!table.ask("b:1", meaning("b:1"), None, Instant::now()));
    assert!(table.ask("a:1", meaning("a:1"), None, Instant::now()));
    want(&mut table, &[]);
    assert!(table.get(&key("a:1")).is_some());
    advance(Duration::from_hours(25)).await;
    want(&mut table, &[]);
    assert_eq!(table.all().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn platforms_that_are_asked_for_come_beside_those_asked_for_before() {
    let mut table = Table::default();
    let these = |text: &str| Some(Platforms::These(vec![text.parse().unwrap()]));
    table.ask("a:1", meaning("a:1"), these("linux/arm64"), Instant::now());
    table.ask("a:1", meaning("a:1"), these("linux/amd64"), Instant::now());
    let entry = table.get(&key("a:1")).unwrap();
    let both = ["linux/arm64", "linux/amd64"].map(|text| text.parse().unwrap());
    assert_eq!(entry.platforms, Some(Platforms::These(both.to_vec())));
    table.ask("a:1", meaning("a:1"), Some(Platforms::All), Instant::now());
    assert_eq!(
        table.get(&key("a:1")).unwrap().platforms,
        Some(Platforms::All)
    );
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_is_held_back_is_due_at_once_and_once_for_each_digest() {
    let mut table = Table::default();
    want(&mut table, &[("a:1", Origin::Configured)]);
    assert!(next(&mut table).is_some());
    end(&mut table, "a:1", whole());
    let held = |text: &str| {
        let to = Digest::of(Algorithm::Sha256, text.as_bytes());
        HashMap::from([(key("a:1"), to)])
    };
    table.note_held(&held("new"), Instant::now());
    assert!(next(&mut table).is_some());
    let to = Digest::of(Algorithm::Sha256, b"new");
    let ended = Ended {
        held: Some(to),
        ..failed(Why::Failed)
    };
    end(&mut table, "a:1", ended);
    table.note_held(&held("new"), Instant::now());
    assert_eq!(next(&mut table), None);
    table.note_held(&held("newer"), Instant::now());
    assert!(next(&mut table).is_some());
}
