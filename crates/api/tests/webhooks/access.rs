//! Portal tokens, integrations and applications over HTTP.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dunlin_store::{MemoryStore, Store};
use http::Request;
use serde_json::{Value, json};

use crate::harness::{Reply, Server, server, server_over};

const ACME: &str = "/api/v1/app/acme";

/// A caller with a token of its own.
struct Caller<'a> {
    server: &'a Server,
    token: String,
}

impl Caller<'_> {
    async fn send(&self, method: &str, path: &str, body: Value) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost:8288")
            .header("authorization", format!("Bearer {}", self.token));
        let body = match body {
            Value::Null => Body::empty(),
            body => Body::from(body.to_string()),
        };
        self.server.ask(request.body(body).unwrap()).await
    }

    async fn get(&self, path: &str) -> Reply {
        self.send("GET", path, Value::Null).await
    }

    async fn post(&self, path: &str, body: Value) -> Reply {
        self.send("POST", path, body).await
    }
}

async fn with_apps() -> Server {
    let server = server().await;
    for uid in ["acme", "other"] {
        let body = json!({"name": uid, "uid": uid});
        server.post("/api/v1/app", body).await.is(201, "");
    }
    server
}

async fn portal<'a>(server: &'a Server, app: &str, body: Value) -> Caller<'a> {
    let path = format!("/api/v1/auth/app-portal-access/{app}");
    let made = server.post(&path, body).await.is(200, "").json();
    let token = made["token"].as_str().unwrap().to_owned();
    Caller { server, token }
}

async fn endpoint_of(server: &Server, app: &str) -> String {
    let path = format!("/api/v1/app/{app}/endpoint");
    let body = json!({"url": "https://example.com/hook"});
    let made = server.post(&path, body).await.is(201, "").json();
    made["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_portal_is_opened_used_and_left() {
    let server = with_apps().await;
    let path = "/api/v1/auth/app-portal-access/acme";
    let body = json!({"sessionId": "s1", "expiry": 3600, "featureFlags": ["beta"]});
    let made = server.post(path, body).await.is(200, "").json();
    let token = made["token"].as_str().unwrap();
    let (base, key) = made["url"]
        .as_str()
        .unwrap()
        .split_once("/login#key=")
        .unwrap();
    assert_eq!(base, "http://127.0.0.1:8288");
    let key: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(key).unwrap()).unwrap();
    assert_eq!(key["token"], token);
    let portal = Caller {
        server: &server,
        token: token.to_owned(),
    };
    let me = portal.get("/api/v1/auth/whoami").await.is(200, "").json();
    assert_eq!(me["kind"], "portal");
    assert_eq!(me["appId"], key["appId"]);
    assert_eq!(me["sessionId"], "s1");
    assert_eq!(me["featureFlags"], json!(["beta"]));
    assert_eq!(me["capabilities"].as_array().unwrap().len(), 6);
    portal.get(&format!("{ACME}/endpoint")).await.is(200, "");
    let logout = "/api/v1/auth/logout";
    portal.post(logout, Value::Null).await.is(204, "");
    portal.post(logout, Value::Null).await.is(401, "E0101");
    portal
        .get(&format!("{ACME}/endpoint"))
        .await
        .is(401, "E0101");
    server.post(logout, Value::Null).await.is(400, "E0100");
}

#[tokio::test]
async fn a_token_runs_out_and_sessions_are_ended() {
    let server = with_apps().await;
    let short = portal(&server, "acme", json!({"expiry": 3600})).await;
    let one = portal(&server, "acme", json!({"sessionId": "one"})).await;
    let two = portal(&server, "acme", json!({"sessionId": "two"})).await;
    let other = portal(&server, "other", json!({"sessionId": "one"})).await;
    let lives = async |caller: &Caller<'_>| {
        let status = caller.get("/api/v1/auth/whoami").await.status;
        assert!(matches!(status, 200 | 401));
        status == 200
    };
    server.node.advance(3_600_000).unwrap();
    assert!(!lives(&short).await && lives(&one).await);
    let path = "/api/v1/auth/app/acme/expire-all";
    let body = json!({"sessionIds": ["one"]});
    server.post(path, body).await.is(204, "");
    assert!(!lives(&one).await && lives(&two).await && lives(&other).await);
    server.post(path, json!({"expiry": 60})).await.is(204, "");
    assert!(lives(&two).await);
    server.node.advance(60_000).unwrap();
    assert!(!lives(&two).await && lives(&other).await);
    server.delete("/api/v1/app/other").await.is(204, "");
    assert!(!lives(&other).await);
}

