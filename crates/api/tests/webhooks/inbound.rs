//! Webhooks that come in: what is taken, what is refused with which status and code, and what of
//! either is stored.

use dunlin_types::Timestamp;
use serde_json::json;

use crate::harness::{BODY, EP, MSG, OTHER_SECRET, Server, Webhook, server};

async fn with_source() -> Server {
    let server = server().await;
    server.source().await;
    server
}

fn signature(id: &str, at: Timestamp) -> String {
    Webhook::of(id, BODY, at).signature.unwrap()
}

#[tokio::test]
async fn a_signed_webhook_is_stored_byte_by_byte() {
    let server = with_source().await;
    let body = " {\"type\":\"a.new.one\", \"n\":1.50,\"u\":\"\\u00e9\"}\n";
    let hook = Webhook::of("evt-1", body, server.node.now());
    let told = server.ask(hook.request("dodo")).await.is(200, "").json();
    assert_eq!(told["eventId"], "evt-1");
    let stored = server
        .get(&format!("{MSG}/{}", told["id"].as_str().unwrap()))
        .await;
    assert!(stored.text.contains(body.trim()), "{}", stored.text);
    let stored = stored.json();
    assert_eq!(
        (&stored["eventType"], &stored["eventId"]),
        (&json!("a.new.one"), &json!("evt-1"))
    );
}

#[tokio::test]
async fn a_source_is_found_by_name_and_by_id_and_takes_both_families_of_headers() {
    let server = server().await;
    let id = server.source().await;
    for (at, source, family) in [
        (1, "dodo", "webhook"),
        (2, &*id, "webhook"),
        (3, "dodo", "svix"),
    ] {
        let hook = Webhook::of(&format!("evt-{at}"), BODY, server.node.now());
        server
            .ask(hook.request_by(source, family))
            .await
            .is(200, "");
    }
    assert_eq!(server.messages().await.len(), 3);
    let nowhere = Webhook::of("evt-4", BODY, server.node.now());
    server.ask(nowhere.request("nobody")).await.is(404, "E0207");
}

#[tokio::test]
async fn credentials_that_came_along_are_not_kept() {
    let server = with_source().await;
    server.webhook("evt-1", BODY).await;
    let kept = server.node.read(|reader| {
        let all = dunlin_store::MessageFilter {
            app: dunlin_types::Seq(0),
            event_types: Vec::new(),
            channel: None,
            tag: None,
            from: None,
            until: None,
        };
        reader.messages(&all, dunlin_store::Page::newest(9))
    });
    let headers = kept.await.unwrap()[0].headers.clone();
    assert!(headers.iter().any(|(name, _)| name == "webhook-id"));
    assert!(
        headers
            .iter()
            .all(|(name, _)| name != "authorization" && name != "cookie")
    );
}

/// S1: missing, empty and foreign signatures.
#[tokio::test]
async fn what_is_not_signed_gets_one_constant_body_and_is_not_stored() {
    let server = with_source().await;
    let good = Webhook::of("evt-1", BODY, server.node.now());
    let with = |change: fn(&mut Webhook)| {
        let mut hook = good.clone();
        change(&mut hook);
        hook
    };
    let rows = [
        (with(|hook| hook.signature = None), "E0200"),
        (with(|hook| hook.signature = Some(String::new())), "E0200"),
        (with(|hook| hook.id = None), "E0200"),
        (with(|hook| hook.timestamp = None), "E0200"),
        (
            with(|hook| hook.signature = hook.signature.take().map(|s| s.replace("v1,", "v9,"))),
            "E0201",
        ),
        (
            with(|hook| hook.signature = hook.signature.take().map(|s| s.replace("v1,", ""))),
            "E0201",
        ),
        (
            Webhook::signed(OTHER_SECRET, "evt-1", BODY.as_bytes(), server.node.now()),
            "E0201",
        ),
    ];
    let mut bodies = Vec::new();
    for (hook, code) in rows {
        bodies.push(server.ask(hook.request("dodo")).await.is(401, code).text);
    }
    bodies.dedup();
    assert_eq!(bodies, ["the webhook could not be verified\n"]);
    assert!(server.messages().await.is_empty());
}

