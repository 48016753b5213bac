//! The server with PyPI `inngest`, over FastAPI.
#![expect(
    dead_code,
    reason = "this SDK has less than those for JavaScript, with which it shares"
)]
#![expect(
    unused_macros,
    reason = "this SDK has less than those for JavaScript, with which it shares"
)]

#[macro_use]
mod sdk_scenarios;

use dunlin_tests::Sdk;
use sdk_scenarios::{World, id_of};
use serde_json::json;

common_scenarios!(Sdk::PYTHON);

#[tokio::test]
async fn branches_of_a_race_go_on_alone() {
    let world = World::hasty(Sdk::PYTHON).await;
    let run = world.run_until_idle("race-mode").await;
    let steps = world.app.counts().await.steps(&run);
    assert_eq!(steps, json!({ "one": 1, "two": 1 }));
    world.server.advance("61m").await;
    world.assert_returned(&run, json!([2, 3])).await;
}

#[tokio::test]
async fn a_step_that_is_not_to_be_retried_fails_the_function() {
    let world = World::hasty(Sdk::PYTHON).await;
    let run = world.run("step-non-retriable", json!({})).await;
    assert_eq!(run["status"], "Failed", "{run}");
    assert!(run["output"].to_string().contains("not this one"), "{run}");
    assert_eq!(world.app.counts().await.step(id_of(&run), "risky"), 1);
}
