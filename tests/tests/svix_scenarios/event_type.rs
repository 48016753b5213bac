//! Event types: those that are there from the start, one's own, and those of an OpenAPI document.

use dunlin_tests::SvixSdk;
use serde_json::{Value, json};

use super::{World, column, either};

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::dev(sdk, "event_type").await;
    made_and_read(&mut world).await;
    changed(&mut world).await;
    listed_and_deleted(&mut world).await;
    imported(&mut world).await;
    world.end();
}

fn schema() -> Value {
    json!({ "1": {
        "type": "object",
        "properties": { "id": { "type": "string" } },
        "examples": [{ "id": "u_1" }],
    } })
}

async fn made_and_read(world: &mut World) {
    let preloaded = world
        .ok("eventType.get", json!(["payment.succeeded"]))
        .await;
    assert!(
        preloaded["schemas"]["1"]["examples"][0].is_object(),
        "{preloaded}"
    );

    let body = json!({
        "name": "user.created", "description": "Somebody came", "schemas": schema(),
        "groupName": "users", "featureFlags": ["beta"],
    });
    let made = world.ok("eventType.create", json!([body])).await;
    for name in [
        "name",
        "description",
        "schemas",
        "groupName",
        "featureFlags",
    ] {
        assert_eq!(made[name], body[name], "{name}");
    }
    assert_eq!(
        (&made["archived"], &made["deprecated"]),
        (&false.into(), &false.into())
    );
    world
        .refused("eventType.create", json!([body]), 409, "conflict")
        .await;
    let wrong = json!([{ "name": "no name", "description": "" }]);
    world.invalid("eventType.create", wrong, "body.name").await;

    assert_eq!(
        world.ok("eventType.get", json!(["user.created"])).await,
        made
    );
    world
        .missing("eventType.get", json!(["user.unheard-of"]))
        .await;
}

async fn changed(world: &mut World) {
    let body = json!({ "description": "Somebody new came", "schemas": schema() });
    let replaced = world
        .ok("eventType.upsert", json!(["user.created", body]))
        .await;
    assert_eq!(replaced["description"], "Somebody new came");
    assert_eq!(replaced["groupName"], Value::Null);
    let made = world
        .ok("eventType.upsert", json!(["user.deleted", body]))
        .await;
    assert_eq!(made["name"], "user.deleted");
    let wrong = json!(["not a name", body]);
    world.invalid("eventType.upsert", wrong, "").await;

    let patch = json!(["user.created", { "deprecated": true, "groupName": "people" }]);
    let patched = world.ok("eventType.patch", patch).await;
    assert_eq!(
        (&patched["deprecated"], &patched["groupName"]),
        (&true.into(), &"people".into())
    );
    assert_eq!(patched["description"], "Somebody new came");
    let nobody = json!(["user.unheard-of", { "description": "x" }]);
    world.missing("eventType.patch", nobody).await;
}

async fn listed_and_deleted(world: &mut World) {
    let all = world
        .ok(
            "eventType.list",
            json!([{ "limit": 250, "withContent": true }]),
        )
        .await;
    let names = column(&all, "name");
    assert!(
        names.len() >= 50 && names.contains(&"user.created".to_owned()),
        "{names:?}"
    );
    assert!(all["data"][0]["schemas"].is_object(), "{}", all["data"][0]);
    assert_eq!(world.pages("eventType.list", &[], "name").await, names);
    world
        .invalid("eventType.list", json!([{ "limit": 251 }]), "query.limit")
        .await;

    world.ok("eventType.delete", json!(["user.created"])).await;
    let all = world.ok("eventType.list", json!([{ "limit": 250 }])).await;
    assert!(!column(&all, "name").contains(&"user.created".to_owned()));
    let options = json!([{ "limit": 250, "includeArchived": true }]);
    let all = world.ok("eventType.list", options).await;
    assert!(column(&all, "name").contains(&"user.created".to_owned()));
    let archived = world.ok("eventType.get", json!(["user.created"])).await;
    assert_eq!(archived["archived"], true);
    world
        .ok(
            "eventType.delete",
            json!(["user.created", { "expunge": true }]),
        )
        .await;
    world
        .missing("eventType.get", json!(["user.created"]))
        .await;
    world
        .missing("eventType.delete", json!(["user.created"]))
        .await;
}

async fn imported(world: &mut World) {
    let schema = json!({ "type": "object", "example": { "pet": "Rex" } });
    let content = json!({ "application/json": { "schema": schema } });
    let post = json!({ "post": {
        "operationId": "pet.created", "description": "A pet came",
        "requestBody": { "content": content }, "responses": {},
    } });
    let spec = json!({
        "openapi": "3.1.0", "info": { "title": "Pets", "version": "1" },
        "webhooks": { "pet.created": post },
    });
    let body = json!([{ "spec": spec, "dryRun": true }]);
    let dry = world.ok("eventType.importOpenapi", body).await;
    let planned = either(&dry["data"], "toModify", "to_modify");
    assert_eq!(planned[0]["name"], "pet.created", "{dry}");
    world.missing("eventType.get", json!(["pet.created"])).await;

    let body = json!([{ "specRaw": spec.to_string() }]);
    let real = world.ok("eventType.importOpenapi", body).await;
    assert_eq!(real["data"]["modified"], json!(["pet.created"]));
    let made = world.ok("eventType.get", json!(["pet.created"])).await;
    assert_eq!(made["description"], "A pet came");
    let raw = json!([{ "specRaw": "neither JSON nor YAML: [" }]);
    world.invalid("eventType.importOpenapi", raw, "").await;
}
