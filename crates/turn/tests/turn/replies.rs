//! Stories of apps that report late, twice, out of order, or against what they reported before.

use dunlin_engine::{Answer, Checkpoint, Input, Op, OpKind, Reply, RunStatus};
use dunlin_types::{Code, Payload, StepId};

use crate::scenarios::check;
use crate::world::app::{Sdk, failed, op};
use crate::world::{START, World, event, keyed, spec};

fn value(text: &str) -> Payload {
    Payload::from_json(format!("\"{text}\""))
}

fn ran(id: &str, text: &str) -> Op {
    op(StepId::new(id), false, OpKind::StepRun(value(text)))
}

fn planned(id: &str) -> Op {
    op(StepId::new(id), false, OpKind::StepPlanned)
}

fn wait(id: &str) -> Op {
    let kind = OpKind::WaitForEvent {
        event: "paid".to_owned(),
        condition: None,
        until: START.plus_ms(600_000),
    };
    op(StepId::new(id), false, kind)
}

fn sleep(id: &str, ms: i64) -> Op {
    op(StepId::new(id), false, OpKind::SleepFor(ms))
}

fn done(text: &str) -> Reply {
    Reply::Done(value(text))
}

/// A world whose app gives these answers, one a call, and after that says that it is done.
fn scripted(answers: Vec<Vec<Op>>) -> World {
    let mut world = World::of("step unused");
    world.script("app-f", move |_, count| {
        answers
            .get(count - 1)
            .map_or_else(|| done("end"), |ops| Reply::Ops(ops.clone()))
    });
    world.send(keyed("go", 1));
    world
}

#[test]
fn a_wait_that_is_reported_again_stays_as_it_is() {
    let mut world = scripted(vec![
        vec![wait("w"), planned("a")],
        vec![ran("a", "1")],
        vec![wait("w")],
    ]);
    world.run_for(20_000);
    assert_eq!(
        world
            .store
            .steps
            .values()
            .filter(|row| row.id == Some(StepId::new("w")))
            .count(),
        1
    );
    world.send(event("paid"));
    world.run_out();
    assert_eq!(world.status(1), RunStatus::Completed);
}

#[test]
fn a_wait_is_not_ended_by_a_result_that_somebody_else_reports() {
    let mut world = scripted(vec![
        vec![wait("w"), planned("a")],
        vec![ran("w", "forged"), ran("a", "1")],
    ]);
    world.run_for(20_000);
    assert!(
        !world
            .store
            .results
            .contains_key(&(world.run(1), StepId::new("w")))
    );
    world.send(event("paid"));
    world.run_out();
    let memo = world.store.results_of(world.run(1), "w");
    assert!(memo.contains("\"paid\""), "{memo}");
}

#[test]
fn the_first_result_of_a_step_holds() {
    let mut world = scripted(vec![
        vec![ran("a", "first")],
        vec![
            ran("a", "second"),
            op(StepId::new("a"), false, OpKind::StepFailed(value("x"))),
            planned("a"),
            ran("b", "1"),
        ],
    ]);
    world.run_out();
    assert_eq!(world.store.results_of(world.run(1), "a"), "\"first\"");
    assert_eq!(world.status(1), RunStatus::Completed);
}

#[test]
fn of_two_reports_in_one_response_the_first_holds() {
    let mut world = scripted(vec![vec![
        ran("a", "first"),
        ran("a", "second"),
        sleep("a", 5),
    ]]);
    world.run_out();
    assert_eq!(world.store.results_of(world.run(1), "a"), "\"first\"");
    assert_eq!(world.store.steps.len(), 1);
}

#[test]
fn a_step_that_was_asleep_and_is_now_a_wait_stays_asleep() {
    let mut world = scripted(vec![
        vec![sleep("s", 50_000), planned("a")],
        vec![ran("a", "1")],
        vec![wait("s")],
    ]);
    world.run_for(20_000);
    world.send(event("paid"));
    world.run_out();
    assert_eq!(world.store.results_of(world.run(1), "s"), "");
    assert_eq!(world.status(1), RunStatus::Completed);
}

