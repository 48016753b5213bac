//! Secrets stay where they belong. A server is given secrets of every kind, each of them a canary,
//! and does all that it does with them; then its files, its logs and everything that it answers
//! are searched. Only what is there to show a secret may: `GET …/secret`, and the script's own page
//! with its variables.
#![expect(clippy::unwrap_used, reason = "a test's way to fail")]

mod kinds;
mod search;

use std::collections::BTreeSet;

use bytes::Bytes;
use dunlin_tests::{Client, Flags, Server, Stub, StubAnswer, free_port, text, until};
use dunlin_types::Timestamp;
use dunlin_wire::standard_webhooks::WebhookKey;
use http::Method;
use serde_json::{Value, json};

use kinds::Others;
use search::Search;

const SIGNING_KEY: &str = "c0c0a5e7c0c0a5e7c0c0a5e7c0c0a5e7c0c0a5e7c0c0a5e7c0c0a5e7c0c0a5e7";
const SEAL_KEY: &str = "5ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea15ea1";
const EVENT_KEY: &str = "canary-event-key-93ab";
const ADMIN_TOKEN: &str = "canary-admin-token-47cd";
const WRONG: &str = "canary-wrong-credential-12ef";
const HEADER: &str = "canary-header-value-88aa";
const HEADER_BEFORE: &str = "canary-header-value-77bb";
const VARIABLE: &str = "canary-variable-66cc";
/// The bytes of secrets, and `whsec_…` of them.
const SECRETS: [(&str, &str); 4] = [
    (
        "canary-source-older-0001",
        "whsec_Y2FuYXJ5LXNvdXJjZS1vbGRlci0wMDAx",
    ),
    (
        "canary-source-newer-0002",
        "whsec_Y2FuYXJ5LXNvdXJjZS1uZXdlci0wMDAy",
    ),
    (
        "canary-endpnt-older-0003",
        "whsec_Y2FuYXJ5LWVuZHBudC1vbGRlci0wMDAz",
    ),
    (
        "canary-endpnt-newer-0004",
        "whsec_Y2FuYXJ5LWVuZHBudC1uZXdlci0wMDA0",
    ),
];

const ENDPOINTS: &str = "/api/v1/app/default/endpoint";
const SOURCES: &str = "/ingest/api/v1/source";

/// A search for everything of this file.
fn search() -> Search {
    let mut search = Search::default();
    search.add("the signing key", SIGNING_KEY);
    search.add("the key that seals", SEAL_KEY);
    search.add("the event key", EVENT_KEY);
    search.add("the admin token", ADMIN_TOKEN);
    search.add("a wrong credential", WRONG);
    search.add("a header", HEADER);
    search.add("a header before", HEADER_BEFORE);
    search.add("a variable", VARIABLE);
    for (bytes, text) in SECRETS {
        search.add(bytes, bytes);
        search.add(text, text.trim_start_matches("whsec_"));
    }
    kinds::add_known(&mut search);
    search
}

/// What the server is told once and must never tell.
fn flags(others: &Others) -> Flags {
    let app = others.app_url();
    [
        "--allow-endpoint-range",
        "127.0.0.0/8",
        "--allow-endpoint-range",
        kinds::BEHIND_PROXY,
        "--sdk-url",
        &app,
    ]
    .map(str::to_owned)
    .to_vec()
}

async fn start(others: &Others) -> Server {
    let proxy = others.proxy_url();
    let variables = [
        ("DUNLIN_SIGNING_KEY", SIGNING_KEY),
        ("DUNLIN_EVENT_KEY", EVENT_KEY),
        ("DUNLIN_ADMIN_TOKEN", ADMIN_TOKEN),
        ("DUNLIN_SEAL_KEY", SEAL_KEY),
        ("DUNLIN_PROXY", &proxy),
        ("DUNLIN_LOG", "trace"),
    ];
    Server::start_in("start", free_port(), flags(others), &variables)
        .await
        .with_bearer(ADMIN_TOKEN)
}

