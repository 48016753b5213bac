//! Requests that steps ask this server to make, drawn up in full: `Gateway` for any address,
//! `AIGateway` for a model, with the provider's kind of credentials.

use bytes::Bytes;
use dunlin_types::limits::{OUTBOUND_HEAD_BYTES_MAX, OUTBOUND_HEADERS_MAX, URL_BYTES_MAX};
use dunlin_types::{Coded, OutboundRequest, Payload};
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Map, Value};

use super::opts::Opts;
use crate::json::{self, Members};
use crate::percent;

/// Headers that belong to a connection of the app's own, not to this one.
const NOT_PASSED_ON: [&str; 11] = [
    "accept-encoding",
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Name of a model or format, as far as it is shown.
const SHOWN_NAME_CHARS_MAX: usize = 128;

/// The request of an op `Gateway`.
pub(super) fn gateway(opts: &Opts<'_>) -> Result<OutboundRequest, Coded> {
    let url = address(opts)?;
    let method = method(opts)?;
    let mut headers = Headers(Vec::new());
    headers.take_from(opts)?;
    let body = match opts.get("body") {
        None => Bytes::new(),
        Some(text) => {
            opts.check_input(text.len())?;
            // A text goes out as it is, JSON or not.
            json::string(text)
                .map_or_else(|| json::cut(opts.body, text).bytes().clone(), Bytes::from)
        }
    };
    Ok(OutboundRequest {
        ai: false,
        shown: shown(&url, &method, None, None),
        method,
        url,
        headers: headers.0,
        body,
    })
}

/// The request of an op `AIGateway`.
pub(super) fn ai(opts: &Opts<'_>) -> Result<OutboundRequest, Coded> {
    let mut url = address(opts)?;
    let text = opts
        .get("body")
        .ok_or_else(|| opts.bad("asks a model without a body"))?;
    opts.check_input(text.len())?;
    let format = opts.text("format").unwrap_or_default();
    let mut headers = Headers(Vec::new());
    headers.set("content-type", "application/json".to_owned());
    if let Some(key) = opts.text("auth_key") {
        HeaderValue::try_from(&key)
            .map_err(|_| opts.bad("has a key with characters that a key may not have"))?;
        match format.as_str() {
            "gemini" => url = with_key(&url, &key),
            "anthropic" => headers.set("x-api-key", key),
            "bedrock" => headers.set("authorization", key),
            _ => headers.set("authorization", format!("Bearer {key}")),
        }
    }
    headers.take_from(opts)?;
    let model = Members::of(text).map(|body| named(&body.string("model")));
    let method = "POST".to_owned();
    Ok(OutboundRequest {
        ai: true,
        shown: shown(&url, &method, Some(&named(&format)), model.as_deref()),
        method,
        url,
        headers: headers.0,
        body: json::cut(opts.body, text).bytes().clone(),
    })
}

/// Refused here is what no request can go to; the rest is judged by whoever sends it. The address
/// is not repeated in errors, for it may hold credentials.
fn address(opts: &Opts<'_>) -> Result<String, Coded> {
    let url = opts
        .text("url")
        .ok_or_else(|| opts.bad("asks for a request without a url"))?;
    if url.len() > URL_BYTES_MAX {
        return Err(opts.bad(&format!("has a url of more than {URL_BYTES_MAX} bytes")));
    }
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let is_web = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    let no_host = rest.is_empty() || rest.starts_with(['/', '\\', '?', '#', ':']);
    if !is_web || no_host || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err(opts.bad("has a url that is not a valid http or https URL"));
    }
    Ok(url)
}

fn method(opts: &Opts<'_>) -> Result<String, Coded> {
    let Some(text) = opts.text("method") else {
        return Ok("POST".to_owned());
    };
    let method = text.to_ascii_uppercase();
    match Method::from_bytes(method.as_bytes()) {
        Ok(parsed) if parsed != Method::CONNECT && parsed != Method::TRACE => Ok(method),
        _ => Err(opts.bad("asks for a request with a method that cannot be sent")),
    }
}

struct Headers(Vec<(String, String)>);

impl Headers {
    /// Sets one, in place of any of that name.
    fn set(&mut self, name: &str, value: String) {
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name.to_owned(), value)),
        }
    }

    /// Adds what the app asks for, which goes before what is set here.
    fn take_from(&mut self, opts: &Opts<'_>) -> Result<(), Coded> {
        let given = opts.get("headers").and_then(Members::of);
        let given = given.map(|members| members.0).unwrap_or_default();
        if given.len() > OUTBOUND_HEADERS_MAX {
            return Err(opts.bad(&format!(
                "sets {} headers, at most {OUTBOUND_HEADERS_MAX} are allowed",
                given.len()
            )));
        }
        let mut bytes = 0;
        for (name, value) in given {
            let name = HeaderName::try_from(name.as_ref())
                .map_err(|_| opts.bad("sets a header whose name is not valid"))?;
            let name = name.as_str();
            let value = header_text(value.get())
                .map_err(|()| opts.bad(&format!("sets the header {name} to what is no text")))?;
            let Some(value) = value.filter(|_| !NOT_PASSED_ON.contains(&name)) else {
                continue;
            };
            let value = value.trim();
            HeaderValue::try_from(value).map_err(|_| {
                opts.bad(&format!(
                    "sets the header {name} to a value with characters that headers may not have"
                ))
            })?;
            bytes += name.len() + value.len();
            self.set(name, value.to_owned());
        }
        match bytes {
            ..=OUTBOUND_HEAD_BYTES_MAX => Ok(()),
            _ => Err(opts.bad(&format!(
                "sets {bytes} bytes of headers, at most {OUTBOUND_HEAD_BYTES_MAX} are allowed"
            ))),
        }
    }
}

/// The text of a header's value; several values are one list.
fn header_text(raw: &str) -> Result<Option<String>, ()> {
    let one = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(()),
    };
    match serde_json::from_str(raw).map_err(|_| ())? {
        Value::Null => Ok(None),
        Value::Array(values) => {
            let texts: Vec<String> = values.into_iter().map(one).collect::<Result<_, _>>()?;
            Ok(Some(texts.join(", ")).filter(|text| !text.is_empty()))
        }
        value => one(value).map(Some),
    }
}

/// The address with `key` in its query.
fn with_key(url: &str, key: &str) -> String {
    let url = url.split('#').next().unwrap_or_default();
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut out = format!("{base}?");
    let kept = query
        .split('&')
        .filter(|pair| !pair.is_empty() && *pair != "key" && !pair.starts_with("key="));
    for pair in kept {
        out.push_str(pair);
        out.push('&');
    }
    out.push_str("key=");
    percent::push(&mut out, key);
    out
}

fn named(text: &str) -> String {
    text.chars().take(SHOWN_NAME_CHARS_MAX).collect()
}

fn shown(url: &str, method: &str, format: Option<&str>, model: Option<&str>) -> Payload {
    let url = without_secrets(url);
    let mut out = Map::new();
    for (key, text) in [
        ("format", format),
        ("method", Some(method)),
        ("model", model),
        ("url", Some(url.as_str())),
    ] {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            out.insert(key.to_owned(), text.into());
        }
    }
    Payload::from_json(Value::Object(out).to_string())
}

/// The address without user, query and fragment. A backslash ends the host as a slash does.
fn without_secrets(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let end = rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{host}{path}")
}
