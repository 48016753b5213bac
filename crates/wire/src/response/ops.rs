//! The operations of a 206 response. On the path of every step: text is borrowed, values are cut
//! out of the body unread.

use std::fmt;

use bytes::Bytes;
use dunlin_types::limits::{OP_METADATA_BYTES_MAX, OPS_PER_RESPONSE_MAX};
use dunlin_types::{Code, Coded, Payload, StepId, Timestamp};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::opts::Opts;
use super::{Op, OpKind, check_output, error, outbound};
use crate::duration::{RetryAfter, parse_sleep};
use crate::json::{self, Text};

#[derive(Deserialize)]
struct RawOp<'a> {
    #[serde(borrow, default)]
    op: Text<'a>,
    #[serde(borrow, default)]
    id: Text<'a>,
    #[serde(borrow, default)]
    name: Text<'a>,
    #[serde(borrow, default, rename = "displayName")]
    display_name: Text<'a>,
    #[serde(borrow)]
    opts: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
}

struct OpList<'a> {
    ops: Vec<RawOp<'a>>,
    count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for OpList<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OpListVisitor)
    }
}

struct OpListVisitor;

impl<'de> Visitor<'de> for OpListVisitor {
    type Value = OpList<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of operations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut ops = Vec::with_capacity(1);
        while ops.len() < OPS_PER_RESPONSE_MAX {
            match seq.next_element()? {
                Some(op) => ops.push(op),
                None => break,
            }
        }
        let mut count = ops.len();
        while count >= OPS_PER_RESPONSE_MAX && seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(OpList { ops, count })
    }

    /// Very old SDKs send one operation without a list around it.
    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        let op = RawOp::deserialize(MapAccessDeserializer::new(map))?;
        Ok(OpList {
            ops: vec![op],
            count: 1,
        })
    }
}

/// Reads a 206 body.
pub(super) fn parse(
    body: &Bytes,
    retry_after: Option<RetryAfter>,
    now: Timestamp,
) -> Result<Vec<Op>, Coded> {
    match std::str::from_utf8(body) {
        Ok(text) => parse_text(body, text, retry_after, now),
        Err(_) => Err(Coded::new(
            Code::CallResponseBad,
            "the response is not UTF-8",
        )),
    }
}

/// Reads a list of operations that is part of `body`.
pub(super) fn parse_text(
    body: &Bytes,
    text: &str,
    retry_after: Option<RetryAfter>,
    now: Timestamp,
) -> Result<Vec<Op>, Coded> {
    let list: OpList<'_> = serde_json::from_str(text).map_err(|e| {
        Coded::new(
            Code::CallResponseBad,
            format!("the operations could not be read: {e}"),
        )
    })?;
    if list.count > OPS_PER_RESPONSE_MAX {
        let detail = format!(
            "the response holds {} operations, at most {OPS_PER_RESPONSE_MAX} are allowed",
            list.count
        );
        return Err(Coded::new(Code::TooManyOps, detail));
    }
    let reader = Reader {
        body,
        retry_after,
        now,
    };
    list.ops.iter().map(|op| reader.op(op)).collect()
}

struct Reader<'a> {
    body: &'a Bytes,
    retry_after: Option<RetryAfter>,
    now: Timestamp,
}

impl Reader<'_> {
    fn op(&self, raw: &RawOp<'_>) -> Result<Op, Coded> {
        let name = [&raw.display_name.0, &raw.name.0, &raw.id.0]
            .into_iter()
            .find(|text| !text.is_empty())
            .map_or_else(String::new, |text| text.to_string());
        let output = raw.data.map_or(0, |v| v.get().len()) + raw.error.map_or(0, |v| v.get().len());
        check_output(&name, output)?;
        let opts = Opts::of(raw.opts, self.body, &name);
        let kind = self.kind(raw, &opts)?;
        if raw.id.0.is_empty() && !matches!(kind, OpKind::None) {
            return Err(Coded::new(
                Code::OpBad,
                format!("the operation {:?} has no id", raw.op.0),
            ));
        }
        let input = match kind {
            OpKind::StepRun(_)
            | OpKind::StepError { .. }
            | OpKind::StepFailed { .. }
            | OpKind::StepPlanned => opts.input()?,
            _ => None,
        };
        Ok(Op {
            kind,
            id: StepId::new(&raw.id.0),
            raw_name: raw.name.0.to_string(),
            parallel_race: opts.text("parallelMode").as_deref() == Some("race"),
            input,
            step_type: opts.text("type"),
            metadata: raw.metadata.and_then(|given| self.metadata(given.get())),
            name,
        })
    }

    fn kind(&self, raw: &RawOp<'_>, opts: &Opts<'_>) -> Result<OpKind, Coded> {
        Ok(match raw.op.0.as_ref() {
            "None" => OpKind::None,
            "Step" => OpKind::Step(self.data(raw)),
            "StepRun" => OpKind::StepRun(self.data(raw)),
            "StepError" => {
                let (error, no_retry) = step_error(raw, opts)?;
                OpKind::StepError {
                    error,
                    no_retry,
                    retry_after: self.retry_after,
                }
            }
            "StepFailed" => OpKind::StepFailed {
                error: step_error(raw, opts)?.0,
            },
            "StepPlanned" => OpKind::StepPlanned,
            "Sleep" => OpKind::Sleep(match opts.text("duration") {
                Some(duration) => parse_sleep(&duration, self.now),
                None => parse_sleep(&raw.name.0, self.now),
            }),
            "RunComplete" => OpKind::RunComplete(self.data(raw)),
            "DiscoveryRequest" => OpKind::DiscoveryRequest,
            "WaitForEvent" => opts.wait_for_event(&raw.name.0, self.now)?,
            "InvokeFunction" => opts.invoke(self.now)?,
            "WaitForSignal" => opts.wait_for_signal(self.now)?,
            "Gateway" => OpKind::Gateway(Box::new(outbound::gateway(opts)?)),
            "AIGateway" => OpKind::Gateway(Box::new(outbound::ai(opts)?)),
            "SyncRunComplete" => OpKind::SyncRunComplete(self.data(raw)),
            "DeferAdd" => opts.defer_add()?,
            "DeferAbort" => opts.defer_abort()?,
            op => {
                let op: String = op.chars().take(64).collect();
                return Err(Coded::new(
                    Code::OpUnknown,
                    format!("the operation {op:?} of step {:?} is not known", opts.step),
                ));
            }
        })
    }

    /// Decoration for traces: left out where it is empty or too much.
    fn metadata(&self, text: &str) -> Option<Payload> {
        let wanted = !matches!(text, "null" | "[]") && text.len() <= OP_METADATA_BYTES_MAX;
        wanted.then(|| json::cut(self.body, text))
    }

    fn data(&self, raw: &RawOp<'_>) -> Payload {
        raw.data
            .map_or_else(Payload::null, |data| json::cut(self.body, data.get()))
    }
}

fn step_error(raw: &RawOp<'_>, opts: &Opts<'_>) -> Result<(Payload, bool), Coded> {
    match raw.error {
        Some(error) => Ok(error::of_op(error.get())),
        None => Err(opts.bad("failed without an error")),
    }
}
