//! A number by which values can be looked up: equal values have equal keys.

use serde_json::Value;

const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// The key of a value, `None` being a missing field. Values that are equal in the dialect have
/// equal keys; others mostly do not, but all lists share one key and all objects another. Keys do
/// not depend on the process, the machine or the order of evaluation.
#[must_use]
pub fn equality_key(value: Option<&Value>) -> u64 {
    match value {
        None | Some(Value::Null) => hash(0, &[]),
        Some(Value::Bool(b)) => hash(1, &[u8::from(*b)]),
        Some(Value::Number(n)) => {
            // Adding zero turns -0 into 0, which equals it.
            let double = n.as_f64().unwrap_or(f64::NAN) + 0.0;
            hash(2, &double.to_bits().to_le_bytes())
        }
        Some(Value::String(text)) => hash(3, text.as_bytes()),
        Some(Value::Array(_)) => hash(4, &[]),
        Some(Value::Object(_)) => hash(5, &[]),
    }
}

/// FNV-1a over a type and its bytes.
fn hash(kind: u8, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
    bytes.iter().fold(step(FNV_BASIS, &kind), step)
}
