//! Symbols and decimals of currencies that differ from "its code, two decimals".

use super::Locale;

const SYMBOLS: [(&str, &str); 23] = [
    ("AUD", "A$"),
    ("BRL", "R$"),
    ("CAD", "CA$"),
    ("CNY", "CN¥"),
    ("EUR", "€"),
    ("GBP", "£"),
    ("HKD", "HK$"),
    ("ILS", "₪"),
    ("INR", "₹"),
    ("JPY", "¥"),
    ("KRW", "₩"),
    ("MXN", "MX$"),
    ("NZD", "NZ$"),
    ("PHP", "₱"),
    ("TWD", "NT$"),
    ("USD", "$"),
    ("VND", "₫"),
    ("XAF", "FCFA"),
    ("XCD", "EC$"),
    ("XCG", "Cg."),
    ("XOF", "F\u{202f}CFA"),
    ("XPF", "CFPF"),
    ("XXX", "¤"),
];

const WHOLE: [&str; 36] = [
    "AFN", "ALL", "BIF", "CLP", "COP", "DJF", "GNF", "HUF", "IDR", "IQD", "IRR", "ISK", "JPY",
    "KMF", "KPW", "KRW", "LAK", "LBP", "MGA", "MMK", "PKR", "PYG", "RWF", "SLL", "SOS", "SYP",
    "UGX", "VND", "VUV", "XAF", "XOF", "XPF", "YER", "LUF", "ITL", "TRL",
];

const THOUSANDTHS: [&str; 6] = ["BHD", "JOD", "KWD", "LYD", "OMR", "TND"];

/// Decimals of amounts in that currency.
pub(super) fn decimals(code: &str) -> usize {
    if WHOLE.contains(&code) {
        0
    } else if THOUSANDTHS.contains(&code) {
        3
    } else {
        2
    }
}

/// What stands before or behind an amount.
pub(super) fn symbol(locale: Locale, code: &str) -> &str {
    match (locale, code) {
        (Locale::EnGb, "USD") => "US$",
        (Locale::EnGb, "JPY") => "JP¥",
        (Locale::DeDe, "AUD") => "AU$",
        (Locale::DeDe, "PHP") => "PHP",
        (Locale::DeDe, "THB") => "฿",
        _ => SYMBOLS
            .iter()
            .find_map(|(known, symbol)| (*known == code).then_some(*symbol))
            .unwrap_or(code),
    }
}

/// The symbol without the letters that tell dollars apart.
pub(super) fn narrow_symbol(locale: Locale, code: &str) -> &str {
    let symbol = symbol(locale, code);
    let bare = symbol.trim_start_matches(|c: char| c.is_ascii_alphabetic());
    let is_sign = !bare.is_empty() && !bare.contains(char::is_alphanumeric) && bare != ".";
    if is_sign && code != "BRL" {
        bare
    } else {
        symbol
    }
}