#[tokio::test]
async fn tokens_and_keys_survive_a_restart_and_so_does_their_end() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let (server, running) = server_over(Arc::clone(&store), |_| ()).await;
    let application = json!({"application": {"name": "Acme"}, "sessionId": "stays"});
    let stays = portal(&server, "acme", application).await.token;
    let left = portal(&server, "acme", json!({})).await;
    left.post("/api/v1/auth/logout", Value::Null)
        .await
        .is(204, "");
    let left = left.token.clone();
    let all = format!("{ACME}/integration");
    let made = server
        .post(&all, json!({"name": "CRM"}))
        .await
        .is(201, "")
        .json();
    let path = format!("{all}/{}/key", made["id"].as_str().unwrap());
    let key = server.get(&path).await.is(200, "").json();
    drop(server);
    running.stop(Duration::ZERO).await;

    let (server, running) = server_over(store, |_| ()).await;
    let get = async |token: &str| {
        let (server, token) = (&server, token.to_owned());
        let caller = Caller { server, token };
        caller.get("/api/v1/auth/whoami").await
    };
    assert_eq!(get(&stays).await.is(200, "").json()["sessionId"], "stays");
    get(&left).await.is(401, "E0101");
    assert_eq!(server.get(&path).await.is(200, "").json(), key);
    let key = key["key"].as_str().unwrap();
    assert_eq!(get(key).await.is(200, "").json()["name"], "CRM");
    running.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn what_a_portal_is_asked_for_is_checked() {
    let server = with_apps().await;
    let path = "/api/v1/auth/app-portal-access/acme";
    for (body, field) in [
        (json!({"expiry": 3599}), "body.expiry"),
        (json!({"capabilities": ["Fly"]}), "body.capabilities"),
        (json!({"sessionId": ""}), "body.sessionId"),
        (json!({"featureFlags": [""]}), "body.featureFlags"),
    ] {
        assert_eq!(
            server.post(path, body).await.is(422, "E0100").place(),
            field
        );
    }
    let nobody = "/api/v1/auth/app-portal-access/nobody";
    server.post(nobody, json!({})).await.is(404, "E0102");
    let unlike = json!({"application": {"name": "New", "uid": "unlike"}});
    let refused = server.post(nobody, unlike).await.is(422, "E0100");
    assert_eq!(refused.place(), "body.application.uid");
}

#[tokio::test]
async fn a_portal_makes_its_application_where_there_is_none() {
    let server = with_apps().await;
    let body = json!({"application": {"name": "New", "uid": "fresh"}});
    for _ in 0..2 {
        let portal = portal(&server, "fresh", body.clone()).await;
        let app = portal.get("/api/v1/app/fresh").await.is(200, "").json();
        assert_eq!(
            (&app["name"], &app["uid"]),
            (&json!("New"), &json!("fresh"))
        );
    }
    let old = server.post("/api/v1/auth/dashboard-access/fresh", Value::Null);
    assert!(old.await.is(200, "").json()["token"].is_string());
}

#[tokio::test]
async fn objects_of_another_application_are_not_there() {
    let server = with_apps().await;
    let (mine, theirs) = (
        endpoint_of(&server, "acme").await,
        endpoint_of(&server, "other").await,
    );
    let portal = portal(&server, "acme", json!({})).await;
    portal
        .get(&format!("{ACME}/endpoint/{mine}"))
        .await
        .is(200, "");
    for method in ["GET", "PATCH", "DELETE"] {
        let path = format!("{ACME}/endpoint/{theirs}");
        let reply = portal.send(method, &path, Value::Null).await;
        reply.is(404, "E0102");
    }
    for path in ["secret", "headers", "transformation"] {
        let path = format!("{ACME}/endpoint/{theirs}/{path}");
        portal.get(&path).await.is(404, "E0102");
    }
    portal
        .get(&format!("{ACME}/attempt/endpoint/{theirs}"))
        .await
        .is(404, "E0102");
    portal
        .get("/api/v1/app/other/endpoint")
        .await
        .is(404, "E0102");
    portal.get("/api/v1/app").await.is(403, "E0111");
    server
        .get(&format!("/api/v1/app/other/endpoint/{theirs}"))
        .await
        .is(200, "");
}

#[tokio::test]
async fn fields_that_take_more_are_refused_with_less() {
    let server = with_apps().await;
    let own = endpoint_of(&server, "acme").await;
    let body = json!({"capabilities": ["ViewBase", "ManageEndpoint"]});
    let portal = portal(&server, "acme", body).await;
    let url = "https://example.com/two";
    let all = format!("{ACME}/endpoint");
    let one = format!("{ACME}/endpoint/{own}");
    let code = "function handler(w) { return w; }";
    let secret = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    for (method, path, body) in [
        (
            "POST",
            &all,
            json!({"url": url, "transformation": {"code": code}}),
        ),
        (
            "PUT",
            &one,
            json!({"url": url, "transformation": {"code": code}}),
        ),
        ("POST", &all, json!({"url": url, "secret": secret})),
        ("PATCH", &one, json!({"secret": secret})),
        (
            "POST",
            &format!("{all}?test=payment.succeeded"),
            json!({"url": url}),
        ),
    ] {
        portal.send(method, path, body).await.is(403, "E0111");
    }
    portal.post(&all, json!({"url": url})).await.is(201, "");
    portal
        .send("PATCH", &one, json!({"description": "mine"}))
        .await
        .is(200, "");
}

