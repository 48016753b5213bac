//! Which events start runs, and when: throttles, rate limits, idempotency, singletons, priority, and
//! runs that begin or end too late.

use dunlin_tests::{Sdk, text};
use serde_json::json;

use super::flow::{held, held_under, under};
use super::{World, id_of};

/// Two an hour, and one more at once.
pub(crate) async fn a_throttle_spreads_starts_and_nothing_else(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let data = (0..5).map(|n| under("a", n));
    let runs = world.start_all("throttled", data).await;
    let other = world.start_all("throttled", [under("b", 9)]).await;
    world.server.idle().await;
    assert_eq!(world.worked("throttled/a").await, [0, 1, 2]);
    assert_eq!(world.log("throttled/b").await, [9], "it has its own rate");
    let next = world.waits_for(&runs[3], "rule").await;
    assert_eq!(next["cause"]["rule"], "throttle", "{next}");
    assert_eq!(next["expectedAt"], next["cause"]["next"], "{next}");
    let last = world.waits_for(&runs[4], "rule").await;
    assert_eq!(last["ahead"], 1, "{last}");
    assert!(
        text(&last["expectedAt"]) > text(&next["expectedAt"]),
        "{last}"
    );

    world.server.advance("25m").await;
    assert_eq!(world.worked("throttled/a").await, [0, 1, 2]);
    world.assert_all_completed(&runs[..3]).await;
    world.assert_all_completed(&other).await;
    world.server.advance("6m").await;
    assert_eq!(world.worked("throttled/a").await, [0, 1, 2, 3]);
    world.server.advance("24m").await;
    assert_eq!(world.worked("throttled/a").await, [0, 1, 2, 3]);
    world.server.advance("6m").await;
    assert_eq!(world.worked("throttled/a").await, [0, 1, 2, 3, 4]);
    world.server.advance("2s").await;
    world.assert_all_completed(&runs).await;
}

pub(crate) async fn events_beyond_a_rate_limit_start_nothing(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let first = world.send("rate-limited", under("a", 0)).await;
    let second = world.send("rate-limited", under("a", 1)).await;
    let other = world.send("rate-limited", under("b", 2)).await;
    let first = world.assert_ends(&first, "Completed").await;
    world.assert_ends(&other, "Completed").await;
    let kept = world.assert_dropped(&second, "rateLimit", "a").await;
    assert_eq!(kept, json!({ "kind": "run", "id": id_of(&first) }));

    let asked = json!({ "functionId": "rate-limited", "data": under("a", 3) });
    let caller = world.run("invokes-by-id", asked.clone()).await;
    let caught = text(&caller["output"]["caught"]);
    assert!(
        caught.contains("invoked function is rate limited"),
        "{caller}"
    );

    world.server.advance("61m").await;
    let caller = world.run("invokes-by-id", asked).await;
    assert_eq!(caller["output"], json!({ "result": 3 }), "{caller}");
    let again = world.send("rate-limited", under("a", 4)).await;
    world.server.idle().await;
    world.assert_dropped(&again, "rateLimit", "a").await;
    assert_eq!(world.log("rate-limited/a").await, [0, 3]);
}

/// Twenty in twenty hours are one an hour, and a tenth of them more at once.
pub(crate) async fn a_rate_limit_lets_a_tenth_through_at_once(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    for n in 0..5 {
        world
            .send("rate-limited-to-twenty", json!({ "n": n }))
            .await;
    }
    world.server.idle().await;
    assert_eq!(world.worked("rate-limited-to-twenty").await, [0, 1, 2]);
    world.server.advance("61m").await;
    for n in 5..8 {
        world
            .send("rate-limited-to-twenty", json!({ "n": n }))
            .await;
    }
    world.server.idle().await;
    assert_eq!(world.worked("rate-limited-to-twenty").await, [0, 1, 2, 5]);
    let dropped = world.server.dropped("sdk-rate-limited-to-twenty").await;
    assert_eq!(dropped.len(), 4, "{dropped:?}");
}

pub(crate) async fn a_value_starts_one_run_a_day(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let first = world.send("once-a-day", under("a", 0)).await;
    let first = world.assert_ends(&first, "Completed").await;
    let again = world.send("once-a-day", under("a", 1)).await;
    let other = world.send("once-a-day", under("b", 2)).await;
    world.assert_ends(&other, "Completed").await;
    let kept = world.assert_dropped(&again, "idempotency", "a").await;
    assert_eq!(kept, json!({ "kind": "run", "id": id_of(&first) }));
    world.server.advance("23h").await;
    let again = world.send("once-a-day", under("a", 3)).await;
    world.server.idle().await;
    world.assert_dropped(&again, "idempotency", "a").await;
    world.server.advance("61m").await;
    let next_day = world.send("once-a-day", under("a", 4)).await;
    world.assert_ends(&next_day, "Completed").await;
}

