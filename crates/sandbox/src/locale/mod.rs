//! `toLocaleString` and its kin as V8 gives them, for US and British English and German; any other
//! locale reads as US English. The interpreter's own ignore both locale and options.

mod bind;
mod clock;
mod currency;
mod date;
mod number;
mod words;

pub(crate) use bind::install;

/// A locale whose forms are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Locale {
    EnUs,
    EnGb,
    DeDe,
}

impl Locale {
    fn of(tag: &str) -> Self {
        let tag = tag.to_ascii_lowercase();
        match tag.split(['-', '_']).next() {
            Some("de") => Self::DeDe,
            Some("en") if tag.ends_with("gb") => Self::EnGb,
            _ => Self::EnUs,
        }
    }
}
