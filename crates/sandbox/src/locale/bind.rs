//! The functions as scripts call them: reads locales and options as ECMA-402 says, down to V8's
//! wording of what is wrong with them.

use jiff::tz::TimeZone;
use rquickjs::function::{Opt, This};
use rquickjs::{Coerced, Ctx, Exception, Function, Object, Result, Value};

use super::Locale;
use super::clock::Moment;
use super::currency;
use super::date::{Cycle, DateFormat, Digits, Month};
use super::number::{Display, NumberFormat, Style};
use super::words::{self, Length};
use crate::host::put;

/// Decimals V8 accepts.
const FRACTION_DIGITS_MAX: f64 = 100.0;

/// The fields a call asks for when its options name none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fields {
    Date,
    Time,
    Both,
}

impl Fields {
    fn function(self) -> &'static str {
        match self {
            Self::Date => "Date.prototype.toLocaleDateString",
            Self::Time => "Date.prototype.toLocaleTimeString",
            Self::Both => "Date.prototype.toLocaleString",
        }
    }
}

/// Replaces the interpreter's own functions in a realm.
pub(crate) fn install<'js>(ctx: &Ctx<'js>) -> Result<()> {
    let number = prototype(ctx, "Number")?;
    put(
        &number,
        "toLocaleString",
        Function::new(ctx.clone(), number_text)?,
    )?;
    let date = prototype(ctx, "Date")?;
    put(
        &date,
        "toLocaleString",
        Function::new(ctx.clone(), date_and_time_text)?,
    )?;
    put(
        &date,
        "toLocaleDateString",
        Function::new(ctx.clone(), date_text)?,
    )?;
    put(
        &date,
        "toLocaleTimeString",
        Function::new(ctx.clone(), time_text)?,
    )?;
    put(&date, "toString", Function::new(ctx.clone(), full_text)?)?;
    put(
        &date,
        "toTimeString",
        Function::new(ctx.clone(), clock_text)?,
    )
}

fn prototype<'js>(ctx: &Ctx<'js>, class: &str) -> Result<Object<'js>> {
    ctx.globals().get::<_, Object<'js>>(class)?.get("prototype")
}

fn number_text<'js>(
    ctx: Ctx<'js>,
    this: This<Coerced<f64>>,
    locales: Opt<Value<'js>>,
    options: Opt<Value<'js>>,
) -> Result<String> {
    let locale = locale(&locales)?;
    let options = Options::of(&ctx, options, "Number.prototype.toLocaleString")?;
    Ok(options.number_format(locale)?.write(this.0.0))
}

fn date_and_time_text<'js>(
    ctx: Ctx<'js>,
    this: This<Coerced<f64>>,
    locales: Opt<Value<'js>>,
    options: Opt<Value<'js>>,
) -> Result<String> {
    written(&ctx, this.0.0, &locales, options, Fields::Both)
}

fn date_text<'js>(
    ctx: Ctx<'js>,
    this: This<Coerced<f64>>,
    locales: Opt<Value<'js>>,
    options: Opt<Value<'js>>,
) -> Result<String> {
    written(&ctx, this.0.0, &locales, options, Fields::Date)
}

fn time_text<'js>(
    ctx: Ctx<'js>,
    this: This<Coerced<f64>>,
    locales: Opt<Value<'js>>,
    options: Opt<Value<'js>>,
) -> Result<String> {
    written(&ctx, this.0.0, &locales, options, Fields::Time)
}

fn full_text(this: This<Coerced<f64>>) -> String {
    let Some(ms) = whole_ms(this.0.0) else {
        return "Invalid Date".to_owned();
    };
    let moment = Moment::of(ms);
    let weekday = words::weekday(Locale::EnUs, Length::Short, moment.weekday);
    let month = words::month(Locale::EnUs, Length::Short, moment.month, false);
    let year = if moment.year < 0 {
        format!("-{:06}", -moment.year)
    } else {
        format!("{:04}", moment.year)
    };
    format!(
        "{weekday} {month} {:02} {year} {}",
        moment.day,
        time_of(&moment)
    )
}

