//! Events as they come in: at the event API, and out of an endpoint's transformation.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use dunlin_types::limits::{
    CARD_TS_AHEAD_MS_MAX, EVENT_BATCH_EVENTS_MAX, EVENT_BYTES_MAX, EVENT_NAME_CHARS_MAX,
    EVENT_TS_MS_MAX, EVENT_TS_MS_MIN, EVENT_TS_SECONDS_BELOW, JSON_DEPTH_LEVELS_MAX,
};
use dunlin_types::{Code, Coded, EventOrigin, NewEvent, Payload, Timestamp, Ulid};
use serde::Deserialize;
use serde::de::{DeserializeSeed, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json;

/// The events of one request: those before the first bad one, and what was wrong with that.
#[derive(Debug, Default)]
pub struct ParsedEvents {
    /// In the order they came.
    pub events: Vec<ParsedEvent>,
    /// Why the next one was refused.
    pub error: Option<Coded>,
}

/// One event that was read.
#[derive(Debug)]
pub struct ParsedEvent {
    /// The event.
    pub event: NewEvent,
    /// Whether its `ts` came in seconds.
    pub ts_was_seconds: bool,
}

/// What `x-inngest-event-id-seed` says: the internal ids of a request's events follow from it, so
/// that a request that is sent again makes the same ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventSeed {
    at: Timestamp,
    entropy: [u8; 10],
}

impl EventSeed {
    /// Reads `<unix milliseconds>,<base64 of ten bytes>`; `None` when it is anything else.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let (ms, entropy) = header.trim().split_once(',')?;
        // A ULID has 48 bits of time.
        let ms = ms.parse().ok().filter(|ms| (0..1 << 48).contains(ms))?;
        Some(Self {
            at: Timestamp::from_ms(ms),
            entropy: BASE64.decode(entropy).ok()?.try_into().ok()?,
        })
    }

    /// The id of the event of that number, counted from 1 at the event API.
    #[must_use]
    pub fn ulid(&self, number: u32) -> Ulid {
        let mut entropy = self.entropy;
        let [.., a, b, c, d] = entropy;
        let counted = u32::from_be_bytes([a, b, c, d]).wrapping_add(number);
        entropy[6..].copy_from_slice(&counted.to_be_bytes());
        Ulid::from_parts(self.at, entropy)
    }
}

const NO_EVENT: &str = "Request body must contain an event object or an array of event objects";
const TOO_MANY: &str = "Cannot have more than 5000 events in a batch";

/// Reads the body of a request to the event API: one event or a list of them.
#[must_use]
pub fn parse_events(body: &Bytes, seed: Option<&EventSeed>) -> ParsedEvents {
    let mut parsed = ParsedEvents::default();
    let Ok(text) = std::str::from_utf8(body) else {
        parsed.error = Some(Coded::new(Code::EventBodyBad, "the body is not UTF-8"));
        return parsed;
    };
    let text = text.trim_ascii();
    let mut reader = EventReader {
        body,
        seed,
        parsed: &mut parsed,
    };
    match text.as_bytes().first() {
        Some(b'{') => reader.take(text),
        Some(b'[') => reader.take_list(text),
        _ => parsed.error = Some(Coded::new(Code::EventBodyBad, NO_EVENT)),
    }
    parsed
}

struct EventReader<'a> {
    body: &'a Bytes,
    seed: Option<&'a EventSeed>,
    parsed: &'a mut ParsedEvents,
}

impl EventReader<'_> {
    fn take(&mut self, text: &str) {
        match parse_one(self.body, text) {
            Ok((mut event, ts_was_seconds)) => {
                let number = self.parsed.events.len() as u32 + 1;
                event.seeded = self.seed.map(|seed| seed.ulid(number));
                self.parsed.events.push(ParsedEvent {
                    event,
                    ts_was_seconds,
                });
            }
            Err(bad) => self.parsed.error = Some(bad),
        }
    }

    fn take_list(&mut self, text: &str) {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let outcome = (&mut *self)
            .deserialize(&mut deserializer)
            .and_then(|()| deserializer.end());
        if let Err(e) = outcome
            && self.parsed.error.is_none()
        {
            self.parsed.error = Some(not_json(&e));
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut EventReader<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut EventReader<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of events")
    }

    /// Stops at the first bad event; that the list is then not read to its end makes an error of
    /// the deserializer, which the one found here goes before.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(event) = seq.next_element::<&RawValue>()? {
            if self.parsed.events.len() >= EVENT_BATCH_EVENTS_MAX {
                self.parsed.error = Some(Coded::new(Code::EventBatchTooLarge, TOO_MANY));
            } else {
                self.take(event.get());
            }
            if self.parsed.error.is_some() {
                break;
            }
        }
        Ok(())
    }
}

/// An event before anything of it has been looked at; keys by their exact case, as all SDKs write
/// them.
#[derive(Deserialize)]
struct RawEvent<'a> {
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    user: Option<&'a RawValue>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    ts: Option<&'a RawValue>,
    #[serde(borrow)]
    v: Option<&'a RawValue>,
}

