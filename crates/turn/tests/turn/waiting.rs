//! One story a behaviour of what runs wait for: events, signals, other runs, requests, and time.

use crate::scenarios::check;
use crate::world::{World, cancelled_on, event, keyed, retries, spec};
use dunlin_engine::config::{RuleTime, Timeouts};
use dunlin_engine::{Answer, Options, RunStatus};

/// A world whose function runs that program on an event with `k` 1, which has been sent.
fn started(program: &str) -> World {
    let mut world = World::of(program);
    world.send(keyed("go", 1));
    world.run_for(2_000);
    world
}

#[test]
fn a_wait_is_resumed_by_the_first_event_that_matches() {
    let mut world = started("wait w paid 60000 match");
    world.send(keyed("paid", 2));
    world.run_for(1_000);
    world.send(keyed("paid", 1));
    world.send(keyed("paid", 1));
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 wait w paid
        3s r1 call - #0 [w]
        4s r1 returns "w"
        4250ms r1 Completed "w"
    "#,
    );
}

#[test]
fn a_wait_that_no_event_matches_runs_out() {
    let mut world = started("wait w paid 60000");
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 wait w paid
        61s r1 call - #0 [w]
        62s r1 returns "?w"
        62250ms r1 Completed "?w"
    "#,
    );
}

#[test]
fn an_event_before_the_wait_does_not_match() {
    let mut world = World::of("wait w paid 5000");
    world.send(keyed("go", 1));
    world.send(keyed("paid", 1));
    world.run_out();
    assert_eq!(world.lines("Completed"), ["7250ms r1 Completed \"?w\""]);
}

#[test]
fn a_wait_whose_expression_is_no_expression_fails_the_run() {
    let mut world = World::of("step a");
    world.script("app-f", |_, _| {
        let id = dunlin_types::StepId::new("w");
        let kind = dunlin_engine::OpKind::WaitForEvent {
            event: "paid".to_owned(),
            condition: Some("event.data.k === async.data.k".to_owned()),
            until: crate::world::START.plus_ms(60_000),
        };
        dunlin_engine::Reply::Ops(vec![crate::world::app::op(id, false, kind)])
    });
    world.send(event("go"));
    world.run_out();
    let end = world.log.last().unwrap();
    assert!(
        end.contains("E0532") && end.contains("InvalidExpression"),
        "{end}"
    );
}

#[test]
fn an_event_and_the_timeout_in_one_instant_have_one_winner() {
    let mut world = started("wait w paid 60000");
    world.run_for(59_250);
    world.send(keyed("paid", 1));
    world.run_out();
    assert_eq!(world.lines("Completed").len(), 1);
    assert_eq!(world.store.results.len(), 1);
}

#[test]
fn one_event_resumes_every_wait_for_it() {
    let mut world = started("par [ wait v paid 60000 | wait w paid 60000 ]");
    world.send(keyed("go", 1));
    world.run_for(2_000);
    world.send(keyed("paid", 1));
    world.run_out();
    let done = world.lines("Completed \"v w\"");
    assert_eq!(done.len(), 2, "{}", world.text());
}

#[test]
fn an_event_that_thousands_wait_for_is_worked_off_in_slices_and_over_a_restart() {
    let mut world = World::of("wait w paid 600000");
    world.delays.call = 0;
    for _ in 0..1_000 {
        world.send(event("go"));
    }
    world.run_for(10_000);
    world.delays.commit = 50;
    world.send(event("paid"));
    while world.store.claims.is_empty() {
        let end = world.now.plus_ms(1_000);
        assert!(world.step(end), "the event is claimed");
    }
    world.crash();
    assert_eq!(world.store.claims.len(), 1, "the crash came in the middle");
    world.run_out();
    assert_eq!(world.lines("Completed \"w\"").len(), 1_000);
    assert!(world.store.claims.is_empty());
}

#[test]
fn a_wait_in_a_race_with_a_sleep_goes_on_with_the_first() {
    let mut world = started("race [ wait w paid 60000 | sleep s 10000 ] step a");
    world.send(keyed("paid", 1));
    world.run_out();
    assert_eq!(world.lines("returns").len(), 1, "{}", world.text());
    assert!(world.text().contains("returns \"w"), "{}", world.text());
}

