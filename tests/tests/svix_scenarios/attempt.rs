//! Attempts: what was tried, with what came of it.

use dunlin_tests::{SvixSdk, text};
use serde_json::{Value, json};

use super::{World, column, date};

/// What the scenario looks at.
struct Seen {
    app: String,
    ep: String,
    msg: String,
}

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::dev(sdk, "attempt").await;
    let app = world.app("acme").await;
    let ep = world.endpoint(&app).await;
    world.hook.answer(&[500]);
    let body = json!({
        "eventType": "user.created", "payload": { "id": "u_1" }, "eventId": "first",
        "tags": ["signup"],
    });
    let msg = text(&world.ok("message.create", json!([app, body])).await["id"]);
    let seen = Seen { app, ep, msg };
    retried(&mut world, &seen).await;
    listed(&mut world, &seen).await;
    messages_and_destinations(&mut world, &seen).await;
    resent(&mut world, &seen).await;
    forgotten(&mut world, &seen).await;
    world.end();
}

async fn retried(world: &mut World, Seen { app, ep, msg }: &Seen) {
    world.server.idle().await;
    let list = json!([app, msg]);
    let first = world.ok("messageAttempt.listByMsg", list.clone()).await;
    assert_eq!(column(&first, "id").len(), 1, "{first}");
    let failed = &first["data"][0];
    assert_eq!(
        (&failed["msgId"], &failed["endpointId"]),
        (&json!(msg), &json!(ep))
    );
    assert_eq!(
        (&failed["status"], &failed["statusText"]),
        (&2.into(), &"fail".into())
    );
    assert_eq!(failed["responseStatusCode"], 500);
    assert_eq!(failed["response"], "answer 1");
    assert_eq!(failed["triggerType"], 0);
    assert_eq!(failed["url"], world.hook.url());
    assert!(failed["responseDurationMs"].is_u64(), "{failed}");

    world.server.advance("10s").await;
    let both = world.ok("messageAttempt.listByMsg", list).await;
    assert_eq!(column(&both, "id").len(), 2, "{both}");
    assert_eq!(
        both["data"][0]["status"], 0,
        "the newest comes first: {both}"
    );
    assert_eq!(both["data"][0]["statusText"], "success");

    let get = json!([app, "first", failed["id"]]);
    let one = world.ok("messageAttempt.get", get).await;
    assert_eq!(one["id"], failed["id"]);
    let unknown = json!([app, msg, "atmpt_nothing"]);
    world.missing("messageAttempt.get", unknown).await;
}

async fn listed(world: &mut World, Seen { app, ep, msg }: &Seen) {
    let filters = [
        (json!({ "status": 0 }), 1),
        (json!({ "status": 2 }), 1),
        (json!({ "statusCodeClass": 500 }), 1),
        (json!({ "statusCodeClass": 400 }), 0),
        (json!({ "eventTypes": ["user.created", "user.deleted"] }), 2),
        (json!({ "eventTypes": ["user.deleted"] }), 0),
        (json!({ "tag": "signup" }), 2),
        (json!({ "tag": "other" }), 0),
        (json!({ "channel": "eu" }), 0),
        (json!({ "after": date(-3600) }), 2),
        (json!({ "before": date(-3600) }), 0),
        (json!({ "limit": 1 }), 1),
    ];
    for (call, what) in [
        ("messageAttempt.listByMsg", msg),
        ("messageAttempt.listByEndpoint", ep),
    ] {
        for (options, count) in &filters {
            let found = world.ok(call, json!([app, what, options])).await;
            assert_eq!(column(&found, "id").len(), *count, "{call} {options}");
        }
        world.missing(call, json!([app, "nothing"])).await;
        let wrong = json!([app, what, { "limit": 251 }]);
        world.invalid(call, wrong, "query.limit").await;
    }
    let options = json!({ "withMsg": true, "withContent": true });
    let found = world
        .ok("messageAttempt.listByEndpoint", json!([app, ep, options]))
        .await;
    assert_eq!(
        found["data"][0]["msg"]["payload"],
        json!({ "id": "u_1" }),
        "{found}"
    );
    let other = json!([app, msg, { "endpointId": ep }]);
    let found = world.ok("messageAttempt.listByMsg", other).await;
    assert_eq!(column(&found, "id").len(), 2);
}

async fn messages_and_destinations(world: &mut World, Seen { app, ep, msg }: &Seen) {
    for n in 0..3 {
        world.message(app, "user.deleted", json!({ "n": n })).await;
    }
    world.server.idle().await;
    let before = [json!(app), json!(ep)];
    let call = "messageAttempt.listAttemptedMessages";
    let all = world.ok(call, json!([app, ep])).await;
    let ids = column(&all, "id");
    assert_eq!((ids.len(), ids.last()), (4, Some(msg)), "{all}");
    assert_eq!(all["data"][0]["statusText"], "success", "{all}");
    assert_eq!(all["data"][0]["nextAttempt"], Value::Null);
    assert_eq!(world.pages(call, &before, "id").await, ids);
    for (options, count) in [
        (json!({ "status": 0, "eventTypes": ["user.deleted"] }), 3),
        (json!({ "status": 2 }), 0),
        (json!({ "tag": "signup" }), 1),
    ] {
        let found = world.ok(call, json!([app, ep, options])).await;
        assert_eq!(column(&found, "id").len(), count, "{options}");
    }
    world.missing(call, json!([app, "nobody"])).await;

    let call = "messageAttempt.listAttemptedDestinations";
    let found = world.ok(call, json!([app, msg, { "limit": 10 }])).await;
    assert_eq!(column(&found, "id"), [ep.as_str()]);
    assert_eq!(found["data"][0]["status"], 0, "{found}");
    assert_eq!(found["data"][0]["url"], world.hook.url());
    world.missing(call, json!([app, "nothing"])).await;
}

async fn resent(world: &mut World, Seen { app, ep, msg }: &Seen) {
    world.hook.forget();
    world
        .ok("messageAttempt.resend", json!([app, msg, ep]))
        .await;
    let came = world.arrived().await;
    assert_eq!(came.len(), 1);
    assert_eq!(came[0].json(), json!({ "id": "u_1" }));
    let all = world
        .ok("messageAttempt.listByMsg", json!([app, msg]))
        .await;
    assert_eq!(all["data"][0]["triggerType"], 1, "{all}");
    world
        .missing("messageAttempt.resend", json!([app, msg, "nobody"]))
        .await;
}

async fn forgotten(world: &mut World, Seen { app, msg, .. }: &Seen) {
    let all = world
        .ok("messageAttempt.listByMsg", json!([app, msg]))
        .await;
    let id = &all["data"][0]["id"];
    world
        .ok("messageAttempt.expungeContent", json!([app, msg, id]))
        .await;
    let one = world.ok("messageAttempt.get", json!([app, msg, id])).await;
    assert_eq!(one["response"], "EXPUNGED");
    let unknown = json!([app, msg, "atmpt_nothing"]);
    world
        .missing("messageAttempt.expungeContent", unknown)
        .await;
}
