//! Events that wait for others: debounces and batches.

use dunlin_tests::{Sdk, text};
use serde_json::json;

use super::World;
use super::flow::under;

pub(crate) async fn of_events_that_follow_closely_the_last_one_counts(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let mut events = Vec::new();
    for n in 0..3 {
        events.push(world.send("debounced", under("a", n)).await);
    }
    let other = world.send("debounced", under("b", 7)).await;
    world.server.advance("8m").await;
    assert!(world.log("debounced").await.is_empty());
    let waits = world.server.verdict(&events[2]).await;
    assert_eq!(waits["outcome"], "gathering", "{waits}");
    world.server.advance("3m").await;
    assert_eq!(world.log("debounced/a").await, [2]);
    assert_eq!(world.log("debounced/b").await, [7]);
    world.assert_ends(&events[2], "Completed").await;
    world.assert_ends(&other, "Completed").await;
    for (event, by) in [(0, 1), (1, 2)] {
        let kept = world.assert_dropped(&events[event], "debounce", "a").await;
        assert_eq!(kept, json!({ "kind": "event", "id": events[by] }));
    }
}

pub(crate) async fn an_older_event_changes_no_debounce(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let newer = world.send("debounced", under("a", 0)).await;
    let ts = world.events("sdk/debounced").await[0]["ts"].clone();
    let hour_before = ts.as_i64().expect("a time") - 3_600_000;
    let older = json!({ "name": "sdk/debounced", "data": under("a", 1), "ts": hour_before });
    world.server.advance("8m").await;
    let older = world.server.send_raw(&older).await;
    world.server.idle().await;
    let kept = world.assert_dropped(&older, "debounce", "a").await;
    assert_eq!(kept, json!({ "kind": "event", "id": newer }));
    world.server.advance("3m").await;
    world.assert_ends(&newer, "Completed").await;
    assert_eq!(world.log("debounced").await, [0]);
}

pub(crate) async fn a_debounce_ends_at_its_latest_instant(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    for n in 0..3 {
        world.send("debounced", under("a", n)).await;
        world.server.advance("8m").await;
    }
    assert!(world.log("debounced").await.is_empty());
    // 25 minutes from the first one are over before 10 from the last one are.
    world.server.advance("90s").await;
    assert_eq!(world.log("debounced").await, [2]);
    world.send("debounced", under("a", 3)).await;
    world.server.advance("8m").await;
    assert_eq!(world.log("debounced").await, [2], "a new one began");
    world.server.advance("3m").await;
    assert_eq!(world.log("debounced").await, [2, 3]);
}

pub(crate) async fn a_batch_runs_when_it_is_full(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let mut events = Vec::new();
    for (key, n) in [("a", 0), ("b", 1), ("a", 2), ("a", 3), ("a", 4)] {
        events.push(world.send("batched", under(key, n)).await);
    }
    world.server.idle().await;
    let run = world.assert_ends(&events[0], "Completed").await;
    assert_eq!(run["output"], json!([0, 2, 3]), "{run}");
    for event in [2, 3] {
        let runs = world.server.runs_of(&events[event]).await;
        assert_eq!(runs.len(), 1, "event {event}: {runs:?}");
        assert_eq!(runs[0]["run_id"], run["run_id"], "event {event}");
    }
    for event in [1, 4] {
        assert!(world.server.runs_of(&events[event]).await.is_empty());
        let waits = world.server.verdict(&events[event]).await;
        assert_eq!(waits["outcome"], "gathering", "{waits}");
    }
    let queues = world.server.queues("sdk-batched").await;
    let mut keys: Vec<String> = queues["gathering"]
        .as_array()
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .map(|one| text(&one["key"]))
        .collect();
    keys.sort();
    assert_eq!(keys, ["a", "b"], "{queues}");
}

pub(crate) async fn a_batch_runs_when_it_has_waited_long_enough(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let a = world.send("batched", under("a", 0)).await;
    world.server.advance("5m").await;
    world.send("batched", under("a", 1)).await;
    let b = world.send("batched", under("b", 2)).await;
    world.server.advance("3m").await;
    assert!(world.server.runs_of(&a).await.is_empty());
    world.server.advance("3m").await;
    let run = world.assert_ends(&a, "Completed").await;
    assert_eq!(run["output"], json!([0, 1]), "{run}");
    assert!(world.server.runs_of(&b).await.is_empty());
    world.server.advance("5m").await;
    let run = world.assert_ends(&b, "Completed").await;
    assert_eq!(run["output"], json!([2]), "{run}");
}

pub(crate) async fn an_event_that_is_not_for_a_batch_runs_alone_at_once(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let first = world.send("batched", under("a", 0)).await;
    let alone = world.run("batched", under("a", 100)).await;
    assert_eq!(alone["output"], json!([100]), "{alone}");
    let odd = json!({ "key": "a", "n": "many" });
    let odd = world.run("batched", odd).await;
    assert_eq!(odd["output"], json!(["many"]), "{odd}");
    assert!(world.server.runs_of(&first).await.is_empty());
}