#[tokio::test]
async fn only_the_operator_may_leave_a_certificate_unchecked() {
    let server = with_apps().await;
    let own = endpoint_of(&server, "acme").await;
    let portal = portal(&server, "acme", json!({})).await;
    let one = format!("{ACME}/endpoint/{own}");
    let insecure = json!({"tls": {"insecure": true}});
    let refused = portal.send("PATCH", &one, insecure).await;
    refused.is(403, "E0111");
    let checked = json!({"tls": {"insecure": false}});
    portal.send("PATCH", &one, checked).await.is(200, "");
}

#[tokio::test]
async fn two_who_make_an_application_unless_it_exists_get_the_same_one() {
    let server = server().await;
    let made = || {
        server.post(
            "/api/v1/app?get_if_exists=true",
            json!({"name": "A", "uid": "a"}),
        )
    };
    let (one, other) = tokio::join!(made(), made());
    assert_eq!(one.json()["id"], other.json()["id"]);
    assert!(one.json()["id"].is_string());
}

#[tokio::test]
async fn the_servers_own_event_log_is_out_of_reach() {
    let server = with_apps().await;
    let internal = json!({"integration": "inngest", "url": "internal://events"});
    let all = format!("{ACME}/endpoint");
    let portal = portal(&server, "acme", json!({})).await;
    portal.post(&all, internal.clone()).await.is(403, "E0111");
    let made = server.post(&all, internal).await.is(201, "").json();
    let one = format!("{all}/{}", made["id"].as_str().unwrap());
    portal.get(&one).await.is(200, "");
    let code = json!({"code": "function handler(w) { return w; }"});
    portal
        .send("PATCH", &format!("{one}/transformation"), code)
        .await
        .is(403, "E0111");
    portal
        .send("PATCH", &one, json!({"disabled": true}))
        .await
        .is(403, "E0111");
    portal
        .send("DELETE", &one, Value::Null)
        .await
        .is(403, "E0111");
    let own = endpoint_of(&server, "acme").await;
    let moved = json!({"integration": "inngest", "url": "internal://events"});
    portal
        .send("PATCH", &format!("{all}/{own}"), moved)
        .await
        .is(403, "E0111");
}

#[tokio::test]
async fn an_integration_is_made_shown_renamed_and_removed() {
    let server = with_apps().await;
    let all = format!("{ACME}/integration");
    let body = json!({"name": "CRM", "featureFlags": ["beta"]});
    let made = server.post(&all, body).await.is(201, "").json();
    let id = made["id"].as_str().unwrap();
    assert!(id.starts_with("integ_"));
    assert_eq!(made["featureFlags"], json!(["beta"]));
    let one = format!("{all}/{id}");
    assert_eq!(server.get(&one).await.is(200, "").json(), made);
    let listed = server.get(&all).await.is(200, "").json();
    assert_eq!((&listed["data"][0], &listed["done"]), (&made, &json!(true)));
    let renamed = server
        .put(&one, json!({"name": "ERP"}))
        .await
        .is(200, "")
        .json();
    assert_eq!(
        (&renamed["name"], &renamed["featureFlags"]),
        (&json!("ERP"), &json!([]))
    );

    let first = server.get(&format!("{one}/key")).await.is(200, "").json();
    let key = |reply: &Value| reply["key"].as_str().unwrap().to_owned();
    let caller = |key: String| Caller {
        server: &server,
        token: key,
    };
    assert!(key(&first).starts_with("integsk_"));
    let old = caller(key(&first));
    let me = old.get("/api/v1/auth/whoami").await.is(200, "").json();
    assert_eq!(
        (&me["kind"], &me["name"]),
        (&json!("integration"), &json!("ERP"))
    );
    let rotate = format!("{one}/key/rotate");
    let rotated = server.post(&rotate, Value::Null).await.is(200, "");
    let new = caller(key(&rotated.json()));
    old.get(&format!("{ACME}/endpoint")).await.is(401, "E0101");
    new.get(&format!("{ACME}/endpoint")).await.is(200, "");
    new.get(&all).await.is(403, "E0111");
    new.get("/api/v1/app/other/endpoint").await.is(404, "E0102");

    server
        .get(&format!("/api/v1/app/other/integration/{id}"))
        .await
        .is(404, "E0102");
    server.delete(&one).await.is(204, "");
    server.delete(&one).await.is(404, "E0102");
    new.get(&format!("{ACME}/endpoint")).await.is(401, "E0101");
    let nameless = server
        .post(&all, json!({"name": ""}))
        .await
        .is(422, "E0100");
    assert_eq!(nameless.place(), "body.name");
}

