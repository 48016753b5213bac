//! Throttle: runs begin no faster than so many in a time; those beyond it wait their turn.

use crate::config::{RateRule, Rule, Scope};
use crate::flow::KeyValue;
use crate::flow::counters::Counters;
use crate::schedule::{GateKey, Kind, Wanted, rate_of};

/// The gate for runs of those values; none if they know nothing of its key.
pub(crate) fn gate(function: u32, rule: &RateRule, values: &[KeyValue]) -> Option<Wanted> {
    let (name, text): (u64, Box<str>) = match &rule.key {
        None => (0, "".into()),
        Some(key) => {
            let name = KeyValue::name(Rule::Throttle, Scope::Function, key);
            let value = values.iter().find(|value| value.rule == name)?;
            (name, value.text.clone())
        }
    };
    let counter = Counters::key(&text);
    let rate = rate_of(rule.limit, rule.period_ms, rule.burst);
    Some(Wanted {
        key: GateKey::Own(Rule::Throttle, function, name, text),
        kind: Kind::Rate(rate, counter),
        limit: 0,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dunlin_types::{Seq, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::config::FlowRules;
    use crate::schedule::{CallLimits, Schedule};

    const KEY: &str = "event.data.k";

    /// What waits and what has begun, by key, as lists; the arrival time that all of it makes.
    #[derive(Default)]
    struct Lists {
        waiting: Vec<Vec<u64>>,
        /// Under the numbers of then: when, and how long each took.
        begun: Vec<Vec<(i64, i64)>>,
    }

    impl Lists {
        /// When a start of that key fits in, by all that began before it.
        fn free_at(&self, key: usize, (each, room): (i64, i64)) -> i64 {
            let mut used_up_to = i64::MIN;
            for (at, took) in &self.begun[key] {
                used_up_to = used_up_to.max(at * 1_000_000) + took;
            }
            let over = used_up_to.saturating_add(each).saturating_sub(room);
            over.div_euclid(1_000_000) + i64::from(over.rem_euclid(1_000_000) > 0)
        }
    }

    fn rules((limit, period_ms, burst): (u32, i64, u32)) -> (Arc<FlowRules>, (i64, i64)) {
        let key = Some(KEY.to_owned());
        let throttle = Some(RateRule {
            limit,
            period_ms,
            burst,
            key,
        });
        let each = period_ms * 1_000_000 / i64::from(limit);
        let rules = FlowRules {
            throttle,
            ..FlowRules::default()
        };
        (Arc::new(rules), (each, each * i64::from(limit + burst)))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn starts_begin_as_soon_as_those_before_them_allow(
            first in (1_u32..4, 1_000_i64..9_000, 0_u32..3),
            steps in prop::collection::vec(
                (0_u8..8, 0_usize..3, (0_i64..4_000, 1_u32..4, 0_u32..3)), 1..50),
        ) {
            let mut schedule = Schedule::new(CallLimits::default());
            let (of, mut numbers) = rules(first);
            schedule.configure(0, 0, &of);
            let mut lists = Lists { waiting: vec![Vec::new(); 3], begun: vec![Vec::new(); 3] };
            let (mut now, mut run) = (1_000_000_i64, 0);
            let lane = |schedule: &mut Schedule, key: usize| {
                let rule = KeyValue::name(Rule::Throttle, Scope::Function, KEY);
                let text = key.to_string().into();
                schedule.lane(0, vec![KeyValue { rule, text }])
            };
            for (step, key, (ms, limit, burst)) in steps {
                match step {
                    0..=3 => {
                        run += 1;
                        let lane = lane(&mut schedule, key);
                        schedule.joins(lane, Seq(run), false);
                        schedule.push(lane, true, run as i64, Seq(run), Seq(run));
                        lists.waiting[key].push(run);
                    }
                    4 | 5 => now += ms,
                    6 => now = schedule.next_wake().map_or(now, |at| at.ms().max(now)),
                    _ => {
                        let (of, next) = rules((limit, ms + 1_000, burst));
                        (_, numbers) = (schedule.configure(0, 0, &of), next);
                    }
                }
                schedule.now = Timestamp::from_ms(now);
                schedule.wake();
                let mut begun = Vec::new();
                while let Some(picked) = schedule.pop() {
                    schedule.release(picked.lane, picked.run, picked.item);
                    if !picked.starts {
                        schedule.leaves(picked.lane, picked.run, true);
                        begun.retain(|run| *run != picked.run);
                        continue;
                    }
                    let key = lists.waiting.iter().position(|of| of.first() == Some(&picked.run.0));
                    let key = key.expect("the first of its key");
                    prop_assert!(lists.free_at(key, numbers) <= now, "too early");
                    prop_assert!(picked.counted);
                    prop_assert!(picked.rows.iter().any(|row| row.last == picked.run));
                    lists.waiting[key].remove(0);
                    lists.begun[key].push((now, numbers.0));
                    let next = Seq(picked.item.0 + 1_000_000);
                    schedule.push(picked.lane, false, 0, picked.run, next);
                    begun.push(picked.run);
                }
                prop_assert!(begun.is_empty(), "held back though they have begun: {begun:?}");
                let waits = (0..3).filter(|key| !lists.waiting[*key].is_empty());
                let next = waits.map(|key| lists.free_at(key, numbers)).min();
                prop_assert!(next.is_none_or(|at| at > now), "{next:?} at {now}");
                let wake = schedule.next_wake().map(Timestamp::ms);
                prop_assert!(next.is_none_or(|at| wake.is_some_and(|wake| wake <= at)));
                prop_assert_eq!(schedule.audit(), Vec::<String>::new());
            }
        }
    }
}
