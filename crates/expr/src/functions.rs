//! The functions of the dialect.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use dunlin_types::Timestamp;
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use crate::dates;
use crate::evaluate::Meter;
use crate::value::{Evaluated, Number, Val, failed};

/// Memory a compiled pattern may take.
const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// Compiling a pattern costs as much as this many nodes.
const PATTERN_STEPS: usize = 2000;

macro_rules! functions {
    ($($name:literal => $function:ident, $least:literal..=$most:literal;)*) => {
        /// A function of the dialect.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Function { $($function,)* }

        impl Function {
            /// The function of that name and how many arguments it takes, its target included.
            pub(crate) fn named(name: &str) -> Option<(Self, std::ops::RangeInclusive<usize>)> {
                match name { $($name => Some((Self::$function, $least..=$most)),)* _ => None }
            }

            const fn name(self) -> &'static str {
                match self { $(Self::$function => $name,)* }
            }
        }
    };
}

functions! {
    "size" => Size, 1..=1;
    "type" => Type, 1..=1;
    "dyn" => Dyn, 1..=1;
    "int" => Int, 1..=1;
    "uint" => Uint, 1..=1;
    "double" => Double, 1..=1;
    "string" => Text, 1..=1;
    "bool" => Bool, 1..=1;
    "bytes" => Bytes, 1..=1;
    "contains" => Contains, 2..=2;
    "startsWith" => StartsWith, 2..=2;
    "endsWith" => EndsWith, 2..=2;
    "matches" => Matches, 2..=2;
    "lowercase" => Lowercase, 1..=1;
    "uppercase" => Uppercase, 1..=1;
    "b64decode" => B64Decode, 1..=1;
    "json_parse" => JsonParse, 1..=1;
    "date" => Date, 1..=1;
    "now" => Now, 0..=0;
    "now_plus" => NowPlus, 1..=1;
    "now_minus" => NowMinus, 1..=1;
    "timestamp" => Timestamp, 1..=1;
    "duration" => Duration, 1..=1;
    "getFullYear" => GetFullYear, 1..=2;
    "getMonth" => GetMonth, 1..=2;
    "getDate" => GetDate, 1..=2;
    "getDayOfMonth" => GetDayOfMonth, 1..=2;
    "getDayOfWeek" => GetDayOfWeek, 1..=2;
    "getDayOfYear" => GetDayOfYear, 1..=2;
    "getHours" => GetHours, 1..=2;
    "getMinutes" => GetMinutes, 1..=2;
    "getSeconds" => GetSeconds, 1..=2;
    "getMilliseconds" => GetMilliseconds, 1..=2;
}

impl Function {
    /// Whether its value depends on when it is called.
    pub(crate) const fn reads_clock(self) -> bool {
        matches!(self, Self::Now | Self::NowPlus | Self::NowMinus)
    }
}

/// Calls a function. The number of arguments was checked when the text was parsed.
pub(crate) fn call<'a>(
    meter: &mut Meter,
    now: Timestamp,
    function: Function,
    arguments: &[Val<'a>],
) -> Evaluated<Val<'a>> {
    if function == Function::Size && matches!(arguments, [Val::Missing | Val::Null]) {
        return Ok(Val::int(0));
    }
    if arguments.iter().any(|value| matches!(value, Val::Missing)) {
        return Ok(Val::Bool(false));
    }
    match (function, arguments) {
        (Function::Dyn, [value]) => Ok(value.clone()),
        (Function::Now, []) => dates::from_ms(now.ms()).map(Val::Moment),
        (_, [value]) => call_one(meter, now, function, value),
        (_, [left, right]) => call_two(meter, function, left, right),
        _ => undefined(function, arguments),
    }
}

fn call_one<'a>(
    meter: &mut Meter,
    now: Timestamp,
    function: Function,
    value: &Val<'a>,
) -> Evaluated<Val<'a>> {
    match function {
        Function::Size => size(meter, value),
        Function::Type => Ok(Val::Type(value.type_name())),
        Function::Int => to_int(value),
        Function::Uint => to_uint(value),
        Function::Double => to_double(value),
        Function::Text => to_text(meter, value),
        Function::Bool => to_bool(value),
        Function::Bytes => to_bytes(meter, value),
        Function::Lowercase => map_text(meter, function, value, str::to_lowercase),
        Function::Uppercase => map_text(meter, function, value, str::to_uppercase),
        Function::B64Decode => b64decode(meter, value),
        Function::JsonParse => json_parse(meter, value),
        Function::Date => dates::date(value).map(Val::Moment),
        Function::NowPlus => dates::shifted(now, value, 1).map(Val::Moment),
        Function::NowMinus => dates::shifted(now, value, -1).map(Val::Moment),
        Function::Timestamp => dates::timestamp(value).map(Val::Moment),
        Function::Duration => dates::duration(value).map(Val::Span),
        _ => part(function, value, None),
    }
}

