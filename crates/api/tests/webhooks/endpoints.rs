//! Endpoints: made, tested, changed, deleted, and refused when they are not what they may be.

use dunlin_egress::AddressPolicy;
use serde_json::{Value, json};

use crate::harness::{BODY, EP, MSG, SECRET, server, server_with};

const THROWS: &str = "function handler(webhook) {\n  return webhook.nothing.here;\n}";

#[tokio::test]
async fn both_generations_of_clients_can_make_and_read_endpoints() {
    let server = server().await;
    for (types, rate) in [("eventTypes", "throttleRate"), ("filterTypes", "rateLimit")] {
        let made = server
            .post(
                EP,
                json!({"url": "https://a.example/x", types: ["a.b"], rate: 5, "version": 1}),
            )
            .await
            .is(201, "")
            .json();
        for (field, value) in [
            ("eventTypes", json!(["a.b"])),
            ("filterTypes", json!(["a.b"])),
            ("throttleRate", json!(5)),
            ("rateLimit", json!(5)),
            ("version", json!(1)),
            ("disabled", json!(false)),
        ] {
            assert_eq!(made[field], value, "{field}");
        }
    }
    let all = json!({"url": "https://a.example/x", "eventTypes": [], "uid": "everything"});
    server.post(EP, all).await.is(201, "");
    let read = server
        .get(&format!("{EP}/everything"))
        .await
        .is(200, "")
        .json();
    assert!(read["eventTypes"].is_null());
}

#[tokio::test]
async fn the_card_brings_its_url_and_transformation() {
    let server = server().await;
    let made = server
        .post(EP, json!({"integration": "inngest", "uid": "card"}))
        .await
        .json();
    assert_eq!(made["url"], "internal://events");
    assert_eq!(made["transformation"]["enabled"], true);
    let script = server
        .get(&format!("{EP}/card/transformation"))
        .await
        .json();
    assert!(
        script["code"]
            .as_str()
            .unwrap()
            .contains("function handler(webhook)")
    );
    let refused = server
        .post(EP, json!({"integration": "nobody"}))
        .await
        .is(422, "E0615");
    assert_eq!(refused.place(), "body.integration");
}

