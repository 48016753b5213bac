//! One story a behaviour: a program goes in, and what was called and came of it is compared.

use crate::world::app::{Sdk, failed, op};
use crate::world::{START, World, event, retries, seeded, spec};
use dunlin_engine::{Answer, Input, Options, Reply, RunStatus};
use dunlin_types::{Code, NewEvent, Payload};

#[track_caller]
pub(crate) fn check(world: &World, expected: &str) {
    let lines: Vec<&str> = expected
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    assert!(
        world.text() == lines.join("\n"),
        "<<<<\n{}\n>>>>",
        world.text()
    );
}

pub(crate) fn story(program: &str) -> World {
    let mut world = World::of(program);
    world.send(event("go"));
    world.run_out();
    world
}

/// Version 1, or whatever else.
fn story_as(sdk: Sdk, program: &str) -> World {
    let mut world = World::of(program);
    world.sdk = sdk;
    world.send(event("go"));
    world.run_out();
    world
}

const V1: Sdk = Sdk {
    version: Some(1),
    checkpoints: false,
};
const CHECKPOINTS: Sdk = Sdk {
    version: Some(2),
    checkpoints: true,
};

#[test]
fn steps_in_sequence() {
    check(
        &story("step a step b"),
        r#"
        0s r1 call - #0 []
        1s r1 ran a
        1250ms r1 call - #0 [a]
        2250ms r1 ran b
        2500ms r1 call - #0 [a b]
        3500ms r1 returns "a b"
        3750ms r1 Completed "a b"
    "#,
    );
}

#[test]
fn a_run_writes_one_row_a_step() {
    let mut world = World::of("loop 20 [ step a ]");
    let before = world.store.writes;
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.store.steps.len(), 20);
    // Event and run; one row a step; end and what is told of it.
    assert_eq!(world.store.writes - before, 2 + 20 + 2);
    let mut world = World::of("step a throw");
    world.register(vec![retries(spec("app-f", "go", None), 0)]);
    let before = world.store.writes;
    let seed = Some(seeded(1));
    let id = Some("order-1".to_owned());
    world.send(NewEvent {
        id,
        seeded: seed,
        ..event("go")
    });
    world.run_out();
    assert_eq!(world.store.writes - before, 4 + 1 + 3);
}

#[test]
fn a_repeated_id_is_another_step() {
    check(
        &story("loop 3 [ step a ]"),
        r#"
        0s r1 call - #0 []
        1s r1 ran a
        1250ms r1 call - #0 [a]
        2250ms r1 ran a:1
        2500ms r1 call - #0 [a a:1]
        3500ms r1 ran a:2
        3750ms r1 call - #0 [a a:1 a:2]
        4750ms r1 returns "a a:1 a:2"
        5s r1 Completed "a a:1 a:2"
    "#,
    );
}

#[test]
fn parallel_steps_of_version_2_are_discovered_once() {
    let world = story("par [ step a | step b | step c ] step d");
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 plan a, plan b, plan c
        1250ms r1 call a #0 [] plan
        1250ms r1 call b #0 [] plan
        1250ms r1 call c #0 [] plan
        2250ms r1 ran a
        2250ms r1 ran b
        2250ms r1 ran c
        2500ms r1 call - #0 [a b c]
        3500ms r1 ran d
        3750ms r1 call - #0 [a b c d]
        4750ms r1 returns "a b c d"
        5s r1 Completed "a b c d"
    "#,
    );
    assert_eq!(world.store.discoveries(world.run(1)), 3);
}

#[test]
fn parallel_steps_of_version_1_are_discovered_one_by_one() {
    let world = story_as(V1, "par [ step a | step b ] step d");
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 plan a, plan b
        1250ms r1 call a #0 [] plan
        1250ms r1 call b #0 [] plan
        2250ms r1 ran a
        2250ms r1 ran b
        2500ms r1 call - #0 [a] plan
        2500ms r1 call - #0 [a b] plan
        3500ms r1 plan b
        3500ms r1 plan d
        3750ms r1 call d #0 [a b] plan
        4750ms r1 ran d
        5s r1 call - #0 [a b d] plan
        6s r1 returns "a b d"
        6250ms r1 Completed "a b d"
    "#,
    );
}

