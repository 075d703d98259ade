//! Every fault of an upstream in every situation of a caller: the right status, never a wrong byte, nothing wrong kept, and
//! good again without a restart. The table in `deploy/docs/faults.md` is written from here.

mod fault;
mod ground;
mod hands;
mod judge;
mod names;
mod page;
mod situation;
mod table;

use std::sync::Arc;
use std::time::Instant;

use cistern_tests::need;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::fault::{Fault, How};
use self::ground::Ground;
use self::judge::{After, Saw};
use self::names::Names;
use self::situation::{CELLS, Situation};
use self::table::faults;

/// How many rows are prepared at once; that is most of the work, and the rest is mostly waiting.
const PREPARED: usize = 3;

/// What one cell came to.
struct Seen {
    saw: Saw,
    kept: &'static str,
    /// How it became good again.
    after: After,
    /// What is wrong with it, beside what the caller saw.
    complaints: Vec<String>,
}

/// What one row came to.
struct Row {
    fault: String,
    cells: Vec<Seen>,
    /// What is wrong, by cell.
    bad: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_upstream_callers_get_right_bytes_or_a_clean_error_and_all_is_good_again_after()
 {
    let began = Instant::now();
    let preparing = Arc::new(Semaphore::new(PREPARED));
    let mut running = JoinSet::new();
    let has_names = Names::are_ours();
    let only = std::env::var("FAULT").ok();
    let wanted = |fault: &Fault| {
        let is_possible = has_names || !matches!(fault.how, How::NoName);
        is_possible && only.as_ref().is_none_or(|only| fault.name.contains(only))
    };
    for (number, fault) in faults().into_iter().enumerate() {
        if wanted(&fault) {
            let preparing = Arc::clone(&preparing);
            running.spawn(async move { (number, row(fault, &preparing).await) });
        }
    }
    let mut rows = Vec::new();
    while let Some(row) = running.join_next().await {
        rows.push(row.unwrap());
    }
    rows.sort_by_key(|(number, _)| *number);
    let rows: Vec<Row> = rows.into_iter().map(|(_, row)| row).collect();
    eprintln!("{} rows in {:?}", rows.len(), began.elapsed());
    let bad: Vec<&str> = rows
        .iter()
        .flat_map(|row| row.bad.iter())
        .map(String::as_str)
        .collect();
    assert!(
        bad.is_empty(),
        "{} bad cells:\n{}",
        bad.len(),
        bad.join("\n")
    );
    if !has_names {
        return need::skip("the row of names that do not resolve", "unshare --mount");
    }
    if only.is_none() {
        page::assert_page(&rows);
    }
}

/// Runs one row.
async fn row(fault: Fault, preparing: &Semaphore) -> Row {
    let ground = {
        let _turn = preparing.acquire().await.unwrap();
        Arc::new(Ground::prepare(&fault).await)
    };
    let fault = Arc::new(fault);
    ground.begin(&fault).await;
    let mut cells = ask_all(&ground, &fault).await;
    ground.end(&fault).await;
    let mut recovering = JoinSet::new();
    for (number, cell) in CELLS.iter().enumerate() {
        let (ground, fault) = (Arc::clone(&ground), Arc::clone(&fault));
        recovering.spawn(async move { (number, ground.recovers(cell, &fault).await) });
    }
    while let Some(recovered) = recovering.join_next().await {
        match recovered.unwrap() {
            (number, Ok(after)) => cells[number].after = after,
            (number, Err(complaint)) => cells[number].complaints.push(complaint),
        }
    }
    if cells.iter().all(|cell| cell.complaints.is_empty()) {
        ground.cut_off().await;
        for (cell, seen) in CELLS.iter().zip(&mut cells) {
            let complaint = ground.is_kept_for_good(cell, &fault).await;
            seen.complaints.extend(complaint);
        }
    }
    conclude(&fault, &ground, cells)
}

/// Each cell meets the fault. The tag that is due to be checked is asked for first: the others make the link look worse than
/// one failed check does.
async fn ask_all(ground: &Arc<Ground>, fault: &Arc<Fault>) -> Vec<Seen> {
    let first = CELLS
        .iter()
        .position(|cell| cell.situation == Situation::StaleTag)
        .unwrap();
    let mut seen: Vec<Option<Saw>> = CELLS.iter().map(|_| None).collect();
    seen[first] = Some(ground.ask(&CELLS[first], fault).await);
    let mut asking = JoinSet::new();
    for (number, cell) in CELLS
        .iter()
        .enumerate()
        .filter(|(number, _)| *number != first)
    {
        let (ground, fault) = (Arc::clone(ground), Arc::clone(fault));
        asking.spawn(async move { (number, ground.ask(cell, &fault).await) });
    }
    while let Some(asked) = asking.join_next().await {
        let (number, saw) = asked.unwrap();
        seen[number] = Some(saw);
    }
    let mut cells = Vec::new();
    for (cell, saw) in CELLS.iter().zip(seen) {
        let saw = saw.unwrap();
        let kept = ground.kept(cell, &saw).await;
        cells.push(Seen {
            saw,
            kept,
            after: After::AtOnce,
            complaints: Vec::new(),
        });
    }
    cells
}

fn conclude(fault: &Fault, ground: &Ground, cells: Vec<Seen>) -> Row {
    let mut bad = Vec::new();
    for ((cell, seen), due) in CELLS.iter().zip(&cells).zip(fault.due.chars()) {
        let place = format!("{} × {}", fault.name, cell.situation.title());
        if seen.saw.letter() != due {
            bad.push(format!("{place}: {} where {due} is due", seen.saw.words()));
        }
        bad.extend(
            seen.complaints
                .iter()
                .map(|complaint| format!("{place}: {complaint}")),
        );
    }
    let twice = ground.sent_twice(fault);
    bad.extend(twice.iter().map(|what| format!("{} × {what}", fault.name)));
    let is_false = ground.false_files();
    bad.extend(
        is_false
            .iter()
            .map(|digest| format!("{}: a false file for {digest}", fault.name)),
    );
    if !bad.is_empty() && std::env::var_os("FAULT").is_some() {
        eprintln!("{}", ground.log());
    }
    Row {
        fault: fault.name.clone(),
        cells,
        bad,
    }
}