async fn made(client: &Client, path: &str, body: &Value) -> String {
    let reply = client.post(path, body).await;
    assert!(reply.status < 300, "{path}: {}", reply.text());
    reply.json()["id"].as_str().unwrap_or_default().to_owned()
}

async fn set_up(client: &Client, receiver: &Stub) -> String {
    let config = json!({ "secret": SECRETS[0].1, "mode": "live" });
    let source = json!({ "name": "shop", "type": "dodo", "config": config });
    made(client, SOURCES, &source).await;
    let rotate = format!("{SOURCES}/shop/secret/rotate");
    made(client, &rotate, &json!({ "key": SECRETS[1].1 })).await;

    let code = "function handler(webhook) {
        webhook.payload.seen = webhook.env.API_KEY.length;
        webhook.headers = { 'x-of-script': webhook.env.API_KEY };
        webhook.url += '?key=' + webhook.env.API_KEY;
        return webhook;
    }";
    let endpoint = json!({
        "url": format!("{}/hook", receiver.base()),
        "secret": SECRETS[2].1,
        "headers": { "authorization": HEADER_BEFORE },
        "transformation": { "code": code, "enabled": true },
    });
    let id = made(client, ENDPOINTS, &endpoint).await;
    let rotate = format!("{ENDPOINTS}/{id}/secret/rotate");
    made(client, &rotate, &json!({ "key": SECRETS[3].1 })).await;
    let replies = [
        (
            Method::PUT,
            "headers",
            json!({ "headers": { "authorization": HEADER, "x-api-key": HEADER } }),
        ),
        (
            Method::PATCH,
            "transformation",
            json!({ "variables": { "API_KEY": VARIABLE } }),
        ),
    ];
    for (method, what, body) in replies {
        let path = format!("{ENDPOINTS}/{id}/{what}");
        let json = [("content-type", "application/json")];
        let reply = client.send(method, &path, &json, body.to_string()).await;
        assert_eq!(reply.status, 204, "{what}: {}", reply.text());
    }
    // One that nobody listens at, so that a failure to connect is told, too.
    let nobody = json!({
        "url": format!("http://127.0.0.1:{}/", free_port()),
        "secret": SECRETS[3].1,
        "headers": { "x-api-key": HEADER },
    });
    made(client, ENDPOINTS, &nobody).await;
    id
}

/// A webhook as the provider signs it.
async fn webhook(client: &Client, key: &str, id: &str) -> u16 {
    let body = Bytes::from_static(br#"{"type":"payment.succeeded","data":{"amount":5390}}"#);
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    let at = Timestamp::from_ms(since.as_millis() as i64);
    let signature = WebhookKey::parse(key).unwrap().sign(id, at, &body).unwrap();
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", &at.secs().to_string()),
        ("webhook-signature", &signature),
    ];
    let reply = client.send(Method::POST, "/in/shop", &headers, body);
    reply.await.status
}

/// Until the receiver has so many deliveries; the last one proves that the secrets are in use.
async fn delivered(receiver: &Stub, count: usize) {
    let heard = until("deliveries", async || {
        let heard = receiver.heard();
        (heard.len() >= count).then_some(heard)
    })
    .await;
    let last = heard.last().unwrap();
    assert_eq!(last.header("authorization"), Some(HEADER));
    assert!(last.body.contains(&format!("\"seen\":{}", VARIABLE.len())));
    let at = last.header("webhook-timestamp").unwrap();
    let at = Timestamp::from_ms(at.parse::<i64>().unwrap() * 1000);
    let id = last.header("webhook-id").unwrap();
    for (_, secret) in &SECRETS[2..] {
        let key = WebhookKey::parse(secret).unwrap();
        let wanted = key.sign(id, at, last.body.as_bytes()).unwrap();
        let signatures = last.header("webhook-signature").unwrap();
        assert!(signatures.contains(&wanted), "both secrets are valid");
    }
}

