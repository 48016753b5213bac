//! A sandbox on the worker binary of this crate, and requests for it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use dunlin_sandbox::{Sandbox, SandboxOptions, TransformReport, TransformRequest};

/// Options for this crate's own worker.
pub(crate) fn options() -> SandboxOptions {
    SandboxOptions::new(
        PathBuf::from(env!("CARGO_BIN_EXE_dunlin-js-worker")),
        Vec::new(),
    )
}

/// A request with that code and payload.
pub(crate) fn request(code: &str, payload: &str) -> TransformRequest {
    TransformRequest {
        code: code.into(),
        method: "POST".to_owned(),
        url: "https://example.com/hook".to_owned(),
        event_type: "payment.succeeded".to_owned(),
        payload: payload.to_owned().into(),
        variables: BTreeMap::from([("TOKEN".to_owned(), "t0".to_owned())]),
        channels: vec!["eu".to_owned()],
        params_headers: BTreeMap::from([("x-from".to_owned(), "dodo".to_owned())]),
        params: None,
    }
}

/// Runs that body of a handler on `{"a":1}`.
pub(crate) async fn run(sandbox: &Sandbox, body: &str) -> TransformReport {
    let code = format!("function handler(webhook) {{\n{body}\n}}");
    sandbox.run(request(&code, r#"{"a":1}"#)).await
}
