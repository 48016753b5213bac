//! Rules over a kill of the server, what is shown of them, and those that the server refuses.

use dunlin_tests::{Sdk, text};
use http::Method;
use serde_json::json;

use super::World;
use super::flow::{held, held_under, under};

const FLAGS: [&str; 2] = ["--test-mode", "--no-discovery"];

pub(crate) async fn rules_survive_a_kill(sdk: Sdk) {
    let mut world = World::with(sdk, &[]).await;
    let runs = world.start_all("at-a-time", (0..4).map(held)).await;
    world.at_work("at-a-time", 1).await;
    let mut batch = vec![world.send("batched", under("a", 0)).await];
    batch.push(world.send("batched", under("a", 1)).await);
    world.send("debounced", under("a", 0)).await;
    let debounced = world.send("debounced", under("a", 1)).await;
    let allowed = world.send("rate-limited", under("a", 0)).await;
    world.assert_ends(&allowed, "Completed").await;
    let throttled = world
        .start_all("throttled", (0..4).map(|n| under("a", n)))
        .await;
    let long = json!({ "n": 0, "key": "a", "nap": "60m" });
    let single = world.start_all("single", [long]).await;
    world.queued("at-a-time", 1, 3).await;
    world.queued("throttled", 0, 1).await;
    world.server.restart(FLAGS).await;

    // The call that was cut off goes out again, and it alone.
    world.at_work("at-a-time", 2).await;
    world.queued("at-a-time", 1, 3).await;
    world.app.let_all_on().await;
    world.assert_all_completed(&runs).await;
    assert_eq!(world.log("at-a-time").await, [0, 0, 1, 2, 3]);

    batch.push(world.send("batched", under("a", 2)).await);
    let run = world.assert_ends(&batch[0], "Completed").await;
    assert_eq!(run["output"], json!([0, 1, 2]), "{run}");
    let limited = world.send("rate-limited", under("a", 1)).await;
    let skipped = world.send("single", under("a", 1)).await;
    world.assert_ends(&skipped, "Skipped").await;
    world.server.idle().await;
    world.assert_dropped(&limited, "rateLimit", "a").await;
    assert_eq!(world.worked("throttled/a").await, [0, 1, 2]);
    assert!(world.log("debounced").await.is_empty());

    world.server.advance("11m").await;
    world.assert_ends(&debounced, "Completed").await;
    assert_eq!(world.log("debounced").await, [1]);
    world.server.advance("21m").await;
    world.server.advance("1m").await;
    assert_eq!(world.worked("throttled/a").await, [0, 1, 2, 3]);
    world.assert_all_completed(&throttled).await;
    world.server.advance("30m").await;
    world.assert_all_completed(&single).await;
}

pub(crate) async fn what_waits_says_why(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let runs = world
        .start_all("two-limits", (0..3).map(|n| held_under("a", n)))
        .await;
    world.at_work("two-limits", 1).await;
    world.queued("two-limits", 1, 2).await;
    let first = world.server.waiting(&runs[0]).await;
    assert_eq!(first["begun"], true, "{first}");
    assert_eq!(first["waitsFor"][0]["cause"]["kind"], "inFlight", "{first}");
    let last = world.server.waiting(&runs[2]).await;
    assert_eq!(last["functionId"], "sdk-two-limits", "{last}");
    assert_eq!(last["begun"], false, "{last}");
    let key = json!({ "rule": "concurrency", "key": "a" });
    assert_eq!(last["keys"], json!([key]), "{last}");
    let why = &last["waitsFor"][0];
    assert_eq!(why["cause"]["rule"], "concurrency", "{last}");
    assert_eq!(why["cause"]["expression"], "event.data.key", "{last}");
    assert_eq!(why["cause"]["used"], 1, "{last}");
    assert_eq!(why["cause"]["holders"], json!([runs[0]]), "{last}");
    assert_eq!(why["ahead"], 1, "{last}");
    assert!(text(&why["message"]).contains(&runs[0]), "{last}");

    let queues = world.server.queues("sdk-two-limits").await;
    assert_eq!(queues["totals"]["starts"], 2, "{queues}");
    let lane = &queues["lanes"][0];
    assert_eq!(lane["keys"], json!([key]), "{queues}");
    assert_eq!(lane["starts"], 2, "{queues}");
    assert_eq!(lane["inFlight"], 1, "{queues}");
    assert_eq!(lane["cause"]["rule"], "concurrency", "{queues}");
    world.app.let_all_on().await;
    world.assert_all_completed(&runs).await;
    let ended = world.server.waiting(&runs[2]).await;
    assert_eq!(ended["waitsFor"], json!([]), "{ended}");
}

pub(crate) async fn rules_that_exclude_each_other_are_refused_with_the_reasons(sdk: Sdk) {
    let mut world = World::hasty(sdk).await;
    world.app.run_with("APP_REFUSED", "1").await;
    let client = world.app.client();
    let reply = client.send(Method::PUT, "/api/inngest", &[], "").await;
    // The SDK for Python hands the answer on under a status of its own.
    if sdk != Sdk::PYTHON {
        assert_ne!(reply.status, 200, "{}", reply.text());
    }
    for reason in [
        "batchEvents and debounce exclude each other",
        "batchEvents and singleton exclude each other",
        "batchEvents and priority exclude each other",
        "batchEvents and cancel exclude each other",
        "needs a key",
    ] {
        assert!(reply.text().contains(reason), "{reason}: {}", reply.text());
    }
    // What was registered before stays in force.
    let run = world.run("plain", json!({ "name": "Mei" })).await;
    assert_eq!(run["status"], "Completed", "{run}");
}
