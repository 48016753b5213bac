//! Which events start which runs.

use dunlin_tests::{Sdk, text};
use serde_json::{Value, json};

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

/// All nodes of a trace, from its root on.
fn nodes(tree: &Value) -> Vec<&Value> {
    let children = tree["children"].as_array().into_iter().flatten();
    std::iter::once(tree)
        .chain(children.flat_map(nodes))
        .collect()
}

pub(crate) async fn one_trace_has_what_a_step_sends(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let first = world.send("fan-out", json!({ "each": "fanned" })).await;
    let run = world.server.ended_run_of(&first).await;
    world.server.idle().await;
    let tree = world.trace(&first).await;
    assert_eq!((&tree["id"], &tree["asked"]), (&json!(first), &json!(true)));
    let all = nodes(&tree);
    let sent: Vec<_> = all.iter().filter(|node| node["kind"] == "event").collect();
    assert_eq!(sent.len(), 4, "{tree:#}");
    for (event, id) in sent[1..]
        .iter()
        .zip(run["output"]["ids"].as_array().expect("ids"))
    {
        assert_eq!(
            (&event["id"], &event["detail"]["origin"]),
            (id, &json!("run"))
        );
        let started = &event["children"][0];
        assert_eq!(
            (&started["kind"], &started["status"]),
            (&json!("run"), &json!("completed"))
        );
        // From below one sees the same tree from the same root.
        let above = world.trace(&text(&started["id"])).await;
        assert_eq!(above["id"], first, "{above:#}");
        assert_eq!(nodes(&above).len(), all.len());
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
