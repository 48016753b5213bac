//! Trees drawn from facts, as a reader of the API sees them.

use std::collections::BTreeMap;

use bytes::Bytes;
use dunlin_delivery::{
    AttemptHeaders, AttemptResult, AttemptRow, DeliveryRow, DeliveryState, Message, Trigger,
};
use dunlin_engine::{RunEnd, RunRow, RunStatus};
use dunlin_store::RunView;
use dunlin_trace::{Span, SpanStatus, StepInfo, Trace};
use dunlin_types::{Code, EventOrigin, Payload, Seq, Timestamp, ulid_for};
use serde_json::{Value, json};

use super::climb::sent_by;
use super::draw::draw;
use super::facts::{
    Asked, AttemptFacts, Below, Cut, DeliveryFacts, Door, EventFacts, Facts, FunctionName,
    MessageFacts, Root, RunFacts,
};
use crate::explain::Repeats;

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

fn one<T>(item: T) -> Cut<T> {
    Cut {
        shown: vec![item],
        more: 0,
    }
}

fn message(deliveries: Cut<DeliveryFacts>, states: Vec<DeliveryState>) -> MessageFacts {
    let message = Message {
        seq: Seq(10),
        at: NOW,
        app: Seq(0),
        source: None,
        event_type: "order.paid".to_owned(),
        provider_id: String::new(),
        headers: Vec::new(),
        channels: Vec::new(),
        tags: Vec::new(),
        deliver_at: None,
        expires: NOW,
        params: None,
        body: Bytes::new(),
        expired: false,
        body_hash: [0; 16],
        test: false,
    };
    MessageFacts {
        message: message.into(),
        door: Door::Api,
        app: ("app_1".to_owned(), "shop".to_owned()),
        repeats: Repeats::default(),
        states,
        deliveries,
        strays: Vec::new(),
    }
}

fn delivery(state: DeliveryState, attempts: Cut<AttemptFacts>) -> DeliveryFacts {
    DeliveryFacts {
        row: DeliveryRow {
            seq: Seq(11),
            message: Seq(10),
            endpoint: Seq(3),
            trigger: Trigger::Scheduled,
            state,
            tries: 1,
            next_at: None,
            created: NOW,
            ended: Some(NOW.plus_ms(20)),
            code: None,
            rivals: false,
            order_key: None,
        },
        endpoint: ("ep_1".to_owned(), "mine".to_owned()),
        has_script: false,
        attempts,
    }
}

fn attempt(result: AttemptResult, code: Option<Code>) -> AttemptFacts {
    AttemptFacts {
        row: AttemptRow {
            seq: Seq(12),
            delivery: Seq(11),
            message: Seq(10),
            endpoint: Seq(3),
            at: NOW,
            duration_ms: 7,
            attempt_no: 1,
            trigger: Trigger::Scheduled,
            result,
            status: 0,
            code,
            detail: String::new(),
            url: "https://me:pw@example.com:8443/secret?key=1".to_owned(),
            response: Bytes::new(),
            headers: AttemptHeaders::default(),
            logs: Vec::new(),
            event: None,
            next_at: None,
        },
        event: None,
    }
}

fn event(seq: u64, runs: Cut<RunFacts>) -> EventFacts {
    EventFacts {
        seq: Seq(seq),
        id: ulid_for(NOW, Seq(seq)),
        name: format!("event-{seq}"),
        sender_id: None,
        at: NOW,
        origin: EventOrigin::Api,
        runs,
        is_elsewhere: false,
    }
}

fn run(seq: u64, steps: Vec<Span>) -> RunFacts {
    let trace = Trace {
        run: ulid_for(NOW, Seq(seq)),
        root: Span {
            status: SpanStatus::Completed,
            started: Some(NOW.plus_ms(5)),
            children: steps,
            ..Span::default()
        },
        parent: None,
        original: None,
        cancelled: None,
        skipped: None,
    };
    let end = RunEnd {
        run: Seq(seq),
        status: RunStatus::Completed,
        started: NOW.plus_ms(5),
        ended: NOW.plus_ms(30),
        output: Payload::null(),
        last: Seq(seq),
        imaged: false,
    };
    let row = RunRow {
        seq: Seq(seq),
        function: 0,
        version: 1,
        event: Seq(seq - 1),
        created: NOW,
        due: NOW,
        original: None,
        more: Vec::new(),
        flow: Vec::new(),
    };
    RunFacts {
        view: RunView {
            row,
            end: Some(end),
        },
        function: FunctionName {
            id: "shop-f".to_owned(),
            name: "F".to_owned(),
        },
        batch: Vec::new(),
        trace: Some(trace),
        steps_more: 0,
        below: BTreeMap::new(),
        told: Vec::new(),
        is_elsewhere: false,
    }
}

fn step(id: &str) -> Span {
    Span {
        id: id.to_owned(),
        name: format!("step {id}"),
        status: SpanStatus::Completed,
        info: Some(StepInfo::Run(None)),
        attempts: 1,
        ..Span::default()
    }
}

fn drawn(root: Root, asked: Asked) -> Value {
    let facts = Facts {
        root,
        asked,
        more_above: false,
    };
    serde_json::to_value(draw(&facts)).unwrap()
}

