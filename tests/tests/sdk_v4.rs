//! The server with npm `inngest` 4, as it comes and with checkpointing switched off.

#[macro_use]
mod sdk_scenarios;

use dunlin_tests::{Sdk, text};
use sdk_scenarios::World;
use sdk_scenarios::triggers::ticked;
use serde_json::json;

javascript_scenarios!(Sdk::V4);

#[tokio::test]
async fn jitter_delays_a_tick() {
    let world = World::hasty(Sdk::V4).await;
    world.server.advance("24h").await;
    world.server.advance("5m").await;
    assert_eq!(ticked(&world, "jittered").await.len(), 1);
}

#[tokio::test]
async fn a_deferred_function_runs_after() {
    let world = World::hasty(Sdk::V4).await;
    let run = world.run("defers", json!({ "n": 7 })).await;
    assert_eq!(run["output"], "done", "{run}");
    world.server.idle().await;
    let deferred = world.events("inngest/deferred.schedule").await;
    assert_eq!(deferred.len(), 1, "{deferred:?}");
    let ended = world
        .server
        .ended_run_of(&text(&deferred[0]["internal_id"]))
        .await;
    assert_eq!(
        ended["output"],
        json!({ "n": 7, "parent": "sdk-defers" }),
        "{ended}"
    );
}

mod calls_only {
    use crate::sdk_scenarios;

    step_scenarios!(dunlin_tests::Sdk::V4_CALLS_ONLY);
    racing_scenarios!(dunlin_tests::Sdk::V4_CALLS_ONLY);
}
