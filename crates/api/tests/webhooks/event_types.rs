//! Event types: those that are there from the start, those that somebody makes, and documents that
//! describe many.

use serde_json::{Value, json};

use crate::harness::{EP, Server, server};

const TYPES: &str = "/api/v1/event-type";
const IMPORT: &str = "/api/v1/event-type/import/openapi";

fn names(list: &Value) -> Vec<&str> {
    let rows = list["data"].as_array().unwrap().iter();
    rows.map(|row| row["name"].as_str().unwrap()).collect()
}

async fn list(server: &Server, query: &str) -> Value {
    server
        .get(&format!("{TYPES}?{query}"))
        .await
        .is(200, "")
        .json()
}

#[tokio::test]
async fn the_types_of_dodo_are_there_with_schema_and_example() {
    let server = server().await;
    let all = list(&server, "limit=250").await;
    assert_eq!(names(&all).len(), 48);
    assert!(all["data"][0]["schemas"].is_null());
    let one = server
        .get(&format!("{TYPES}/payment.succeeded"))
        .await
        .json();
    assert_eq!(one["groupName"], "payment");
    assert_eq!(one["archived"], false);
    let schema = &one["schemas"]["1"];
    assert_eq!(schema["examples"][0]["data"]["payload_type"], "Payment");
    assert!(schema["$defs"]["Payment"]["properties"]["total_amount"].is_object());
    let with_content = list(&server, "with_content=true&limit=1").await;
    assert!(with_content["data"][0]["schemas"]["1"].is_object());
}

#[tokio::test]
async fn a_type_is_made_once_changed_and_read_in_both_generations_of_names() {
    let server = server().await;
    let fields = json!({
        "name": "order.paid",
        "description": "An order was paid.",
        "schemas": {"1": {"type": "object"}},
        "featureFlag": "beta",
    });
    let made = server.post(TYPES, fields.clone()).await.is(201, "").json();
    assert_eq!(made["featureFlags"], json!(["beta"]));
    assert_eq!(
        (&made["deprecated"], &made["archived"]),
        (&json!(false), &json!(false))
    );
    server.post(TYPES, fields).await.is(409, "E0103");
    let path = format!("{TYPES}/order.paid");
    let patched = server
        .patch(&path, json!({"deprecated": true, "groupName": "order"}))
        .await;
    let patched = patched.is(200, "").json();
    assert_eq!(patched["description"], "An order was paid.");
    assert_eq!(
        (&patched["deprecated"], &patched["featureFlag"]),
        (&json!(true), &json!("beta"))
    );
    assert_eq!(patched["schemas"], json!({"1": {"type": "object"}}));
    let replaced = server
        .put(&path, json!({"description": "Paid."}))
        .await
        .is(200, "")
        .json();
    assert!(replaced["schemas"].is_null() && replaced["groupName"].is_null());
    assert_eq!(replaced["createdAt"], made["createdAt"]);
    server
        .put(&format!("{TYPES}/order.new"), json!({"description": ""}))
        .await
        .is(201, "");
    server
        .get(&format!("{TYPES}/order.gone"))
        .await
        .is(404, "E0102");
    server
        .patch(&format!("{TYPES}/order.gone"), json!({}))
        .await
        .is(404, "E0102");
}

#[tokio::test]
async fn a_deleted_type_is_archived_and_an_expunged_one_is_gone() {
    let server = server().await;
    let make = json!({"name": "order.paid", "description": "first"});
    server.post(TYPES, make.clone()).await.is(201, "");
    for name in ["order.paid", "payment.succeeded"] {
        let path = format!("{TYPES}/{name}");
        server.delete(&path).await.is(204, "");
        assert!(!names(&list(&server, "limit=250").await).contains(&name));
        assert!(names(&list(&server, "limit=250&include_archived=true").await).contains(&name));
        assert_eq!(server.get(&path).await.json()["archived"], true);
        server
            .delete(&format!("{path}?expunge=true"))
            .await
            .is(204, "");
        assert!(!names(&list(&server, "limit=250&include_archived=true").await).contains(&name));
        server.get(&path).await.is(404, "E0102");
        server.delete(&path).await.is(404, "E0102");
    }
    let again = json!({"name": "payment.succeeded", "description": "mine"});
    let made = server.post(TYPES, again).await.is(201, "").json();
    assert_eq!(made["description"], "mine");
    server.post(TYPES, make).await.is(201, "");
}

#[tokio::test]
async fn an_archived_type_comes_back_when_it_is_made_again() {
    let server = server().await;
    server
        .delete(&format!("{TYPES}/refund.failed"))
        .await
        .is(204, "");
    let fields = json!({"name": "refund.failed", "description": "mine"});
    let made = server.post(TYPES, fields).await.is(201, "").json();
    assert_eq!(
        (&made["archived"], &made["description"]),
        (&json!(false), &json!("mine"))
    );
    assert!(made["schemas"]["1"].is_object());
}

