//! Further kinds of secrets, each of them in use: other schemes of sources, URLs with a secret part,
//! credentials of an application's side, operational webhooks, client certificates, a proxy's
//! password, and what apps are called with.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use dunlin_tests::{Client, Heard, Server, Stub, StubAnswer, text, until};
use dunlin_wire::sign::SigningKey;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::Method;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};

use crate::search::Search;
use crate::{ADMIN_TOKEN, ENDPOINTS, EVENT_KEY, HEADER, SIGNING_KEY, SOURCES, made};

const HEADER_SECRET: &str = "canary-generic-header-secret-0005";
const HMAC_KEY: &str = "canary-generic-hmac-key-000000006";
const VERIFY_TOKEN: &str = "canary-challenge-token-0007";
/// The bytes of a secret, and `whsec_…` of them.
const OPERATIONAL: (&str, &str) = (
    "canary-operational-00008",
    "whsec_Y2FuYXJ5LW9wZXJhdGlvbmFsLTAwMDA4",
);
const OPERATIONAL_HEADER: &str = "canary-operational-header-0009";
const PROXY_PASSWORD: &str = "canary-proxy-password-0010";
/// `user:` with that password, as a header carries it.
const PROXY_BASIC: &str = "dXNlcjpjYW5hcnktcHJveHktcGFzc3dvcmQtMDAxMA==";
/// Of a header that no list of names knows.
const PARTNER: &str = "canary-own-header-000000012";
const BROKEN_KEY: &str = "canaryBrokenPrivateKey0011";
/// A network that is nobody's, reached by the proxy.
pub(crate) const BEHIND_PROXY: &str = "192.0.2.0/24";

const APP: &str = "/api/v1/app/default";
const OPERATIONAL_ENDPOINTS: &str = "/api/v1/operational-webhook/endpoint";

/// Who the server talks to with these secrets.
pub(crate) struct Others {
    proxy: Stub,
    app: Stub,
    operational: Stub,
    /// What speaks no TLS, though it is asked to.
    plain: Stub,
}

/// What there is to be read of them.
pub(crate) struct Made {
    endpoints: Vec<String>,
    operational: String,
    integration: String,
    integration_key: String,
    portal_token: String,
    /// Behind `/in/`.
    till: String,
    run: String,
}

impl Others {
    pub(crate) async fn start() -> Self {
        Self {
            proxy: Stub::start(StubAnswer::Fixed(502, "text/plain", "no")).await,
            app: Stub::start(StubAnswer::Fixed(200, "application/json", "\"done\"")).await,
            operational: Stub::start(StubAnswer::Fixed(204, "text/plain", "")).await,
            plain: Stub::start(StubAnswer::Fixed(200, "text/plain", "yes")).await,
        }
    }

    /// Where the app is, which an operator has to name if it is on a private address.
    pub(crate) fn app_url(&self) -> String {
        self.app.url()
    }

    /// The proxy's URL, with its password.
    pub(crate) fn proxy_url(&self) -> String {
        let base = self.proxy.base();
        base.replace("http://", &format!("http://user:{PROXY_PASSWORD}@"))
    }
}

/// What is known before anything is made.
pub(crate) fn add_known(search: &mut Search) {
    search.add("the secret of a header", HEADER_SECRET);
    search.add("the key of an HMAC", HMAC_KEY);
    search.add("the token of a challenge", VERIFY_TOKEN);
    search.add("an operational webhook's secret", OPERATIONAL.0);
    let text = OPERATIONAL.1.trim_start_matches("whsec_");
    search.add("an operational webhook's secret as text", text);
    search.add("an operational webhook's header", OPERATIONAL_HEADER);
    search.add("the proxy's password", PROXY_PASSWORD);
    search.add("the proxy's password as sent", PROXY_BASIC);
    search.add("a broken private key", BROKEN_KEY);
    // Whoever set it sees it there, and nowhere else.
    let shown: &[&str] = &[
        "the answer to GET /api/v1/app/default/endpoint/",
        "the answer to GET /webhooks/",
    ];
    search.add_shown("a header of one's own", PARTNER, shown);
    let key = SigningKey::parse(SIGNING_KEY).unwrap();
    search.add("the hashed signing key", key.hashed().reveal());
}