#[test]
fn a_race_goes_on_with_the_first() {
    check(
        &story("race [ step a | sleep s 60000 ] step b"),
        r#"
        0s r1 call - #0 []
        1s r1 plan a, sleep s 60000
        1250ms r1 call a #0 [] plan
        2250ms r1 ran a
        2500ms r1 call - #0 [a] plan
        3500ms r1 sleep s 60000, plan b
        3750ms r1 call b #0 [a] plan
        4750ms r1 ran b
        5s r1 call - #0 [a b] plan
        6s r1 returns "a b"
        6250ms r1 Completed "a b"
    "#,
    );
}

#[test]
fn parallel_branches_of_several_steps() {
    check(
        &story("par [ step a step b | sleep s 10000 ] step c"),
        r#"
        0s r1 call - #0 []
        1s r1 plan a, sleep s 10000
        1250ms r1 call a #0 [] plan
        2250ms r1 ran a
        11250ms r1 call - #0 [a s]
        12250ms r1 ran b
        12500ms r1 call - #0 [a s b]
        13500ms r1 ran c
        13750ms r1 call - #0 [a s b c]
        14750ms r1 returns "a b s c"
        15s r1 Completed "a b s c"
    "#,
    );
}

#[test]
fn a_sleep_wakes_on_time() {
    check(
        &story("step a sleep s 3600000 until u 3610000 step b"),
        r#"
        0s r1 call - #0 []
        1s r1 ran a
        1250ms r1 call - #0 [a]
        2250ms r1 sleep s 3600000
        3602500ms r1 call - #0 [a s]
        3603500ms r1 until u 3610s
        3610s r1 call - #0 [a s u]
        3611s r1 ran b
        3611250ms r1 call - #0 [a s u b]
        3612250ms r1 returns "a s u b"
        3612500ms r1 Completed "a s u b"
    "#,
    );
}

#[test]
fn a_sleep_until_the_past_is_over_at_once() {
    check(
        &story("until u -5000 step b"),
        r#"
        0s r1 call - #0 []
        1s r1 until u -5s
        1250ms r1 call - #0 [u]
        2250ms r1 ran b
        2500ms r1 call - #0 [u b]
        3500ms r1 returns "u b"
        3750ms r1 Completed "u b"
    "#,
    );
}

#[test]
fn a_sleep_of_more_than_a_year_fails_the_run() {
    check(
        &story("sleep s 31622400001"),
        r#"
        0s r1 call - #0 []
        1s r1 sleep s 31622400001
        1250ms r1 Failed {"code":"E0517","error":"the sleep \"s\" ends more than 366 days from now","message":"the sleep \"s\" ends more than 366 days from now","name":"InngestErrTimeoutTooLong"}
    "#,
    );
}

#[test]
fn a_step_that_fails_is_tried_again_with_backoff() {
    let mut world = World::of("step a fails 2 step b");
    world.with_options(Options {
        retry_interval_ms: Some(7000),
        ..Options::default()
    });
    world.send(event("go"));
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 error a
        8250ms r1 call - #1 []
        9250ms r1 error a
        16500ms r1 call - #2 []
        17500ms r1 ran a
        17750ms r1 call - #0 [a]
        18750ms r1 ran b
        19s r1 call - #0 [a b]
        20s r1 returns "a b"
        20250ms r1 Completed "a b"
    "#,
    );
}

#[test]
fn backoff_follows_the_table() {
    let world = story("step a fails 4");
    let calls: Vec<i64> = world
        .lines("call -")
        .iter()
        .map(|line| seconds(line))
        .collect();
    for (gap, base) in calls.windows(2).map(|w| w[1] - w[0]).zip([15, 30, 60, 120]) {
        // The call takes a second and its answer a quarter.
        assert!((base + 1..=base + 32).contains(&gap), "{gap} {base}");
    }
    assert_eq!(world.status(1), RunStatus::Completed);
}

