//! Flow control as operators see it, over a whole node.

use axum::body::Body;
use serde_json::{Value, json};

use crate::harness::{App, Reply, Server, app, registration, request, server};

/// Registers the app with rules for one of its functions.
pub(crate) async fn app_with(server: &Server, function: &str, rules: Value) -> App {
    let app = app(server).await;
    let mut registration = registration(&app.url);
    let functions = registration["functions"].as_array_mut().unwrap();
    let id = json!(format!("shop-{function}"));
    let one = functions.iter_mut().find(|f| f["id"] == id).unwrap();
    for (name, rule) in rules.as_object().unwrap() {
        one[name] = rule.clone();
    }
    let reply = server.post("/fn/register", registration).await;
    assert_eq!(reply.status, 200, "{reply:?}");
    app
}

pub(crate) async fn put(server: &Server, path: &str, body: Value) -> Reply {
    let body = Body::from(body.to_string());
    server.ask(request("PUT", path).body(body).unwrap()).await
}

pub(crate) async fn run_id(server: &Server, event: &str) -> String {
    let run = server.run_of(event).await;
    run["run_id"].as_str().unwrap().to_owned()
}

async fn verdict(server: &Server, event: &str) -> Value {
    let told = server.get(&format!("/api/events/{event}/explain")).await;
    told.json()["verdicts"][0].clone()
}

#[tokio::test]
async fn the_second_of_two_runs_names_the_slot_that_it_waits_for_and_who_holds_it() {
    let server = server().await;
    let rules = json!({"concurrency": [{"limit": 1, "key": "event.data.n"}]});
    let mut app = app_with(&server, "holds", rules).await;
    let first = server.send_only("shop/holds").await;
    let holding = app.held.recv().await.unwrap();
    let second = server.send_only("shop/holds").await;
    let first = run_id(&server, &first).await;
    let second = run_id(&server, &second).await;

    let path = format!("/api/runs/{second}/waiting");
    let is_held = |told: &Value| told["waitsFor"][0]["cause"]["kind"] == "rule";
    let told = server.until(&path, is_held).await;
    assert_eq!(
        (&told["functionId"], &told["status"], &told["begun"]),
        (&json!("shop-holds"), &json!("Scheduled"), &json!(false))
    );
    assert_eq!(told["keys"], json!([{"rule": "concurrency", "key": "1"}]));
    let item = &told["waitsFor"][0];
    assert_eq!(
        item["cause"],
        json!({"kind": "rule", "rule": "concurrency", "scope": "fn", "expression": "event.data.n",
            "key": "1", "limit": 1, "used": 1, "holders": [first], "next": null})
    );
    let said = item["message"].as_str().unwrap();
    let slot = "waits for a slot of concurrency 1 under key \"1\" (event.data.n), held by ";
    assert!(said.starts_with(&format!("{slot}{first}")), "{said}");

    let trace = server.get(&format!("/v2/runs/{second}/trace")).await.json();
    assert_eq!(trace["data"]["waiting"][0]["message"], said);
    let queues = server.get("/api/functions/shop-holds/queues").await.json();
    assert_eq!(
        (&queues["totals"]["queued"], &queues["totals"]["inFlight"]),
        (&json!(1), &json!(1))
    );
    let lane = &queues["lanes"][0];
    assert_eq!(lane["keys"], json!([{"rule": "concurrency", "key": "1"}]));
    assert_eq!(lane["cause"]["holders"], json!([first]));

    let of_first = server
        .get(&format!("/api/runs/{first}/waiting"))
        .await
        .json();
    assert_eq!(of_first["waitsFor"][0]["cause"]["kind"], "inFlight");
    holding.go_on.notify_one();
    app.held.recv().await.unwrap().go_on.notify_one();
    let ended = server
        .until(&path, |told| told["status"] == "Completed")
        .await;
    assert_eq!(ended["waitsFor"], json!([]));
}

#[tokio::test]
async fn a_step_that_sleeps_says_so_in_the_trace_too() {
    let server = server().await;
    let _app = app(&server).await;
    let event = server.send("shop/sleeps").await;
    let run = run_id(&server, &event).await;
    let told = server.get(&format!("/api/runs/{run}/waiting")).await.json();
    let item = &told["waitsFor"][0];
    assert_eq!(
        (&item["kind"], &item["step"]["name"], &item["cause"]["kind"]),
        (&json!("sleep"), &json!("nap"), &json!("time"))
    );
    let until = item["cause"]["until"].as_str().unwrap();
    assert_eq!(item["message"], format!("sleeps until {until}"));
    assert_eq!(told["begun"], true);
    let trace = server.get(&format!("/v2/runs/{run}/trace")).await.json();
    let step = &trace["data"]["rootSpan"]["children"][0];
    assert_eq!((&step["name"], &step["waiting"]), (&json!("nap"), item));
    assert_eq!(step["id"], item["item"]);
}

