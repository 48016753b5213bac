//! Operational webhooks: endpoints that hear what happens to the endpoints of applications.

use dunlin_tests::{SvixSdk, text};
use serde_json::{Value, json};

use super::{World, column, either};

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::dev(sdk, "operational").await;
    made_and_changed(&mut world).await;
    headers_and_secrets(&mut world).await;
    told(&mut world).await;
    listed_and_deleted(&mut world).await;
    world.end();
}

fn call(name: &str) -> String {
    format!("operationalWebhook.endpoint.{name}")
}

async fn made_and_changed(world: &mut World) {
    let types = json!(["endpoint.created", "endpoint.deleted"]);
    let body = json!({
        "url": world.hook.url(), "uid": "ours", "description": "Ours", "secret": SECRET,
        "eventTypes": types, "filterTypes": types, "metadata": { "team": "a" },
    });
    let made = world.ok(&call("create"), json!([body])).await;
    assert_eq!(*either(&made, "eventTypes", "filterTypes"), types);
    for name in ["url", "uid", "description", "metadata"] {
        assert_eq!(made[name], body[name], "{name}");
    }
    world
        .refused(&call("create"), json!([body]), 409, "conflict")
        .await;
    assert_eq!(world.ok(&call("get"), json!(["ours"])).await, made);
    world.missing(&call("get"), json!(["theirs"])).await;

    let mut body = json!({ "url": world.hook.url(), "uid": "ours", "description": "Still ours" });
    let changed = world.ok(&call("upsert"), json!(["ours", body])).await;
    assert_eq!(changed["description"], "Still ours");
    assert_eq!(*either(&changed, "eventTypes", "filterTypes"), Value::Null);
    body["url"] = "nowhere".into();
    world
        .invalid(&call("upsert"), json!(["ours", body]), "body.url")
        .await;
}

async fn headers_and_secrets(world: &mut World) {
    let headers = json!({ "headers": { "x-team": "a", "authorization": "Bearer ours" } });
    world
        .ok(&call("setHeaders"), json!(["ours", headers]))
        .await;
    let shown = world.ok(&call("getHeaders"), json!(["ours"])).await;
    assert_eq!(
        shown,
        json!({ "headers": { "x-team": "a" }, "sensitive": ["authorization"] })
    );
    world.missing(&call("getHeaders"), json!(["theirs"])).await;
    let wrong = json!(["ours", { "headers": { "webhook-id": "mine" } }]);
    world
        .invalid(&call("setHeaders"), wrong, "body.headers.webhook-id")
        .await;

    let key = world.ok(&call("getSecret"), json!(["ours"])).await;
    assert_eq!(key["key"], SECRET);
    world.missing(&call("getSecret"), json!(["theirs"])).await;
    world.ok(&call("rotateSecret"), json!(["ours", {}])).await;
    assert_ne!(world.ok(&call("getSecret"), json!(["ours"])).await, key);
    let weak = json!(["ours", { "key": "whsec_AAAA" }]);
    world.invalid(&call("rotateSecret"), weak, "body.key").await;
}

async fn told(world: &mut World) {
    let app = world.app("acme").await;
    world.arrived().await;
    let ep = world.endpoint(&app).await;
    let came = world.arrived().await;
    let created = came
        .iter()
        .find(|one| one.json()["type"] == "endpoint.created");
    let created = created.unwrap_or_else(|| panic!("{came:?}"));
    let data = &created.json()["data"];
    assert_eq!(
        (&data["appId"], &data["appUid"]),
        (&json!(app), &json!("acme"))
    );
    assert_eq!(data["endpointId"], ep);
    let secret = text(&world.ok(&call("getSecret"), json!(["ours"])).await["key"]);
    for library in ["svix", "standardwebhooks"] {
        let verified = world.verify(library, &secret, created).await;
        verified.unwrap_or_else(|error| panic!("{library}: {error:?}"));
    }
}

async fn listed_and_deleted(world: &mut World) {
    for _ in 0..3 {
        world
            .ok(&call("create"), json!([{ "url": world.hook.url() }]))
            .await;
    }
    let all = world.ok(&call("list"), json!([])).await;
    assert_eq!(column(&all, "id").len(), 4);
    assert_eq!(
        world.pages(&call("list"), &[], "id").await,
        column(&all, "id")
    );
    world
        .invalid(&call("list"), json!([{ "limit": 251 }]), "query.limit")
        .await;
    world.ok(&call("delete"), json!(["ours"])).await;
    world.missing(&call("get"), json!(["ours"])).await;
    world.missing(&call("delete"), json!(["ours"])).await;
}