#[tokio::test]
async fn urls_are_judged_when_they_are_saved() {
    let server = server_with(|options| {
        options.endpoint_policy = AddressPolicy::public_only().into();
        options.own_event_urls = vec!["http://127.0.0.1:8288/e/".to_owned()];
    })
    .await;
    for (url, code) in [
        ("http://127.0.0.1/", "E0601"),
        ("http://localhost:3000/", "E0601"),
        ("http://[::ffff:127.0.0.1]/", "E0601"),
        ("http://2130706433/", "E0601"),
        ("http://0x7f.1/", "E0601"),
        ("http://10.0.0.8/", "E0601"),
        ("http://169.254.169.254/latest", "E0601"),
        ("http://localhost./", "E0601"),
        ("https://a.example:22/", "E0601"),
        ("file:///etc/passwd", "E0600"),
        ("gopher://a.example/", "E0600"),
        ("internal://events", "E0600"),
        ("a.example", "E0600"),
        ("", "E0600"),
    ] {
        let refused = server.post(EP, json!({"url": url})).await.is(422, code);
        assert_eq!(refused.place(), "body.url", "{url}");
    }
    assert_eq!(
        server.post(EP, json!({})).await.is(422, "E0100").place(),
        "body.url"
    );
    let card = |url: &str| json!({"url": url, "integration": "inngest"});
    server.post(EP, card("internal://events")).await.is(201, "");
    server
        .post(EP, card("http://127.0.0.1:8288/e/key"))
        .await
        .is(201, "");
    server
        .post(EP, card("http://127.0.0.1:8288/other"))
        .await
        .is(422, "E0601");
    assert_eq!(
        server.get(EP).await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let made = server.endpoint(json!({"url": "https://a.example/"})).await;
    let moved = json!({"url": "http://10.1.2.3/"});
    server
        .patch(&format!("{EP}/{made}"), moved.clone())
        .await
        .is(422, "E0601");
    server
        .put(&format!("{EP}/{made}"), moved)
        .await
        .is(422, "E0601");
}

#[tokio::test]
async fn scripts_that_cannot_run_are_refused_with_their_place() {
    let server = server().await;
    let id = server.endpoint(json!({"integration": "inngest"})).await;
    for (code, expected) in [
        ("function handler(webhook) {\n  return (;\n}", "E0603"),
        ("const nothing = 'declared';", "E0604"),
        ("short", "E0611"),
    ] {
        let fields = json!({"integration": "inngest", "transformation": {"code": code}});
        let refused = server.post(EP, fields).await.is(422, expected);
        assert_eq!(refused.place(), "body.transformation.code");
        let path = format!("{EP}/{id}/transformation");
        let refused = server
            .patch(&path, json!({"code": code}))
            .await
            .is(422, expected);
        assert_eq!(refused.place(), "body.code");
        if expected == "E0603" {
            let detail = refused.json()["detail"][0].clone();
            assert_eq!(detail["line"], 2);
            assert!(detail["msg"].as_str().unwrap().contains("(2:"), "{detail}");
        }
    }
    assert_eq!(
        server.get(EP).await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let script = server
        .get(&format!("{EP}/{id}/transformation"))
        .await
        .json();
    assert!(
        script["code"].as_str().unwrap().contains("return webhook"),
        "nothing was saved"
    );
}

#[tokio::test]
async fn test_and_create_enables_only_what_worked() {
    let server = server().await;
    let path = format!("{EP}?test=payment.succeeded");
    let card = json!({"integration": "inngest"});
    let worked = server.post(&path, card.clone()).await.is(201, "").json();
    assert_eq!(worked["endpoint"]["disabled"], false, "{worked}");
    assert_eq!(worked["test"]["statusText"], "success");
    let event = worked["test"]["eventId"].as_str().unwrap();
    let explained = server
        .get(&format!("/api/events/{event}/explain"))
        .await
        .is(200, "")
        .json();
    assert_eq!(explained["name"], "payment.succeeded");

    let throws = json!({"integration": "inngest", "transformation": {"code": THROWS}});
    let failed = server.post(&path, throws).await.is(201, "").json();
    assert_eq!(failed["endpoint"]["disabled"], true, "{failed}");
    assert_eq!(
        (&failed["test"]["status"], &failed["test"]["errorCode"]),
        (&json!(2), &json!("E0605"))
    );
    assert!(
        failed["test"]["response"].as_str().unwrap().contains("(2:"),
        "{failed}"
    );

    let unknown = server
        .post(&format!("{EP}?test=no.such"), card)
        .await
        .is(422, "E0804");
    assert_eq!(unknown.place(), "body.eventType");
    assert_eq!(
        server.get(EP).await.json()["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_patch_changes_only_what_it_names_and_a_put_keeps_what_its_clients_do_not_know() {
    let server = server().await;
    let id = server
        .endpoint(json!({
            "integration": "inngest", "eventTypes": ["a.b"], "description": "d",
            "headers": {"X-Team": "a"}, "metadata": {"k": "v"},
        }))
        .await;
    let one = format!("{EP}/{id}");
    let patched = server
        .patch(&one, json!({"disabled": true, "filterTypes": null}))
        .await
        .json();
    assert_eq!(
        (&patched["disabled"], &patched["description"]),
        (&json!(true), &json!("d"))
    );
    assert!(patched["eventTypes"].is_null());
    let put = server
        .put(&one, json!({"url": "internal://events"}))
        .await
        .is(200, "")
        .json();
    assert_eq!(
        (&put["disabled"], &put["description"]),
        (&json!(false), &json!(""))
    );
    assert_eq!(
        (&put["integration"], &put["metadata"]),
        (&json!("inngest"), &json!({}))
    );
    assert!(put["transformation"].is_object());
    let headers = server.get(&format!("{one}/headers")).await.json();
    assert_eq!(headers["headers"], json!({"x-team": "a"}));

    let new = format!("{EP}/by-uid");
    let made = server
        .put(&new, json!({"url": "https://a.example"}))
        .await
        .is(201, "")
        .json();
    assert_eq!(made["uid"], "by-uid");
    server
        .put(&new, json!({"url": "https://b.example", "uid": "by-uid"}))
        .await
        .is(200, "");
    server.delete(&new).await.is(204, "");
    server.get(&new).await.is(404, "E0102");
}

#[tokio::test]
async fn headers_are_checked_and_secrets_among_them_only_named() {
    let server = server().await;
    let id = server.endpoint(json!({"url": "https://a.example"})).await;
    let path = format!("{EP}/{id}/headers");
    let headers = json!({"headers": {"Authorization": "Bearer s3cret", "X-Team": "a"}});
    server.put(&path, headers).await.is(204, "");
    let shown = server.get(&path).await.is(200, "");
    assert!(!shown.text.contains("s3cret"));
    let expected = json!({"headers": {"x-team": "a"}, "sensitive": ["authorization"]});
    assert_eq!(shown.json(), expected);
    for name in ["host", "webhook-id", "content-length", "svix-id"] {
        let refused = server.patch(&path, json!({"headers": {name: "x"}})).await;
        assert_eq!(
            refused.is(422, "E0602").place(),
            format!("body.headers.{name}")
        );
    }
    let patch = json!({"headers": {"X-Team": null}, "deleteHeaders": ["authorization"]});
    server.patch(&path, patch).await.is(204, "");
    assert_eq!(
        server.get(&path).await.json(),
        json!({"headers": {}, "sensitive": []})
    );
}

#[tokio::test]
async fn secrets_are_given_or_made_and_can_be_rotated() {
    let server = server().await;
    let id = server
        .endpoint(json!({"url": "https://a.example", "secret": SECRET}))
        .await;
    let path = format!("{EP}/{id}/secret");
    assert_eq!(server.get(&path).await.json(), json!({"key": SECRET}));
    server
        .post(&format!("{path}/rotate"), json!({}))
        .await
        .is(200, "");
    let made = server.get(&path).await.json()["key"].clone();
    assert!(made.as_str().unwrap().starts_with("whsec_") && made != SECRET);
    let weak = json!({"url": "https://a.example", "secret": "whsec_AAAA"});
    assert_eq!(
        server.post(EP, weak).await.is(422, "E0206").place(),
        "body.secret"
    );
}

/// S32: what belongs to another application is not there.
#[tokio::test]
async fn things_of_another_application_are_not_found() {
    let server = server().await;
    server.source().await;
    let app = json!({"name": "Acme", "uid": "acme"});
    let made = server
        .post("/api/v1/app", app.clone())
        .await
        .is(201, "")
        .json();
    server
        .post("/api/v1/app", app.clone())
        .await
        .is(409, "E0103");
    let again = server
        .post("/api/v1/app?get_if_exists=true", app)
        .await
        .is(200, "")
        .json();
    assert_eq!(made, again);
    let endpoint = server.endpoint(json!({"integration": "inngest"})).await;
    let message = server.webhook("evt-1", BODY).await;
    let acme = "/api/v1/app/acme";
    for path in [
        format!("{acme}/endpoint/{endpoint}"),
        format!("{acme}/endpoint/{endpoint}/secret"),
        format!("{acme}/msg/{message}"),
        format!("{acme}/attempt/msg/{message}"),
        format!("{acme}/attempt/endpoint/{endpoint}"),
    ] {
        server.get(&path).await.is(404, "E0102");
    }
    let own = server
        .post(
            &format!("{acme}/endpoint"),
            json!({"url": "https://a.example"}),
        )
        .await;
    let own = own.json()["id"].as_str().unwrap().to_owned();
    server
        .post(
            &format!("{acme}/msg/{message}/endpoint/{own}/resend"),
            json!({}),
        )
        .await
        .is(404, "E0102");
    server.delete("/api/v1/app/default").await.is(400, "E0100");
    server.delete(acme).await.is(204, "");
    server.get(acme).await.is(404, "E0102");
}

#[tokio::test]
async fn a_message_can_be_sent_again_and_an_example_at_any_time() {
    let server = server().await;
    server.source().await;
    let id = server.endpoint(json!({"integration": "inngest"})).await;
    let message = server.webhook("evt-1", BODY).await;
    let resend = format!("{MSG}/{message}/endpoint/{id}/resend");
    assert_eq!(
        server.post(&resend, Value::Null).await.is(202, "").json(),
        json!({})
    );
    let example = json!({"eventType": "refund.succeeded"});
    let sent = server
        .post(&format!("{EP}/{id}/send-example"), example)
        .await
        .is(200, "")
        .json();
    assert_eq!(
        (&sent["eventType"], &sent["test"]),
        (&json!("refund.succeeded"), &json!(true))
    );
    server
        .post(
            &format!("{EP}/{id}/send-example"),
            json!({"eventType": "no.such"}),
        )
        .await
        .is(422, "E0804");
    let large = json!({"text": "a".repeat(1024 * 1024)});
    for (payload, status, code) in [(large, 413, "E0104"), (json!([]), 422, "E0100")] {
        let own = json!({"eventType": "own.type", "payload": payload});
        let path = format!("{EP}/{id}/send-example");
        server.post(&path, own).await.is(status, code);
    }
    server.node.idle().await;
    let attempts = server
        .get(&format!("/api/v1/app/default/attempt/endpoint/{id}"))
        .await
        .json();
    let attempts = attempts["data"].as_array().unwrap();
    assert_eq!(attempts.len(), 3);
    assert!(
        attempts
            .iter()
            .all(|one| one["status"] == 0 && one["eventId"].is_string())
    );
    server
        .patch(&format!("{EP}/{id}"), json!({"disabled": true}))
        .await
        .is(200, "");
    server.post(&resend, Value::Null).await.is(400, "E0617");
}

#[tokio::test]
async fn what_is_not_built_says_so() {
    let server = server().await;
    for path in ["/api/v1/stream", "/api/v1/app/default/autoconfig"] {
        server.post(path, json!({})).await.is(501, "E0108");
    }
    server.get("/api/v1/health").await.is(204, "");
    server.get("/api/v1/health/ping").await.is(204, "");
}
