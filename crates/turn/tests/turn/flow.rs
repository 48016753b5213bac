//! One story a behaviour of flow control: what holds runs back, what lets them on, and what is seen
//! of it.

use std::sync::Arc;

use crate::world::app::failed;
use crate::world::{START, World, event, keyed, ruled, spec};
use dunlin_engine::config::{
    BatchRule, ConcurrencyRule, DebounceRule, FlowRules, FunctionSpec, Limit, LimitTarget, Rate,
    RateRule, Rule, Scope, SingletonMode, SingletonRule, Timeouts,
};
use dunlin_engine::look::{Cause, ItemWaiting, Look, Looked, Queues};
use dunlin_engine::{Answer, CallLimits, Failure, Input, Options, Reply, Rerun, RunStatus};
use dunlin_types::{NewEvent, Payload, Seq, Timestamp};

fn at_a_time(limit: u32, key: Option<&str>) -> Vec<ConcurrencyRule> {
    vec![ConcurrencyRule {
        limit,
        key: key.map(str::to_owned),
        scope: Scope::Function,
    }]
}

fn calls(limit: u32, key: Option<&str>) -> FlowRules {
    FlowRules {
        concurrency: at_a_time(limit, key),
        ..FlowRules::default()
    }
}

fn batched(size_max: u32) -> FlowRules {
    FlowRules {
        batch: Some(BatchRule {
            size_max,
            timeout_ms: 60_000,
            key: None,
            condition: None,
        }),
        ..FlowRules::default()
    }
}

fn debounced() -> FlowRules {
    FlowRules {
        debounce: Some(DebounceRule {
            period_ms: 5_000,
            timeout_ms: None,
            key: None,
        }),
        ..FlowRules::default()
    }
}

fn f(flow: FlowRules) -> FunctionSpec {
    ruled(spec("app-f", "go", None), flow)
}

/// A world whose function `f` is under these rules.
fn under(flow: FlowRules, program: &str) -> World {
    let mut world = World::of(program);
    world.register(vec![f(flow)]);
    world
}

/// Events at once, with `k` as told.
fn send(world: &mut World, ks: &[u64]) {
    for k in ks {
        world.send(keyed("go", *k));
    }
    world.settle();
}

/// When calls went out, and of which runs.
fn called(world: &World) -> Vec<String> {
    let lines = world.lines(" call ");
    let short = |line: &String| line.split(" call ").next().unwrap_or_default().to_owned();
    lines.iter().map(short).collect()
}

/// What the n-th run waits for.
fn waiting(world: &mut World, n: usize) -> ItemWaiting {
    let run = world.run(n);
    match world.look(Look::Waiting(run)) {
        Looked::Waiting(Some(seen)) => seen.items[0].clone(),
        other => panic!("{other:?}"),
    }
}

