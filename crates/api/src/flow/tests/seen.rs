//! Why runs wait, and what is queued: as facts and as sentences.

use std::collections::BTreeMap;

use dunlin_engine::config::Rule;
use dunlin_engine::live::ItemKind;
use dunlin_engine::look::{Cause, GatherView, Held, ItemWaiting, LaneView, Queues, RunWaiting};
use dunlin_engine::{DroppedRow, RunEnd, RunRow, RunStatus};
use dunlin_store::RunView;
use dunlin_types::{Payload, Seq, Timestamp};
use serde_json::{Value, json};

use crate::flow::cause::{self, RunIds};
use crate::flow::kept::{Dropped, Kept};
use crate::flow::waiting::Seen;
use crate::flow::{dropped, queues, waiting};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const THEN: &str = "2027-01-15T08:00:00.000Z";

fn held(rule: Rule) -> Held {
    Held {
        rule,
        scope: "fn".to_owned(),
        expression: Some("event.data.customer".to_owned()),
        key: "cus_1".to_owned(),
        limit: 2,
        used: 2,
        holders: vec![Seq(1), Seq(2)],
        next: None,
    }
}

fn ids() -> RunIds {
    (1..=9).map(|n| (Seq(n), format!("RUN{n}"))).collect()
}

fn told(cause: Cause, kind: ItemKind, attempt: u8, ahead: Option<u64>) -> String {
    cause::sentence(&cause, Some((kind, attempt)), ahead, &ids())
}

fn by(held: Held, ahead: Option<u64>) -> String {
    told(Cause::Rule(Box::new(held)), ItemKind::Discovery, 0, ahead)
}

#[test]
fn a_used_up_concurrency_names_limit_key_expression_and_holders() {
    assert_eq!(
        by(held(Rule::Concurrency), Some(3)),
        "waits for a slot of concurrency 2 under key \"cus_1\" (event.data.customer), held by \
         RUN1, RUN2; 3 items go before it"
    );
    let mut many = held(Rule::Runs);
    (many.scope, many.expression, many.key) = ("account".to_owned(), None, String::new());
    (many.used, many.limit) = (50, 50);
    many.holders = (1..=9).map(Seq).collect();
    assert_eq!(
        by(many.clone(), Some(0)),
        "waits for a slot of concurrency.fn 50 in scope account, held by RUN1, RUN2, RUN3 and 47 \
         more; it is next"
    );
    many.holders = vec![Seq(77)];
    let gone = by(many, Some(10_000));
    assert!(
        gone.ends_with(", of which 50 are taken; 10000 items or more go before it"),
        "{gone}"
    );
}

