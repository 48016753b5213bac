//! Transformations of endpoints.

use dunlin_tests::SvixSdk;
use serde_json::json;

use super::World;

const CODE: &str = "function handler(webhook) {
    webhook.payload = { about: webhook.eventType, by: webhook.env?.TEAM ?? null };
    return webhook;
}";

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::dev(sdk, "transformation").await;
    let app = world.app("acme").await;
    let ep = world.endpoint(&app).await;

    let none = world
        .ok("endpoint.transformation.get", json!([app, ep]))
        .await;
    assert_eq!(
        (&none["enabled"], &none["code"]),
        (&false.into(), &json!(null))
    );
    world
        .missing("endpoint.transformation.get", json!([app, "nobody"]))
        .await;

    let patch = json!({ "code": CODE, "enabled": true, "variables": { "TEAM": "a" } });
    world
        .ok("endpoint.transformation.patch", json!([app, ep, patch]))
        .await;
    let saved = world
        .ok("endpoint.transformation.get", json!([app, ep]))
        .await;
    assert_eq!(
        (&saved["enabled"], &saved["code"]),
        (&true.into(), &CODE.into())
    );
    assert_eq!(saved["variables"], json!({ "TEAM": "a" }));
    let broken = json!([app, ep, { "code": "function handler(webhook) {" }]);
    world
        .invalid("endpoint.transformation.patch", broken, "body.code")
        .await;

    let example = json!([app, ep, { "eventType": "payment.succeeded" }]);
    world.ok("endpoint.sendExample", example.clone()).await;
    let came = world.arrived().await;
    assert_eq!(came[0].json()["about"], "payment.succeeded");

    // The older call knows no variables; it leaves them as they are.
    let off = json!([app, ep, { "enabled": false }]);
    world.ok("endpoint.transformationPartialUpdate", off).await;
    let saved = world
        .ok("endpoint.transformation.get", json!([app, ep]))
        .await;
    assert_eq!(
        (&saved["enabled"], &saved["code"]),
        (&false.into(), &CODE.into())
    );
    assert_eq!(saved["variables"], json!({ "TEAM": "a" }));
    let nobody = json!([app, "nobody", { "enabled": false }]);
    world
        .missing("endpoint.transformationPartialUpdate", nobody)
        .await;
    world.ok("endpoint.sendExample", example).await;
    let came = world.arrived().await;
    assert_eq!(came[0].json()["type"], "payment.succeeded");
    world.end();
}
