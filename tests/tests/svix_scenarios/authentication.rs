//! Who may call what: the operator's token, and tokens of portals, which reach one application.

use dunlin_tests::{SvixSdk, text};
use serde_json::{Value, json};

use super::World;

const UNKNOWN: &str = "authentication_failed";
const FORBIDDEN: &str = "insufficient_access";

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::start(sdk, "authentication").await;
    world.app("acme").await;
    world.app("other").await;
    let ep = world.endpoint("acme").await;
    world.use_token("somebody-else-is-here-and-asks");
    world
        .refused("application.list", json!([]), 401, UNKNOWN)
        .await;
    let args = json!(["acme", {}]);
    world
        .refused("authentication.appPortalAccess", args, 401, UNKNOWN)
        .await;
    world.be_operator();

    capabilities(&mut world, &ep).await;
    ended(&mut world).await;
    dashboard(&mut world).await;
    world.end();
}

/// Opens a portal and gives its token.
async fn opened(world: &mut World, body: Value) -> String {
    let opened = world
        .ok("authentication.appPortalAccess", json!(["acme", body]))
        .await;
    assert!(text(&opened["url"]).starts_with("http"), "{opened}");
    text(&opened["token"])
}

async fn capabilities(world: &mut World, ep: &str) {
    let body = json!({ "capabilities": ["ViewBase"], "expiry": 3600, "sessionId": "reader" });
    let reader = opened(world, body).await;
    let wrong = json!(["acme", { "expiry": 10 }]);
    world
        .invalid("authentication.appPortalAccess", wrong, "body.expiry")
        .await;
    let endpoint = json!(["acme", { "url": world.hook.url() }]);
    world.use_token(&reader);
    world.ok("endpoint.list", json!(["acme"])).await;
    world.missing("endpoint.list", json!(["other"])).await;
    world
        .refused("application.list", json!([]), 403, FORBIDDEN)
        .await;
    world
        .refused("endpoint.create", endpoint.clone(), 403, FORBIDDEN)
        .await;
    world
        .refused("endpoint.getSecret", json!(["acme", ep]), 403, FORBIDDEN)
        .await;
    world.be_operator();

    let body = json!({ "capabilities": ["ViewBase", "ManageEndpoint", "ViewEndpointSecret"] });
    let manager = opened(world, body).await;
    world.use_token(&manager);
    world.ok("endpoint.create", endpoint).await;
    world.ok("endpoint.getSecret", json!(["acme", ep])).await;
    world.be_operator();
}

async fn ended(world: &mut World) {
    let first = opened(world, json!({ "sessionId": "one" })).await;
    let second = opened(world, json!({ "sessionId": "two" })).await;
    world.use_token(&first);
    world.ok("authentication.logout", json!([])).await;
    world
        .refused("endpoint.list", json!(["acme"]), 401, UNKNOWN)
        .await;
    world
        .refused("authentication.logout", json!([]), 401, UNKNOWN)
        .await;
    world.use_token(&second);
    world.ok("endpoint.list", json!(["acme"])).await;
    let all = json!(["acme", {}]);
    world
        .refused("authentication.expireAll", all.clone(), 403, FORBIDDEN)
        .await;

    world.be_operator();
    let third = opened(world, json!({ "sessionId": "three" })).await;
    let some = json!(["acme", { "sessionIds": ["two"] }]);
    world.ok("authentication.expireAll", some).await;
    world.use_token(&second);
    world
        .refused("endpoint.list", json!(["acme"]), 401, UNKNOWN)
        .await;
    world.use_token(&third);
    world.ok("endpoint.list", json!(["acme"])).await;
    world.be_operator();
    world.ok("authentication.expireAll", all).await;
    world.use_token(&third);
    world
        .refused("endpoint.list", json!(["acme"]), 401, UNKNOWN)
        .await;
    world.be_operator();
}

/// The call that 1.x has for portals from before there were capabilities.
async fn dashboard(world: &mut World) {
    if !world.has("authentication.dashboardAccess") {
        return;
    }
    let opened = world
        .ok("authentication.dashboardAccess", json!(["acme"]))
        .await;
    assert!(text(&opened["url"]).starts_with("http"), "{opened}");
    world
        .missing("authentication.dashboardAccess", json!(["nobody"]))
        .await;
    world.use_token(&text(&opened["token"]));
    world.ok("endpoint.list", json!(["acme"])).await;
    world.be_operator();
}
