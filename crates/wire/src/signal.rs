//! Signals, as `POST /v1/signals` takes them.

use bytes::Bytes;
use dunlin_types::limits::{SIGNAL_BODY_BYTES_MAX, STEP_OUTPUT_BYTES_MAX, TARGET_NAME_BYTES_MAX};
use dunlin_types::{Code, Coded, Payload};

use crate::ingest::check_json;
use crate::json::{self, Members};

/// Reads `{"signal", "data"?}`: the name and what goes with it, `null` when nothing does.
///
/// # Errors
/// [`Code::BadRequest`] when it is anything else, [`Code::TooLarge`] when the data is.
pub fn parse_signal(body: &Bytes) -> Result<(String, Payload), Coded> {
    let bad = |why: &str| Coded::new(Code::BadRequest, why);
    let too_large = || Coded::new(Code::TooLarge, "the signal's data is over the size limit");
    if body.len() > SIGNAL_BODY_BYTES_MAX {
        return Err(too_large());
    }
    let text = std::str::from_utf8(body).map_err(|_| bad("the body is not UTF-8"))?;
    let members = Members::of(text).ok_or_else(|| bad("the body is not a JSON object"))?;
    let name = members.string("signal");
    if name.is_empty() {
        return Err(bad("signal must be a text that is not empty"));
    }
    if name.len() > TARGET_NAME_BYTES_MAX {
        return Err(bad("the signal's name is too long"));
    }
    let Some(data) = members.get("data") else {
        return Ok((name, Payload::null()));
    };
    if data.len() > STEP_OUTPUT_BYTES_MAX {
        return Err(too_large());
    }
    check_json("the signal's data", data).map_err(|why| bad(&why))?;
    Ok((name, json::cut(body, data)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(body: &str) -> Result<(String, Payload), Code> {
        parse_signal(&Bytes::copy_from_slice(body.as_bytes())).map_err(|e| e.code)
    }

    #[test]
    fn a_signal_is_a_name_with_or_without_data() {
        let (name, data) = parse(r#"{"signal":"rec-signal","data":{"v": 1}}"#).unwrap();
        assert_eq!(
            (name.as_str(), data.as_str()),
            ("rec-signal", r#"{"v": 1}"#)
        );
        for body in [r#"{"signal":"s"}"#, r#"{"Signal":"s","data":null}"#] {
            assert_eq!(parse(body).unwrap().1.as_str(), "null", "{body}");
        }
    }

    #[test]
    fn what_is_no_signal_is_refused() {
        let deep = format!(
            r#"{{"signal":"s","data":{}{}}}"#,
            "[".repeat(200),
            "]".repeat(200)
        );
        let long = format!(r#"{{"signal":"{}"}}"#, "s".repeat(2000));
        for body in [
            "",
            "[]",
            "{}",
            r#"{"signal":""}"#,
            r#"{"signal":5}"#,
            &deep,
            &long,
        ] {
            assert_eq!(parse(body).unwrap_err(), Code::BadRequest, "{body}");
        }
        let large = format!(
            r#"{{"signal":"s","data":"{}"}}"#,
            "x".repeat(4 * 1024 * 1024)
        );
        assert_eq!(parse(&large).unwrap_err(), Code::TooLarge);
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_parser_panic(
            body in prop::collection::vec(any::<u8>(), 0..80),
            shaped in r#"\{"signal":"a","data":[\[\]{}":,a-z0-9\\ ]{0,40}\}"#,
        ) {
            let _ = parse_signal(&Bytes::from(body));
            let _ = parse_signal(&Bytes::from(shaped));
        }
    }
}
