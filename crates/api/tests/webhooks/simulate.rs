//! Trial runs: failures of a script are answers, failures of the request are errors.

use dunlin_egress::AddressPolicy;
use serde_json::{Value, json};

use crate::harness::{BODY, EP, Server, server_with};

async fn with_endpoint() -> (Server, String) {
    let server = server_with(|options| {
        options.endpoint_policy = AddressPolicy::public_only().into();
    })
    .await;
    let id = server
        .endpoint(json!({"url": "https://a.example/hook"}))
        .await;
    (server, format!("{EP}/{id}/transformation/simulate"))
}

fn run(code: &str) -> Value {
    json!({"code": code, "eventType": "a.b", "payload": {"b": 1, "a": 2}, "variables": {"K": "v"}})
}

#[tokio::test]
async fn a_trial_shows_what_would_be_sent() {
    let (server, path) = with_endpoint().await;
    let code = "function handler(w) {
        console.log('type', w.eventType);
        w.method = 'PUT';
        w.headers = {'X-Key': w.env.K};
        w.payload = {z: w.payload.a, y: w.url};
        return w;
    }";
    let shown = server.post(&path, run(code)).await.is(200, "").json();
    assert_eq!(shown["payload"], r#"{"z":2,"y":"https://a.example/hook"}"#);
    assert_eq!(
        (&shown["method"], &shown["cancel"]),
        (&json!("PUT"), &json!(false))
    );
    assert_eq!(shown["headers"], json!({"x-key": "v"}));
    assert_eq!(shown["logs"], json!([{"level": "log", "text": "type a.b"}]));
    assert!(shown["durationMs"].is_number() && shown["error"].is_null());
}

#[tokio::test]
async fn scripts_that_fail_answer_200_with_the_error() {
    let (server, path) = with_endpoint().await;
    let rows = [
        ("function handler(w) {\n  return w.x.y;\n}", "E0605"),
        ("function handler(w) { return 1; }", "E0606"),
        ("function handler(w) { return ( }", "E0603"),
        ("const nothing = 'here';", "E0604"),
        (
            "function handler(w) { w.url = 'http://169.254.169.254/x'; return w; }",
            "E0601",
        ),
        (
            "function handler(w) { w.headers = {'webhook-id': 'x'}; return w; }",
            "E0602",
        ),
    ];
    for (code, expected) in rows {
        let shown = server.post(&path, run(code)).await.is(200, "").json();
        assert_eq!(shown["error"]["code"], expected, "{shown}");
        assert_eq!(
            (&shown["url"], &shown["payload"]),
            (&json!("https://a.example/hook"), &json!(""))
        );
    }
    let shown = server.post(&path, run(rows[0].0)).await.json();
    assert_eq!(shown["error"]["line"], 2);
}

#[tokio::test]
async fn a_request_that_is_wrong_itself_is_422() {
    let (server, path) = with_endpoint().await;
    let code = "function handler(w) { return w; }";
    for (body, place) in [
        (json!({"eventType": "a", "payload": {}}), "body.code"),
        (json!({"code": code, "payload": {}}), "body.eventType"),
        (json!({"code": code, "eventType": "a"}), "body.payload"),
        (
            json!({"code": code, "eventType": "a", "payload": [1]}),
            "body.payload",
        ),
    ] {
        let refused = server.post(&path, body).await;
        assert_eq!((refused.status, refused.place()), (422, place.to_owned()));
    }
    let nobody = json!({"code": code, "messageId": "msg_x"});
    server.post(&path, nobody).await.is(404, "E0102");
}

#[tokio::test]
async fn a_stored_message_can_be_tried_and_a_script_alone() {
    let (server, path) = with_endpoint().await;
    server.source().await;
    let message = server.webhook("evt-1", BODY).await;
    let code = "function handler(w) {
        return {payload: {t: w.eventType, n: w.payload.data.total_amount,
            h: w.transformationsParams.headers['webhook-id']}};
    }";
    let body = json!({"code": code, "messageId": message});
    for path in [path.as_str(), "/api/v1/connector/simulate"] {
        let shown = server.post(path, body.clone()).await.is(200, "").json();
        assert_eq!(
            shown["payload"],
            r#"{"t":"payment.succeeded","n":5390,"h":"evt-1"}"#
        );
    }
}
