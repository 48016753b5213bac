//! What must be true of a world in which everything has come to its end.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_delivery::{
    AttemptResult, AttemptRow, Delivery, DeliveryRow, DeliveryState, TallyRow, Trigger, hour_of,
};
use dunlin_types::{Code, Seq, limits};

use super::{Life, Reached};

impl Life {
    pub(super) fn reach(&self) -> Reached {
        let rows = &self.world.rows;
        let deliveries = rows.deliveries.values();
        let count = |fits: &dyn Fn(&&DeliveryRow) -> bool| deliveries.clone().filter(fits).count();
        Reached {
            deliveries: rows.deliveries.len(),
            attempts: rows.attempts.len(),
            ordered: count(&|row| row.order_key.is_some()),
            disabled: count(&|row| row.code == Some(Code::EndpointDisabled)),
            replayed: count(&|row| row.trigger == Trigger::Replay),
            duplicates: count(&|row| row.state == DeliveryState::Duplicate),
            wiped: self.wiped.len(),
            ..self.reached
        }
    }
}

impl Reached {
    pub(super) fn add(&mut self, one: Self) {
        self.crashes += one.crashes;
        self.deliveries += one.deliveries;
        self.attempts += one.attempts;
        self.ordered += one.ordered;
        self.asked_for_less += one.asked_for_less;
        self.disabled += one.disabled;
        self.replayed += one.replayed;
        self.wiped += one.wiped;
        self.duplicates += one.duplicates;
    }

    /// The worlds reach what they are made for.
    pub(super) fn check(self) {
        assert!(self.crashes > 1000 && self.deliveries > 10_000, "{self:?}");
        assert!(
            self.attempts > self.deliveries && self.ordered > 1000,
            "{self:?}"
        );
        assert!(self.asked_for_less > 500 && self.disabled > 500, "{self:?}");
        assert!(self.replayed > 500 && self.wiped > 200, "{self:?}");
        assert!(self.duplicates > 50, "{self:?}");
    }
}

/// What a process that comes up now would know is what this one knows.
pub(super) fn same(core: &Delivery, rebuilt: &Delivery) {
    assert!(core.pending().eq(rebuilt.pending()));
    let (one, other) = (core.config(), rebuilt.config());
    assert!(one.endpoints().eq(other.endpoints()));
    assert!(one.tasks().eq(other.tasks()));
    assert!(one.applications().eq(other.applications()));
    for endpoint in one.endpoints() {
        assert_eq!(core.health(endpoint.id), rebuilt.health(endpoint.id));
    }
}

pub(super) fn ended(life: &Life) {
    let rows = &life.world.rows;
    let pending: Vec<_> = life.world.core.pending().collect();
    assert!(pending.is_empty(), "stuck: {pending:#?}");
    let running = life.world.core.config();
    assert!(running.running_tasks().next().is_none(), "a task is stuck");
    let scheduled = rows.deliveries.values();
    let scheduled = scheduled.filter(|row| row.trigger == Trigger::Scheduled);
    let have: Vec<(Seq, Seq)> = scheduled.map(|row| (row.message, row.endpoint)).collect();
    let unique: BTreeSet<(Seq, Seq)> = have.iter().copied().collect();
    assert_eq!(have.len(), unique.len(), "two deliveries for one endpoint");
    let kept = |pair: &&(Seq, Seq)| rows.messages.contains_key(&pair.0);
    let wanted: BTreeSet<_> = life.wanted.iter().filter(kept).copied().collect();
    assert_eq!(unique, wanted);
    let mut logs: BTreeMap<Seq, Vec<&AttemptRow>> = BTreeMap::new();
    for attempt in &rows.attempts {
        logs.entry(attempt.delivery).or_default().push(attempt);
    }
    for row in rows.deliveries.values() {
        let log = logs.remove(&row.seq).unwrap_or_default();
        check_log(row, &log);
        check_end(life, row, &log);
    }
    assert!(logs.is_empty(), "attempts of nothing: {logs:?}");
    check_orders(life);
    check_tallies(life);
    check_tasks(life);
    check_payloads(life);
    check_events(life);
    check_accounts(life);
}

