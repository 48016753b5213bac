//! Statistics, which are made in the background.

use dunlin_tests::{SvixSdk, until};
use serde_json::json;

use super::{World, column, date};

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::start(sdk, "statistics").await;
    let app = world.app("acme").await;
    world.endpoint(&app).await;
    let msg = world.message(&app, "user.created", json!({ "n": 1 })).await;
    until("its attempt", async || {
        let tried = world.ok("messageAttempt.listByMsg", json!([app, msg]));
        (column(&tried.await, "id").len() == 1).then_some(())
    })
    .await;

    let body = json!({
        "since": date(-3600), "until": date(3600), "appIds": ["acme", "nobody"],
    });
    let begun = world
        .ok("statistics.aggregateAppStats", json!([body]))
        .await;
    assert_eq!(begun["task"], "application.stats", "{begun}");
    assert_eq!(begun["unresolvedAppIds"], json!(["nobody"]));
    let counted = world.finished(&begun).await;
    let expected = json!([{ "appId": app, "appUid": "acme", "messageDestinations": 1 }]);
    assert_eq!(counted["data"]["appStats"], expected, "{counted}");
    let body = json!({ "since": date(3600), "until": date(-3600) });
    world
        .invalid("statistics.aggregateAppStats", json!([body]), "")
        .await;

    let begun = world.ok("statistics.aggregateEventTypes", json!([])).await;
    assert_eq!(begun["task"], "event-type.aggregate", "{begun}");
    let gathered = world.finished(&begun).await;
    let found = gathered["data"]["event_types"].as_array();
    let of_app = found.and_then(|all| all.iter().find(|one| one["appId"] == app));
    let of_app = of_app.unwrap_or_else(|| panic!("{gathered}"));
    assert_eq!(of_app["explicitlySubscribedEventTypes"], json!([]));
    assert_eq!(of_app["hasCatchAllEndpoint"], true);
    world.use_token("somebody-else-is-here-and-asks");
    let call = "statistics.aggregateEventTypes";
    world
        .refused(call, json!([]), 401, "authentication_failed")
        .await;
    world.end();
}