/// S3: only an exact match counts, and only among the first ten.
#[tokio::test]
async fn one_right_signature_among_the_first_ten_is_enough() {
    let server = with_source().await;
    let now = server.node.now();
    let wrong = format!("v1,{}", "A".repeat(43) + "=");
    let list = |count: usize, last: &str| {
        let mut items = vec![wrong.clone(); count];
        items.push(last.to_owned());
        items.join(" ")
    };
    let right = signature("evt-1", now);
    let rows = [
        (right[..right.len() - 4].to_owned(), 401),
        (format!("{right}AAAA"), 401),
        (format!("{wrong} , v1, {wrong}"), 401),
        (list(1000, &right), 401),
        (list(10, &right), 401),
        (list(9, &right), 200),
    ];
    for (signature, status) in rows {
        let mut hook = Webhook::of("evt-1", BODY, now);
        hook.signature = Some(signature);
        let code = if status == 200 { "" } else { "E0201" };
        server.ask(hook.request("dodo")).await.is(status, code);
    }
    assert_eq!(server.messages().await.len(), 1);
}

/// S4: what is signed are the bytes.
#[tokio::test]
async fn a_body_that_changed_on_its_way_is_refused() {
    let server = with_source().await;
    let good = Webhook::of("evt-1", BODY, server.node.now());
    for body in [
        BODY.replace("5390", "5391"),
        BODY.replace(":", ": "),
        format!("\u{feff}{BODY}"),
        format!("{BODY}\n"),
        String::new(),
    ] {
        let hook = Webhook {
            body: body.clone().into_bytes(),
            ..good.clone()
        };
        server.ask(hook.request("dodo")).await.is(401, "E0201");
    }
    assert!(server.messages().await.is_empty());
}

/// S5: five minutes either way.
#[tokio::test]
async fn timestamps_may_be_five_minutes_off() {
    let server = with_source().await;
    let now = server.node.now();
    for (id, off_secs) in [("old", -298), ("new", 300)] {
        let hook = Webhook::of(id, BODY, now.plus_ms(off_secs * 1000));
        server.ask(hook.request("dodo")).await.is(200, "");
    }
    for off_secs in [-301, 310, -86_400] {
        let hook = Webhook::of("late", BODY, now.plus_ms(off_secs * 1000));
        server.ask(hook.request("dodo")).await.is(401, "E0202");
    }
    for text in ["-1", "10000000000000000000", "1e9", "0x1", "", "yesterday"] {
        let mut hook = Webhook::of("odd", BODY, now);
        hook.timestamp = Some(text.to_owned());
        server.ask(hook.request("dodo")).await.is(401, "E0202");
    }
    assert_eq!(server.messages().await.len(), 2);
}

/// S8: the signed text must be unambiguous.
#[tokio::test]
async fn ids_with_characters_they_may_not_have_are_the_senders_error() {
    let server = with_source().await;
    let long = "a".repeat(10_000);
    for id in ["a.b", "a b", "ü", "", "\u{7f}x", &long] {
        let mut hook = Webhook::of("fine", BODY, server.node.now());
        hook.id = Some(id.as_bytes().to_vec());
        if http::HeaderValue::from_bytes(id.as_bytes()).is_err() {
            continue;
        }
        server.ask(hook.request("dodo")).await.is(400, "E0203");
    }
    assert!(server.messages().await.is_empty());
}

