//! The policy table, walked: every row with no, wrong and right credentials. The handlers are
//! stand-ins, for nothing here may depend on what they do.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::routing::any;
use dunlin_types::Secret;
use dunlin_wire::sign::SigningKey;
use http::{HeaderMap, Request as HttpRequest};
use http_body_util::Full;
use serde_json::Value;
use tower::ServiceExt as _;

use super::*;
use crate::policy::{TABLE, Who};

const SIGNING: &str = "0123abcd";
const ADMIN: &str = "admin-token";
const EVENT: &str = "event-key";

pub(super) fn start() -> ApiOptions {
    let mut options = ApiOptions::dev("127.0.0.1:8288".parse().unwrap());
    options.kind = ServerKind::Cloud;
    options.signing_key = Some(Arc::new(SigningKey::parse(SIGNING).unwrap()));
    options.event_keys = vec![Secret::new("other-key"), Secret::new(EVENT)];
    options.admin_token = Some(Secret::new(ADMIN));
    options.test_mode = true;
    options
}

pub(super) fn dev() -> ApiOptions {
    ApiOptions::dev("127.0.0.1:8288".parse().unwrap())
}

fn served(options: &ApiOptions) -> Router {
    served_by(Gate::new(options, None))
}

/// All paths of the table, and one that is not in it.
pub(super) fn served_by(gate: Gate) -> Router {
    let paths: BTreeSet<&str> = TABLE.iter().map(|row| row.path).collect();
    let stand_in = |body: Bytes| async move { format!("{} bytes", body.len()) };
    let mut routes = Router::new().route("/stowaway", any(stand_in));
    for path in paths {
        routes = routes.route(path, any(stand_in));
    }
    behind(gate, routes)
}

