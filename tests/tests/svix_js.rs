//! The server with npm `svix` 2 and `standardwebhooks`, and with the webhooks of `dodopayments`.

#[macro_use]
mod svix_scenarios;

use dunlin_tests::{Hook, Server, SvixDriver, SvixSdk, Thrown, text};
use serde_json::{Value, json};

svix_scenarios!(SvixSdk::JS);

const KEY: &str = "whsec_c3RyYW5nZXJzdHJhbmdlcnN0cmFuZ2Vy";

/// The client of `dodopayments`, pointed at a server.
struct Dodo {
    server: Server,
    driver: SvixDriver,
}

impl Dodo {
    async fn make(&mut self, call: &str, args: Value) -> Result<Value, Thrown> {
        let url = self.server.url();
        let request = json!({
            "sdk": "dodopayments", "url": url, "token": "any", "args": args,
            "call": format!("webhooks.{call}"),
        });
        self.driver.ask(&request).await
    }

    async fn ok(&mut self, call: &str, args: Value) -> Value {
        let answer = self.make(call, args).await;
        answer.unwrap_or_else(|error| panic!("{call}: {error:?}"))
    }

    /// Makes a call that is refused with that status.
    async fn refused(&mut self, call: &str, args: Value, status: u64) {
        let thrown = self.make(call, args).await.expect_err("it is refused");
        assert_eq!(thrown.status, Some(status), "{call}: {thrown:?}");
        for name in ["code", "message"] {
            let text = thrown.body[name].as_str().unwrap_or_default();
            assert!(!text.is_empty(), "{call}: {thrown:?}");
        }
    }
}

#[tokio::test]
async fn dodo_webhooks() {
    let mut dodo = Dodo {
        server: Server::dev(["--test-mode", "--no-discovery"]).await,
        driver: SvixDriver::start(SvixSdk::JS).await,
    };
    let hook = Hook::start().await;
    let id = managed(&mut dodo, &hook).await;
    headers_and_secret(&mut dodo, &id).await;
    unwrapped(&mut dodo, &hook, &id).await;
    listed_and_deleted(&mut dodo, &hook, &id).await;
}

async fn managed(dodo: &mut Dodo, hook: &Hook) -> String {
    let body = json!({
        "url": hook.url(), "description": "Ours", "filter_types": ["payment.succeeded"],
        "headers": { "x-team": "a" }, "metadata": { "team": "a" }, "rate_limit": 50,
        "idempotency_key": "made-once",
    });
    let made = dodo.ok("create", json!([body])).await;
    for name in [
        "url",
        "description",
        "filter_types",
        "metadata",
        "rate_limit",
    ] {
        assert_eq!(made[name], body[name], "{name} of {made}");
    }
    assert!(
        made["created_at"].is_string() && made["updated_at"].is_string(),
        "{made}"
    );
    assert_eq!(dodo.ok("create", json!([body])).await["id"], made["id"]);
    dodo.refused("create", json!([{ "url": "nowhere" }]), 422)
        .await;

    let id = text(&made["id"]);
    assert_eq!(dodo.ok("retrieve", json!([id])).await, made);
    dodo.refused("retrieve", json!(["nothing"]), 404).await;
    let change = json!({ "description": "Still ours", "filter_types": null });
    let changed = dodo.ok("update", json!([id, change])).await;
    assert_eq!(changed["description"], "Still ours");
    assert!(
        changed["filter_types"].as_array().is_none_or(Vec::is_empty),
        "{changed}"
    );
    assert_eq!(changed["rate_limit"], 50);
    dodo.refused("update", json!([id, { "url": "nowhere" }]), 422)
        .await;
    dodo.refused("update", json!(["nothing", {}]), 404).await;
    id
}

async fn headers_and_secret(dodo: &mut Dodo, id: &str) {
    let shown = dodo.ok("headers.retrieve", json!([id])).await;
    assert_eq!(
        shown,
        json!({ "headers": { "x-team": "a" }, "sensitive": [] })
    );
    let more = json!({ "headers": { "x-more": "1", "authorization": "Bearer ours" } });
    dodo.ok("headers.update", json!([id, more])).await;
    let shown = dodo.ok("headers.retrieve", json!([id])).await;
    assert_eq!(shown["headers"], json!({ "x-more": "1", "x-team": "a" }));
    assert_eq!(shown["sensitive"], json!(["authorization"]));
    dodo.refused("headers.retrieve", json!(["nothing"]), 404)
        .await;
    let wrong = json!({ "headers": { "webhook-id": "mine" } });
    dodo.refused("headers.update", json!([id, wrong]), 422)
        .await;

    let secret = dodo.ok("retrieveSecret", json!([id])).await;
    assert!(text(&secret["secret"]).starts_with("whsec_"), "{secret}");
    dodo.refused("retrieveSecret", json!(["nothing"]), 404)
        .await;
}

/// What an endpoint of that API gets is what the SDK's own handler takes.
async fn unwrapped(dodo: &mut Dodo, hook: &Hook, id: &str) {
    let server = &dodo.server;
    let apps = server.client().get("/api/v1/app").await.json();
    let mut sent = 0;
    for app in apps["data"].as_array().expect("a list") {
        let path = format!(
            "/api/v1/app/{}/endpoint/{id}/send-example",
            text(&app["id"])
        );
        let body = json!({ "eventType": "payment.succeeded" });
        sent += u32::from(server.client().post(&path, &body).await.status < 300);
    }
    assert_eq!(sent, 1, "one application has the endpoint");
    server.idle().await;
    let came = hook.taken();
    assert_eq!(came.len(), 1);
    let secret = text(&dodo.ok("retrieveSecret", json!([id])).await["secret"]);
    let verify = |key: &str| {
        let (body, headers) = (&came[0].body, came[0].headers());
        json!({ "verify": "dodopayments", "secret": key, "body": body, "headers": headers })
    };
    let event = dodo.driver.ask(&verify(&secret)).await;
    let event = event.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(event["type"], "payment.succeeded");
    let thrown = dodo
        .driver
        .ask(&verify(KEY))
        .await
        .expect_err("a wrong key");
    assert_eq!(thrown.kind, "WebhookVerificationError");
}

async fn listed_and_deleted(dodo: &mut Dodo, hook: &Hook, id: &str) {
    for _ in 0..3 {
        dodo.ok("create", json!([{ "url": hook.url() }])).await;
    }
    // The SDK goes from page to page by itself.
    let all = dodo.ok("list", json!([{ "limit": 2 }])).await;
    assert_eq!(all.as_array().map(Vec::len), Some(4), "{all}");
    dodo.refused("list", json!([{ "limit": 2, "iterator": "nothing" }]), 422)
        .await;
    dodo.ok("delete", json!([id])).await;
    dodo.refused("retrieve", json!([id]), 404).await;
    dodo.refused("delete", json!([id]), 404).await;
}
