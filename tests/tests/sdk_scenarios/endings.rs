//! Runs that are ended from outside: by events and by time.

use dunlin_tests::{Sdk, text, until};
use serde_json::{Value, json};

use super::World;

pub(crate) async fn events_cancel_runs_that_sleep_wait_or_invoke(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let mut runs = Vec::new();
    for (order, busy) in ["sleep", "wait", "invoke"].into_iter().enumerate() {
        let data = json!({ "order": order, "busy": busy });
        runs.push(world.begin("cancels", data).await);
    }
    let spared = world
        .begin("cancels", json!({ "order": 9, "busy": "sleep" }))
        .await;
    for order in 0..3 {
        world.send("stop", json!({ "order": order })).await;
    }
    for run in &runs {
        world.assert_cancelled(run).await;
    }
    world.assert_running(&spared).await;
    let cancelled = cancelled_events(&world).await;
    assert_eq!(cancelled, runs, "each cancelled run is told of once");

    world.send("stop-some", json!({ "least": 10 })).await;
    world.server.idle().await;
    world.assert_running(&spared).await;
    world.send("stop-some", json!({ "least": 9 })).await;
    world.assert_cancelled(&spared).await;

    world.server.advance("2d").await;
    for run in runs.iter().chain([&spared]) {
        world.assert_cancelled(run).await;
        assert!(world.app.counts().await.steps(run)["after"].is_null());
    }
}

/// The runs of which a cancelled event tells, in the order in which they began.
async fn cancelled_events(world: &World) -> Vec<String> {
    let events = world.events("inngest/function.cancelled").await;
    let run = |event: &Value| dunlin_tests::text(&event["data"]["run_id"]);
    let mut runs: Vec<String> = events.iter().map(run).collect();
    runs.sort();
    runs
}

pub(crate) async fn an_event_cancels_a_run_during_a_call(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let event = world
        .send("cancels", json!({ "order": 1, "busy": "call" }))
        .await;
    let run = world.server.run_of(&event).await;
    let held = async || (world.app.counts().await.held() == 1).then_some(());
    until("step that is held", held).await;
    world.send("stop", json!({ "order": 1 })).await;
    world.assert_cancelled(&run).await;

    world.app.release().await;
    world.server.idle().await;
    world.assert_cancelled(&run).await;
    assert!(world.app.counts().await.step(&run, "held") == 1);
}

pub(crate) async fn a_cancelling_event_comes_too_late(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let begin = json!({ "order": 1, "busy": "sleep" });
    let early = world.begin("cancels", begin.clone()).await;
    world.send("stop-soon", json!({})).await;
    world.assert_cancelled(&early).await;

    let late = world.begin("cancels", begin).await;
    world.server.advance("61m").await;
    world.send("stop-soon", json!({})).await;
    world.server.advance("1d").await;
    world.assert_returned(&late, "not cancelled").await;
}

/// An event of the future makes a run that has yet to begin when its time to do so is over.
pub(crate) async fn a_run_that_begins_too_late_is_cancelled(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let soon = world.send("plain", json!({})).await;
    world.server.ended_run_of(&soon).await;
    let now = &world.events("sdk/plain").await[0]["ts"];
    let ts = now.as_i64().expect("a time") + 3_600_000;
    let event = json!({ "name": "sdk/starts-in-time", "data": {}, "ts": ts });
    let event = world.server.send_raw(&event).await;
    world.server.advance("11m").await;
    let run = world.server.ended_run_of(&event).await;
    assert_eq!(run["status"], "Cancelled", "{run}");
    assert_eq!(run["reason"], "timeouts.start", "{run}");
    world.server.advance("1h").await;
    let calls = world.app.counts().await.calls(&text(&run["run_id"]));
    assert_eq!(calls, 0, "it was called after all");
}

pub(crate) async fn a_run_that_takes_too_long_is_cancelled(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let (in_time, late) = (json!({ "nap": "1h" }), json!({ "nap": "3h" }));
    let in_time = world.begin("finishes-in-time", in_time).await;
    let late = world.begin("finishes-in-time", late).await;
    let started = world.begin("starts-in-time", json!({})).await;
    world.server.advance("61m").await;
    world.assert_returned(&in_time, "in time").await;
    world.assert_returned(&started, "in time").await;
    world.assert_running(&late).await;
    world.server.advance("1h").await;
    world.assert_cancelled(&late).await;
    world.server.advance("3h").await;
    assert!(world.app.counts().await.steps(&late)["after"].is_null());
}
