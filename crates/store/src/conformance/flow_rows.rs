//! Rows of flow control with a different value in every field, made from one number.

use dunlin_engine::config::{Limit, LimitTarget, Rate, Rule};
use dunlin_engine::{CounterRow, DroppedRow, GatherRow, Write};
use dunlin_types::Seq;

use super::rows::{at, key, maybe};

/// The counter of a key, or its removal.
pub(super) fn counter(n: u64, of: u64) -> CounterRow {
    CounterRow {
        function: (of % 2) as u32,
        rule: [Rule::Throttle, Rule::RateLimit][(of / 2) as usize % 2],
        key: key(of % 3),
        tat_ns: (n % 4 != 3).then(|| at(n).ms() * 1_000_000 + 7),
        last: Seq(n),
    }
}

pub(super) fn gather(n: u64, seq: Seq) -> GatherRow {
    GatherRow {
        seq,
        function: (n % 5) as u32,
        rule: [Rule::Debounce, Rule::Batch][n as usize % 2],
        key: maybe(n, format!("clé {n}")).unwrap_or_default(),
        opened: at(seq.0),
        due: at(n + 50),
        event: Seq(n / 2),
        ts: at(n).plus_ms(-3),
        bytes: n * 1000,
    }
}

pub(super) fn dropped(n: u64, event: Seq, function: u32) -> DroppedRow {
    DroppedRow {
        event,
        function,
        at: at(n),
        rule: [Rule::RateLimit, Rule::Idempotency, Rule::Debounce][n as usize % 3],
        key: maybe(n, format!("clé {n}")).unwrap_or_default(),
        kept: maybe(n / 2, Seq(n / 3)),
    }
}

pub(super) fn limit(n: u64, of: u64) -> Limit {
    let rate = Rate {
        limit: n as u32,
        period_ms: n.cast_signed() * 1000,
        burst: (n % 4) as u32,
    };
    Limit {
        name: format!("limit-{}", of % 8),
        target: match n % 2 {
            0 => LimitTarget::Host(format!("h{n}.example.com")),
            _ => LimitTarget::Step {
                function: format!("app-fn-{n}"),
                step: format!("étape {n}"),
            },
        },
        concurrency: maybe(n / 2, n as u32),
        rate: maybe(n / 4, rate),
    }
}

/// What is being gathered: the places of debounces and batches.
#[derive(Clone, Debug, Default)]
pub(super) struct Gathers(Vec<Seq>);

impl Gathers {
    /// Opens one, or puts one anew, as a debounce does with each event.
    pub(super) fn put(&mut self, n: u64, pick: usize) -> Write {
        let seq = match self.0.get(pick % (self.0.len() + 1)) {
            Some(open) => *open,
            None => {
                self.0.push(Seq(n));
                Seq(n)
            }
        };
        Write::Gather(gather(n, seq))
    }

    pub(super) fn add(&mut self, n: u64, pick: usize) -> Option<Write> {
        let gather = *self.0.get(pick % self.0.len().max(1))?;
        let event = Seq(n);
        Some(Write::Gathered { gather, event })
    }

    pub(super) fn end(&mut self, pick: usize) -> Option<Write> {
        if self.0.len() < 2 {
            return None;
        }
        let gather = self.0.swap_remove(pick % self.0.len());
        Some(Write::GatherEnd(gather))
    }
}
