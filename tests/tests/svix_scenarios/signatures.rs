//! Every request that goes out is one that the published libraries verify, while keys are exchanged
//! too.

use dunlin_tests::{Delivered, SvixSdk, text};
use serde_json::{Value, json};

use super::World;

const OLD: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
const NEW: &str = "whsec_plJ3nmyCDGBKInavdOK15jslABCDEFGH";
const STRANGE: &str = "whsec_c3RyYW5nZXJzdHJhbmdlcnN0cmFuZ2Vy";

/// The libraries that verify.
pub(crate) const LIBRARIES: [&str; 2] = ["svix", "standardwebhooks"];

pub(crate) async fn all(sdk: SvixSdk) {
    let mut world = World::dev(sdk, "signatures").await;
    let app = world.app("acme").await;
    let body = json!({ "url": world.hook.url(), "secret": OLD });
    let ep = text(&world.ok("endpoint.create", json!([app, body])).await["id"]);
    first_tries_and_later_ones(&mut world, &app, &ep).await;
    transformed(&mut world, &app, &ep).await;
    rotated(&mut world, &app, &ep).await;
}

/// All that came is signed with each of these keys and with no other.
async fn assert_signed(world: &mut World, came: &[Delivered], keys: &[&str]) {
    for delivered in came {
        for library in LIBRARIES {
            for key in [OLD, NEW, STRANGE] {
                let verified = world.verify(library, key, delivered).await;
                assert_eq!(
                    verified.is_ok(),
                    keys.contains(&key),
                    "{library} {key} {delivered:?}"
                );
                let kind = verified.err().map(|thrown| thrown.kind);
                assert!(kind.is_none_or(|kind| kind == "WebhookVerificationError"));
            }
        }
    }
}

async fn first_tries_and_later_ones(world: &mut World, app: &str, ep: &str) {
    world.hook.answer(&[500, 200]);
    let payload = json!({ "name": "Zoë 💶", "nested": { "a": [1, 2.50, null] } });
    let msg = world.message(app, "user.created", payload.clone()).await;
    let first = world.arrived().await;
    world.server.advance("10s").await;
    let second = world.arrived().await;
    world
        .ok("messageAttempt.resend", json!([app, msg, ep]))
        .await;
    let third = world.arrived().await;
    let came = [first, second, third].concat();
    assert_eq!(came.len(), 3);
    for delivered in &came {
        assert_eq!(delivered.json(), payload);
        assert_eq!(delivered.header("webhook-id"), came[0].header("webhook-id"));
    }
    assert_ne!(
        came[0].header("webhook-timestamp"),
        came[1].header("webhook-timestamp")
    );
    assert_signed(world, &came, &[OLD]).await;

    let example = json!([app, ep, { "eventType": "payment.succeeded" }]);
    world.ok("endpoint.sendExample", example).await;
    let came = world.arrived().await;
    assert_eq!(came.len(), 1);
    assert_signed(world, &came, &[OLD]).await;

    // A change on the way is seen.
    let mut changed = came[0].clone();
    changed.body.push(' ');
    assert_signed(world, &[changed], &[]).await;
}

async fn transformed(world: &mut World, app: &str, ep: &str) {
    let code = "function handler(webhook) {
        webhook.payload = { about: webhook.eventType };
        return webhook;
    }";
    let patch = json!([app, ep, { "code": code, "enabled": true }]);
    world.ok("endpoint.transformation.patch", patch).await;
    world.message(app, "user.created", json!({ "n": 1 })).await;
    let came = world.arrived().await;
    assert_eq!(came[0].json(), json!({ "about": "user.created" }));
    assert_signed(world, &came, &[OLD]).await;
    let patch = json!([app, ep, { "enabled": false }]);
    world.ok("endpoint.transformation.patch", patch).await;
}

/// One message while both keys count: sent, tried again and sent again.
async fn while_both_count(world: &mut World, app: &str, ep: &str) -> Vec<Delivered> {
    world.hook.answer(&[500, 200]);
    let msg = world.message(app, "user.created", json!({ "n": 2 })).await;
    let mut came = world.arrived().await;
    world.server.advance("10s").await;
    came.extend(world.arrived().await);
    world
        .ok("messageAttempt.resend", json!([app, msg, ep]))
        .await;
    came.extend(world.arrived().await);
    let example = json!([app, ep, { "eventType": "payment.succeeded" }]);
    world.ok("endpoint.sendExample", example).await;
    came.extend(world.arrived().await);
    came
}

async fn rotated(world: &mut World, app: &str, ep: &str) {
    let rotation: Value = json!({ "key": NEW, "gracePeriodSeconds": 60 });
    world
        .ok("endpoint.rotateSecret", json!([app, ep, rotation]))
        .await;
    let came = while_both_count(world, app, ep).await;
    assert_eq!(came.len(), 4);
    assert_signed(world, &came, &[OLD, NEW]).await;

    world.server.advance("61s").await;
    world.message(app, "user.created", json!({ "n": 3 })).await;
    let came = world.arrived().await;
    assert_eq!(came.len(), 1);
    assert_signed(world, &came, &[NEW]).await;
}
