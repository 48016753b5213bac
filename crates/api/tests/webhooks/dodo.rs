//! The endpoints of the application `default`, as clients of Dodo's API manage them.

use serde_json::json;

use crate::harness::{EP, server};

const WEBHOOKS: &str = "/webhooks";

#[tokio::test]
async fn a_webhook_is_made_read_changed_and_deleted() {
    let server = server().await;
    let fields = json!({
        "url": "https://receiver.example/hook",
        "description": "Shop",
        "filter_types": ["payment.succeeded"],
        "headers": {"X-Team": "a"},
        "metadata": {"team": "a"},
        "rate_limit": 5,
    });
    let made = server.post(WEBHOOKS, fields).await.is(200, "").json();
    let id = made["id"].as_str().unwrap();
    assert_eq!(
        (&made["disabled"], &made["rate_limit"]),
        (&json!(false), &json!(5))
    );
    assert_eq!(made["filter_types"], json!(["payment.succeeded"]));
    assert!(made["created_at"].is_string() && made["updated_at"].is_string());
    // It is an endpoint like any other.
    let endpoint = server.get(&format!("{EP}/{id}")).await.is(200, "").json();
    assert_eq!(endpoint["url"], "https://receiver.example/hook");

    let path = format!("{WEBHOOKS}/{id}");
    assert_eq!(server.get(&path).await.is(200, "").json(), made);
    let change = json!({"disabled": true, "filter_types": null, "description": null});
    let changed = server.patch(&path, change).await.is(200, "").json();
    assert_eq!(
        (&changed["disabled"], &changed["description"]),
        (&json!(true), &json!(""))
    );
    assert!(changed["filter_types"].is_null());
    assert_eq!(
        (&changed["url"], &changed["metadata"]),
        (&made["url"], &made["metadata"])
    );
    server.delete(&path).await.is(204, "");
    for gone in [server.get(&path).await, server.delete(&path).await] {
        let gone = gone.is(404, "E0102").json();
        assert_eq!(gone["code"], "NOT_FOUND");
        assert!(gone["message"].is_string());
    }
}

#[tokio::test]
async fn headers_are_added_and_secrets_are_shown() {
    let server = server().await;
    let made = server
        .post(WEBHOOKS, json!({"url": "https://receiver.example/"}))
        .await
        .json();
    let path = format!("{WEBHOOKS}/{}", made["id"].as_str().unwrap());
    for headers in [
        json!({"X-Team": "a", "X-Shop": "1"}),
        json!({"authorization": "Bearer t"}),
    ] {
        let patched = server
            .patch(&format!("{path}/headers"), json!({"headers": headers}))
            .await;
        patched.is(204, "");
    }
    let headers = server
        .get(&format!("{path}/headers"))
        .await
        .is(200, "")
        .json();
    assert_eq!(headers["headers"], json!({"x-team": "a", "x-shop": "1"}));
    assert_eq!(headers["sensitive"], json!(["authorization"]));
    let secret = server
        .get(&format!("{path}/secret"))
        .await
        .is(200, "")
        .json();
    assert!(secret["secret"].as_str().unwrap().starts_with("whsec_"));
}

#[tokio::test]
async fn a_client_that_follows_iterators_sees_each_webhook_once() {
    let server = server().await;
    for n in 0..5 {
        let fields = json!({"url": format!("https://receiver.example/{n}")});
        server.post(WEBHOOKS, fields).await.is(200, "");
    }
    let (mut urls, mut path, mut pages) = (Vec::new(), format!("{WEBHOOKS}?limit=2"), 0);
    loop {
        let page = server.get(&path).await.is(200, "").json();
        let rows = page["data"].as_array().unwrap();
        urls.extend(rows.iter().map(|row| row["url"].clone()));
        pages += 1;
        let Some(iterator) = page["iterator"].as_str() else {
            break;
        };
        path = format!("{WEBHOOKS}?limit=2&iterator={iterator}");
    }
    let expected: Vec<_> = (0..5)
        .map(|n| json!(format!("https://receiver.example/{n}")))
        .collect();
    assert_eq!((urls, pages), (expected, 3));
    server
        .get(&format!("{WEBHOOKS}?limit=0"))
        .await
        .is(422, "E0100");
    server
        .get(&format!("{WEBHOOKS}?iterator=x"))
        .await
        .is(422, "E0100");
}

#[tokio::test]
async fn a_repeat_with_the_same_key_makes_nothing() {
    let server = server().await;
    let fields = json!({"url": "https://receiver.example/", "idempotency_key": "one"});
    let first = server
        .post(WEBHOOKS, fields.clone())
        .await
        .is(200, "")
        .json();
    let second = server.post(WEBHOOKS, fields).await.is(200, "").json();
    assert_eq!(first["id"], second["id"]);
    let other = json!({"url": "https://receiver.example/", "idempotency_key": "two"});
    let other = server.post(WEBHOOKS, other).await.is(200, "").json();
    assert_ne!(first["id"], other["id"]);
}

#[tokio::test]
async fn a_bad_field_is_named_in_the_message() {
    let server = server().await;
    for (fields, code, part) in [
        (json!({}), "E0100", "url: "),
        (json!({"url": "ftp://receiver.example/"}), "E0600", "url: "),
        (
            json!({"url": "https://a.example/", "headers": {"host": "x"}}),
            "E0602",
            "host: ",
        ),
    ] {
        let refused = server.post(WEBHOOKS, fields).await.is(422, code).json();
        assert_eq!(refused["code"], "INVALID_REQUEST_BODY");
        assert!(
            refused["message"].as_str().unwrap().starts_with(part),
            "{refused}"
        );
    }
}
