//! What must hold of deliveries to receivers: at each crash of what was durable, and at the end of
//! the server's log beside the receivers' book.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::ledger::Ledger;
use crate::receivers::{Arrival, Arrivals, Manner, Receivers};

/// What a delivery ends as: it has arrived, or is dead.
const SUCCEEDED: u8 = 1;
const FAILED: u8 = 2;

/// A message's provider's id, and where it goes.
type Place = (String, Manner);

/// An attempt, as the log tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Logged {
    pub(crate) number: i64,
    pub(crate) status: i64,
    /// What the receiver answered: which request it was.
    pub(crate) serial: Option<u64>,
}

/// A delivery, as it is stored.
#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) message: String,
    pub(crate) manner: Manner,
    pub(crate) state: u8,
    pub(crate) tries: i64,
    pub(crate) log: Vec<Logged>,
}

/// A delivery, as a crash left it.
#[derive(Debug)]
struct Left {
    log: Vec<Logged>,
    /// How often the message had come, if that must not happen again.
    came: Option<usize>,
}

/// What is known of a case's deliveries.
#[derive(Debug, Default)]
pub(crate) struct Deliveries {
    left: BTreeMap<Place, Left>,
    told: BTreeMap<Place, Vec<Logged>>,
}

impl Deliveries {
    /// Notes what a crash left behind; tells what must not be.
    pub(crate) fn remember(
        &mut self,
        ledger: &Ledger,
        receivers: &Receivers,
        acknowledged: &[&str],
    ) -> Vec<String> {
        let mut faults = Vec::new();
        let stored = ledger.deliveries();
        check_presence(&stored, acknowledged, &mut faults);
        let mut early = receivers.places();
        for delivery in &stored {
            early.remove(&(delivery.message.clone(), delivery.manner));
        }
        faults.extend(
            early
                .iter()
                .map(|place| format!("{place:?} came and is not stored")),
        );
        for delivery in stored {
            check_log(&delivery, &mut faults);
            self.check_left(&delivery, &mut faults);
            let Stored {
                message, manner, ..
            } = delivery;
            let came = (delivery.state != 0).then(|| receivers.count(&message, manner));
            let log = delivery.log;
            let left = Left { log, came };
            self.left.insert((message, manner), left);
        }
        faults
    }

    /// Takes up what the server says of all attempts of a message.
    pub(crate) fn hear(&mut self, message: &str, attempts: &Value) -> Vec<String> {
        let mut faults = Vec::new();
        let empty = Vec::new();
        let rows = attempts["data"].as_array().unwrap_or(&empty);
        let mut events = 0;
        // The newest comes first.
        for row in rows.iter().rev() {
            let Some(manner) = Manner::of_url(row["url"].as_str().unwrap_or_default()) else {
                events += 1;
                let is_event = row["eventId"].is_string() && row["attemptNumber"] == 1;
                if !is_event || row["status"] != 0 {
                    faults.push(format!("{message} became an event by {row}"));
                }
                continue;
            };
            let number = |name: &str| row[name].as_i64().unwrap_or_default();
            let logged = Logged {
                number: number("attemptNumber"),
                status: number("responseStatusCode"),
                serial: row["response"].as_str().and_then(|text| text.parse().ok()),
            };
            if (row["status"] == 0) != (logged.status == 200) {
                faults.push(format!("the log shows {row}"));
            }
            let log = self.told.entry((message.to_owned(), manner)).or_default();
            log.push(logged);
        }
        if events != 1 {
            faults.push(format!("{message} was {events} times to become an event"));
        }
        faults
    }

    /// Checks all at the end, after so many crashes; gives how many requests were repeats.
    pub(crate) fn check(
        &self,
        ledger: &Ledger,
        messages: &[&str],
        arrivals: &Arrivals,
        kills: usize,
        faults: &mut Vec<String>,
    ) -> usize {
        let stored = ledger.deliveries();
        check_presence(&stored, messages, faults);
        let mut repeated = 0;
        for delivery in &stored {
            check_log(delivery, faults);
            check_end(delivery, faults);
            self.check_left(delivery, faults);
            let (message, manner) = (&delivery.message, delivery.manner);
            let place = (message.clone(), manner);
            if let Some(told) = self.told.get(&place)
                && *told != delivery.log
            {
                let log = &delivery.log;
                faults.push(format!("{place:?} has the log {told:?}, stored is {log:?}"));
            }
            let came = arrivals.of(message, manner);
            if let Some(before) = self.left.get(&place).and_then(|left| left.came)
                && came.len() != before
            {
                let now = came.len();
                faults.push(format!(
                    "{place:?} had ended, and came {now} times, not {before}"
                ));
            }
            repeated += check_arrivals(&delivery.log, &came, kills, faults);
        }
        check_order(&ledger.order(), arrivals, faults);
        repeated
    }

