//! Events at the event API and out of transformations.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use bytes::Bytes;
use dunlin_types::{Code, EventOrigin, Seq, Timestamp};
use dunlin_wire::ingest::{
    CardEvent, CardMessage, EventSeed, ParsedEvents, card_event, parse_events,
};
use proptest::prelude::*;

const NOW: Timestamp = Timestamp::from_ms(1_795_293_500_000);

fn parse(body: impl Into<Bytes>) -> ParsedEvents {
    parse_events(&body.into(), None)
}

fn refusal(body: &str) -> (Code, String) {
    let parsed = parse(body.to_owned());
    assert!(parsed.events.is_empty(), "{body}");
    let error = parsed.error.unwrap();
    (error.code, error.detail)
}

#[test]
fn one_event_or_a_list_of_them_is_taken() {
    let one = parse(
        r#" {"name":"a/b","data":{"n":1.50},"user":{"e":"x"},"id":"i","ts":1795293530314,"v":"2","meta":{}} "#,
    );
    assert!(one.error.is_none());
    let event = &one.events[0].event;
    assert_eq!(event.name, "a/b");
    assert_eq!(event.data.as_str(), r#"{"n":1.50}"#);
    assert_eq!(event.user.as_ref().unwrap().as_str(), r#"{"e":"x"}"#);
    assert_eq!(
        (event.id.as_deref(), event.v.as_deref()),
        (Some("i"), Some("2"))
    );
    assert_eq!(event.ts, Some(Timestamp::from_ms(1_795_293_530_314)));
    assert!(event.ts_delays && !one.events[0].ts_was_seconds);

    let many = parse(r#"[{"name":"a"},{"name":"b","data":null,"ts":0,"id":"","user":null}]"#);
    assert!(many.error.is_none());
    let names: Vec<_> = many.events.iter().map(|e| e.event.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    let event = &many.events[1].event;
    assert_eq!(event.data.as_str(), "{}");
    assert_eq!(
        (&event.id, event.ts, event.user.is_none()),
        (&None, None, true)
    );
    assert!(parse("[]").events.is_empty() && parse("[]").error.is_none());
}

#[test]
fn refusals_have_the_texts_of_the_protocol() {
    let body = "Request body must contain an event object or an array of event objects";
    for text in ["", "  ", "5", "\"a\"", "null", "hello"] {
        assert_eq!(
            refusal(text),
            (Code::EventBodyBad, body.to_owned()),
            "{text}"
        );
    }
    for (text, code, detail) in [
        ("{}", Code::EventNameBad, "event name is empty"),
        (r#"{"name":""}"#, Code::EventNameBad, "event name is empty"),
        (
            r#"{"name":null}"#,
            Code::EventNameBad,
            "event name is empty",
        ),
        (
            r#"{"name":"Inngest/x"}"#,
            Code::EventNameBad,
            "event name is reserved for internal use: Inngest/x",
        ),
        (
            r#"{"name":["a"]}"#,
            Code::EventFieldBad,
            "the event's name must be a string",
        ),
        (
            r#"{"name":"a","data":[1]}"#,
            Code::EventFieldBad,
            "the event's data must be an object",
        ),
        (
            r#"{"name":"a","ts":"now"}"#,
            Code::EventFieldBad,
            "the event's ts must be a number",
        ),
        (
            r#"{"name":"a","id":5}"#,
            Code::EventFieldBad,
            "the event's id must be a string",
        ),
        (
            r#"{"name":"a","ts":-5}"#,
            Code::EventTimestampBad,
            "timestamp is before Jan 1, 1980",
        ),
        (
            r#"{"name":"a","ts":1}"#,
            Code::EventTimestampBad,
            "timestamp is before Jan 1, 1980",
        ),
        (
            r#"{"name":"a","ts":1e300}"#,
            Code::EventTimestampBad,
            "timestamp is after Jan 1, 2100",
        ),
        (r#"[5]"#, Code::EventBodyBad, body),
    ] {
        assert_eq!(refusal(text), (code, detail.to_owned()), "{text}");
    }
    for broken in [
        "{",
        "{\"name\":\"a\"} x",
        "[",
        "[{\"name\":\"",
        "{\"name\":\"a\",\"name\":\"b\"}",
    ] {
        assert_eq!(refusal(broken).0, Code::EventBodyBad, "{broken}");
    }
    assert_eq!(
        parse(vec![b'{', 0xff]).error.unwrap().code,
        Code::EventBodyBad
    );
}

#[test]
fn events_before_the_bad_one_are_kept() {
    for (body, code) in [
        (
            r#"[{"name":"a"},{"name":""},{"name":"c"}]"#,
            Code::EventNameBad,
        ),
        (r#"[{"name":"a"},{"name":"b""#, Code::EventBodyBad),
        (r#"[{"name":"a"}"#, Code::EventBodyBad),
        (r#"[{"name":"a"}] x"#, Code::EventBodyBad),
    ] {
        let parsed = parse(body);
        assert_eq!(parsed.events.len(), 1, "{body}");
        assert_eq!(parsed.error.unwrap().code, code, "{body}");
    }
}

#[test]
fn limits_hold_at_their_edges() {
    let name = |n: usize| format!(r#"{{"name":"{}"}}"#, "é".repeat(n));
    assert!(parse(name(512)).error.is_none());
    assert_eq!(parse(name(513)).error.unwrap().code, Code::EventNameBad);

    let sized = |n: usize| {
        let rest = r#"{"name":"a","data":{"x":""}}"#.len();
        format!(
            r#"{{"name":"a","data":{{"x":"{}"}}}}"#,
            "x".repeat(n - rest)
        )
    };
    assert!(parse(sized(3_145_728)).error.is_none());
    let error = parse(sized(3_145_729)).error.unwrap();
    assert_eq!(error.code, Code::EventTooLarge);
    assert_eq!(
        error.detail,
        "Event is over the max size: Max 3145728 bytes / Size 3145729 bytes"
    );

    let batch = |n: usize| format!("[{}]", vec![r#"{"name":"a"}"#; n].join(","));
    assert!(parse(batch(5000)).error.is_none());
    let over = parse(batch(5001));
    assert_eq!(over.events.len(), 5000);
    assert_eq!(
        over.error.unwrap().detail,
        "Cannot have more than 5000 events in a batch"
    );

    let deep = |n: usize| {
        format!(
            r#"{{"name":"a","data":{}{}}}"#,
            "{\"a\":".repeat(n - 2) + "{}",
            "}".repeat(n - 2)
        )
    };
    assert!(parse(deep(128)).error.is_none());
    assert_eq!(parse(deep(129)).error.unwrap().code, Code::EventFieldBad);
}

#[test]
fn what_could_never_be_read_again_is_refused() {
    for data in [
        r#"{"x":"\ud800"}"#,
        r#"{"x":1e999}"#,
        &format!("{{\"x\":{}}}", "9".repeat(400)),
    ] {
        let (code, _) = refusal(&format!(r#"{{"name":"a","data":{data}}}"#));
        assert_eq!(code, Code::EventFieldBad, "{data}");
    }
    for data in [
        r#"{"x":"\ud83d\ude00"}"#,
        r#"{"x":1.5e10}"#,
        r#"{"x":12345678901234567890123}"#,
    ] {
        let parsed = parse(format!(r#"{{"name":"a","data":{data}}}"#));
        assert_eq!(parsed.events[0].event.data.as_str(), data);
    }
}

#[test]
fn seconds_are_understood_and_noted() {
    for (ts, ms, seconds) in [
        ("1700000000", 1_700_000_000_000, true),
        ("1700000000.5", 1_700_000_000_500, true),
        ("1700000000000", 1_700_000_000_000, false),
        ("1700000000000.9", 1_700_000_000_000, false),
        ("1.7e12", 1_700_000_000_000, false),
        ("4102444800000", 4_102_444_800_000, false),
        ("315532800", 315_532_800_000, true),
    ] {
        let parsed = parse(format!(r#"{{"name":"a","ts":{ts}}}"#));
        let event = &parsed.events[0];
        assert_eq!(event.event.ts, Some(Timestamp::from_ms(ms)), "{ts}");
        assert_eq!(event.ts_was_seconds, seconds, "{ts}");
    }
}

#[test]
fn the_reserved_member_is_removed_however_it_is_spelled() {
    for data in [
        r#"{"_inngest":{"x":1},"n":1.0}"#,
        r#"{"n":1.0,"_inngest":null}"#,
        r#"{"n":1.0,"\u005finngest":5}"#,
    ] {
        let parsed = parse(format!(r#"{{"name":"a","data":{data}}}"#));
        assert_eq!(
            parsed.events[0].event.data.as_str(),
            r#"{"n":1.0}"#,
            "{data}"
        );
    }
    let inner = r#"{"x":{"_inngest":1},"y":"\u00e9"}"#;
    let parsed = parse(format!(r#"{{"name":"a","data":{inner}}}"#));
    assert_eq!(parsed.events[0].event.data.as_str(), inner);
}

#[test]
fn seeds_give_the_ids_that_the_reference_gives() {
    let seed = EventSeed::parse("1743130137367,eii2YKXRVTJPuA==").unwrap();
    assert_eq!(seed.ulid(1).to_string(), "01JQDAE4RQF8MBCR55T5AK4KXS");
    let seed = EventSeed::parse("1795293560793,QTkZD+lzE4mhCw==").unwrap();
    let body = Bytes::from_static(br#"[{"name":"rec/plain"},{"name":"rec/nobody"}]"#);
    let ids: Vec<String> = parse_events(&body, Some(&seed))
        .events
        .iter()
        .map(|e| e.event.seeded.unwrap().to_string())
        .collect();
    assert_eq!(
        ids,
        ["01M7ZXBFYS84WHJ3Z9EC9RK88C", "01M7ZXBFYS84WHJ3Z9EC9RK88D"]
    );
    for bad in [
        "",
        ",",
        "1,",
        "x,eii2YKXRVTJPuA==",
        "-1,eii2YKXRVTJPuA==",
        "1,AAAA",
        "281474976710656,eii2YKXRVTJPuA==",
    ] {
        assert_eq!(EventSeed::parse(bad), None, "{bad}");
    }
}

const ENVELOPE_TS: &str = "2026-11-18T03:14:13.001200Z";

fn card(payload: &str) -> Result<CardEvent, Code> {
    let message = CardMessage {
        event_type: "payment.succeeded",
        webhook_id: "msg_1",
        envelope_ts: Timestamp::parse_rfc3339(ENVELOPE_TS),
        origin: EventOrigin::Message(Seq(7)),
    };
    card_event(&Bytes::from(payload.to_owned()), message, NOW).map_err(|e| e.code)
}

#[test]
fn a_transformed_event_keeps_what_it_says() {
    let made = card(r#"{"name":"shop/paid","data":{"a":1},"user":{"email":"x"},"ts":1795000000}"#)
        .unwrap();
    assert!(made.named && made.ts_was_seconds);
    assert_eq!(made.event.name, "shop/paid");
    assert_eq!(made.event.id.as_deref(), Some("msg_1"));
    assert_eq!(made.event.origin, EventOrigin::Message(Seq(7)));
    assert_eq!(made.event.ts, Some(Timestamp::from_ms(1_795_000_000_000)));
    let own_id = card(r#"{"name":"a","id":"mine"}"#).unwrap();
    assert_eq!(own_id.event.id.as_deref(), Some("mine"));
    assert_eq!(
        own_id.event.ts.unwrap().rfc3339(),
        "2026-11-18T03:14:13.001Z"
    );
}

#[test]
fn an_untouched_envelope_becomes_an_event_of_its_type() {
    let envelope = format!(
        r#"{{"business_id":"bus_1","type":"payment.succeeded","timestamp":"{ENVELOPE_TS}","data":{{"total":1,"_inngest":2}}}}"#
    );
    let made = card(&envelope).unwrap();
    assert!(!made.named && !made.event.ts_delays);
    assert_eq!(made.event.name, "payment.succeeded");
    assert_eq!(made.event.data.as_str(), r#"{"total":1}"#);
    assert_eq!(made.event.id.as_deref(), Some("msg_1"));
    assert_eq!(made.event.ts.unwrap().rfc3339(), "2026-11-18T03:14:13.001Z");
}

#[test]
fn only_a_ts_set_well_ahead_holds_runs_back() {
    let envelope_ms = Timestamp::parse_rfc3339(ENVELOPE_TS).unwrap().ms();
    for (ahead, delays) in [(-5000, false), (0, false), (60_000, false), (60_001, true)] {
        let made = card(&format!(r#"{{"name":"a","ts":{}}}"#, envelope_ms + ahead)).unwrap();
        assert_eq!(made.event.ts_delays, delays, "{ahead}");
    }
}

#[test]
fn bodies_that_are_no_event_are_refused() {
    for payload in [
        "",
        "[]",
        "null",
        "{}",
        r#"{"text":"for a chat"}"#,
        r#"{"type":"payment.succeeded"}"#,
        r#"{"type":5,"data":{}}"#,
        r#"{"name":5,"data":{}}"#,
        r#"{"name":"inngest/x"}"#,
        r#"{"name":"a","data":5}"#,
        r#"{"name":"a","ts":5}"#,
        "{",
    ] {
        assert_eq!(card(payload).unwrap_err(), Code::CardEventBad, "{payload}");
    }
}

proptest! {
    #[test]
    fn no_bytes_make_the_parser_panic(
        body in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..80),
            "[\\[\\]{}\":,a-z0-9\\\\ ]{0,80}".prop_map(String::into_bytes),
            "\\{\"(name|type)\":\"a\",\"(data|ts|id|user)\":[\\[\\]{}\":,a-z0-9 .e]{0,20}\\}".prop_map(String::into_bytes),
        ],
        seed in "\\PC{0,30}",
    ) {
        let body = Bytes::from(body);
        let _ = parse_events(&body, EventSeed::parse(&seed).as_ref());
        if let Ok(text) = std::str::from_utf8(&body) {
            let _ = card(text);
        }
    }

    #[test]
    fn fields_survive_the_way_in(name in "[a-z/é\"\\\\]{1,20}", id in "\\PC{1,20}", n in any::<i64>()) {
        let body = serde_json::json!({"name": name, "id": id, "data": {"n": n}}).to_string();
        let parsed = parse(body);
        let event = &parsed.events[0].event;
        prop_assert_eq!(&event.name, &name);
        prop_assert_eq!(event.id.as_ref(), Some(&id));
        prop_assert_eq!(event.data.as_str(), serde_json::json!({"n": n}).to_string());
    }
}