fn clock_text(this: This<Coerced<f64>>) -> String {
    whole_ms(this.0.0).map_or_else(|| "Invalid Date".to_owned(), |ms| time_of(&Moment::of(ms)))
}

fn time_of(moment: &Moment) -> String {
    let (hour, minute, second) = (moment.hour, moment.minute, moment.second);
    format!("{hour:02}:{minute:02}:{second:02} GMT+0000 (Coordinated Universal Time)")
}

fn written<'js>(
    ctx: &Ctx<'js>,
    time: f64,
    locales: &Opt<Value<'js>>,
    options: Opt<Value<'js>>,
    fields: Fields,
) -> Result<String> {
    let locale = locale(locales)?;
    let options = Options::of(ctx, options, fields.function())?;
    let format = options.date_format(locale, fields)?;
    Ok(whole_ms(time).map_or_else(|| "Invalid Date".to_owned(), |ms| format.write(ms)))
}

/// Milliseconds of a valid date.
fn whole_ms(time: f64) -> Option<i64> {
    (time.abs() <= 8.64e15).then_some(time as i64)
}

fn locale(locales: &Opt<Value<'_>>) -> Result<Locale> {
    let Some(value) = locales.0.as_ref() else {
        return Ok(Locale::EnUs);
    };
    let first = match value.as_array() {
        Some(array) => array.get::<Value<'_>>(0)?,
        None => value.clone(),
    };
    Ok(match first.as_string() {
        Some(tag) => Locale::of(&tag.to_string()?),
        None => Locale::EnUs,
    })
}

struct Options<'js> {
    ctx: Ctx<'js>,
    object: Option<Object<'js>>,
    function: &'static str,
}

impl<'js> Options<'js> {
    fn of(ctx: &Ctx<'js>, options: Opt<Value<'js>>, function: &'static str) -> Result<Self> {
        let value = options.0.filter(|value| !value.is_undefined());
        if value.as_ref().is_some_and(Value::is_null) {
            let message = "Cannot convert undefined or null to object";
            return Err(Exception::throw_type(ctx, message));
        }
        Ok(Self {
            ctx: ctx.clone(),
            object: value.and_then(Value::into_object),
            function,
        })
    }

