//! Messages: sent, read, filtered and forgotten.

use dunlin_tests::{SvixSdk, text};
use serde_json::{Value, json};

use super::{World, column, date};

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::dev(sdk, "message").await;
    let app = world.app("acme").await;
    world.endpoint(&app).await;
    made_and_read(&mut world).await;
    made_once(&mut world).await;
    made_for_later(&mut world).await;
    listed(&mut world).await;
    prechecked(&mut world).await;
    forgotten(&mut world).await;
    world.end();
}

fn body() -> Value {
    json!({
        "eventType": "user.created", "payload": { "id": "u_1", "n": 1.5 }, "eventId": "first",
        "channels": ["eu"], "tags": ["signup"], "payloadRetentionPeriod": 30,
    })
}

async fn made_and_read(world: &mut World) {
    let content = json!({ "withContent": true });
    let made = world
        .ok("message.create", json!(["acme", body(), content]))
        .await;
    assert!(text(&made["id"]).starts_with("msg_"), "{made}");
    for name in ["eventType", "payload", "eventId", "channels", "tags"] {
        assert_eq!(made[name], body()[name], "{name}");
    }
    let came = world.arrived().await;
    assert_eq!(came.len(), 1);
    assert_eq!(came[0].json(), body()["payload"]);
    world
        .refused("message.create", json!(["acme", body()]), 409, "conflict")
        .await;
    world
        .missing("message.create", json!(["nobody", body()]))
        .await;
    let wrong = json!(["acme", { "eventType": "no type", "payload": {} }]);
    world
        .invalid("message.create", wrong, "body.eventType")
        .await;
    let wrong = json!({ "eventType": "a", "payload": {}, "payloadRetentionPeriod": 91 });
    world
        .invalid(
            "message.create",
            json!(["acme", wrong]),
            "body.payloadRetentionPeriod",
        )
        .await;

    let read = json!(["acme", "first", content]);
    assert_eq!(world.ok("message.get", read).await, made);
    let bare = json!(["acme", made["id"], { "withContent": false }]);
    assert_eq!(world.ok("message.get", bare).await["payload"], json!({}));
    world
        .missing("message.get", json!(["acme", "second"]))
        .await;
}

/// The second request of an idempotency key changes nothing, and a message may bring its application.
async fn made_once(world: &mut World) {
    let body = json!({ "eventType": "user.created", "payload": { "id": "u_2" } });
    let key = json!({ "idempotencyKey": "the-same-request" });
    let first = world.ok("message.create", json!(["acme", body, key])).await;
    let again = world.ok("message.create", json!(["acme", body, key])).await;
    assert_eq!(first["id"], again["id"]);
    assert_eq!(world.arrived().await.len(), 1);

    let mut brings = body.clone();
    brings["application"] = json!({ "name": "Brought", "uid": "brought" });
    world.ok("message.create", json!(["brought", brings])).await;
    let app = world.ok("application.get", json!(["brought"])).await;
    assert_eq!(app["name"], "Brought");
}

async fn made_for_later(world: &mut World) {
    let body = json!({
        "eventType": "user.reminded", "payload": { "id": "u_3" }, "deliverAt": date(600),
        "payloadRetentionHours": 1,
    });
    let made = world.ok("message.create", json!(["acme", body])).await;
    assert!(!made["deliverAt"].is_null(), "{made}");
    assert!(world.arrived().await.is_empty(), "it came early");
    world.server.advance("11m").await;
    assert_eq!(world.arrived().await.len(), 1);
    let body = json!({ "eventType": "a", "payload": {}, "deliverAt": date(864_000) });
    world
        .invalid("message.create", json!(["acme", body]), "body.deliverAt")
        .await;
}

async fn listed(world: &mut World) {
    for n in 0..4 {
        world
            .message("acme", "user.deleted", json!({ "n": n }))
            .await;
    }
    let list = |options: Value| json!(["acme", options]);
    let all = world
        .ok("message.list", list(json!({ "withContent": true })))
        .await;
    let ids = column(&all, "id");
    assert_eq!(ids.len(), 7);
    assert_eq!(all["data"][0]["payload"], json!({ "n": 3 }));
    assert_eq!(
        world.pages("message.list", &[json!("acme")], "id").await,
        ids
    );
    for (options, count) in [
        (json!({ "withContent": false }), 7),
        (json!({ "channel": "eu" }), 1),
        (json!({ "tag": "signup" }), 1),
        (json!({ "tag": "other" }), 0),
        (json!({ "eventTypes": ["user.deleted"] }), 4),
        (
            json!({ "eventTypes": ["user.deleted", "user.reminded"] }),
            5,
        ),
        (json!({ "before": date(-3600) }), 0),
        (json!({ "after": date(-3600), "before": date(3600) }), 7),
    ] {
        let found = world.ok("message.list", list(options.clone())).await;
        assert_eq!(column(&found, "id").len(), count, "{options}");
    }
    let hidden = world
        .ok("message.list", list(json!({ "withContent": false })))
        .await;
    assert_eq!(hidden["data"][0]["payload"], json!({}));
    world
        .invalid("message.list", list(json!({ "limit": 251 })), "query.limit")
        .await;
}

async fn prechecked(world: &mut World) {
    let body = json!(["acme", { "eventType": "user.created" }]);
    assert_eq!(world.ok("message.precheck", body).await["active"], true);
    let body = json!(["brought", { "eventType": "user.created", "channels": ["eu"] }]);
    assert_eq!(world.ok("message.precheck", body).await["active"], false);
    let body = json!(["nobody", { "eventType": "user.created" }]);
    world.missing("message.precheck", body).await;
}

async fn forgotten(world: &mut World) {
    let content = json!({ "withContent": true });
    world
        .ok("message.expungeContent", json!(["acme", "first"]))
        .await;
    let read = world
        .ok("message.get", json!(["acme", "first", content]))
        .await;
    assert_ne!(read["payload"], body()["payload"]);
    assert_eq!(read["eventType"], "user.created");
    world
        .missing("message.expungeContent", json!(["acme", "second"]))
        .await;

    let id = world
        .message("acme", "user.created", json!({ "secret": true }))
        .await;
    if world.has("message.bulkExpungeContent") {
        let body = json!({ "ids": [id, "msg_nothing"] });
        let done = world
            .ok("message.bulkExpungeContent", json!(["acme", body]))
            .await;
        let expected = json!({ "results": { id.clone(): "expunged", "msg_nothing": "not-found" } });
        assert_eq!(done, expected);
        let nobody = json!(["nobody", { "ids": [] }]);
        world.missing("message.bulkExpungeContent", nobody).await;
    }
    let task = world
        .ok("message.expungeAllContents", json!(["acme"]))
        .await;
    assert_eq!(task["task"], "application.purge_content", "{task}");
    world.finished(&task).await;
    let read = world.ok("message.get", json!(["acme", id, content])).await;
    assert_ne!(read["payload"], json!({ "secret": true }));
    world
        .missing("message.expungeAllContents", json!(["nobody"]))
        .await;
}
