//! Events in, and the log read back.

use axum::body::Body;
use serde_json::json;

use crate::harness::{request, server};

#[tokio::test]
async fn ids_come_in_the_order_of_the_events_and_read_back() {
    let server = server().await;
    let two = json!([{"name": "shop/a", "data": {"n": 1.50}, "id": "mine", "v": "2"}, {"name": "shop/b"}]);
    let reply = server.post("/e/key", two).await.json();
    assert_eq!(reply["status"], 200);
    let ids = reply["ids"].as_array().unwrap();
    assert_eq!(ids.len(), 2);
    let first = server
        .get(&format!("/v1/events/{}", ids[0].as_str().unwrap()))
        .await
        .json();
    let event = &first["data"];
    assert_eq!(
        (&event["name"], &event["id"], &event["v"]),
        (&json!("shop/a"), &json!("mine"), &json!("2"))
    );
    assert_eq!(event["internal_id"], ids[0]);
    let second = server
        .get(&format!("/v1/events/{}", ids[1].as_str().unwrap()))
        .await
        .json();
    assert_eq!(
        (&second["data"]["id"], &second["data"]["data"]),
        (&ids[1], &json!({}))
    );
}

#[tokio::test]
async fn a_seed_makes_the_ids_that_sdks_expect_and_a_second_send_the_same() {
    let server = server().await;
    for _ in 0..2 {
        let request = request("POST", "/e/key")
            .header("x-inngest-event-id-seed", "1743130137367,eii2YKXRVTJPuA==")
            .body(Body::from(r#"{"name":"shop/a"}"#))
            .unwrap();
        let ids = server.ask(request).await.json()["ids"].clone();
        assert_eq!(ids, json!(["01JQDAE4RQF8MBCR55T5AK4KXS"]));
    }
    let event = server.get("/v1/events/01JQDAE4RQF8MBCR55T5AK4KXS").await;
    assert_eq!(event.json()["data"]["name"], "shop/a");
}

#[tokio::test]
async fn events_before_a_bad_one_are_kept_and_it_is_told() {
    let server = server().await;
    let three =
        json!([{"name": "shop/a"}, {"name": "inngest/function.finished"}, {"name": "shop/c"}]);
    let reply = server.post("/e/key", three).await;
    assert_eq!((reply.status, reply.code.as_str()), (400, "E0301"));
    let body = reply.json();
    assert_eq!(
        (body["ids"].as_array().unwrap().len(), &body["ids"][1]),
        (2, &json!(""))
    );
    assert_eq!(
        (&body["status"], &body["error_code"]),
        (&json!(400), &json!("E0301"))
    );
    assert!(body["error"].as_str().unwrap().contains("reserved"));
    let listed = server.get("/v1/events").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_no_event_is_refused() {
    let server = server().await;
    for (body, code) in [
        ("", "E0300"),
        ("7", "E0300"),
        ("{", "E0300"),
        ("{}", "E0301"),
    ] {
        let reply = server.post("/e/key", body).await;
        assert_eq!((reply.status, reply.code.as_str()), (400, code), "{body}");
        assert_eq!(reply.json()["ids"], json!([""]));
    }
    assert_eq!(
        server.post("/e/key", "[]").await.json(),
        json!({"ids": [], "status": 200})
    );
    let list = server.post("/v2/events", "[]").await;
    assert_eq!((list.status, list.code.as_str()), (400, "E0300"));
    let one = server
        .post("/v2/events", json!({"name": "shop/a"}))
        .await
        .json();
    assert_eq!(one["data"]["eventId"].as_str().unwrap().len(), 26);
}

#[tokio::test]
async fn the_log_is_paged_from_the_newest_and_filtered() {
    let server = server().await;
    for name in ["shop/1", "shop/2", "shop/3", "shop/4", "shop/5"] {
        server.send(name).await;
    }
    let names = |reply: &serde_json::Value| {
        let data = reply["data"].as_array().unwrap();
        data.iter()
            .map(|e| e["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let page = server.get("/v1/events?limit=2").await.json();
    assert_eq!(names(&page), ["shop/5", "shop/4"]);
    let cursor = page["data"][1]["internal_id"].as_str().unwrap().to_owned();
    let page = server
        .get(&format!("/v1/events?limit=9&cursor={cursor}"))
        .await
        .json();
    assert_eq!(names(&page), ["shop/3", "shop/2", "shop/1"]);
    let page = server.get("/v1/events?name=shop/2").await.json();
    assert_eq!(names(&page), ["shop/2"]);
    let page = server
        .get("/v1/events?received_after=2099-01-01T00:00:00Z")
        .await
        .json();
    assert!(names(&page).is_empty());
    let page = server
        .get("/v1/events?received_before=2099-01-01T00:00:00Z")
        .await
        .json();
    assert_eq!(names(&page).len(), 5);
}

#[tokio::test]
async fn odd_queries_are_refused_with_a_code() {
    let server = server().await;
    for query in [
        "limit=many",
        "cursor=x",
        "cursor=01JQDAE4RQF8MBCR55T5AK4KXS",
        "received_after=noon",
    ] {
        let reply = server.get(&format!("/v1/events?{query}")).await;
        assert_eq!(
            (reply.status, reply.code.as_str()),
            (400, "E0100"),
            "{query}"
        );
        assert_eq!(reply.json()["status"], 400);
    }
}