#[tokio::test]
async fn an_event_over_the_rate_is_explained_and_listed() {
    let server = server().await;
    let rules = json!({"rateLimit": {"limit": 1, "period": "1h", "key": "event.data.n"}});
    let _app = app_with(&server, "steps", rules).await;
    let first = server.send("shop/steps").await;
    let second = server.send("shop/steps").await;
    let kept = json!({"kind": "run", "id": run_id(&server, &first).await});
    let verdict = verdict(&server, &second).await;
    assert_eq!(verdict["outcome"], "dropped", "{verdict}");
    assert_eq!(
        (&verdict["detail"]["rule"], &verdict["detail"]["kept"]),
        (&json!("rateLimit"), &kept)
    );
    let path = "/api/functions/shop-steps/dropped";
    let listed = server.get(path).await.json();
    let one = &listed["data"][0];
    assert_eq!(
        (
            &one["eventId"],
            &one["eventName"],
            &one["key"],
            &one["kept"]
        ),
        (&json!(second), &json!("shop/steps"), &json!("1"), &kept)
    );
    assert_eq!(listed["hasMore"], false);
    let third = server.send("shop/steps").await;
    let page = server.get(&format!("{path}?limit=1")).await.json();
    assert_eq!(page["data"][0]["eventId"], json!(third));
    assert_eq!(
        (&page["hasMore"], &page["cursor"]),
        (&json!(true), &json!(third))
    );
    let rest = server.get(&format!("{path}?cursor={third}")).await.json();
    assert_eq!(rest["data"][0]["eventId"], json!(second));
    assert_eq!(server.get(&format!("{path}?cursor=x")).await.status, 400);
}

#[tokio::test]
async fn an_event_that_a_debounce_holds_says_until_when() {
    let server = server().await;
    let rules = json!({"debounce": {"period": "1h", "key": "event.data.n"}});
    let _app = app_with(&server, "steps", rules).await;
    let event = server.send("shop/steps").await;
    let verdict = verdict(&server, &event).await;
    assert_eq!(verdict["outcome"], "gathering", "{verdict}");
    let queues = server.get("/api/functions/shop-steps/queues").await.json();
    let gathering = &queues["gathering"][0];
    assert_eq!(
        (&gathering["rule"], &gathering["key"], &gathering["dueAt"]),
        (&json!("debounce"), &json!("1"), &verdict["detail"]["due"])
    );
}

#[tokio::test]
async fn a_run_that_a_singleton_skips_names_the_live_one() {
    let server = server().await;
    let rules = json!({"singleton": {"mode": "skip", "key": "event.data.n"}});
    let mut app = app_with(&server, "holds", rules).await;
    let first = server.send_only("shop/holds").await;
    let holding = app.held.recv().await.unwrap();
    let second = server.send_only("shop/holds").await;
    let verdict = verdict(&server, &second).await;
    let detail = &verdict["detail"];
    assert_eq!(
        (&verdict["outcome"], &detail["rule"], &detail["key"]),
        (&json!("skipped"), &json!("singleton"), &json!("1"))
    );
    assert_eq!(detail["kept"]["id"], json!(run_id(&server, &first).await));
    holding.go_on.notify_one();
}

#[tokio::test]
async fn limits_are_put_listed_replaced_and_removed() {
    let server = server().await;
    let _app = app(&server).await;
    let path = "/api/limits/stripe";
    let reply = put(
        &server,
        path,
        json!({"host": "API.example.com", "concurrency": 5}),
    )
    .await;
    let expected =
        json!({"name": "stripe", "host": "api.example.com", "concurrency": 5, "rate": null});
    assert_eq!((reply.status, reply.json()), (200, expected.clone()));
    let listed = server.get("/api/limits").await.json();
    assert_eq!(listed, json!({"data": [expected]}));
    let step = json!({"function": "shop-none", "step": "charge",
        "rate": {"limit": 10, "period": "1s"}});
    let reply = put(&server, path, step).await.json();
    assert_eq!(reply["warning"], "no function of that id is registered now");
    let listed = server.get("/api/limits").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed["data"][0]["step"], "charge");
    assert_eq!(put(&server, path, json!({"host": "a"})).await.status, 422);
    assert_eq!(server.delete(path).await.status, 204);
    assert_eq!(server.delete(path).await.status, 404);
    assert_eq!(server.get("/api/limits").await.json(), json!({"data": []}));
}

#[tokio::test]
async fn metrics_count_what_happened() {
    let server = server().await;
    let _app = app(&server).await;
    server.send("shop/steps").await;
    let text = server.get("/metrics").await.text;
    for line in [
        "dunlin_live_runs 0",
        "dunlin_runs_started_total{function=\"shop-steps\"} 1",
        "dunlin_runs_ended_total{function=\"shop-steps\",status=\"completed\"} 1",
        "dunlin_app_calls_in_flight{app=\"shop\"} 0",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
}

#[tokio::test]
async fn metrics_count_what_was_refused_by_where_status_and_code() {
    let server = server().await;
    let before = server.get("/metrics").await.text;
    assert!(
        !before.contains("dunlin_requests_refused_total{"),
        "{before}"
    );
    for _ in 0..2 {
        server
            .get("/api/runs/01JQDAE4RQF8MBCR55T5AK4KXS/waiting")
            .await;
    }
    let unknown = server.post("/in/nobody", json!({})).await;
    let text = server.get("/metrics").await.text;
    let line = |at: &str, code: &str, count: usize| {
        format!(
            "dunlin_requests_refused_total{{at=\"{at}\",status=\"404\",code=\"{code}\"}} {count}"
        )
    };
    let found = line("webhooks", &unknown.code, 1);
    for line in [line("api", "E0102", 2), found] {
        assert!(text.lines().any(|one| one == line), "{line} in {text}");
    }
}

#[tokio::test]
async fn what_is_unknown_is_not_found() {
    let server = server().await;
    for path in [
        "/api/runs/01JQDAE4RQF8MBCR55T5AK4KXS/waiting",
        "/api/functions/none/queues",
        "/api/functions/none/dropped",
    ] {
        let reply = server.get(path).await;
        assert_eq!(
            (reply.status, reply.code.as_str()),
            (404, "E0102"),
            "{path}"
        );
    }
}