/// The instant of a line, in whole seconds.
fn seconds(line: &str) -> i64 {
    let clock = line.split(' ').next().unwrap_or_default();
    let number = |text: &str| text.parse::<i64>().expect("a number");
    match clock.strip_suffix("ms") {
        Some(ms) => number(ms) / 1000,
        None => number(clock.trim_end_matches('s')),
    }
}

#[test]
fn a_caught_error_lets_the_function_go_on() {
    check(
        &story("step a fatal caught step b"),
        r#"
        0s r1 call - #0 []
        1s r1 failed a
        1250ms r1 call - #0 [a]
        2250ms r1 ran b
        2500ms r1 call - #0 [a b]
        3500ms r1 returns "!a b"
        3750ms r1 Completed "!a b"
    "#,
    );
}

#[test]
fn an_uncaught_error_fails_the_run() {
    check(
        &story("step a fatal step b"),
        r#"
        0s r1 call - #0 []
        1s r1 failed a
        1250ms r1 call - #0 [a]
        2250ms r1 throws {"message":"uncaught a"}
        2500ms r1 Failed {"message":"uncaught a"}
    "#,
    );
}

#[test]
fn a_step_without_attempts_left_fails_for_good() {
    let mut world = World::of("par [ step a fails 9 caught after 5000 | step b ]");
    world.register(vec![retries(spec("app-f", "go", None), 1)]);
    world.send(event("go"));
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 plan a, plan b
        1250ms r1 call a #0 [] plan
        1250ms r1 call b #0 [] plan
        2250ms r1 error a
        2250ms r1 ran b
        7500ms r1 call a #1 [b] plan
        8500ms r1 failed a
        8750ms r1 call - #0 [b a]
        9750ms r1 returns "!a b"
        10s r1 Completed "!a b"
    "#,
    );
}

#[test]
fn retry_after_is_obeyed() {
    check(
        &story("step a fails 1 after 90000 throw 1 after 500"),
        r#"
        0s r1 call - #0 []
        1s r1 error a
        91250ms r1 call - #1 []
        92250ms r1 ran a
        92500ms r1 call - #0 [a]
        93500ms r1 throws {"message":"function threw"}
        94750ms r1 call - #1 [a]
        95750ms r1 returns "a"
        96s r1 Completed "a"
    "#,
    );
}

#[test]
fn a_final_error_of_the_function_is_not_retried() {
    check(
        &story("step a par [ fatal ]"),
        r#"
        0s r1 call - #0 []
        1s r1 ran a
        1250ms r1 call - #0 [a]
        2250ms r1 throws {"message":"function gave up"}
        2500ms r1 Failed {"message":"function gave up"}
    "#,
    );
}

#[test]
fn attempts_are_counted_for_each_item() {
    check(
        &story("step a fails 1 after 1000 step b fails 1 after 1000"),
        r#"
        0s r1 call - #0 []
        1s r1 error a
        2250ms r1 call - #1 []
        3250ms r1 ran a
        3500ms r1 call - #0 [a]
        4500ms r1 error b
        5750ms r1 call - #1 [a]
        6750ms r1 ran b
        7s r1 call - #0 [a b]
        8s r1 returns "a b"
        8250ms r1 Completed "a b"
    "#,
    );
}

