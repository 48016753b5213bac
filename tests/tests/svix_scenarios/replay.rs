//! Sending again what an endpoint failed, missed or simply is to have once more; examples; counts.

use dunlin_tests::{SvixSdk, text};
use serde_json::{Value, json};

use super::{World, column, date};

/// The whole schedule of retries, each delay as long as chance can make it.
const ALL_RETRIES: [&str; 7] = ["6s", "6m", "36m", "144m", "6h", "12h", "12h"];

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::dev(sdk, "replay").await;
    let app = world.app("acme").await;
    let ep = world.endpoint(&app).await;
    world.hook.answer_always(500);
    world.message(&app, "user.created", json!({ "n": 1 })).await;
    world.server.idle().await;
    for delay in ALL_RETRIES {
        world.server.advance(delay).await;
    }
    world.hook.answer_always(200);
    world.message(&app, "user.deleted", json!({ "n": 2 })).await;
    world.arrived().await;
    counted(&mut world, &app, &ep).await;
    sent_again(&mut world, &app, &ep).await;
    tasks(&mut world).await;
    examples(&mut world, &app, &ep).await;
    world.end();
}

async fn counted(world: &mut World, app: &str, ep: &str) {
    let stats = world.ok("endpoint.getStats", json!([app, ep])).await;
    let expected = json!({ "success": 1, "pending": 0, "sending": 0, "fail": 1, "canceled": 0 });
    assert_eq!(stats, expected);
    let range = json!({ "since": date(-86_400), "until": date(86_400 * 7) });
    assert_eq!(
        world.ok("endpoint.getStats", json!([app, ep, range])).await,
        expected
    );
    world
        .missing("endpoint.getStats", json!([app, "nobody"]))
        .await;
    if world.has("endpoint.getAttemptStats") {
        let stats = world.ok("endpoint.getAttemptStats", json!([app, ep])).await;
        assert_eq!(
            (&stats["success"], &stats["canceled"]),
            (&1.into(), &0.into())
        );
        assert!(stats["fail"].as_u64() > Some(1), "each try counts: {stats}");
        world
            .missing("endpoint.getAttemptStats", json!([app, "nobody"]))
            .await;
    }
}

/// Has the server do it, and gives the numbers of the messages that came of it, sorted.
async fn came(world: &mut World, call: &str, args: Value, task: &str) -> Vec<u64> {
    world.hook.forget();
    let begun = world.ok(call, args).await;
    assert_eq!(begun["task"], task, "{begun}");
    assert!(text(&begun["id"]).starts_with("qtask_"), "{begun}");
    let ended = world.finished(&begun).await;
    let came = world.arrived().await;
    assert_eq!(ended["data"]["messagesSent"], came.len(), "{ended}");
    let mut numbers: Vec<_> = came
        .iter()
        .filter_map(|one| one.json()["n"].as_u64())
        .collect();
    numbers.sort_unstable();
    numbers
}

async fn sent_again(world: &mut World, app: &str, ep: &str) {
    let since = json!({ "since": date(-3600) });
    let args = json!([app, ep, since]);
    assert_eq!(
        came(world, "endpoint.recover", args, "endpoint.recover").await,
        [1]
    );
    let late = world.endpoint(app).await;
    let args = json!([app, late, since]);
    assert_eq!(
        came(world, "endpoint.replayMissing", args, "endpoint.replay").await,
        [1, 2]
    );
    let args = json!([app, ep, since]);
    assert_eq!(
        came(world, "endpoint.bulkReplay", args, "endpoint.bulk-replay").await,
        [1, 2]
    );
    let some = json!({ "since": date(-3600), "eventTypes": ["user.deleted"] });
    let args = json!([app, ep, some]);
    assert_eq!(
        came(world, "endpoint.bulkReplay", args, "endpoint.bulk-replay").await,
        [2]
    );

    let long_ago = json!({ "since": date(-86_400 * 100) });
    world
        .invalid("endpoint.recover", json!([app, ep, long_ago]), "body.since")
        .await;
    for call in ["endpoint.replayMissing", "endpoint.bulkReplay"] {
        world.missing(call, json!([app, "nobody", since])).await;
    }
}

async fn tasks(world: &mut World) {
    let all = world.ok("backgroundTask.list", json!([])).await;
    let ids = column(&all, "id");
    assert_eq!(ids.len(), 4, "{all}");
    assert_eq!(world.pages("backgroundTask.list", &[], "id").await, ids);
    let options = json!([{ "task": "endpoint.bulk-replay", "status": "finished" }]);
    let some = world.ok("backgroundTask.list", options).await;
    assert_eq!(column(&some, "id").len(), 2, "{some}");
    let wrong = json!([{ "limit": 251 }]);
    world
        .invalid("backgroundTask.list", wrong.clone(), "query.limit")
        .await;
    world
        .missing("backgroundTask.get", json!(["qtask_nothing"]))
        .await;
    if world.has("backgroundTask.listByEndpoint") {
        let again = world.ok("backgroundTask.listByEndpoint", json!([])).await;
        assert_eq!(column(&again, "id"), ids);
        world
            .invalid("backgroundTask.listByEndpoint", wrong, "query.limit")
            .await;
    }
}

async fn examples(world: &mut World, app: &str, ep: &str) {
    world.hook.forget();
    let example = json!([app, ep, { "eventType": "payment.succeeded", "exampleIndex": 0 }]);
    let sent = world.ok("endpoint.sendExample", example).await;
    assert_eq!(sent["eventType"], "payment.succeeded");
    let came = world.arrived().await;
    assert_eq!(came.len(), 1);
    assert_eq!(came[0].json()["type"], "payment.succeeded");
    let wrong = json!([app, ep, { "eventType": "user.unheard-of" }]);
    world
        .invalid("endpoint.sendExample", wrong, "body.eventType")
        .await;
}
