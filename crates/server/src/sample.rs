//! Sample webhooks as they are sent: dated now, with ids of their own, changed as asked for.

use std::collections::BTreeMap;

use dunlin_api::samples;
use dunlin_types::{Code, Timestamp};
use rand::Rng as _;
use rand::distr::Alphanumeric;
use serde_json::Value;

use crate::fail::Failure;
use crate::set_path;

/// Letters of a provider's id that name one thing: each sample is about another one. Businesses,
/// brands and products stay the same, as they do in a real account.
const RENEWED: [&str; 13] = [
    "cks_", "cle_", "cus_", "dp_", "entg_", "inv_", "lic_", "lki_", "pay_", "pm_", "pyt_", "ref_",
    "sub_",
];
/// Characters behind the prefix, at least, for a text to be an id.
const ID_CHARS_MIN: usize = 16;
/// Names that are shown when one is not known.
const NEAREST_MAX: usize = 5;

/// The body of a webhook of that type: a sample that happens now, with new ids, with the changes.
///
/// # Errors
/// When there is no such type, with those that come near, or a change cannot be made.
pub(crate) fn body(event_type: &str, now: Timestamp, sets: &[String]) -> Result<String, Failure> {
    let text = samples::shifted(event_type, now).ok_or_else(|| unknown(event_type))?;
    let mut value: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::new(Code::EventTypeUnknown, error.to_string()))?;
    renew(&mut value, &mut BTreeMap::new());
    for assignment in sets {
        set_path::set(&mut value, assignment)?;
    }
    Ok(value.to_string())
}

/// A webhook's id, as providers make them.
pub(crate) fn webhook_id() -> String {
    format!("msg_{}", random_text(27))
}

fn random_text(chars: usize) -> String {
    rand::rng()
        .sample_iter(Alphanumeric)
        .take(chars)
        .map(char::from)
        .collect()
}

/// Gives ids new endings, the same ones everywhere.
fn renew(value: &mut Value, known: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) if is_renewed(text) => {
            let fresh = known.entry(text.clone()).or_insert_with_key(|old| {
                let prefix = old.split('_').next().unwrap_or_default();
                format!("{prefix}_{}", random_text(old.len() - prefix.len() - 1))
            });
            text.clone_from(fresh);
        }
        Value::Array(items) => items.iter_mut().for_each(|item| renew(item, known)),
        Value::Object(fields) => fields.values_mut().for_each(|field| renew(field, known)),
        _ => {}
    }
}

fn is_renewed(text: &str) -> bool {
    let rest = RENEWED.iter().find_map(|prefix| text.strip_prefix(prefix));
    rest.is_some_and(|rest| {
        rest.len() >= ID_CHARS_MIN && rest.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn unknown(event_type: &str) -> Failure {
    let failure = Failure::new(
        Code::EventTypeUnknown,
        format!("there is no sample of `{event_type}`"),
    );
    let near = nearest(event_type, samples::all().map(|(name, _)| name));
    if near.is_empty() {
        return failure.remedy("`dunlin trigger --list` shows the event types");
    }
    failure.remedy(format!("did you mean {}?", near.join(", ")))
}

/// Those of the names that come near, the nearest first: a few letters off, or with the same end.
pub(crate) fn nearest<'a>(asked: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let asked = asked.to_lowercase();
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let mut near: Vec<(usize, &str)> = names
        .filter_map(|name| {
            let off = distance(&asked, name);
            let few = off <= 1 + asked.len().min(name.len()) / 6;
            let same_end = name.contains('.') && last(name) == last(&asked);
            (few || same_end).then_some((off, name))
        })
        .collect();
    near.sort();
    near.into_iter()
        .take(NEAREST_MAX)
        .map(|(_, name)| name)
        .collect()
}

/// Single-letter changes from one text to the other; two neighbours that changed places are one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut next = vec![i + 1];
        for j in 0..b.len() {
            let replaced = row[j] + usize::from(a[i] != b[j]);
            let mut least = replaced.min(row[j + 1] + 1).min(next[j] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                least = least.min(before[j - 1] + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

    fn parsed(event_type: &str, sets: &[&str]) -> Value {
        let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
        serde_json::from_str(&body(event_type, NOW, &sets).unwrap()).unwrap()
    }

    #[test]
    fn each_body_is_about_another_payment_of_the_same_business() {
        let (one, two) = (
            parsed("payment.succeeded", &[]),
            parsed("payment.succeeded", &[]),
        );
        assert_ne!(one["data"]["payment_id"], two["data"]["payment_id"]);
        assert_eq!(one["business_id"], two["business_id"]);
        assert_eq!(one["timestamp"], NOW.rfc3339());
        let id = one["data"]["payment_id"].as_str().unwrap();
        assert!(id.starts_with("pay_") && id.len() == 25, "{id}");
    }

    #[test]
    fn changes_are_made_last() {
        let sets = ["data.payment_id=pay_mine", "data.total_amount=1000"];
        let value = parsed("payment.succeeded", &sets);
        assert_eq!(value["data"]["payment_id"], "pay_mine");
        assert_eq!(value["data"]["total_amount"], 1000);
    }

    #[test]
    fn every_type_makes_a_body() {
        for (event_type, _) in samples::all() {
            assert_eq!(parsed(event_type, &[])["type"], event_type);
        }
    }

    #[test]
    fn a_type_that_does_not_exist_is_answered_with_near_ones() {
        let remedy = |event_type: &str| body(event_type, NOW, &[]).unwrap_err().remedy.unwrap();
        assert_eq!(
            remedy("payment.succeded"),
            "did you mean payment.succeeded?"
        );
        assert!(remedy("invoice.failed").contains("payment.failed"));
        assert!(remedy("nonsense").contains("--list"));
    }

    #[test]
    fn distances_count_letters() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("prot", "port"), 1);
    }
}
