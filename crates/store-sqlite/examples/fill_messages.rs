//! Fills the data of a server that does not run with messages that were delivered long ago, as fast
//! as the store takes them, so that lists, search and purges can be tried on many.
//!
//! `cargo run --release -p dunlin-store-sqlite --example fill_messages -- DATA_DIR MESSAGES BODY_BYTES
//! DAYS`. The server has made its sources and endpoints there before. The core itself decides each
//! message and its one attempt, so the rows are those that a server would have written, spread over
//! so many days up to now. The event type is `load.<n>`, <n> counting to ten, a third has a channel.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measuring tool, not product"
)]

use std::time::{Duration, Instant, UNIX_EPOCH};

use bytes::Bytes;
use dunlin_delivery::{
    AttemptHeaders, AttemptOutcome, Attempted, Context, Control, Delivery, DeliveryOptions, Effect,
    Input, Loaded, NewMessage, Outcome, Write,
};
use dunlin_store::{Batch, CommitOutcome, Restored, Store, Writer};
use dunlin_store_sqlite::SqliteStore;
use dunlin_types::{Seq, Timestamp, Token};

/// Messages of one commit.
const BATCH: u64 = 2_000;
/// Between two lines that tell how it goes.
const PROGRESS_PERIOD: Duration = Duration::from_secs(5);
const EVENT_TYPES: u64 = 10;
const CHANNELS: u64 = 3;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

struct Filler {
    core: Delivery,
    source: Seq,
    next_seq: u64,
    body_bytes: usize,
}

impl Filler {
    fn decide(&mut self, now: Timestamp, input: Input) -> Outcome {
        let next_seq = &mut self.next_seq;
        let mut draw = || {
            *next_seq += 1;
            Seq(*next_seq - 1)
        };
        let mut cx = Context {
            now,
            seed: 1,
            next_seq: &mut draw,
        };
        self.core.handle(input, &Loaded::default(), &mut cx)
    }

    /// The rows of a message that was accepted and delivered at that time.
    fn delivered(&mut self, number: u64, at: Timestamp) -> Vec<Write> {
        let accept = Input::Accept {
            token: Token::NONE,
            source: self.source,
            message: self.message(number),
        };
        let accepted = self.decide(at, accept);
        let mut writes = accepted.writes;
        for effect in accepted.effects {
            let Effect::Attempt(attempt) = effect else {
                continue;
            };
            let attempted = Attempted {
                delivery: attempt.delivery,
                attempt_no: attempt.attempt_no,
                endpoint_version: attempt.endpoint.version,
                outcome: AttemptOutcome::Sent {
                    status: 200,
                    response: Bytes::from_static(b"{\"ok\":true}"),
                    retry_after_ms: None,
                    control: Control::None,
                },
                url: attempt.endpoint.config.url.clone(),
                started: at,
                ended: at.plus_ms(12),
                headers: AttemptHeaders {
                    sent: Vec::new(),
                    received: vec![("content-type".to_owned(), "application/json".to_owned())],
                },
                logs: Vec::new(),
                about: None,
            };
            let ended = self.decide(at.plus_ms(12), Input::Attempted(Box::new(attempted)));
            writes.extend(ended.writes);
        }
        writes
    }

    fn message(&self, number: u64) -> NewMessage {
        let event_type = format!("load.{}", number % EVENT_TYPES);
        let head = format!(
            "{{\"type\":\"{event_type}\",\"data\":{{\"payment_id\":\"pay_{number:021}\",\"note\":\""
        );
        let padding = self.body_bytes.saturating_sub(head.len() + 3);
        let body = format!("{head}{}\"}}}}", "n".repeat(padding));
        let channel = |number: u64| format!("region-{}", number % CHANNELS);
        NewMessage {
            provider_id: format!("msg_{number:023}"),
            event_type,
            body: Bytes::from(body),
            body_hash: u128::from(number).to_be_bytes(),
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            channels: (number.is_multiple_of(3))
                .then(|| channel(number / 3))
                .into_iter()
                .collect(),
            tags: (number.is_multiple_of(5))
                .then(|| format!("tag-{}", number / 5 % 100))
                .into_iter()
                .collect(),
            ..NewMessage::default()
        }
    }
}

/// The core as the server left it.
fn restored(store: &SqliteStore) -> Delivery {
    let mut core = Delivery::new(DeliveryOptions::default());
    let mut take = |row| match row {
        Restored::Application(row) => core.restore_application((*row).clone()),
        Restored::Source(row) => core.restore_source((*row).clone()),
        Restored::Endpoint(row) => core.restore_endpoint((*row).clone()),
        _ => {}
    };
    store.reader().unwrap().restore(&mut take).unwrap();
    core
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, messages, body_bytes, days] = arguments.as_slice() else {
        println!("fill_messages DATA_DIR MESSAGES BODY_BYTES DAYS");
        std::process::exit(2);
    };
    let messages: u64 = messages.parse().unwrap();
    let span_ms = days.parse::<i64>().unwrap() * DAY_MS;
    let now_ms = i64::try_from(UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    let now = Timestamp::from_ms(now_ms);
    let store = SqliteStore::sealed(dir, Vec::new()).unwrap();
    let (mut writer, start) = store.writer(now).unwrap();
    let core = restored(&store);
    let source = core.config().sources().next().unwrap().id;
    let mut filler = Filler {
        core,
        source,
        next_seq: start.next_seq.0,
        body_bytes: body_bytes.parse().unwrap(),
    };
    let (began, mut told) = (Instant::now(), Instant::now());
    let mut commit_no = start.commit_no;
    for from in (0..messages).step_by(usize::try_from(BATCH).unwrap()) {
        let mut rows = Vec::new();
        for number in from..messages.min(from + BATCH) {
            let share = i128::from(span_ms) * i128::from(number) / i128::from(messages);
            let age_ms = span_ms - i64::try_from(share).unwrap();
            rows.extend(filler.delivered(number, now.plus_ms(-age_ms)));
        }
        // What could have lapsed would be gone by now.
        rows.retain(|row| !matches!(row, Write::Dedupe(row) if row.expires < now));
        commit_no += 1;
        commit(&mut *writer, commit_no, start.epoch, rows);
        if told.elapsed() >= PROGRESS_PERIOD {
            let each_second = from as f64 / began.elapsed().as_secs_f64();
            println!("{from} of {messages}, {each_second:.0}/s");
            told = Instant::now();
        }
    }
    writer.close().unwrap();
    println!(
        "{messages} messages in {:.1} s",
        began.elapsed().as_secs_f64()
    );
}

fn commit(writer: &mut dyn Writer, commit_no: u64, epoch: u64, delivery: Vec<Write>) {
    let batch = Batch {
        commit_no,
        epoch,
        delivery,
        ..Batch::default()
    };
    let outcome = writer.commit(&batch);
    assert_eq!(outcome, CommitOutcome::Done, "the store takes the rows");
    writer.upkeep();
}
