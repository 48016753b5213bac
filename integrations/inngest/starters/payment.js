// Payments and refunds become events of the same name with the fields that functions usually need.
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

function paymentData(payment) {
  return {
    payment_id: payment.payment_id,
    amount: amountText(payment.total_amount, payment.currency),
    currency: payment.currency || "USD",
    customer_email: payment.customer?.email,
    customer_name: payment.customer?.name,
    payment_method: payment.payment_method || "unknown",
  };
}

const DATA_OF = {
  "payment.succeeded": paymentData,
  "payment.processing": paymentData,
  "payment.cancelled": paymentData,
  "payment.failed": (payment) => ({
    ...paymentData(payment),
    error_code: payment.error_code || "unknown",
    error_message: payment.error_message || "",
    retry_attempt: payment.retry_attempt || 0,
  }),
  "refund.succeeded": refundData,
  "refund.failed": refundData,
};

function refundData(refund) {
  return {
    refund_id: refund.refund_id,
    payment_id: refund.payment_id,
    amount: amountText(refund.amount, refund.currency),
    currency: refund.currency || "USD",
    customer_email: refund.customer?.email,
    customer_name: refund.customer?.name,
    partial: Boolean(refund.is_partial),
    reason: refund.reason || "",
  };
}

function handler(webhook) {
  const dataOf = DATA_OF[webhook.eventType];
  if (!dataOf) return webhook;

  const { data, timestamp } = webhook.payload;
  webhook.payload = {
    name: webhook.eventType,
    data: dataOf(data),
    user: { email: data.customer?.email },
    ts: Date.parse(timestamp),
  };
  return webhook;
}