#[test]
fn an_invoked_function_gives_its_result() {
    let mut world = World::of("invoke i app-g 60000 step a");
    world.register(vec![
        spec("app-f", "go", None),
        spec("app-g", "other", None),
    ]);
    world.program("app-g", "step b");
    world.send(keyed("go", 1));
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 invoke i app-g
        1250ms r2 call - #0 []
        2250ms r2 ran b
        2500ms r2 call - #0 [b]
        3500ms r2 returns "b"
        3750ms r2 Completed "b"
        3750ms r1 call - #0 [i]
        4750ms r1 ran a
        5s r1 call - #0 [i a]
        6s r1 returns "i a"
        6250ms r1 Completed "i a"
    "#,
    );
    let memo = world.store.results_of(world.run(1), "i");
    assert_eq!(memo, "\"b\"");
}

#[test]
fn an_invoked_function_that_fails_is_an_error_at_the_caller() {
    let mut world = World::of("invoke i app-g 60000 caught step a");
    let child = retries(spec("app-g", "other", None), 0);
    world.register(vec![spec("app-f", "go", None), child]);
    world.program("app-g", "throw");
    world.send(keyed("go", 1));
    world.run_out();
    assert!(
        world.text().contains("Completed \"!i a\""),
        "{}",
        world.text()
    );
}

#[test]
fn an_invoked_run_that_is_cancelled_is_an_error_at_the_caller() {
    let mut world = World::of("invoke i app-g 60000 caught");
    world.register(vec![
        spec("app-f", "go", None),
        spec("app-g", "other", None),
    ]);
    world.program("app-g", "sleep s 50000");
    world.send(keyed("go", 1));
    world.run_for(5_000);
    world.cancel(world.run(2));
    world.run_out();
    assert!(
        world.text().contains("r1 Completed \"!i\""),
        "{}",
        world.text()
    );
    let memo = world.store.results_of(world.run(1), "i");
    assert!(
        memo.contains("function cancelled") && memo.contains("E0529"),
        "{memo}"
    );
}

#[test]
fn an_invocation_that_takes_too_long_is_an_error_and_the_child_goes_on() {
    let mut world = World::of("invoke i app-g 5000 caught");
    world.register(vec![
        spec("app-f", "go", None),
        spec("app-g", "other", None),
    ]);
    world.program("app-g", "sleep s 50000");
    world.send(keyed("go", 1));
    world.run_out();
    assert!(
        world.text().contains("r1 Completed \"!i\""),
        "{}",
        world.text()
    );
    assert!(
        world.text().contains("r2 Completed \"s\""),
        "{}",
        world.text()
    );
    let memo = world.store.results_of(world.run(1), "i");
    assert!(memo.contains("InngestInvokeTimeoutError"), "{memo}");
}

#[test]
fn a_function_that_is_not_there_cannot_be_invoked() {
    let mut world = World::of("invoke i app-none 5000 caught");
    world.send(keyed("go", 1));
    world.run_out();
    assert!(
        world.text().contains("Completed \"!i\""),
        "{}",
        world.text()
    );
    let memo = world.store.results_of(world.run(1), "i");
    assert!(
        memo.contains("could not find function with ID: app-none"),
        "{memo}"
    );
}

#[test]
fn a_paused_function_skips_and_its_runs_rest_until_it_goes_on() {
    let mut world = started("sleep s 5000 step a");
    world.pause(0, true);
    world.run_for(60_000);
    assert_eq!(world.lines("call").len(), 1, "{}", world.text());
    world.send(keyed("go", 1));
    world.run_for(1_000);
    assert_eq!(world.status(2), RunStatus::Skipped);
    world.crash();
    world.run_for(60_000);
    assert_eq!(world.lines("call").len(), 1, "{}", world.text());
    world.pause(0, false);
    world.run_out();
    assert!(
        world.text().contains("r1 Completed \"s a\""),
        "{}",
        world.text()
    );
}

#[test]
fn a_signal_goes_to_the_run_that_waits_for_it() {
    let mut world = started("signal s approve 60000");
    let token = world.signal("other");
    world.run_for(1_000);
    assert!(matches!(world.answers[&token], Answer::NoSuchSignal));
    let token = world.signal("approve");
    world.run_out();
    assert!(matches!(world.answers[&token], Answer::Signalled(run) if run == world.run(1)));
    assert!(world.text().contains("Completed \"s\""), "{}", world.text());
    let memo = world.store.results_of(world.run(1), "s");
    assert_eq!(memo, "{\"data\":7,\"signal\":\"approve\"}");
}

#[test]
fn a_second_waiter_for_a_signal_fails() {
    let mut world = started("signal s approve 60000");
    world.send(keyed("go", 2));
    world.run_for(5_000);
    assert_eq!(world.status(2), RunStatus::Failed);
    assert!(world.text().contains("E0533"), "{}", world.text());
    world.signal("approve");
    world.run_out();
    assert_eq!(world.status(1), RunStatus::Completed);
}

