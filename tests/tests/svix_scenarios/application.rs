//! Applications.

use dunlin_tests::{SvixSdk, text};
use serde_json::json;

use super::{World, column, either};

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::dev(sdk, "application").await;
    world.ok("health.get", json!([])).await;
    made_once(&mut world).await;
    read_and_changed(&mut world).await;
    listed(&mut world).await;
    deleted(&mut world).await;
    world.end();
}

async fn made_once(world: &mut World) {
    let acme = json!({
        "name": "Acme", "uid": "acme", "throttleRate": 100, "rateLimit": 100,
        "metadata": { "plan": "gold" },
    });
    let made = world.ok("application.create", json!([acme])).await;
    assert!(text(&made["id"]).starts_with("app_"), "{made}");
    assert_eq!(made["name"], "Acme");
    assert_eq!(made["uid"], "acme");
    assert_eq!(made["metadata"], json!({ "plan": "gold" }));
    assert_eq!(*either(&made, "throttleRate", "rateLimit"), 100);
    world
        .refused("application.create", json!([acme]), 409, "conflict")
        .await;

    let again = world.ok("application.getOrCreate", json!([acme])).await;
    assert_eq!(again["id"], made["id"]);
    let other = json!({ "name": "Other", "uid": "other" });
    let other = world.ok("application.getOrCreate", json!([other])).await;
    assert_ne!(other["id"], made["id"]);
    let wrong = json!({ "name": "Wrong", "uid": "not a uid" });
    world
        .invalid("application.getOrCreate", json!([wrong]), "body.uid")
        .await;
}

async fn read_and_changed(world: &mut World) {
    let by_uid = world.ok("application.get", json!(["acme"])).await;
    let by_id = world.ok("application.get", json!([by_uid["id"]])).await;
    assert_eq!(by_uid, by_id);
    world.missing("application.get", json!(["nobody"])).await;

    let body = json!({ "name": "Acme Inc.", "uid": "acme" });
    let replaced = world.ok("application.upsert", json!(["acme", body])).await;
    assert_eq!(
        (&replaced["id"], &replaced["name"]),
        (&by_id["id"], &"Acme Inc.".into())
    );
    assert_eq!(replaced["metadata"], json!({}));
    let made = world
        .ok("application.upsert", json!(["third", { "name": "Third" }]))
        .await;
    assert_eq!(made["uid"], "third");
    let body = json!({ "name": "", "uid": "acme" });
    world
        .invalid("application.upsert", json!(["acme", body]), "body.name")
        .await;

    let body = json!({ "metadata": { "plan": "silver" } });
    let patched = world.ok("application.patch", json!(["acme", body])).await;
    assert_eq!(
        (&patched["name"], &patched["uid"]),
        (&"Acme Inc.".into(), &"acme".into())
    );
    assert_eq!(patched["metadata"], json!({ "plan": "silver" }));
    world
        .missing("application.patch", json!(["nobody", { "name": "x" }]))
        .await;
}

async fn listed(world: &mut World) {
    for uid in ["fourth", "fifth"] {
        world.app(uid).await;
    }
    let all = world.ok("application.list", json!([])).await;
    assert_eq!(all["done"], true);
    assert_eq!(
        world.pages("application.list", &[], "id").await,
        column(&all, "id")
    );
    let newest = world
        .ok("application.list", json!([{ "order": "descending" }]))
        .await;
    let mut ids = column(&newest, "id");
    ids.reverse();
    assert_eq!(ids, column(&all, "id"));

    world.endpoint("fourth").await;
    let options = json!({ "excludeAppsWithNoEndpoints": true });
    let used = world.ok("application.list", json!([options])).await;
    assert!(
        column(&used, "name").contains(&"fourth".to_owned()),
        "{used}"
    );
    assert!(
        !column(&used, "name").contains(&"fifth".to_owned()),
        "{used}"
    );
    world
        .invalid("application.list", json!([{ "limit": 251 }]), "query.limit")
        .await;
}

async fn deleted(world: &mut World) {
    world.ok("application.delete", json!(["fifth"])).await;
    world.missing("application.get", json!(["fifth"])).await;
    world.missing("application.delete", json!(["fifth"])).await;
}