fn not_json(e: &serde_json::Error) -> Coded {
    Coded::new(Code::EventBodyBad, format!("the event is not valid: {e}"))
}

fn parse_one(body: &Bytes, text: &str) -> Result<(NewEvent, bool), Coded> {
    if text.len() > EVENT_BYTES_MAX {
        let detail = format!(
            "Event is over the max size: Max {EVENT_BYTES_MAX} bytes / Size {} bytes",
            text.len()
        );
        return Err(Coded::new(Code::EventTooLarge, detail));
    }
    if !text.starts_with('{') {
        return Err(Coded::new(Code::EventBodyBad, NO_EVENT));
    }
    let raw: RawEvent<'_> = serde_json::from_str(text).map_err(|e| not_json(&e))?;
    read_event(body, text, &raw)
}

fn read_event(body: &Bytes, text: &str, raw: &RawEvent<'_>) -> Result<(NewEvent, bool), Coded> {
    check_json("the event", text).map_err(|why| Coded::new(Code::EventFieldBad, why))?;
    let name = string_field("name", raw.name)?.unwrap_or_default();
    check_name(&name)?;
    let data = match object_field("data", raw.data)? {
        Some(data) => without_reserved(body, data),
        None => Payload::empty_object(),
    };
    let user = object_field("user", raw.user)?.map(|user| json::cut(body, user));
    let ts = timestamp(raw.ts)?;
    let event = NewEvent {
        name,
        data,
        user,
        id: string_field("id", raw.id)?.filter(|id| !id.is_empty()),
        seeded: None,
        ts: ts.map(|(at, _)| at),
        v: string_field("v", raw.v)?.filter(|v| !v.is_empty()),
        origin: EventOrigin::Api,
        ts_delays: true,
    };
    Ok((event, ts.is_some_and(|(_, seconds)| seconds)))
}

/// Refuses what later readers could not read: an event that is taken must be able to run.
pub(crate) fn check_json(what: &str, text: &str) -> Result<(), String> {
    let scan = json::scan(text.as_bytes());
    if scan.depth > JSON_DEPTH_LEVELS_MAX {
        return Err(format!(
            "{what} is nested deeper than {JSON_DEPTH_LEVELS_MAX} levels"
        ));
    }
    if !scan.doubtful {
        return Ok(());
    }
    match serde_json::from_str::<serde_json::Value>(text) {
        Ok(_) => Ok(()),
        Err(e) => Err(format!("{what} holds what has no value: {e}")),
    }
}

fn wrong_type(field: &str, want: &str) -> Coded {
    Coded::new(
        Code::EventFieldBad,
        format!("the event's {field} must be {want}"),
    )
}

fn string_field(field: &str, value: Option<&RawValue>) -> Result<Option<String>, Coded> {
    match value {
        None => Ok(None),
        Some(value) => match json::string(value.get()) {
            Some(text) => Ok(Some(text)),
            None => Err(wrong_type(field, "a string")),
        },
    }
}

fn object_field<'a>(field: &str, value: Option<&'a RawValue>) -> Result<Option<&'a str>, Coded> {
    match value.map(RawValue::get) {
        None => Ok(None),
        Some(text) if text.starts_with('{') => Ok(Some(text)),
        Some(_) => Err(wrong_type(field, "an object")),
    }
}

fn check_name(name: &str) -> Result<(), Coded> {
    let bad = |detail: String| Err(Coded::new(Code::EventNameBad, detail));
    if name.is_empty() {
        return bad("event name is empty".to_owned());
    }
    if name.len() > EVENT_NAME_CHARS_MAX && name.chars().count() > EVENT_NAME_CHARS_MAX {
        return bad(format!(
            "event name is longer than {EVENT_NAME_CHARS_MAX} characters"
        ));
    }
    let internal = name.as_bytes().first_chunk::<8>();
    if internal.is_some_and(|start| start.eq_ignore_ascii_case(b"inngest/")) {
        return bad(format!("event name is reserved for internal use: {name}"));
    }
    Ok(())
}

/// The instant that `ts` means and whether it came in seconds; `None` for absent and 0.
fn timestamp(value: Option<&RawValue>) -> Result<Option<(Timestamp, bool)>, Coded> {
    let Some(text) = value.map(RawValue::get) else {
        return Ok(None);
    };
    let (ms, seconds) = match text.parse::<i64>() {
        Ok(whole) => {
            let seconds = (1..EVENT_TS_SECONDS_BELOW).contains(&whole);
            (if seconds { whole * 1000 } else { whole }, seconds)
        }
        Err(_) => {
            let number: f64 = text.parse().map_err(|_| wrong_type("ts", "a number"))?;
            let seconds = number > 0.0 && number < EVENT_TS_SECONDS_BELOW as f64;
            let ms = if seconds { number * 1000.0 } else { number };
            (ms.trunc() as i64, seconds)
        }
    };
    let bad = |detail| Err(Coded::new(Code::EventTimestampBad, detail));
    match ms {
        0 => Ok(None),
        ..EVENT_TS_MS_MIN => bad("timestamp is before Jan 1, 1980"),
        EVENT_TS_MS_MIN..=EVENT_TS_MS_MAX => Ok(Some((Timestamp::from_ms(ms), seconds))),
        _ => bad("timestamp is after Jan 1, 2100"),
    }
}

