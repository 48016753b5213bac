//! Arrival times of rates by key. A counter is kept for as long as it matters; those that have
//! lapsed are found by a hand that looks at a few whenever one is written.

use dunlin_types::{DedupeKey, Seq, Timestamp};

use crate::config::Rule;
use crate::flow::gcra::Gcra;
use crate::packed::Packed;
use crate::write::CounterRow;

/// Counters that the hand looks at for each one that is written: more than one, so that it goes
/// round faster than they come.
const LOOKS_PER_WRITE: usize = 4;

/// Function, rule and key.
type Name = (u32, u8, DedupeKey);

/// The counters of all functions.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    by_name: Packed<Name, (i64, Seq)>,
    hand: Option<Name>,
}

impl Counters {
    /// The name of a key's counter.
    pub(crate) fn key(text: &str) -> DedupeKey {
        DedupeKey::new(b"count", text.as_bytes())
    }

    /// The arrival time of a key, and what was let through last.
    pub(crate) fn get(&self, function: u32, rule: Rule, key: DedupeKey) -> Option<(i64, Seq)> {
        self.by_name.get(&(function, rule as u8, key)).copied()
    }

    /// All of them, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Name, &(i64, Seq))> {
        self.by_name.iter()
    }

    /// Takes a row as it was written.
    pub(crate) fn apply(&mut self, row: &CounterRow) {
        let name = (row.function, row.rule as u8, row.key);
        match row.tat_ns {
            Some(tat) => {
                self.by_name.insert(name, (tat, row.last));
            }
            None => {
                self.by_name.remove(&name);
            }
        }
    }

    /// Takes a new arrival time; gives the rows to write, with those of counters that have lapsed.
    pub(crate) fn put(&mut self, row: CounterRow, now: Timestamp) -> Vec<CounterRow> {
        let mut rows = vec![row];
        for _ in 0..LOOKS_PER_WRITE {
            let from = self.hand.unwrap_or((0, 0, DedupeKey([0; 16])));
            let Some(((function, rule, key), (tat, last))) = self.by_name.first_from(&from) else {
                self.hand = None;
                break;
            };
            let (function, rule, key, tat, last) = (*function, *rule, *key, *tat, *last);
            self.hand = Some((function, rule, next(key)));
            let lapsed = Gcra::is_over(tat, now)
                && (function, rule, key) != (row.function, row.rule as u8, row.key);
            if let Some(rule) = Rule::from_number(rule).filter(|_| lapsed) {
                rows.push(CounterRow {
                    function,
                    rule,
                    key,
                    tat_ns: None,
                    last,
                });
            }
        }
        rows.iter().for_each(|row| self.apply(row));
        rows
    }
}

/// The key behind that one; the last one comes again, which does no harm.
fn next(key: DedupeKey) -> DedupeKey {
    DedupeKey(u128::from_be_bytes(key.0).saturating_add(1).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_lapsed_goes_while_others_come() {
        let mut counters = Counters::default();
        let row = |n: u32, tat: i64| CounterRow {
            function: 1,
            rule: Rule::RateLimit,
            key: Counters::key(&n.to_string()),
            tat_ns: Some(tat),
            last: Seq(n.into()),
        };
        let mut removed = 0;
        for n in 0..10_000 {
            let now = Timestamp::from_ms(n.into());
            // Each matters for ten milliseconds.
            let rows = counters.put(row(n, (i64::from(n) + 10) * 1_000_000), now);
            removed += rows.iter().filter(|row| row.tat_ns.is_none()).count();
        }
        assert!(counters.by_name.len() < 200, "{}", counters.by_name.len());
        assert_eq!(counters.by_name.len() + removed, 10_000);
    }
}