#[tokio::test]
async fn an_application_is_replaced_patched_and_left_out_of_lists() {
    let server = with_apps().await;
    let path = "/api/v1/app/upserted";
    let body = json!({"name": "One", "metadata": {"a": "b"}, "retentionDays": 30});
    let made = server.put(path, body).await.is(201, "").json();
    assert_eq!(made["uid"], "upserted");
    assert_eq!(
        (&made["retentionDays"], &made["payloadRetentionDays"]),
        (&json!(30), &json!(90))
    );
    let body = json!({"name": "Two", "throttleRate": 5});
    let again = server.put(path, body).await.is(200, "").json();
    assert_eq!(
        (&again["id"], &again["uid"]),
        (&made["id"], &json!("upserted"))
    );
    assert_eq!(
        (&again["metadata"], &again["retentionDays"]),
        (&json!({}), &json!(30))
    );
    let patch = json!({"throttleRate": null, "retentionDays": null, "wipeOnSuccess": true});
    let patched = server.patch(path, patch).await.is(200, "").json();
    assert_eq!(
        (&patched["name"], &patched["rateLimit"]),
        (&json!("Two"), &Value::Null)
    );
    assert_eq!(
        (&patched["retentionDays"], &patched["wipeOnSuccess"]),
        (&json!(180), &json!(true))
    );
    for (patch, field) in [
        (json!({"retentionDays": 0}), "body.retentionDays"),
        (
            json!({"payloadRetentionDays": 4000}),
            "body.payloadRetentionDays",
        ),
        (json!({"name": ""}), "body.name"),
        (json!({"throttleRate": 0}), "body.throttleRate"),
    ] {
        assert_eq!(
            server.patch(path, patch).await.is(422, "E0100").place(),
            field
        );
    }
    server
        .patch(path, json!({"uid": "acme"}))
        .await
        .is(409, "E0103");
    server
        .patch(path, json!({"uid": "moved"}))
        .await
        .is(200, "");
    server.get(path).await.is(404, "E0102");
    server
        .patch("/api/v1/app/default", json!({"uid": null}))
        .await
        .is(400, "E0100");
}

#[tokio::test]
async fn applications_without_endpoints_worth_a_name_are_left_out_on_demand() {
    let server = with_apps().await;
    endpoint_of(&server, "acme").await;
    let off = json!({"url": "https://example.com/hook", "disabled": true});
    server
        .post("/api/v1/app/other/endpoint", off)
        .await
        .is(201, "");
    let uids = async |query: &str| -> Vec<String> {
        let listed = server
            .get(&format!("/api/v1/app?{query}"))
            .await
            .is(200, "")
            .json();
        let listed = listed["data"].as_array().unwrap().clone();
        listed
            .iter()
            .map(|app| app["uid"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(uids("").await, ["default", "acme", "other"]);
    assert_eq!(
        uids("exclude_apps_with_no_endpoints=true").await,
        ["acme", "other"]
    );
    assert_eq!(
        uids("exclude_apps_with_disabled_endpoints=true").await,
        ["default", "acme"]
    );
    assert_eq!(
        uids("exclude_apps_with_no_endpoints=false&limit=1").await,
        ["default"]
    );
}

#[tokio::test]
async fn a_request_that_comes_again_is_answered_as_before() {
    let server = with_apps().await;
    let post =
        async |path: &str, key: &str, body: Value| server.post_with_key(path, key, body).await;
    let body = json!({"url": "https://example.com/hook"});
    let all = format!("{ACME}/endpoint");
    let first = post(&all, "k1", body.clone()).await.is(201, "");
    let second = post(&all, "k1", json!({"url": "https://example.com/else"})).await;
    assert_eq!(first.text, second.is(201, "").text);
    let third = post(&all, "k2", body.clone()).await.is(201, "");
    assert_ne!(first.text, third.text);
    let listed = server.get(&all).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2);
    // What was refused may be asked again with the same key.
    post(&all, "k3", json!({})).await.is(422, "E0100");
    post(&all, "k3", body.clone()).await.is(201, "");
    server.node.advance(12 * 3_600_000).unwrap();
    assert_ne!(first.text, post(&all, "k1", body).await.is(201, "").text);
}
