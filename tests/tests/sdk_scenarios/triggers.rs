//! Names with wildcards, several triggers, events of the future, and time tables.

use dunlin_tests::{Sdk, SdkApp, text, until};
use serde_json::json;

use super::World;

const TICK: &str = "inngest/scheduled.timer";

pub(crate) async fn each_trigger_of_a_function_starts_it(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    for (name, data) in [
        ("many-a", json!({})),
        ("many-b", json!({ "ok": true })),
        ("wild.goose", json!({})),
    ] {
        let run = world.run(name, data).await;
        assert_eq!(run["output"], format!("sdk/{name}"), "{run}");
    }
    for (name, data) in [
        ("many-b", json!({ "ok": false })),
        ("wild", json!({})),
        ("tame.goose", json!({})),
    ] {
        let event = world.send(name, data).await;
        world.server.idle().await;
        assert!(world.server.runs_of(&event).await.is_empty(), "{name}");
    }
}

pub(crate) async fn an_event_of_the_future_starts_its_run_then(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let soon = world.send("plain", json!({})).await;
    world.server.ended_run_of(&soon).await;
    let now = &world.events("sdk/plain").await[0]["ts"];
    let ts = now.as_i64().expect("a time") + 3_600_000;
    let event = json!({ "name": "sdk/plain", "data": { "tag": "later" }, "ts": ts });
    let event = world.server.send_raw(&event).await;
    world.server.advance("50m").await;
    assert_eq!(world.app.counts().await.tag("later"), 0);
    world.server.advance("11m").await;
    assert_eq!(
        world.server.ended_run_of(&event).await["status"],
        "Completed"
    );
    assert_eq!(world.app.counts().await.tag("later"), 1);
}

/// The ticks that started runs of a function, which names itself in what it returns.
pub(crate) async fn ticked(world: &World, function: &str) -> Vec<String> {
    let mut ticks = Vec::new();
    for event in world.events(TICK).await {
        for run in world.server.runs_of(&text(&event["internal_id"])).await {
            let run = world.server.ended(&text(&run["run_id"])).await;
            if text(&run["output"]).contains(function) {
                ticks.push(text(&event["data"]["scheduledAt"]));
            }
        }
    }
    ticks
}

pub(crate) async fn time_tables_start_runs_over_restarts(sdk: Sdk) {
    let mut world = World::with(sdk, &[]).await;
    for day in 1..=2 {
        world.server.advance("24h").await;
        assert_eq!(ticked(&world, "daily").await.len(), day);
        assert_eq!(ticked(&world, "zoned").await.len(), day);
    }
    let before = ticked(&world, "daily").await;
    let url = world.app.url();
    let flags = ["--test-mode", "--no-discovery", "--sdk-url", &url];
    world.server.restart(flags).await;
    // The clock of the new process is two days back.
    world.server.advance("72h").await;
    let after = ticked(&world, "daily").await;
    assert_eq!(after.len(), 3, "each tick came once: {after:?}");
    assert_eq!(after[..2], before, "no tick came twice");
    for tick in after {
        assert!(tick.contains("T03:00:00"), "{tick}");
    }
    for tick in ticked(&world, "zoned").await {
        assert!(tick.contains("T04:00:00"), "{tick}");
    }
}

pub(crate) async fn missed_ticks_start_one_run(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    world.server.advance("96h").await;
    let ticks = ticked(&world, "daily").await;
    assert_eq!(ticks.len(), 1, "{ticks:?}");
}

pub(crate) async fn a_function_that_is_gone_ticks_no_more(sdk: Sdk) {
    let mut world = World::hasty(sdk).await;
    world.server.advance("24h").await;
    assert_eq!(ticked(&world, "daily").await.len(), 1);
    world.app.run_with("APP_WITHOUT", "ticks").await;
    world.app.sync().await;
    let functions = world
        .server
        .client()
        .get("/v1/apps/sdk/functions")
        .await
        .json();
    let ids = functions.as_array().expect("a list").iter();
    assert!(ids.clone().count() > 0 && ids.clone().all(|one| one["id"] != "sdk-ticks"));

    world.server.advance("24h").await;
    assert_eq!(ticked(&world, "daily").await.len(), 1);
    assert_eq!(ticked(&world, "zoned").await.len(), 2, "the others go on");
    let event = world.send("ticks", json!({})).await;
    world.server.idle().await;
    assert!(world.server.runs_of(&event).await.is_empty());

    world.app.run_with("APP_WITHOUT", "").await;
    world.app.sync().await;
    world.server.advance("24h").await;
    assert_eq!(ticked(&world, "daily").await.len(), 2, "it is back");
}

pub(crate) async fn an_app_that_moved_gets_its_runs(sdk: Sdk) {
    let mut world = World::hasty(sdk).await;
    let run = world.run_until_idle("sleeps").await;
    world.app.kill().await;
    let moved = SdkApp::dev(sdk, "sdk", &world.server.url(), &[]).await;
    moved.sync().await;
    until("app at its new place", async || {
        let apps = world.server.client().get("/v2/apps").await.json();
        apps.to_string().contains(&moved.url()).then_some(())
    })
    .await;
    world.server.advance("61m").await;
    world.server.advance("3h").await;
    world.assert_returned(&run, "woken").await;
    assert_eq!(
        moved.counts().await.steps(&run),
        json!({ "between": 1, "after": 1 })
    );
}
