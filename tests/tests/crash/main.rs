//! The crash walk: the server kills itself at each of its crash points, again and again at other
//! passes, while events and webhooks come in and functions run; then it starts on the same data
//! and must finish all of it.
//!
//! - Nothing that was acknowledged is lost, and nothing runs twice, though senders send again what
//!   was not acknowledged.
//! - No step whose result was committed before a crash runs again.
//! - Whatever else ran, ran at most once more for each crash.
//! - Each run ends, once, with its result.
//! - Each message comes to each of its receivers, signed, or its delivery ends dead. Every attempt
//!   that was decided is in the log, as the request that it was; a request that is not in the log
//!   was under way at a crash. What has to keep an order keeps it.
//!
//! `DUNLIN_CRASH_SEEDS=200` walks further than the usual 20 seeds a point;
//! `DUNLIN_CRASH_ONLY=before-call:7` walks one case alone.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a walk shows what it met, and a case that went wrong its server's last words"
)]

mod deliveries;
mod ledger;
mod receivers;
mod scenario;
mod server;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use scenario::{Case, Lane, Report};

/// The crash points of the failpoints build, each with the passes that a case surely makes.
const POINTS: [(&str, u64); 8] = [
    ("before-commit", 40),
    ("after-commit", 40),
    ("before-answer", 18),
    ("before-call", 48),
    ("call-in-flight", 44),
    ("after-reply", 48),
    ("before-effect", 40),
    ("after-transform", 44),
];

/// Seeds of each point when nothing else is said.
const SEEDS: u64 = 20;

/// Cases at a time. Most of a case is waiting: for the pause after an unclean stop, for sleeps.
const LANES: usize = 4;

#[test]
fn crashes_lose_nothing_and_repeat_little() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let cases = Arc::new(Mutex::new(cases()));
    let reports = runtime.block_on(async {
        let lanes: Vec<_> = (0..LANES)
            .map(|_| tokio::spawn(walk(Arc::clone(&cases))))
            .collect();
        let mut reports = Vec::new();
        for lane in lanes {
            reports.extend(lane.await.expect("a lane walks to its end"));
        }
        reports
    });
    judge(&reports);
}

fn cases() -> VecDeque<Case> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = number("DUNLIN_CRASH_SEEDS").unwrap_or(SEEDS);
    let only = std::env::var("DUNLIN_CRASH_ONLY").ok();
    let all = (0..seeds).flat_map(|seed| {
        POINTS.into_iter().map(move |(point, passes)| Case {
            point,
            passes,
            seed,
        })
    });
    all.filter(|case| only.as_ref().is_none_or(|only| *only == case.name()))
        .collect()
}

async fn walk(cases: Arc<Mutex<VecDeque<Case>>>) -> Vec<(Case, Report)> {
    let lane = Arc::new(Lane::prepare().await);
    let mut reports = Vec::new();
    loop {
        let next = cases.lock().expect("no lane panicked").pop_front();
        let Some(case) = next else { return reports };
        let report = scenario::play(&lane, case).await;
        for fault in &report.faults {
            eprintln!("{}: {fault}", case.name());
        }
        reports.push((case, report));
    }
}

fn judge(reports: &[(Case, Report)]) {
    let mut points: BTreeMap<&str, (usize, usize, Report)> = BTreeMap::new();
    for (case, report) in reports {
        let (cases, reached, sum) = points.entry(case.point).or_default();
        *cases += 1;
        *reached += usize::from(report.reached > 0);
        sum.add(report);
    }
    println!(
        "{:16} {:>6} {:>7} {:>6} {:>9} {:>9} {:>9} {:>8} {:>8} {:>7} {:>8}",
        "point",
        "cases",
        "reached",
        "kills",
        "ack'd",
        "committed",
        "executed",
        "repeated",
        "attempts",
        "again",
        "faults"
    );
    let mut total = Report::default();
    for (point, (cases, reached, sum)) in &points {
        println!(
            "{point:16} {cases:>6} {reached:>7} {:>6} {:>9} {:>9} {:>9} {:>8} {:>8} {:>7} {:>8}",
            sum.kills,
            sum.acknowledged,
            sum.committed,
            sum.executed,
            sum.repeated,
            sum.attempts,
            sum.again,
            sum.faults.len()
        );
        total.add(sum);
    }
    assert_eq!(total.faults, Vec::<String>::new());
    for (point, (cases, reached, _)) in &points {
        assert!(
            reached * 2 > *cases,
            "{point} was reached in {reached} of {cases} cases"
        );
    }
    assert!(
        total.acknowledged > 0,
        "no crash found anything acknowledged"
    );
    assert!(total.committed > 0, "no crash found anything committed");
    assert!(
        total.executed > total.committed,
        "no crash left anything to do"
    );
    if reports.len() >= POINTS.len() {
        assert!(total.repeated > 0, "no crash found a step under way");
        assert!(total.again > 0, "no crash found an attempt under way");
    }
}