pub(crate) async fn a_singleton_skips_what_comes_while_it_runs(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let long = json!({ "n": 0, "key": "a", "nap": "60m" });
    let first = world.begin("single", long).await;
    let event = world.send("single", under("a", 1)).await;
    let other = world.send("single", under("b", 2)).await;
    world.assert_ends(&other, "Completed").await;
    let skipped = world.assert_ends(&event, "Skipped").await;
    assert_eq!(skipped["reason"], "Singleton", "{skipped}");
    assert_eq!(skipped["existing_run_id"], first, "{skipped}");
    let verdict = world.server.verdict(&event).await;
    assert_eq!(verdict["outcome"], "skipped", "{verdict}");
    let kept = json!({ "kind": "run", "id": first });
    assert_eq!(verdict["detail"]["kept"], kept, "{verdict}");

    world.server.advance("61m").await;
    world.assert_returned(&first, 0).await;
    let next = world.send("single", under("a", 3)).await;
    world.assert_ends(&next, "Completed").await;
    assert_eq!(world.log("single/a").await, [0, 3]);
    assert_eq!(world.app.counts().await.calls(id_of(&skipped)), 0);
}

pub(crate) async fn a_newer_run_takes_the_place_of_a_singleton(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let long = |key: &str, n| json!({ "n": n, "key": key, "nap": "60m" });
    let first = world.begin("newest", long("a", 0)).await;
    let other = world.begin("newest", long("b", 1)).await;
    let second = world.begin("newest", long("a", 2)).await;
    world.assert_cancelled(&first).await;
    let ended = world.server.read_run(&first).await;
    assert_eq!(ended["reason"], "singleton", "{ended}");
    let third = world.begin("newest", long("a", 3)).await;
    world.assert_cancelled(&second).await;
    world.server.advance("61m").await;
    world.assert_returned(&third, 3).await;
    world.assert_returned(&other, 1).await;
}

pub(crate) async fn runs_of_priority_go_first(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let mut runs = world.start_all("prioritized", [held(0)]).await;
    world.at_work("prioritized", 1).await;
    let wanted = [(1, 0), (2, -300), (3, 120), (4, 0), (5, 600)];
    let data = wanted.map(|(n, priority)| json!({ "n": n, "priority": priority }));
    runs.extend(world.start_all("prioritized", data).await);
    world.queued("prioritized", 1, 5).await;
    world.app.let_all_on().await;
    world.assert_all_completed(&runs).await;
    assert_eq!(world.log("prioritized").await, [0, 5, 3, 1, 4, 2]);
}

pub(crate) async fn a_run_that_queues_too_long_is_cancelled(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let runs = world.start_all("starts-soon", (0..3).map(held)).await;
    world.at_work("starts-soon", 1).await;
    world.queued("starts-soon", 1, 2).await;
    world.server.advance_meanwhile("11m").await;
    for late in &runs[1..] {
        let ended = world.server.ended(late).await;
        assert_eq!(ended["status"], "Cancelled", "{ended}");
        assert_eq!(ended["reason"], "timeouts.start", "{ended}");
    }
    let after = world.start_all("starts-soon", [held(3)]).await;
    world.app.let_all_on().await;
    world.assert_returned(&runs[0], 0).await;
    world.assert_returned(&after[0], 3).await;
    assert_eq!(world.log("starts-soon").await, [0, 3]);
}

pub(crate) async fn time_in_the_queue_is_no_time_of_the_run(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let first = world.start_all("ends-soon", [held_under("a", 0)]).await;
    world.at_work("ends-soon", 1).await;
    let naps = [(1, "30m"), (2, "90m")];
    let data = naps.map(|(n, nap)| json!({ "n": n, "key": "a", "nap": nap }));
    let later = world.start_all("ends-soon", data).await;
    world.queued("ends-soon", 1, 2).await;
    world.server.advance_meanwhile("50m").await;
    world.app.let_all_on().await;
    world.assert_returned(&first[0], 0).await;
    world.server.idle().await;
    world.server.advance("31m").await;
    world.assert_returned(&later[0], 1).await;
    world.assert_running(&later[1]).await;
    world.server.advance("30m").await;
    let ended = world.server.ended(&later[1]).await;
    assert_eq!(ended["status"], "Cancelled", "{ended}");
    assert_eq!(ended["reason"], "timeouts.finish", "{ended}");
}
