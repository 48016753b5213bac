//! Apps register.

use axum::body::Body;
use serde_json::json;

use crate::harness::{app, registration, request, server, server_with};

const URL: &str = "http://localhost:3000/api/inngest";

#[tokio::test]
async fn the_first_registration_changes_something_and_the_same_again_nothing() {
    let server = server().await;
    let first = server.post("/fn/register", registration(URL)).await.json();
    assert_eq!(
        (&first["ok"], &first["modified"]),
        (&json!(true), &json!(true))
    );
    assert_eq!(first["app_id"].as_str().unwrap().len(), 36);
    let again = server.post("/fn/register", registration(URL)).await.json();
    assert_eq!(again["modified"], json!(false));
    assert_eq!(
        (&again["app_id"], &again["sync_id"]),
        (&first["app_id"], &first["sync_id"])
    );
}

#[tokio::test]
async fn rules_are_shown_and_what_does_nothing_is_told() {
    let server = server().await;
    let mut body = registration(URL);
    let function = &mut body["functions"][0];
    let id = function["id"].as_str().unwrap().to_owned();
    function["batchEvents"] = json!({"maxSize": 2, "timeout": "90s", "if": null});
    function["rateLimit"] = json!({"limit": 3, "period": "24h", "key": "event.data.k"});
    function["concurrency"] = json!({"fn": [{"limit": 4, "hash": ""}], "step": [{"limit": 5}]});
    let told = server.post("/fn/register", body).await.json()["warnings"].clone();
    let ignored = "rateLimit is ignored beside batchEvents";
    assert_eq!(told, json!([format!("{id}: {ignored}")]));

    let warnings = server.get("/v2/apps/shop").await.json()["data"]["warnings"].clone();
    let warning = json!({"functionId": id, "rule": "rateLimit", "message": ignored});
    assert_eq!(warnings, json!([warning]));
    let path = format!("/v2/apps/shop/functions/{id}");
    let one = server.get(&path).await.json()["data"].clone();
    assert_eq!(
        one["flow"],
        json!({
            "batchEvents": {"maxSize": 2, "timeout": "90s"},
            "rateLimit": {"limit": 3, "period": "1d", "key": "event.data.k"},
            "concurrency": {
                "fn": [{"limit": 4, "scope": "fn"}],
                "step": [{"limit": 5, "scope": "fn"}],
            },
        })
    );
    assert_eq!(
        one["configuration"]["concurrency"],
        json!([{"scope": "fn", "limit": {"value": 5, "isPlanLimit": false}, "key": null}])
    );
}

#[tokio::test]
async fn a_rule_whose_expression_does_not_compile_is_refused() {
    let server = server().await;
    let mut body = registration(URL);
    body["functions"][0]["throttle"] = json!({"limit": 1, "period": "1s", "key": "event.data."});
    let reply = server.post("/fn/register", body).await;
    assert_eq!((reply.status, reply.code.as_str()), (400, "E0401"));
    let said = reply.json().to_string();
    assert!(said.contains("`event.data.` of throttle.key"), "{said}");
}

#[tokio::test]
async fn refusals_are_json_with_their_status() {
    let server = server().await;
    let mut nameless = registration(URL);
    nameless["appName"] = json!("");
    let mut idle = registration(URL);
    idle["functions"][0]["triggers"] = json!([]);
    for (body, code, word) in [
        (nameless.to_string(), "E0400", "App ID required"),
        ("{".to_owned(), "E0400", "Invalid request"),
        (
            idle.to_string(),
            "E0401",
            "At least one function is invalid",
        ),
    ] {
        let reply = server.post("/fn/register", body).await;
        assert_eq!((reply.status, reply.code.as_str()), (400, code));
        let body = reply.json();
        assert_eq!(
            (&body["status"], &body["data"]),
            (&json!(400), &json!(null))
        );
        assert!(body["error"].as_str().unwrap().contains(word), "{body}");
    }
}

#[tokio::test]
async fn an_app_for_another_kind_of_server_is_refused() {
    let server = server().await;
    let ask = |kind| {
        let request =
            request("POST", "/fn/register").header("x-inngest-expected-server-kind", kind);
        request
            .body(Body::from(registration(URL).to_string()))
            .unwrap()
    };
    let reply = server.ask(ask("cloud")).await;
    assert_eq!((reply.status, reply.code.as_str()), (400, "E0402"));
    assert_eq!(reply.json()["error"], "Expected server kind dev, got cloud");
    assert_eq!(server.ask(ask("dev")).await.status, 200);
}

#[tokio::test]
async fn functions_and_apps_are_listed() {
    let server = server().await;
    let app = app(&server).await;
    let functions = server.get("/v1/apps/shop/functions").await.json();
    let ids: Vec<&str> = functions
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 7);
    assert!(ids.is_sorted() && ids.contains(&"shop-fails"), "{ids:?}");
    assert_eq!(functions[1]["config"]["name"], "fails");
    let apps = server.get("/v2/apps").await.json();
    let listed = &apps["data"][0];
    assert_eq!(
        (&listed["name"], &listed["functionCount"]),
        (&json!("shop"), &json!(7))
    );
    assert_eq!(listed["latestSync"]["url"], app.url);
    assert_eq!(listed["latestSync"]["sdkVersion"], "4.24.0");
    let reply = server.get("/v1/apps/other/functions").await;
    assert_eq!((reply.status, reply.code.as_str()), (404, "E0102"));
    let dev = server.get("/dev").await.json();
    assert_eq!(
        (&dev["authed"], &dev["functions"][0]["slug"]),
        (&json!(false), &json!("shop-chain"))
    );
}

#[tokio::test]
async fn only_a_development_server_says_that_it_is_one() {
    let server = server_with(|options| {
        options.kind = dunlin_node::ServerKind::Cloud;
        options.admin_token = Some(dunlin_types::Secret::new("admin"));
    })
    .await;
    let request = request("GET", "/dev").header("authorization", "Bearer admin");
    assert_eq!(
        server
            .ask(request.body(Body::empty()).unwrap())
            .await
            .status,
        404
    );
    assert_eq!(
        server.get("/health").await.json(),
        json!({"status": 200, "message": "OK"})
    );
}