#[test]
fn a_failure_handler_runs_once_and_not_for_itself() {
    let mut world = World::of("fatal");
    let only = Some("event.data.function_id == 'app-f'");
    let handler = spec("app-f-failure", "inngest/function.failed", only);
    world.register(vec![spec("app-f", "go", None), handler]);
    world.program("app-f-failure", "step tell fatal");
    world.send(event("go"));
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 throws {"message":"function gave up"}
        1250ms r1 Failed {"message":"function gave up"}
        1250ms r2 call - #0 []
        2250ms r2 failed tell
        2500ms r2 call - #0 [tell]
        3500ms r2 throws {"message":"uncaught tell"}
        3750ms r2 Failed {"message":"uncaught tell"}
    "#,
    );
    let event = world
        .store
        .events
        .values()
        .find(|e| e.name.ends_with("failed"))
        .unwrap();
    let first = &world.store.runs[&world.run(1)];
    assert_eq!(
        event.id,
        dunlin_types::ulid_for(first.created, first.seq).to_string()
    );
    assert!(
        event.data.as_str().contains("\"function_id\":\"app-f\""),
        "{:?}",
        event.data
    );
    assert!(
        event.data.as_str().contains("function gave up"),
        "{:?}",
        event.data
    );
    // The handler failed too, and nobody was told.
    assert_eq!(world.status(2), RunStatus::Failed);
    assert_eq!(world.store.runs.len(), 2);
}

#[test]
fn an_event_id_starts_a_function_once_in_a_day() {
    let mut world = World::of("step a");
    world.register(vec![spec("app-f", "go", None), spec("app-g", "go", None)]);
    world.program("app-g", "step b");
    let again = || NewEvent {
        id: Some("order-1".to_owned()),
        ..event("go")
    };
    world.send(again());
    world.send(again());
    world.run_out();
    assert_eq!(world.store.runs.len(), 2, "one of each function");
    assert_eq!(world.store.events.len(), 2, "both events are kept");
    world.run_for(23 * 3_600_000);
    world.send(again());
    world.run_out();
    assert_eq!(world.store.runs.len(), 2);
    world.run_for(2 * 3_600_000);
    world.store.sweep(world.now);
    world.send(again());
    world.run_out();
    assert_eq!(
        world.store.runs.len(),
        4,
        "a day later it starts them again"
    );
}

#[test]
fn a_seeded_send_arrives_once() {
    let mut world = World::of("step a");
    let send = |n| NewEvent {
        seeded: Some(seeded(n)),
        ..event("go")
    };
    let tokens = [
        world.send(send(7)),
        world.send(send(7)),
        world.send(send(8)),
    ];
    world.run_out();
    world.crash();
    let late = world.send(send(7));
    world.run_out();
    assert_eq!(world.store.events.len(), 2);
    assert_eq!(world.store.runs.len(), 2);
    for (token, n) in tokens.into_iter().chain([late]).zip([7, 7, 8, 7]) {
        let Answer::Events(ids) = &world.answers[&token] else {
            panic!("an answer");
        };
        assert_eq!(ids[..], [seeded(n)]);
    }
}

#[test]
fn an_event_of_the_future_waits() {
    let mut world = World::of("step a");
    let ts = Some(START.plus_ms(500_000));
    world.send(NewEvent { ts, ..event("go") });
    world.send(NewEvent {
        ts,
        ts_delays: false,
        ..event("go")
    });
    world.run_out();
    check(
        &world,
        r#"
        0s r2 call - #0 []
        1s r2 ran a
        1250ms r2 call - #0 [a]
        2250ms r2 returns "a"
        2500ms r2 Completed "a"
        500s r1 call - #0 []
        501s r1 ran a
        501250ms r1 call - #0 [a]
        502250ms r1 returns "a"
        502500ms r1 Completed "a"
    "#,
    );
}

#[test]
fn a_cancelled_run_ignores_the_late_reply_and_frees_its_slot() {
    let mut world = World::of("par [ step a | sleep s 5000 ] step b");
    world.delays.call = 10_000;
    world.send(event("go"));
    world.run_for(13_000);
    let run = world.run(1);
    let token = world.cancel(run);
    let again = world.cancel(run);
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        10s r1 plan a, sleep s 5000
        12500ms r1 call a #0 [] plan
        13s r1 Cancelled {"reason":"request"}
        22500ms r1 ran a
    "#,
    );
    assert!(matches!(world.answers[&token], Answer::Cancelled));
    assert!(matches!(world.answers[&again], Answer::NoSuchRun));
}