fn call_two<'a>(
    meter: &mut Meter,
    function: Function,
    left: &Val<'a>,
    right: &Val<'a>,
) -> Evaluated<Val<'a>> {
    let (Val::Text(_) | Val::Moment(_), Val::Text(second)) = (left, right) else {
        return undefined(function, &[left.clone(), right.clone()]);
    };
    let second = second.as_str();
    let Val::Text(first) = left else {
        return part(function, left, Some(second));
    };
    let first = first.as_str();
    meter.charge_bytes(first.len() + second.len())?;
    Ok(Val::Bool(match function {
        Function::Contains => first.contains(second),
        Function::StartsWith => first.starts_with(second),
        Function::EndsWith => first.ends_with(second),
        Function::Matches => {
            meter.charge(PATTERN_STEPS)?;
            match compile(second) {
                Ok(pattern) => return matches(meter, left, &pattern),
                Err(why) => return failed(why),
            }
        }
        _ => return undefined(function, &[left.clone(), right.clone()]),
    }))
}

/// Compiles a pattern; its size is bounded, and matching it takes linear time.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build()
        .map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "the pattern is too large".to_owned(),
            other => {
                let text = other.to_string();
                let last = text.lines().last().unwrap_or_default();
                format!(
                    "the pattern is not valid: {}",
                    last.trim_start_matches("error: ")
                )
            }
        })
}

/// Whether the pattern occurs anywhere in the text.
pub(crate) fn matches<'a>(
    meter: &mut Meter,
    text: &Val<'a>,
    pattern: &Regex,
) -> Evaluated<Val<'a>> {
    match text {
        Val::Missing => Ok(Val::Bool(false)),
        Val::Text(text) => {
            // About twice the work of the other text functions.
            meter.charge_bytes(text.as_str().len().saturating_mul(2))?;
            Ok(Val::Bool(pattern.is_match(text.as_str())))
        }
        other => undefined(Function::Matches, std::slice::from_ref(other)),
    }
}

fn size<'a>(meter: &mut Meter, value: &Val<'a>) -> Evaluated<Val<'a>> {
    let size = match value {
        Val::Text(text) => {
            meter.charge_bytes(text.as_str().len())?;
            Some(text.as_str().chars().count())
        }
        Val::Bytes(bytes) => Some(bytes.len()),
        other => other.len(),
    };
    match size {
        Some(size) => Ok(Val::int(i64::try_from(size).unwrap_or(i64::MAX))),
        None => undefined(Function::Size, std::slice::from_ref(value)),
    }
}

fn to_int<'a>(value: &Val<'a>) -> Evaluated<Val<'a>> {
    let int = match value {
        Val::Number(Number::Double(n)) => whole(*n),
        Val::Number(n) => n.exact().and_then(|n| i64::try_from(n).ok()),
        Val::Text(text) => text.as_str().parse().ok(),
        Val::Moment(at) => Some(at.as_second()),
        _ => None,
    };
    int.map_or_else(|| unconvertible(value, "int"), |n| Ok(Val::int(n)))
}

/// The number without its fraction, if it is in range.
fn whole(n: f64) -> Option<i64> {
    const BOUND: f64 = 9_223_372_036_854_775_808.0;
    (-BOUND..BOUND).contains(&n).then_some(n as i64)
}

fn to_uint<'a>(value: &Val<'a>) -> Evaluated<Val<'a>> {
    let uint = match value {
        Val::Number(Number::Double(n)) => whole(*n).and_then(|n| u64::try_from(n).ok()),
        Val::Number(n) => n.exact().and_then(|n| u64::try_from(n).ok()),
        Val::Text(text) => text.as_str().parse().ok(),
        _ => None,
    };
    uint.map_or_else(
        || unconvertible(value, "uint"),
        |n| Ok(Val::Number(Number::Uint(n))),
    )
}

fn to_double<'a>(value: &Val<'a>) -> Evaluated<Val<'a>> {
    let double = match value {
        Val::Number(n) => Some(n.double()),
        Val::Text(text) => text.as_str().parse().ok(),
        _ => None,
    };
    double.map_or_else(
        || unconvertible(value, "double"),
        |n| Ok(Val::Number(Number::Double(n))),
    )
}

fn to_text<'a>(meter: &mut Meter, value: &Val<'a>) -> Evaluated<Val<'a>> {
    match value {
        Val::Text(_) => Ok(value.clone()),
        Val::Bool(b) => Ok(Val::text(b.to_string())),
        Val::Number(n) => Ok(Val::text(n.text())),
        Val::Moment(at) => Ok(Val::text(at.to_string())),
        Val::Span(span) => Ok(Val::text(dates::span_text(*span))),
        Val::Bytes(bytes) => {
            meter.charge_bytes(bytes.len())?;
            match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Val::text(text)),
                Err(_) => failed("the bytes are not UTF-8"),
            }
        }
        _ => unconvertible(value, "string"),
    }
}