#[tokio::test]
async fn the_list_can_be_walked_both_ways() {
    let server = server().await;
    for name in ["-a", "A", "zz"] {
        server
            .post(TYPES, json!({"name": name, "description": ""}))
            .await
            .is(201, "");
    }
    let (mut walked, mut query) = (Vec::new(), "limit=20".to_owned());
    loop {
        let page = list(&server, &query).await;
        walked.extend(names(&page).into_iter().map(str::to_owned));
        if page["done"] == true {
            break;
        }
        query = format!("limit=20&iterator={}", page["iterator"].as_str().unwrap());
    }
    assert_eq!(walked.len(), 51);
    assert!(walked.is_sorted());
    let back = list(&server, &format!("limit=2&iterator=-evtype_{}", walked[10])).await;
    assert_eq!(names(&back), walked[8..10]);
    let down = list(&server, "limit=2&order=descending").await;
    assert_eq!(names(&down), ["zz", "subscription.updated"]);
    for query in [
        "limit=0",
        "limit=251",
        "iterator=payment.succeeded",
        "order=up",
    ] {
        server
            .get(&format!("{TYPES}?{query}"))
            .await
            .is(422, "E0100");
    }
}

#[tokio::test]
async fn what_is_no_event_type_is_refused_by_its_field() {
    let server = server().await;
    for (fields, place) in [
        (json!({"description": "x"}), "body.name"),
        (json!({"name": "a"}), "body.description"),
        (json!({"name": "a b", "description": ""}), "body.name"),
        (
            json!({"name": "a", "description": "", "schemas": {"x": {}}}),
            "body.schemas",
        ),
        (
            json!({"name": "a", "description": "", "groupName": "a b"}),
            "body.groupName",
        ),
    ] {
        let refused = server.post(TYPES, fields).await.is(422, "E0100");
        assert_eq!(refused.place(), place);
    }
}

#[tokio::test]
async fn a_type_can_have_a_retry_schedule_of_its_own() {
    let server = server().await;
    let path = format!("{TYPES}/payment.failed/retry-schedule");
    assert!(server.get(&path).await.is(200, "").json()["retrySchedule"].is_null());
    let set = server
        .put(&path, json!({"retrySchedule": [1, 60]}))
        .await
        .is(200, "")
        .json();
    assert_eq!(set["retrySchedule"], json!([1, 60]));
    let config = server.node.config();
    assert_eq!(
        config.event_type_schedule_ms("payment.failed"),
        Some(&[1_000, 60_000][..])
    );
    // Nothing else of it has changed, and changes of other fields leave it alone.
    let one = server.get(&format!("{TYPES}/payment.failed")).await.json();
    assert!(one["schemas"]["1"].is_object());
    server
        .put(
            &format!("{TYPES}/payment.failed"),
            json!({"description": "x"}),
        )
        .await
        .is(200, "");
    assert_eq!(
        server.get(&path).await.json()["retrySchedule"],
        json!([1, 60])
    );
    let none = server
        .put(&path, json!({"retrySchedule": null}))
        .await
        .is(200, "")
        .json();
    assert!(none["retrySchedule"].is_null());
    for wrong in [json!([-1]), json!(vec![1; 33]), json!([604_801])] {
        let refused = server
            .put(&path, json!({"retrySchedule": wrong}))
            .await
            .is(422, "E0100");
        assert_eq!(refused.place(), "body.retrySchedule");
    }
    server
        .get(&format!("{TYPES}/nobody/retry-schedule"))
        .await
        .is(404, "E0102");
}

const YAML: &str = "
openapi: 3.1.0
webhooks:
  order.paid:
    post:
      summary: An order was paid.
      tags: [order]
      requestBody:
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Order'}
            example: {id: 7}
  payment.succeeded:
    post:
      description: Ours now.
components:
  schemas:
    Order:
      type: object
      properties:
        id: {type: integer}
        buyer: {$ref: '#/components/schemas/Buyer'}
    Buyer: {type: string}
";