#[test]
fn too_many_steps_fail_the_run() {
    assert_eq!(Options::default().steps_max, 1000);
    let mut world = World::of("loop 150 [ step a ]");
    world.with_options(Options {
        steps_max: 100,
        ..Options::default()
    });
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.store.steps.len(), 100);
    let end = world.log.last().unwrap();
    assert!(end.contains("InngestErrFunctionOverflowed"), "{end}");
    assert!(
        end.contains("exceeded the step limit of 100 steps."),
        "{end}"
    );
}

#[test]
fn too_much_state_fails_the_run() {
    let mut world = World::of("loop 9 [ step a big 400 ]");
    world.with_options(Options {
        state_bytes_max: 1000,
        ..Options::default()
    });
    world.send(event("go"));
    world.run_out();
    let end = world.log.last().unwrap();
    assert!(end.contains("InngestErrStateOverflowed"), "{end}");
    assert_eq!(world.store.steps.len(), 3);
}

#[test]
fn an_operation_that_is_not_built_fails_the_run_at_once() {
    check(
        &story("step a refuse"),
        r#"
        0s r1 call - #0 []
        1s r1 ran a
        1250ms r1 call - #0 [a]
        2250ms r1 refused E0507
        2500ms r1 Failed {"code":"E0507","error":"Unheard","message":"Unheard","name":"OperationNotSupported"}
    "#,
    );
}

#[test]
fn an_app_that_says_nothing_is_asked_again_and_then_failed() {
    let mut world = World::of("");
    world.register(vec![retries(spec("app-f", "go", None), 1)]);
    world.script("app-f", |_, _| Reply::Ops(Vec::new()));
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.lines("call -").len(), 2);
    assert!(
        world
            .log
            .last()
            .unwrap()
            .contains(&Code::NothingToDo.to_string())
    );
    world.script("app-f", |_, _| {
        let none = dunlin_engine::OpKind::None;
        Reply::Ops(vec![op(dunlin_types::StepId::new("n"), false, none)])
    });
    world.send(event("go"));
    world.run_out();
    assert!(
        world
            .log
            .last()
            .unwrap()
            .contains(&Code::NothingToDo.to_string())
    );
}

#[test]
fn an_app_that_repeats_itself_is_failed_in_the_end() {
    let mut world = World::of("");
    world.script("app-f", |_, _| {
        let ran = dunlin_engine::OpKind::StepRun(Payload::null());
        Reply::Ops(vec![op(dunlin_types::StepId::new("a"), false, ran)])
    });
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.lines("call -").len(), 6);
    assert!(
        world
            .log
            .last()
            .unwrap()
            .contains(&Code::NoProgress.to_string())
    );
}

#[test]
fn a_call_for_one_step_that_tells_of_another_does_not_lose_the_run() {
    let mut world = World::of("");
    world.register(vec![retries(spec("app-f", "go", None), 1)]);
    world.script("app-f", |call, _| {
        let plan = dunlin_engine::OpKind::StepPlanned;
        let ran = dunlin_engine::OpKind::StepRun(Payload::null());
        let id = dunlin_types::StepId::new;
        Reply::Ops(match &call.target {
            None => vec![op(id("a"), false, plan.clone()), op(id("b"), false, plan)],
            Some(target) if *target == id("b") => vec![op(id("b"), false, ran)],
            Some(_) => vec![op(id("other"), false, ran)],
        })
    });
    world.send(event("go"));
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 plan a, plan b
        1250ms r1 call a #0 [] plan
        1250ms r1 call b #0 [] plan
        2250ms r1 ran other
        2250ms r1 ran b
        38500ms r1 call a #1 [other b] plan
        39500ms r1 ran other
        39750ms r1 Failed {"code":"E0513","error":"the app reported only what was known already","message":"the app reported only what was known already","name":"Error"}
    "#,
    );
}

#[test]
fn a_step_that_is_planned_by_its_own_call_does_not_go_on_for_ever() {
    let mut world = World::of("");
    world.script("app-f", |_, _| {
        let plan = dunlin_engine::OpKind::StepPlanned;
        Reply::Ops(vec![op(dunlin_types::StepId::new("a"), false, plan)])
    });
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.lines("call a").len(), 5);
    assert_eq!(world.status(1), RunStatus::Failed);
}

