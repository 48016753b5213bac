//! Stories that a reading of the engine found missing.

use crate::world::app::op;
use crate::world::{World, cancelled_on, event, keyed, retries, spec};
use dunlin_engine::{Op, OpKind, Reply, RunStatus};
use dunlin_types::{OutboundRequest, Payload, StepId};

fn value(text: &str) -> Payload {
    Payload::from_json(format!("\"{text}\""))
}

fn one(id: &str, kind: OpKind) -> Op {
    op(StepId::new(id), false, kind)
}

fn done(text: &str) -> Reply {
    Reply::Done(value(text))
}

#[test]
fn an_app_that_reports_nothing_does_not_hold_a_run_that_events_can_cancel() {
    let mut world = World::of("step unused");
    let f = cancelled_on(retries(spec("app-f", "go", None), 1), "stop", None);
    world.register(vec![f]);
    world.script("app-f", |_, _| Reply::Ops(Vec::new()));
    world.send(keyed("go", 1));
    world.run_for(600_000);
    assert_eq!(world.live_runs(), 0, "{}", world.text());
    assert_eq!(world.status(1), RunStatus::Failed);
    world.run_out();
}

fn deferred(slug: &str) -> OpKind {
    OpKind::DeferAdd(Payload::from_json(format!(
        "{{\"fn_slug\":\"{slug}\",\"input\":{{}},\"meta\":null}}"
    )))
}

#[test]
fn an_app_that_only_defers_does_not_hold_a_run() {
    let mut world = World::of("step unused");
    world.register(vec![retries(spec("app-f", "go", None), 1)]);
    world.script("app-f", |_, count| {
        Reply::Ops(vec![one(&format!("d{count}"), deferred("app-g"))])
    });
    world.send(keyed("go", 1));
    world.run_for(600_000);
    assert_eq!(world.live_runs(), 0, "{}", world.text());
    assert_eq!(world.status(1), RunStatus::Failed);
    world.run_out();
}

#[test]
fn what_is_deferred_and_taken_back_in_one_response_does_not_start() {
    let mut world = World::of("step unused");
    world.script("app-f", |_, count| match count {
        1 => Reply::Ops(vec![
            one("d", deferred("app-later")),
            one("x", OpKind::DeferAbort(StepId::new("d"))),
            one("a", OpKind::StepRun(value("1"))),
        ]),
        _ => done("end"),
    });
    world.send(keyed("go", 1));
    world.run_out();
    let deferred = |e: &&std::sync::Arc<dunlin_types::Event>| e.name == "inngest/deferred.schedule";
    assert_eq!(world.store.events.values().filter(deferred).count(), 0);
}

fn fetch(id: &str, bytes: usize) -> Op {
    let request = OutboundRequest {
        ai: false,
        method: "POST".to_owned(),
        url: "https://h/x".to_owned(),
        headers: Vec::new(),
        body: vec![b'x'; bytes].into(),
        shown: Payload::from_json("{\"url\":\"https://h/x\"}"),
    };
    one(id, OpKind::Gateway(Box::new(request)))
}

#[test]
fn a_request_that_was_answered_is_kept_no_longer() {
    let mut world = World::of("step unused");
    world.script("app-f", |_, count| match count {
        1 => Reply::Ops(vec![fetch("f", 10)]),
        _ => Reply::Ops(vec![one("s", OpKind::SleepFor(60_000))]),
    });
    world.send(event("go"));
    world.run_for(10_000);
    assert_eq!(world.live_runs(), 1, "{}", world.text());
}
