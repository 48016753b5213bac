//! The wrapper of streamed responses: status 201, whitespace that keeps the connection alive, then
//! one object that holds what the response would have been.

use bytes::Bytes;
use dunlin_types::{Code, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Failure;
use super::head::Head;
use crate::duration::RetryAfter;
use crate::json;

#[derive(Deserialize)]
struct Wrapper<'a> {
    status: Option<u16>,
    #[serde(borrow)]
    headers: Option<&'a RawValue>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, rename = "retryAt", default)]
    retry_at: json::Text<'a>,
    #[serde(rename = "noRetry")]
    no_retry: Option<bool>,
}

/// The status and body inside, with their headers laid over those of HTTP.
pub(super) fn unwrap(body: &Bytes, head: &mut Head) -> Result<(u16, Bytes), Failure> {
    let bad = |what: &str| Failure::ours(Code::CallResponseBad, what);
    let text = std::str::from_utf8(body).map_err(|_| bad("the streamed response is not UTF-8"))?;
    let wrapper: Wrapper<'_> = serde_json::from_str(text)
        .map_err(|e| bad(&format!("the streamed response could not be read: {e}")))?;
    if let Some(members) = wrapper.headers.and_then(|h| json::Members::of(h.get())) {
        for (name, value) in &members.0 {
            let value = value.get();
            match json::string(value) {
                Some(text) => head.set(name, &text),
                None => head.set(name, value),
            }
        }
    }
    if let Some(at) = Timestamp::parse_rfc3339(&wrapper.retry_at.0) {
        head.retry_after = Some(RetryAfter::At(at));
    }
    if wrapper.no_retry == Some(true) {
        head.no_retry = Some(true);
    }
    let Some(status) = wrapper.status.filter(|status| *status != 0) else {
        let said = wrapper.error.map(RawValue::get).unwrap_or_default();
        return Err(match said {
            "" => bad("the streamed response has no status"),
            said => Failure::ours(
                Code::FunctionError,
                &json::string(said).unwrap_or_else(|| said.to_owned()),
            ),
        });
    };
    let inner = match wrapper.body.map(RawValue::get) {
        None => Bytes::new(),
        // JavaScript and Python send the JSON text as a string, Go the JSON itself.
        Some(raw) => match json::string(raw) {
            Some(text) => Bytes::from(text),
            None => body.slice_ref(raw.as_bytes()),
        },
    };
    Ok((status, inner))
}
