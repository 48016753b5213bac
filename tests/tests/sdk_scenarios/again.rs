//! Making runs again, holding functions back, and ending many runs at once.

use dunlin_tests::{Reply, Sdk, text, until};
use serde_json::{Value, json};

use super::{World, id_of};

/// Posts JSON and gives the answer, which must say that all is well.
async fn post(world: &World, path: &str, body: Value) -> Value {
    let reply: Reply = world.server.client().post(path, &body).await;
    assert!(reply.status < 300, "{path}: {}", reply.text());
    reply.json()
}

/// Makes a run again and gives the id of the new one.
async fn rerun(world: &World, run: &str, how: Value) -> String {
    let made = post(world, &format!("/v2/runs/{run}/rerun"), how).await;
    let again = text(&made["data"]["runId"]);
    assert_ne!(again, run);
    again
}

pub(crate) async fn a_run_is_made_again_from_its_start_or_a_step(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("sequential", json!({ "n": 1 })).await;
    let again = rerun(&world, id_of(&run), json!({})).await;
    world.assert_returned(&again, run["output"].clone()).await;
    let from_c = json!({ "fromStep": { "stepId": "c" } });
    let from_c = rerun(&world, id_of(&run), from_c).await;
    world.assert_returned(&from_c, run["output"].clone()).await;
    let counts = world.app.counts().await;
    assert_eq!(counts.steps(&again), json!({ "a": 1, "b": 1, "c": 1 }));
    assert_eq!(counts.steps(&from_c), json!({ "c": 1 }));
}

pub(crate) async fn a_step_is_run_again_with_other_input(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("takes-input", json!({ "a": 1, "b": 2 })).await;
    assert_eq!(run["output"], 6, "{run}");
    let from_add = json!({ "fromStep": { "stepId": "add", "input": [10, 20] } });
    let from_add = rerun(&world, id_of(&run), from_add).await;
    world.assert_returned(&from_add, 60).await;
    let from_double = json!({ "fromStep": { "stepId": "double", "input": [7] } });
    let from_double = rerun(&world, id_of(&run), from_double).await;
    world.assert_returned(&from_double, 14).await;
    let counts = world.app.counts().await;
    assert_eq!(counts.step(&from_add, "add"), 1);
    assert_eq!(counts.step(&from_double, "add"), 0);
}

pub(crate) async fn a_paused_function_holds_its_runs(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run_until_idle("sleeps").await;
    post(&world, "/api/functions/sdk-sleeps/pause", json!({})).await;
    let skipped = world.send("sleeps", json!({})).await;
    let skipped = world.server.ended_run_of(&skipped).await;
    assert_eq!(skipped["status"], "Skipped", "{skipped}");
    world.server.advance("61m").await;
    let steps = world.app.counts().await.steps(&run);
    assert_eq!(steps, json!({ "before": 1 }));

    post(&world, "/api/functions/sdk-sleeps/resume", json!({})).await;
    let woken = async || (world.app.counts().await.step(&run, "between") == 1).then_some(());
    until("step after the pause", woken).await;
    world.server.idle().await;
    world.server.advance("3h").await;
    world.assert_returned(&run, "woken").await;
    assert_eq!(world.app.counts().await.calls(id_of(&skipped)), 0);
}

pub(crate) async fn many_runs_are_cancelled_at_once(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let (early, other) = (
        world.begin("waits-match", json!({ "order": 1 })).await,
        world.begin("waits-match", json!({ "order": 2 })).await,
    );
    let sleeps = world.run_until_idle("sleeps").await;
    world.server.advance("1m").await;
    let asked = json!({
        "app_id": "sdk", "function_id": "waits-match", "started_before": world.server.now().await,
        "if": "event.data.order == 1",
    });
    post(&world, "/v1/cancellations", asked).await;
    world.assert_cancelled(&early).await;
    world.server.idle().await;
    world.assert_running(&other).await;
    world.assert_running(&sleeps).await;
}

pub(crate) async fn failed_runs_are_replayed(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let from = world.server.now().await;
    let failed = world.run("uncaught", json!({})).await;
    assert_eq!(failed["status"], "Failed", "{failed}");
    world.server.advance("1m").await;
    let mut asked = json!({ "from": from, "status": ["Failed"], "error_contains": "always" });
    let path = "/api/functions/sdk-uncaught/replays";
    let made = post(&world, path, asked.clone()).await.to_string();
    let ended = async || {
        let replays = world
            .server
            .client()
            .get("/api/replays")
            .await
            .json()
            .to_string();
        replays.contains("\"started\":1").then_some(())
    };
    until(&format!("replay {made}"), ended).await;
    asked["count_only"] = json!(true);
    let matched = async || {
        world.server.idle().await;
        let counted = post(&world, path, asked.clone()).await.to_string();
        counted.contains("\"count\":2").then_some(())
    };
    until("failed repetition", matched).await;
}
