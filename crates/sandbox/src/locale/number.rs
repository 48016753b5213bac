//! Numbers as people write them. Rounding is half away from zero on the shortest decimal form,
//! as ICU does it, not on the exact binary value, as `toFixed` does.

use super::{Locale, currency};

const NO_BREAK_SPACE: char = '\u{a0}';

/// What kind of amount it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Decimal,
    Percent,
    Currency { code: String, display: Display },
}

/// How a currency is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Display {
    Code,
    Symbol,
    Narrow,
}

/// A way to write numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NumberFormat {
    pub(super) locale: Locale,
    pub(super) style: Style,
    pub(super) fraction_min: usize,
    pub(super) fraction_max: usize,
    pub(super) grouping: bool,
}

impl NumberFormat {
    /// Writes that number.
    pub(super) fn write(&self, number: f64) -> String {
        let sign = if number.is_sign_negative() && !number.is_nan() {
            "-"
        } else {
            ""
        };
        let digits = self.digits(number.abs());
        let german = self.locale == Locale::DeDe;
        match &self.style {
            Style::Decimal => format!("{sign}{digits}"),
            Style::Percent if german => format!("{sign}{digits}{NO_BREAK_SPACE}%"),
            Style::Percent => format!("{sign}{digits}%"),
            Style::Currency { code, display } => {
                let symbol = match display {
                    Display::Code => code,
                    Display::Symbol => currency::symbol(self.locale, code),
                    Display::Narrow => currency::narrow_symbol(self.locale, code),
                };
                if german {
                    format!("{sign}{digits}{NO_BREAK_SPACE}{symbol}")
                } else if symbol.ends_with(is_wordlike) && digits.starts_with(is_digit) {
                    format!("{sign}{symbol}{NO_BREAK_SPACE}{digits}")
                } else {
                    format!("{sign}{symbol}{digits}")
                }
            }
        }
    }

    fn digits(&self, number: f64) -> String {
        if number.is_nan() {
            return "NaN".to_owned();
        }
        if number.is_infinite() {
            return "∞".to_owned();
        }
        let shift = if self.style == Style::Percent { 2 } else { 0 };
        let (whole, mut fraction) = rounded(number, shift, self.fraction_max);
        while fraction.len() > self.fraction_min && fraction.ends_with('0') {
            fraction.pop();
        }
        while fraction.len() < self.fraction_min {
            fraction.push('0');
        }
        let (group, point) = match self.locale {
            Locale::DeDe => ('.', ','),
            Locale::EnUs | Locale::EnGb => (',', '.'),
        };
        let mut text = String::with_capacity(whole.len() * 4 / 3 + fraction.len() + 1);
        for (at, digit) in whole.chars().enumerate() {
            if self.grouping && at > 0 && (whole.len() - at).is_multiple_of(3) {
                text.push(group);
            }
            text.push(digit);
        }
        if !fraction.is_empty() {
            text.push(point);
            text.push_str(&fraction);
        }
        text
    }
}

/// The end of a symbol that would run into the amount.
fn is_wordlike(c: char) -> bool {
    c.is_alphabetic() || c == '.'
}

fn is_digit(c: char) -> bool {
    c.is_ascii_digit()
}

/// The digits before and after the point of `number * 10^shift`, with at most that many after.
fn rounded(number: f64, shift: i32, fraction_max: usize) -> (String, String) {
    let (mut digits, mut point) = shortest(number);
    if number > 0.0 {
        point += shift;
    }
    // `point` counts the digits before the decimal point; below zero there are zeros to add.
    if point < 1 {
        let zeros = usize::try_from(1 - point).unwrap_or_default();
        digits.splice(0..0, std::iter::repeat_n(0, zeros));
        point = 1;
    }
    let whole = usize::try_from(point).unwrap_or_default();
    let mut kept = whole;
    digits.resize(digits.len().max(whole), 0);
    if digits.len() > whole + fraction_max {
        let up = digits[whole + fraction_max] >= 5;
        digits.truncate(whole + fraction_max);
        if up && carry(&mut digits) {
            digits.insert(0, 1);
            kept += 1;
        }
    }
    let text = |digits: &[u8]| {
        digits
            .iter()
            .map(|digit| char::from(b'0' + digit))
            .collect()
    };
    let (before, after) = digits.split_at(kept);
    (text(before), text(after))
}

/// Adds one to the last digit; true when that went over the first.
fn carry(digits: &mut [u8]) -> bool {
    for digit in digits.iter_mut().rev() {
        if *digit < 9 {
            *digit += 1;
            return false;
        }
        *digit = 0;
    }
    true
}

/// The fewest digits that read back as that number, and where its point stands among them.
fn shortest(number: f64) -> (Vec<u8>, i32) {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa
        .bytes()
        .filter(u8::is_ascii_digit)
        .map(|byte| byte - b'0')
        .collect();
    (digits, exponent.parse::<i32>().unwrap_or_default() + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn plain(fraction_max: usize) -> NumberFormat {
        NumberFormat {
            locale: Locale::EnUs,
            style: Style::Decimal,
            fraction_min: 0,
            fraction_max,
            grouping: false,
        }
    }

    proptest! {
        #[test]
        fn every_number_is_written_near_its_value(
            number in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL,
            digits in 0_usize..20,
        ) {
            let text = plain(digits).write(number);
            let back: f64 = text.parse().unwrap();
            let slack = 0.5 * 10_f64.powi(-i32::try_from(digits).unwrap()) * 1.001;
            prop_assert!((back - number).abs() <= slack + number.abs() * 1e-15, "{text}");
        }

        #[test]
        fn whole_numbers_are_grouped_by_three(number in 0_u32..) {
            let mut format = plain(0);
            format.grouping = true;
            let text = format.write(f64::from(number));
            prop_assert_eq!(text.replace(',', ""), number.to_string());
            prop_assert!(text.split(',').skip(1).all(|group| group.len() == 3));
        }
    }
}
