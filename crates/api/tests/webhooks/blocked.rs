//! S10, S14 and S15: each URL that the guard's table refuses is refused in each way that there is to
//! have something sent there: saving it, testing it, simulating it and delivering to it.

use dunlin_egress::{AddressPolicy, without_query};
use serde_json::{Value, json};

use crate::harness::{EP, Server, server_with};

const SIMULATE: &str = "/api/v1/connector/simulate";

/// The URLs that are refused, with the code that says why.
fn refused() -> Vec<(&'static str, &'static str)> {
    let table = include_str!("../../../egress/tests/urls.txt");
    let rows = table.lines().filter_map(|line| {
        let (url, verdict) = line.split_once(char::is_whitespace)?;
        match verdict.trim() {
            "blocked" => Some((url, "E0601")),
            "bad" => Some((url, "E0600")),
            _ => None,
        }
    });
    rows.collect()
}

/// What a script returns is judged by the sandbox first, which takes no odd spelling at all.
const ODD: &str = "E0606";

/// An installation whose apps may be anywhere, which opens nothing to endpoints.
async fn guarded() -> Server {
    server_with(|options| options.endpoint_policy = AddressPolicy::public_only().into()).await
}

fn sends_to(url: &str) -> String {
    let url = Value::from(url);
    format!("function handler(w) {{ w.url = {url}; return w; }}")
}

async fn attempts(server: &Server, endpoint: &str) -> Vec<Value> {
    server.node.idle().await;
    let path = format!("/api/v1/app/default/attempt/endpoint/{endpoint}?limit=250");
    let listed = server.get(&path).await.is(200, "").json();
    listed["data"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_url_that_is_refused_cannot_be_saved_in_any_way() {
    let server = guarded().await;
    let saved = server.endpoint(json!({"url": "https://a.example/"})).await;
    let one = format!("{EP}/{saved}");
    let table = refused();
    assert!(table.len() > 50);
    for (url, code) in table {
        let body = json!({"url": url});
        for refused in [
            server.post(EP, body.clone()).await,
            server
                .post(&format!("{EP}?test=payment.succeeded"), body.clone())
                .await,
            server.put(&one, body.clone()).await,
            server.patch(&one, body.clone()).await,
            server.put(&format!("{EP}/new-uid"), body.clone()).await,
        ] {
            assert_eq!(refused.is(422, code).place(), "body.url", "{url}");
        }
    }
    let kept = server.get(EP).await.json()["data"].clone();
    assert_eq!(kept.as_array().unwrap().len(), 1);
    assert_eq!(kept[0]["url"], "https://a.example/");
}

#[tokio::test]
async fn a_script_cannot_simulate_or_test_its_way_there() {
    let server = guarded().await;
    for (url, code) in refused() {
        let script = sends_to(url);
        let trial = json!({"code": script, "eventType": "a.b", "payload": {}});
        let shown = server.post(SIMULATE, trial).await.is(200, "").json();
        let said = shown["error"]["code"].as_str().unwrap();
        assert!(said == code || said == ODD, "{url} {shown}");

        let made = json!({"url": "https://a.example/", "transformation": {"code": script}});
        let path = format!("{EP}?test=payment.succeeded");
        let made = server.post(&path, made).await.is(201, "").json();
        assert_eq!(made["test"]["errorCode"], said, "{url} {made}");
        assert_eq!(made["endpoint"]["disabled"], true);
    }
}

#[tokio::test]
async fn neither_an_example_nor_a_webhook_is_delivered_there() {
    let server = guarded().await;
    server.source().await;
    let script = "function handler(w) { w.url = w.payload.data.place; return w; }";
    let fields = json!({"url": "https://a.example/", "transformation": {"code": script}});
    let delivered = server.endpoint(fields.clone()).await;
    let mut expected = Vec::new();
    for (nth, (url, code)) in refused().into_iter().enumerate() {
        let body = json!({"type": "a.b", "data": {"place": url}});
        server
            .webhook(&format!("evt-{nth}"), &body.to_string())
            .await;
        expected.push((without_query(url), code));
    }
    let failed = attempts(&server, &delivered).await;
    assert_eq!(failed.len(), expected.len());
    for attempt in &failed {
        let text = |field: &str| attempt[field].as_str().unwrap_or_default();
        assert_eq!(attempt["responseStatusCode"], 0, "{attempt}");
        let judged = (text("url").to_owned(), text("errorCode"));
        assert!(judged.1 == ODD || expected.contains(&judged), "{attempt}");
    }
    let blocked = failed.iter().filter(|one| one["errorCode"] == "E0601");
    assert!(blocked.count() > 20);

    let example = server.endpoint(fields).await;
    for (sent, (url, code)) in refused().into_iter().step_by(7).enumerate() {
        let path = format!("{EP}/{example}/transformation");
        let patch = json!({"code": sends_to(url), "enabled": true});
        let patched = server.patch(&path, patch).await;
        assert!(patched.status < 300, "{patched:?}");
        let event = json!({"eventType": "refund.succeeded"});
        let path = format!("{EP}/{example}/send-example");
        server.post(&path, event).await.is(200, "");
        let made = attempts(&server, &example).await;
        assert_eq!(made.len(), sent + 1);
        let judged = |one: &Value| one["errorCode"] == ODD || one["errorCode"] == code;
        assert!(
            made.iter().all(|one| one["responseStatusCode"] == 0),
            "{url}"
        );
        assert!(made.iter().any(judged), "{url}");
    }
}
