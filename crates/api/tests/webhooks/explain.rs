//! "What happened, and why not": from a webhook to the run it started, or to the reason why it
//! started none.

use serde_json::{Value, json};

use crate::harness::{BODY, EP, Server, server};

async fn explain(server: &Server, id: &str) -> Value {
    server
        .get(&format!("/api/events/{id}/explain"))
        .await
        .is(200, "")
        .json()
}

async fn with_card() -> (Server, String) {
    let server = server().await;
    server.source().await;
    let id = server
        .endpoint(json!({"integration": "inngest", "description": "card"}))
        .await;
    (server, id)
}

fn at<'a>(explained: &'a Value, kind: &str) -> &'a Value {
    let verdicts = explained["verdicts"].as_array().unwrap();
    let found = verdicts.iter().find(|one| one["target"]["kind"] == kind);
    found.unwrap_or_else(|| panic!("nothing about a {kind}: {explained}"))
}

#[tokio::test]
async fn a_webhook_is_followed_to_the_run_it_started() {
    let (server, endpoint) = with_card().await;
    server.function("payment.succeeded", None).await;
    let id = server.webhook("evt-1", BODY).await;
    server.node.idle().await;
    let told = explain(&server, &id).await;
    assert_eq!(
        (&told["id"], &told["kind"], &told["name"]),
        (&json!(id), &json!("message"), &json!("payment.succeeded"))
    );
    let card = at(&told, "endpoint");
    assert_eq!(
        card["target"],
        json!({"kind": "endpoint", "id": endpoint, "name": "card"})
    );
    assert_eq!(card["outcome"], "delivered");
    let started = at(&told, "function");
    assert_eq!(started["outcome"], "started");
    assert_eq!(started["target"]["name"], "Fulfil");
    assert!(started["runId"].is_string());
    assert_eq!(started["deliveryId"], card["deliveryId"]);

    let event = card["detail"]["eventId"].as_str().unwrap();
    let of_event = explain(&server, event).await;
    assert_eq!(
        (&of_event["kind"], &of_event["id"]),
        (&json!("event"), &json!(event))
    );
    assert_eq!(at(&of_event, "function")["runId"], started["runId"]);
    assert_eq!(
        explain(&server, "evt-1").await["id"],
        id,
        "the provider's id names it, too"
    );
}

#[tokio::test]
async fn reasons_are_those_of_then_whatever_was_changed_since() {
    let (server, endpoint) = with_card().await;
    let one = format!("{EP}/{endpoint}");
    server
        .patch(&one, json!({"eventTypes": ["payment.suceeded"]}))
        .await
        .is(200, "");
    let filtered = server.webhook("evt-1", BODY).await;
    server
        .patch(&one, json!({"disabled": true, "eventTypes": null}))
        .await
        .is(200, "");
    let disabled = server.webhook("evt-2", BODY).await;
    server.delete(&one).await.is(204, "");
    let nobody = server.webhook("evt-3", BODY).await;
    server.node.idle().await;

    let told = explain(&server, &filtered).await;
    assert_eq!(at(&told, "endpoint")["outcome"], "filtered");
    assert_eq!(told["nearMisses"][0]["target"]["id"], endpoint);
    let told = explain(&server, &disabled).await;
    let verdict = at(&told, "endpoint");
    assert_eq!(
        (&verdict["outcome"], &verdict["code"]),
        (&json!("disabled"), &json!("E0617"))
    );
    assert_eq!(verdict["target"]["id"], endpoint);
    let told = explain(&server, &nobody).await;
    assert_eq!(at(&told, "application")["outcome"], "noEndpoint");
}

#[tokio::test]
async fn a_script_that_cancels_or_throws_is_the_reason() {
    let server = server().await;
    server.source().await;
    let with = |code: &str| json!({"integration": "inngest", "transformation": {"code": code}});
    let cancels = server
        .endpoint(with("function handler(w) { w.cancel = true; return w; }"))
        .await;
    let throws = with("function handler(w) {\n  throw new Error('broken');\n}");
    let throws = server.endpoint(throws).await;
    let id = server.webhook("evt-1", BODY).await;
    server.node.idle().await;
    let told = explain(&server, &id).await;
    let of = |endpoint: &str| {
        let verdicts = told["verdicts"].as_array().unwrap();
        verdicts
            .iter()
            .find(|one| one["target"]["id"] == endpoint)
            .unwrap()
            .clone()
    };
    assert_eq!(of(&cancels)["outcome"], "cancelled");
    let pending = of(&throws);
    assert_eq!(
        (&pending["outcome"], &pending["code"]),
        (&json!("pending"), &json!("E0605"))
    );
    assert!(
        pending["detail"]["lastError"]
            .as_str()
            .unwrap()
            .contains("(2:"),
        "{pending}"
    );
    assert!(pending["detail"]["nextAttempt"].is_string());
}

#[tokio::test]
async fn a_false_expression_and_a_repeated_event_id_are_told_apart() {
    let (server, _) = with_card().await;
    server
        .function("payment.succeeded", Some("event.data.total_amount > 10000"))
        .await;
    let small = server.webhook("evt-1", BODY).await;
    let large = BODY.replace("5390", "20000");
    server.webhook("evt-2", &large).await;
    server.node.idle().await;
    let told = explain(&server, &small).await;
    let verdict = at(&told, "function");
    assert_eq!(verdict["outcome"], "expressionFalse");
    assert!(
        verdict["reason"]
            .as_str()
            .unwrap()
            .contains("event.data.total_amount = 5390")
    );

    let endpoint = server.get(EP).await.json()["data"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let resend = format!("/api/v1/app/default/msg/evt-2/endpoint/{endpoint}/resend");
    server.post(&resend, json!({})).await.is(202, "");
    server.node.idle().await;
    let told = explain(&server, "evt-2").await;
    let of_functions = told["verdicts"].as_array().unwrap().iter();
    let outcomes: Vec<_> = of_functions
        .filter(|one| one["target"]["kind"] == "function")
        .map(|one| one["outcome"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(outcomes, ["started", "duplicate"]);
}

#[tokio::test]
async fn names_that_nearly_matched_and_ids_that_do_not_exist() {
    let (server, _) = with_card().await;
    server.function("payment.suceeded", None).await;
    let id = server.webhook("evt-1", BODY).await;
    server.node.idle().await;
    let told = explain(&server, &id).await;
    assert_eq!(at(&told, "event")["outcome"], "noTrigger");
    assert_eq!(told["nearMisses"][0]["target"]["name"], "Fulfil");
    for id in [
        "evt-9",
        "01JQDAE4RQF8MBCR55T5AK4KXS",
        "msg_1srOrx2ZWZBpBUvZwXKQmoEYga2",
    ] {
        server
            .get(&format!("/api/events/{id}/explain"))
            .await
            .is(404, "E0102");
    }
}
