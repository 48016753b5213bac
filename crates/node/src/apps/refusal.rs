//! What an app's answer to a request to sync means, and what helps when it is a refusal. The words
//! before the colon are the SDK protocol's classes.

use dunlin_types::Code;
use dunlin_wire::register::SYNC_KIND_HEADER;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::options::ServerKind;

/// Why an app is not in step.
pub(super) type Refusal = (Code, String);

/// What a good answer stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Synced {
    /// The registration is in the answer.
    InBand,
    /// The app says that it has sent its registration.
    OutOfBand,
}

/// As much of an app's words as a reason repeats.
const SAID_CHARS_MAX: usize = 300;

/// An answer, taken apart.
struct Answer {
    status: u16,
    is_sdk: bool,
    /// The app sent its registration, and this tells what came of that.
    relayed: bool,
    code: String,
    said: String,
    error_code: Option<Code>,
}

/// What the answer to a request to sync means.
pub(super) fn judge(
    ours: ServerKind,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Synced, Refusal> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let kind = headers.get(SYNC_KIND_HEADER);
    let kind = kind.and_then(|kind| kind.to_str().ok()).map(str::trim);
    let answer = Answer::of(status, headers, &json, kind);
    if !status.is_success() {
        return Err(refused(ours, &answer));
    }
    if kind == Some("in_band") {
        return Ok(Synced::InBand);
    }
    let known = |key: &str| json.get(key).is_some();
    if !answer.is_sdk && !known("modified") && !known("ok") && !known("message") {
        return Err(not_sdk(&answer));
    }
    // The Python SDK answers 200 with whatever the server said, refusals too.
    match json.get("error").and_then(Value::as_str) {
        Some(error) if !error.is_empty() && json.get("ok") != Some(&Value::Bool(true)) => {
            Err(bad_request(ours, &answer))
        }
        _ => Ok(Synced::OutOfBand),
    }
}

impl Answer {
    fn of(status: StatusCode, headers: &HeaderMap, json: &Value, kind: Option<&str>) -> Self {
        let text = |key: &str| json.get(key).and_then(Value::as_str).unwrap_or_default();
        let said = [text("message"), text("error")];
        let said = said.into_iter().find(|text| !text.is_empty());
        let error_code = text("error_code").strip_prefix('E');
        let error_code = error_code.and_then(|digits| digits.parse().ok());
        Self {
            status: status.as_u16(),
            is_sdk: is_sdk(headers),
            relayed: kind == Some("out_of_band"),
            code: text("code").to_owned(),
            said: said
                .unwrap_or_default()
                .chars()
                .take(SAID_CHARS_MAX)
                .collect(),
            error_code: error_code.and_then(Code::from_number),
        }
    }

    /// Whether the app's words hold one of these, in any case.
    fn says(&self, words: &[&str]) -> bool {
        let said = format!("{} {}", self.code, self.said).to_ascii_lowercase();
        words.iter().any(|word| said.contains(word))
    }

    /// The class, what the app said, and what to do.
    fn reason(&self, class: &str, remedy: &str) -> String {
        let said = match self.said.trim() {
            "" => format!("HTTP {}", self.status),
            said => format!("HTTP {}, {said}", self.status),
        };
        format!("{class}: {said}; {remedy}")
    }
}

/// Whether the answer bears the mark of an SDK.
pub(super) fn is_sdk(headers: &HeaderMap) -> bool {
    ["x-inngest-sdk", "x-inngest-sdk-handled", SYNC_KIND_HEADER]
        .iter()
        .any(|name| headers.contains_key(*name))
}

fn refused(ours: ServerKind, answer: &Answer) -> Refusal {
    match answer.status {
        404 => {
            let remedy = "nothing is served there; most frameworks serve at /api/inngest";
            (
                Code::SyncUrlNotFound,
                answer.reason("url_not_found", remedy),
            )
        }
        500.. => failed(ours, answer),
        _ if !answer.is_sdk => not_sdk(answer),
        401 => unauthorized(ours, answer),
        403 if answer.said.is_empty() => kind_differs(ours, answer),
        403 => {
            let remedy = "the app, or something before it, lets nobody sync; its log may say why";
            (Code::SyncForbidden, answer.reason("forbidden", remedy))
        }
        _ => bad_request(ours, answer),
    }
}

fn not_sdk(answer: &Answer) -> Refusal {
    let remedy = "the answer bears no mark of an Inngest SDK; check port and path, and whether \
                  something before the app answers for it";
    (Code::NotAnSdk, answer.reason("not_an_sdk", remedy))
}