fn queues(world: &mut World) -> Queues {
    match world.look(Look::Queues(0)) {
        Looked::Queues(Some(seen)) => seen,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_finished_step_frees_its_slot_and_the_next_starts_in_the_same_turn() {
    let mut world = under(calls(1, None), "step a");
    send(&mut world, &[1, 2]);
    world.run_out();
    // Each call takes a second and a quarter; nothing ever waits for more than that.
    assert_eq!(
        called(&world),
        ["0s r1", "1250ms r1", "2500ms r2", "3750ms r2"]
    );
}

#[test]
fn a_sleeping_run_holds_no_slot() {
    let mut world = under(calls(1, None), "sleep s 60000");
    send(&mut world, &[1, 2]);
    world.run_out();
    assert_eq!(called(&world)[..2], ["0s r1", "1250ms r2"]);
}

#[test]
fn a_raised_limit_takes_effect_at_once_also_for_those_that_waited_under_the_old_one() {
    let mut world = under(calls(1, None), "");
    send(&mut world, &[1, 2, 3, 4]);
    world.run_for(500);
    world.register(vec![f(calls(2, None))]);
    world.run_out();
    assert_eq!(
        called(&world),
        ["0s r1", "500ms r2", "1250ms r3", "1750ms r4"]
    );
}

#[test]
fn a_lowered_limit_holds_back_until_there_are_fewer() {
    let mut world = under(calls(3, None), "");
    send(&mut world, &[1, 2, 3, 4, 5]);
    world.run_for(500);
    world.register(vec![f(calls(1, None))]);
    world.run_out();
    // The three that were out come back together; then it is one after the other.
    let expected = ["0s r1", "0s r2", "0s r3", "1250ms r4", "2500ms r5"];
    assert_eq!(called(&world), expected);
}

#[test]
fn a_rule_that_is_gone_lets_all_on() {
    let mut world = under(calls(1, None), "");
    send(&mut world, &[1, 2, 3]);
    world.run_for(500);
    world.register(vec![f(FlowRules::default())]);
    world.run_out();
    assert_eq!(called(&world), ["0s r1", "500ms r2", "500ms r3"]);
}

#[test]
fn a_key_that_comes_with_a_sync_holds_for_runs_that_queued_before() {
    let mut world = under(calls(1, None), "");
    send(&mut world, &[1, 2, 2, 3, 3]);
    world.run_for(500);
    world.register(vec![f(calls(1, Some("event.data.k")))]);
    world.run_out();
    // The second of each key waits for the first.
    let expected = ["0s r1", "500ms r2", "500ms r4", "1750ms r3", "1750ms r5"];
    assert_eq!(called(&world), expected);
}

#[test]
fn a_throttle_that_comes_with_a_sync_does_not_hold_runs_that_have_begun() {
    let mut world = under(FlowRules::default(), "step a step b");
    send(&mut world, &[1, 2, 3]);
    world.run_for(500);
    let rule = RateRule {
        limit: 1,
        period_ms: 60_000,
        burst: 0,
        key: Some("event.data.k".to_owned()),
    };
    world.register(vec![f(FlowRules {
        throttle: Some(rule),
        ..FlowRules::default()
    })]);
    world.run_out();
    assert_eq!(world.lines("Completed").len(), 3);
    assert!(world.now < START.plus_ms(5_000), "{}", world.text());
}

#[test]
fn cancelling_queued_runs_leaves_nothing_in_the_queues() {
    let mut world = under(calls(1, Some("event.data.k")), "");
    send(&mut world, &[1, 1, 1]);
    assert_eq!(queues(&mut world).queued, 2);
    for n in [2, 3] {
        let run = world.run(n);
        world.cancel(run);
    }
    world.settle();
    let seen = queues(&mut world);
    assert_eq!((seen.queued, seen.starts, seen.in_flight), (0, 0, 1));
    world.run_out();
    assert_eq!(called(&world), ["0s r1"]);
    assert_eq!(
        (queues(&mut world).lanes_total, world.status(3)),
        (0, RunStatus::Cancelled)
    );
}

#[test]
fn a_paused_function_holds_what_queues_and_goes_on_after_that() {
    let mut world = under(calls(1, None), "");
    send(&mut world, &[1, 2]);
    world.pause(0, true);
    world.run_for(5_000);
    assert_eq!(waiting(&mut world, 2).cause, Cause::Paused);
    let seen = queues(&mut world);
    assert_eq!((seen.queued, seen.held), (1, 1));
    send(&mut world, &[3]);
    assert_eq!(world.status(3), RunStatus::Skipped);
    world.pause(0, false);
    world.run_out();
    assert_eq!(called(&world), ["0s r1", "5s r2"]);
}

#[test]
fn a_run_that_has_begun_holds_its_place_over_restarts_until_it_ends() {
    for clean in [true, false] {
        let rules = FlowRules {
            runs: at_a_time(1, None),
            ..FlowRules::default()
        };
        let mut world = under(rules, "sleep s 20000");
        send(&mut world, &[1, 2]);
        world.run_for(5_000);
        world.restart(clean);
        world.run_for(5_000);
        let Cause::Rule(held) = waiting(&mut world, 2).cause else {
            panic!("{}", world.text());
        };
        assert_eq!((held.rule, held.limit, held.used), (Rule::Runs, 1, 1));
        assert_eq!(held.holders, [world.run(1)]);
        world.run_out();
        assert_eq!(called(&world)[..3], ["0s r1", "21250ms r1", "22500ms r2"]);
    }
}

#[test]
fn a_waiting_run_tells_the_rule_the_key_the_holders_and_its_place() {
    let mut world = under(calls(1, Some("event.data.k")), "");
    send(&mut world, &[7, 8, 7, 7]);
    let seen = waiting(&mut world, 4);
    assert_eq!((seen.ahead, seen.expected), (Some(1), None));
    let Cause::Rule(held) = seen.cause else {
        panic!("{seen:?}");
    };
    assert_eq!((held.rule, held.scope.as_str()), (Rule::Concurrency, "fn"));
    assert_eq!(held.expression.as_deref(), Some("event.data.k"));
    assert_eq!((held.key.as_str(), held.limit, held.used), ("7", 1, 1));
    assert_eq!(held.holders, [world.run(1)]);
    let out = waiting(&mut world, 2).cause;
    assert_eq!(out, Cause::InFlight(START));
    world.run_out();
}

#[test]
fn a_throttled_run_tells_when_it_starts() {
    let rules = FlowRules {
        throttle: Some(RateRule {
            limit: 1,
            period_ms: 10_000,
            burst: 0,
            key: None,
        }),
        ..FlowRules::default()
    };
    let mut world = under(rules, "");
    send(&mut world, &[1, 2, 3]);
    let seen = waiting(&mut world, 3);
    assert_eq!(
        (seen.ahead, seen.expected),
        (Some(1), Some(START.plus_ms(20_000)))
    );
    let Cause::Rule(held) = seen.cause else {
        panic!("{seen:?}");
    };
    assert_eq!((held.rule, held.limit, held.used), (Rule::Throttle, 1, 0));
    assert_eq!(held.next, Some(START.plus_ms(10_000)));
    assert!(held.holders.is_empty());
    world.crash();
    world.run_out();
    assert_eq!(called(&world)[..1], ["0s r1"]);
    assert_eq!(called(&world)[2..], ["10s r2", "20s r3"]);
}

#[test]
fn queues_are_seen_by_key_the_fullest_first() {
    let mut world = under(calls(1, Some("event.data.k")), "step a");
    send(&mut world, &[1, 2, 2, 2]);
    world.run_for(100);
    let seen = queues(&mut world);
    assert_eq!((seen.queued, seen.starts, seen.in_flight), (2, 2, 2));
    assert_eq!((seen.oldest, seen.lanes_total), (Some(START), 2));
    let fullest = &seen.lanes[0];
    assert_eq!(fullest.keys, [(Rule::Concurrency, "2".to_owned())]);
    assert_eq!((fullest.starts, fullest.in_flight), (2, 1));
    assert!(matches!(&fullest.cause, Some(Cause::Rule(held)) if held.key == "2"));
    assert_eq!(seen.lanes[1].cause, None);
    assert_eq!((seen.runs_in[0], seen.calls_out[0]), (4, 2));
    world.run_out();
}

#[test]
fn what_gathers_is_seen() {
    let mut world = under(batched(3), "");
    send(&mut world, &[1, 2]);
    let seen = queues(&mut world);
    let one = &seen.gathering[0];
    assert_eq!(
        (one.rule, one.events, seen.gathering_total),
        (Rule::Batch, 2, 1)
    );
    assert_eq!((one.opened, one.due), (START, START.plus_ms(60_000)));
    world.run_out();
    assert_eq!(world.store.runs[&world.run(1)].more.len(), 1);
    assert_eq!(called(&world), ["60s r1"]);
}

#[test]
fn a_batch_of_too_many_bytes_runs_at_once() {
    let mut world = under(batched(100), "");
    let text = "x".repeat(2_700_000);
    for _ in 0..3 {
        world.send(NewEvent {
            data: Payload::from_json(format!("{{\"text\":\"{text}\"}}")),
            ..event("go")
        });
    }
    world.settle();
    assert_eq!(
        world.store.runs.len(),
        1,
        "ten mebibytes are reached with the second"
    );
    world.run_out();
    assert_eq!(called(&world), ["0s r1", "60s r2"]);
}

#[test]
fn a_batch_that_two_callers_invoked_answers_both() {
    let mut world = World::of("invoke i app-g 90000");
    world.register(vec![
        f(FlowRules::default()),
        ruled(spec("app-g", "unused", None), batched(2)),
    ]);
    world.program("app-g", "step a");
    send(&mut world, &[1, 2]);
    world.run_out();
    assert_eq!(world.store.runs.len(), 3);
    assert_eq!(world.lines("Completed \"i\"").len(), 2, "{}", world.text());
}

#[test]
fn an_invocation_that_a_debounce_replaces_fails_and_the_one_that_is_kept_is_answered() {
    let mut world = World::of("invoke i app-g 90000 caught");
    world.register(vec![
        f(FlowRules::default()),
        ruled(spec("app-g", "unused", None), debounced()),
    ]);
    world.program("app-g", "step a");
    send(&mut world, &[1]);
    world.run_for(1_000);
    send(&mut world, &[2]);
    world.run_out();
    assert_eq!(world.store.runs.len(), 3);
    let lines = world.lines("Completed");
    assert!(
        lines[0].ends_with("r1 Completed \"!i\""),
        "{}",
        world.text()
    );
    assert!(lines[2].ends_with("r2 Completed \"i\""), "{}", world.text());
    let error = world.store.results_of(world.run(1), "i");
    assert!(error.contains("took the place"), "{error}");
}

#[test]
fn an_invocation_that_a_rate_limit_drops_fails_at_once() {
    let mut world = World::of("invoke i app-g 90000 caught");
    let rules = FlowRules {
        rate_limit: Some(RateRule {
            limit: 1,
            period_ms: 60_000,
            burst: 0,
            key: None,
        }),
        ..FlowRules::default()
    };
    world.register(vec![
        f(FlowRules::default()),
        ruled(spec("app-g", "unused", None), rules),
    ]);
    world.program("app-g", "");
    send(&mut world, &[1, 2]);
    world.run_out();
    let error = world.store.results_of(world.run(2), "i");
    assert!(
        error.contains("invoked function is rate limited"),
        "{error}"
    );
    assert_eq!(world.lines("Completed \"!i\"").len(), 1);
}

#[test]
fn a_run_that_takes_a_singletons_place_comes_after_the_rows_that_stop_it() {
    let rules = FlowRules {
        singleton: Some(SingletonRule {
            key: None,
            mode: SingletonMode::Cancel,
        }),
        ..FlowRules::default()
    };
    let mut world = under(rules, "sleep s 60000");
    send(&mut world, &[1]);
    world.run_for(5_000);
    world.crash();
    send(&mut world, &[2]);
    world.run_out();
    assert_eq!(world.status(1), RunStatus::Cancelled);
    assert_eq!(world.status(2), RunStatus::Completed);
    let why = world.store.ends[&world.run(1)].output.as_str();
    assert_eq!(why, "{\"reason\":\"singleton\",\"key\":\"\"}");
}

fn limit(target: LimitTarget, concurrency: Option<u32>, rate: Option<Rate>) -> Limit {
    Limit {
        name: "mine".to_owned(),
        target,
        concurrency,
        rate,
    }
}

fn put(world: &mut World, limit: Limit) {
    let (token, limit) = (world.token(), Box::new(limit));
    world.input(Input::PutLimit { token, limit });
    world.settle();
    assert!(matches!(world.answers[&token], Answer::Done));
}

fn step_a() -> LimitTarget {
    LimitTarget::Step {
        function: "app-f".to_owned(),
        step: "a".to_owned(),
    }
}

#[test]
fn a_limit_of_an_operator_holds_steps_of_that_name_and_no_others() {
    let mut world = World::of("par [ step a | step b ]");
    put(&mut world, limit(step_a(), Some(1), None));
    send(&mut world, &[1, 2]);
    world.run_for(1_500);
    assert_eq!(world.lines("call b").len(), 2, "{}", world.text());
    assert_eq!(world.lines("call a").len(), 1);
    let run = world.run(2);
    let Looked::Waiting(Some(seen)) = world.look(Look::Waiting(run)) else {
        panic!("it lives");
    };
    let held = seen.items.iter().find_map(|item| match &item.cause {
        Cause::Rule(held) => Some(held),
        _ => None,
    });
    let held = held.expect("a waits");
    assert_eq!((held.rule, held.scope.as_str()), (Rule::StepLimit, "mine"));
    assert_eq!((held.key.as_str(), held.limit, held.used), ("a", 1, 1));
    world.run_out();
    assert_eq!(world.lines("call a")[1], "2500ms r2 call a #0 [] plan");
}

#[test]
fn a_limit_of_an_operator_that_is_removed_lets_on_those_that_wait() {
    let mut world = World::of("fetch x");
    let host = LimitTarget::Host("API".to_owned());
    put(&mut world, limit(host, Some(1), None));
    send(&mut world, &[1, 2, 3]);
    world.run_for(1_500);
    assert_eq!(world.lines("request").len(), 1, "{}", world.text());
    let (token, name) = (world.token(), "mine".to_owned());
    world.input(Input::RemoveLimit { token, name });
    world.settle();
    assert_eq!(world.lines("request").len(), 3, "{}", world.text());
    world.run_out();
    assert!(world.store.limits.is_empty());
}

#[test]
fn a_rate_of_an_operator_holds_over_a_restart() {
    let mut world = World::of("fetch x");
    let rate = Rate {
        limit: 1,
        period_ms: 30_000,
        burst: 0,
    };
    let host = LimitTarget::Host("api".to_owned());
    put(&mut world, limit(host, None, Some(rate)));
    send(&mut world, &[1, 2]);
    world.run_for(10_000);
    world.restart(true);
    world.run_out();
    let requests = world.lines("request");
    assert_eq!(requests.len(), 2, "{}", world.text());
    assert!(
        requests[0].starts_with("1250ms") && requests[1].starts_with("31250ms"),
        "{requests:?}"
    );
}

/// How many calls the app is sent at a time, and until when none.
fn window(world: &mut World) -> (u32, Option<Timestamp>) {
    match world.look(Look::Totals) {
        Looked::Totals(seen) => (seen.apps[0].2, seen.apps[0].3),
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_app_that_has_too_much_to_do_is_called_less_and_comes_back() {
    let mut world = World::of("");
    world.with_options(Options {
        retry_interval_ms: Some(500),
        calls: CallLimits {
            calls_max: 100,
            calls_per_app_max: 4,
        },
        ..Options::default()
    });
    let busy = |first: bool| match first {
        true => Reply::Failed(Failure {
            busy: true,
            retry_after_ms: Some(10_000),
            ..match failed("too much to do", None, false) {
                Reply::Failed(failure) => failure,
                other => panic!("{other:?}"),
            }
        }),
        false => Reply::Done(Payload::from_json("1")),
    };
    world.script("app-f", move |call, _| {
        busy(call.attempt == 0 && call.events[0].data.as_str() == "{\"k\":1}")
    });
    send(&mut world, &[1, 1, 2, 2]);
    assert_eq!(window(&mut world), (4, None));
    world.run_for(1_250);
    let (calls, until) = window(&mut world);
    assert!(
        calls < 4 && until == Some(START.plus_ms(11_250)),
        "{calls} {until:?}"
    );
    send(&mut world, &[2, 2, 2]);
    world.run_for(5_000);
    let late = world.run(5);
    let Looked::Waiting(Some(seen)) = world.look(Look::Waiting(late)) else {
        panic!("it lives");
    };
    assert_eq!(seen.items[0].cause, Cause::AppPaused(START.plus_ms(11_250)));
    world.run_out();
    assert_eq!(world.lines("Completed").len(), 7, "{}", world.text());
    let after = called(&world);
    assert_eq!(
        after[4..4 + calls as usize],
        ["11250ms r5", "11250ms r6", "11250ms r7"][..calls as usize]
    );
    send(&mut world, &[2; 20]);
    world.run_out();
    assert_eq!(window(&mut world), (4, None), "all is well again");
}

#[test]
fn a_batch_that_is_made_again_has_all_its_events() {
    let mut world = under(batched(3), "step a");
    send(&mut world, &[1, 2, 3]);
    world.run_out();
    let row = world.store.runs[&world.run(1)].clone();
    let seqs: Vec<Seq> = std::iter::once(row.event).chain(row.more).collect();
    let events = seqs.iter().map(|seq| Arc::clone(&world.store.events[seq]));
    let rerun = Box::new(Rerun {
        original: world.run(1),
        function: row.function,
        events: events.collect(),
        version: Some(2),
        results: Vec::new(),
        from: None,
    });
    let token = world.token();
    world.input(Input::Rerun { token, rerun });
    world.settle();
    world.crash();
    world.run_out();
    let again = &world.store.runs[&world.run(2)];
    assert_eq!((again.event, &again.more[..]), (seqs[0], &seqs[1..]));
    assert_eq!(world.status(2), RunStatus::Completed);
}

#[test]
fn a_run_that_queues_for_too_long_is_cancelled() {
    let mut world = World::of("");
    let timeouts = Timeouts {
        start_ms: Some(700),
        finish_ms: None,
    };
    let rules = calls(1, Some("event.data.k"));
    world.register(vec![FunctionSpec {
        timeouts,
        ..f(rules)
    }]);
    send(&mut world, &[1, 1, 2]);
    world.run_out();
    let lines = world.lines("Cancelled");
    assert_eq!(
        lines,
        ["700ms r2 Cancelled {\"reason\":\"timeouts.start\"}"]
    );
    assert_eq!(world.lines("Completed").len(), 2);
}

#[test]
fn functions_take_turns_however_many_runs_one_of_them_has() {
    let mut world = World::new(1);
    world.delays.call = 1_000;
    world.with_options(Options {
        calls: CallLimits {
            calls_max: 1,
            calls_per_app_max: 100,
        },
        ..Options::default()
    });
    let g = spec("app-g", "other", None);
    world.register(vec![f(calls(5, Some("event.data.k"))), g]);
    world.program("app-f", "");
    world.program("app-g", "");
    send(&mut world, &[1, 1, 1, 1, 2]);
    world.send(event("other"));
    world.run_out();
    // After the other function's run comes one of each key.
    let order = called(&world);
    let runs: Vec<&str> = order
        .iter()
        .filter_map(|line| line.split(' ').nth(1))
        .collect();
    assert_eq!(runs, ["r1", "r6", "r2", "r5", "r3", "r4"], "{order:?}");
}

#[test]
fn room_that_a_queue_has_no_use_for_goes_to_the_next() {
    let mut rules = calls(1, None);
    rules.concurrency.extend(at_a_time(9, Some("event.data.k")));
    let mut world = under(rules, "sleep s 60000");
    send(&mut world, &[2]);
    world.run_for(2_000);
    // While the first call is out, two queues wait; then one of them has nothing to wait for.
    send(&mut world, &[1, 2, 3]);
    let run = world.run(3);
    world.cancel(run);
    world.run_for(2_000);
    assert_eq!(called(&world), ["0s r1", "2s r2", "3250ms r4"]);
    world.run_out();
}

#[test]
fn a_paused_function_leaves_room_to_others() {
    let shared = |slug: &str, event: &str| {
        let mut rules = calls(1, Some("event.data.k"));
        rules.concurrency[0].scope = Scope::Env;
        ruled(spec(slug, event, None), rules)
    };
    let mut world = World::of("");
    world.register(vec![shared("app-f", "go"), shared("app-g", "other")]);
    world.program("app-g", "");
    send(&mut world, &[1, 1]);
    world.send(keyed("other", 1));
    world.pause(0, true);
    world.run_for(5_000);
    assert_eq!(called(&world), ["0s r1", "1250ms r3"]);
    world.pause(0, false);
    world.run_out();
    assert_eq!(called(&world)[2..], ["5s r2"]);
}