#[test]
fn a_second_waiter_may_take_the_signal_over_even_across_a_restart() {
    let mut world = started("signal s approve 60000 replace");
    world.send(keyed("go", 2));
    world.run_for(5_000);
    world.crash();
    world.run_for(2_000);
    world.signal("approve");
    world.run_out();
    assert!(
        world.text().contains("r2 Completed \"s\""),
        "{}",
        world.text()
    );
    assert!(
        world.text().contains("r1 Completed \"?s\""),
        "{}",
        world.text()
    );
}

#[test]
fn a_signal_that_was_taken_over_does_not_come_back_when_the_newer_wait_has_ended() {
    for crash in [false, true] {
        let mut world = started("signal s approve 60000 replace");
        world.send(keyed("go", 2));
        world.run_for(5_000);
        world.signal("approve");
        world.run_for(5_000);
        assert_eq!(world.status(2), RunStatus::Completed);
        if crash {
            world.crash();
            world.run_for(2_000);
        }
        let token = world.signal("approve");
        world.run_for(1_000);
        assert!(
            matches!(world.answers[&token], Answer::NoSuchSignal),
            "crash: {crash}"
        );
        world.run_out();
        assert!(
            world.text().contains("r1 Completed \"?s\""),
            "{}",
            world.text()
        );
    }
}

#[test]
fn a_handler_of_cancellations_that_is_cancelled_itself_comes_to_rest() {
    let mut world = World::of("sleep s 50000");
    let mut handler = spec("app-h", "inngest/function.cancelled", None);
    handler.timeouts.finish_ms = Some(1_500);
    world.register(vec![spec("app-f", "go", None), handler]);
    world.program("app-h", "sleep s 50000");
    world.send(event("go"));
    world.run_for(2_000);
    world.cancel(world.run(1));
    world.run_out();
    assert_eq!(world.store.runs.len(), 2, "{}", world.text());
}

#[test]
fn a_request_is_made_by_the_server_and_retried() {
    let mut world = World::of("fetch f fails 1 step a");
    world.with_options(Options {
        retry_interval_ms: Some(500),
        ..Options::default()
    });
    world.send(event("go"));
    world.run_out();
    check(
        &world,
        r#"
        0s r1 call - #0 []
        1s r1 fetch f
        1250ms r1 request f #0
        2750ms r1 request f #1
        3750ms r1 call - #0 [f]
        4750ms r1 ran a
        5s r1 call - #0 [f a]
        6s r1 returns "f a"
        6250ms r1 Completed "f a"
    "#,
    );
}

#[test]
fn a_request_that_gets_no_answer_is_an_error_that_can_be_caught() {
    let mut world = World::of("fetch f fails 99 caught");
    world.with_options(Options {
        retry_interval_ms: Some(500),
        ..Options::default()
    });
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.lines("request").len(), 5, "{}", world.text());
    assert!(
        world.text().contains("Completed \"!f\""),
        "{}",
        world.text()
    );
}

#[test]
fn a_request_lost_by_a_crash_is_asked_for_again_because_its_secrets_are_not_stored() {
    let mut world = World::of("fetch f");
    world.send(event("go"));
    world.run_for(1_500);
    assert_eq!(world.lines("request").len(), 1);
    world.crash();
    world.run_out();
    assert_eq!(world.lines("call").len(), 3, "{}", world.text());
    assert_eq!(world.lines("request f #0").len(), 2, "{}", world.text());
    assert!(world.text().contains("Completed \"f\""), "{}", world.text());
    let stored = format!("{:?}", world.store.steps);
    assert!(!stored.contains("secret"), "{stored}");
}

#[test]
fn an_event_of_cancel_on_stops_the_run_wherever_it_is() {
    for program in [
        "sleep s 50000",
        "wait w never 50000",
        "invoke i app-g 50000",
        "signal s never 50000",
        "par [ sleep s 50000 | step a fails 9 ]",
        "step a after 30000 fails 2",
        "loop 50 [ step a ]",
    ] {
        for crash in [false, true] {
            let mut world = World::of(program);
            let f = cancelled_on(spec("app-f", "go", None), "stop", None);
            world.register(vec![f, spec("app-g", "other", None)]);
            world.program("app-g", "sleep s 60000");
            world.send(keyed("go", 1));
            world.run_for(10_000);
            world.send(keyed("stop", 2));
            world.run_for(1_000);
            assert!(
                world.store.ends.is_empty(),
                "{program}: another run's event"
            );
            if crash {
                world.crash();
                world.run_for(500);
            }
            let calls = world.lines("r1 call").len();
            world.send(keyed("stop", 1));
            world.run_for(1_000);
            assert_eq!(
                world.status(1),
                RunStatus::Cancelled,
                "{program}\n{}",
                world.text()
            );
            world.run_out();
            assert_eq!(
                world.lines("r1 call").len(),
                calls,
                "{program}\n{}",
                world.text()
            );
        }
    }
}