#[test]
fn a_run_that_returns_while_it_waits_is_over() {
    let mut world = scripted(vec![
        vec![wait("w"), planned("a")],
        vec![ran("a", "1")],
        vec![],
    ]);
    world.sdk = Sdk {
        version: Some(1),
        checkpoints: false,
    };
    world.run_for(2_000);
    world.script("app-f", |call, _| match &call.target {
        Some(_) => Reply::Ops(vec![ran("a", "1")]),
        None => done("early"),
    });
    world.run_for(20_000);
    assert_eq!(world.status(1), RunStatus::Completed);
    world.send(event("paid"));
    world.run_out();
    assert!(
        !world
            .store
            .results
            .contains_key(&(world.run(1), StepId::new("w")))
    );
}

#[test]
fn the_last_of_a_group_is_discovered_once_whatever_the_order() {
    let mut world =
        World::of("par [ wait w paid 600000 | sleep s 9000 | step a | signal g ok 600000 ] step b");
    world.send(event("go"));
    world.run_for(30_000);
    world.signal("ok");
    world.run_for(5_000);
    assert_eq!(world.lines("call -").len(), 1, "{}", world.text());
    world.send(event("paid"));
    world.run_out();
    // The first, the one that the group's end asks for, and the one after b.
    assert_eq!(world.lines("call -").len(), 3, "{}", world.text());
    assert!(
        world.text().contains("Completed \"w s a g b\""),
        "{}",
        world.text()
    );
}

#[test]
fn in_version_1_each_end_is_discovered() {
    let mut world = World::of("par [ wait w paid 600000 | sleep s 9000 ] step b");
    world.sdk = Sdk {
        version: Some(1),
        checkpoints: false,
    };
    world.send(event("go"));
    world.run_for(30_000);
    world.send(event("paid"));
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 wait w paid, sleep s 9000
        10250ms r1 call - #0 [s] plan
        11250ms r1 wait w paid
        30s r1 call - #0 [s w] plan
        31s r1 plan b
        31250ms r1 call b #0 [s w] plan
        32250ms r1 ran b
        32500ms r1 call - #0 [s w b] plan
        33500ms r1 returns "w s b"
        33750ms r1 Completed "w s b"
    "#,
    );
}

#[test]
fn a_failed_attempt_of_a_step_that_is_done_meanwhile_changes_nothing() {
    // The app reports the step, and then says that the call in which it did so failed.
    let mut world = World::of("step unused");
    world.script("app-f", |call, count| match count {
        1 => failed("broken pipe", Some(1_000), false),
        _ => done(&call.state.stack.len().to_string()),
    });
    world.send(event("go"));
    world.run_for(500);
    let run = world.run(1);
    let token = world.token();
    world.input(Input::Checkpoint(Checkpoint {
        token,
        run,
        created: world.store.runs[&run].created,
        item: run,
        generation: None,
        started: world.now,
        ops: vec![ran("a", "kept")],
    }));
    world.run_out();
    assert!(matches!(world.answers[&token], Answer::Checkpointed));
    assert_eq!(world.store.results_of(run, "a"), "\"kept\"");
    assert!(world.text().contains("Completed \"1\""), "{}", world.text());
}

#[test]
fn a_report_of_a_run_that_has_ended_is_refused() {
    let mut world = World::of("step a");
    world.send(event("go"));
    world.run_out();
    let (run, token) = (world.run(1), world.token());
    world.input(Input::Checkpoint(Checkpoint {
        token,
        run,
        created: world.store.runs[&run].created,
        item: run,
        generation: None,
        started: world.now,
        ops: vec![ran("b", "late")],
    }));
    world.run_out();
    assert!(matches!(
        world.answers[&token],
        Answer::CheckpointRefused(Code::RunEnded, _)
    ));
}

#[test]
fn when_everything_reports_nothing_the_run_does_not_hang() {
    let mut world = scripted(vec![
        vec![wait("w"), planned("a")],
        vec![op(StepId::new(""), false, OpKind::None)],
        vec![],
    ]);
    world.run_for(1_000);
    world.script("app-f", |_, _| Reply::Ops(Vec::new()));
    world.run_for(3_000_000);
    assert_eq!(world.status(1), RunStatus::Failed, "{}", world.text());
    world.run_out();
}

#[test]
fn a_result_after_the_wait_has_run_out_comes_too_late() {
    let mut world = World::of("wait w paid 10000 step a");
    world.register(vec![spec("app-f", "go", None)]);
    world.send(event("go"));
    world.run_for(60_000);
    world.send(event("paid"));
    world.run_out();
    assert!(
        world.text().contains("Completed \"?w a\""),
        "{}",
        world.text()
    );
    assert_eq!(world.store.results_of(world.run(1), "w"), "");
}
