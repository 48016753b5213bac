//! The second version of the reading API: lists, apps, functions, keys; and what test suites set up.

use serde_json::{Value, json};

use crate::harness::{App, Server, app, server, server_with};

async fn with_app() -> (Server, App) {
    let server = server().await;
    let app = app(&server).await;
    (server, app)
}

fn ids(page: &Value) -> Vec<String> {
    let runs = page["data"].as_array().unwrap().iter();
    runs.map(|run| run["id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn runs_are_listed_page_by_page_in_both_orders() {
    let (server, _app) = with_app().await;
    for _ in 0..5 {
        server.send("shop/steps").await;
    }
    for order in ["DESC", "ASC"] {
        let all = server.get(&format!("/v2/runs?order={order}")).await.json();
        let all = ids(&all);
        assert_eq!(all.len(), 5);
        let mut sorted = all.clone();
        sorted.sort();
        if order == "DESC" {
            sorted.reverse();
        }
        assert_eq!(all, sorted);
        let mut paged = Vec::new();
        let mut cursor = String::new();
        for expected in [2, 2, 1] {
            let path = format!("/v2/runs?order={order}&limit=2&cursor={cursor}");
            let page = server.get(&path).await.json();
            assert_eq!(ids(&page).len(), expected);
            assert_eq!(page["page"]["hasMore"], expected == 2);
            paged.extend(ids(&page));
            cursor = page["page"]["cursor"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
        }
        assert_eq!(paged, all);
    }
}

#[tokio::test]
async fn lists_of_runs_are_narrowed() {
    let (server, _app) = with_app().await;
    server.send("shop/steps").await;
    server
        .post("/test/clock/advance", json!({"by": "1h"}))
        .await;
    let middle = server.node.now().rfc3339();
    server.send("shop/fails").await;
    server.send("shop/sleeps").await;
    for (query, expected) in [
        ("".to_owned(), 3),
        ("status=FAILED".to_owned(), 1),
        ("status=FAILED&status=RUNNING".to_owned(), 2),
        ("status=completed,failed".to_owned(), 2),
        ("status=QUEUED".to_owned(), 0),
        ("appId=shop".to_owned(), 3),
        ("appId=other".to_owned(), 0),
        ("appId=shop&functionId=fails".to_owned(), 1),
        ("appId=shop&functionId=none".to_owned(), 0),
        (format!("from={middle}"), 2),
        (format!("until={middle}"), 1),
        (format!("until={middle}&order=ASC"), 1),
        (format!("from={middle}&order=ASC"), 2),
        (format!("from={middle}&timeField=ENDED_AT"), 1),
        (format!("from={middle}&time_field=startedAt"), 1),
        ("isDeferred=true".to_owned(), 0),
        ("isDeferred=false".to_owned(), 3),
    ] {
        let page = server.get(&format!("/v2/runs?{query}")).await.json();
        assert_eq!(ids(&page).len(), expected, "{query} {page}");
    }
    for query in [
        "status=ODD",
        "functionId=x",
        "order=up",
        "timeField=x",
        "cursor=x",
        "limit=0",
    ] {
        let reply = server.get(&format!("/v2/runs?{query}")).await;
        assert_eq!(reply.status, 400, "{query}");
    }
    let of_function = server
        .get("/v2/apps/shop/functions/fails/runs?includeOutput=true")
        .await;
    assert_eq!(of_function.json()["data"][0]["output"]["message"], "broken");
    assert_eq!(
        server.get("/v2/apps/shop/functions/none/runs").await.status,
        404
    );
}

#[tokio::test]
async fn the_runs_of_an_event_are_shown_in_the_second_version_too() {
    let (server, _app) = with_app().await;
    let event = server.send("shop/steps").await;
    let page = server
        .get(&format!("/v2/events/{event}/runs?includeOutput=1"))
        .await
        .json();
    assert_eq!(page["data"][0]["output"], json!({"all": "done"}));
    assert_eq!(page["data"][0]["trigger"]["eventName"], "shop/steps");
    assert_eq!(page["page"]["hasMore"], false);
    assert_eq!(server.get("/v2/events/none/runs").await.status, 404);
}

#[tokio::test]
async fn apps_and_functions_are_shown_with_their_rules() {
    let (server, app) = with_app().await;
    let apps = server.get("/v2/apps").await.json();
    assert_eq!(apps["data"][0]["id"], "shop");
    let one = server.get("/v2/apps/shop").await.json();
    assert_eq!(
        (&one["data"], &one["data"]["functionCount"]),
        (&apps["data"][0], &json!(7))
    );
    let functions = server.get("/v2/apps/shop/functions").await.json();
    assert_eq!(functions["data"].as_array().unwrap().len(), 7);
    let one = server.get("/v2/apps/shop/functions/steps").await.json();
    let one = &one["data"];
    assert_eq!(
        (&one["id"], &one["slug"]),
        (&json!("steps"), &json!("shop-steps"))
    );
    assert_eq!(
        one["triggers"],
        json!([{"type": "EVENT", "value": "shop/steps"}])
    );
    assert_eq!(
        one["configuration"]["retries"],
        json!({"value": 1, "isDefault": false})
    );
    for id in ["shop-steps", one["internalId"].as_str().unwrap()] {
        let same = server
            .get(&format!("/v2/apps/shop/functions/{id}"))
            .await
            .json();
        assert_eq!(&same["data"], one);
    }
    for path in [
        "/v2/apps/none",
        "/v2/apps/none/functions",
        "/v2/apps/shop/functions/none",
    ] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    let removed = server.delete(&format!("/fn/remove?url={}", app.url)).await;
    assert_eq!(removed.status, 200, "{removed:?}");
    let functions = server.get("/v2/apps/shop/functions").await.json();
    assert_eq!(functions["data"], json!([]));
    assert_eq!(
        server
            .delete("/fn/remove?url=http://localhost:1/x")
            .await
            .status,
        404
    );
}

#[tokio::test]
async fn a_sync_tells_what_came_of_it() {
    let (server, app) = with_app().await;
    let good = server
        .post("/v2/apps/shop/syncs", json!({"url": app.url}))
        .await
        .json();
    assert_eq!(good["data"]["status"], "success", "{good}");
    let other = server
        .post("/v2/apps/other/syncs", json!({"url": app.url}))
        .await
        .json();
    assert_eq!(other["data"]["status"], "error");
    let gone = json!({"url": "http://127.0.0.1:9/api/inngest"});
    let gone = server.post("/v2/apps/shop/syncs", gone).await.json();
    assert_eq!(gone["data"]["error"]["code"], "app_sync_failed");
    assert_eq!(gone["data"]["error"]["error_code"], "E0404");
    assert_eq!(server.post("/v2/apps/shop/syncs", "{}").await.status, 400);
}

#[tokio::test]
async fn the_second_version_is_served_below_api_too() {
    let (server, _app) = with_app().await;
    let event = server.send("shop/steps").await;
    let runs = server
        .get(&format!("/api/v2/events/{event}/runs"))
        .await
        .json();
    let id = runs["data"][0]["id"].as_str().unwrap();
    let path = format!("/api/v2/runs/{id}/cancel");
    assert_eq!(server.post(&path, "").await.status, 409);
    let unbuilt = server.get("/api/v2/envs").await;
    assert_eq!(unbuilt.json()["errors"][0]["code"], "not_implemented");
    let start = server_with(|options| options.kind = dunlin_node::ServerKind::Cloud).await;
    assert_eq!(start.get("/api/v2/runs").await.status, 401);
    assert_eq!(start.get("/v2/runs").await.status, 401);
}

#[tokio::test]
async fn keys_are_told_by_their_beginnings() {
    let secret = "0123456789abcdef0123456789abcdef";
    let server = server_with(|options| {
        options.event_keys = vec![dunlin_types::Secret::new(secret)];
    });
    let server = server.await;
    let keys = server.get("/v2/keys/events").await;
    assert_eq!(keys.json()["data"][0]["key"], "0123…");
    assert!(!keys.text.contains(&secret[..8]));
    assert_eq!(
        server.get("/v2/keys/signing").await.json()["data"],
        json!([])
    );
    let account = server.get("/v2/account").await.json();
    assert_eq!(account["data"]["name"], "Dev Server");
    let operations = server.get("/v2/operations").await.json();
    let operations = operations["data"].as_array().unwrap();
    assert!(
        operations
            .iter()
            .any(|one| one["id"] == "POST /v2/runs/{id}/rerun")
    );
}

#[tokio::test]
async fn what_sdks_tell_beside_results_is_taken() {
    let (server, _app) = with_app().await;
    let event = server.send("shop/steps").await;
    let run = server.run_of(&event).await;
    let path = format!("/v1/runs/{}/metadata", run["run_id"].as_str().unwrap());
    let body = json!({"target": {}, "metadata": [{"kind": "k", "op": "merge", "values": {}}]});
    assert_eq!(server.post(&path, body).await.status, 200);
    assert_eq!(
        server.post("/v1/runs/none/metadata", "{}").await.status,
        404
    );
    assert_eq!(server.post("/v1/traces/userland", "").await.status, 200);
}

#[tokio::test]
async fn test_suites_pause_and_count_and_cancel() {
    let (server, _app) = with_app().await;
    let event = server.send("shop/sleeps").await;
    let run = server.run_of(&event).await;
    let function = run["function_id"].as_str().unwrap();
    let query = format!(
        "accountId=x&fnId={function}&runId={}",
        run["run_id"].as_str().unwrap()
    );
    let size = format!("/test/queue/function-queue-size?{query}");
    assert_eq!(server.get(&size).await.json(), json!({"count": 1}));
    let cancel = format!("/test/function/runs/cancel?{query}");
    assert_eq!(server.post(&cancel, "").await.status, 200);
    assert_eq!(server.get(&size).await.json(), json!({"count": 0}));
    let paused = server
        .post(&format!("/test/function/pause?{query}"), "")
        .await
        .json();
    assert_eq!(paused["slug"], "shop-sleeps");
}

#[tokio::test]
async fn test_suites_try_out_limits_and_stop_everything() {
    let (server, _app) = with_app().await;
    let limit = "/fn/step-limit?functionId=shop-sleeps";
    let set = server.post(&format!("{limit}&limit=0"), "").await;
    assert_eq!(set.status, 200);
    let event = server.send("shop/sleeps").await;
    server.node.idle().await;
    let run = server.run_of(&event).await;
    assert_eq!(run["status"], "Failed", "{run}");
    assert!(
        run["output"].to_string().contains("step limit of 0 steps"),
        "{run}"
    );
    assert_eq!(server.delete(limit).await.status, 200);
    let event = server.send("shop/sleeps").await;
    server.node.idle().await;
    assert_eq!(server.run_of(&event).await["status"], "Running");
    assert_eq!(server.post("/test/reset", "").await.status, 200);
    server.node.idle().await;
    let run = server.run_of(&event).await;
    assert_eq!(
        (&run["status"], &run["reason"]),
        (&json!("Cancelled"), &json!("reset"))
    );
    let unknown = "/fn/state-size-limit?functionId=none&limit=1";
    assert_eq!(server.post(unknown, "").await.status, 404);
    let bad = "/fn/state-size-limit?functionId=shop-sleeps&limit=many";
    assert_eq!(server.post(bad, "").await.status, 400);
}