#[test]
fn a_run_is_not_cancelled_by_the_event_that_starts_it_nor_after_the_rule_has_ended() {
    let mut world = World::of("sleep s 30000");
    let until = Some(RuleTime::AfterMs(5_000));
    let f = cancelled_on(spec("app-f", "go", None), "go", until);
    world.register(vec![f]);
    world.send(keyed("go", 1));
    world.run_for(10_000);
    world.send(keyed("go", 1));
    world.run_out();
    assert_eq!(world.lines("Completed").len(), 2, "{}", world.text());
}

#[test]
fn a_run_that_has_not_begun_in_time_is_cancelled() {
    let mut world = World::of("step a");
    let timeouts = Timeouts {
        start_ms: Some(5_000),
        finish_ms: None,
    };
    let mut f = spec("app-f", "go", None);
    f.timeouts = timeouts;
    f.config = dunlin_types::Payload::from_json("{\"t\":1}");
    world.register(vec![f]);
    world.pause(0, true);
    world.pause(0, false);
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.status(1), RunStatus::Completed);
    let mut later = event("go");
    later.ts = Some(world.now.plus_ms(60_000));
    world.send(later);
    world.run_out();
    assert_eq!(world.status(2), RunStatus::Cancelled);
    let end = world.log.last().unwrap();
    assert!(end.contains("timeouts.start"), "{end}");
}

#[test]
fn a_run_that_has_not_finished_in_time_is_cancelled() {
    for crash in [false, true] {
        let mut world = World::of("step a sleep s 60000 step b");
        let mut f = spec("app-f", "go", None);
        f.timeouts.finish_ms = Some(30_000);
        f.config = dunlin_types::Payload::from_json("{\"t\":2}");
        world.register(vec![f]);
        world.send(event("go"));
        world.run_for(10_000);
        if crash {
            world.crash();
        }
        world.run_out();
        assert_eq!(world.status(1), RunStatus::Cancelled);
        let end = world.log.last().unwrap();
        assert!(
            end.starts_with("30s") && end.contains("timeouts.finish"),
            "{end}"
        );
    }
}

#[test]
fn what_is_deferred_starts_when_the_run_has_ended() {
    let mut world = World::of("defer app-later step a");
    let only = Some("event.data._inngest.fn_slug == 'app-later'");
    let later = spec("app-later", "inngest/deferred.schedule", only);
    world.register(vec![spec("app-f", "go", None), later]);
    world.program("app-later", "step b");
    world.send(event("go"));
    world.run_out();
    assert!(
        world.text().contains("r2 Completed \"b\""),
        "{}",
        world.text()
    );
    let first_end = world.log.iter().position(|l| l.contains("r1 Completed"));
    let second = world.log.iter().position(|l| l.contains("r2 call"));
    assert!(first_end < second, "{}", world.text());
}

#[test]
fn a_run_that_reports_nothing_but_what_it_defers_goes_on() {
    for program in [
        "defer app-later",
        "step a defer app-later",
        "par [ defer app-later | sleep s 500 ]",
    ] {
        let mut world = World::of(program);
        let only = Some("event.data._inngest.fn_slug == 'app-later'");
        let later = spec("app-later", "inngest/deferred.schedule", only);
        world.register(vec![spec("app-f", "go", None), later]);
        world.program("app-later", "step b");
        world.send(event("go"));
        world.run_out();
        assert_eq!(
            world.lines("r1 Completed").len(),
            1,
            "{program}\n{}",
            world.text()
        );
        assert_eq!(
            world.lines("r2 Completed").len(),
            1,
            "{program}\n{}",
            world.text()
        );
    }
}

#[test]
fn a_lifecycle_event_can_be_waited_for() {
    let mut world = World::of("wait w inngest/function.finished 60000");
    world.register(vec![
        spec("app-f", "go", None),
        spec("app-g", "other", None),
    ]);
    world.program("app-g", "step b");
    world.send(event("go"));
    world.run_for(3_000);
    world.send(event("other"));
    world.run_out();
    assert!(
        world.text().contains("r1 Completed \"w\""),
        "{}",
        world.text()
    );
}