fn check_log(row: &DeliveryRow, log: &[&AttemptRow]) {
    let numbers: Vec<u8> = log.iter().map(|attempt| attempt.attempt_no).collect();
    assert_eq!(numbers, (1..=row.tries).collect::<Vec<_>>(), "{row:?}");
    for pair in log.windows(2) {
        let (one, next) = (pair[0], pair[1]);
        assert_eq!(one.result, AttemptResult::Failed);
        let due = one.next_at.expect("another one followed");
        assert!(next.at >= due, "{next:?} is before its time");
        assert!(due >= one.at.plus_ms(one.duration_ms));
    }
    assert!(log.iter().all(|one| one.trigger == row.trigger));
    if let Some(first) = log.first() {
        assert!(first.at >= row.created);
    }
}

fn check_end(life: &Life, row: &DeliveryRow, log: &[&AttemptRow]) {
    assert!(row.ended.is_some() && row.next_at.is_none());
    let last = log.last();
    let result = last.map(|one| one.result);
    match row.state {
        DeliveryState::Pending => panic!("{row:?}"),
        DeliveryState::Succeeded if result == Some(AttemptResult::Succeeded) => {}
        DeliveryState::Succeeded => {
            let mut attempts = life.world.rows.attempts.iter();
            let by_hand = attempts.any(|one| {
                one.trigger == Trigger::Manual
                    && (one.message, one.endpoint) == (row.message, row.endpoint)
                    && one.result == AttemptResult::Succeeded
            });
            assert!(by_hand, "{row:?} has not arrived");
        }
        DeliveryState::Failed => {
            assert_ne!(result, Some(AttemptResult::Succeeded));
            let code = row.code.expect("there is a reason");
            let stopped = last.is_some_and(|one| one.next_at.is_none());
            assert!(
                stopped || code == Code::EndpointDisabled,
                "{row:?} {last:?}"
            );
        }
        DeliveryState::Cancelled => {
            assert!(row.code.is_some() || result == Some(AttemptResult::Cancelled));
        }
        DeliveryState::Duplicate => {
            assert!(matches!(result, Some(AttemptResult::DuplicateOf(_))));
        }
    }
    check_schedule(life, row, log);
}

/// Each delay is one of the schedule's, as far as the receiver did not ask for more.
fn check_schedule(life: &Life, row: &DeliveryRow, log: &[&AttemptRow]) {
    let mut versions = life.world.rows.versions.iter();
    let config = versions.find(|one| one.endpoint == row.endpoint);
    let config = config
        .and_then(|one| one.config.as_ref())
        .expect("its first version");
    let delays = config.retry_schedule_ms.as_deref();
    let delays = delays.unwrap_or(&limits::DELIVERY_DELAYS_MS);
    for attempt in log {
        let Some(next_at) = attempt.next_at else {
            continue;
        };
        assert!(row.trigger.is_retried());
        let delay = next_at.since(attempt.at.plus_ms(attempt.duration_ms));
        let listed = delays[usize::from(attempt.attempt_no) - 1];
        let slowed = attempt.code == Some(Code::DeliveryTimedOut) || attempt.status == 429;
        let least = if slowed { 60_000 } else { 0 }.max(listed * 4 / 5);
        let most = least.max(listed * 6 / 5);
        let most = match attempt.status {
            429 | 503 => (2 * most).max(3_600_000),
            _ => most,
        };
        assert!((least..=most).contains(&delay), "{delay} after {attempt:?}");
    }
    let full = log.len() > delays.len();
    let gave_up = row.state == DeliveryState::Failed && row.trigger.is_retried();
    assert!(log.len() <= delays.len() + 1);
    if gave_up && !full {
        // Somebody stopped it before its time.
        let last = log.last();
        let disabled = life.world.rows.versions.iter().any(|one| {
            let config = one.config.as_ref();
            one.endpoint == row.endpoint && config.is_none_or(|config| config.disabled)
        });
        let stopped = last.is_some_and(|one| matches!(one.status, 200..300 | 410 | 500));
        assert!(disabled || stopped, "{row:?} was given up: {last:?}");
    }
}

/// With an order, no attempt begins before all that came earlier has ended.
fn check_orders(life: &Life) {
    let mut heads: BTreeMap<(Seq, u64), &DeliveryRow> = BTreeMap::new();
    for row in life.world.rows.deliveries.values() {
        let Some(key) = row.order_key.filter(|_| row.trigger.is_retried()) else {
            continue;
        };
        let before = heads.insert((row.endpoint, key), row);
        let ended = before.and_then(|before| before.ended);
        let mut attempts = life.world.rows.attempts.iter();
        let first = attempts.find(|one| one.delivery == row.seq);
        if let (Some(ended), Some(first)) = (ended, first) {
            assert!(first.at >= ended, "{row:?} overtakes {before:?}");
        }
    }
}

