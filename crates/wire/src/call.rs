//! The body of a call to an app, written straight into one buffer. Keys are in canonical order by
//! construction, so that with canonical fragments the bytes are what the signature is made over.

use std::io::Write as _;

use bytes::Bytes;
use dunlin_types::{Payload, StepId};

use crate::{json, percent};

/// How a step's stored value goes into a call (SDK protocol, memo shapes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoKind {
    /// `{"data": value}`
    Data,
    /// `{"error": value}`
    Error,
    /// `{"input": value}`: arguments for a step that has no result yet.
    Input,
    /// The value as it is.
    Raw,
    /// `null`, whatever the value.
    Null,
}

/// One finished step of a run.
#[derive(Clone, Copy, Debug)]
pub struct Memo<'a> {
    /// Its id.
    pub id: &'a StepId,
    /// How the value is wrapped.
    pub kind: MemoKind,
    /// What it holds.
    pub value: &'a Payload,
}

/// Everything a call's body says.
#[derive(Clone, Debug)]
pub struct CallBody<'a> {
    /// The first event, rendered; canonical when `canonical` is set.
    pub event: &'a [u8],
    /// All events of the run, rendered likewise; left out with `use_api`.
    pub events: &'a [Bytes],
    /// The finished steps, in any order; left out with `use_api`.
    pub steps: &'a [Memo<'a>],
    /// The deferred functions, and whether each may still be taken back.
    pub defers: &'a [(StepId, bool)],
    /// The ids of finished steps in the order they finished.
    pub stack: &'a [StepId],
    /// How far the stack had come when this call's cause happened.
    pub stack_current: usize,
    /// The function's UUID.
    pub fn_id: &'a str,
    /// The run.
    pub run_id: &'a str,
    /// `step`; the target goes by header and query only.
    pub step_id: &'a str,
    /// Attempt of this queue item, from 0.
    pub attempt: u32,
    /// Attempts that the function allows.
    pub max_attempts: u32,
    /// The queue item, which a checkpoint names again.
    pub qi_id: &'a str,
    /// This very request.
    pub request_id: &'a str,
    /// How often the item has been sent out.
    pub generation_id: i64,
    /// The queue item, constant over its retries.
    pub job_id: &'a str,
    /// Whether newly found steps are only to be planned.
    pub disable_immediate_execution: bool,
    /// Whether the app is to fetch events and steps itself.
    pub use_api: bool,
    /// The run's protocol version; −1 while the app has not said.
    pub version: i64,
    /// Whether fragments are written in canonical form, for a signature.
    pub canonical: bool,
}

/// The fixed text of a body, ids and numbers included, about.
const FIXED_BYTES: usize = 768;

impl CallBody<'_> {
    /// The JSON text.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.bytes_about());
        out.extend_from_slice(b"{\"ctx\":");
        self.push_ctx(&mut out);
        out.extend_from_slice(b",\"defers\":{");
        self.push_defers(&mut out);
        out.extend_from_slice(b"},\"event\":");
        out.extend_from_slice(self.event);
        out.extend_from_slice(b",\"events\":[");
        if !self.use_api {
            push_joined(&mut out, self.events, |out, event| {
                out.extend_from_slice(event);
            });
        }
        out.extend_from_slice(b"],\"steps\":{");
        if !self.use_api {
            self.push_steps(&mut out);
        }
        out.extend_from_slice(b"},\"use_api\":");
        push_bool(&mut out, self.use_api);
        out.extend_from_slice(b",\"version\":");
        push_number(&mut out, self.version);
        out.push(b'}');
        Bytes::from(out)
    }

    /// A close upper bound in the usual case; the buffer grows where it is not one.
    fn bytes_about(&self) -> usize {
        let mut total = FIXED_BYTES + self.event.len() + 44 * self.stack.len();
        total += 64 * self.defers.len();
        if !self.use_api {
            total += self.events.iter().map(|e| e.len() + 1).sum::<usize>();
            total += self.steps.iter().map(|m| m.value.len() + 64).sum::<usize>();
        }
        total
    }

    fn push_ctx(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"attempt\":");
        push_number(out, self.attempt.into());
        out.extend_from_slice(b",\"disable_immediate_execution\":");
        push_bool(out, self.disable_immediate_execution);
        out.extend_from_slice(b",\"env\":\"\",\"fn_id\":");
        json::push_quoted(out, self.fn_id);
        out.extend_from_slice(b",\"generation_id\":");
        push_number(out, self.generation_id);
        out.extend_from_slice(b",\"job_id\":");
        json::push_quoted(out, self.job_id);
        out.extend_from_slice(b",\"max_attempts\":");
        push_number(out, self.max_attempts.into());
        out.extend_from_slice(b",\"qi_id\":");
        json::push_quoted(out, self.qi_id);
        out.extend_from_slice(b",\"request_id\":");
        json::push_quoted(out, self.request_id);
        out.extend_from_slice(b",\"run_id\":");
        json::push_quoted(out, self.run_id);
        out.extend_from_slice(b",\"stack\":{\"current\":");
        push_number(out, i64::try_from(self.stack_current).unwrap_or(i64::MAX));
        out.extend_from_slice(b",\"stack\":[");
        push_joined(out, self.stack, push_step_id);
        out.extend_from_slice(b"]},\"step_id\":");
        json::push_quoted(out, self.step_id);
        out.extend_from_slice(b",\"use_api\":");
        push_bool(out, self.use_api);
        out.push(b'}');
    }

    fn push_steps(&self, out: &mut Vec<u8>) {
        push_memos(out, self.steps, self.canonical);
    }

    fn push_defers(&self, out: &mut Vec<u8>) {
        let write = |out: &mut Vec<u8>, (id, abortable): &(StepId, bool)| {
            push_step_id(out, id);
            out.extend_from_slice(b":{\"abortable\":");
            push_bool(out, *abortable);
            out.push(b'}');
        };
        if !self.canonical || self.defers.is_sorted_by(|(a, _), (b, _)| a < b) {
            return push_joined(out, self.defers, write);
        }
        let mut sorted = self.defers.to_vec();
        sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        push_joined(out, &sorted, write);
    }
}