fn to_bool<'a>(value: &Val<'a>) -> Evaluated<Val<'a>> {
    match value {
        Val::Bool(_) => Ok(value.clone()),
        Val::Text(text) => match text.as_str() {
            "1" | "t" | "true" | "TRUE" | "True" => Ok(Val::Bool(true)),
            "0" | "f" | "false" | "FALSE" | "False" => Ok(Val::Bool(false)),
            _ => unconvertible(value, "bool"),
        },
        _ => unconvertible(value, "bool"),
    }
}

fn to_bytes<'a>(meter: &mut Meter, value: &Val<'a>) -> Evaluated<Val<'a>> {
    match value {
        Val::Bytes(_) => Ok(value.clone()),
        Val::Text(text) => {
            meter.charge_bytes(text.as_str().len())?;
            Ok(Val::Bytes(text.as_str().as_bytes().into()))
        }
        _ => unconvertible(value, "bytes"),
    }
}

fn map_text<'a>(
    meter: &mut Meter,
    function: Function,
    value: &Val<'a>,
    change: fn(&str) -> String,
) -> Evaluated<Val<'a>> {
    let Val::Text(text) = value else {
        return undefined(function, std::slice::from_ref(value));
    };
    meter.charge_bytes(text.as_str().len())?;
    Ok(Val::text(change(text.as_str())))
}

fn b64decode<'a>(meter: &mut Meter, value: &Val<'a>) -> Evaluated<Val<'a>> {
    const ANY_PADDING: GeneralPurposeConfig = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, ANY_PADDING);
    const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, ANY_PADDING);

    let Val::Text(text) = value else {
        return undefined(Function::B64Decode, std::slice::from_ref(value));
    };
    let text = text.as_str();
    meter.charge_bytes(text.len())?;
    let decoded = STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text));
    match decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok()) {
        Some(text) => Ok(Val::text(text)),
        None => failed("the text is not base64 of UTF-8"),
    }
}

fn json_parse<'a>(meter: &mut Meter, value: &Val<'a>) -> Evaluated<Val<'a>> {
    let Val::Text(text) = value else {
        return undefined(Function::JsonParse, std::slice::from_ref(value));
    };
    // Parsing makes up to one value for every two bytes, so it costs more than reading them.
    meter.charge(text.as_str().len() / 8)?;
    match serde_json::from_str::<Value>(text.as_str()) {
        Ok(parsed) => Ok(Val::from_owned_json(parsed)),
        Err(error) => failed(format!("the text is not JSON: {error}")),
    }
}

/// A part of an instant in a time zone, or the whole of a duration in a unit.
fn part<'a>(function: Function, value: &Val<'a>, zone: Option<&str>) -> Evaluated<Val<'a>> {
    let part = match value {
        Val::Moment(at) => {
            let at = at.to_zoned(dates::zone(zone)?);
            match function {
                Function::GetFullYear => at.year().into(),
                Function::GetMonth => i64::from(at.month()) - 1,
                Function::GetDate => at.day().into(),
                Function::GetDayOfMonth => i64::from(at.day()) - 1,
                Function::GetDayOfWeek => at.weekday().to_sunday_zero_offset().into(),
                Function::GetDayOfYear => i64::from(at.day_of_year()) - 1,
                Function::GetHours => at.hour().into(),
                Function::GetMinutes => at.minute().into(),
                Function::GetSeconds => at.second().into(),
                Function::GetMilliseconds => at.millisecond().into(),
                _ => return undefined(function, std::slice::from_ref(value)),
            }
        }
        Val::Span(span) => match function {
            Function::GetHours => span.as_secs() / 3600,
            Function::GetMinutes => span.as_secs() / 60,
            Function::GetSeconds => span.as_secs(),
            Function::GetMilliseconds => i64::try_from(span.as_millis()).unwrap_or(i64::MAX),
            _ => return undefined(function, std::slice::from_ref(value)),
        },
        _ => return undefined(function, std::slice::from_ref(value)),
    };
    Ok(Val::int(part))
}

fn undefined<T>(function: Function, arguments: &[Val<'_>]) -> Evaluated<T> {
    let types: Vec<_> = arguments.iter().map(Val::type_name).collect();
    failed(format!(
        "{}({}) is not defined",
        function.name(),
        types.join(", ")
    ))
}

fn unconvertible<T>(value: &Val<'_>, to: &str) -> Evaluated<T> {
    failed(format!("this {} is no {to}", value.type_name()))
}
