//! I21: nothing of one application is there for whoever has access to another, whatever path names
//! it. Each row of the policy table that lets somebody in is asked for objects of another
//! application, beside objects of its own.

use dunlin_api::policy::{Route, TABLE, Within};
use http::Request;
use serde_json::{Value, json};

use crate::harness::{Reply, Server, server};

/// What an application has, by the names of the table.
struct Owned {
    app: &'static str,
    ids: [(&'static str, String); 3],
}

async fn owned(server: &Server, app: &'static str) -> Owned {
    let root = format!("/api/v1/app/{app}");
    let body = json!({"name": app, "uid": app});
    server.post("/api/v1/app", body).await.is(201, "");
    // A message is over at once where the script does not want it.
    let fields = json!({"url": "https://example.com/hook", "uid": format!("uid-{app}"),
        "transformation": {"code": "function handler(w) { w.cancel = true; return w; }"}});
    let made = server.post(&format!("{root}/endpoint"), fields).await;
    let endpoint = text(&made.is(201, "").json()["id"]);
    let event =
        json!({"eventType": "a.b", "eventId": format!("evt-{app}"), "payload": {"of": app}});
    let sent = server.post(&format!("{root}/msg"), event).await.is(202, "");
    let message = text(&sent.json()["id"]);
    server.node.idle().await;
    let tried = server.get(&format!("{root}/attempt/msg/{message}")).await;
    let attempt = text(&tried.is(200, "").json()["data"][0]["id"]);
    let ids = [
        ("{ep}", endpoint),
        ("{msg}", message),
        ("{attempt}", attempt),
    ];
    Owned { app, ids }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// All that the API tells of it, to its operator.
async fn told(server: &Server, owned: &Owned) -> Vec<String> {
    let root = format!("/api/v1/app/{}", owned.app);
    let [(_, endpoint), (_, message), (_, attempt)] = &owned.ids;
    let mut told = Vec::new();
    for path in [
        "/endpoint".to_owned(),
        "/msg".to_owned(),
        format!("/endpoint/{endpoint}/secret"),
        format!("/endpoint/{endpoint}/transformation"),
        format!("/endpoint/{endpoint}/mtls"),
        format!("/attempt/endpoint/{endpoint}"),
        format!("/attempt/msg/{message}"),
        format!("/msg/{message}/attempt/{attempt}/headers"),
    ] {
        let told_here = server.get(&format!("{root}{path}")).await.is(200, "");
        told.push(told_here.text);
    }
    told
}

/// A body that is right for each of the rows.
fn body() -> Value {
    let at = "2026-01-01T00:00:00Z";
    let block = |label: &str| format!("-----BEGIN {label}-----\nAA\n-----END {label}-----\n");
    let identity = block("PRIVATE KEY") + &block("CERTIFICATE");
    json!({"url": "https://example.com/mine", "headers": {"x-a": "b"}, "enabled": false,
        "code": "function handler(w) { return w; }", "eventType": "a.b", "payload": {},
        "since": at, "createdBefore": at, "identity": identity, "caCert": "PEM", "ids": []})
}

/// The paths of a row in which at least one object is somebody else's.
fn paths(row: &Route, mine: &Owned, theirs: &Owned) -> Vec<String> {
    let mut paths = vec![(row.path.replace("{app}", mine.app), false)];
    for ((name, own), (_, other)) in mine.ids.iter().zip(&theirs.ids) {
        if row.path.contains(name) {
            let each = paths.iter().flat_map(|(path, foreign)| {
                let own = (path.replace(name, own), *foreign);
                [own, (path.replace(name, other), true)]
            });
            paths = each.collect();
        }
    }
    let foreign = paths.into_iter().filter(|(_, foreign)| *foreign);
    foreign.map(|(path, _)| path).collect()
}

async fn ask(server: &Server, token: &str, method: &str, path: &str, body: &Value) -> Reply {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost:8288")
        .header("authorization", format!("Bearer {token}"));
    let body = axum::body::Body::from(body.to_string());
    server.ask(request.body(body).unwrap()).await
}

/// A portal token with all capabilities, and an integration's key.
async fn tokens(server: &Server, app: &str) -> [String; 2] {
    let portal = format!("/api/v1/auth/app-portal-access/{app}");
    let portal = server.post(&portal, json!({})).await.is(200, "").json();
    let all = format!("/api/v1/app/{app}/integration");
    let made = server.post(&all, json!({"name": "one"})).await.is(201, "");
    let key = format!("{all}/{}/key", text(&made.json()["id"]));
    let key = server.get(&key).await.is(200, "").json();
    [text(&portal["token"]), text(&key["key"])]
}

#[tokio::test]
async fn objects_of_another_application_are_not_there_at_any_path() {
    let server = server().await;
    let (mine, theirs) = (owned(&server, "acme").await, owned(&server, "other").await);
    let tokens = tokens(&server, mine.app).await;
    let before = told(&server, &theirs).await;
    let mut asked = 0;
    for row in TABLE.iter().filter(|row| row.within != Within::Nobody) {
        for path in paths(row, &mine, &theirs) {
            for token in &tokens {
                let portal_only = token.starts_with("appsk_");
                if portal_only && row.within == Within::Integration {
                    continue;
                }
                let reply = ask(&server, token, row.method, &path, &body()).await;
                let told = (reply.status, reply.code.as_str());
                assert_eq!(
                    told,
                    (404, "E0102"),
                    "{} {path}: {}",
                    row.method,
                    reply.text
                );
                assert!(!reply.text.contains(&theirs.ids[0].1));
                asked += 1;
            }
        }
    }
    assert!(asked > 80, "{asked}");
    assert_eq!(told(&server, &theirs).await, before);
}

#[tokio::test]
async fn objects_of_another_application_cannot_be_named_in_a_body_or_a_query() {
    let server = server().await;
    let (mine, theirs) = (owned(&server, "acme").await, owned(&server, "other").await);
    let tokens = tokens(&server, mine.app).await;
    let before = told(&server, &theirs).await;
    let [(_, endpoint), (_, message), _] = &mine.ids;
    let [(_, their_endpoint), (_, their_message), _] = &theirs.ids;
    let root = "/api/v1/app/acme";
    for token in &tokens {
        for query in [
            json!({"id": their_message}),
            json!({"eventId": "evt-other"}),
        ] {
            let path = format!("{root}/msg/search");
            let found = ask(&server, token, "POST", &path, &query).await;
            assert_eq!(found.is(200, "").json()["data"], json!([]), "{query}");
        }
        for list in ["msg", "events"] {
            // An iterator is a place, which all applications share.
            for order in ["ascending", "descending"] {
                let query = format!("iterator={their_message}&order={order}");
                let path = format!("{root}/{list}?{query}");
                let listed = ask(&server, token, "GET", &path, &Value::Null).await;
                assert!(!listed.is(200, "").text.contains("\"of\":\"other\""));
            }
        }
        let path = format!("{root}/endpoint/{endpoint}/transformation/simulate");
        for name in [their_message.as_str(), "evt-other"] {
            let body = json!({"code": "function handler(w) { return w; }", "messageId": name});
            let shown = ask(&server, token, "POST", &path, &body).await;
            shown.is(404, "E0102");
        }
        let path = format!("{root}/attempt/msg/{message}?endpoint_id={their_endpoint}");
        let listed = ask(&server, token, "GET", &path, &Value::Null).await;
        listed.is(404, "E0102");
    }
    let path = format!("{root}/msg/bulk-expunge");
    let body = json!({"ids": [their_message, "evt-other"]});
    let expunged = ask(&server, &tokens[1], "POST", &path, &body).await;
    let expected = json!({their_message: "not-found", "evt-other": "not-found"});
    assert_eq!(expunged.is(200, "").json()["results"], expected);
    assert_eq!(told(&server, &theirs).await, before);
}
