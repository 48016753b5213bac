//! Messages that are tried and not kept, bodies that are sent as they stand, and endpoints that
//! take no more for now.

use dunlin_egress::AddressPolicy;
use dunlin_types::Timestamp;
use dunlin_wire::standard_webhooks::WebhookKey;
use serde_json::{Value, json};

use crate::harness::{EP, MSG, SECRET, Server, server, server_with};
use crate::receiver::{Came, Receiver};

fn trial(endpoint: &str) -> String {
    format!("{EP}/{endpoint}/msg/test-attempt")
}

fn message() -> Value {
    json!({"eventType": "order.paid", "payload": {"n": 1}})
}

/// What the signature over that request should be.
fn signature(came: &Came) -> String {
    let at = came.headers["webhook-timestamp"].parse::<i64>().unwrap();
    let key = WebhookKey::parse(SECRET).unwrap();
    let at = Timestamp::from_ms(at * 1000);
    key.sign(&came.headers["webhook-id"], at, came.body.as_bytes())
        .unwrap()
}

async fn nothing_is_kept(server: &Server, endpoint: &str) {
    server.node.idle().await;
    assert!(server.messages().await.is_empty());
    let path = format!("/api/v1/app/default/attempt/endpoint/{endpoint}");
    assert_eq!(server.get(&path).await.json()["data"], json!([]));
}

#[tokio::test]
async fn a_message_is_tried_as_a_delivery_is_made_and_not_kept() {
    let server = server().await;
    let receiver = Receiver::answering(200).await;
    let code = "function handler(w) { console.log(w.eventType); w.payload.m = 2; return w; }";
    let fields = json!({"url": receiver.url, "secret": SECRET, "headers": {"x-own": "1"},
        "disabled": true, "transformation": {"code": code}});
    let endpoint = server.endpoint(fields).await;
    let shown = server
        .post(&trial(&endpoint), message())
        .await
        .is(201, "")
        .json();
    let came = receiver.came();
    assert_eq!(came.len(), 1);
    assert_eq!(came[0].body, r#"{"n":1,"m":2}"#);
    assert_eq!(came[0].headers["x-own"], "1");
    assert_eq!(came[0].headers["webhook-signature"], signature(&came[0]));
    assert_eq!(
        came[0].headers["webhook-id"],
        shown["msgId"].as_str().unwrap()
    );
    let expected = json!({"endpointId": endpoint, "url": receiver.url, "status": 0, "response": "ok",
        "statusText": "success", "responseStatusCode": 200, "triggerType": 1, "test": true,
        "logs": ["order.paid"], "errorCode": null, "nextAttempt": null});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&shown[field], value, "{field}");
    }
    nothing_is_kept(&server, &endpoint).await;
    let (msg, attempt) = (&shown["msgId"], &shown["id"]);
    let path = format!(
        "{MSG}/{}/attempt/{}",
        msg.as_str().unwrap(),
        attempt.as_str().unwrap()
    );
    server.get(&path).await.is(404, "E0102");
}

#[tokio::test]
async fn a_trial_that_fails_says_why_and_counts_nowhere() {
    let server = server_with(|options| {
        let policy = AddressPolicy::public_only().allow_cidr("127.0.0.1/32");
        options.endpoint_policy = policy.unwrap().into();
    })
    .await;
    let refuses = Receiver::answering(410).await;
    let gone = server.endpoint(json!({"url": refuses.url})).await;
    let shown = server
        .post(&trial(&gone), message())
        .await
        .is(201, "")
        .json();
    assert_eq!(
        (&shown["status"], &shown["responseStatusCode"]),
        (&json!(2), &json!(410))
    );
    assert_eq!(shown["errorCode"], "E0612");
    let one = server.get(&format!("{EP}/{gone}")).await.json();
    assert_eq!(one["disabled"], false, "only a delivery disables");
    nothing_is_kept(&server, &gone).await;

    for (code, expected) in [
        ("function handler(w) { throw new Error('no'); }", "E0605"),
        (
            "function handler(w) { w.url = 'http://169.254.169.254/'; return w; }",
            "E0601",
        ),
    ] {
        let fields = json!({"url": "https://a.example/", "transformation": {"code": code}});
        let endpoint = server.endpoint(fields).await;
        let shown = server
            .post(&trial(&endpoint), message())
            .await
            .is(201, "")
            .json();
        assert_eq!(
            (&shown["status"], &shown["errorCode"]),
            (&json!(2), &json!(expected))
        );
    }
}

#[tokio::test]
async fn an_application_whose_receivers_hang_leaves_room_for_the_others() {
    let server = server().await;
    let (hangs, answers) = (Receiver::hanging().await, Receiver::answering(200).await);
    let hung = trial(&server.endpoint(json!({"url": hangs.url})).await);
    let other = json!({"name": "other", "uid": "other"});
    server.post("/api/v1/app", other).await.is(201, "");
    let all = "/api/v1/app/other/endpoint";
    let fields = json!({"url": answers.url, "uid": "one"});
    server.post(all, fields).await.is(201, "");
    let tries = async || server.post(&hung, message()).await;
    let trying = async { tokio::join!(tries(), tries(), tries(), tries()) };
    let asking = async {
        while hangs.came().len() < 4 {
            tokio::task::yield_now().await;
        }
        server.post(&hung, message()).await.is(503, "E0105");
        let elsewhere = format!("{all}/one/msg/test-attempt");
        server.post(&elsewhere, message()).await.is(201, "");
    };
    tokio::select! {
        ended = trying => panic!("they hang: {ended:?}"),
        () = asking => {}
    }
    // Whoever stops waiting gives the place back.
    let again = async { tries().await };
    let came = async {
        while hangs.came().len() < 5 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        ended = again => panic!("it hangs: {ended:?}"),
        () = came => {}
    }
}