/// The map of finished steps alone, as apps fetch it when a call has said `use_api`.
#[must_use]
pub fn encode_steps(steps: &[Memo<'_>]) -> Bytes {
    let bytes: usize = steps.iter().map(|m| m.value.len() + 64).sum();
    let mut out = Vec::with_capacity(bytes + 2);
    out.push(b'{');
    push_memos(&mut out, steps, false);
    out.push(b'}');
    Bytes::from(out)
}

/// The list of events alone, as apps fetch it when a call has said `use_api`.
#[must_use]
pub fn encode_events(events: &[Bytes]) -> Bytes {
    let mut out = Vec::with_capacity(events.iter().map(|e| e.len() + 1).sum::<usize>() + 2);
    out.push(b'[');
    push_joined(&mut out, events, |out, event| out.extend_from_slice(event));
    out.push(b']');
    Bytes::from(out)
}

fn push_memos(out: &mut Vec<u8>, steps: &[Memo<'_>], canonical: bool) {
    let write = |out: &mut Vec<u8>, memo: &Memo<'_>| {
        push_step_id(out, memo.id);
        out.push(b':');
        push_memo(out, memo, canonical);
    };
    if !canonical || steps.is_sorted_by(|a, b| a.id < b.id) {
        return push_joined(out, steps, write);
    }
    let mut sorted: Vec<Memo<'_>> = steps.to_vec();
    sorted.sort_unstable_by(|a, b| a.id.cmp(b.id));
    push_joined(out, &sorted, write);
}

fn push_memo(out: &mut Vec<u8>, memo: &Memo<'_>, canonical: bool) {
    let prefix: &[u8] = match memo.kind {
        MemoKind::Data => b"{\"data\":",
        MemoKind::Error => b"{\"error\":",
        MemoKind::Input => b"{\"input\":",
        MemoKind::Raw => b"",
        MemoKind::Null => return out.extend_from_slice(b"null"),
    };
    out.extend_from_slice(prefix);
    if canonical {
        out.extend_from_slice(&memo.value.canonical());
    } else {
        out.extend_from_slice(memo.value.bytes());
    }
    if !prefix.is_empty() {
        out.push(b'}');
    }
}

fn push_joined<T>(out: &mut Vec<u8>, items: &[T], mut push: impl FnMut(&mut Vec<u8>, &T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push(out, item);
    }
}

fn push_step_id(out: &mut Vec<u8>, id: &StepId) {
    match id {
        // Hex needs no escapes.
        StepId::Sha1(hash) => {
            let mut text = [b'"'; 42];
            for (pair, byte) in text[1..41].as_chunks_mut::<2>().0.iter_mut().zip(hash) {
                let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
                *pair = [digit(byte >> 4), digit(*byte)];
            }
            out.extend_from_slice(&text);
        }
        StepId::Text(text) => json::push_quoted(out, text),
    }
}

fn push_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn push_number(out: &mut Vec<u8>, value: i64) {
    let _ = write!(out, "{value}");
}

/// The address a call goes to: the function's URL with `stepId` naming the target, `step` or a
/// step's id.
#[must_use]
pub fn call_url(url: &str, target: &str) -> String {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut out = String::with_capacity(url.len() + target.len() + 8);
    out.push_str(base);
    let mut separator = '?';
    let kept = query
        .split('&')
        .filter(|pair| !pair.is_empty() && !pair.starts_with("stepId="));
    for pair in kept {
        out.push(separator);
        out.push_str(pair);
        separator = '&';
    }
    out.push(separator);
    out.push_str("stepId=");
    percent::push(&mut out, target);
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn body<'a>(steps: &'a [Memo<'a>], stack: &'a [StepId], events: &'a [Bytes]) -> CallBody<'a> {
        CallBody {
            event: &events[0],
            events,
            steps,
            defers: &[],
            stack,
            stack_current: stack.len(),
            fn_id: "b294eb31-d9ab-575e-93e9-aa2c7945328f",
            run_id: "01M7ZXAJEHE1FWN9DBSP5GRE1P",
            step_id: "step",
            attempt: 0,
            max_attempts: 5,
            qi_id: "MWl6MHl3NjloNmNrcjo6ZGVmYXVsdA==",
            request_id: "01M7ZXAJET0HFM1ZN7H298N20V",
            generation_id: 1,
            job_id: "1iz0yw69h6ckr",
            disable_immediate_execution: false,
            use_api: false,
            version: -1,
            canonical: true,
        }
    }

    const KINDS: [MemoKind; 5] = [
        MemoKind::Data,
        MemoKind::Error,
        MemoKind::Input,
        MemoKind::Raw,
        MemoKind::Null,
    ];

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1e9..1e9).prop_map(Value::from),
            "\\PC{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("[ -~é\u{FFFD}😀]{0,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_canonical_body_is_its_own_canonical_form(
            memos in prop::collection::vec(("[0-9a-f]{40}|\\PC{1,4}", 0..5_u8, json_value()), 0..6),
            data in json_value(),
        ) {
            let mut seen = std::collections::BTreeMap::new();
            for (id, kind, value) in memos {
                let kind = KINDS[usize::from(kind)];
                seen.insert(id, (kind, Payload::from_json(value.to_string())));
            }
            let mut ids: Vec<(StepId, MemoKind, Payload)> =
                seen.into_iter().map(|(id, (k, v))| (StepId::new(&id), k, v)).collect();
            ids.reverse();
            let steps: Vec<Memo<'_>> =
                ids.iter().map(|(id, kind, value)| Memo { id, kind: *kind, value }).collect();
            let stack: Vec<StepId> = ids.iter().map(|(id, ..)| id.clone()).collect();
            let event = serde_json_canonicalizer::to_vec(&serde_json::json!({"name": "a", "data": data})).unwrap();
            let events = [Bytes::from(event)];
            let defers: Vec<(StepId, bool)> = stack.iter().map(|id| (id.clone(), true)).collect();
            let call = CallBody { defers: &defers, ..body(&steps, &stack, &events) };
            let text = call.encode();
            let value: Value = serde_json::from_slice(&text).unwrap();
            prop_assert_eq!(text.to_vec(), serde_json_canonicalizer::to_vec(&value).unwrap());
        }
    }

    #[test]
    fn with_use_api_only_the_first_event_is_carried() {
        let value = Payload::from_json("1");
        let id = StepId::new("0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33");
        let steps = [Memo {
            id: &id,
            kind: MemoKind::Data,
            value: &value,
        }];
        let events = [Bytes::from_static(br#"{"name":"a"}"#)];
        let stack = [id.clone()];
        let call = CallBody {
            use_api: true,
            ..body(&steps, &stack, &events)
        };
        let sent: Value = serde_json::from_slice(&call.encode()).unwrap();
        assert_eq!(sent["event"]["name"], "a");
        assert_eq!(sent["events"], serde_json::json!([]));
        assert_eq!(sent["steps"], serde_json::json!({}));
        assert_eq!(
            (&sent["use_api"], &sent["ctx"]["use_api"]),
            (&Value::Bool(true), &Value::Bool(true))
        );
        assert_eq!(
            encode_steps(&steps).as_ref(),
            br#"{"0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33":{"data":1}}"#
        );
        assert_eq!(encode_events(&events).as_ref(), br#"[{"name":"a"}]"#);
    }

    #[test]
    fn a_step_with_new_arguments_and_a_deferred_function_are_told_to_the_app() {
        let value = Payload::from_json(r#"[{"n":2}]"#);
        let id = StepId::new("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8");
        let steps = [Memo {
            id: &id,
            kind: MemoKind::Input,
            value: &value,
        }];
        let events = [Bytes::from_static(br#"{"name":"a"}"#)];
        let defers = [(StepId::new("b"), true), (StepId::new("a"), false)];
        for canonical in [true, false] {
            let call = CallBody {
                defers: &defers,
                canonical,
                ..body(&steps, &[], &events)
            };
            let sent: Value = serde_json::from_slice(&call.encode()).unwrap();
            assert_eq!(
                sent["steps"],
                serde_json::json!({id.text(): {"input": [{"n": 2}]}})
            );
            assert_eq!(
                sent["defers"],
                serde_json::json!({"a": {"abortable": false}, "b": {"abortable": true}})
            );
        }
    }

    #[test]
    fn the_target_replaces_the_step_of_the_registered_address() {
        for (url, target, want) in [
            (
                "http://h/a?fnId=x&stepId=step",
                "abc",
                "http://h/a?fnId=x&stepId=abc",
            ),
            (
                "http://h/a?stepId=step&fnId=x",
                "step",
                "http://h/a?fnId=x&stepId=step",
            ),
            ("http://h/a", "a b", "http://h/a?stepId=a%20b"),
        ] {
            assert_eq!(call_url(url, target), want);
        }
    }
}
