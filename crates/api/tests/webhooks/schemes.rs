//! Webhooks of senders with schemes of their own: signed as they sign, in the form in which they
//! send, with the questions they ask first.

use axum::body::Body;
use axum::extract::ConnectInfo;
use dunlin_types::{Ksuid, KsuidKind};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Request;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::harness::{BODY, Reply, Server, Webhook, server};

const SOURCES: &str = "/ingest/api/v1/source";
const TEXT_SECRET: &str = "8f742231b10e8888abcd99yyyzzz85a5";

fn hex_mac(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(TEXT_SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    let bytes = mac.finalize().into_bytes();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Server {
    /// A source of that type, named so.
    async fn source_of(&self, kind: &str, config: Value) -> Value {
        let mut fields = json!({"name": kind, "type": kind, "config": config});
        fields["config"]["secret"] = json!(TEXT_SECRET);
        self.post(SOURCES, fields).await.is(201, "").json()
    }

    async fn knock(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("host", "localhost:8288");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.ask(request.body(Body::from(body.to_owned())).unwrap())
            .await
    }

    /// What is stored of the one message: id of the provider, type, body.
    async fn stored(&self) -> (String, String, Value) {
        let all = self.messages().await;
        assert_eq!(all.len(), 1, "{all:?}");
        let text = |field: &str| all[0][field].as_str().unwrap().to_owned();
        (
            text("eventId"),
            text("eventType"),
            all[0]["payload"].clone(),
        )
    }
}

#[tokio::test]
async fn stripe_names_its_events_in_the_body() {
    let server = server().await;
    server.source_of("stripe", json!({})).await;
    let body = r#"{"id":"evt_1","type":"charge.succeeded"}"#;
    let now = server.node.now().secs();
    let signed = format!("t={now},v1={}", hex_mac(&format!("{now}.{body}")));
    let headers = [("stripe-signature", signed.as_str())];
    for duplicate in [Value::Null, json!(true)] {
        let told = server.knock("POST", "/in/stripe", &headers, body).await;
        assert_eq!(told.is(200, "").json()["duplicate"], duplicate);
    }
    let (id, event_type, _) = server.stored().await;
    assert_eq!(
        (id.as_str(), event_type.as_str()),
        ("evt_1", "charge.succeeded")
    );
    let other = body.replace("evt_1", "evt_2");
    server
        .knock("POST", "/in/stripe", &headers, &other)
        .await
        .is(401, "E0201");
}

#[tokio::test]
async fn github_may_pack_its_json_into_a_form() {
    let server = server().await;
    server.source_of("github", json!({})).await;
    let body = "payload=%7B%22action%22%3A%22opened%22%7D";
    let signature = format!("sha256={}", hex_mac(body));
    let headers = [
        ("x-hub-signature-256", signature.as_str()),
        ("x-github-delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        ("x-github-event", "issues"),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    server
        .knock("POST", "/in/github", &headers, body)
        .await
        .is(200, "");
    let (id, event_type, body) = server.stored().await;
    assert_eq!(id, headers[1].1);
    assert_eq!(
        (event_type.as_str(), body),
        ("issues", json!({"action": "opened"}))
    );
}

#[tokio::test]
async fn slack_asks_first_then_sends_events_and_commands() {
    let server = server().await;
    server.source_of("slack", json!({})).await;
    let send = async |content_type: &str, body: &str| {
        let now = server.node.now().secs().to_string();
        let signature = format!("v0={}", hex_mac(&format!("v0:{now}:{body}")));
        let headers = [
            ("x-slack-signature", signature.as_str()),
            ("x-slack-request-timestamp", &now),
            ("content-type", content_type),
        ];
        server.knock("POST", "/in/slack", &headers, body).await
    };
    let question = r#"{"type":"url_verification","challenge":"3eZbrw1a"}"#;
    let told = send("application/json", question).await.is(200, "");
    assert_eq!(told.text, "3eZbrw1a");
    assert!(server.messages().await.is_empty());
    let unsigned = server.knock("POST", "/in/slack", &[], question).await;
    unsigned.is(401, "E0200");

    let form = "application/x-www-form-urlencoded";
    let command = send(form, "command=%2Fdeploy&text=now+please&x=1&x=2").await;
    command.is(200, "");
    let (_, event_type, body) = server.stored().await;
    assert_eq!(event_type, "/deploy");
    assert_eq!(
        body,
        json!({"command": "/deploy", "text": "now please", "x": ["1", "2"]})
    );
}

#[tokio::test]
async fn a_generic_source_verifies_as_it_was_told_and_keeps_no_proof() {
    let server = server().await;
    let config = json!({
        "verify": {"by": "header", "header": "X-Webhook-Key"},
        "id": {"json": "event.id"},
        "eventType": {"header": "X-Kind"},
    });
    let made = server.source_of("generic-webhook", config.clone()).await;
    assert_eq!(made["config"]["verify"]["header"], "x-webhook-key");
    let body = r#"{"event":{"id":77}}"#;
    let headers = [("x-webhook-key", TEXT_SECRET), ("x-kind", "order.paid")];
    let path = "/in/generic-webhook";
    let taken = server.knock("POST", path, &headers, body).await;
    let taken = taken.is(200, "").json();
    server
        .knock("POST", path, &headers[1..], body)
        .await
        .is(401, "E0200");
    server
        .knock("POST", path, &[("x-webhook-key", "no"), headers[1]], body)
        .await
        .is(401, "E0201");
    let (id, event_type, _) = server.stored().await;
    assert_eq!((id.as_str(), event_type.as_str()), ("77", "order.paid"));
    let message = Ksuid::parse(KsuidKind::Message, taken["id"].as_str().unwrap()).unwrap();
    let kept = server.node.read(move |reader| reader.message(message.seq));
    let kept = kept.await.unwrap().unwrap().headers.clone();
    assert_eq!(kept, [("x-kind".to_owned(), "order.paid".to_owned())]);
    let listed = server
        .get(&format!("{SOURCES}/generic-webhook/errors"))
        .await;
    assert!(!listed.text.contains("x-webhook-key"), "{}", listed.text);
}

#[tokio::test]
async fn a_form_that_is_none_is_told_as_a_bad_body() {
    let server = server().await;
    server.source().await;
    let sent = |body: &str| {
        let mut request = Webhook::of("evt", body, server.node.now()).request("dodo");
        let form = "application/x-www-form-urlencoded".parse().unwrap();
        request.headers_mut().insert("content-type", form);
        server.ask(request)
    };
    // What tools send by default though it is JSON.
    sent(BODY).await.is(200, "");
    let many = "a=1&".repeat(1_001);
    sent(&many).await.is(400, "E0204");
    let grows = format!("a={}", "\u{1}".repeat(600_000));
    sent(&grows).await.is(413, "E0104");
}

#[tokio::test]
async fn a_challenge_by_get_is_answered_only_where_it_was_set_up() {
    let server = server().await;
    server.source().await;
    let ask = async |name: &str, query: &str| {
        server
            .knock("GET", &format!("/in/{name}?{query}"), &[], "")
            .await
    };
    ask("dodo", "hub.challenge=1&hub.verify_token=t")
        .await
        .is(405, "E0110");
    ask("nobody", "challenge=1").await.is(404, "E0207");

    let verify = json!({"by": "hmac", "header": "x-hub-signature-256", "prefix": "sha256="});
    let config = json!({"verify": verify, "challenge": {"verifyToken": "let me in"}});
    let made = server.source_of("generic-webhook", config).await;
    assert_eq!(made["config"]["challenge"], json!({"verifyToken": null}));
    let name = "generic-webhook";
    let right = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=let%20me%20in";
    assert_eq!(ask(name, right).await.is(200, "").text, "1158201444");
    for wrong in [
        right.replace("in", "out"),
        right.replace("hub.challenge", "other"),
        right.replace("hub.verify_token", "token"),
        right.replace("1158201444", &"1".repeat(1025)),
        String::new(),
    ] {
        ask(name, &wrong).await.is(403, "E0209");
    }
    // What an answer says can be sent back as it is; the token stays.
    let again = json!({"config": {"challenge": made["config"]["challenge"]}});
    server
        .patch(&format!("{SOURCES}/{name}"), again)
        .await
        .is(200, "");
    assert_eq!(ask(name, right).await.is(200, "").text, "1158201444");

    let echo = json!({"config": {"challenge": {"echo": "challenge"}}});
    server
        .patch(&format!("{SOURCES}/{name}"), echo)
        .await
        .is(200, "");
    assert_eq!(ask(name, "challenge=%3Cb%3E").await.is(200, "").text, "<b>");
    assert!(server.messages().await.is_empty());
}

#[tokio::test]
async fn only_addresses_on_the_list_may_send_whatever_headers_say() {
    let server = server().await;
    server.source().await;
    let list = json!({"config": {"ipAllow": ["203.0.113.0/24", "2001:db8::7"]}});
    let path = format!("{SOURCES}/dodo");
    let shown = server.patch(&path, list).await.is(200, "").json();
    assert_eq!(
        shown["config"]["ipAllow"],
        json!(["203.0.113.0/24", "2001:db8::7/128"])
    );
    let from = async |id: &str, peer: Option<&str>| {
        let mut request = Webhook::of(id, BODY, server.node.now()).request("dodo");
        let claimed = "203.0.113.9".parse().unwrap();
        request.headers_mut().insert("x-forwarded-for", claimed);
        if let Some(peer) = peer {
            let peer: std::net::SocketAddr = peer.parse().unwrap();
            request.extensions_mut().insert(ConnectInfo(peer));
        }
        server.ask(request).await
    };
    for (id, peer) in [
        ("v4", "203.0.113.9:40000"),
        ("v6", "[2001:db8::7]:40000"),
        ("mapped", "[::ffff:203.0.113.9]:40000"),
    ] {
        from(id, Some(peer)).await.is(200, "");
    }
    from("other", Some("198.51.100.1:1")).await.is(403, "E0208");
    from("unknown", None).await.is(403, "E0208");
    let listed = server.get(&format!("{path}/errors")).await.json();
    assert_eq!(listed["data"][1]["ip"], "198.51.100.1");
    assert_eq!(server.messages().await.len(), 3);
    let everybody = json!({"config": {"ipAllow": []}});
    server.patch(&path, everybody).await.is(200, "");
    from("unknown", None).await.is(200, "");
}