fn unauthorized(ours: ServerKind, answer: &Answer) -> Refusal {
    match (ours, answer.relayed) {
        (ServerKind::Dev, false) => kind_differs(ours, answer),
        // This server asks nobody in development, so it was another one.
        (ServerKind::Dev, true) => elsewhere(&answer.reason("unauthorized", ELSEWHERE_REMEDY)),
        (ServerKind::Cloud, _) => key_wrong("unauthorized", answer),
    }
}

fn key_wrong(class: &str, answer: &Answer) -> Refusal {
    let remedy = "set INNGEST_SIGNING_KEY in the app to this server's signing key (or to the one \
                  in INNGEST_SIGNING_KEY_FALLBACK while keys are exchanged), and restart it";
    (Code::SyncKeyWrong, answer.reason(class, remedy))
}

fn kind_differs(ours: ServerKind, answer: &Answer) -> Refusal {
    (
        Code::ServerKindDiffers,
        answer.reason("server_kind_mismatch", kind_remedy(ours)),
    )
}

/// What an app of the other kind must change.
pub(super) const fn kind_remedy(ours: ServerKind) -> &'static str {
    match ours {
        ServerKind::Dev => {
            "the app is in production mode and this is a development server; set INNGEST_DEV=1 in it"
        }
        ServerKind::Cloud => {
            "the app is in development mode and this is a production server; set INNGEST_DEV=0, \
             INNGEST_BASE_URL and INNGEST_SIGNING_KEY in it"
        }
    }
}

const ELSEWHERE_REMEDY: &str = "set INNGEST_BASE_URL in the app to this server's URL, as the app \
                                reaches it";

fn elsewhere(why: &str) -> Refusal {
    (Code::AppElsewhere, why.to_owned())
}

/// The app says that it registered, but this server does not know it.
pub(super) fn not_registered_here(url: &str) -> Refusal {
    elsewhere(&format!(
        "registered_elsewhere: the app says that it registered, but none of {url} is known here; \
         {ELSEWHERE_REMEDY}; if it is to be called at another URL (INNGEST_SERVE_ORIGIN, \
         INNGEST_SERVE_PATH), name that one in --sdk-url"
    ))
}

fn failed(ours: ServerKind, answer: &Answer) -> Refusal {
    if answer.says(&["no functions found", "no_functions"]) {
        return without_functions(answer);
    }
    if answer.says(&["signing_key_unspecified", "missing_signing_key"]) {
        return key_wrong("missing_signing_key", answer);
    }
    // Of a refusal in plain text the JavaScript SDK keeps no more than this.
    if answer.says(&["status code: 401"]) {
        return unauthorized(ours, answer);
    }
    if answer.relayed || answer.says(&["failed to register", "registration_failed", "/fn/register"])
    {
        let class = "registration_failed";
        let remedy = format!(
            "the app could not send its registration; {ELSEWHERE_REMEDY}, or leave \
             INNGEST_ALLOW_IN_BAND_SYNC on, with which it need not reach it"
        );
        return elsewhere(&answer.reason(class, &remedy));
    }
    let remedy = "the app's own log says why; one in production mode (INNGEST_DEV is not set) \
                  fails without INNGEST_SIGNING_KEY";
    (
        Code::SyncAppFailed,
        answer.reason("internal_server_error", remedy),
    )
}

fn without_functions(answer: &Answer) -> Refusal {
    let remedy = "hand the functions to serve() in the app";
    (
        Code::AppWithoutFunctions,
        answer.reason("no_functions", remedy),
    )
}

/// Mostly what this server said, told by the app.
fn bad_request(ours: ServerKind, answer: &Answer) -> Refusal {
    if answer.says(&[
        "server_kind_mismatch",
        "expected server kind",
        "sync rejected since",
    ]) {
        return kind_differs(ours, answer);
    }
    if answer.says(&["no_functions", "no functions found"]) {
        return without_functions(answer);
    }
    if answer.says(&["missing_signing_key", "signing_key_unspecified"]) {
        return key_wrong("missing_signing_key", answer);
    }
    if answer.says(&[
        "signing_key",
        "signing key",
        "sig_verification",
        "authentication failed",
    ]) {
        return key_wrong("invalid_signing_key", answer);
    }
    if answer.says(&[
        "function is invalid",
        "invalid_function",
        "function_config_invalid",
    ]) {
        let remedy = "correct the functions; each reason names its function";
        return (Code::FunctionBad, answer.reason("invalid_function", remedy));
    }
    let code = answer.error_code.unwrap_or(Code::AppRefusedSync);
    let remedy = "these are the app's words; its log may say more";
    (code, answer.reason("refused", remedy))
}

#[cfg(test)]
mod tests;
