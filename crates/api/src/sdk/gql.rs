//! Reads for tools and test suites that ask the reference dev server: `POST /v0/gql`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::IntoResponse as _;
use bytes::Bytes;
use dunlin_graphql::{Begun, Request, Response as GraphqlResponse};
use http::{HeaderValue, StatusCode};

use crate::error::{ERROR_HEADER, Refused, Reply};
use crate::state::Api;

pub(super) async fn query(State(api): State<Api>, body: Bytes) -> Reply {
    let request = Arc::new(Request::parse(&body)?);
    let (mut answer, begun) = execute(&api, &request, Begun::default()).await?;
    // Without the engine's word a run that is due counts as under way: only another word makes
    // another answer.
    let told = api.node.begun(begun.asked()).await.unwrap_or_default();
    if told.values().any(|begun| !begun) {
        answer = execute(&api, &request, Begun::new(told)).await?.0;
    }
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

async fn execute(
    api: &Api,
    request: &Arc<Request>,
    mut begun: Begun,
) -> Result<(GraphqlResponse, Begun), Refused> {
    let (request, now) = (Arc::clone(request), api.node.now());
    let read = api.node.read(move |reader| {
        let answer = dunlin_graphql::execute(reader, &request, now, &mut begun);
        Ok((answer, begun))
    });
    Ok(read.await?)
}
