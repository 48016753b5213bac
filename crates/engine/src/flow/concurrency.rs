//! Concurrency: at most so many calls in flight, or runs under way, under one value of a key.

use crate::config::{ConcurrencyRule, Rule, Scope};
use crate::flow::KeyValue;
use crate::schedule::{Kind, Wanted, own_or_shared};

/// The gate of a rule for runs of those values; none if they know nothing of its key.
pub(crate) fn gate(
    rule: Rule,
    function: u32,
    of: &ConcurrencyRule,
    values: &[KeyValue],
) -> Option<Wanted> {
    let (name, text) = match &of.key {
        None => (0, "".into()),
        Some(key) => {
            let name = KeyValue::name(rule, of.scope, key);
            let value = values.iter().find(|value| value.rule == name)?;
            (name, value.text.clone())
        }
    };
    // Without a key there is nothing to count together: it holds in its function.
    let scope = if of.key.is_some() {
        of.scope
    } else {
        Scope::Function
    };
    Some(Wanted {
        key: own_or_shared(rule, function, scope, (name, text)),
        kind: if rule == Rule::Runs {
            Kind::Runs
        } else {
            Kind::Calls
        },
        limit: of.limit,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dunlin_types::{Seq, Timestamp};
    use proptest::prelude::*;

    use super::*;
    use crate::config::FlowRules;
    use crate::schedule::{CallLimits, Picked, Schedule};

    /// Something that waits, is out, or has begun: all that is known of it, in a list.
    #[derive(Clone, Debug, PartialEq)]
    struct One {
        function: u32,
        k: u64,
        m: u64,
        starts: bool,
        score: i64,
        run: u64,
        item: u64,
    }

    #[derive(Default)]
    struct Lists {
        rules: Vec<FlowRules>,
        paused: [bool; 2],
        waiting: Vec<One>,
        out: Vec<One>,
        begun: Vec<One>,
        calls_max: usize,
    }

    /// Where somebody counts under a rule: rule, function, scope, name of the key, its value.
    fn place(
        rule: Rule,
        of: &ConcurrencyRule,
        one: &One,
    ) -> (Rule, Option<u32>, Scope, String, u64) {
        let value = match of.key.as_deref() {
            Some("event.data.k") => one.k,
            Some(_) => one.m,
            None => 0,
        };
        match (of.scope, &of.key) {
            (Scope::Function, _) | (_, None) => {
                let key = of.key.clone().unwrap_or_default();
                (rule, Some(one.function), Scope::Function, key, value)
            }
            (scope, Some(_)) => (rule, None, scope, String::new(), value),
        }
    }

    impl Lists {
        fn rules_of(&self, rule: Rule, function: u32) -> &[ConcurrencyRule] {
            let flow = &self.rules[function as usize];
            match rule {
                Rule::Runs => &flow.runs,
                _ => &flow.concurrency,
            }
        }

        /// Whether the rules have room for one more, counting those in the list one by one.
        fn fits(&self, rule: Rule, one: &One, list: &[One]) -> bool {
            self.rules_of(rule, one.function).iter().all(|of| {
                let at = place(rule, of, one);
                let there = |other: &&One| {
                    let mut all = self.rules_of(rule, other.function).iter();
                    all.any(|of| place(rule, of, other) == at)
                };
                list.iter().filter(there).count() < of.limit as usize
            })
        }

        fn may_go(&self, one: &One) -> bool {
            !self.paused[one.function as usize]
                && self.out.len() < self.calls_max
                && self.fits(Rule::Concurrency, one, &self.out)
                && (!one.starts || self.fits(Rule::Runs, one, &self.begun))
        }

        /// Takes what was picked, and says what is wrong with it.
        fn take(&mut self, picked: &Picked) -> Result<(), String> {
            let found = self
                .waiting
                .iter()
                .position(|one| one.item == picked.item.0);
            let one = self.waiting[found.ok_or("it did not wait")?].clone();
            if !self.may_go(&one) {
                return Err(format!("{one:?} goes out without room"));
            }
            let order = |one: &One| (one.score, one.starts, one.item);
            let lane = |one: &One| (one.function, one.k, one.m);
            // A place that is free may be meant for another lane, whose turn it is; until it is
            // taken, a lane whose starts wait there goes on with what is under way.
            let promised = self.waiting.iter().any(|other| {
                let begins = other.starts && self.fits(Rule::Runs, other, &self.begun);
                begins && lane(other) != lane(&one)
            });
            let sooner = |other: &&One| {
                let comparable = other.starts == one.starts || !promised;
                let same = lane(other) == lane(&one) && comparable;
                same && order(other) < order(&one) && self.may_go(other)
            };
            if let Some(other) = self.waiting.iter().find(sooner) {
                return Err(format!("{one:?} goes out before {other:?}"));
            }
            self.waiting.retain(|other| other.item != one.item);
            if one.starts {
                self.begun.push(one.clone());
            }
            self.out.push(one);
            Ok(())
        }
    }

    fn rule() -> impl Strategy<Value = ConcurrencyRule> {
        let key = prop_oneof![
            Just(None),
            Just(Some("event.data.k")),
            Just(Some("event.data.m"))
        ];
        let scope = prop_oneof![
            Just(Scope::Function),
            Just(Scope::Env),
            Just(Scope::Account)
        ];
        (1_u32..4, key, scope).prop_map(|(limit, key, scope)| ConcurrencyRule {
            limit,
            key: key.map(str::to_owned),
            scope,
        })
    }

    fn flow() -> impl Strategy<Value = FlowRules> {
        let calls = prop::collection::vec(rule(), 0..3);
        let runs = prop::collection::vec(rule(), 0..3);
        (calls, runs).prop_map(|(concurrency, runs)| FlowRules {
            concurrency,
            runs,
            ..FlowRules::default()
        })
    }

    /// What a run's keys are, whatever rules there are.
    fn values(one: &One) -> Vec<KeyValue> {
        let scopes = [Scope::Function, Scope::Env, Scope::Account];
        let rules = [Rule::Concurrency, Rule::Runs];
        let keys = [("event.data.k", one.k), ("event.data.m", one.m)];
        let all = rules
            .into_iter()
            .flat_map(|rule| scopes.map(|scope| (rule, scope)));
        let all = all.flat_map(|(rule, scope)| keys.map(|(key, value)| (rule, scope, key, value)));
        all.map(|(rule, scope, key, value)| KeyValue {
            rule: KeyValue::name(rule, scope, key),
            text: value.to_string().into(),
        })
        .collect()
    }

    /// What happens, to whom, and with which number.
    type Step = (u8, u32, (u64, u64), usize, i64);

    struct Driven {
        schedule: Schedule,
        lists: Lists,
        next: u64,
    }

    impl Driven {
        fn configure(&mut self, function: usize, flow: FlowRules) {
            self.schedule
                .configure(function as u32, 0, &Arc::new(flow.clone()));
            self.lists.rules[function] = flow;
        }

        fn lane(&mut self, one: &One) -> u32 {
            self.schedule.lane(one.function, values(one))
        }

        fn push(&mut self, one: One) {
            let lane = self.lane(&one);
            if one.starts {
                self.schedule.joins(lane, Seq(one.run), false);
            }
            let (run, item) = (Seq(one.run), Seq(one.item));
            self.schedule.push(lane, one.starts, one.score, run, item);
            self.lists.waiting.push(one);
        }

        /// A run ends, if nothing of it waits or is out.
        fn end(&mut self, one: &One) {
            let lane = self.lane(one);
            let begun = self.lists.begun.iter().any(|other| other.run == one.run);
            self.schedule.leaves(lane, Seq(one.run), begun);
            self.lists.begun.retain(|other| other.run != one.run);
        }

        fn step(&mut self, (what, function, (k, m), which, score): Step) {
            self.next += 1;
            let next = self.next;
            match what {
                0..=3 => self.push(One {
                    function,
                    k,
                    m,
                    starts: true,
                    score,
                    run: next,
                    item: next,
                }),
                4..=6 if !self.lists.out.is_empty() => {
                    let one = self.lists.out.remove(which % self.lists.out.len());
                    let lane = self.lane(&one);
                    self.schedule.release(lane, Seq(one.run), Seq(one.item));
                    match score % 3 {
                        0 => self.end(&one),
                        1 => self.push(One {
                            starts: false,
                            item: next,
                            ..one
                        }),
                        // It sleeps: it holds its place among those that have begun.
                        _ => {}
                    }
                }
                7 if !self.lists.waiting.is_empty() => {
                    let one = self.lists.waiting.remove(which % self.lists.waiting.len());
                    let lane = self.lane(&one);
                    self.schedule
                        .remove(lane, one.starts, one.score, Seq(one.item));
                    self.end(&one);
                }
                8 => {
                    let of = function as usize;
                    let paused = !self.lists.paused[of];
                    self.schedule.pause(function, paused);
                    self.lists.paused[of] = paused;
                }
                _ => {
                    let of = function as usize;
                    let mut flow = self.lists.rules[of].clone();
                    let all = flow.concurrency.iter_mut().chain(&mut flow.runs);
                    all.for_each(|rule| rule.limit = 1 + which as u32 % 4);
                    self.configure(of, flow);
                }
            }
        }

        fn go(&mut self) -> Result<(), String> {
            self.schedule.now = self.schedule.now.plus_ms(1);
            self.schedule.wake();
            while let Some(picked) = self.schedule.pop() {
                self.lists.take(&picked)?;
            }
            let waits = self.lists.waiting.iter().find(|one| self.lists.may_go(one));
            match (waits, self.schedule.audit()) {
                (Some(one), _) => Err(format!("{one:?} waits for nothing")),
                (None, faults) if !faults.is_empty() => Err(format!("{faults:?}")),
                _ => Ok(()),
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn as_many_go_out_as_fit_when_all_are_counted_one_by_one(
            (f, g, calls_max) in (flow(), flow(), 2_usize..9),
            steps in prop::collection::vec(
                (0_u8..10, 0_u32..2, (0_u64..2, 1_u64..3), 0_usize..20, -3_i64..9), 1..50),
        ) {
            let limits = CallLimits { calls_max, ..CallLimits::default() };
            let lists = Lists {
                rules: vec![FlowRules::default(); 2],
                calls_max,
                ..Lists::default()
            };
            let mut driven = Driven { schedule: Schedule::new(limits), lists, next: 0 };
            driven.schedule.now = Timestamp::from_ms(1);
            driven.configure(0, f);
            driven.configure(1, g);
            for step in steps {
                driven.step(step);
                if let Err(wrong) = driven.go() {
                    prop_assert!(false, "{}", wrong);
                }
            }
        }
    }
}