    /// What was durable stays, and nothing is added to what had ended.
    fn check_left(&self, delivery: &Stored, faults: &mut Vec<String>) {
        let Some(left) = self.left.get(&(delivery.message.clone(), delivery.manner)) else {
            return;
        };
        let stays = match left.came {
            Some(_) => delivery.state != 0 && delivery.log == left.log,
            None => delivery.log.starts_with(&left.log),
        };
        if !stays {
            faults.push(format!("{:?} was left, {delivery:?} is there", left.log));
        }
    }
}

/// Each message goes everywhere, once.
fn check_presence(stored: &[Stored], messages: &[&str], faults: &mut Vec<String>) {
    for message in messages {
        for manner in Manner::ALL {
            let ours = |one: &&Stored| one.message == *message && one.manner == manner;
            let count = stored.iter().filter(ours).count();
            if count != 1 {
                faults.push(format!("{message} has {count} deliveries for {manner:?}"));
            }
        }
    }
}

/// The attempts count from one on, as many as were decided, and the last alone may be one that
/// arrived.
fn check_log(delivery: &Stored, faults: &mut Vec<String>) {
    let log = &delivery.log;
    let counts = log.iter().map(|attempt| attempt.number);
    let are_whole = counts.eq(1..=delivery.tries);
    let arrived = log.iter().position(|attempt| attempt.status == 200);
    let at_end = log
        .len()
        .checked_sub(1)
        .filter(|_| delivery.state == SUCCEEDED);
    if !are_whole || arrived != at_end {
        faults.push(format!("the attempts do not add up: {delivery:?}"));
    }
}

/// It has ended as its receiver has it.
fn check_end(delivery: &Stored, faults: &mut Vec<String>) {
    let attempts = delivery.log.len();
    let is_right = match delivery.manner {
        Manner::Dead => delivery.state == FAILED && attempts == Manner::ATTEMPTS_OF_DEAD,
        _ => delivery.state == SUCCEEDED,
    };
    if !is_right {
        faults.push(format!("a delivery ended otherwise: {delivery:?}"));
    }
}

/// Each attempt in the log is one request, in order. A request that is not in the log was the
/// last before a crash. Gives how many there are of these.
fn check_arrivals(
    log: &[Logged],
    came: &[&Arrival],
    kills: usize,
    faults: &mut Vec<String>,
) -> usize {
    let mut attempts = log.iter().peekable();
    let mut lost = 0;
    for (at, arrival) in came.iter().enumerate() {
        let logged = |one: &&Logged| {
            one.serial == Some(arrival.serial) && one.status == i64::from(arrival.status)
        };
        if attempts.next_if(logged).is_some() {
            continue;
        }
        lost += 1;
        let is_last = came.get(at + 1).is_none_or(|next| next.life > arrival.life);
        if !is_last || arrival.life >= kills {
            faults.push(format!("not in the log: {arrival:?}"));
        }
    }
    faults.extend(attempts.map(|attempt| format!("in the log, and never came: {attempt:?}")));
    lost
}

/// Of each customer, no message comes after one that was accepted later.
fn check_order(order: &BTreeMap<String, usize>, arrivals: &Arrivals, faults: &mut Vec<String>) {
    let mut latest: BTreeMap<&str, &Arrival> = BTreeMap::new();
    for arrival in &arrivals.all {
        if arrival.manner != Manner::Ordered {
            continue;
        }
        let before = latest.insert(&arrival.customer, arrival);
        let place = |one: &Arrival| order.get(&one.message);
        if let Some(before) = before
            && place(before) > place(arrival)
        {
            faults.push(format!("{before:?} has overtaken {arrival:?}"));
        }
    }
}
