//! Which events start which runs.

use dunlin_tests::{Sdk, text};
use serde_json::json;

use super::World;

pub(crate) async fn events_that_a_step_sends_start_functions(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("fan-out", json!({ "each": "fanned" })).await;
    assert_eq!(run["status"], "Completed", "{run}");
    let sent = run["output"]["ids"]
        .as_array()
        .expect("the ids of what was sent");
    assert_eq!(sent.len(), 3, "{run}");
    for (n, event) in sent.iter().enumerate() {
        let started = world.server.ended_run_of(&text(event)).await;
        assert_eq!(started["output"], n, "{started}");
    }
    world.server.idle().await;
    for event in sent {
        assert_eq!(world.server.runs_of(&text(event)).await.len(), 1);
    }
}

pub(crate) async fn an_event_id_starts_one_run(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let event =
        json!({ "name": "sdk/plain", "id": "order-1", "data": { "name": "Mei", "tag": "once" } });
    let first = world.server.send_raw(&event).await;
    world.server.ended_run_of(&first).await;
    world.server.send_raw(&event).await;
    world.server.idle().await;
    assert_eq!(world.app.counts().await.tag("once"), 1);

    let other = json!({ "name": "sdk/plain", "id": "order-2", "data": { "tag": "once" } });
    let other = world.server.send_raw(&other).await;
    world.server.ended_run_of(&other).await;
    assert_eq!(world.app.counts().await.tag("once"), 2);
}

pub(crate) async fn a_trigger_expression_decides(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let mut refused = Vec::new();
    for data in [
        json!({ "plan": "free", "n": 3 }),
        json!({ "plan": "pro", "n": 2 }),
        json!({}),
    ] {
        refused.push(world.server.send_event("sdk/choosy", data).await);
    }
    let run = world.run("choosy", json!({ "plan": "pro", "n": 3 })).await;
    assert_eq!(run["output"], "pro", "{run}");
    world.server.idle().await;
    for event in refused {
        assert!(world.server.runs_of(&event).await.is_empty());
    }
}
