//! `+ - * / %` and the minus sign.

use std::rc::Rc;

use crate::evaluate::Meter;
use crate::node::Operator;
use crate::value::{Evaluated, Number, Val, failed};

/// What the operator makes of two values.
pub(crate) fn apply<'a>(
    meter: &mut Meter,
    operator: Operator,
    left: Val<'a>,
    right: Val<'a>,
) -> Evaluated<Val<'a>> {
    match (operator, &left, &right) {
        (Operator::Add, _, _) => add(meter, left, right),
        (_, Val::Missing, _) | (_, _, Val::Missing) => Ok(Val::Bool(false)),
        (_, Val::Number(a), Val::Number(b)) => numbers(operator, *a, *b).map(Val::Number),
        (Operator::Subtract, Val::Moment(a), Val::Moment(b)) => Ok(Val::Span(a.duration_since(*b))),
        (Operator::Subtract, Val::Moment(at), Val::Span(by)) => at
            .checked_sub(*by)
            .map(Val::Moment)
            .or_else(|_| out_of_range()),
        (Operator::Subtract, Val::Span(a), Val::Span(b)) => a
            .checked_sub(*b)
            .map_or_else(out_of_range, |span| Ok(Val::Span(span))),
        _ => mismatch(operator, &left, &right),
    }
}

fn add<'a>(meter: &mut Meter, left: Val<'a>, right: Val<'a>) -> Evaluated<Val<'a>> {
    Ok(match (&left, &right) {
        (Val::Missing, _) => right,
        (_, Val::Missing) => left,
        (Val::Number(a), Val::Number(b)) => Val::Number(numbers(Operator::Add, *a, *b)?),
        (Val::Text(a), Val::Text(b)) => join(meter, a.as_str(), b.as_str())?,
        (Val::Text(a), Val::Number(b)) => join(meter, a.as_str(), &b.text())?,
        (Val::Number(a), Val::Text(b)) => join(meter, &a.text(), b.as_str())?,
        (Val::Bytes(a), Val::Bytes(b)) => {
            meter.charge_bytes(a.len() + b.len())?;
            Val::Bytes([a.as_ref(), b.as_ref()].concat().into())
        }
        (Val::Moment(at), Val::Span(by)) | (Val::Span(by), Val::Moment(at)) => {
            match at.checked_add(*by) {
                Ok(at) => Val::Moment(at),
                Err(_) => return out_of_range(),
            }
        }
        (Val::Span(a), Val::Span(b)) => match a.checked_add(*b) {
            Some(span) => Val::Span(span),
            None => return out_of_range(),
        },
        _ if left.is_list() && right.is_list() => concat(meter, &left, &right)?,
        _ => return mismatch(Operator::Add, &left, &right),
    })
}

fn join<'a>(meter: &mut Meter, left: &str, right: &str) -> Evaluated<Val<'a>> {
    meter.charge_bytes(left.len() + right.len())?;
    Ok(Val::text([left, right].concat()))
}

fn concat<'a>(meter: &mut Meter, left: &Val<'a>, right: &Val<'a>) -> Evaluated<Val<'a>> {
    meter.charge(left.len().unwrap_or(0) + right.len().unwrap_or(0))?;
    let (left, right) = (left.elements(), right.elements());
    let all: Rc<[Val<'a>]> = left
        .into_iter()
        .flatten()
        .chain(right.into_iter().flatten())
        .collect();
    Ok(Val::List(all))
}

/// The sign turned round.
pub(crate) fn negate(value: &Val<'_>) -> Evaluated<Number> {
    match value {
        Val::Number(Number::Double(n)) => Ok(Number::Double(-n)),
        Val::Number(n @ Number::Uint(_)) => numbers(Operator::Subtract, Number::Int(0), *n),
        Val::Number(n @ Number::Whole(_)) => numbers(Operator::Subtract, Number::Whole(0), *n),
        Val::Number(n) => numbers(Operator::Subtract, Number::Int(0), *n),
        other => failed(format!("-({}) is not defined", other.type_name())),
    }
}

fn numbers(operator: Operator, left: Number, right: Number) -> Evaluated<Number> {
    let from_json = matches!(left, Number::Whole(_)) || matches!(right, Number::Whole(_));
    let (Some(a), Some(b)) = (left.exact(), right.exact()) else {
        return Ok(doubles(operator, left, right));
    };
    let exact = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Divide if from_json => return Ok(doubles(operator, left, right)),
        Operator::Divide if b == 0 => return failed("division by zero"),
        Operator::Divide => a.checked_div(b),
        Operator::Remainder if b == 0 => return failed("remainder of a division by zero"),
        Operator::Remainder => a.checked_rem(b),
    };
    let both_unsigned = matches!((left, right), (Number::Uint(_), Number::Uint(_)));
    match exact {
        Some(n) if both_unsigned => u64::try_from(n).map(Number::Uint).or_else(|_| overflow()),
        Some(n) if from_json => {
            Ok(i64::try_from(n).map_or(Number::Double(n as f64), Number::Whole))
        }
        Some(n) => i64::try_from(n).map(Number::Int).or_else(|_| overflow()),
        None => overflow(),
    }
}

fn doubles(operator: Operator, left: Number, right: Number) -> Number {
    let (a, b) = (left.double(), right.double());
    Number::Double(match operator {
        Operator::Add => a + b,
        Operator::Subtract => a - b,
        Operator::Multiply => a * b,
        Operator::Divide => a / b,
        Operator::Remainder => a % b,
    })
}

fn overflow<T>() -> Evaluated<T> {
    failed("the number is too large")
}

fn out_of_range<T>() -> Evaluated<T> {
    failed("the time is out of range")
}

fn mismatch<T>(operator: Operator, left: &Val<'_>, right: &Val<'_>) -> Evaluated<T> {
    let sign = match operator {
        Operator::Add => '+',
        Operator::Subtract => '-',
        Operator::Multiply => '*',
        Operator::Divide => '/',
        Operator::Remainder => '%',
    };
    let (left, right) = (left.type_name(), right.type_name());
    failed(format!("{left} {sign} {right} is not defined"))
}
