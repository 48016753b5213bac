//! Messages that are looked for, followed, and shown as they were given; and what older clients
//! ask for.

use serde_json::{Value, json};

use crate::harness::{EP, MSG, Reply, Server, ended, sent, server};
use crate::receiver::Receiver;

const SEARCH: &str = "/api/v1/app/default/msg/search";
const EVENTS: &str = "/api/v1/app/default/events";

fn ids(reply: &Reply) -> Vec<String> {
    let data = reply.json()["data"].as_array().unwrap().clone();
    let ids = data
        .iter()
        .map(|one| one["id"].as_str().unwrap().to_owned());
    ids.collect()
}

async fn found(server: &Server, query: Value) -> Vec<String> {
    ids(&server.post(SEARCH, query).await.is(200, ""))
}

#[tokio::test]
async fn messages_are_found_by_all_that_is_asked_at_once() {
    let server = server().await;
    let eu = sent(&server, json!({"channels": ["eu"], "tags": ["a", "b"]})).await;
    let us = sent(
        &server,
        json!({"channels": ["us"], "tags": ["b"], "eventId": "own-1"}),
    )
    .await;
    let both = sent(
        &server,
        json!({"channels": ["eu", "us"], "eventType": "order.lost"}),
    )
    .await;
    server.node.advance(60_000).unwrap();
    let later = sent(&server, json!({"tags": ["c"]})).await;
    for (query, expected) in [
        (json!({}), vec![&later, &both, &us, &eu]),
        (json!({"channels": ["eu", "us"]}), vec![&both, &us, &eu]),
        (
            json!({"channels": ["eu"], "eventTypes": ["order.paid"]}),
            vec![&eu],
        ),
        (json!({"tags": ["a", "c"]}), vec![&later, &eu]),
        (json!({"tags": ["b"], "channels": ["us"]}), vec![&us]),
        (
            json!({"eventTypes": ["order.lost", "order.paid"]}),
            vec![&later, &both, &us, &eu],
        ),
        (json!({"eventTypes": ["order.never"]}), vec![]),
        (json!({"id": us}), vec![&us]),
        (json!({"eventId": "own-1"}), vec![&us]),
        (json!({"eventId": "own"}), vec![]),
        (json!({"id": us, "eventTypes": ["order.lost"]}), vec![]),
        (json!({"id": eu, "eventId": "own-1"}), vec![]),
    ] {
        let expected: Vec<String> = expected.into_iter().cloned().collect();
        assert_eq!(found(&server, query.clone()).await, expected, "{query}");
    }
    let at = server.get(&format!("{MSG}/{later}")).await.json()["timestamp"].clone();
    assert_eq!(found(&server, json!({"after": at})).await, [later]);
    assert_eq!(
        found(&server, json!({"before": at, "tags": ["b"]})).await,
        [us, eu]
    );
}

#[tokio::test]
async fn what_was_found_is_walked_page_by_page() {
    let server = server().await;
    let mut all = Vec::new();
    for n in 0..5 {
        let channels = if n % 2 == 0 {
            json!(["eu", "us"])
        } else {
            json!(["us"])
        };
        all.insert(0, sent(&server, json!({"channels": channels})).await);
    }
    let query = json!({"channels": ["us", "eu"]});
    let page = async |more: &str| {
        let path = format!("{SEARCH}?limit=2&with_content=false{more}");
        server.post(&path, query.clone()).await.is(200, "")
    };
    let first = page("").await;
    assert_eq!(ids(&first), all[..2]);
    assert_eq!(first.json()["data"][0]["payload"], json!({}));
    let next = first.json()["iterator"].as_str().unwrap().to_owned();
    let second = page(&format!("&iterator={next}")).await;
    assert_eq!(ids(&second), all[2..4]);
    assert_eq!(second.json()["done"], false);
    let oldest = page("&order=ascending").await;
    assert_eq!(ids(&oldest), [all[4].clone(), all[3].clone()]);
}

#[tokio::test]
async fn a_search_that_cannot_be_meant_names_its_field() {
    let server = server().await;
    let types: Vec<String> = (0..65).map(|n| format!("t{n}")).collect();
    for (query, place) in [
        (json!({"after": "yesterday"}), "body.after"),
        (json!({"channels": ["a b"]}), "body.channels"),
        (json!({"tags": ["1", "2", "3", "4", "5", "6"]}), "body.tags"),
        (json!({"eventTypes": types}), "body.eventTypes"),
    ] {
        let refused = server.post(SEARCH, query).await.is(422, "E0100");
        assert_eq!(refused.place(), place);
    }
    server
        .post("/api/v1/app/nobody/msg/search", json!({}))
        .await
        .is(404, "E0102");
    let query = format!("event_types={}", types.join(","));
    for list in [MSG, EVENTS] {
        let refused = server
            .get(&format!("{list}?{query}"))
            .await
            .is(422, "E0100");
        assert_eq!(refused.place(), "query.event_types");
    }
}

#[tokio::test]
async fn a_search_tells_the_present_even_if_asked_with_the_same_key() {
    let server = server().await;
    let ask = async || {
        let reply = server.post_with_key(SEARCH, "always", json!({})).await;
        ids(&reply.is(200, "")).len()
    };
    assert_eq!(ask().await, 0);
    sent(&server, json!({})).await;
    assert_eq!(ask().await, 1);
}

