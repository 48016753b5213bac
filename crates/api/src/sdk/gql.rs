//! Reads for tools and test suites that ask the reference dev server: `POST /v0/gql`.

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_graphql::Request;
use http::{HeaderValue, StatusCode};

use crate::error::{ERROR_HEADER, Reply};
use crate::state::Api;

pub(super) async fn query(State(api): State<Api>, body: Bytes) -> Reply {
    let request = Request::parse(&body)?;
    let now = api.node.now();
    let read = api
        .node
        .read(move |reader| Ok(dunlin_graphql::execute(reader, &request, now)));
    let answer = read.await?;
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, Json(answer.body)).into_response();
    let code = answer
        .code
        .map(|code| HeaderValue::from_str(&code.to_string()));
    if let Some(Ok(code)) = code {
        response.headers_mut().insert(ERROR_HEADER, code);
    }
    Ok(response)
}