#[test]
fn what_was_left_out_is_told_where_it_is_left_out() {
    let mut run = run(21, vec![step("s1")]);
    run.steps_more = 4;
    let events = Cut {
        shown: Vec::new(),
        more: 2,
    };
    let below = Below {
        events,
        ..Below::default()
    };
    run.below.insert("s1".to_owned(), below);
    let mut runs = one(run);
    runs.more = 1;
    let facts = Facts {
        root: Root::Event(Box::new(event(20, runs))),
        asked: Asked::Row(Seq(20)),
        more_above: true,
    };
    let tree = serde_json::to_value(draw(&facts)).unwrap();
    let run = &tree["children"][0];
    assert_eq!(
        (&tree["more"], &tree["moreAbove"]),
        (&json!(1), &json!(true))
    );
    assert_eq!(run["more"], 4);
    assert_eq!(run["children"][0]["more"], 2);

    let mut attempts = one(attempt(AttemptResult::Succeeded, None));
    attempts.more = 5;
    let mut deliveries = one(delivery(DeliveryState::Succeeded, attempts));
    deliveries.more = 6;
    let states = vec![DeliveryState::Succeeded; 7];
    let tree = drawn(
        Root::Message(Box::new(message(deliveries, states))),
        Asked::Request,
    );
    let message = &tree["children"][0];
    assert_eq!(
        (&message["more"], &message["status"]),
        (&json!(6), &json!("done"))
    );
    assert_eq!(message["children"][0]["more"], 5);
    assert!(tree.get("more").is_none() && tree.get("moreAbove").is_none());
}

#[test]
fn a_run_whose_steps_were_not_read_says_so() {
    let mut run = run(21, Vec::new());
    (run.trace, run.steps_more) = (None, 1);
    let tree = drawn(Root::Run(Box::new(run)), Asked::Row(Seq(21)));
    assert_eq!(
        (&tree["status"], &tree["more"]),
        (&json!("notRead"), &json!(1))
    );
    assert_eq!(tree["asked"], true);
    assert!(tree.get("explain").is_none(), "its event is not there");
}

#[test]
fn an_event_that_two_steps_name_is_drawn_once_and_marked_once() {
    let mut run = run(21, vec![step("s1"), step("s2")]);
    let mut second = event(30, Cut::default());
    second.is_elsewhere = true;
    for (id, event) in [("s1", event(30, Cut::default())), ("s2", second)] {
        let below = Below {
            events: one(event),
            ..Below::default()
        };
        run.below.insert(id.to_owned(), below);
    }
    let tree = drawn(Root::Run(Box::new(run)), Asked::Row(Seq(30)));
    let of_step = |n: usize| &tree["children"][n]["children"][0];
    assert_eq!(of_step(0)["asked"], true);
    assert!(of_step(1).get("asked").is_none());
    assert_eq!(of_step(1)["detail"]["shownElsewhere"], true);
}

#[test]
fn reasons_begin_with_their_code_and_urls_end_with_their_host() {
    let failed = attempt(AttemptResult::Failed, Some(Code::DeliveryTimedOut));
    let deliveries = one(delivery(DeliveryState::Failed, one(failed)));
    let states = vec![DeliveryState::Failed];
    let tree = drawn(
        Root::Message(Box::new(message(deliveries, states))),
        Asked::Row(Seq(12)),
    );
    let attempt = &tree["children"][0]["children"][0]["children"][0];
    assert_eq!(attempt["asked"], true);
    let (code, title) = (Code::DeliveryTimedOut, Code::DeliveryTimedOut.title());
    assert_eq!(attempt["reason"], format!("{code}: {title}"));
    assert_eq!(attempt["code"], code.to_string());
    assert_eq!(attempt["detail"]["url"], "https://example.com:8443");
    assert_eq!(attempt["durationMs"], 7);
    assert_eq!(
        tree["children"][0]["children"][0]["reason"],
        attempt["reason"]
    );
}

#[test]
fn a_run_lasts_from_its_first_call_and_its_steps_have_ids_of_their_own() {
    let run = run(21, vec![step("s1")]);
    let id = run.id().to_string();
    let tree = drawn(Root::Run(Box::new(run)), Asked::Row(Seq(21)));
    assert_eq!(
        (&tree["kind"], &tree["durationMs"]),
        (&json!("run"), &json!(25))
    );
    let step = &tree["children"][0];
    assert_eq!(
        (&step["kind"], &step["detail"]["op"]),
        (&json!("step"), &json!("run"))
    );
    assert_eq!(step["id"], format!("{id}.s1"));
}

#[test]
fn the_results_of_sending_steps_are_known_in_all_sdks_and_others_are_not() {
    let id = "01M7ZXAGFHGABZQTJEA5599H5R";
    let of = |value: Value| sent_by(&Payload::from_json(value.to_string()));
    let expected = vec![id.parse().unwrap()];
    assert_eq!(of(json!({"ids": [id]})), expected);
    assert_eq!(of(json!([id])), expected);
    assert_eq!(of(json!(id)), expected);
    assert_eq!(of(json!({"ids": [id, ""]})), expected, "one was refused");
    for other in [
        json!(null),
        json!({"ids": 1}),
        json!({"id": id}),
        json!([1]),
        json!("no"),
    ] {
        assert_eq!(of(other.clone()), [], "{other}");
    }
}
