use super::*;
use crate::upstream::LinkFault;
use tokio::time::advance;

fn host() -> Arc<str> {
    "h.example".into()
}

async fn wait_told(gate: &Gate) -> Duration {
    match gate.enter().await.unwrap_err().fault {
        Fault::RateLimited {
            retry_after: Some(left),
        } => left,
        other => panic!("{other:?}"),
    }
}

async fn enter(gate: &Gate) -> Turn<'_> {
    gate.enter().await.unwrap()
}

fn link_fault() -> UpstreamError {
    let link = LinkFault::Timeout;
    let detail = String::new();
    Fault::Unreachable { link, detail }.at(&host())
}

#[tokio::test(start_paused = true)]
async fn a_named_pause_is_kept_to_the_second_and_told_as_what_is_left_of_it() {
    let gate = Gate::default();
    let pause = gate.shut(&host(), Some(Duration::from_secs(30)));
    assert_eq!(pause, Duration::from_secs(30));
    advance(Duration::from_secs(10)).await;
    assert_eq!(wait_told(&gate).await, Duration::from_secs(20));
    assert_eq!(gate.paused_for(), Some(Duration::from_secs(20)));
    advance(Duration::from_secs(20)).await;
    assert_eq!(gate.paused_for(), None);
    enter(&gate).await.leave(Ok(&()));
}

#[tokio::test(start_paused = true)]
async fn absurd_pauses_are_cut_to_what_can_be_borne() {
    for (named, kept) in [
        (Duration::ZERO, SHORTEST),
        (Duration::MAX, LONGEST_NAMED),
        (Duration::from_hours(24), LONGEST_NAMED),
    ] {
        assert_eq!(Gate::default().shut(&host(), Some(named)), kept);
    }
}

#[tokio::test(start_paused = true)]
async fn pauses_that_nobody_named_double_up_to_five_minutes_and_are_forgotten_after_quiet() {
    let gate = Gate::default();
    for seconds in [15, 30, 60, 120, 240, 300, 300] {
        let pause = gate.shut(&host(), None);
        let least = Duration::from_secs(seconds);
        assert!(pause >= least && pause <= least + least / 5, "{pause:?}");
        advance(pause).await;
        // An answer in between changes nothing: some upstreams limit one kind of question only.
        enter(&gate).await.leave(Ok(&()));
    }
    advance(LONGEST * 2 + QUIET).await;
    let pause = gate.shut(&host(), None);
    assert!(pause < Duration::from_secs(20), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn questions_that_are_refused_together_are_one_refusal() {
    let gate = Gate::default();
    let first = gate.shut(&host(), None);
    for _ in 0..10 {
        assert_eq!(gate.shut(&host(), None), first);
    }
    assert_eq!(
        gate.shut(&host(), Some(Duration::from_secs(1))),
        first,
        "no shorter"
    );
    advance(first).await;
    let turn = enter(&gate).await;
    assert!(gate.shut(&host(), None) >= Duration::from_secs(30));
    turn.leave::<()>(Err(&Fault::RateLimited { retry_after: None }.at(&host())));
    assert!(wait_told(&gate).await >= Duration::from_secs(29));
}

/// A gate whose pause is just over, with one who goes first and one who waits for it.
macro_rules! one_first_one_waiting {
    ($gate:ident, $turn:ident, $waiting:ident) => {
        let $gate = Gate::default();
        advance($gate.shut(&host(), None)).await;
        let $turn = enter(&$gate).await;
        let mut $waiting = std::pin::pin!($gate.enter());
        assert!(futures_util::poll!(&mut $waiting).is_pending());
    };
}

#[tokio::test(start_paused = true)]
async fn one_question_goes_first_and_its_answer_lets_the_others_follow() {
    one_first_one_waiting!(gate, turn, waiting);
    turn.leave(Ok(&()));
    waiting.await.unwrap().leave(Ok(&()));
    enter(&gate).await.leave(Ok(&()));
}

#[tokio::test(start_paused = true)]
async fn one_question_goes_first_and_its_refusal_is_everybodys() {
    one_first_one_waiting!(gate, turn, waiting);
    gate.shut(&host(), None);
    turn.leave::<()>(Err(&Fault::RateLimited { retry_after: None }.at(&host())));
    let refused = waiting.await.unwrap_err().fault;
    assert!(matches!(refused, Fault::RateLimited { .. }), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_link_that_fails_whoever_goes_first_fails_those_who_wait_and_the_next_goes_first() {
    one_first_one_waiting!(gate, turn, waiting);
    turn.leave::<()>(Err(&link_fault()));
    assert_eq!(waiting.await.unwrap_err(), link_fault());
    assert!(enter(&gate).await.goes_first);
}

#[tokio::test(start_paused = true)]
async fn whoever_goes_first_and_leaves_hands_its_turn_on() {
    one_first_one_waiting!(gate, turn, waiting);
    drop(turn);
    assert!(waiting.await.unwrap().goes_first);
}

#[tokio::test(start_paused = true)]
async fn an_answer_from_before_the_pause_does_not_end_it() {
    let gate = Gate::default();
    let early = enter(&gate).await;
    gate.shut(&host(), None);
    early.leave(Ok(&()));
    wait_told(&gate).await;
}
