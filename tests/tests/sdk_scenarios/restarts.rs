//! A server that is killed while runs wait.

use dunlin_tests::Sdk;
use serde_json::json;

use super::World;

const FLAGS: [&str; 2] = ["--test-mode", "--no-discovery"];

pub(crate) async fn waits_and_invocations_survive_a_kill(sdk: Sdk) {
    let mut world = World::with(sdk, &[]).await;
    let answered = world.begin("waits-match", json!({ "order": 1 })).await;
    let silent = world.begin("waits-match", json!({ "order": 2 })).await;
    let invokes = world
        .begin("invokes-by-id", json!({ "functionId": "child-sleeps" }))
        .await;
    let stopped = world
        .begin("cancels", json!({ "order": 3, "busy": "wait" }))
        .await;
    let parts = world.begin("waits-many", json!({ "order": 4 })).await;
    world
        .send("part-b", json!({ "order": 4, "text": "b" }))
        .await;
    world.server.idle().await;
    world.server.restart(FLAGS).await;

    world
        .send("answer", json!({ "order": 1, "text": "after the kill" }))
        .await;
    world.assert_returned(&answered, "after the kill").await;
    world.send("stop", json!({ "order": 3 })).await;
    world.assert_cancelled(&stopped).await;
    world
        .send("part-a", json!({ "order": 4, "text": "a" }))
        .await;
    world
        .send("part-c", json!({ "order": 4, "text": "c" }))
        .await;
    world.assert_returned(&parts, json!(["a", "b", "c"])).await;
    world.server.advance("61m").await;
    world.assert_returned(&silent, "timed out").await;
    world.server.advance("61m").await;
    world
        .assert_returned(&invokes, json!({ "result": "slept" }))
        .await;
    let counts = world.app.counts().await;
    for run in [&answered, &silent] {
        assert_eq!(counts.steps(run), json!({ "before": 1, "after": 1 }));
    }
}

pub(crate) async fn signals_survive_a_kill(sdk: Sdk) {
    let mut world = World::with(sdk, &[]).await;
    let run = world
        .begin("waits-signal", json!({ "signal": "one" }))
        .await;
    world.server.restart(FLAGS).await;
    world.app.send_signal("one", json!("after the kill")).await;
    world.assert_returned(&run, "after the kill").await;
}