/// Decision 17: verified, and still nothing that can be taken.
#[tokio::test]
async fn a_verified_body_must_be_an_object_of_bounded_depth_and_size() {
    let server = with_source().await;
    let now = server.node.now();
    let nested = |levels: usize| {
        format!(
            r#"{{"a":{}{}}}"#,
            "[".repeat(levels - 1),
            "]".repeat(levels - 1)
        )
    };
    for body in ["", "[]", "7", "\"a\"", "null", "{", "{\"a\":1}}"] {
        let hook = Webhook::of("bad", body, now);
        server.ask(hook.request("dodo")).await.is(400, "E0204");
    }
    server
        .ask(Webhook::of("deep", &nested(129), now).request("dodo"))
        .await
        .is(400, "E0205");
    let sized = |bytes: usize| format!(r#"{{"a":"{}"}}"#, "x".repeat(bytes - 8));
    let over = Webhook::of("large", &sized(1024 * 1024 + 1), now);
    server.ask(over.request("dodo")).await.is(413, "E0104");
    assert!(server.messages().await.is_empty());

    server.webhook("deep", &nested(128)).await;
    server.webhook("large", &sized(1024 * 1024)).await;
    let listed = server
        .get(&format!("{MSG}?with_content=false"))
        .await
        .json();
    let stored = listed["data"].as_array().unwrap();
    assert_eq!(
        stored.len(),
        2,
        "what was refused under an id does not take the id"
    );
    assert!(
        stored
            .iter()
            .all(|message| message["eventType"] == "unknown")
    );
}

/// S7 and decision 6: a repeat is told as one, and another body under the same id is kept apart.
#[tokio::test]
async fn a_repeat_is_answered_like_a_success_and_makes_no_second_message() {
    let server = with_source().await;
    let endpoint = server.endpoint(json!({"integration": "inngest"})).await;
    let id = server.webhook("evt-1", BODY).await;
    for body in [BODY, BODY, r#"{"type":"payment.failed"}"#] {
        let again = Webhook::of("evt-1", body, server.node.now());
        let told = server.ask(again.request("dodo")).await.is(200, "").json();
        assert_eq!(told, json!({"id": id, "duplicate": true}));
    }
    server.node.idle().await;
    assert_eq!(server.messages().await.len(), 1);
    let attempts = server
        .get(&format!("/api/v1/app/default/attempt/endpoint/{endpoint}"))
        .await;
    assert_eq!(attempts.json()["data"].as_array().unwrap().len(), 1);
    let repeats = server
        .get(&format!("/api/events/{id}/explain"))
        .await
        .json()["repeats"]
        .clone();
    assert_eq!(
        (&repeats["count"], &repeats["conflict"]),
        (&json!(3), &json!(true))
    );
}

#[tokio::test]
async fn the_same_id_is_new_again_after_three_days() {
    let server = with_source().await;
    server.webhook("evt-1", BODY).await;
    server.node.advance(72 * 60 * 60 * 1000 + 1000).unwrap();
    server.webhook("evt-1", BODY).await;
    assert_eq!(server.messages().await.len(), 2);
}

/// S9: both secrets during the grace, then only the new one, and never another source's.
#[tokio::test]
async fn rotation_takes_both_secrets_until_the_grace_is_over() {
    let server = with_source().await;
    let rotate = "/ingest/api/v1/source/dodo/secret/rotate";
    let body = json!({"key": OTHER_SECRET, "gracePeriodSeconds": 60});
    server.post(rotate, body).await.is(204, "");
    let send = async |secret: &str, id: &str| {
        let hook = Webhook::signed(secret, id, BODY.as_bytes(), server.node.now());
        server.ask(hook.request("dodo")).await.status
    };
    assert_eq!(send(crate::harness::SECRET, "old-1").await, 200);
    assert_eq!(send(OTHER_SECRET, "new-1").await, 200);
    server.node.advance(61_000).unwrap();
    assert_eq!(send(crate::harness::SECRET, "old-2").await, 401);
    assert_eq!(send(OTHER_SECRET, "new-2").await, 200);

    let foreign = json!({"name": "other", "type": "standard-webhooks",
        "config": {"secret": "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}});
    server
        .post("/ingest/api/v1/source", foreign)
        .await
        .is(201, "");
    let hook = Webhook::signed(OTHER_SECRET, "evt", BODY.as_bytes(), server.node.now());
    server.ask(hook.request("other")).await.is(401, "E0201");
}

#[tokio::test]
async fn only_endpoints_that_want_the_type_get_the_message() {
    let server = with_source().await;
    let wants = server.endpoint(json!({
        "integration": "inngest", "eventTypes": ["payment.succeeded"],
    }));
    let wants = wants.await;
    server
        .endpoint(json!({"integration": "inngest", "eventTypes": ["refund.failed"]}))
        .await;
    server
        .endpoint(json!({"integration": "inngest", "disabled": true}))
        .await;
    let id = server.webhook("evt-1", BODY).await;
    server.node.idle().await;
    let reached = server.get(&format!("{MSG}/{id}/endpoint")).await.json();
    assert_eq!(reached["data"].as_array().unwrap().len(), 1, "{reached}");
    assert_eq!(
        (&reached["data"][0]["id"], &reached["data"][0]["status"]),
        (&json!(wants), &json!(0))
    );
    assert_eq!(
        server.get(EP).await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
}