#[test]
fn an_app_that_asks_for_another_call_gets_one() {
    let mut world = World::of("");
    world.script("app-f", |call, _| {
        use dunlin_engine::OpKind::{DiscoveryRequest, StepRun};
        let id = dunlin_types::StepId::new;
        match call.state.memos.len() {
            0 => Reply::Ops(vec![
                op(id("a"), false, StepRun(Payload::null())),
                op(id("b"), false, StepRun(Payload::null())),
                op(id("ask"), false, DiscoveryRequest),
            ]),
            _ if call.state.force_plan => failed("still planning", None, true),
            _ => Reply::Done(Payload::null()),
        }
    });
    world.send(event("go"));
    world.run_out();
    check(
        &world,
        "
        0s r1 call - #0 []
        1s r1 ran a, ran b, asks
        1250ms r1 call - #0 [a b]
        2250ms r1 returns null
        2500ms r1 Completed null
    ",
    );
}

#[test]
fn steps_are_reported_while_the_call_goes_on() {
    let world = story_as(CHECKPOINTS, "step a step b sleep s 60000 step c");
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 reports ran a
        2s r1 reports ran b
        3s r1 sleep s 60000
        63250ms r1 call - #0 [a b s]
        64250ms r1 reports ran c
        65250ms r1 complete "a b s c"
        65500ms r1 Completed "a b s c"
    "#,
    );
}

#[test]
fn a_report_of_an_older_dispatch_changes_nothing() {
    let mut world = World::of("step a step b");
    world.sdk = CHECKPOINTS;
    world.send(event("go"));
    // The step ran and its report is on its way.
    world.run_for(1_500);
    world.crash();
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 reports ran a
        1500ms crash
        2s r1 the app gives up: CheckpointRefused(StaleDispatch, "a newer dispatch of this item owns the run")
        2500ms r1 call - #0 []
        3500ms r1 reports ran a
        4500ms r1 reports ran b
        5500ms r1 complete "a b"
        5750ms r1 Completed "a b"
    "#,
    );
}

#[test]
fn a_report_beyond_the_limits_is_refused() {
    let mut world = World::of("loop 5 [ step a ]");
    world.sdk = CHECKPOINTS;
    world.with_options(Options {
        steps_max: 3,
        ..Options::default()
    });
    world.send(event("go"));
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 reports ran a
        2s r1 reports ran a:1
        3s r1 reports ran a:2
        4s r1 reports ran a:3
        5s r1 the app gives up: CheckpointRefused(TooManySteps, "the run has too many steps")
        5s r1 ran a:3
        5250ms r1 Failed {"code":"E0514","error":"The function run exceeded the step limit of 3 steps.","message":"The function run exceeded the step limit of 3 steps.","name":"InngestErrFunctionOverflowed"}
    "#,
    );
}

#[test]
fn what_was_reported_and_the_end_come_together() {
    let mut world = World::of("");
    world.script("app-f", |_, _| {
        use dunlin_engine::OpKind::{RunComplete, StepRun};
        let id = dunlin_types::StepId::new;
        Reply::Ops(vec![
            op(id("a"), false, StepRun(Payload::null())),
            op(id("b"), false, StepRun(Payload::null())),
            op(id("complete"), false, RunComplete(Payload::from_json("42"))),
        ])
    });
    world.send(event("go"));
    world.run_out();
    check(
        &world,
        "
        0s r1 call - #0 []
        1s r1 ran a, ran b, complete 42
        1250ms r1 Completed 42
    ",
    );
    assert_eq!(world.store.results.len(), 2);
}

