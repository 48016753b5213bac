// The life of a subscription as events. `subscription.updated` is left alone on purpose: it comes
// beside the specific event on any change, so a function on it would do its work twice.
// Amounts are decimal texts in the currency's main unit; `ts` is in milliseconds.
const WITHOUT_DECIMALS = [
  "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA",
  "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
];

function amountText(minorUnits, currency) {
  if (minorUnits == null) return null;
  if (WITHOUT_DECIMALS.includes(currency)) return String(minorUnits);
  return (minorUnits / 100).toFixed(2);
}

function plan(subscription) {
  return {
    customer_name: subscription.customer?.name,
    product_id: subscription.product_id,
    amount: amountText(subscription.recurring_pre_tax_amount, subscription.currency),
    frequency: subscription.payment_frequency_interval,
    next_billing: subscription.next_billing_date,
  };
}

function newPlan(subscription) {
  return { ...plan(subscription), quantity: subscription.quantity, addons: subscription.addons || [] };
}

function gracePeriod(subscription) {
  return { ...plan(subscription), past_due_ends_at: subscription.past_due_ends_at };
}

function expiry(subscription) {
  return { product_id: subscription.product_id, expires_at: subscription.expires_at };
}

function paymentMethod(subscription) {
  return { payment_method_id: subscription.payment_method_id };
}

function cancellation(subscription) {
  return {
    cancelled_at: subscription.cancelled_at,
    cancel_at_next_billing: subscription.cancel_at_next_billing_date,
    feedback: subscription.cancellation_feedback || "",
    comment: subscription.cancellation_comment || "",
  };
}

// The event's name and what it tells beside the subscription's id and the customer's address.
const EVENTS = {
  "subscription.active": ["subscription.started", plan],
  "subscription.renewed": ["subscription.renewed", plan],
  "subscription.unpaused": ["subscription.unpaused", plan],
  "subscription.plan_changed": ["subscription.plan_changed", newPlan],
  "subscription.on_hold": ["subscription.on_hold", plan],
  "subscription.past_due": ["subscription.past_due", gracePeriod],
  "subscription.paused": ["subscription.paused", (s) => ({ paused_at: s.paused_at })],
  "subscription.cancelled": ["subscription.cancelled", cancellation],
  "subscription.failed": ["subscription.failed", plan],
  "subscription.expired": ["subscription.expired", expiry],
  "subscription.update_payment_method": ["subscription.payment_method_updated", paymentMethod],
};

function handler(webhook) {
  const event = EVENTS[webhook.eventType];
  if (!event) return webhook;

  const [name, details] = event;
  const { data: subscription, timestamp } = webhook.payload;
  const email = subscription.customer?.email;
  webhook.payload = {
    name,
    data: {
      subscription_id: subscription.subscription_id,
      customer_email: email,
      ...details(subscription),
    },
    user: { email },
    ts: Date.parse(timestamp),
  };
  return webhook;
}