#[test]
fn a_key_cannot_break_out_of_its_quotes() {
    let mut odd = held(Rule::Concurrency);
    odd.key = "a\"\n".to_owned();
    assert!(by(odd, None).contains(r#"under key "a\"\n" (event"#));
}

#[test]
fn a_used_up_rate_says_when_the_next_one_may_go() {
    let rate = Held {
        limit: 10,
        used: 0,
        holders: Vec::new(),
        next: Some(NOW),
        ..held(Rule::Throttle)
    };
    assert_eq!(
        by(rate.clone(), Some(1)),
        format!(
            "waits until {THEN}, because the 10 of throttle under key \"cus_1\" \
             (event.data.customer) are used up; 1 item goes before it"
        )
    );
    let operators = Held {
        rule: Rule::HostLimit,
        scope: "stripe".to_owned(),
        expression: None,
        key: String::new(),
        ..rate
    };
    let text = by(operators.clone(), None);
    assert!(
        text.ends_with("because the 10 of the limit `stripe` are used up"),
        "{text}"
    );
    let slots = Held {
        next: None,
        used: 1,
        limit: 1,
        holders: vec![Seq(1)],
        ..operators
    };
    assert_eq!(
        by(slots, None),
        "waits for a slot of the limit `stripe` 1, held by RUN1"
    );
}

#[test]
fn every_other_cause_has_a_sentence_that_fits_what_waits() {
    for (cause, kind, attempt, expected) in [
        (
            Cause::Time(NOW),
            ItemKind::Timer,
            0,
            format!("sleeps until {THEN}"),
        ),
        (
            Cause::Time(NOW),
            ItemKind::Discovery,
            0,
            format!("is due at {THEN}"),
        ),
        (
            Cause::Time(NOW),
            ItemKind::Step,
            2,
            format!("waits until {THEN} for attempt 3, because attempt 2 failed"),
        ),
        (
            Cause::Time(NOW),
            ItemKind::StartTimeout,
            0,
            format!("is cancelled at {THEN} unless it has begun by then"),
        ),
        (
            Cause::Outside(NOW),
            ItemKind::Wait,
            0,
            format!("waits for an event, until {THEN}"),
        ),
        (
            Cause::Outside(NOW),
            ItemKind::Signal,
            0,
            format!("waits for a signal, until {THEN}"),
        ),
        (
            Cause::Outside(NOW),
            ItemKind::Invoke,
            0,
            format!("waits for the run that it invoked, until {THEN}"),
        ),
        (
            Cause::InFlight(NOW),
            ItemKind::Gateway,
            0,
            format!("its request is in flight since {THEN}"),
        ),
        (
            Cause::Starting,
            ItemKind::Step,
            0,
            "goes out in this moment".to_owned(),
        ),
        (
            Cause::Paused,
            ItemKind::Step,
            0,
            "waits because its function is paused".to_owned(),
        ),
        (
            Cause::AppFull {
                used: 200,
                limit: 200,
            },
            ItemKind::Step,
            0,
            "waits because 200 of 200 calls of its app are in flight".to_owned(),
        ),
        (
            Cause::AppPaused(NOW),
            ItemKind::Step,
            0,
            format!("waits until {THEN}, because its app asked for a pause (429 or 503)"),
        ),
    ] {
        assert_eq!(told(cause, kind, attempt, None), expected);
    }
    let turn = told(Cause::Turn, ItemKind::Step, 0, Some(7));
    assert_eq!(turn, "waits for its turn; 7 items go before it");
}

fn run(end: Option<RunStatus>) -> RunView {
    let row = RunRow {
        seq: Seq(60),
        function: 0,
        version: 1,
        event: Seq(50),
        created: NOW,
        due: NOW,
        original: None,
        more: Vec::new(),
        flow: Vec::new(),
    };
    let end = end.map(|status| RunEnd {
        run: Seq(60),
        status,
        started: NOW,
        ended: NOW,
        output: Payload::null(),
        last: Seq(60),
        imaged: false,
    });
    RunView { row, end }
}

#[test]
fn a_waiting_run_shows_its_keys_and_each_item() {
    let item = ItemWaiting {
        item: Seq(0x4d),
        kind: ItemKind::Step,
        attempt: 1,
        cause: Cause::Rule(Box::new(held(Rule::Concurrency))),
        ahead: Some(3),
        expected: None,
    };
    let seen = Seen {
        waiting: RunWaiting {
            function: 0,
            begun: true,
            keys: vec![(Rule::Concurrency, "cus_1".to_owned())],
            items: vec![item],
        },
        ids: ids(),
        steps: BTreeMap::from([(Seq(0x4d), (Some("abc".to_owned()), "charge".to_owned()))]),
    };
    let shown = waiting::shown("RUN", &run(None), "shop-pay", Some(&seen), NOW);
    let message = shown["waitsFor"][0]["message"].clone();
    assert_eq!(
        shown,
        json!({
            "runId": "RUN",
            "functionId": "shop-pay",
            "status": "Running",
            "begun": true,
            "keys": [{"rule": "concurrency", "key": "cus_1"}],
            "waitsFor": [{
                "item": "000000000000004d",
                "kind": "step",
                "step": {"id": "abc", "name": "charge"},
                "attempt": 1,
                "cause": {
                    "kind": "rule",
                    "rule": "concurrency",
                    "scope": "fn",
                    "expression": "event.data.customer",
                    "key": "cus_1",
                    "limit": 2,
                    "used": 2,
                    "holders": ["RUN1", "RUN2"],
                    "next": null,
                },
                "message": message,
                "ahead": 3,
                "expectedAt": null,
            }],
        })
    );
}

#[test]
fn an_ended_run_waits_for_nothing() {
    let shown = waiting::shown("RUN", &run(Some(RunStatus::Failed)), "shop-pay", None, NOW);
    assert_eq!(shown["status"], "Failed");
    assert_eq!(
        (&shown["waitsFor"], &shown["keys"], &shown["begun"]),
        (&json!([]), &json!([]), &json!(true))
    );
}

#[test]
fn queues_show_totals_lanes_and_what_gathers() {
    let seen = Queues {
        lanes: vec![LaneView {
            keys: vec![(Rule::Concurrency, "cus_1".to_owned())],
            starts: 4,
            under_way: 1,
            in_flight: 2,
            oldest: Some(NOW.plus_ms(-1500)),
            cause: Some(Cause::Rule(Box::new(held(Rule::Concurrency)))),
        }],
        lanes_total: 9,
        queued: 5,
        starts: 4,
        in_flight: 2,
        held: 0,
        oldest: Some(NOW.plus_ms(5)),
        runs_in: vec![3, 60],
        runs_out: vec![1, 2],
        calls_out: vec![2, 7],
        gathering: vec![GatherView {
            rule: Rule::Batch,
            key: String::new(),
            events: 7,
            opened: NOW,
            due: NOW,
        }],
        gathering_total: 1,
    };
    let mut shown = queues::shown(&seen, &ids(), NOW);
    let lane = shown["lanes"][0].take();
    assert_eq!(
        shown,
        json!({
            "totals": {"queued": 5, "starts": 4, "inFlight": 2, "held": 0, "oldestAgeMs": 0},
            "perMinute": {"runsIn": [3, 60], "runsOut": [1, 2], "calls": [2, 7]},
            "lanes": [null],
            "lanesTotal": 9,
            "gathering": [{"rule": "batchEvents", "key": "", "events": 7, "openedAt": THEN,
                "dueAt": THEN}],
            "gatheringTotal": 1,
        })
    );
    assert_eq!(
        lane["keys"],
        json!([{"rule": "concurrency", "key": "cus_1"}])
    );
    let numbers = ["starts", "underWay", "inFlight", "oldestAgeMs"].map(|name| lane[name].clone());
    assert_eq!(
        numbers.as_slice(),
        json!([4, 1, 2, 1500]).as_array().unwrap().as_slice()
    );
    assert_eq!(lane["cause"]["holders"], json!(["RUN1", "RUN2"]));
    let said = lane["message"].as_str().unwrap();
    assert!(said.ends_with("held by RUN1, RUN2"), "{said}");
}

#[test]
fn a_dropped_event_names_the_rule_and_what_was_kept() {
    let one = Dropped {
        row: DroppedRow {
            event: Seq(5),
            function: 0,
            at: NOW,
            rule: Rule::RateLimit,
            key: "cus_1".to_owned(),
            kept: Some(Seq(4)),
        },
        kept: Some(Kept::Run("RUN4".to_owned())),
    };
    let shown: Value = dropped::shown(&one, None);
    assert_eq!(
        shown,
        json!({"eventId": null, "eventName": null, "at": THEN, "rule": "rateLimit",
            "key": "cus_1", "kept": {"kind": "run", "id": "RUN4"}})
    );
}
