// Every dispute event in one shape. `urgent` marks what somebody has to answer: a dispute that was just
// opened. Amounts are decimal texts in the currency's main unit (they arrive as texts of minor units);
// `ts` is in milliseconds.
const WITHOUT_DECIMALS = [
  "BIF", "CLP", "DJF", "GNF", "JPY", "KMF", "KRW", "MGA",
  "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF",
];

function amountText(minorUnits, currency) {
  if (minorUnits == null) return null;
  if (WITHOUT_DECIMALS.includes(currency)) return String(minorUnits);
  return (Number(minorUnits) / 100).toFixed(2);
}

function handler(webhook) {
  const { eventType } = webhook;
  if (!eventType.startsWith("dispute.")) return webhook;

  const { data: dispute, timestamp } = webhook.payload;
  webhook.payload = {
    name: eventType,
    data: {
      dispute_id: dispute.dispute_id,
      payment_id: dispute.payment_id,
      amount: amountText(dispute.amount, dispute.currency),
      currency: dispute.currency,
      status: dispute.dispute_status,
      stage: dispute.dispute_stage,
      reason: dispute.reason || "",
      remarks: dispute.remarks || "",
      urgent: eventType === "dispute.opened",
    },
    user: { email: dispute.customer?.email || "unknown" },
    ts: Date.parse(timestamp),
  };
  return webhook;
}
