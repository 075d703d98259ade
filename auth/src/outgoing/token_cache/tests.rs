use super::*;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use url::Url;

type Cache = Arc<TokenCache<&'static str>>;

fn request(realm: &str) -> TokenRequest {
    TokenRequest {
        realm: Url::parse(realm).unwrap(),
        service: None,
        scopes: Vec::new(),
    }
}

fn answer(life: u64, received: Instant) -> TokenAnswer {
    TokenAnswer::read(
        format!(r#"{{"token":"t","expires_in":{life}}}"#).as_bytes(),
        None,
        received,
    )
    .unwrap()
}

#[tokio::test]
async fn fifty_callers_make_one_request() {
    let cache: Cache = Arc::default();
    let asked = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..50 {
        let (cache, asked) = (Arc::clone(&cache), Arc::clone(&asked));
        callers.spawn(async move {
            let fetch = async || {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(answer(300, Instant::now()))
            };
            cache
                .token(&request("https://a.example/t"), None, Instant::now(), fetch)
                .await
        });
    }
    let tokens: Vec<Token> = callers
        .join_all()
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_failure_is_told_to_everybody_who_waited_for_it_and_to_nobody_after() {
    let cache: Cache = Arc::default();
    let asked = Arc::new(AtomicUsize::new(0));
    let mut callers = JoinSet::new();
    for _ in 0..20 {
        let (cache, asked) = (Arc::clone(&cache), Arc::clone(&asked));
        callers.spawn(async move {
            let fetch = async || {
                asked.fetch_add(1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(20)).await;
                Err("down")
            };
            cache
                .token(&request("https://a.example/t"), None, Instant::now(), fetch)
                .await
        });
    }
    assert!(
        callers
            .join_all()
            .await
            .into_iter()
            .all(|result| result == Err("down"))
    );
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let now = Instant::now();
    let later = cache
        .token(&request("https://a.example/t"), None, now, async || {
            Ok(answer(300, now))
        })
        .await;
    assert!(later.is_ok());
}

#[tokio::test]
async fn a_caller_that_leaves_hands_over_to_the_next() {
    let cache: Cache = Arc::default();
    let started = Arc::new(Notify::new());
    let leader = {
        let (cache, started) = (Arc::clone(&cache), Arc::clone(&started));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let fetch = async || {
                started.notify_one();
                std::future::pending().await
            };
            cache
                .token(&request("https://a.example/t"), None, Instant::now(), fetch)
                .await
        });
        tasks
    };
    started.notified().await;
    let now = Instant::now();
    let waiting = request("https://a.example/t");
    let follower = cache.token(&waiting, None, now, async || Ok(answer(300, now)));
    let leave = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        drop(leader);
    };
    let (token, ()) = tokio::join!(follower, leave);
    assert!(token.is_ok());
}

#[tokio::test]
async fn a_refused_token_is_replaced_once_for_all_who_were_refused() {
    let cache: Cache = Arc::default();
    let now = Instant::now();
    let wanted = request("https://a.example/t");
    let first = cache
        .token(&wanted, None, now, async || Ok(answer(300, now)))
        .await
        .unwrap();
    let second = cache
        .token(&wanted, Some(&first), now, async || Ok(answer(300, now)))
        .await
        .unwrap();
    assert_ne!(first, second);
    let third = cache
        .token(&wanted, Some(&first), now, async || Err("asked again"))
        .await
        .unwrap();
    assert_eq!(second, third);
}

#[tokio::test]
async fn an_ageing_token_is_replaced_by_one_caller_while_the_others_use_it() {
    let cache: Cache = Arc::default();
    let now = Instant::now();
    let wanted = request("https://a.example/t");
    let first = cache
        .token(&wanted, None, now, async || Ok(answer(100, now)))
        .await
        .unwrap();
    let old = now + Duration::from_secs(90);
    let failed = cache
        .token(&wanted, None, old, async || Err("down"))
        .await
        .unwrap();
    assert_eq!(
        failed, first,
        "a failed replacement hurts nobody while the old one holds"
    );
    let go_on = Notify::new();
    let replacing = cache.token(&wanted, None, old, async || {
        go_on.notified().await;
        Ok(answer(100, old))
    });
    let others = async {
        tokio::task::yield_now().await;
        let meanwhile = cache
            .token(&wanted, None, old, async || Err("asked twice"))
            .await
            .unwrap();
        go_on.notify_one();
        meanwhile
    };
    let (replaced, meanwhile) = tokio::join!(replacing, others);
    assert_eq!(meanwhile, first);
    assert_ne!(replaced.unwrap(), first);
    let dead = now + Duration::from_secs(400);
    assert_eq!(
        cache.token(&wanted, None, dead, async || Err("down")).await,
        Err("down")
    );
}

#[tokio::test]
async fn the_cache_stays_bounded() {
    let cache: Cache = Arc::default();
    let now = Instant::now();
    for number in 0..MOST_SLOTS + 50 {
        let wanted = request(&format!("https://a.example/{number}"));
        cache
            .token(&wanted, None, now, async || Ok(answer(300, now)))
            .await
            .unwrap();
    }
    assert!(cache.slots.lock().len() <= MOST_SLOTS);
}
