//! Stories that a reading of the engine found missing.

use crate::world::app::op;
use crate::world::{START, World, cancelled_on, event, keyed, retries, spec};
use dunlin_engine::config::CancelRule;
use dunlin_engine::{Answer, Input, Op, OpKind, Reply, RunStatus};
use dunlin_types::{NewEvent, OutboundRequest, Payload, StepId};

fn value(text: &str) -> Payload {
    Payload::from_json(format!("\"{text}\""))
}

fn one(id: &str, kind: OpKind) -> Op {
    op(StepId::new(id), false, kind)
}

fn done(text: &str) -> Reply {
    Reply::Done(value(text))
}

/// Of any event of that name.
fn cancelled_by(slug: &str, by: &str, name: &str) -> dunlin_engine::config::FunctionSpec {
    let mut spec = cancelled_on(spec(slug, by, None), name, None);
    spec.cancel = vec![CancelRule {
        event: name.to_owned(),
        condition: None,
        until: None,
    }];
    spec
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

#[test]
fn an_invoked_run_is_not_cancelled_by_the_event_that_starts_it() {
    let mut world = World::of("invoke i app-g 60000");
    world.register(vec![
        spec("app-f", "go", None),
        cancelled_by("app-g", "other", "inngest/function.invoked"),
    ]);
    world.program("app-g", "step b");
    world.send(keyed("go", 1));
    world.run_out();
    assert_eq!(world.status(2), RunStatus::Completed, "{}", world.text());
    let memo = world.store.results_of(world.run(1), "i");
    assert_eq!(memo, "\"b\"");
}

#[test]
fn a_run_is_not_cancelled_by_an_event_that_is_older_than_it_is() {
    let mut world = World::of("fatal");
    world.register(vec![
        spec("app-f", "go", None),
        spec("app-log", "inngest/function.failed", None),
        cancelled_by(
            "app-h",
            "inngest/function.finished",
            "inngest/function.failed",
        ),
    ]);
    world.program("app-h", "step b");
    world.program("app-log", "step noted");
    world.send(keyed("go", 1));
    world.run_out();
    assert_eq!(world.status(1), RunStatus::Failed, "{}", world.text());
    assert_eq!(world.lines("Completed").len(), 2, "{}", world.text());
}

#[test]
fn the_result_of_an_invocation_is_that_of_the_function_invoked() {
    let mut world = World::of("invoke i app-g 60000");
    world.register(vec![
        spec("app-f", "go", None),
        spec("app-g", "other", None),
        spec("app-log", "inngest/function.invoked", None),
    ]);
    world.program("app-g", "sleep s 5000 step b");
    world.program("app-log", "step noted");
    world.send(keyed("go", 1));
    world.run_out();
    let memo = world.store.results_of(world.run(1), "i");
    assert_eq!(memo, "\"s b\"", "{}", world.text());
}

#[test]
fn a_function_that_is_invoked_and_triggered_by_invocations_starts_once() {
    let mut world = World::of("invoke i app-g 60000");
    world.register(vec![
        spec("app-f", "go", None),
        spec("app-g", "inngest/function.invoked", None),
    ]);
    world.program("app-g", "step b");
    world.send(keyed("go", 1));
    world.run_out();
    assert_eq!(world.store.runs.len(), 2, "{}", world.text());
    let token = world.token();
    world.input(Input::Invoke {
        token,
        function: "app-g".to_owned(),
        event: Box::new(event("x")),
    });
    world.run_out();
    assert_eq!(world.store.runs.len(), 3, "{}", world.text());
}

fn identified(name: &str) -> NewEvent {
    NewEvent {
        id: Some("order-1".to_owned()),
        ..event(name)
    }
}

#[test]
fn an_invocation_under_the_id_of_an_event_before_it_tells_the_run_of_that_event() {
    let mut world = World::of("step a");
    world.send(identified("go"));
    world.run_out();
    let token = world.token();
    world.input(Input::Invoke {
        token,
        function: "app-f".to_owned(),
        event: Box::new(identified("go")),
    });
    world.run_out();
    let run = world.run(1);
    assert!(
        matches!(world.answers[&token], Answer::StartedBefore(before) if before == run),
        "{:?}",
        world.answers[&token]
    );
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

#[test]
fn a_wait_that_reads_a_deeply_nested_event_outlives_a_restart() {
    for levels in 110..=128 {
        let deep = format!("{}1{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        let mut world = World::of("step unused");
        let f = cancelled_by("app-f", "go", "stop");
        let rule = CancelRule {
            condition: Some("event.data.k == async.data.k".to_owned()),
            ..f.cancel[0].clone()
        };
        world.register(vec![dunlin_engine::config::FunctionSpec {
            cancel: vec![rule],
            ..f
        }]);
        world.script("app-f", |_, count| match count {
            1 => Reply::Ops(vec![one(
                "w",
                OpKind::WaitForEvent {
                    event: "paid".to_owned(),
                    condition: Some("event.data.k == async.data.k".to_owned()),
                    until: START.plus_ms(60_000),
                },
            )]),
            _ => done("end"),
        });
        let data = Payload::from_json(format!("{{\"k\":{deep}}}"));
        world.send(NewEvent {
            data,
            ..event("go")
        });
        world.run_for(10_000);
        world.restart(true);
        world.run_out();
    }
}

#[test]
fn a_run_whose_first_call_a_crash_cut_off_has_begun_all_the_same() {
    let mut world = World::of("step a");
    world.delays.call = 10_000;
    let mut f = spec("app-f", "go", None);
    f.timeouts.start_ms = Some(5_000);
    f.config = Payload::from_json("{\"t\":1}");
    world.register(vec![f]);
    world.send(event("go"));
    world.run_for(4_500);
    world.crash();
    world.run_out();
    assert_eq!(world.status(1), RunStatus::Completed, "{}", world.text());
}

#[test]
fn a_group_with_an_invocation_that_is_skipped_is_discovered_once() {
    let mut world = World::of("par [ invoke i app-g 60000 caught | step a ] step b");
    world.register(vec![
        spec("app-f", "go", None),
        spec("app-g", "other", None),
    ]);
    world.pause(1, true);
    world.send(keyed("go", 1));
    world.run_out();
    assert_eq!(world.lines("r1 call -").len(), 3, "{}", world.text());
}

#[test]
fn a_run_defers_so_many_functions_and_no_more() {
    let mut world = World::of("step unused");
    world.script("app-f", |_, count| {
        if count > 3 {
            return done("end");
        }
        let many = (0..100).map(|n| one(&format!("d{count}-{n}"), deferred("app-g")));
        let step = one(&format!("a{count}"), OpKind::StepRun(value("1")));
        Reply::Ops(many.chain([step]).collect())
    });
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.status(1), RunStatus::Completed, "{}", world.text());
    let deferred = |e: &&std::sync::Arc<dunlin_types::Event>| e.name == "inngest/deferred.schedule";
    let count = world.store.events.values().filter(deferred).count();
    assert_eq!(count, dunlin_types::limits::DEFERS_PER_RUN_MAX);
}

#[test]
fn a_server_that_stops_leaves_what_is_due_to_the_next_one() {
    let mut world = World::of("wait w paid 600000");
    world.delays.call = 0;
    for _ in 0..300 {
        world.send(event("go"));
    }
    world.run_for(10_000);
    world.send(event("paid"));
    world.drain();
    world.run_for(60_000);
    assert_eq!(
        world.store.claims.len(),
        1,
        "it stops before all is worked off"
    );
    world.restart(true);
    world.run_out();
    assert_eq!(world.lines("Completed \"w\"").len(), 300);
}
