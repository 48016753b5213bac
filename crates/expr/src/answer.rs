//! What an expression evaluated to, in a form that outlives the event.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Number as JsonNumber, Value};

use crate::dates;
use crate::evaluate::Meter;
use crate::value::{Evaluated, Number, Val};

/// The value of an expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The expression ended at a field that does not exist.
    Missing,
    /// Anything else, as JSON: instants as RFC 3339, durations as seconds (`90s`), bytes as base64.
    Value(Value),
}

impl Answer {
    /// The text that keys are made of: strings as they are, `<nil>` for null and for a missing
    /// field, everything else as compact JSON.
    #[must_use]
    pub fn key_text(&self) -> String {
        match self {
            Self::Missing | Self::Value(Value::Null) => "<nil>".to_owned(),
            Self::Value(Value::String(text)) => text.clone(),
            Self::Value(other) => other.to_string(),
        }
    }

    /// Whether it is the boolean `true`.
    #[must_use]
    pub fn is_true(&self) -> bool {
        *self == Self::Value(Value::Bool(true))
    }

    /// Whether it is the boolean `false`, with which a key says "no limit for this one".
    #[must_use]
    pub fn is_false(&self) -> bool {
        *self == Self::Value(Value::Bool(false))
    }

    /// The number without its fraction, if it is a number.
    #[must_use]
    pub fn as_int(&self) -> Option<i64> {
        let Self::Value(Value::Number(number)) = self else {
            return None;
        };
        number
            .as_i64()
            .or_else(|| number.as_f64().map(|n| n as i64))
    }

    /// The value as JSON; a missing field is null.
    #[must_use]
    pub fn into_json(self) -> Value {
        match self {
            Self::Missing => Value::Null,
            Self::Value(value) => value,
        }
    }

    pub(crate) fn from_val(meter: &mut Meter, val: &Val<'_>) -> Evaluated<Self> {
        Ok(match val {
            Val::Missing => Self::Missing,
            val => Self::Value(to_json(meter, val)?),
        })
    }
}

/// Copies a value out. It counts steps: a list may hold the same long part many times.
fn to_json(meter: &mut Meter, val: &Val<'_>) -> Evaluated<Value> {
    meter.charge(1)?;
    Ok(match val {
        Val::Missing | Val::Null => Value::Null,
        Val::Bool(b) => Value::Bool(*b),
        Val::Number(n) => number_to_json(*n),
        Val::Text(text) => {
            meter.charge_bytes(text.as_str().len())?;
            Value::String(text.as_str().to_owned())
        }
        Val::Bytes(bytes) => {
            meter.charge_bytes(bytes.len())?;
            Value::String(STANDARD.encode(bytes))
        }
        Val::Moment(at) => Value::String(at.to_string()),
        Val::Span(span) => Value::String(dates::span_text(*span)),
        Val::Type(name) => Value::String((*name).to_owned()),
        Val::Json(value) => copy_json(meter, value)?,
        Val::List(items) => items
            .iter()
            .map(|item| to_json(meter, item))
            .collect::<Evaluated<_>>()?,
        Val::Map(entries) => {
            let mut fields = Map::new();
            for (key, value) in entries.iter() {
                let key = Answer::Value(to_json(meter, key)?).key_text();
                fields.insert(key, to_json(meter, value)?);
            }
            Value::Object(fields)
        }
    })
}

/// Copies a part of the event; its strings are what costs.
fn copy_json(meter: &mut Meter, value: &Value) -> Evaluated<Value> {
    let mut to_count = vec![value];
    while let Some(value) = to_count.pop() {
        meter.charge(1)?;
        match value {
            Value::String(text) => meter.charge_bytes(text.len())?,
            Value::Array(items) => to_count.extend(items),
            Value::Object(fields) => to_count.extend(fields.values()),
            _ => {}
        }
    }
    Ok(value.clone())
}

/// Doubles without a fraction become integers, so that `2.0` and `2` give the same key.
fn number_to_json(number: Number) -> Value {
    const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
    match number {
        Number::Int(n) | Number::Whole(n) => n.into(),
        Number::Uint(n) => n.into(),
        Number::Double(n) if n.fract() == 0.0 && n.abs() <= EXACT_MAX => (n as i64).into(),
        Number::Double(n) => match JsonNumber::from_f64(n) {
            Some(n) => Value::Number(n),
            None => Value::String(number.text()),
        },
    }
}
