//! Unknown ids, and paths that are not there yet.

use axum::body::Body;
use serde_json::json;

use crate::harness::{app, request, server};

#[tokio::test]
async fn unknown_ids_are_not_found() {
    let server = server().await;
    let _app = app(&server).await;
    let event = server.send("shop/steps").await;
    let run = server.run_of(&event).await["run_id"]
        .as_str()
        .unwrap()
        .to_owned();
    // The row of a real run with another time in front.
    let forged = format!("01JQDAE4RQ{}", &run[10..]);
    for id in ["01JQDAE4RQF8MBCR55T5AK4KXS", "x", &forged, &event] {
        for path in ["/v1/runs/ID", "/v2/runs/ID", "/v2/runs/ID/trace"] {
            let reply = server.get(&path.replace("ID", id)).await;
            assert_eq!(
                (reply.status, reply.code.as_str()),
                (404, "E0102"),
                "{path} {id}"
            );
        }
        assert_eq!(server.delete(&format!("/v1/runs/{id}")).await.status, 404);
    }
    for id in ["01JQDAE4RQF8MBCR55T5AK4KXS", "x", &run] {
        assert_eq!(server.get(&format!("/v1/events/{id}")).await.status, 404);
        assert_eq!(
            server.get(&format!("/v1/events/{id}/runs")).await.status,
            404
        );
    }
    let gone = server
        .get("/v0/runs/01JQDAE4RQF8MBCR55T5AK4KXS/batch")
        .await;
    assert_eq!((gone.status, gone.code.as_str()), (410, "E0521"));
    assert_eq!(server.get("/v0/runs/x/batch").await.status, 400);
}

#[tokio::test]
async fn what_is_not_there_yet_says_so() {
    let server = server().await;
    for path in [
        "/v1/checkpoint",
        "/v1/checkpoint/x/steps",
        "/v1/realtime/token",
    ] {
        let reply = server.post(path, "{}").await;
        assert_eq!(
            (reply.status, reply.code.as_str()),
            (501, "E0108"),
            "{path}"
        );
        assert_eq!(reply.json()["status"], 501);
    }
    for path in ["/v1/checkpoint/x/output", "/v1/prom/x"] {
        assert_eq!(server.get(path).await.status, 501, "{path}");
    }
    for path in ["/v2/envs", "/v2/insights/x", "/v2/partner/accounts"] {
        let second = server.get(path).await;
        assert_eq!(second.status, 501, "{path}");
        assert_eq!(second.json()["errors"][0]["code"], "not_implemented");
    }
    assert_eq!(
        server.get("/v2/health").await.json()["data"],
        json!({"status": "ok"})
    );
    assert_eq!(server.get("/nowhere").await.status, 404);
}

#[tokio::test]
async fn every_row_of_the_policy_table_is_served() {
    let server = server().await;
    for row in dunlin_api::policy::TABLE {
        let parts = row.path.split('/').map(|part| match part.starts_with('{') {
            true => "some",
            false => part,
        });
        let path = parts.collect::<Vec<_>>().join("/");
        let reply = server
            .ask(request(row.method, &path).body(Body::from("{}")).unwrap())
            .await;
        let asked = format!("{} {path}: {reply:?}", row.method);
        assert!(!reply.text.contains("nothing at this path"), "{asked}");
        assert_ne!(reply.status, 405, "{asked}");
        assert_eq!(reply.status >= 400, !reply.code.is_empty(), "{asked}");
    }
}