/// Requests that fail in every way, with secrets in each part of them.
async fn fail_in_many_ways(search: &mut Search, server: &Server, endpoint: &str) {
    let admin = server.client();
    let wrong = admin.with_bearer(WRONG);
    let e_wrong = format!("/e/{WRONG}");
    let by_wrong = [
        (Method::GET, SOURCES, ""),
        (Method::GET, "/v1/events", ""),
        (Method::POST, "/fn/register", "{}"),
        (Method::POST, "/v0/gql", r#"{"query":"{ apps { id } }"}"#),
        (Method::POST, &e_wrong, r#"{"name":"a","data":{}}"#),
    ];
    for (method, path, body) in by_wrong {
        search.ask(&wrong, method, path, body).await;
    }
    let one = format!("{ENDPOINTS}/{endpoint}");
    let headers = format!("{one}/headers");
    let transformation = format!("{one}/transformation");
    let rotate = format!("{one}/secret/rotate");
    let secret = SECRETS[1].1;
    let bad = [
        (
            Method::POST,
            SOURCES,
            format!(r#"{{"name":"{secret}","type":"dodo","config":{{"secret":"{secret}"}}}}"#),
        ),
        (
            Method::POST,
            SOURCES,
            format!(r#"{{"name":"b","type":"dodo","config":{{"secret":["{secret}"]}}}}"#),
        ),
        (
            Method::POST,
            SOURCES,
            format!(r#"{{"name":"b","type":"dodo","config":{{"secret":"{secret}!"}}}}"#),
        ),
        (
            Method::POST,
            SOURCES,
            format!(r#"{{"name":"b","type":"dodo","config":"{secret}"}}"#),
        ),
        (
            Method::POST,
            SOURCES,
            format!(r#"{{"name":"shop","type":"dodo","config":{{"secret":"{secret}"}}"#),
        ),
        (
            Method::POST,
            ENDPOINTS,
            format!(r#"{{"url":"nonsense","secret":"{secret}"}}"#),
        ),
        (
            Method::POST,
            ENDPOINTS,
            format!(r#"{{"url":"https://a.example","secret":{{"key":"{secret}"}}}}"#),
        ),
        (
            Method::PUT,
            &headers,
            format!(r#"{{"headers":{{"authorization":["{HEADER}"]}}}}"#),
        ),
        (
            Method::PUT,
            &headers,
            format!(r#"{{"headers":{{"host":"{HEADER}"}}}}"#),
        ),
        (
            Method::PUT,
            &headers,
            format!(r#"{{"headers":{{"x-api-key":"{HEADER}\n"}}}}"#),
        ),
        (
            Method::PATCH,
            &transformation,
            format!(r#"{{"code":"function handler( {{","variables":{{"A":"{VARIABLE}"}}}}"#),
        ),
        (
            Method::PATCH,
            &transformation,
            format!(r#"{{"variables":{{"A":["{VARIABLE}"]}}}}"#),
        ),
        (Method::POST, &rotate, format!(r#"{{"key":"{secret}!"}}"#)),
        (Method::POST, &rotate, format!(r#"{{"key":["{secret}"]}}"#)),
    ];
    for (method, path, body) in bad {
        search.ask(admin, method, path, &body).await;
    }
    let forged = SECRETS[3].1;
    assert_eq!(webhook(admin, forged, "msg_forged").await, 401);
}

/// Everything that shows something about what was done.
async fn read_all(search: &mut Search, server: &Server, endpoint: &str, event: &str) {
    let admin = server.client();
    let messages = search.get(admin, "/api/v1/app/default/msg").await;
    let message = text(&messages["data"][0]["id"]);
    let attempts = format!("/api/v1/app/default/attempt/endpoint/{endpoint}");
    let attempt = text(&search.get(admin, &attempts).await["data"][0]["id"]);
    let of_message = format!("/api/v1/app/default/msg/{message}");
    let paths = [
        "/health".to_owned(),
        "/dev".to_owned(),
        "/metrics".to_owned(),
        SOURCES.to_owned(),
        format!("{SOURCES}/shop"),
        format!("{SOURCES}/shop/errors"),
        "/api/v1/app".to_owned(),
        ENDPOINTS.to_owned(),
        format!("{ENDPOINTS}/{endpoint}"),
        format!("{ENDPOINTS}/{endpoint}/headers"),
        format!("{ENDPOINTS}/{endpoint}/stats"),
        of_message.clone(),
        format!("{of_message}/endpoint"),
        format!("{of_message}/attempt/{attempt}"),
        format!("{of_message}/attempt/{attempt}/headers"),
        format!("/api/v1/app/default/attempt/msg/{message}"),
        format!("/api/events/{event}/explain"),
        format!("/api/events/{message}/explain"),
        "/v1/events".to_owned(),
        format!("/v1/events/{event}"),
        format!("/v1/events/{event}/runs"),
        "/v2/account".to_owned(),
        "/v2/apps".to_owned(),
        "/v2/keys/events".to_owned(),
        "/v2/keys/signing".to_owned(),
        "/v2/runs".to_owned(),
        "/api/replays".to_owned(),
        "/api/limits".to_owned(),
        "/webhooks".to_owned(),
        "/nowhere".to_owned(),
    ];
    for path in paths {
        search.get(admin, &path).await;
    }
    let queries = [
        "{ apps { id name sdkLanguage url error } }",
        "{ functions { id name slug triggers { type value } } }",
        "{ eventsV2(filter: { from: \\\"2020-01-01T00:00:00Z\\\" }) { edges { node { id name raw } } } }",
        "{ secrets { key } }",
    ];
    for query in queries {
        let body = format!(r#"{{"query":"{query}"}}"#);
        search.ask(admin, Method::POST, "/v0/gql", &body).await;
    }
}

#[tokio::test]
async fn no_secret_is_in_any_file_any_log_or_any_answer_that_is_not_there_to_show_it() {
    let mut search = search();
    let receiver = Stub::start(StubAnswer::Fixed(500, "text/plain", "no")).await;
    let others = Others::start().await;
    let mut server = start(&others).await;
    let endpoint = set_up(server.client(), &receiver).await;
    let made = kinds::set_up(&mut search, &server, &others).await;
    for (n, key) in [SECRETS[0].1, SECRETS[1].1].into_iter().enumerate() {
        let id = format!("msg_{n}");
        assert_eq!(webhook(server.client(), key, &id).await, 200);
    }
    kinds::webhooks(server.client(), &made, "first").await;
    delivered(&receiver, 4).await;
    kinds::used(server.client(), &others, &made).await;
    let sent = json!({ "name": "order.paid", "data": { "amount": 1 } });
    let reply = server
        .client()
        .post(&format!("/e/{EVENT_KEY}"), &sent)
        .await;
    let event = text(&reply.json()["ids"][0]);

    search.server(&server, "before failures");
    fail_in_many_ways(&mut search, &server, &endpoint).await;
    kinds::fail(&mut search, server.client(), &made).await;
    search.server(&server, "after failures");
    read_all(&mut search, &server, &endpoint, &event).await;
    kinds::read(&mut search, server.client(), &made).await;
    search.server(&server, "after reads");

    // From what is on disk alone, it goes on with the same secrets.
    server.restart(flags(&others)).await;
    server = server.with_bearer(ADMIN_TOKEN);
    let before = receiver.heard().len();
    assert_eq!(
        webhook(server.client(), SECRETS[1].1, "msg_again").await,
        200
    );
    kinds::webhooks(server.client(), &made, "again").await;
    delivered(&receiver, before + 3).await;
    read_all(&mut search, &server, &endpoint, &event).await;
    kinds::read(&mut search, server.client(), &made).await;
    search.server(&server, "after a crash");

    let shown = server.client().get(&format!("{SOURCES}/shop/secret")).await;
    assert_eq!(
        text(&shown.json()["key"]),
        SECRETS[1].1,
        "what shows it does"
    );
    let mut control = self::search();
    control.look("what shows it", &shown.bytes);
    assert_eq!(control.found.len(), 1, "what is there is found");
    assert!(search.searched > 100, "{}", search.searched);
    assert_eq!(search.found, BTreeSet::new());
}
