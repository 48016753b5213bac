//! Who may call what within an application, over HTTP and beyond a crash: what was let in stays let
//! in, what was sent away stays away, and the files hold neither tokens nor keys.
#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

use dunlin_tests::{Client, Flags, Server, free_port};
use serde_json::{Value, json};

const ADMIN_TOKEN: &str = "admin-token-of-this-test";
const WHOAMI: &str = "/api/v1/auth/whoami";

async fn portal(operator: &Client) -> String {
    let body = json!({"application": {"name": "Acme"}, "capabilities": ["ViewBase"]});
    let path = "/api/v1/auth/app-portal-access/acme";
    let reply = operator.post(path, &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.json()["token"].as_str().unwrap().to_owned()
}

async fn is_let_in(server: &Server, token: &str) -> bool {
    let reply = server.client().with_bearer(token).get(WHOAMI).await;
    assert!(matches!(reply.status, 200 | 401), "{}", reply.text());
    reply.status == 200
}

#[tokio::test]
async fn access_to_an_application_is_as_durable_as_its_end() {
    let variables = [
        ("DUNLIN_SIGNING_KEY", "0123456789abcdef0123456789abcdef"),
        ("DUNLIN_EVENT_KEY", "event-key-of-this-test"),
        ("DUNLIN_ADMIN_TOKEN", ADMIN_TOKEN),
    ];
    let mut server = Server::start_in("start", free_port(), Flags::new(), &variables).await;
    let operator = server.client().with_bearer(ADMIN_TOKEN);
    let (stays, goes) = (portal(&operator).await, portal(&operator).await);
    let made = operator
        .post("/api/v1/app/acme/integration", &json!({"name": "CRM"}))
        .await;
    assert_eq!(made.status, 201, "{}", made.text());
    let path = made.json()["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/app/acme/integration/{path}/key");
    let key = operator.get(&path).await.json()["key"].clone();
    let key = key.as_str().unwrap();
    let guest = server.client().with_bearer(&goes);
    let left = guest.post("/api/v1/auth/logout", &Value::Null).await;
    assert_eq!(left.status, 204, "{}", left.text());

    server.restart(Flags::new()).await;
    assert!(is_let_in(&server, &stays).await);
    assert!(!is_let_in(&server, &goes).await);
    assert!(is_let_in(&server, key).await);
    let guest = server.client().with_bearer(&stays);
    for (path, status) in [
        ("/api/v1/app/acme/endpoint", 200),
        ("/api/v1/app/default/endpoint", 404),
        ("/api/v1/app", 403),
        ("/metrics", 403),
        ("/v1/events", 401),
    ] {
        assert_eq!(guest.get(path).await.status, status, "{path}");
    }
    for (name, bytes) in server.data_files() {
        for secret in [stays.as_str(), goes.as_str(), key] {
            let found = bytes
                .windows(secret.len())
                .any(|window| window == secret.as_bytes());
            assert!(!found, "{name}");
        }
    }
}
