//! What a function's rules make of the events of a run: evaluated once, when the run is made, and
//! stored with it, because the rules hold for as long as it lives.

use dunlin_expr::{Answer, Program, Scope, Value};
use dunlin_types::limits::FLOW_KEY_BYTES_MAX;
use dunlin_types::{DedupeKey, Timestamp};

use crate::config::{Rule, Scope as Counted};

/// The version of the encoding that this program writes.
const VERSION: u8 = 1;

/// What a rule counts a run under.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyValue {
    /// Names the rule by what it is, so that it is found again after a sync.
    pub rule: u64,
    /// The value as text.
    pub text: Box<str>,
}

impl KeyValue {
    /// The name of a rule with a key: what it is, where it counts, and its expression.
    #[must_use]
    pub fn name(rule: Rule, scope: Counted, expression: &str) -> u64 {
        let space = [rule as u8, scope as u8];
        let [a, b, c, d, e, f, g, h, ..] = DedupeKey::new(&space, expression.as_bytes()).0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

/// What a function's rules made of a run's events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunKeys {
    /// Seconds by which it goes before others.
    pub priority: i32,
    /// The lock that it holds, and when it was made, which is part of its id.
    pub singleton: Option<(DedupeKey, Timestamp)>,
    /// What it counts under, rule by rule.
    pub values: Vec<KeyValue>,
}

impl RunKeys {
    /// As stored; nothing if there is nothing to store. A version byte, the priority, one byte and
    /// twenty-four for the lock, then for each value the rule's name, a length and the text.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        if *self == Self::default() {
            return Vec::new();
        }
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.priority.to_be_bytes());
        out.push(u8::from(self.singleton.is_some()));
        if let Some((lock, created)) = self.singleton {
            out.extend_from_slice(&lock.0);
            out.extend_from_slice(&created.ms().to_be_bytes());
        }
        for value in &self.values {
            out.extend_from_slice(&value.rule.to_be_bytes());
            let length = u16::try_from(value.text.len()).unwrap_or(u16::MAX);
            out.extend_from_slice(&length.to_be_bytes());
            out.extend(value.text.bytes().take(length.into()));
        }
        out
    }

    /// Reads what was stored; none if it is not that.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::default());
        }
        let (version, rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let (priority, rest) = rest.split_first_chunk::<4>()?;
        let (locked, mut rest) = rest.split_first()?;
        let mut keys = Self {
            priority: i32::from_be_bytes(*priority),
            ..Self::default()
        };
        if *locked == 1 {
            let (lock, more) = rest.split_first_chunk::<16>()?;
            let (created, more) = more.split_first_chunk::<8>()?;
            let created = Timestamp::from_ms(i64::from_be_bytes(*created));
            keys.singleton = Some((DedupeKey(*lock), created));
            rest = more;
        }
        while !rest.is_empty() {
            let (rule, more) = rest.split_first_chunk::<8>()?;
            let (length, more) = more.split_first_chunk::<2>()?;
            let (text, more) = more.split_at_checked(u16::from_be_bytes(*length).into())?;
            keys.values.push(KeyValue {
                rule: u64::from_be_bytes(*rule),
                text: std::str::from_utf8(text).ok()?.into(),
            });
            rest = more;
        }
        Some(keys)
    }
}

/// What an expression makes of an event, as text: cut, with a hash of the whole, where it is longer
/// than [`FLOW_KEY_BYTES_MAX`]. An expression that fails counts as one that is missing. None if it
/// is false, which some rules take to mean that they do not hold.
#[must_use]
pub fn key_text(program: &Program, event: &Value, now: Timestamp) -> Option<Box<str>> {
    let scope = Scope {
        event,
        async_event: None,
        now,
    };
    match program.evaluate(&scope) {
        Ok(answer) if answer.is_false() => None,
        Ok(answer) => Some(cut(&answer)),
        Err(_) => Some("".into()),
    }
}

fn cut(answer: &Answer) -> Box<str> {
    let text = answer.key_text();
    if text.len() <= FLOW_KEY_BYTES_MAX {
        return text.into();
    }
    let hash = DedupeKey::new(b"key", text.as_bytes());
    let end = text.floor_char_boundary(FLOW_KEY_BYTES_MAX - 33);
    let hex: String = hash.0.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}#{hex}", &text[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back() {
        let mut keys = RunKeys::default();
        assert!(keys.encode().is_empty());
        keys.priority = -5;
        keys.singleton = Some((DedupeKey([7; 16]), Timestamp::from_ms(5)));
        keys.values = ["", "grün"]
            .map(|text| KeyValue {
                rule: 3,
                text: text.into(),
            })
            .into();
        assert_eq!(RunKeys::decode(&keys.encode()), Some(keys.clone()));
        let bytes = keys.encode();
        for end in 1..bytes.len() {
            assert_ne!(RunKeys::decode(&bytes[..end]), Some(keys.clone()));
        }
        assert_eq!(RunKeys::decode(&[9]), None);
    }

    #[test]
    fn long_values_are_cut_and_stay_apart() {
        let program = Program::parse("event.data.id").unwrap();
        let of = |text: String| {
            let event = serde_json_like(&text);
            key_text(&program, &event, Timestamp::ZERO).unwrap()
        };
        let (one, two) = (of("ä".repeat(500) + "1"), of("ä".repeat(500) + "2"));
        assert!(one.len() <= FLOW_KEY_BYTES_MAX && one != two);
        assert_eq!(&*of("cus_1".to_owned()), "cus_1");
    }

    fn serde_json_like(id: &str) -> Value {
        dunlin_expr::parse_json(format!("{{\"data\":{{\"id\":\"{id}\"}}}}").as_bytes())
    }
}