#[tokio::test]
async fn what_cannot_be_tried_is_refused() {
    let server = server().await;
    let own = server.endpoint(json!({"integration": "inngest"})).await;
    let refused = server.post(&trial(&own), message()).await.is(400, "E0100");
    assert!(refused.text.contains("send-example"), "{}", refused.text);
    let path = trial(&server.endpoint(json!({"url": "https://a.example/"})).await);
    let wrong = json!({"eventType": "order.paid", "payload": [1]});
    let refused = server.post(&path, wrong).await.is(422, "E0100");
    assert_eq!(refused.place(), "body.payload");
    server
        .post(&trial("ep_1srOrx2ZWZBpBUvZwXKQmoEYga2"), message())
        .await
        .is(404, "E0102");
}

#[tokio::test]
async fn a_raw_body_is_sent_as_it_stands_with_the_senders_headers() {
    let server = server().await;
    let receiver = Receiver::answering(200).await;
    let fields = json!({"url": receiver.url, "secret": SECRET,
        "headers": {"x-own": "endpoint's", "x-more": "endpoint's"}});
    server.endpoint(fields).await;
    let raw = json!({"eventType": "order.paid", "payload": {}, "transformationsParams": {
        "rawPayload": "a=1&b=%20", "headers":
            {"Content-Type": "application/x-www-form-urlencoded", "x-own": "sender's"}}});
    server.post(MSG, raw).await.is(202, "");
    server.node.idle().await;
    let came = receiver.came();
    assert_eq!(came[0].body, "a=1&b=%20");
    assert_eq!(came[0].headers["webhook-signature"], signature(&came[0]));
    for (name, value) in [
        ("content-type", "application/x-www-form-urlencoded"),
        ("x-own", "sender's"),
        ("x-more", "endpoint's"),
    ] {
        assert_eq!(came[0].headers[name], value);
    }
}

#[tokio::test]
async fn a_transformation_sees_the_raw_body_and_makes_its_own() {
    let server = server().await;
    let receiver = Receiver::answering(200).await;
    let code = "function handler(w) { w.payload = {was: w.transformationsParams.rawPayload}; \
                w.headers = {'x-own': 'script'}; return w; }";
    let fields = json!({"url": receiver.url, "transformation": {"code": code}});
    let endpoint = server.endpoint(fields).await;
    let raw = json!({"eventType": "order.paid", "payload": {}, "transformationsParams":
        {"rawPayload": "text", "headers": {"x-own": "sender's"}}});
    server.post(&trial(&endpoint), raw).await.is(201, "");
    let came = receiver.came();
    assert_eq!(came[0].body, r#"{"was":"text"}"#);
    assert_eq!(came[0].headers["x-own"], "script");
}

#[tokio::test]
async fn parameters_that_could_not_be_sent_are_refused() {
    let server = server().await;
    for (params, code) in [
        (json!({"rawPayload": {"a": 1}}), "E0100"),
        (json!({"headers": {"x-a": 1}}), "E0100"),
        (json!({"headers": {"webhook-id": "mine"}}), "E0602"),
        (json!([1]), "E0100"),
    ] {
        let mut body = message();
        body["transformationsParams"] = params;
        server.post(MSG, body).await.is(422, code);
    }
    let mut long = message();
    long["transformationsParams"] = json!({"rawPayload": "x".repeat(1024 * 1024 + 1)});
    server.post(MSG, long).await.is(413, "E0104");
}

#[tokio::test]
async fn an_endpoint_says_since_when_its_rate_holds_messages_back() {
    let server = server().await;
    let receiver = Receiver::answering(200).await;
    let fields = json!({"url": receiver.url, "throttleRate": 1});
    let endpoint = server.endpoint(fields).await;
    let status = async || {
        let path = format!("{EP}/{endpoint}/rate-limit-status");
        server.get(&path).await.is(200, "").json()
    };
    assert_eq!(status().await, json!({"status": "Ok"}));
    let mut sent = Vec::new();
    for _ in 0..3 {
        sent.push(server.post(MSG, message()).await.is(202, "").json());
    }
    let held = status().await;
    assert_eq!(held["status"], "RateLimited");
    assert!(held["throttledSince"].as_str() >= sent[1]["timestamp"].as_str());
    assert!(held["nextAttempt"].as_str() > held["throttledSince"].as_str());
    server.node.advance(10_000).unwrap();
    server.node.idle().await;
    server.node.advance(10_000).unwrap();
    server.node.idle().await;
    assert_eq!(receiver.came().len(), 3);
    assert_eq!(status().await, json!({"status": "Ok"}));
    let nobody = format!("{EP}/ep_1srOrx2ZWZBpBUvZwXKQmoEYga2/rate-limit-status");
    server.get(&nobody).await.is(404, "E0102");
}
