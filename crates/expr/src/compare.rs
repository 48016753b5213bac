//! Equality and order between values of any types. Neither ever fails: values that cannot be
//! compared are unequal and unordered. Both count their steps, since lists may be long.

use std::cmp::Ordering;

use jiff::SignedDuration;
use serde_json::Value;

use crate::evaluate::Meter;
use crate::node::Comparison;
use crate::value::{Evaluated, Number, Val};

/// The outcome of one of the six comparisons.
pub(crate) fn compare(
    meter: &mut Meter,
    how: Comparison,
    left: &Val<'_>,
    right: &Val<'_>,
) -> Evaluated<bool> {
    let order = match how {
        Comparison::Equal => return equal(meter, left, right),
        Comparison::NotEqual => return Ok(!equal(meter, left, right)?),
        _ => order(meter, left, right)?,
    };
    Ok(order.is_some_and(|order| match how {
        Comparison::Less => order.is_lt(),
        Comparison::LessOrEqual => order.is_le(),
        Comparison::Greater => order.is_gt(),
        _ => order.is_ge(),
    }))
}

/// Whether two values are the same; a missing one is the same as null.
pub(crate) fn equal(meter: &mut Meter, left: &Val<'_>, right: &Val<'_>) -> Evaluated<bool> {
    meter.charge(1)?;
    Ok(match (left, right) {
        (Val::Missing | Val::Null, Val::Missing | Val::Null) => true,
        (Val::Bool(a), Val::Bool(b)) => a == b,
        (Val::Number(a), Val::Number(b)) => order_numbers(*a, *b).is_some_and(Ordering::is_eq),
        (Val::Text(a), Val::Text(b)) => {
            let (a, b) = (a.as_str(), b.as_str());
            meter.charge_bytes(a.len().min(b.len()))?;
            a == b
        }
        (Val::Bytes(a), Val::Bytes(b)) => {
            meter.charge_bytes(a.len().min(b.len()))?;
            a == b
        }
        (Val::Moment(a), Val::Moment(b)) => a == b,
        (Val::Span(a), Val::Span(b)) => a == b,
        (Val::Type(a), Val::Type(b)) => a == b,
        _ if left.type_name() != right.type_name() || left.len() != right.len() => false,
        _ if left.is_list() => equal_lists(meter, left, right)?,
        _ => equal_maps(meter, left, right)?,
    })
}

fn equal_lists(meter: &mut Meter, left: &Val<'_>, right: &Val<'_>) -> Evaluated<bool> {
    let (Some(left), Some(right)) = (left.elements(), right.elements()) else {
        return Ok(false);
    };
    for (a, b) in left.zip(right) {
        if !equal(meter, &a, &b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn equal_maps(meter: &mut Meter, left: &Val<'_>, right: &Val<'_>) -> Evaluated<bool> {
    let Some(keys) = left.elements() else {
        return Ok(false);
    };
    for key in keys {
        let (Some(a), Some(b)) = (lookup(meter, left, &key)?, lookup(meter, right, &key)?) else {
            return Ok(false);
        };
        if !equal(meter, &a, &b)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The entry of a map whose key equals that one.
pub(crate) fn lookup<'a>(
    meter: &mut Meter,
    map: &Val<'a>,
    key: &Val<'_>,
) -> Evaluated<Option<Val<'a>>> {
    let Val::Map(entries) = map else {
        return Ok(match key {
            Val::Text(name) => map.entry(name.as_str()),
            _ => None,
        });
    };
    for (name, value) in entries.iter() {
        if equal(meter, name, key)? {
            return Ok(Some(value.clone()));
        }
    }
    Ok(None)
}

/// The order of two values: the missing one is below all, null stands for the other type's zero.
fn order(meter: &mut Meter, left: &Val<'_>, right: &Val<'_>) -> Evaluated<Option<Ordering>> {
    Ok(match (left, right) {
        (Val::Missing | Val::Null, Val::Missing | Val::Null) => Some(Ordering::Equal),
        (Val::Missing, _) => Some(Ordering::Less),
        (_, Val::Missing) => Some(Ordering::Greater),
        (Val::Null, other) => order_zero(other),
        (other, Val::Null) => order_zero(other).map(Ordering::reverse),
        (Val::Bool(a), Val::Bool(b)) => Some(a.cmp(b)),
        (Val::Number(a), Val::Number(b)) => order_numbers(*a, *b),
        (Val::Text(a), Val::Text(b)) => {
            let (a, b) = (a.as_str(), b.as_str());
            meter.charge_bytes(a.len().min(b.len()))?;
            Some(a.cmp(b))
        }
        (Val::Bytes(a), Val::Bytes(b)) => {
            meter.charge_bytes(a.len().min(b.len()))?;
            Some(a.cmp(b))
        }
        (Val::Moment(a), Val::Moment(b)) => Some(a.cmp(b)),
        (Val::Span(a), Val::Span(b)) => Some(a.cmp(b)),
        _ => None,
    })
}

/// How the zero of a value's type compares with the value.
fn order_zero(value: &Val<'_>) -> Option<Ordering> {
    match value {
        Val::Bool(b) => Some(false.cmp(b)),
        Val::Number(n) => order_numbers(Number::Int(0), *n),
        Val::Text(text) => Some("".cmp(text.as_str())),
        Val::Bytes(bytes) => Some([].as_slice().cmp(bytes)),
        // The zero instant lies before any that occurs.
        Val::Moment(_) => Some(Ordering::Less),
        Val::Span(span) => Some(SignedDuration::ZERO.cmp(span)),
        _ => None,
    }
}

fn order_numbers(left: Number, right: Number) -> Option<Ordering> {
    match (left.exact(), right.exact()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.double().partial_cmp(&right.double()),
    }
}

/// Whether a list has an element, or a map a key, that equals the needle.
pub(crate) fn contains(
    meter: &mut Meter,
    haystack: &Val<'_>,
    needle: &Val<'_>,
) -> Evaluated<Option<bool>> {
    if matches!(haystack, Val::Json(Value::Object(_))) {
        return Ok(Some(lookup(meter, haystack, needle)?.is_some()));
    }
    let Some(elements) = haystack.elements() else {
        return Ok(None);
    };
    for element in elements {
        if equal(meter, &element, needle)? {
            return Ok(Some(true));
        }
    }
    Ok(Some(false))
}