pub(crate) async fn set_up(search: &mut Search, server: &Server, others: &Others) -> Made {
    let client = server.client();
    let till = sources(search, client).await;
    let (integration, integration_key, portal_token) = credentials(search, client).await;
    let body = json!({
        "url": format!("{}/told", others.operational.base()),
        "secret": OPERATIONAL.1,
        "headers": { "x-api-key": OPERATIONAL_HEADER },
    });
    let operational = made(client, OPERATIONAL_ENDPOINTS, &body).await;
    let endpoints = endpoints(search, client, others).await;
    let run = app_call(server, others).await;
    Made {
        endpoints,
        operational,
        integration,
        integration_key,
        portal_token,
        till,
        run,
    }
}

/// A source whose header is the secret, and one with an HMAC and a secret part in its URL.
async fn sources(search: &mut Search, client: &Client) -> String {
    let config = json!({
        "secret": HEADER_SECRET,
        "verify": { "by": "header", "header": "x-api-key" },
        "challenge": { "verifyToken": VERIFY_TOKEN },
    });
    let source = json!({ "name": "erp", "type": "generic-webhook", "config": config });
    made(client, SOURCES, &source).await;
    let config = json!({
        "secret": HMAC_KEY,
        "verify": { "by": "hmac", "header": "x-mac" },
    });
    let source = json!({ "name": "till", "type": "generic-webhook", "config": config });
    made(client, SOURCES, &source).await;
    let rotated = client
        .post(&format!("{SOURCES}/till/token/rotate"), &Value::Null)
        .await;
    assert!(rotated.status < 300, "{}", rotated.text());
    let source = client.get(&format!("{SOURCES}/till")).await.json();
    let url = text(&source["ingestUrl"]);
    let (_, path) = url.rsplit_once("/in/").unwrap();
    let (_, token) = path.split_once('.').unwrap();
    // Whoever sets the sender up needs the URL.
    let shown: &[&str] = &["the answer to GET /ingest/api/v1/source"];
    search.add_shown("the secret part of a URL", token, shown);
    path.to_owned()
}

/// An integration and its key, and a portal token.
async fn credentials(search: &mut Search, client: &Client) -> (String, String, String) {
    let path = format!("{APP}/integration");
    let id = made(client, &path, &json!({ "name": "CRM" })).await;
    let key = |id: &str| format!("{path}/{id}/key");
    let before = text(&client.get(&key(&id)).await.json()["key"]);
    search.add("an integration's key before", before);
    let rotate = format!("{}/rotate", key(&id));
    let rotated = client.post(&rotate, &Value::Null).await;
    assert!(rotated.status < 300, "{}", rotated.text());
    let now = text(&client.get(&key(&id)).await.json()["key"]);
    search.add("an integration's key", now.clone());
    let path = "/api/v1/auth/app-portal-access/default";
    let reply = client.post(path, &json!({ "sessionId": "jane" })).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let token = text(&reply.json()["token"]);
    search.add("a portal token", token.clone());
    (id, now, token)
}

fn pem(what: &str, der: &[u8]) -> String {
    let text = BASE64.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    let lines = lines.join("\n");
    format!("-----BEGIN {what}-----\n{lines}\n-----END {what}-----\n")
}

/// One with a client certificate, one behind the proxy.
async fn endpoints(search: &mut Search, client: &Client, others: &Others) -> Vec<String> {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["client.example".to_owned()]).unwrap();
    let certificate = pem("CERTIFICATE", certificate.self_signed(&key).unwrap().der());
    let authority = KeyPair::generate().unwrap();
    let ca = CertificateParams::new(["ca.example".to_owned()]).unwrap();
    let ca = pem("CERTIFICATE", ca.self_signed(&authority).unwrap().der());
    let key = pem("PRIVATE KEY", &key.serialize_der());
    let lines = |pem: &str| pem.lines().map(str::to_owned).collect::<Vec<_>>();
    search.add("a private key", lines(&key)[2].clone());
    // It is no secret, but it is nobody's business, either.
    let shown: &[&str] = &[
        "/",
        "the answer to GET /api/v1/app/default/endpoint",
        "the answer to GET /api/v1/app/default/msg/",
    ];
    search.add_shown("an authority", lines(&ca)[2].clone(), shown);
    let tls = json!({
        "url": others.plain.base().replace("http://", "https://"),
        "headers": { "x-api-key": HEADER },
        "tls": { "ca": ca, "clientCertificate": certificate, "clientKey": key },
    });
    let headers = json!({ "x-api-key": HEADER, "x-partner": PARTNER });
    let proxied = json!({ "url": "http://192.0.2.77/", "headers": headers });
    vec![
        made(client, ENDPOINTS, &tls).await,
        made(client, ENDPOINTS, &proxied).await,
    ]
}

