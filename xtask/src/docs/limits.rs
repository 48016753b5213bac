//! The page of limits, from the constants and their comments.

use std::collections::BTreeMap;

use anyhow::{Context, bail, ensure};

use super::words::with_unit;

/// Where the limits are.
pub(super) const SOURCE: &str = "crates/types/src/limits.rs";

/// Headings, each before the constant it begins with.
const SECTIONS: [(&str, &str); 13] = [
    ("EVENT_BYTES_MAX", "Events"),
    ("INBOUND_BODY_BYTES_MAX", "Webhooks in, and sources"),
    ("DELIVERY_DELAYS_MS", "Deliveries"),
    ("TRANSFORM_CODE_CHARS_MIN", "Transformations"),
    ("CALL_TIMEOUT_MS_DEFAULT", "Calls, steps and retries"),
    ("FUNCTIONS_PER_APP_MAX", "Apps and functions"),
    ("EXPRESSION_BYTES_MAX", "Expressions"),
    ("INTAKE_WAITING_MAX", "Turns and commits"),
    ("PAGE_ITEMS_MAX", "Management API"),
    ("URL_BYTES_MAX", "Outgoing connections"),
    ("HTTP_CONNECTIONS_MAX", "Incoming connections"),
    ("STORE_INLINE_BYTES_MAX", "The store"),
    ("SHUTDOWN_GRACE_MS", "Stopping"),
];

const HEAD: &str = "# Limits

Every loop, queue, body and retry of Dunlin has a limit. They are constants of the program, not settings;
where a setting can change one, its text says so.

This page is generated from `crates/types/src/limits.rs`: `cargo run -p xtask -- docs`.
";

/// A constant as it is written.
struct Limit<'a> {
    name: &'a str,
    value: &'a str,
    reason: String,
}

/// The page of the limits in that source.
pub(super) fn page(source: &str) -> anyhow::Result<String> {
    let limits = read(source)?;
    let values = values(source)?;
    for (first, title) in SECTIONS {
        let known = limits.iter().any(|limit| limit.name == first);
        ensure!(
            known,
            "the section `{title}` begins with {first}, which is gone"
        );
    }
    let mut text = HEAD.to_owned();
    for limit in &limits {
        if let Some((_, title)) = SECTIONS.iter().find(|(first, _)| *first == limit.name) {
            let header = "| limit | value | what and why |\n|---|---|---|\n";
            text.push_str(&format!("\n## {title}\n\n{header}"));
        }
        let shown: Vec<String> = values[limit.name]
            .iter()
            .map(|value| with_unit(limit.name, *value))
            .collect();
        let Limit { name, reason, .. } = limit;
        text.push_str(&format!("| `{name}` | {} | {reason} |\n", shown.join(", ")));
    }
    Ok(text)
}

/// The value of each limit; several for a list.
pub(super) fn values(source: &str) -> anyhow::Result<BTreeMap<String, Vec<i128>>> {
    let mut known = BTreeMap::new();
    for limit in read(source)? {
        let value = limit.value.trim_start_matches('[').trim_end_matches(']');
        let parts = value
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let numbers: anyhow::Result<Vec<i128>> = parts.map(|part| evaluate(part, &known)).collect();
        known.insert(
            limit.name.to_owned(),
            numbers.context(limit.name.to_owned())?,
        );
    }
    Ok(known)
}

fn read(source: &str) -> anyhow::Result<Vec<Limit<'_>>> {
    let mut limits = Vec::new();
    let mut reason = String::new();
    let mut rest = source;
    while let Some((line, after)) = rest.split_once('\n') {
        if let Some(comment) = line.strip_prefix("/// ") {
            let gap = if reason.is_empty() { "" } else { " " };
            reason.push_str(&format!("{gap}{comment}"));
        } else if let Some(definition) = rest.strip_prefix("pub const ") {
            let parts = definition
                .split_once(": ")
                .zip(definition.split_once(" = "));
            let ((name, _), (_, value)) = parts.context("a constant without type or value")?;
            let (value, after) = value
                .split_once(";\n")
                .context("a constant without an end")?;
            let reason = plain(&std::mem::take(&mut reason));
            limits.push(Limit {
                name,
                value,
                reason,
            });
            rest = after;
            continue;
        }
        rest = after;
    }
    ensure!(!limits.is_empty(), "{SOURCE} holds no constants");
    Ok(limits)
}

/// A comment as a table cell: no links to items.
fn plain(comment: &str) -> String {
    comment
        .replace("[`", "`")
        .replace("`]", "`")
        .replace('|', "\\|")
}

/// Numbers, names of earlier constants, products and differences of those.
fn evaluate(text: &str, known: &BTreeMap<String, Vec<i128>>) -> anyhow::Result<i128> {
    if let Some((left, right)) = text.rsplit_once(" - ") {
        return Ok(evaluate(left, known)? - evaluate(right, known)?);
    }
    let mut product = 1;
    for factor in text.split(" * ") {
        let number = factor.trim().replace('_', "").parse::<i128>();
        product *= match (number, known.get(factor.trim()).map(Vec::as_slice)) {
            (Ok(number), _) => number,
            (Err(_), Some([value])) => *value,
            _ => bail!("`{factor}` is no number and no limit above"),
        };
    }
    Ok(product)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE_TEXT: &str = "//! Head.\n\n/// Body of one\n/// request; see [`B_MS_MAX`].\n\
        pub const A_BYTES_MAX: usize = 4 * 1024 - 24;\npub const B_MS_MAX: i64 = 2_000;\n\n\
        /// List.\npub const C_SECS: [i64; 2] = [\n    1, 60,\n];\n\
        /// As B.\npub const D_MS: i64 = B_MS_MAX;\n";

    #[test]
    fn constants_are_read_with_value_and_reason() {
        let limits = read(SOURCE_TEXT).unwrap();
        assert_eq!(limits[0].reason, "Body of one request; see `B_MS_MAX`.");
        assert_eq!(
            (limits[1].name, limits[1].reason.as_str()),
            ("B_MS_MAX", "")
        );
        let values = values(SOURCE_TEXT).unwrap();
        assert_eq!(values["A_BYTES_MAX"], [4072]);
        assert_eq!(values["C_SECS"], [1, 60]);
        assert_eq!(values["D_MS"], [2000]);
    }

    #[test]
    fn what_cannot_be_reckoned_is_said() {
        let text = "pub const A: usize = other();\n";
        assert!(format!("{:#}", values(text).unwrap_err()).contains("other()"));
        assert!(
            page(SOURCE_TEXT).is_err(),
            "the sections name limits that are gone"
        );
    }
}
