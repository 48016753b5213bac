//! Waiting for signals and sending them.

use dunlin_tests::Sdk;
use serde_json::{Value, json};

use super::World;

pub(crate) async fn a_signal_wakes_the_run_that_waits_for_it(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let by_client = world
        .begin("waits-signal", json!({ "signal": "one" }))
        .await;
    let by_step = world
        .begin("waits-signal", json!({ "signal": "two" }))
        .await;
    let never = world
        .begin("waits-signal", json!({ "signal": "three" }))
        .await;

    let sent = world.app.send_signal("one", json!({ "n": 1 })).await;
    assert!(sent.to_string().contains(&by_client), "{sent}");
    world.assert_returned(&by_client, json!({ "n": 1 })).await;
    let sent = world
        .run("sends-signal", json!({ "signal": "two", "data": "hello" }))
        .await;
    assert_eq!(sent["status"], "Completed", "{sent}");
    world.assert_returned(&by_step, "hello").await;
    let sent = world.app.send_signal("nobody", Value::Null).await;
    assert!(sent["runId"].is_null(), "{sent}");

    world.server.advance("61m").await;
    world.assert_returned(&never, "timed out").await;
}

pub(crate) async fn a_signal_has_one_waiter(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let first = world
        .begin("waits-signal", json!({ "signal": "one" }))
        .await;
    let refused = world.run("waits-signal", json!({ "signal": "one" })).await;
    assert_eq!(refused["status"], "Failed", "{refused}");
    let output = refused["output"].to_string();
    assert!(output.contains("signal wait already exists"), "{refused}");

    let asked = json!({ "signal": "one", "onConflict": "replace" });
    let second = world.begin("waits-signal", asked).await;
    world.app.send_signal("one", json!("to the second")).await;
    world.assert_returned(&second, "to the second").await;
    world.assert_running(&first).await;
    world.server.advance("61m").await;
    world.assert_returned(&first, "timed out").await;
}
