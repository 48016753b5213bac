//! One of the five fields: `*`, `?`, numbers, names, ranges and steps, in lists.

/// What a field may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// What the field is called in messages.
    pub(crate) name: &'static str,
    pub(crate) least: u32,
    /// Where `*` and a step without a range end.
    pub(crate) most: u32,
    /// The greatest number that may be written.
    pub(crate) written_most: u32,
    /// Names of the values, from `least` on.
    pub(crate) names: &'static [&'static str],
}

pub(crate) const MINUTE: Kind = Kind::numbers("minute", 0, 59);
pub(crate) const HOUR: Kind = Kind::numbers("hour", 0, 23);
pub(crate) const DAY: Kind = Kind::numbers("day of the month", 1, 31);
pub(crate) const MONTH: Kind = Kind {
    names: &[
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ],
    ..Kind::numbers("month", 1, 12)
};
/// Sunday is 0, and may be written 7.
pub(crate) const WEEKDAY: Kind = Kind {
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    written_most: 7,
    ..Kind::numbers("day of the week", 0, 6)
};

impl Kind {
    const fn numbers(name: &'static str, least: u32, most: u32) -> Self {
        Self {
            name,
            least,
            most,
            written_most: most,
            names: &[],
        }
    }

    fn value(&self, text: &str) -> Result<u32, String> {
        let named = (self.least..)
            .zip(self.names)
            .find(|(_, name)| name.eq_ignore_ascii_case(text));
        if let Some((value, _)) = named {
            return Ok(value);
        }
        let (name, least, most) = (self.name, self.least, self.written_most);
        match number(text) {
            Some(value) if (least..=most).contains(&value) => Ok(value),
            Some(_) => Err(format!("`{text}` is not in {least}-{most}, as a {name} is")),
            None => Err(format!("`{text}` is no {name}")),
        }
    }
}

/// The values of a field, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) bits: u64,
    /// Whether an item is `*` or `?` without a step, which restricts nothing.
    pub(crate) is_any: bool,
    /// Whether an item has a `*` or a step.
    pub(crate) is_interval: bool,
}

impl Field {
    pub(crate) fn parse(kind: &Kind, text: &str) -> Result<Self, String> {
        let mut field = Self::default();
        for item in text.split(',') {
            field.add(kind, item)?;
        }
        Ok(field)
    }

    fn add(&mut self, kind: &Kind, item: &str) -> Result<(), String> {
        let (range, step) = match item.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (item, None),
        };
        let every = match step.map(number) {
            None => 1,
            Some(Some(every)) if every > 0 => every,
            Some(_) => return Err(format!("the step of `{item}` is no number above 0")),
        };
        let star = matches!(range, "*" | "?");
        let (first, last) = if star {
            (kind.least, kind.most)
        } else if let Some((first, last)) = range.split_once('-') {
            (kind.value(first)?, kind.value(last)?)
        } else {
            let only = kind.value(range)?;
            (only, if step.is_some() { kind.most } else { only })
        };
        if first > last {
            return Err(format!("the range of `{item}` runs backwards"));
        }
        self.is_any |= star && every == 1;
        self.is_interval |= star || step.is_some();
        let mut value = first;
        while value <= last {
            self.bits |= 1 << value;
            value = value.saturating_add(every);
        }
        Ok(())
    }

    pub(crate) const fn has(self, value: u32) -> bool {
        self.bits >> value & 1 == 1
    }

    /// The least value that is no less than that one.
    pub(crate) fn at_least(self, value: u32) -> Option<u32> {
        let rest = self.bits.checked_shr(value)?.checked_shl(value)?;
        (rest != 0).then(|| rest.trailing_zeros())
    }

    /// The greatest value that is no more than that one.
    pub(crate) fn at_most(self, value: u32) -> Option<u32> {
        let rest = self.bits & (u64::MAX >> 63_u32.saturating_sub(value));
        (rest != 0).then(|| 63 - rest.leading_zeros())
    }
}

/// Digits only: no sign, no more than a step needs.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
