//! Stories of time tables and of runs that are made again.

use std::sync::Arc;

use crate::world::{START, World, event, on_schedule, spec};
use dunlin_engine::config::TriggerSpec;
use dunlin_engine::{Answer, Input, KeptResult, Missed, Options, Rerun, RunStatus};
use dunlin_types::{Payload, StepId};

fn ticks(world: &World) -> Vec<String> {
    let events = world.store.events.values();
    let of = events.filter(|event| event.name == "inngest/scheduled.timer");
    of.map(|event| event.id.clone()).collect()
}

/// A world with a function that starts every five minutes.
fn scheduled() -> World {
    let mut world = World::of("step a");
    world.register(vec![on_schedule("app-f", "*/5 * * * *")]);
    world
}

#[test]
fn a_tick_starts_the_function_once() {
    let mut world = scheduled();
    world.run_for(11 * 60_000);
    assert_eq!(ticks(&world).len(), 2, "{}", world.text());
    assert_eq!(world.lines("Completed").len(), 2);
    assert!(world.now > START);
}

#[test]
fn two_time_tables_that_tell_the_same_instant_start_one_run() {
    let mut world = World::of("step a");
    let mut f = on_schedule("app-f", "*/5 * * * *");
    f.triggers
        .extend(on_schedule("app-f", "*/10 * * * *").triggers);
    world.register(vec![f]);
    world.run_for(21 * 60_000);
    let found = ticks(&world);
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn ticks_go_on_over_a_restart_and_a_new_registration() {
    let mut world = scheduled();
    world.run_for(6 * 60_000);
    world.crash();
    world.register(vec![
        on_schedule("app-f", "*/5 * * * *"),
        spec("app-g", "x", None),
    ]);
    world.program("app-g", "step b");
    world.run_for(5 * 60_000);
    assert_eq!(ticks(&world).len(), 2, "{}", world.text());
}

#[test]
fn a_time_table_that_is_gone_stops_and_one_that_changed_begins_anew() {
    let mut world = scheduled();
    world.run_for(6 * 60_000);
    world.register(vec![on_schedule("app-f", "0 * * * *")]);
    world.run_for(20 * 60_000);
    assert_eq!(ticks(&world).len(), 1, "{}", world.text());
    assert_eq!(world.store.crons.len(), 1);
    world.register(vec![spec("app-g", "x", None)]);
    world.run_for(3 * 60 * 60_000);
    assert_eq!(ticks(&world).len(), 1);
    assert!(world.store.crons.is_empty());
}

#[test]
fn ticks_that_nobody_could_take_are_taken_as_the_operator_says() {
    for (missed, expected) in [(Missed::Once, 2), (Missed::Replay, 12), (Missed::Skip, 1)] {
        let mut world = scheduled();
        world.with_options(Options {
            missed_ticks: missed,
            ..Options::default()
        });
        world.run_for(6 * 60_000);
        assert_eq!(ticks(&world).len(), 1);
        // An hour without a server.
        world.now = world.now.plus_ms(56 * 60_000);
        world.restart(true);
        world.run_for(60_000);
        assert_eq!(
            ticks(&world).len(),
            expected,
            "{missed:?} {:?}",
            ticks(&world)
        );
        world.run_for(5 * 60_000);
        assert_eq!(ticks(&world).len(), expected + 1, "{missed:?}");
    }
}

#[test]
fn ticks_that_went_by_while_the_clock_jumped_are_taken_as_the_operator_says() {
    for (missed, expected) in [(Missed::Once, 1), (Missed::Replay, 12), (Missed::Skip, 1)] {
        let mut world = scheduled();
        world.with_options(Options {
            missed_ticks: missed,
            ..Options::default()
        });
        // The machine slept for an hour, and nobody restarted the server.
        world.now = world.now.plus_ms(60 * 60_000);
        world.run_for(30_000);
        assert_eq!(
            ticks(&world).len(),
            expected,
            "{missed:?} {:?}",
            ticks(&world)
        );
        world.run_for(5 * 60_000);
        assert_eq!(ticks(&world).len(), expected + 1, "{missed:?}");
    }
}

#[test]
fn jitter_that_is_longer_than_the_interval_loses_no_tick() {
    let mut world = World::of("step a");
    let mut f = on_schedule("app-f", "* * * * *");
    if let TriggerSpec::Cron { jitter_ms, .. } = &mut f.triggers[0] {
        *jitter_ms = Some(300_000);
    }
    world.register(vec![f]);
    world.run_for(60 * 60_000);
    let found = ticks(&world);
    let last_due = world.now.plus_ms(-300_000).rfc3339();
    let due = found.iter().filter(|tick| **tick <= last_due).count();
    assert_eq!(due, 55, "{found:?}");
}

fn rerun_of(world: &World, from: Option<(StepId, String, Option<Payload>)>) -> Rerun {
    let original = world.run(1);
    let row = &world.store.runs[&original];
    let before = |step: &&dunlin_engine::step::StepRow| {
        let id = from.as_ref().map(|(id, ..)| id);
        id.is_some() && step.id.as_ref() != id
    };
    let rows = world
        .store
        .steps
        .values()
        .filter(|step| step.mark.run == original);
    let results = rows
        .take_while(before)
        .filter(|step| step.mark.kind.completes());
    Rerun {
        original,
        function: row.function,
        events: vec![Arc::clone(&world.store.events[&row.event])],
        version: Some(2),
        results: results
            .map(|step| KeptResult {
                id: step.id.clone().expect("it has one"),
                name: step.name.clone(),
                kind: step.mark.kind,
                payload: step.payload.clone(),
            })
            .collect(),
        from,
    }
}

#[test]
fn a_run_is_made_again_from_its_start() {
    let mut world = World::of("step a step b");
    world.send(event("go"));
    world.run_out();
    let (token, rerun) = (world.token(), Box::new(rerun_of(&world, None)));
    world.input(Input::Rerun { token, rerun });
    world.run_out();
    assert!(matches!(world.answers[&token], Answer::Started { .. }));
    assert_eq!(
        world.lines("Completed \"a b\"").len(),
        2,
        "{}",
        world.text()
    );
    assert_eq!(world.store.runs[&world.run(2)].original, Some(world.run(1)));
}

#[test]
fn a_run_is_made_again_from_a_step_with_other_arguments() {
    let mut world = World::of("step a step b step c");
    world.send(event("go"));
    world.run_out();
    let input = Some(Payload::from_json("[42]"));
    let from = Some((StepId::new("b"), "b".to_owned(), input));
    let (token, rerun) = (world.token(), Box::new(rerun_of(&world, from)));
    world.input(Input::Rerun { token, rerun });
    world.run_out();
    assert_eq!(world.status(2), RunStatus::Completed);
    let lines = world.lines("r2 call");
    assert!(lines[0].contains("r2 call b #0 [a]"), "{}", world.text());
    assert!(
        world.text().contains("r2 Completed \"a b c\""),
        "{}",
        world.text()
    );
    let ran = world.lines("r2 ran");
    assert_eq!(ran.len(), 2, "a is kept: {ran:?}");
}