#[tokio::test]
async fn whoever_follows_messages_gets_each_once_and_in_order() {
    let server = server().await;
    let next = async |from: &str, more: &str| {
        let path = format!("{EVENTS}?limit=2&iterator={from}{more}");
        let reply = server.get(&path).await.is(200, "");
        let told = reply.json();
        let iterator = told["iterator"].as_str().unwrap().to_owned();
        (ids(&reply), iterator, told["done"].as_bool().unwrap())
    };
    let (none, start, done) = next("", "").await;
    assert!(none.is_empty() && done);
    let mut all = Vec::new();
    for n in 0..3 {
        let channel = if n == 1 { "us" } else { "eu" };
        all.push(sent(&server, json!({"channels": [channel]})).await);
    }
    let (first, iterator, done) = next(&start, "").await;
    assert_eq!((&first[..], done), (&all[..2], false));
    let (rest, end, done) = next(&iterator, "").await;
    assert_eq!((&rest[..], done), (&all[2..], true));
    let (none, still, _) = next(&end, "").await;
    assert!(none.is_empty());
    assert_eq!(still, end);
    let late = sent(&server, json!({"eventType": "order.lost"})).await;
    assert_eq!(next(&still, "").await.0, vec![late.clone()]);
    let (of_eu, ..) = next(&start, "&channels=eu,asia").await;
    assert_eq!(of_eu, [all[0].clone(), all[2].clone()]);
    assert_eq!(next(&start, "&event_types=order.lost").await.0, [late]);
    server
        .get(&format!("{EVENTS}?iterator=here"))
        .await
        .is(422, "E0100");
}

#[tokio::test]
async fn a_payload_is_shown_as_it_is_sent_and_never_as_a_page() {
    let server = server().await;
    let plain = sent(&server, json!({"payload": {"n": 1}})).await;
    let html = json!({
        "payload": {},
        "transformationsParams": {"rawPayload": "<b>1</b>", "headers": {"content-type": "text/html"}},
    });
    let raw = sent(&server, html).await;
    let show = async |id: &str| {
        let request = http::Request::builder()
            .uri(format!("{MSG}/{id}/raw"))
            .header("host", "localhost:8288")
            .body(axum::body::Body::empty());
        server.whole(request.unwrap()).await
    };
    let (head, body) = show(&plain).await;
    assert_eq!(
        (&head["content-type"], &*body),
        (&"application/json".parse().unwrap(), r#"{"n":1}"#)
    );
    let (head, body) = show(&raw).await;
    assert_eq!(body, "<b>1</b>");
    assert!(
        head["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/plain")
    );
    assert_eq!(head["x-content-type-options"], "nosniff");
    server
        .delete(&format!("{MSG}/{raw}/content"))
        .await
        .is(204, "");
    let gone = server.get(&format!("{MSG}/{raw}/raw")).await;
    assert_eq!(gone.code, "E0620");
}

#[tokio::test]
async fn older_clients_find_attempts_below_the_message() {
    let server = server().await;
    let cancels = json!({"integration": "inngest", "transformation":
        {"code": "function handler(w) { w.cancel = true; return w; }"}});
    let one = server.endpoint(cancels.clone()).await;
    let other = server.endpoint(cancels).await;
    let message = sent(&server, json!({})).await;
    server.node.idle().await;
    let all = server
        .get(&format!("{MSG}/{message}/attempt"))
        .await
        .is(200, "");
    assert_eq!(ids(&all).len(), 2);
    let here = format!("{MSG}/{message}/endpoint/{one}/attempt");
    let here = server.get(&here).await.is(200, "").json();
    assert_eq!(here["data"].as_array().unwrap().len(), 1);
    assert_eq!(here["data"][0]["endpointId"], one);
    server.delete(&format!("{EP}/{other}")).await.is(204, "");
    for path in [
        format!("{MSG}/{message}/endpoint/{other}/attempt"),
        format!("{MSG}/msg_1srOrx2ZWZBpBUvZwXKQmoEYga2/attempt"),
    ] {
        server.get(&path).await.is(404, "E0102");
    }
}

#[tokio::test]
async fn a_replay_sends_only_what_fits_all_that_it_names() {
    let server = server().await;
    let receiver = Receiver::answering(200).await;
    let endpoint = server.endpoint(json!({"url": receiver.url})).await;
    for (kind, channel, tag) in [
        ("order.paid", "eu", "a"),
        ("order.lost", "eu", "a"),
        ("order.paid", "us", "a"),
        ("order.paid", "eu", "b"),
    ] {
        let payload = json!({"is": format!("{kind} {channel} {tag}")});
        let fields = json!({"eventType": kind, "channels": [channel], "tags": [tag],
            "payload": payload});
        sent(&server, fields).await;
    }
    server.node.idle().await;
    assert_eq!(receiver.came().len(), 4);
    let since = server.get(MSG).await.json()["data"][3]["timestamp"].clone();
    let filter = json!({"since": since, "channel": "eu", "tag": "a", "eventTypes": ["order.paid"]});
    let path = format!("{EP}/{endpoint}/bulk-replay");
    let task = server.post(&path, filter).await.is(202, "").json();
    ended(&server, &task).await;
    server.node.idle().await;
    let bodies: Vec<String> = receiver.came().into_iter().map(|came| came.body).collect();
    assert_eq!(bodies[4..], [r#"{"is":"order.paid eu a"}"#]);
}
