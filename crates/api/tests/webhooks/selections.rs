//! What of an application's messages goes to an endpoint, and in which order: its filter and its
//! ordering key.

use serde_json::{Value, json};

use crate::harness::{EP, MSG, Server, sent, server};
use crate::receiver::Receiver;

async fn read(server: &Server) -> Value {
    server.get(&format!("{EP}/e")).await.is(200, "").json()
}

#[tokio::test]
async fn a_filter_and_an_ordering_key_are_kept_shown_changed_and_taken_away() {
    let server = server().await;
    let filter = json!({"payload": {"amount": {"$gte": 10.50}, "tags": ["vip"]}});
    let fields = json!({"url": "https://a.example/", "uid": "e", "filter": filter,
        "orderingKey": "$.data.items[0].id"});
    let made = server.post(EP, fields).await.is(201, "").json();
    assert_eq!(made, read(&server).await);
    assert_eq!(made["filter"], filter);
    assert_eq!(made["orderingKey"], "$.data.items[0].id");

    // Clients of the foreign API know of neither, and replace what they know.
    let put = json!({"url": "https://b.example/", "uid": "e"});
    let put = server.put(&format!("{EP}/e"), put).await.is(200, "").json();
    assert_eq!(
        (&put["filter"], &put["orderingKey"]),
        (&filter, &made["orderingKey"])
    );

    let patch = json!({"orderingKey": "data.customer"});
    server.patch(&format!("{EP}/e"), patch).await.is(200, "");
    let shown = read(&server).await;
    assert_eq!(
        (&shown["filter"], &shown["orderingKey"]),
        (&filter, &json!("data.customer"))
    );
    let none = json!({"filter": null, "orderingKey": null});
    server.patch(&format!("{EP}/e"), none).await.is(200, "");
    let shown = read(&server).await;
    assert_eq!(
        (&shown["filter"], &shown["orderingKey"]),
        (&Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a_malformed_filter_or_ordering_key_is_refused_at_its_place() {
    let server = server().await;
    let url = json!({"url": "https://a.example/", "uid": "e"});
    server.post(EP, url).await.is(201, "");
    let before = read(&server).await;
    for (field, value, code, said) in [
        (
            "filter",
            json!({"payload": {"n": {"$about": 5}}}),
            "E0618",
            "/payload/n/$about",
        ),
        ("filter", json!({"body": {}}), "E0618", "/body"),
        ("filter", json!([]), "E0618", "filter"),
        ("orderingKey", json!("data..id"), "E0619", "character 6 "),
        ("orderingKey", json!(""), "E0619", "character 1 "),
    ] {
        let mut body = json!({"url": "https://a.example/", "uid": "other"});
        body[field] = value.clone();
        let one = format!("{EP}/e");
        for refused in [
            server.post(EP, body.clone()).await,
            server.put(&one, body.clone()).await,
            server.patch(&one, json!({field: value})).await,
        ] {
            let refused = refused.is(422, code);
            assert_eq!(refused.place(), format!("body.{field}"), "{value}");
            let why = refused.json()["detail"][0]["msg"].clone();
            assert!(why.as_str().unwrap().contains(said), "{why}");
        }
    }
    assert_eq!(read(&server).await, before);
    assert_eq!(server.get(EP).await.json()["data"], json!([before]));
}

#[tokio::test]
async fn what_a_filter_does_not_want_is_not_for_that_endpoint() {
    let server = server().await;
    let (some, all) = (
        Receiver::answering(200).await,
        Receiver::answering(200).await,
    );
    let filter = json!({"eventType": "order.paid", "payload": {"amount": {"$gte": 10}}});
    let some_id = server
        .endpoint(json!({"url": some.url, "filter": filter}))
        .await;
    let all_id = server.endpoint(json!({"url": all.url})).await;
    let large = sent(&server, json!({"payload": {"amount": 10}})).await;
    let small = sent(&server, json!({"payload": {"amount": 9}})).await;
    let lost = json!({"eventType": "order.lost", "payload": {"amount": 11}});
    let lost = sent(&server, lost).await;
    server.node.idle().await;
    assert_eq!(some.bodies(0).await, [r#"{"amount":10}"#]);
    assert_eq!(all.came().len(), 3);
    for (message, wanted) in [(large, true), (small, false), (lost, false)] {
        let reached = server
            .get(&format!("{MSG}/{message}/endpoint"))
            .await
            .json();
        let reached = reached["data"].as_array().unwrap().iter();
        let reached: Vec<Value> = reached.map(|one| one["id"].clone()).collect();
        let both = [json!(some_id), json!(all_id)];
        assert_eq!(reached, if wanted { &both[..] } else { &both[1..] });
    }
}

#[tokio::test]
async fn messages_of_one_ordering_key_do_not_overtake_each_other() {
    let server = server().await;
    let receiver = Receiver::hanging().await;
    let fields = json!({"url": receiver.url, "orderingKey": "order.id"});
    let endpoint = server.endpoint(fields).await;
    let send = async |order: u32, n: u32| {
        let payload = json!({"order": {"id": order}, "n": n});
        sent(&server, json!({"payload": payload})).await;
    };
    let bodies = async |number: usize| {
        let bodies = receiver.bodies(number).await;
        let numbers = bodies.iter().map(|body| {
            let body: Value = serde_json::from_str(body).unwrap();
            body["n"].as_u64().unwrap()
        });
        numbers.collect::<Vec<u64>>()
    };
    for (order, n) in [(7, 1), (7, 2), (7, 3), (8, 4)] {
        send(order, n).await;
    }
    // Two may be under way here: without an order it would be the two oldest.
    let mut came = bodies(2).await;
    came.sort_unstable();
    assert_eq!(came, [1, 4]);
    let stats = server.get(&format!("{EP}/{endpoint}/stats")).await.json();
    assert_eq!(
        (&stats["pending"], &stats["sending"]),
        (&json!(2), &json!(2))
    );
    receiver.let_go(2);
    assert_eq!(bodies(3).await[2], 2);
    receiver.let_go(1);
    assert_eq!(bodies(4).await[3], 3);
    receiver.let_go(1);
    server.node.idle().await;
    assert_eq!(receiver.came().len(), 4);
}
