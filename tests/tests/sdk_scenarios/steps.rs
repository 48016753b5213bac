//! Steps and their results.

use dunlin_tests::Sdk;
use serde_json::{Value, json};

use super::{World, id_of};

pub(crate) async fn functions_give_their_results_and_run_each_step_once(sdk: Sdk) {
    assert_results(&World::hasty(sdk).await, sdk).await;
}

/// Functions with steps give what they are to give.
pub(crate) async fn assert_results(world: &World, sdk: Sdk) {
    for (function, data, output, steps) in results() {
        let run = world.run(function, data).await;
        assert_eq!(run["status"], "Completed", "{function}: {run}");
        assert_eq!(run["output"], output, "{function}");
        let counts = world.app.counts().await;
        assert_eq!(counts.steps(id_of(&run)), steps, "{function}");
        if function == "sequential" {
            let calls = counts.calls(id_of(&run));
            assert!(
                if sdk.checkpoints() {
                    calls == 1
                } else {
                    calls > 3
                },
                "{calls} calls"
            );
        }
    }
}

/// Function, event data, what it returns, and how often which step body runs.
fn results() -> Vec<(&'static str, Value, Value, Value)> {
    let sequential = json!({ "a": 2, "b": { "text": "got 2 — ¥€" }, "c": null });
    let parallel = json!({ "parts": [0, 10, 20], "total": 30 });
    let each_part = json!({ "part-0": 1, "part-1": 1, "part-2": 1, "total": 1 });
    vec![
        (
            "plain",
            json!({ "name": "Mei" }),
            json!({ "hello": "Mei" }),
            json!({}),
        ),
        (
            "sequential",
            json!({ "n": 1 }),
            sequential,
            json!({ "a": 1, "b": 1, "c": 1 }),
        ),
        ("parallel", json!({}), parallel, each_part),
        ("loop", json!({}), json!([0, 1, 2, 3]), json!({ "item": 4 })),
        (
            "caught",
            json!({}),
            json!({ "caught": "no luck" }),
            json!({ "risky": 2, "instead": 1 }),
        ),
        ("step-recovers", json!({}), json!(3), json!({ "flaky": 3 })),
        (
            "function-error",
            json!({}),
            json!({ "attempt": 2 }),
            json!({ "body": 3 }),
        ),
        (
            "takes-input",
            json!({ "a": 1, "b": 2 }),
            json!(6),
            json!({ "add": 1 }),
        ),
    ]
}

pub(crate) async fn a_step_that_is_not_to_be_retried_can_be_caught(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("step-non-retriable", json!({})).await;
    assert_eq!(run["output"], json!({ "caught": "not this one" }), "{run}");
    assert_eq!(world.app.counts().await.step(id_of(&run), "risky"), 1);
}

pub(crate) async fn three_hundred_steps_run_once_each(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("many-steps", json!({})).await;
    assert_eq!(run["status"], "Completed", "{run}");
    assert_eq!(run["output"], 299 * 300 / 2);
    let steps = world.app.counts().await.steps(id_of(&run));
    let steps = steps.as_object().expect("steps by name");
    assert_eq!(steps.len(), 300);
    assert!(steps.values().all(|times| times == 1), "{steps:?}");
}

pub(crate) async fn six_megabytes_of_state_reach_the_app(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let event = world.server.send_event("sdk/big-state", json!({})).await;
    let run = world.server.run_of(&event).await;
    let sleeps = async || (world.app.counts().await.step(&run, "f") == 1).then_some(());
    dunlin_tests::until("sixth step", sleeps).await;
    world.server.idle().await;
    assert_eq!(world.server.read_run(&run).await["status"], "Running");

    world.server.advance("2m").await;
    let ended = world.server.ended(&run).await;
    assert_eq!(
        ended["output"],
        json!({ "bytes": 6 * 1_048_576, "whole": true }),
        "{ended}"
    );
    let counts = world.app.counts().await;
    assert!(
        counts.uses_of_api(&run) > 0,
        "no call left the state to be fetched"
    );
    let once = json!({ "a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "check": 1 });
    assert_eq!(counts.steps(&run), once);
}
