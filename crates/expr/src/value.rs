//! Values during an evaluation. They borrow the event and the program; what an evaluation makes
//! itself is shared by counting, so that copying a value is always cheap.

use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::node::Literal;

/// Why an evaluation ended without a value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fault {
    /// The budget is used up; no operator may absorb this.
    TooCostly,
    /// An operation that its operands do not allow; `||` and `&&` may absorb this.
    Failed(String),
}

pub(crate) type Evaluated<T> = Result<T, Fault>;

/// A failure with that text.
pub(crate) fn failed<T>(why: impl Into<String>) -> Evaluated<T> {
    Err(Fault::Failed(why.into()))
}

/// A number. `Whole` is one that came from JSON without a fraction: it divides like a double,
/// but keeps the digits a double would lose.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Int(i64),
    Uint(u64),
    Whole(i64),
    Double(f64),
}

impl Number {
    /// The exact value, unless it is a double.
    pub(crate) const fn exact(self) -> Option<i128> {
        match self {
            Self::Int(n) | Self::Whole(n) => Some(n as i128),
            Self::Uint(n) => Some(n as i128),
            Self::Double(_) => None,
        }
    }

    pub(crate) const fn double(self) -> f64 {
        match self {
            Self::Int(n) | Self::Whole(n) => n as f64,
            Self::Uint(n) => n as f64,
            Self::Double(n) => n,
        }
    }

    /// The value as a position in a list.
    pub(crate) fn position(self) -> Option<usize> {
        match self {
            Self::Double(n) if n.fract() == 0.0 && (0.0..1e15).contains(&n) => Some(n as usize),
            Self::Double(_) => None,
            other => usize::try_from(other.exact()?).ok(),
        }
    }

    /// Digits without an exponent or a needless fraction, so that equal numbers give equal keys.
    pub(crate) fn text(self) -> String {
        match self {
            Self::Int(n) | Self::Whole(n) => n.to_string(),
            Self::Uint(n) => n.to_string(),
            Self::Double(n) if n.is_nan() => "NaN".to_owned(),
            Self::Double(n) if n.is_infinite() && n > 0.0 => "+Inf".to_owned(),
            Self::Double(n) if n.is_infinite() => "-Inf".to_owned(),
            // Adding zero turns -0 into 0.
            Self::Double(n) => (n + 0.0).to_string(),
        }
    }

    fn from_json(number: &serde_json::Number) -> Self {
        match number.as_i64() {
            Some(whole) => Self::Whole(whole),
            None => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
        }
    }
}

/// A string that is either part of the event or the program, or made here.
#[derive(Clone, Debug)]
pub(crate) enum Text<'a> {
    Borrowed(&'a str),
    Made(Rc<str>),
}

impl Text<'_> {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Borrowed(text) => text,
            Self::Made(text) => text,
        }
    }
}

