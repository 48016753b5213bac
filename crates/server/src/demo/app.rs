//! The demo app: serves its functions over HTTP on loopback as an SDK does, and registers them.

use std::convert::Infallible;
use std::io;

use bytes::Bytes;
use dunlin_types::limits;
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::call::{Call, Stop};
use super::functions::{self, Function};
use crate::http_client::HttpClient;

pub(super) const NAME: &str = "demo-shop";
const PATH: &str = "/api/inngest";
const SDK: &str = concat!("dunlin-demo:v", env!("CARGO_PKG_VERSION"));
/// Retries of each function.
const RETRIES: u8 = 3;

/// A place on loopback for the app.
pub(super) struct Bound {
    listener: TcpListener,
    /// Where the app is served.
    pub(super) url: String,
}

pub(super) async fn bind() -> io::Result<Bound> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let url = format!("http://{}{PATH}", listener.local_addr()?);
    Ok(Bound { listener, url })
}

impl Bound {
    /// Serves the app until the task is aborted; it registers at that server.
    pub(super) async fn serve(self, server: String, client: HttpClient) {
        let app = App {
            url: self.url,
            server,
            client,
        };
        while let Ok((stream, _)) = self.listener.accept().await {
            let app = app.clone();
            tokio::spawn(async move {
                let serve = service_fn(move |request| {
                    let app = app.clone();
                    async move { Ok::<_, Infallible>(app.answer(request).await) }
                });
                let http = hyper::server::conn::http1::Builder::new();
                // A connection that breaks is the caller's to notice.
                let _ = http.serve_connection(TokioIo::new(stream), serve).await;
            });
        }
    }
}

#[derive(Clone)]
struct App {
    url: String,
    server: String,
    client: HttpClient,
}

impl App {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        match head.method {
            Method::PUT => self.register().await,
            Method::POST => {
                let body = Limited::new(body, limits::EVENT_BODY_BYTES_MAX)
                    .collect()
                    .await;
                let body = body.map(|body| body.to_bytes()).unwrap_or_default();
                call(&head.uri, &body)
            }
            Method::GET => response(
                StatusCode::OK,
                &json!({ "function_count": functions::ALL.len(), "mode": "dev" }),
            ),
            _ => response(StatusCode::METHOD_NOT_ALLOWED, &Value::Null),
        }
    }

    /// Tells the server which functions there are, and relays what it says.
    async fn register(&self) -> Response<Full<Bytes>> {
        let url = format!("{}/fn/register", self.server);
        let registered = self
            .client
            .ask(Method::POST, &url, Some(self.registration()))
            .await;
        match registered {
            Ok(answer) => {
                let message =
                    json!({ "message": "Successfully registered", "modified": answer["modified"] });
                response(StatusCode::OK, &message)
            }
            Err(failure) => {
                let message = json!({ "message": failure.to_string() });
                response(StatusCode::INTERNAL_SERVER_ERROR, &message)
            }
        }
    }

    fn registration(&self) -> Value {
        let functions: Vec<Value> = functions::ALL
            .iter()
            .map(|function| self.config(function))
            .collect();
        json!({
            "url": self.url, "deployType": "ping", "framework": "demo", "appName": NAME,
            "sdk": SDK, "v": "0.1", "functions": functions,
        })
    }

    fn config(&self, function: &Function) -> Value {
        let id = format!("{NAME}-{}", function.id);
        let mut trigger = json!({ "event": function.event });
        if let Some(expression) = function.expression {
            trigger["expression"] = expression.into();
        }
        let url = format!("{}?fnId={id}&stepId=step", self.url);
        json!({
            "id": id, "name": function.id, "triggers": [trigger],
            "steps": { "step": {
                "id": "step", "name": "step", "retries": { "attempts": RETRIES },
                "runtime": { "type": "http", "url": url },
            } },
        })
    }
}

fn call(uri: &Uri, body: &[u8]) -> Response<Full<Bytes>> {
    let query = |name: &str| {
        let mut pairs = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter_map(|p| p.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let id = query("fnId").and_then(|id| id.strip_prefix(NAME)?.strip_prefix('-'));
    let Some(function) = functions::ALL
        .iter()
        .find(|function| Some(function.id) == id)
    else {
        return response(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({ "message": "no such function" }),
        );
    };
    let Ok(body) = serde_json::from_slice(body) else {
        return response(
            StatusCode::BAD_REQUEST,
            &json!({ "message": "the body is no JSON" }),
        );
    };
    match (function.body)(&Call::read(&body, query("stepId"))) {
        Ok(result) => response(StatusCode::OK, &result),
        Err(Stop::Report(op)) => response(StatusCode::PARTIAL_CONTENT, &json!([op])),
        Err(Stop::Failed(error)) => response(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

fn response(status: StatusCode, body: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = [
        ("content-type", "application/json"),
        ("x-inngest-sdk", SDK),
        ("x-inngest-req-version", "2"),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, http::HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn called(uri: &'static str, body: &Value) -> (StatusCode, Value) {
        let answer = call(&Uri::from_static(uri), body.to_string().as_bytes());
        let status = answer.status();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let body = runtime
            .block_on(answer.into_body().collect())
            .unwrap()
            .to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[test]
    fn a_call_reports_operations_and_the_end_a_result() {
        let uri = "/api/inngest?fnId=demo-shop-handle-dispute&stepId=step";
        let (status, ops) = called(uri, &json!({ "event": { "data": {} }, "steps": {} }));
        assert_eq!(
            (status, &ops[0]["op"]),
            (StatusCode::PARTIAL_CONTENT, &json!("StepRun"))
        );
        let steps = json!({ "collect-evidence": { "data": [] }, "alert-team": { "data": {} } });
        let event = json!({ "data": { "dispute_id": "dp_1" } });
        let (status, result) = called(uri, &json!({ "event": event, "steps": steps }));
        assert_eq!(
            (status, &result["dispute"]),
            (StatusCode::OK, &json!("dp_1"))
        );
    }

    #[test]
    fn calls_that_make_no_sense_are_errors() {
        let (status, _) = called("/api/inngest?fnId=demo-shop-nothing", &json!({}));
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
