//! Checks what a worker answered. The worker ran a stranger's code, so nothing it says is taken
//! on trust: the method, the address, the headers and the body are judged here, in the parent.

use std::collections::BTreeMap;

use bytes::Bytes;
use dunlin_types::Code;
use dunlin_types::limits::{
    DELIVERY_BODY_BYTES_MAX, JSON_DEPTH_LEVELS_MAX, TRANSFORM_HEADER_BYTES_MAX,
    TRANSFORM_HEADERS_MAX,
};
use http::{HeaderName, HeaderValue, Uri};
use serde::de::IgnoredAny;

use crate::frame::{Failed, Form, Returned};
use crate::report::{ScriptError, TransformRequest, Transformed};

const METHODS: [&str; 3] = ["POST", "PUT", "PATCH"];

/// The delivery a run asked for, if it may ask for that.
pub(crate) fn judge(
    request: &TransformRequest,
    returned: Returned,
    payload: Vec<u8>,
) -> Result<Transformed, ScriptError> {
    let headers = headers(returned.headers)?;
    let raw_text = returned.payload == Form::Text;
    let payload = match returned.payload {
        Form::Kept => request.payload.clone(),
        Form::Json => json(payload)?,
        Form::Text => text(payload)?,
    };
    Ok(Transformed {
        method: method(returned.method, &request.method)?,
        url: url(returned.url, &request.url)?,
        payload,
        raw_text,
        headers,
        cancel: returned.cancel,
    })
}

/// A worker's error, held to the codes a transformation can fail with.
pub(crate) fn error_of(failed: Failed) -> ScriptError {
    let code = Code::from_number(failed.code)
        .filter(|code| (Code::TransformSyntax..=Code::TransformLength).contains(code))
        .unwrap_or(Code::TransformCrashed);
    ScriptError {
        code,
        message: failed.message,
        line: failed.line,
        column: failed.column,
    }
}

fn bad(message: impl Into<String>) -> ScriptError {
    ScriptError::new(Code::TransformReturnBad, message)
}

fn method(returned: Option<String>, old: &str) -> Result<String, ScriptError> {
    let Some(new) = returned.filter(|new| new != old) else {
        return Ok(old.to_owned());
    };
    let upper = new.to_ascii_uppercase();
    if METHODS.contains(&upper.as_str()) {
        return Ok(upper);
    }
    Err(bad(format!("method is {new:?}, not POST, PUT or PATCH")))
}

fn url(returned: Option<String>, old: &str) -> Result<String, ScriptError> {
    let Some(new) = returned.filter(|new| new != old) else {
        return Ok(old.to_owned());
    };
    let parsed: Option<Uri> = new.parse().ok();
    let fits = parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    match fits {
        true => Ok(new),
        false => Err(bad(format!(
            "url is {new:?}, not an absolute http or https URL"
        ))),
    }
}

fn headers(pairs: Vec<(String, String)>) -> Result<BTreeMap<String, String>, ScriptError> {
    if pairs.len() > TRANSFORM_HEADERS_MAX {
        return Err(bad(format!(
            "headers has more than {TRANSFORM_HEADERS_MAX} entries"
        )));
    }
    let mut headers = BTreeMap::new();
    for (name, value) in pairs {
        let Ok(known) = HeaderName::from_bytes(name.as_bytes()) else {
            return Err(bad(format!(
                "headers has {name:?}, which is no header name"
            )));
        };
        if value.len() > TRANSFORM_HEADER_BYTES_MAX {
            let most = TRANSFORM_HEADER_BYTES_MAX;
            return Err(bad(format!("headers.{name} has more than {most} bytes")));
        }
        if HeaderValue::from_str(&value).is_err() {
            return Err(bad(format!(
                "headers.{name} has characters a header may not have"
            )));
        }
        headers.insert(known.as_str().to_owned(), value);
    }
    Ok(headers)
}

fn json(payload: Vec<u8>) -> Result<Bytes, ScriptError> {
    let payload = text(payload)?;
    if serde_json::from_slice::<IgnoredAny>(&payload).is_err() {
        return Err(bad("payload is not JSON"));
    }
    if dunlin_types::json_depth(&payload) > JSON_DEPTH_LEVELS_MAX {
        return Err(bad(format!(
            "payload is nested deeper than {JSON_DEPTH_LEVELS_MAX} levels"
        )));
    }
    Ok(payload)
}

fn text(payload: Vec<u8>) -> Result<Bytes, ScriptError> {
    if payload.len() > DELIVERY_BODY_BYTES_MAX {
        return Err(bad(format!(
            "payload has more than {DELIVERY_BODY_BYTES_MAX} bytes"
        )));
    }
    if str::from_utf8(&payload).is_err() {
        return Err(bad("payload is not UTF-8"));
    }
    Ok(Bytes::from(payload))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forged_code_or_body_is_not_passed_on() {
        let forged = Failed {
            code: Code::StoreDead.number(),
            message: String::new(),
            line: None,
            column: None,
        };
        assert_eq!(error_of(forged).code, Code::TransformCrashed);
        assert_eq!(
            json(b"{".to_vec()).unwrap_err().message,
            "payload is not JSON"
        );
        assert!(text(vec![0xff]).is_err());
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert_eq!(
            json(deep.into_bytes()).unwrap_err().code,
            Code::TransformReturnBad
        );
    }
}