#[test]
fn an_app_registers_again_with_other_functions() {
    let mut world = World::of("step a sleep s 10000 step b");
    world.send(event("go"));
    world.run_for(5_000);
    let token = world.register(vec![spec("app-g", "go", None)]);
    world.program("app-g", "step g");
    assert!(matches!(
        world.answers[&token],
        Answer::Registered { modified: true, .. }
    ));
    let token = world.register(vec![spec("app-g", "go", None)]);
    assert!(matches!(
        world.answers[&token],
        Answer::Registered {
            modified: false,
            ..
        }
    ));
    world.crash();
    world.send(event("go"));
    world.run_out();
    // The run that had begun ends; the event starts only what is registered now.
    assert_eq!(world.store.runs.len(), 2);
    assert_eq!(
        [world.status(1), world.status(2)],
        [RunStatus::Completed; 2]
    );
    let gone = &world.store.functions[&0];
    assert!(gone.archived.is_some());
    world.register(vec![spec("app-f", "go", None)]);
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.store.functions[&0].version, 3);
    assert!(world.store.functions[&1].archived.is_some());
    assert_eq!(world.store.runs.len(), 3);
}

#[test]
fn an_app_that_registers_while_keys_are_read_misses_no_key() {
    let mut world = World::of("step a");
    let id = Some("order-1".to_owned());
    world.register(vec![spec("app-f", "go", None), spec("app-g", "go", None)]);
    world.program("app-g", "step g");
    world.send(NewEvent {
        id: id.clone(),
        ..event("go")
    });
    world.run_out();
    world.register(vec![spec("app-f", "go", None)]);
    world.restart(true);
    world.delays.load = 1000;
    world.send(NewEvent { id, ..event("go") });
    world.register(vec![spec("app-f", "go", None), spec("app-g", "go", None)]);
    world.run_out();
    assert_eq!(
        world.store.runs.len(),
        2,
        "both had been started by that id"
    );
}

#[test]
fn a_registration_with_a_bad_expression_is_refused() {
    let mut world = World::of("step a");
    let token = world.register(vec![spec("app-f", "go", Some("event.data. =="))]);
    let Answer::RegisterRefused(code, why) = &world.answers[&token] else {
        panic!("{:?}", world.answers[&token]);
    };
    assert_eq!(*code, Code::FunctionBad);
    assert!(why.contains("app-f"), "{why}");
}

#[test]
fn a_call_during_which_the_server_dies_goes_out_again_and_is_counted() {
    let mut world = World::of("step a step b");
    world.register(vec![retries(spec("app-f", "go", None), 0)]);
    world.delays.call = 60_000;
    world.send(event("go"));
    world.run_for(10);
    for _ in 0..6 {
        world.crash();
        world.run_for(2_000);
    }
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        10ms crash
        1010ms r1 call - #0 []
        2010ms crash
        3010ms r1 call - #0 []
        4010ms crash
        5010ms r1 call - #0 []
        6010ms crash
        7010ms r1 call - #0 []
        8010ms crash
        9010ms r1 call - #0 []
        10010ms crash
        11010ms r1 Failed {"code":"E0518","error":"the server stopped uncleanly during each call of this item","message":"the server stopped uncleanly during each call of this item","name":"CrashedTooOften"}
        60s r1 ran a
        61010ms r1 ran a
        63010ms r1 ran a
        65010ms r1 ran a
        67010ms r1 ran a
        69010ms r1 ran a
    "#,
    );
}

#[test]
fn a_clean_stop_is_not_counted() {
    let mut world = World::of("step a");
    world.delays.call = 60_000;
    world.send(event("go"));
    world.run_for(10);
    for _ in 0..9 {
        world.restart(true);
        world.run_for(2_000);
    }
    world.run_out();
    assert_eq!(world.status(1), RunStatus::Completed);
    assert_eq!(world.store.steps.len(), 1, "only the step was written");
}

#[test]
fn somebody_who_cancels_an_unknown_run_is_told() {
    let mut world = World::of("sleep s 5000");
    world.send(event("go"));
    world.run_for(3000);
    let run = world.run(1);
    let token = world.token();
    let created = world.now.plus_ms(1);
    world.input(Input::Cancel {
        token,
        run,
        created,
    });
    world.run_out();
    assert!(matches!(world.answers[&token], Answer::NoSuchRun));
    assert_eq!(world.status(1), RunStatus::Completed);
}