/// A value. `Json` holds arrays and objects only.
#[derive(Clone, Debug)]
pub(crate) enum Val<'a> {
    Missing,
    Null,
    Bool(bool),
    Number(Number),
    Text(Text<'a>),
    Bytes(Rc<[u8]>),
    Json(&'a Value),
    List(Rc<[Val<'a>]>),
    Map(Rc<[(Val<'a>, Val<'a>)]>),
    Moment(Timestamp),
    Span(SignedDuration),
    Type(&'static str),
}

impl<'a> Val<'a> {
    pub(crate) fn text(text: impl Into<Rc<str>>) -> Self {
        Self::Text(Text::Made(text.into()))
    }

    pub(crate) const fn int(n: i64) -> Self {
        Self::Number(Number::Int(n))
    }

    pub(crate) fn from_json(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Number(n) => Self::Number(Number::from_json(n)),
            Value::String(text) => Self::Text(Text::Borrowed(text)),
            Value::Array(_) | Value::Object(_) => Self::Json(value),
        }
    }

    /// The same from JSON that will not outlive the evaluation. Bounded by the parser's depth.
    pub(crate) fn from_owned_json(value: Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(b),
            Value::Number(n) => Self::Number(Number::from_json(&n)),
            Value::String(text) => Self::text(text),
            Value::Array(items) => {
                Self::List(items.into_iter().map(Self::from_owned_json).collect())
            }
            Value::Object(fields) => Self::Map(
                fields
                    .into_iter()
                    .map(|(key, value)| (Self::text(key), Self::from_owned_json(value)))
                    .collect(),
            ),
        }
    }

    pub(crate) fn from_literal(literal: &'a Literal) -> Self {
        match literal {
            Literal::Null => Self::Null,
            Literal::Bool(b) => Self::Bool(*b),
            Literal::Int(n) => Self::int(*n),
            Literal::Uint(n) => Self::Number(Number::Uint(*n)),
            Literal::Double(n) => Self::Number(Number::Double(*n)),
            Literal::Text(text) => Self::Text(Text::Borrowed(text)),
            Literal::Bytes(bytes) => Self::Bytes(bytes.as_slice().into()),
            Literal::Type(name) => Self::Type(name),
        }
    }

    /// As in JavaScript: null, 0, NaN, the empty string and the missing value count as false.
    pub(crate) fn is_truthy(&self) -> bool {
        match self {
            Self::Missing | Self::Null => false,
            Self::Bool(b) => *b,
            Self::Number(n) => n.double() != 0.0 && !n.double().is_nan(),
            Self::Text(text) => !text.as_str().is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            _ => true,
        }
    }

    pub(crate) const fn type_name(&self) -> &'static str {
        match self {
            Self::Missing | Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Number(Number::Int(_)) => "int",
            Self::Number(Number::Uint(_)) => "uint",
            Self::Number(_) => "double",
            Self::Text(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Json(Value::Array(_)) | Self::List(_) => "list",
            Self::Json(_) | Self::Map(_) => "map",
            Self::Moment(_) => "google.protobuf.Timestamp",
            Self::Span(_) => "google.protobuf.Duration",
            Self::Type(_) => "type",
        }
    }

    /// How many elements or entries a list or map has.
    pub(crate) fn len(&self) -> Option<usize> {
        match self {
            Self::Json(Value::Array(items)) => Some(items.len()),
            Self::Json(Value::Object(fields)) => Some(fields.len()),
            Self::List(items) => Some(items.len()),
            Self::Map(entries) => Some(entries.len()),
            _ => None,
        }
    }

    pub(crate) const fn is_list(&self) -> bool {
        matches!(self, Self::Json(Value::Array(_)) | Self::List(_))
    }

    /// The elements of a list or the keys of a map.
    pub(crate) fn elements(&self) -> Option<Box<dyn Iterator<Item = Self> + 'a>> {
        match self {
            Self::Json(Value::Array(items)) => Some(Box::new(items.iter().map(Self::from_json))),
            Self::Json(Value::Object(fields)) => Some(Box::new(
                fields.keys().map(|key| Val::Text(Text::Borrowed(key))),
            )),
            Self::List(items) => {
                let items = Rc::clone(items);
                Some(Box::new((0..items.len()).map(move |at| items[at].clone())))
            }
            Self::Map(entries) => {
                let entries = Rc::clone(entries);
                Some(Box::new(
                    (0..entries.len()).map(move |at| entries[at].0.clone()),
                ))
            }
            _ => None,
        }
    }

    /// The element at that position, or the missing value.
    pub(crate) fn at(&self, position: usize) -> Self {
        match self {
            Self::Json(Value::Array(items)) => {
                items.get(position).map_or(Self::Missing, Self::from_json)
            }
            Self::List(items) => items.get(position).cloned().unwrap_or(Self::Missing),
            _ => Self::Missing,
        }
    }

    /// The entry of that name, if this is a map that has it.
    pub(crate) fn entry(&self, key: &str) -> Option<Self> {
        match self {
            Self::Json(Value::Object(fields)) => fields.get(key).map(Self::from_json),
            Self::Map(entries) => entries
                .iter()
                .find(|(name, _)| matches!(name, Self::Text(text) if text.as_str() == key))
                .map(|(_, value)| value.clone()),
            _ => None,
        }
    }
}
