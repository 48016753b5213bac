//! One realistic webhook of every event type that Dodo Payments sends, built into the program.

use dunlin_types::Timestamp;
use serde_json::Value;

macro_rules! samples {
    ($($event_type:literal,)*) => {
        /// Event types with their webhooks, in order of the types.
        const SAMPLES: &[(&str, &str)] = &[$((
            $event_type,
            include_str!(concat!("../../../integrations/dodo/samples/", $event_type, ".json")),
        ),)*];
    };
}

samples! {
    "abandoned_checkout.detected",
    "abandoned_checkout.recovered",
    "credit.added",
    "credit.balance_low",
    "credit.deducted",
    "credit.expired",
    "credit.manual_adjustment",
    "credit.overage_charged",
    "credit.overage_reset",
    "credit.rolled_over",
    "credit.rollover_forfeited",
    "dispute.accepted",
    "dispute.cancelled",
    "dispute.challenged",
    "dispute.expired",
    "dispute.lost",
    "dispute.opened",
    "dispute.won",
    "dunning.recovered",
    "dunning.started",
    "entitlement_grant.created",
    "entitlement_grant.delivered",
    "entitlement_grant.failed",
    "entitlement_grant.revoked",
    "license_key.created",
    "payment.cancelled",
    "payment.failed",
    "payment.processing",
    "payment.succeeded",
    "payout.created",
    "payout.failed",
    "payout.in_progress",
    "payout.on_hold",
    "payout.success",
    "refund.failed",
    "refund.succeeded",
    "subscription.active",
    "subscription.cancelled",
    "subscription.expired",
    "subscription.failed",
    "subscription.on_hold",
    "subscription.past_due",
    "subscription.paused",
    "subscription.plan_changed",
    "subscription.renewed",
    "subscription.unpaused",
    "subscription.update_payment_method",
    "subscription.updated",
}

/// Shortest RFC 3339 text: `2026-11-18T03:14:13Z`.
const INSTANT_CHARS_MIN: usize = 20;

/// The webhook of that event type, as it was recorded.
#[must_use]
pub fn get(event_type: &str) -> Option<&'static str> {
    let at = SAMPLES
        .binary_search_by_key(&event_type, |(name, _)| name)
        .ok()?;
    Some(SAMPLES[at].1)
}

/// All event types with their webhooks, in order of the types.
pub fn all() -> impl ExactSizeIterator<Item = (&'static str, &'static str)> {
    SAMPLES.iter().copied()
}

/// The webhook of that event type as compact JSON, with all its times moved by the same span so
/// that it happened at `now`. Several samples are dated ahead, and would hold their runs back.
#[must_use]
pub fn shifted(event_type: &str, now: Timestamp) -> Option<String> {
    let mut sample: Value = serde_json::from_str(get(event_type)?).ok()?;
    let at = sample.get("timestamp")?.as_str()?;
    let span = now.since(Timestamp::parse_rfc3339(at)?);
    shift(&mut sample, span);
    Some(sample.to_string())
}

fn shift(value: &mut Value, span: i64) {
    match value {
        Value::String(text) if text.len() >= INSTANT_CHARS_MIN => {
            if let Some(at) = Timestamp::parse_rfc3339(text) {
                *text = at.plus_ms(span).rfc3339();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shift(item, span)),
        Value::Object(fields) => fields.values_mut().for_each(|field| shift(field, span)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_found_under_the_type_it_names() {
        assert_eq!(all().len(), 48);
        for (event_type, text) in all() {
            let value: Value = serde_json::from_str(text).unwrap();
            assert_eq!(value["type"], event_type);
            assert_eq!(get(event_type), Some(text));
        }
        assert_eq!(get("customer.created"), None);
    }

    #[test]
    fn a_shifted_sample_happens_now_and_keeps_its_spans() {
        let now = Timestamp::from_ms(1_800_000_000_123);
        for (event_type, text) in all() {
            let shifted: Value = serde_json::from_str(&shifted(event_type, now).unwrap()).unwrap();
            let before: Value = serde_json::from_str(text).unwrap();
            assert_eq!(shifted["timestamp"], now.rfc3339(), "{event_type}");
            let span = |value: &Value| {
                let at = |field: &Value| Timestamp::parse_rfc3339(field.as_str()?);
                Some(at(&value["timestamp"])?.since(at(&value["data"]["created_at"])?))
            };
            assert_eq!(span(&shifted), span(&before), "{event_type}");
            assert_eq!(
                shifted["data"]["payload_type"],
                before["data"]["payload_type"]
            );
        }
        assert_eq!(shifted("customer.created", now), None);
    }
}