/// A run whose one call carries the signing key's proof and is answered without one.
async fn app_call(server: &Server, others: &Others) -> String {
    let url = others.app.url();
    let runtime = json!({ "type": "http", "url": format!("{url}?fnId=canary-fn&stepId=step") });
    let step = json!({
        "id": "step", "name": "step", "retries": { "attempts": 0 }, "runtime": runtime,
    });
    let function = json!({
        "id": "canary-fn", "name": "fn", "triggers": [{ "event": "canary/fn" }],
        "steps": { "step": step },
    });
    let body = dunlin_tests::registration("canary", &url, &[function]);
    let app = server.client().with_bearer(SIGNING_KEY);
    let reply = app.post("/fn/register", &body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let event = json!({ "name": "canary/fn", "data": {} });
    let reply = app.post(&format!("/e/{EVENT_KEY}"), &event).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let event = text(&reply.json()["ids"][0]);
    server.run_of(&event).await
}

/// A webhook that each of the generic sources takes.
pub(crate) async fn webhooks(client: &Client, made: &Made, id: &str) {
    let body = json!({ "type": "stock.low", "id": id }).to_string();
    let reply = client.send(
        Method::POST,
        "/in/erp",
        &[("x-api-key", HEADER_SECRET)],
        body.clone(),
    );
    assert_eq!(reply.await.status, 200);
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(HMAC_KEY.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let mac = mac.finalize().into_bytes();
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    let headers = [
        ("x-mac", hex.as_str()),
        // What a sender adds that needs it nowhere.
        ("authorization", ADMIN_TOKEN),
        ("x-api-key", HEADER_SECRET),
        ("cookie", HEADER_SECRET),
    ];
    let path = format!("/in/{}", made.till);
    let reply = client.send(Method::POST, &path, &headers, body).await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    let path = format!("/in/erp?hub.verify_token={VERIFY_TOKEN}&hub.challenge=echo");
    assert_eq!(client.get(&path).await.text(), "echo");
}

/// Until every secret was used by whom it is for.
pub(crate) async fn used(client: &Client, others: &Others, made: &Made) {
    until("call of the app", async || {
        let signed = |heard: &Heard| heard.header("x-inngest-signature").is_some();
        let mut heard = others.app.heard().into_iter();
        heard.find(|heard| heard.method == "POST" && signed(heard))
    })
    .await;
    until("operational webhook", async || {
        let mut heard = others.operational.heard().into_iter();
        heard.find(|heard| heard.header("x-api-key") == Some(OPERATIONAL_HEADER))
    })
    .await;
    until("attempt with a client certificate", async || {
        let path = format!("{APP}/attempt/endpoint/{}", made.endpoints[0]);
        let attempts = client.get(&path).await.json();
        attempts["data"].as_array()?.first().cloned()
    })
    .await;
    until("attempt by the proxy", async || {
        let mut heard = others.proxy.heard().into_iter();
        heard.find(|heard| {
            let sent = heard.header("proxy-authorization").unwrap_or_default();
            heard.method == "CONNECT" && sent.ends_with(PROXY_BASIC)
        })
    })
    .await;
}

/// Requests that are refused, with secrets at the wrong place.
pub(crate) async fn fail(search: &mut Search, client: &Client, made: &Made) {
    let body = Bytes::from_static(br#"{"type":"stock.low"}"#);
    let misled = [
        ("/in/shop", "x-api-key", HEADER_SECRET),
        ("/in/till", "x-mac", HMAC_KEY),
        ("/in/erp", "x-api-key", HMAC_KEY),
        ("/in/erp", "x-secret", HEADER_SECRET),
        ("/in/erp", "authorization", HEADER_SECRET),
    ];
    for (path, name, value) in misled {
        let headers = [(name, value)];
        let reply = client.send(Method::POST, path, &headers, body.clone());
        let reply = reply.await;
        assert!(reply.status >= 400, "{path}");
        search.look(&format!("the refusal of {path}"), &reply.bytes);
    }
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{BROKEN_KEY}\n-----END PRIVATE KEY-----\n");
    let one = format!("{ENDPOINTS}/{}", made.endpoints[0]);
    let portal = format!("{}x", made.portal_token);
    for tls in [
        json!({ "clientKey": pem }),
        json!({ "clientKey": [BROKEN_KEY] }),
        json!({ "clientKey": BROKEN_KEY, "clientCertificate": BROKEN_KEY }),
    ] {
        let body = json!({ "tls": tls }).to_string();
        search.ask(client, Method::PATCH, &one, &body).await;
    }
    let verify = json!({ "by": [HEADER_SECRET] });
    let config = json!({ "secret": HEADER_SECRET, "verify": verify });
    let source = json!({ "name": "bad", "type": "generic-webhook", "config": config });
    search
        .ask(client, Method::POST, SOURCES, &source.to_string())
        .await;
    let guest = client.with_bearer(&portal);
    search.get(&guest, "/api/v1/auth/whoami").await;
    let path = format!("/e/{}", made.integration_key);
    search.ask(&guest, Method::POST, &path, "{}").await;
    let path = format!("/in/erp?hub.verify_token={VERIFY_TOKEN}x&hub.challenge=echo");
    search.look("a refused challenge", &client.get(&path).await.bytes);
    let body = json!({ "url": "nonsense", "secret": OPERATIONAL.1 }).to_string();
    search
        .ask(client, Method::POST, OPERATIONAL_ENDPOINTS, &body)
        .await;
}

/// Everything that shows something about them.
pub(crate) async fn read(search: &mut Search, client: &Client, made: &Made) {
    let run = &made.run;
    let mut paths = vec![
        format!("{APP}/integration"),
        format!("{APP}/integration/{}", made.integration),
        OPERATIONAL_ENDPOINTS.to_owned(),
        format!("{OPERATIONAL_ENDPOINTS}/{}", made.operational),
        format!("{OPERATIONAL_ENDPOINTS}/{}/headers", made.operational),
        "/api/v1/background-task".to_owned(),
        "/api/v1/auth/whoami".to_owned(),
        format!("{APP}/stats/attempts"),
        format!("/v1/runs/{run}"),
        format!("/v1/runs/{run}/jobs"),
        format!("/v2/runs/{run}"),
        format!("/v2/runs/{run}/trace?includeOutput=true"),
        format!("/v0/runs/{run}/actions"),
        format!("/v0/runs/{run}/batch"),
        format!("/api/runs/{run}/waiting"),
        "/v2/apps/canary".to_owned(),
        "/v1/apps/canary/functions".to_owned(),
        "/api/functions/canary-fn/queues".to_owned(),
        "/webhooks".to_owned(),
    ];
    for source in ["shop", "erp", "till"] {
        paths.push(format!("{SOURCES}/{source}"));
        paths.push(format!("{SOURCES}/{source}/errors"));
    }
    for endpoint in &made.endpoints {
        for what in ["", "/headers", "/msg", "/attempt-stats", "/dead-letter"] {
            paths.push(format!("{ENDPOINTS}/{endpoint}{what}"));
        }
        let attempts = format!("{APP}/attempt/endpoint/{endpoint}?with_content=true");
        let newest = search.get(client, &attempts).await["data"][0].take();
        let (message, attempt) = (text(&newest["msgId"]), text(&newest["id"]));
        paths.push(format!("{APP}/msg/{message}/attempt/{attempt}/headers"));
        paths.push(format!("/webhooks/{endpoint}"));
        paths.push(format!("/webhooks/{endpoint}/headers"));
    }
    for path in paths {
        search.get(client, &path).await;
    }
    for token in [&made.portal_token, &made.integration_key] {
        let guest = client.with_bearer(token);
        let whoami = search.get(&guest, "/api/v1/auth/whoami").await;
        assert!(
            whoami["appId"].is_string() || whoami.is_object(),
            "{whoami}"
        );
        for path in [ENDPOINTS, "/api/v1/app/default/msg", "/metrics"] {
            search.get(&guest, path).await;
        }
    }
}
