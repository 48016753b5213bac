//! JSON values as filters see them: numbers by what they are worth, and texts short enough to show.

use std::cmp::Ordering;
use std::fmt::{self, Write as _};

use dunlin_expr::Value;
use dunlin_types::limits;

/// A number by its worth: each has one form only.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exact {
    Whole(i128),
    /// One with a fraction, or beyond every whole one.
    Double(f64),
}

/// What a JSON number is worth.
pub(crate) fn exact(value: &Value) -> Option<Exact> {
    const WHOLE_BELOW: f64 = i128::MAX as f64;
    let Value::Number(number) = value else {
        return None;
    };
    let whole = number.as_i64().map(i128::from);
    if let Some(whole) = whole.or_else(|| number.as_u64().map(i128::from)) {
        return Some(Exact::Whole(whole));
    }
    let double = number.as_f64()?;
    Some(if double.fract() == 0.0 && double.abs() < WHOLE_BELOW {
        Exact::Whole(double as i128)
    } else {
        Exact::Double(double)
    })
}

/// The order of two numbers or two texts; other values have none.
pub(super) fn order(left: &Value, right: &Value) -> Option<Ordering> {
    if let (Value::String(left), Value::String(right)) = (left, right) {
        return Some(left.cmp(right));
    }
    match (exact(left)?, exact(right)?) {
        (Exact::Whole(left), Exact::Whole(right)) => Some(left.cmp(&right)),
        (Exact::Double(left), Exact::Double(right)) => left.partial_cmp(&right),
        (Exact::Whole(whole), Exact::Double(double)) => Some(order_mixed(whole, double)),
        (Exact::Double(double), Exact::Whole(whole)) => Some(order_mixed(whole, double).reverse()),
    }
}

/// Rounding a double down saturates, so one beyond every whole number stays on its side.
fn order_mixed(whole: i128, double: f64) -> Ordering {
    if whole <= double.floor() as i128 {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

/// The text of a value, cut to what can be shown.
pub(super) fn shown(value: &Value) -> String {
    cut(format_args!("{value}"))
}

/// A text, cut to what can be shown.
pub(super) fn cut(text: fmt::Arguments<'_>) -> String {
    let mut short = Short {
        text: String::new(),
        left: limits::FILTER_SHOWN_CHARS_MAX,
    };
    // It fails when it is full, so that no large value is written out.
    if short.write_fmt(text).is_err() {
        short.text.pop();
        short.text.push('…');
    }
    short.text
}

struct Short {
    text: String,
    left: usize,
}

impl fmt::Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(char);
        }
        Ok(())
    }
}
