//! Statistics, which are made in the background.

use dunlin_tests::SvixSdk;
use serde_json::json;

use super::{World, date};

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::start(sdk, "statistics").await;
    let app = world.app("acme").await;
    world.endpoint(&app).await;
    world.message(&app, "user.created", json!({ "n": 1 })).await;

    let body = json!({
        "since": date(-3600), "until": date(3600), "appIds": ["acme", "nobody"],
    });
    let begun = world
        .ok("statistics.aggregateAppStats", json!([body]))
        .await;
    assert_eq!(begun["task"], "application.stats", "{begun}");
    assert_eq!(begun["unresolvedAppIds"], json!(["nobody"]));
    world.finished(&begun).await;
    let body = json!({ "since": date(3600), "until": date(-3600) });
    world
        .invalid("statistics.aggregateAppStats", json!([body]), "")
        .await;

    let begun = world.ok("statistics.aggregateEventTypes", json!([])).await;
    assert_eq!(begun["task"], "event-type.aggregate", "{begun}");
    world.finished(&begun).await;
    world.use_token("somebody-else-is-here-and-asks");
    let call = "statistics.aggregateEventTypes";
    world
        .refused(call, json!([]), 401, "authentication_failed")
        .await;
    world.end();
}