    fn value(&self, name: &str) -> Result<Option<Value<'js>>> {
        let Some(object) = &self.object else {
            return Ok(None);
        };
        let value: Value<'js> = object.get(name)?;
        Ok((!value.is_undefined()).then_some(value))
    }

    fn text(&self, name: &str) -> Result<Option<String>> {
        let value = self.value(name)?;
        value
            .map(|value| Ok(value.get::<Coerced<String>>()?.0))
            .transpose()
    }

    fn flag(&self, name: &str) -> Result<Option<bool>> {
        let value = self.value(name)?;
        value
            .map(|value| Ok(value.get::<Coerced<bool>>()?.0))
            .transpose()
    }

    fn choice<T: Copy>(&self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        match choices.iter().find(|(known, _)| *known == text) {
            Some((_, choice)) => Ok(Some(*choice)),
            None => Err(Exception::throw_range(
                &self.ctx,
                &format!(
                    "Value {text} out of range for {} options property {name}",
                    self.function
                ),
            )),
        }
    }

    fn number_format(&self, locale: Locale) -> Result<NumberFormat> {
        let style = self.style()?;
        let (low, high) = match &style {
            Style::Decimal => (0, 3),
            Style::Percent => (0, 0),
            Style::Currency { code, .. } => (currency::decimals(code), currency::decimals(code)),
        };
        let least = self.fraction_digits("minimumFractionDigits")?;
        let most = self.fraction_digits("maximumFractionDigits")?;
        if least.zip(most).is_some_and(|(least, most)| least > most) {
            return Err(self.out_of_range("maximumFractionDigits"));
        }
        Ok(NumberFormat {
            locale,
            style,
            fraction_min: least.unwrap_or(most.map_or(low, |most| low.min(most))),
            fraction_max: most.unwrap_or(least.map_or(high, |least| high.max(least))),
            grouping: self.flag("useGrouping")?.unwrap_or(true),
        })
    }

    fn style(&self) -> Result<Style> {
        #[derive(Clone, Copy)]
        enum Kind {
            Decimal,
            Percent,
            Currency,
        }
        let kinds = [
            ("decimal", Kind::Decimal),
            ("unit", Kind::Decimal),
            ("percent", Kind::Percent),
            ("currency", Kind::Currency),
        ];
        let displays = [
            ("symbol", Display::Symbol),
            ("narrowSymbol", Display::Narrow),
            ("code", Display::Code),
            ("name", Display::Code),
        ];
        let kind = self.choice("style", &kinds)?.unwrap_or(Kind::Decimal);
        let code = self.text("currency")?;
        let bad = |code: &str| code.len() != 3 || !code.bytes().all(|b| b.is_ascii_alphabetic());
        if let Some(code) = code.as_deref().filter(|code| bad(code)) {
            let message = format!("Invalid currency code : {code}");
            return Err(Exception::throw_range(&self.ctx, &message));
        }
        let display = self
            .choice("currencyDisplay", &displays)?
            .unwrap_or(Display::Symbol);
        match (kind, code) {
            (Kind::Decimal, _) => Ok(Style::Decimal),
            (Kind::Percent, _) => Ok(Style::Percent),
            (Kind::Currency, Some(code)) => Ok(Style::Currency {
                code: code.to_ascii_uppercase(),
                display,
            }),
            (Kind::Currency, None) => {
                let message = "Currency code is required with currency style.";
                Err(Exception::throw_type(&self.ctx, message))
            }
        }
    }

    fn fraction_digits(&self, name: &str) -> Result<Option<usize>> {
        let Some(value) = self.value(name)? else {
            return Ok(None);
        };
        let Coerced(digits) = value.get::<Coerced<f64>>()?;
        match (0.0..=FRACTION_DIGITS_MAX).contains(&digits) {
            true => Ok(Some(digits as usize)),
            false => Err(self.out_of_range(name)),
        }
    }

    fn out_of_range(&self, name: &str) -> rquickjs::Error {
        Exception::throw_range(&self.ctx, &format!("{name} value is out of range."))
    }

    fn date_format(&self, locale: Locale, fields: Fields) -> Result<DateFormat> {
        let digits = [("numeric", Digits::Numeric), ("2-digit", Digits::Two)];
        let lengths = [
            ("short", Length::Short),
            ("long", Length::Long),
            ("narrow", Length::Short),
        ];
        let months = [
            ("numeric", Month::Number(Digits::Numeric)),
            ("2-digit", Month::Number(Digits::Two)),
            ("short", Month::Name(Length::Short)),
            ("long", Month::Name(Length::Long)),
            ("narrow", Month::Name(Length::Short)),
        ];
        let mut format = DateFormat {
            locale,
            zone: self.zone()?,
            weekday: self.choice("weekday", &lengths)?,
            year: self.choice("year", &digits)?,
            month: self.choice("month", &months)?,
            day: self.choice("day", &digits)?,
            hour: self.choice("hour", &digits)?,
            minute: self.choice("minute", &digits)?.is_some(),
            second: self.choice("second", &digits)?.is_some(),
            cycle: self.cycle(locale)?,
            zone_name: self.choice("timeZoneName", &lengths)?,
        };
        if !self.styled(&mut format, fields)? {
            add_defaults(&mut format, fields);
        }
        Ok(format)
    }

    fn zone(&self) -> Result<TimeZone> {
        let Some(name) = self.text("timeZone")? else {
            return Ok(TimeZone::UTC);
        };
        match name.to_ascii_uppercase().as_str() {
            "UTC" | "GMT" => Ok(TimeZone::UTC),
            _ => TimeZone::get(&name).map_err(|_| {
                let message = format!("Invalid time zone specified: {name}");
                Exception::throw_range(&self.ctx, &message)
            }),
        }
    }

    fn cycle(&self, locale: Locale) -> Result<Cycle> {
        let cycles = [
            ("h11", Cycle::H11),
            ("h12", Cycle::H12),
            ("h23", Cycle::H23),
            ("h24", Cycle::H24),
        ];
        let named = self.choice("hourCycle", &cycles)?;
        let american = locale == Locale::EnUs;
        Ok(match (self.flag("hour12")?, named) {
            // V8 takes the other form of a locale's hours to begin or end as its own do.
            (Some(true), _) if american => Cycle::H12,
            (Some(true), _) => Cycle::H11,
            (Some(false), _) if american => Cycle::H24,
            (Some(false), _) => Cycle::H23,
            (None, Some(cycle)) => cycle,
            (None, None) if american => Cycle::H12,
            (None, None) => Cycle::H23,
        })
    }

    /// Sets the fields of `dateStyle` and `timeStyle`; false when neither is asked for.
    fn styled(&self, format: &mut DateFormat, fields: Fields) -> Result<bool> {
        let styles = [
            ("full", Preset::Full),
            ("long", Preset::Long),
            ("medium", Preset::Medium),
            ("short", Preset::Short),
        ];
        let date = self.choice("dateStyle", &styles)?;
        let time = self.choice("timeStyle", &styles)?;
        if date.is_none() && time.is_none() {
            return Ok(false);
        }
        let which = if date.is_some() {
            "dateStyle"
        } else {
            "timeStyle"
        };
        for name in [
            "weekday",
            "year",
            "month",
            "day",
            "hour",
            "minute",
            "second",
            "timeZoneName",
        ] {
            if self.value(name)?.is_some() {
                let message = format!("Can't set option {name} when {which} is used");
                return Err(Exception::throw_type(&self.ctx, &message));
            }
        }
        let wrong = match fields {
            Fields::Date => time.map(|_| "timeStyle"),
            Fields::Time => date.map(|_| "dateStyle"),
            Fields::Both => None,
        };
        if let Some(wrong) = wrong {
            let message = format!("Invalid option : {wrong}");
            return Err(Exception::throw_type(&self.ctx, &message));
        }
        if let Some(date) = date {
            date.set_date(format);
        }
        if let Some(time) = time {
            time.set_time(format);
        }
        Ok(true)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Preset {
    Full,
    Long,
    Medium,
    Short,
}

impl Preset {
    fn set_date(self, format: &mut DateFormat) {
        use Digits::{Numeric, Two};
        format.weekday = (self == Self::Full).then_some(Length::Long);
        let (day, month, year) = match (self, format.locale) {
            (Self::Full | Self::Long, _) => (Numeric, Month::Name(Length::Long), Numeric),
            (Self::Medium, Locale::DeDe) => (Two, Month::Number(Two), Numeric),
            (Self::Medium, _) => (Numeric, Month::Name(Length::Short), Numeric),
            (Self::Short, Locale::EnUs) => (Numeric, Month::Number(Numeric), Two),
            (Self::Short, Locale::EnGb) => (Two, Month::Number(Two), Numeric),
            (Self::Short, Locale::DeDe) => (Two, Month::Number(Two), Two),
        };
        (format.day, format.month, format.year) = (Some(day), Some(month), Some(year));
    }

    fn set_time(self, format: &mut DateFormat) {
        format.hour = Some(Digits::Numeric);
        format.minute = true;
        format.second = self != Self::Short;
        format.zone_name = match self {
            Self::Full => Some(Length::Long),
            Self::Long => Some(Length::Short),
            Self::Medium | Self::Short => None,
        };
    }
}

fn add_defaults(format: &mut DateFormat, fields: Fields) {
    let has_date = format.weekday.is_some()
        || format.year.is_some()
        || format.month.is_some()
        || format.day.is_some();
    let has_time = format.hour.is_some() || format.minute || format.second;
    let none = match fields {
        Fields::Date => !has_date,
        Fields::Time => !has_time,
        Fields::Both => !has_date && !has_time,
    };
    if none && fields != Fields::Time {
        format.year = Some(Digits::Numeric);
        format.month = Some(Month::Number(Digits::Numeric));
        format.day = Some(Digits::Numeric);
    }
    if none && fields != Fields::Date {
        format.hour = Some(Digits::Numeric);
        (format.minute, format.second) = (true, true);
    }
}