#[tokio::test]
async fn a_document_is_looked_at_first_and_then_imported() {
    let server = server().await;
    let tried = server
        .post(IMPORT, json!({"specRaw": YAML, "dryRun": true}))
        .await
        .is(200, "");
    let tried = tried.json()["data"].clone();
    assert_eq!(tried["modified"], json!([]));
    let found: Vec<&Value> = tried["to_modify"].as_array().unwrap().iter().collect();
    assert_eq!(
        (&found[0]["name"], &found[0]["groupName"]),
        (&json!("order.paid"), &json!("order"))
    );
    assert_eq!(
        found[0]["schemas"]["1"]["$defs"],
        json!({"Buyer": {"type": "string"}})
    );
    assert_eq!(found[1]["name"], "payment.succeeded");
    server
        .get(&format!("{TYPES}/order.paid"))
        .await
        .is(404, "E0102");

    let done = server
        .post(IMPORT, json!({"specRaw": YAML}))
        .await
        .is(200, "")
        .json();
    assert_eq!(
        done["data"]["modified"],
        json!(["order.paid", "payment.succeeded"])
    );
    let made = server.get(&format!("{TYPES}/order.paid")).await.json();
    assert_eq!(made["schemas"]["1"]["examples"], json!([{"id": 7}]));
    let ours = server
        .get(&format!("{TYPES}/payment.succeeded"))
        .await
        .json();
    assert_eq!(ours["description"], "Ours now.");
    assert!(ours["schemas"]["1"]["$defs"]["Payment"].is_object());
    let again = server
        .post(IMPORT, json!({"specRaw": YAML}))
        .await
        .is(200, "")
        .json();
    assert_eq!(again["data"]["modified"], json!([]));
}

#[tokio::test]
async fn a_document_can_replace_everything() {
    let server = server().await;
    let spec = json!({"openapi": "3.1.0", "webhooks": {"only.one": {"post": {}}}});
    let done = server
        .post(IMPORT, json!({"spec": spec, "replaceAll": true}))
        .await
        .is(200, "");
    assert_eq!(done.json()["data"]["modified"], json!(["only.one"]));
    assert_eq!(names(&list(&server, "limit=250").await), ["only.one"]);
    let archived = list(&server, "limit=250&include_archived=true").await;
    assert_eq!(names(&archived).len(), 49);
}

#[tokio::test]
async fn what_was_exported_changes_nothing_when_it_is_imported() {
    let server = server().await;
    server
        .post(IMPORT, json!({"specRaw": YAML}))
        .await
        .is(200, "");
    let spec = server
        .get(&format!("{TYPES}/export/openapi"))
        .await
        .is(200, "")
        .json();
    assert_eq!(spec["openapi"], "3.1.0");
    let tried = server
        .post(IMPORT, json!({"spec": spec, "dryRun": true}))
        .await
        .is(200, "");
    assert_eq!(tried.json()["data"]["to_modify"], json!([]));
}

#[tokio::test]
async fn documents_that_say_nothing_are_refused_with_the_reason() {
    let server = server().await;
    for (body, place) in [
        (json!({}), "body.spec"),
        (json!({"spec": {"swagger": "2.0"}}), "body.spec"),
        (json!({"specRaw": "openapi: [3"}), "body.specRaw"),
        (json!({"specRaw": ""}), "body.specRaw"),
    ] {
        let refused = server.post(IMPORT, body).await.is(422, "E0100");
        assert_eq!(refused.place(), place);
    }
}

#[tokio::test]
async fn an_example_is_the_schemas_the_callers_or_the_built_in_one() {
    let server = server().await;
    let fields = json!({"url": "https://receiver.example/", "uid": "e"});
    server.endpoint(fields).await;
    let path = format!("{EP}/e/send-example");
    let schemas = json!({"1": {"examples": [{"n": 1}, {"n": 2}]}});
    let make = json!({"name": "order.paid", "description": "", "schemas": schemas});
    server.post(TYPES, make).await.is(201, "");
    for (body, payload) in [
        (json!({"eventType": "order.paid"}), json!({"n": 1})),
        (
            json!({"eventType": "order.paid", "exampleIndex": 1}),
            json!({"n": 2}),
        ),
        (
            json!({"eventType": "other", "payload": {"x": 1}}),
            json!({"x": 1}),
        ),
    ] {
        let sent = server.post(&path, body).await.is(200, "").json();
        assert_eq!(sent["payload"], payload);
    }
    let known = server
        .post(&path, json!({"eventType": "refund.failed"}))
        .await
        .is(200, "");
    assert_eq!(known.json()["payload"]["data"]["payload_type"], "Refund");
    for (body, code, place) in [
        (
            json!({"eventType": "order.paid", "exampleIndex": 2}),
            "E0100",
            "body.exampleIndex",
        ),
        (
            json!({"eventType": "nobody.knows"}),
            "E0804",
            "body.eventType",
        ),
        (
            json!({"eventType": "x", "payload": [1]}),
            "E0100",
            "body.payload",
        ),
    ] {
        assert_eq!(server.post(&path, body).await.is(422, code).place(), place);
    }
}