/// The member that nobody outside may set.
const RESERVED: &str = "_inngest";

/// An object as the data of an event, without what is ours to set.
pub(crate) fn without_reserved(body: &Bytes, data: &str) -> Payload {
    // A key may be spelled with escapes.
    if !data.contains(RESERVED) && !data.contains("\\u") {
        return json::cut(body, data);
    }
    match json::Members::of(data) {
        Some(members) if members.0.iter().any(|(key, _)| key == RESERVED) => {
            let kept = members.0.iter().filter(|(key, _)| key != RESERVED);
            let pairs: Vec<String> = kept
                .map(|(key, value)| format!("{}:{}", json::quote(key), value.get()))
                .collect();
            Payload::from_json(format!("{{{}}}", pairs.join(",")))
        }
        _ => json::cut(body, data),
    }
}

/// What a message became for the event log.
#[derive(Debug)]
pub struct CardEvent {
    /// The event.
    pub event: NewEvent,
    /// Whether the transformation named it, rather than having left the envelope alone.
    pub named: bool,
    /// Whether its `ts` came in seconds.
    pub ts_was_seconds: bool,
}

/// The message an event is made of.
#[derive(Clone, Copy, Debug)]
pub struct CardMessage<'a> {
    /// The message's event type.
    pub event_type: &'a str,
    /// The provider's id of it.
    pub webhook_id: &'a str,
    /// The `timestamp` of its envelope as it came in.
    pub envelope_ts: Option<Timestamp>,
    /// Where the event is to say it comes from.
    pub origin: EventOrigin,
}

/// The body of an untouched message.
#[derive(Deserialize)]
struct RawEnvelope<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
}

/// Makes an event of what a transformation returned: the event it is, or else the envelope
/// `{type, timestamp, data}` it still is.
///
/// # Errors
/// [`Code::CardEventBad`] when it is neither.
pub fn card_event(
    payload: &Bytes,
    message: CardMessage<'_>,
    now: Timestamp,
) -> Result<CardEvent, Coded> {
    let bad = |detail: &str| Coded::new(Code::CardEventBad, detail);
    let text = std::str::from_utf8(payload).map_err(|_| bad("the body is not UTF-8"))?;
    let text = text.trim_ascii();
    if !text.starts_with('{') {
        return Err(bad("the transformed body is no object"));
    }
    let raw: RawEnvelope<'_> =
        serde_json::from_str(text).map_err(|e| bad(&format!("the body is not JSON: {e}")))?;
    let named = raw
        .name
        .and_then(|name| json::string(name.get()))
        .is_some_and(|name| !name.is_empty());
    let (mut event, ts_was_seconds) = match named {
        true => parse_one(payload, text).map_err(|e| bad(&e.detail))?,
        false => (from_envelope(payload, text, &raw, message)?, false),
    };
    let named_at = event.ts.filter(|_| named);
    event.ts_delays = named_at
        .is_some_and(|at| at.since(message.envelope_ts.unwrap_or(now)) > CARD_TS_AHEAD_MS_MAX);
    event.ts = event.ts.or(message.envelope_ts);
    event.id = event.id.or_else(|| Some(message.webhook_id.to_owned()));
    event.origin = message.origin;
    Ok(CardEvent {
        event,
        named,
        ts_was_seconds,
    })
}

fn from_envelope(
    payload: &Bytes,
    text: &str,
    raw: &RawEnvelope<'_>,
    message: CardMessage<'_>,
) -> Result<NewEvent, Coded> {
    let bad = |detail: &str| Coded::new(Code::CardEventBad, detail);
    let is_envelope = raw
        .kind
        .is_some_and(|kind| json::string(kind.get()).is_some())
        && raw.data.is_some_and(|data| data.get().starts_with('{'));
    if !is_envelope {
        return Err(bad(
            "the transformed body has no name, and is not the provider's envelope either",
        ));
    }
    let name = serde_json::value::to_raw_value(message.event_type)
        .map_err(|_| bad("the event type cannot be a name"))?;
    let event = RawEvent {
        name: Some(&name),
        data: raw.data,
        user: None,
        id: None,
        ts: None,
        v: None,
    };
    let (mut event, _) = read_event(payload, text, &event).map_err(|e| bad(&e.detail))?;
    event.ts = raw
        .timestamp
        .and_then(|at| json::string(at.get()))
        .and_then(|at| Timestamp::parse_rfc3339(&at))
        .filter(|at| (EVENT_TS_MS_MIN..=EVENT_TS_MS_MAX).contains(&at.ms()));
    Ok(event)
}
