//! Integrations: keys that reach one application.

use dunlin_tests::{SvixSdk, text};
use serde_json::json;

use super::{World, column};

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::start(sdk, "integration").await;
    world.app("acme").await;
    world.app("other").await;
    let body = json!({ "name": "A tool", "featureFlags": ["beta"] });
    let made = world.ok("integration.create", json!(["acme", body])).await;
    assert_eq!(
        (&made["name"], &made["featureFlags"]),
        (&body["name"], &body["featureFlags"])
    );
    let id = text(&made["id"]);
    world
        .missing("integration.create", json!(["nobody", body]))
        .await;
    assert_eq!(world.ok("integration.get", json!(["acme", id])).await, made);
    world.missing("integration.get", json!(["other", id])).await;
    let renamed = json!(["acme", id, { "name": "The tool" }]);
    assert_eq!(
        world.ok("integration.update", renamed).await["name"],
        "The tool"
    );
    let unnamed = json!(["acme", id, { "name": "" }]);
    world
        .invalid("integration.update", unnamed, "body.name")
        .await;

    keys(&mut world, &id).await;

    for n in 0..4 {
        let body = json!({ "name": format!("Tool {n}") });
        world.ok("integration.create", json!(["acme", body])).await;
    }
    let all = world.ok("integration.list", json!(["acme"])).await;
    assert_eq!(column(&all, "id").len(), 5);
    let paged = world
        .pages("integration.list", &[json!("acme")], "id")
        .await;
    assert_eq!(paged, column(&all, "id"));
    world.missing("integration.list", json!(["nobody"])).await;
    world.ok("integration.delete", json!(["acme", id])).await;
    world
        .missing("integration.delete", json!(["acme", id]))
        .await;
    world.end();
}

async fn keys(world: &mut World, id: &str) {
    let key = text(&world.ok("integration.rotateKey", json!(["acme", id])).await["key"]);
    assert!(key.starts_with("integsk_"), "{key}");
    world
        .missing("integration.rotateKey", json!(["acme", "integ_nothing"]))
        .await;
    if world.has("integration.getKey") {
        let again = world.ok("integration.getKey", json!(["acme", id])).await;
        assert_eq!(again["key"], key);
        world
            .missing("integration.getKey", json!(["acme", "integ_nothing"]))
            .await;
    }
    world.use_token(&key);
    world.ok("endpoint.list", json!(["acme"])).await;
    let elsewhere = json!(["other"]);
    world.missing("endpoint.list", elsewhere).await;
    world.be_operator();
    let newer = text(&world.ok("integration.rotateKey", json!(["acme", id])).await["key"]);
    world.use_token(&key);
    let code = "authentication_failed";
    world
        .refused("endpoint.list", json!(["acme"]), 401, code)
        .await;
    world.use_token(&newer);
    world.ok("endpoint.list", json!(["acme"])).await;
    world.be_operator();
}