fn check_tallies(life: &Life) {
    if life.purges {
        return;
    }
    let rows = &life.world.rows;
    let mut counted: BTreeMap<(u32, Seq), TallyRow> = BTreeMap::new();
    let mut entry = |hour: u32, endpoint: Seq, count: &dyn Fn(&mut TallyRow)| {
        count(counted.entry((hour, endpoint)).or_insert(TallyRow {
            endpoint,
            hour,
            ..TallyRow::default()
        }));
    };
    for row in rows.deliveries.values() {
        if row.trigger == Trigger::Test {
            continue;
        }
        let hour = hour_of(row.ended.expect("it has ended"));
        entry(hour, row.endpoint, &|tally| match row.state {
            DeliveryState::Succeeded => tally.succeeded += 1,
            DeliveryState::Failed => tally.failed += 1,
            _ => tally.cancelled += 1,
        });
    }
    for row in &rows.attempts {
        if row.result == AttemptResult::Failed && row.trigger != Trigger::Test {
            let hour = hour_of(row.at.plus_ms(row.duration_ms));
            entry(hour, row.endpoint, &|tally| tally.attempts_failed += 1);
        }
    }
    assert_eq!(rows.tallies, counted);
}

fn check_tasks(life: &Life) {
    let rows = &life.world.rows;
    let replays = rows.deliveries.values();
    let replays = replays.filter(|row| row.trigger == Trigger::Replay).count() as u64;
    let tasks = rows.tasks.values().filter(|task| task.endpoint.is_some());
    let changed: u64 = tasks.map(|task| task.changed).sum();
    assert!(changed == replays || life.purges, "{changed} for {replays}");
}

/// A payload goes once everybody has it, and not before.
fn check_payloads(life: &Life) {
    let rows = &life.world.rows;
    for (message, alone) in &life.wiped {
        let of_message = rows
            .deliveries
            .values()
            .filter(|row| row.message == *message);
        let mut scheduled = of_message.filter(|row| row.trigger == Trigger::Scheduled);
        let failed = scheduled.find(|row| row.state == DeliveryState::Failed);
        assert!(failed.is_none() || *alone, "{failed:?} is needed yet");
    }
    if !life.wipes || life.reached.crashes > 0 || life.application_came_late {
        return;
    }
    for message in rows.messages.values().filter(|row| !row.expired) {
        let of_message = rows
            .deliveries
            .values()
            .filter(|row| row.message == message.seq);
        let all: Vec<&DeliveryRow> = of_message.collect();
        let arrived = all.iter().all(|row| row.state == DeliveryState::Succeeded);
        let own = message.app == dunlin_delivery::DEFAULT_APPLICATION;
        let plain = all.iter().all(|row| {
            row.trigger == Trigger::Scheduled && rows.endpoints.contains_key(&row.endpoint)
        });
        assert!(
            all.is_empty() || !(arrived && own && plain),
            "{message:?} stays"
        );
    }
}

/// Each event is there once, and whoever did not append it knows who did.
fn check_events(life: &Life) {
    let rows = &life.world.rows;
    let appended = rows.attempts.iter().filter(|one| one.event.is_some());
    let appended: BTreeSet<(Seq, Seq)> = appended.map(|one| (one.message, one.endpoint)).collect();
    for one in &rows.attempts {
        if let AttemptResult::DuplicateOf(owner) = one.result {
            assert!(appended.contains(&(one.message, owner)), "{one:?}");
        }
    }
}

/// An endpoint has an account only if something has failed since anything last arrived.
fn check_accounts(life: &Life) {
    let rows = &life.world.rows;
    for health in rows.health.values() {
        assert!(rows.endpoints.contains_key(&health.endpoint));
        let attempts = rows.attempts.iter().rev();
        let of_endpoint =
            attempts.filter(|one| one.trigger != Trigger::Test && one.endpoint == health.endpoint);
        let since = of_endpoint.take_while(|one| one.result != AttemptResult::Succeeded);
        let counts = |one: &&AttemptRow| {
            one.result == AttemptResult::Failed
                && one.status != 429
                && one.code != Some(Code::TransformThrew)
        };
        let failed = since.filter(counts).count();
        assert!(failed > 0 || life.purges, "nothing has failed: {health:?}");
    }
}
