//! Endpoints: what they are made of, their headers and their secrets.

use dunlin_tests::{SvixSdk, text};
use serde_json::{Value, json};

use super::{World, column, either};

const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const OTHER_SECRET: &str = "whsec_plJ3nmyCDGBKInavdOK15jslABCDEFGH";

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::dev(sdk, "endpoint").await;
    world.app("acme").await;
    made_and_read(&mut world).await;
    changed(&mut world).await;
    headers(&mut world).await;
    secrets(&mut world).await;
    listed_and_deleted(&mut world).await;
    world.end();
}

fn body(world: &World) -> Value {
    json!({
        "url": world.hook.url(), "description": "The first", "uid": "first", "version": 1,
        "eventTypes": ["user.created"], "filterTypes": ["user.created"], "channels": ["eu"],
        "throttleRate": 50, "rateLimit": 50, "secret": SECRET,
        "metadata": { "team": "a" }, "headers": { "x-team": "a" },
    })
}

async fn made_and_read(world: &mut World) {
    let first = body(world);
    let made = world.ok("endpoint.create", json!(["acme", first])).await;
    assert!(text(&made["id"]).starts_with("ep_"), "{made}");
    for name in ["url", "description", "uid", "channels", "metadata"] {
        assert_eq!(made[name], first[name], "{name}");
    }
    assert_eq!(made["disabled"], false);
    assert_eq!(
        *either(&made, "eventTypes", "filterTypes"),
        json!(["user.created"])
    );
    assert_eq!(*either(&made, "throttleRate", "rateLimit"), 50);
    assert!(
        made.get("version")
            .is_none_or(|version| version.is_null() || *version == 1)
    );
    world
        .refused("endpoint.create", json!(["acme", first]), 409, "conflict")
        .await;
    let nowhere = json!(["acme", { "url": "nowhere" }]);
    world.invalid("endpoint.create", nowhere, "body.url").await;
    world
        .missing(
            "endpoint.create",
            json!(["nobody", { "url": world.hook.url() }]),
        )
        .await;

    let by_uid = world.ok("endpoint.get", json!(["acme", "first"])).await;
    assert_eq!(by_uid, made);
    world
        .missing("endpoint.get", json!(["acme", "second"]))
        .await;
}

async fn changed(world: &mut World) {
    let body = json!({
        "url": world.hook.url(), "uid": "first", "description": "Still the first",
        "eventTypes": ["user.deleted"], "filterTypes": ["user.deleted"], "disabled": true,
    });
    let replaced = world
        .ok("endpoint.upsert", json!(["acme", "first", body]))
        .await;
    assert_eq!(replaced["description"], "Still the first");
    assert_eq!(
        (&replaced["disabled"], &replaced["channels"]),
        (&true.into(), &Value::Null)
    );
    assert_eq!(
        *either(&replaced, "eventTypes", "filterTypes"),
        json!(["user.deleted"])
    );
    let second = json!({ "url": world.hook.url() });
    let made = world
        .ok("endpoint.upsert", json!(["acme", "second", second]))
        .await;
    assert_eq!(made["uid"], "second");
    let wrong = json!(["acme", "first", { "url": world.hook.url(), "channels": ["not one"] }]);
    world
        .invalid("endpoint.upsert", wrong, "body.channels")
        .await;

    let patch = json!(["acme", "first", { "disabled": false, "throttleRate": 7 }]);
    let patched = world.ok("endpoint.patch", patch).await;
    assert_eq!(patched["disabled"], false);
    assert_eq!(*either(&patched, "throttleRate", "rateLimit"), 7);
    assert_eq!(patched["description"], "Still the first");
    let wrong = json!(["acme", "first", { "throttleRate": 0 }]);
    world
        .invalid("endpoint.patch", wrong, "body.throttleRate")
        .await;
}

async fn headers(world: &mut World) {
    let shown = world
        .ok("endpoint.getHeaders", json!(["acme", "first"]))
        .await;
    assert_eq!(
        shown,
        json!({ "headers": { "x-team": "a" }, "sensitive": [] })
    );
    world
        .missing("endpoint.getHeaders", json!(["acme", "third"]))
        .await;

    for set in ["endpoint.setHeaders", "endpoint.headersUpdate"] {
        if set.ends_with("Update") && !world.has(set) {
            continue;
        }
        let new =
            json!({ "headers": { "x-team": "b", "authorization": "Bearer of-the-receiver" } });
        world.ok(set, json!(["acme", "first", new])).await;
        let shown = world
            .ok("endpoint.getHeaders", json!(["acme", "first"]))
            .await;
        let expected = json!({ "headers": { "x-team": "b" }, "sensitive": ["authorization"] });
        assert_eq!(shown, expected);
        let wrong = json!(["acme", "first", { "headers": { "webhook-id": "mine" } }]);
        world.invalid(set, wrong, "body.headers.webhook-id").await;
    }
    for patch in ["endpoint.patchHeaders", "endpoint.headersPatch"] {
        if patch.starts_with("endpoint.headers") && !world.has(patch) {
            continue;
        }
        let change = json!({ "headers": { "x-more": "1" }, "deleteHeaders": ["authorization"] });
        world.ok(patch, json!(["acme", "first", change])).await;
        let shown = world
            .ok("endpoint.getHeaders", json!(["acme", "first"]))
            .await;
        let expected = json!({ "headers": { "x-more": "1", "x-team": "b" }, "sensitive": [] });
        assert_eq!(shown, expected);
        let change = json!({ "headers": { "host": "elsewhere" } });
        let wrong = json!(["acme", "first", change]);
        world.invalid(patch, wrong, "body.headers.host").await;
    }
}

async fn secrets(world: &mut World) {
    let first = json!(["acme", "first"]);
    let key = world.ok("endpoint.getSecret", first.clone()).await["key"].clone();
    assert_eq!(key, SECRET);
    world
        .missing("endpoint.getSecret", json!(["acme", "third"]))
        .await;

    let new = json!({ "key": OTHER_SECRET, "gracePeriodSeconds": 60 });
    let told = world
        .ok("endpoint.rotateSecret", json!(["acme", "first", new]))
        .await;
    assert!(told.is_null() || told["key"] == OTHER_SECRET, "{told}");
    let key = world.ok("endpoint.getSecret", first.clone()).await["key"].clone();
    assert_eq!(key, OTHER_SECRET);
    world
        .ok("endpoint.rotateSecret", json!(["acme", "first", {}]))
        .await;
    let key = text(&world.ok("endpoint.getSecret", first).await["key"]);
    assert!(key.starts_with("whsec_") && key != OTHER_SECRET, "{key}");
    let weak = json!(["acme", "first", { "key": "whsec_AAAA" }]);
    world
        .invalid("endpoint.rotateSecret", weak, "body.key")
        .await;
}

async fn listed_and_deleted(world: &mut World) {
    for _ in 0..3 {
        world.endpoint("acme").await;
    }
    let all = world.ok("endpoint.list", json!(["acme"])).await;
    assert_eq!(column(&all, "id").len(), 5);
    let paged = world.pages("endpoint.list", &[json!("acme")], "id").await;
    assert_eq!(paged, column(&all, "id"));
    let newest = world
        .ok("endpoint.list", json!(["acme", { "order": "descending" }]))
        .await;
    assert_eq!(column(&newest, "id").last(), paged.first());
    world.missing("endpoint.list", json!(["nobody"])).await;

    world.ok("endpoint.delete", json!(["acme", "second"])).await;
    world
        .missing("endpoint.get", json!(["acme", "second"]))
        .await;
    world
        .missing("endpoint.delete", json!(["acme", "second"]))
        .await;
}