/// A path that the row serves.
pub(super) fn path_of(row: &Route, key: &str) -> String {
    let parts = row.path.split('/').map(|part| match part {
        "{key}" => key,
        "{*rest}" => "of/no/other/row",
        part if part.starts_with('{') => "some",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

pub(super) async fn ask(
    app: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Response {
    let mut request = HttpRequest::builder().method(method).uri(path);
    if !headers.iter().any(|(name, _)| *name == "host") {
        request = request.header("host", "localhost:8288");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.clone()
        .oneshot(request.body(body.into()).unwrap())
        .await
        .unwrap()
}

pub(super) async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

pub(super) fn code(response: &Response) -> &str {
    response
        .headers()
        .get(ERROR_HEADER)
        .map_or("", |code| code.to_str().unwrap())
}

#[tokio::test]
async fn every_route_lets_in_exactly_those_it_names() {
    let app = served(&start());
    let bearer = |token: &str| format!("Bearer {token}");
    let hash = start().signing_key.unwrap().hashed().reveal().to_owned();
    for row in TABLE {
        let admits = |who: &[Who]| who.contains(&row.who);
        let anybody = admits(&[Who::Open, Who::SourceSignature]);
        let app_may = anybody || admits(&[Who::SigningKey, Who::SigningKeyOrAdmin]);
        let operator_may = anybody || admits(&[Who::Admin, Who::SigningKeyOrAdmin, Who::TestOnly]);
        let sender_may = anybody || admits(&[Who::EventKey]);
        for (token, key, may) in [
            (None, "wrong", anybody),
            (Some(bearer("wrong")), "wrong", anybody),
            (Some(SIGNING.to_owned()), "wrong", anybody),
            (Some(bearer(EVENT)), "wrong", anybody),
            (Some(bearer("")), "wrong", anybody),
            (Some(bearer(SIGNING)), "wrong", app_may),
            (Some(bearer(&hash)), "wrong", app_may),
            (Some(bearer(ADMIN)), "wrong", operator_may),
            (None, EVENT, sender_may),
        ] {
            let header = token.as_deref().map(|token| ("authorization", token));
            let headers: Vec<_> = header.into_iter().collect();
            let path = path_of(row, key);
            let response = ask(&app, row.method, &path, &headers, "").await;
            let expected = if may { 200 } else { 401 };
            let asked = format!("{} {path} with {token:?}", row.method);
            assert_eq!(response.status().as_u16(), expected, "{asked}");
            assert_eq!(may, code(&response).is_empty(), "{asked}");
        }
    }
}

#[tokio::test]
async fn development_is_open_but_for_tests() {
    let app = served(&dev());
    for row in TABLE {
        let odd = [("authorization", "Bearer undefined")];
        let response = ask(&app, row.method, &path_of(row, "any"), &odd, "").await;
        let expected = if row.who == Who::TestOnly { 404 } else { 200 };
        assert_eq!(
            response.status().as_u16(),
            expected,
            "{} {}",
            row.method,
            row.path
        );
        assert_eq!(response.headers()["x-inngest-server-kind"], "dev");
    }
}

#[tokio::test]
async fn a_path_without_a_row_is_not_served() {
    let app = served(&dev());
    for path in ["/stowaway", "/nowhere"] {
        let response = ask(&app, "GET", path, &[], "").await;
        assert_eq!(
            (response.status().as_u16(), code(&response)),
            (404, "E0102")
        );
    }
    let response = ask(&app, "PUT", "/health", &[], "").await;
    assert_eq!(
        (response.status().as_u16(), code(&response)),
        (405, "E0110")
    );
    assert_eq!(response.headers()["allow"], "GET");
}

#[tokio::test]
async fn every_route_refuses_a_body_over_its_limit_told_beforehand_or_not() {
    let app = served(&dev());
    for row in TABLE
        .iter()
        .filter(|row| row.body_bytes_max > 0 && row.who != Who::TestOnly)
    {
        let path = path_of(row, "any");
        let told = (row.body_bytes_max + 1).to_string();
        let response = ask(&app, row.method, &path, &[("content-length", &told)], "").await;
        assert_eq!(
            (response.status().as_u16(), code(&response)),
            (413, "E0104"),
            "{path}"
        );
        if row.body_bytes_max <= limits::INBOUND_BODY_BYTES_MAX {
            let body = vec![b' '; row.body_bytes_max + 1];
            let response = ask(&app, row.method, &path, &[], body).await;
            assert_eq!(response.status().as_u16(), 413, "{path}");
            let body = vec![b' '; row.body_bytes_max];
            let response = ask(&app, row.method, &path, &[], body).await;
            assert_eq!(
                text(response).await,
                format!("{} bytes", row.body_bytes_max)
            );
        }
    }
}

#[tokio::test]
async fn a_foreign_host_reaches_nothing() {
    for options in [dev(), start()] {
        let app = served(&options);
        for row in TABLE {
            let headers = [
                ("host", "evil.example"),
                ("authorization", "Bearer admin-token"),
            ];
            let response = ask(&app, row.method, &path_of(row, EVENT), &headers, "").await;
            assert_eq!(
                (response.status().as_u16(), code(&response)),
                (403, "E0106")
            );
        }
    }
}

#[tokio::test]
async fn a_foreign_page_changes_nothing() {
    let apps = [(true, served(&dev())), (false, served(&start()))];
    for row in TABLE.iter().filter(|row| !row.is_read()) {
        for (is_dev, app) in &apps {
            for page in ["https://evil.example", "null", "http://localhost:3000"] {
                if *is_dev && page.contains("localhost") && row.cors {
                    continue;
                }
                let headers = [("origin", page), ("authorization", "Bearer admin-token")];
                let response = ask(app, row.method, &path_of(row, EVENT), &headers, "").await;
                let got = (response.status().as_u16(), code(&response));
                assert_eq!(got, (403, "E0107"), "{} from {page}", row.path);
                let allowed = response.headers().get("access-control-allow-origin");
                assert_eq!(allowed, None);
            }
        }
    }
}

#[tokio::test]
async fn pages_of_this_machine_may_send_events_in_development() {
    let page = ("origin", "http://localhost:3000");
    let wants = ("access-control-request-headers", "content-type");
    let app = served(&dev());
    let response = ask(&app, "OPTIONS", "/e/key", &[page, wants], "").await;
    assert_eq!(response.status().as_u16(), 204);
    assert_eq!(response.headers()["access-control-allow-origin"], page.1);
    assert_eq!(
        response.headers()["access-control-allow-headers"],
        "content-type"
    );
    let response = ask(&app, "POST", "/e/key", &[page], "{}").await;
    assert_eq!(response.status().as_u16(), 200);
    assert_eq!(response.headers()["access-control-allow-origin"], page.1);
    let response = ask(&app, "OPTIONS", "/v1/events", &[page], "").await;
    assert_eq!(response.status().as_u16(), 405);
    let response = ask(&served(&start()), "OPTIONS", "/e/event-key", &[page], "").await;
    assert_eq!(response.status().as_u16(), 405);
}

#[tokio::test]
async fn errors_have_the_shape_of_the_api_that_was_called() {
    let app = served(&start());
    let response = ask(&app, "GET", "/v1/events", &[], "").await;
    assert_eq!(text(response).await, "Authentication failed");
    for (method, path, expected) in [
        (
            "POST",
            "/e/wrong",
            r#"{"ids":[],"status":401,"error":"Event key not found","error_code":"E0305"}"#,
        ),
        (
            "GET",
            "/v2/apps",
            r#"{"errors":[{"code":"invalid_signing_key","message":"Authentication failed"}],"error_code":"E0101"}"#,
        ),
        (
            "GET",
            "/api/v1/app",
            r#"{"code":"authentication_failed","detail":"Authentication failed","error_code":"E0101"}"#,
        ),
        (
            "PUT",
            "/fn/register",
            r#"{"error":"the path does not take that method","status":405,"data":null,"error_code":"E0110"}"#,
        ),
    ] {
        let response = ask(&app, method, path, &[], "").await;
        let got: Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(
            got,
            serde_json::from_str::<Value>(expected).unwrap(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_start_without_event_keys_takes_no_events() {
    let mut options = start();
    options.event_keys.clear();
    let response = ask(&served(&options), "POST", "/e/any", &[], "{}").await;
    assert_eq!(response.status().as_u16(), 503);
    assert!(text(response).await.contains("Event keys are required"));
}

#[tokio::test]
async fn what_the_framework_refuses_carries_a_code_too() {
    async fn refuse() -> (StatusCode, &'static str) {
        (StatusCode::UNPROCESSABLE_ENTITY, "a bad query")
    }
    async fn overloaded() -> Refused {
        Refused::plain(Code::Overloaded)
    }
    let routes = Router::new()
        .route("/v1/events", any(refuse))
        .route("/v1/runs/{id}", any(overloaded));
    let app: Router = behind(Gate::new(&dev(), None), routes);
    let response = ask(&app, "GET", "/v1/events", &[], "").await;
    assert_eq!(
        (response.status().as_u16(), code(&response)),
        (422, "E0100")
    );
    assert!(text(response).await.contains(r#""error":"a bad query""#));
    let response = ask(&app, "GET", "/v1/runs/x", &[], "").await;
    assert_eq!(
        (response.status().as_u16(), code(&response)),
        (503, "E0105")
    );
    assert!(response.headers().contains_key("retry-after"));
}

/// A body of which so much arrives, and then nothing more.
fn stalled(bytes: usize) -> Body {
    let ends = std::future::pending::<Option<Result<HeaderMap, std::convert::Infallible>>>();
    Body::new(Full::new(Bytes::from(vec![b' '; bytes])).with_trailers(ends))
}

/// Sends incoming webhooks of that many bytes that never end, and gives what waits for them.
async fn hold_on(
    app: &Router,
    webhooks: usize,
    bytes: usize,
) -> Vec<impl Future<Output = Response>> {
    let told = limits::INBOUND_BODY_BYTES_MAX.to_string();
    let mut held = Vec::new();
    for _ in 0..webhooks {
        let (app, told) = (app.clone(), told.clone());
        let mut request = Box::pin(async move {
            let headers = [("content-length", told.as_str())];
            ask(&app, "POST", "/in/any", &headers, stalled(bytes)).await
        });
        let asked_once = tokio::time::timeout(Duration::ZERO, &mut request).await;
        assert!(asked_once.is_err());
        held.push(request);
    }
    held
}

#[tokio::test]
async fn strangers_who_fill_their_room_leave_that_of_the_others() {
    let app = served(&start());
    let most = limits::INBOUND_BODY_BYTES_MAX;
    let webhooks = limits::HTTP_STRANGERS_BODIES_BYTES_MAX / most;
    let _held = hold_on(&app, webhooks, most).await;
    let large = vec![b' '; most];
    let response = ask(&app, "POST", "/in/any", &[], large.clone()).await;
    let got = (response.status().as_u16(), code(&response));
    assert_eq!(got, (503, "E0105"));
    let small = ask(&app, "POST", "/in/any", &[], "{}").await;
    assert_eq!(small.status().as_u16(), 200);
    let path = format!("/e/{EVENT}");
    let response = ask(&app, "POST", &path, &[], large).await;
    assert_eq!(text(response).await, format!("{most} bytes"));
}

#[tokio::test]
async fn a_body_that_is_only_announced_takes_no_room() {
    let app = served(&start());
    let most = limits::INBOUND_BODY_BYTES_MAX;
    let webhooks = limits::HTTP_STRANGERS_BODIES_BYTES_MAX / most;
    let held = hold_on(&app, 2 * webhooks, 1).await;
    let response = ask(&app, "POST", "/in/any", &[], vec![b' '; most]).await;
    assert_eq!(text(response).await, format!("{most} bytes"));
    drop(held);
}

#[test]
fn a_body_takes_room_as_it_arrives_and_gives_it_back() {
    let (room, length) = (Semaphore::new(256), 150_000);
    let mut taken = None;
    for bytes in [10, 70_000, length] {
        widen(&mut taken, bytes, &room).unwrap();
    }
    assert_eq!(room.available_permits(), 256 - 147);
    assert!(widen(&mut taken, 300 * ROOM_UNIT_BYTES, &room).is_err());
    drop(taken);
    assert_eq!(room.available_permits(), 256);
}
