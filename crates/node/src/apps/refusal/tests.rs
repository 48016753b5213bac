//! The answers of real SDKs to requests to sync, and of what is none.

use http::{HeaderName, HeaderValue};

use super::*;

const JS: &[(&str, &str)] = &[("x-inngest-sdk", "inngest-js:v4.24.0")];
const HANDLED: &[(&str, &str)] = &[("x-inngest-sdk-handled", "true")];
const RELAYED: &[(&str, &str)] = &[
    ("x-inngest-sdk", "inngest-js:v4.24.0"),
    ("x-inngest-sync-kind", "out_of_band"),
];
const PYTHON: &[(&str, &str)] = &[
    ("x-inngest-sdk", "inngest-py:v0.5.19"),
    ("x-inngest-sdk-handled", "true"),
];

fn judged(
    ours: ServerKind,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Synced, Refusal> {
    let headers = headers.iter().map(|(name, value)| {
        let name: HeaderName = name.parse().unwrap();
        (name, HeaderValue::from_str(value).unwrap())
    });
    let status = StatusCode::from_u16(status).unwrap();
    judge(ours, status, &headers.collect(), body.as_bytes())
}

#[test]
fn every_refusal_has_its_code_its_class_and_a_remedy() {
    use ServerKind::{Cloud, Dev};
    let unauthorized = r#"{"message":"Unauthorized"}"#;
    let mismatch = r#"{"code":"server_kind_mismatch","message":"Sync rejected since it's from Cloud but expected Dev Server"}"#;
    let no_functions = r#"{"code":"function_config_invalid","message":"no functions found","name":"FunctionConfigInvalidError"}"#;
    let unreachable = r#"{"message":"Failed to register; fetch failed","modified":false}"#;
    let invalid = r#"{"message":"At least one function is invalid: shop-f: it has no trigger","modified":false}"#;
    let told_by_python =
        r#"{"data":null,"error":"At least one function is invalid: f","status":400}"#;
    let from_python = r#"{"code":"unknown","message":"Failed request to http://a/fn/register: refused","name":"Exception"}"#;
    let in_plain_text =
        r#"{"message":"Failed to register; Unexpected token 'A'; status code: 401"}"#;
    let bad_key = r#"{"message":"Authentication failed","modified":false}"#;
    for (ours, status, headers, body, code, class, remedy) in [
        (
            Dev,
            401,
            HANDLED,
            unauthorized,
            402,
            "server_kind_mismatch",
            "INNGEST_DEV=1",
        ),
        (
            Cloud,
            401,
            HANDLED,
            unauthorized,
            409,
            "unauthorized",
            "INNGEST_SIGNING_KEY",
        ),
        (
            Cloud,
            401,
            RELAYED,
            bad_key,
            409,
            "unauthorized",
            "INNGEST_SIGNING_KEY",
        ),
        (
            Dev,
            401,
            RELAYED,
            bad_key,
            416,
            "unauthorized",
            "INNGEST_BASE_URL",
        ),
        (
            Cloud,
            400,
            PYTHON,
            mismatch,
            402,
            "server_kind_mismatch",
            "INNGEST_DEV=0",
        ),
        (
            Dev,
            403,
            PYTHON,
            "{}",
            402,
            "server_kind_mismatch",
            "INNGEST_DEV=1",
        ),
        (Dev, 403, JS, r#"{"message":"no"}"#, 410, "forbidden", "log"),
        (
            Dev,
            404,
            &[],
            "<html>",
            411,
            "url_not_found",
            "/api/inngest",
        ),
        (
            Cloud,
            500,
            PYTHON,
            no_functions,
            413,
            "no_functions",
            "serve()",
        ),
        (
            Dev,
            500,
            PYTHON,
            from_python,
            416,
            "registration_failed",
            "INNGEST_BASE_URL",
        ),
        (
            Cloud,
            500,
            RELAYED,
            in_plain_text,
            409,
            "unauthorized",
            "INNGEST_SIGNING_KEY",
        ),
        (
            Dev,
            500,
            RELAYED,
            unreachable,
            416,
            "registration_failed",
            "INNGEST_BASE_URL",
        ),
        (
            Dev,
            500,
            JS,
            r#"{"code":"internal_server_error"}"#,
            412,
            "internal_server_error",
            "log",
        ),
        (
            Dev,
            502,
            &[],
            "<html>Bad Gateway</html>",
            412,
            "internal_server_error",
            "log",
        ),
        (
            Dev,
            400,
            RELAYED,
            invalid,
            401,
            "invalid_function",
            "shop-f",
        ),
        (
            Dev,
            200,
            PYTHON,
            told_by_python,
            401,
            "invalid_function",
            "correct",
        ),
        (
            Dev,
            200,
            &[],
            "<html>hello</html>",
            414,
            "not_an_sdk",
            "path",
        ),
        (Dev, 405, &[], "", 414, "not_an_sdk", "path"),
        (
            Dev,
            418,
            JS,
            r#"{"message":"teapot"}"#,
            405,
            "refused",
            "teapot",
        ),
        (
            Cloud,
            400,
            JS,
            r#"{"message":"invalid_signing_key"}"#,
            409,
            "invalid_signing_key",
            "key",
        ),
    ] {
        let (found, why) = judged(ours, status, headers, body).unwrap_err();
        let case = format!("{status} {body}: {found} {why}");
        assert_eq!(Some(found), Code::from_number(code), "{case}");
        assert!(why.starts_with(class), "{case}");
        assert!(
            why.contains(remedy) && why.contains(&format!("HTTP {status}")),
            "{case}"
        );
    }
}

#[test]
fn good_answers_say_which_way_the_registration_went() {
    let in_band = [("x-inngest-sync-kind", "in_band")];
    assert_eq!(
        judged(ServerKind::Dev, 200, &in_band, "{}"),
        Ok(Synced::InBand)
    );
    for (headers, body) in [
        (
            RELAYED,
            r#"{"message":"Successfully registered","modified":true}"#,
        ),
        (PYTHON, r#"{"ok":true,"modified":false,"error":""}"#),
        (&[], r#"{"message":"Successfully synced","modified":true}"#),
    ] {
        assert_eq!(
            judged(ServerKind::Dev, 200, headers, body),
            Ok(Synced::OutOfBand),
            "{body}"
        );
    }
}

#[test]
fn an_app_that_talks_too_much_is_cut_short() {
    let body = format!(r#"{{"message":"{}"}}"#, "é".repeat(10_000));
    let (_, why) = judged(ServerKind::Dev, 400, JS, &body).unwrap_err();
    assert!(why.chars().count() < 2 * SAID_CHARS_MAX, "{why}");
}
