//! Stories of what is written and read.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_delivery as delivery;
use dunlin_engine as engine;
use dunlin_types::{
    DedupeKey, Event, EventOrigin, EventParts, Payload, Seq, Timestamp, Ulid, limits,
};

use super::event_types::event_type;
use super::opened::Opened;
use super::{Harness, flow_rows, rows, show};
use crate::port::{Known, Reader, Restored};
use crate::view::{EventFilter, LoggedEvent, MessageFilter, Page, RunView, seeded_key, started_by};

/// Every kind of row comes back with every field, at once and after a restart.
pub fn every_row_is_read_back_as_it_was_written(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let batch = opened.world.everything();
    opened.commit(&batch);
    let opened = opened.restart(&*harness, true);
    let mut reader = opened.reader();
    let forgotten = |write: &delivery::Write| match write {
        delivery::Write::DedupeGone(key, _) => Some(*key),
        _ => None,
    };
    let forgotten: BTreeSet<_> = batch.delivery.iter().filter_map(forgotten).collect();
    let is_forgotten = |write: &&engine::Write| match write {
        engine::Write::Dedupe { key, .. } => forgotten.contains(key),
        _ => false,
    };
    for write in batch.engine.iter().filter(|write| !is_forgotten(write)) {
        check_engine(&mut *reader, write);
    }
    let mut deliveries = std::collections::BTreeMap::new();
    // What was taken away again is another story.
    let taken = |write: &delivery::Write| match write {
        delivery::Write::ContentGone(of) | delivery::Write::MessageGone(of) => Some(*of),
        _ => None,
    };
    let gone: BTreeSet<Seq> = batch.delivery.iter().filter_map(taken).collect();
    for write in &batch.delivery {
        let of_gone = message_of(write).is_some_and(|of| gone.contains(&of));
        if of_gone || is_emptied(write, &batch.delivery) {
            continue;
        }
        if let delivery::Write::Delivery(row) = write {
            deliveries.insert(row.seq, row.clone());
        }
        check_delivery(&mut *reader, write);
    }
    for (seq, row) in deliveries {
        assert_eq!(reader.delivery(seq).unwrap(), Some(row.clone()));
        assert!(reader.deliveries_of(row.message).unwrap().contains(&row));
    }
}

fn message_of(write: &delivery::Write) -> Option<Seq> {
    match write {
        delivery::Write::Message(row) => Some(row.seq),
        delivery::Write::Repeat(row) => Some(row.message),
        delivery::Write::Delivery(row) => Some(row.message),
        delivery::Write::Attempt(row) => Some(row.message),
        _ => None,
    }
}

fn check_engine(reader: &mut dyn Reader, write: &engine::Write) {
    match write {
        engine::Write::Event(event) => {
            let read = reader.event(event.seq).unwrap().unwrap();
            assert_eq!(show::logged(&read), show::event(event));
        }
        engine::Write::Lifecycle(row) => match reader.event(row.seq).unwrap() {
            Some(LoggedEvent::Lifecycle(read)) => assert_eq!(read, *row),
            other => panic!("{other:?}"),
        },
        engine::Write::Run(row) => {
            assert_eq!(reader.run(row.seq).unwrap().unwrap().row, *row);
            for event in started_by(row) {
                let of_event = reader.runs_of_event(event, Page::oldest(250)).unwrap();
                assert!(of_event.iter().any(|run| run.row == *row));
            }
        }
        engine::Write::Step(row) => {
            let steps = reader.steps(row.mark.run, Some(row.mark.seq)).unwrap();
            assert_eq!(steps.last(), Some(row));
            let ledger = reader.ledger(row.mark.run, row.mark.seq).unwrap().unwrap();
            assert_eq!((ledger.run.seq, ledger.steps), (row.mark.run, steps));
        }
        engine::Write::RunEnd(end) => {
            let read = reader.run(end.run).unwrap().unwrap().end;
            assert_eq!(
                read,
                Some(engine::RunEnd {
                    imaged: false,
                    ..end.clone()
                })
            );
        }
        engine::Write::Function(row) => {
            assert!(reader.functions_at(row.from).unwrap().contains(&**row));
        }
        _ => {}
    }
}

/// Whether an attempt's response was taken away again.
fn is_emptied(write: &delivery::Write, all: &[delivery::Write]) -> bool {
    let delivery::Write::Attempt(row) = write else {
        return false;
    };
    let takes = |other: &delivery::Write| matches!(other, delivery::Write::ResponseGone(seq) if *seq == row.seq);
    all.iter().any(takes)
}

fn check_delivery(reader: &mut dyn Reader, write: &delivery::Write) {
    match write {
        delivery::Write::Message(row) => {
            assert_eq!(reader.message(row.seq).unwrap().as_ref(), Some(row));
        }
        delivery::Write::Repeat(row) => {
            assert!(
                reader
                    .repeats(row.message, Page::oldest(250))
                    .unwrap()
                    .contains(row)
            );
        }
        delivery::Write::Attempt(row) => {
            assert_eq!(reader.attempt(row.seq).unwrap().as_ref(), Some(&**row));
        }
        delivery::Write::EndpointVersion(row) => {
            let then = reader.endpoints_at(row.from_seq).unwrap();
            let read = then
                .iter()
                .find(|one| one.endpoint == row.endpoint)
                .unwrap();
            assert_eq!(
                (read.version, read.from_seq, read.at),
                (row.version, row.from_seq, row.at)
            );
            assert_eq!(read.config, row.config);
        }
        _ => {}
    }
}

fn rank(row: &Restored) -> usize {
    match row {
        Restored::App(_) => 0,
        Restored::Function(_) => 1,
        Restored::Cron(_) => 2,
        Restored::Limit(_) => 3,
        Restored::Image(_) => 4,
        Restored::Run(_) => 5,
        Restored::Step(_) => 6,
        Restored::Counter(_) => 7,
        Restored::Gather(_) => 8,
        Restored::Gathered { .. } => 9,
        Restored::Application(_) => 10,
        Restored::PortalToken(_) => 11,
        Restored::Integration(_) => 12,
        Restored::Source(_) => 13,
        Restored::Endpoint(_) => 14,
        Restored::EventType(_) => 15,
        Restored::Delivery(_) => 16,
        Restored::Health(_) => 17,
        Restored::Rest(_) => 18,
        Restored::Tally(_) => 19,
        Restored::Task(_) => 20,
    }
}

/// Rows of the delivery core from place 12 to 16; what is returned waits, another is done.
fn set_up_with_a_delivery_pending(opened: &mut Opened) -> delivery::DeliveryRow {
    let mut waiting = rows::delivery(0, Seq(12), Seq(11));
    let mut done = rows::delivery(0, Seq(13), Seq(11));
    opened.delivery(vec![
        delivery::Write::Delivery(waiting.clone()),
        delivery::Write::Delivery(done.clone()),
        delivery::Write::Source(rows::source(14, Seq(14))),
        delivery::Write::Endpoint(rows::endpoint(15, Seq(15), 1)),
        delivery::Write::Application(rows::application(16, Seq(16))),
        delivery::Write::EventType(event_type(17, 17)),
        delivery::Write::Task(rows::task(18, Seq(18), delivery::TaskStatus::Running)),
    ]);
    waiting.tries += 1;
    done.state = delivery::DeliveryState::Succeeded;
    let changed = [waiting.clone(), done].map(delivery::Write::Delivery);
    opened.delivery(changed.to_vec());
    waiting
}

/// A restart reads images and the tail: kinds in the port's order, places ascending.
pub fn a_restart_gives_every_row_that_memory_needs_in_order(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let (old, ended, new) = (Seq(2), Seq(3), Seq(8));
    let image = rows::image(4, old, Seq(5));
    opened.engine(vec![
        engine::Write::Run(rows::run(2, Seq(1))),
        engine::Write::Run(rows::run(3, Seq(1))),
        engine::Write::Step(rows::step(5, old, old)),
        engine::Write::Image(image.clone()),
        engine::Write::Image(engine::Image {
            run: ended,
            ..image.clone()
        }),
        engine::Write::FoldFrom(Seq(7)),
    ]);
    let later = [rows::step(7, old, Seq(5)), rows::step(9, new, new)];
    opened.engine(vec![
        engine::Write::Run(rows::run(8, Seq(1))),
        engine::Write::RunEnd(rows::run_end(10, ended, ended, true)),
        engine::Write::Step(later[0].clone()),
        engine::Write::Step(later[1].clone()),
    ]);
    let waiting = set_up_with_a_delivery_pending(&mut opened);
    opened.engine(vec![
        engine::Write::App(rows::app(17, 0)),
        engine::Write::Function(Box::new(rows::function(18, 0, 1))),
        engine::Write::Function(Box::new(rows::function(19, 0, 2))),
        engine::Write::Gathered {
            gather: Seq(20),
            event: Seq(1),
        },
        engine::Write::Gather(flow_rows::gather(20, Seq(20))),
        engine::Write::Counter(flow_rows::counter(21, 0)),
        engine::Write::Limit(flow_rows::limit(22, 0)),
    ]);
    let opened = opened.restart(&*harness, false);
    let mut read = Vec::new();
    opened.reader().restore(&mut |row| read.push(row)).unwrap();
    assert!(read.is_sorted_by_key(rank), "{read:?}");
    let expected = [
        Restored::App(rows::app(17, 0)),
        Restored::Function(Box::new(rows::function(19, 0, 2))),
        Restored::Limit(flow_rows::limit(22, 0)),
        Restored::Image(image),
        Restored::Run(rows::run(8, Seq(1))),
        Restored::Step(later[0].mark),
        Restored::Step(later[1].mark),
        Restored::Counter(flow_rows::counter(21, 0)),
        Restored::Gather(flow_rows::gather(20, Seq(20))),
        Restored::Gathered {
            gather: Seq(20),
            event: Seq(1),
        },
        Restored::Application(rows::application(16, Seq(16))),
        Restored::Source(rows::source(14, Seq(14))),
        Restored::Endpoint(rows::endpoint(15, Seq(15), 1)),
        Restored::EventType(event_type(17, 17)),
        Restored::Delivery(waiting),
        Restored::Task(rows::task(18, Seq(18), delivery::TaskStatus::Running)),
    ];
    let text = |rows: &[Restored]| rows.iter().map(show::restored).collect::<Vec<_>>();
    assert_eq!(text(&read), text(&expected));
}

/// Lists come newest or oldest first, go on after a place, and hold to their filters.
pub fn pages_go_both_ways_and_filters_hold(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    opened.engine(
        (1..=40)
            .map(|n| engine::Write::Event(rows::event(n)))
            .collect(),
    );
    opened.delivery(
        (41..=80)
            .map(|n| delivery::Write::Message(rows::message(n)))
            .collect(),
    );
    let mut reader = opened.reader();
    let mut seqs = |filter: &EventFilter, page| -> Vec<u64> {
        reader
            .events(filter, page)
            .unwrap()
            .iter()
            .map(|event| event.seq().0)
            .collect()
    };
    let any = EventFilter::default();
    // Each fourth event is internal, and is listed only under its name.
    assert_eq!(seqs(&any, Page::newest(4)), [40, 39, 38, 36]);
    let after = Page {
        after: Some(Seq(36)),
        ..Page::newest(2)
    };
    assert_eq!(seqs(&any, after), [35, 34]);
    let after = Page {
        after: Some(Seq(36)),
        ..Page::oldest(9)
    };
    assert_eq!(seqs(&any, after), [38, 39, 40]);
    let named = EventFilter {
        name: Some(rows::NAMES[1].to_owned()),
        ..EventFilter::default()
    };
    assert_eq!(seqs(&named, Page::oldest(2)), [1, 5]);
    let (from, until) = (Some(rows::at(10)), Some(rows::at(13)));
    let timed = EventFilter {
        received_from: from,
        received_until: until,
        ..any
    };
    assert_eq!(seqs(&timed, Page::oldest(9)), [10, 11, 12]);
    assert_eq!(seqs(&EventFilter::default(), Page::oldest(0)).len(), 0);

    let event_types = vec![rows::NAMES[1].to_owned(), rows::NAMES[2].to_owned()];
    let mut filter = MessageFilter {
        app: Seq(1),
        event_types,
        ..MessageFilter::default()
    };
    let mut seqs = |filter: &MessageFilter, page| -> Vec<u64> {
        reader
            .messages(filter, page)
            .unwrap()
            .iter()
            .map(|message| message.seq.0)
            .collect()
    };
    assert_eq!(seqs(&filter, Page::newest(2)), [77, 73]);
    (filter.from, filter.until) = (Some(rows::at(50)), Some(rows::at(57)));
    assert_eq!(seqs(&filter, Page::oldest(9)), [53]);
    filter.event_types.clear();
    assert_eq!(seqs(&filter, Page::oldest(9)), [51, 53, 55]);
}

/// Functions and endpoints are told as they were at any place.
pub fn the_past_is_read_as_it_was(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    opened.engine(vec![
        engine::Write::Function(Box::new(rows::function(10, 0, 1))),
        engine::Write::Function(Box::new(rows::function(20, 1, 1))),
        engine::Write::Function(Box::new(rows::function(30, 0, 2))),
    ]);
    let mut reader = opened.reader();
    let mut at = |seq| -> Vec<(u32, u32)> {
        let functions = reader.functions_at(Seq(seq)).unwrap();
        functions
            .iter()
            .map(|function| (function.number, function.version))
            .collect()
    };
    assert_eq!(at(9), []);
    assert_eq!(at(10), [(0, 1)]);
    assert_eq!(at(29), [(0, 1), (1, 1)]);
    assert_eq!(at(30), [(0, 2), (1, 1)]);
    let version = |version, from: u64, config| {
        let (endpoint, from_seq, at) = (Seq(40), Seq(from), rows::at(from));
        let row = delivery::EndpointVersionRow {
            endpoint,
            version,
            from_seq,
            at,
            config,
        };
        delivery::Write::EndpointVersion(row)
    };
    let endpoint = rows::endpoint(40, Seq(40), 1);
    opened.delivery(vec![
        delivery::Write::Endpoint(Arc::clone(&endpoint)),
        version(1, 40, Some(Arc::clone(&endpoint.config))),
    ]);
    opened.delivery(vec![
        delivery::Write::EndpointDeleted(Seq(40)),
        version(2, 50, None),
    ]);
    let mut reader = opened.reader();
    assert_eq!(reader.endpoints_at(Seq(39)).unwrap().len(), 0);
    assert_eq!(
        reader.endpoints_at(Seq(49)).unwrap()[0].config,
        Some(endpoint.config.clone())
    );
    assert_eq!(reader.endpoints_at(Seq(50)).unwrap()[0].config, None);
    let made = reader.endpoints_at(Seq(40)).unwrap()[0].at;
    assert_eq!(reader.endpoint_made(Seq(40)).unwrap(), Some(made));
    assert_eq!(reader.endpoint_made(Seq(41)).unwrap(), None);
}

/// What took a key last is what it leads to.
pub fn keys_are_known_until_they_are_taken_again(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let [one, two, none] = [1, 2, 3].map(rows::key);
    let (expires, at, hash) = (rows::at(9), rows::at(5), [7; 16]);
    opened.engine(vec![engine::Write::Dedupe {
        key: one,
        seq: Seq(4),
        expires,
    }]);
    let row = delivery::DedupeRow {
        key: two,
        seq: Seq(5),
        at,
        hash,
        expires,
    };
    opened.delivery(vec![delivery::Write::Dedupe(row)]);
    let known = opened.reader().known(&[one, two, none]).unwrap();
    let of_engine = Known {
        seq: Seq(4),
        at: Timestamp::ZERO,
        hash: [0; 16],
        expires,
    };
    assert_eq!(known.get(&one), Some(&of_engine));
    assert_eq!(
        known.get(&two),
        Some(&Known {
            seq: Seq(5),
            at,
            hash,
            expires
        })
    );
    assert_eq!(known.len(), 2);
    opened.engine(vec![engine::Write::Dedupe {
        key: one,
        seq: Seq(6),
        expires: rows::at(20),
    }]);
    let known = opened.reader().known(&[one]).unwrap();
    assert_eq!(
        (known[&one].seq, known[&one].expires),
        (Seq(6), rows::at(20))
    );
}

/// Keys whose windows have ended are listed and can be forgotten, and no others.
pub fn keys_are_forgotten_when_their_windows_have_ended(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let mut keys: Vec<_> = (1..=6).map(rows::key).collect();
    keys.sort_unstable();
    let taken = |key: &DedupeKey, expires: u64| engine::Write::Dedupe {
        key: *key,
        seq: Seq(4),
        expires: rows::at(expires),
    };
    // The last one's window ends later.
    let ends = [9, 9, 9, 9, 9, 20];
    opened.engine(
        keys.iter()
            .zip(ends)
            .map(|(key, at)| taken(key, at))
            .collect(),
    );
    let overdue = |keys: RangeInclusive<DedupeKey>, now: u64, items: usize| {
        let mut reader = opened.reader();
        reader.overdue_keys(keys, rows::at(now), items).unwrap()
    };
    let all = DedupeKey([0; 16])..=DedupeKey([0xff; 16]);
    assert_eq!(overdue(all.clone(), 8, 9), []);
    assert_eq!(overdue(all.clone(), 9, 9), keys[..5]);
    assert_eq!(
        overdue(all.clone(), 9, 2),
        keys[..2],
        "no more than asked for"
    );
    assert_eq!(overdue(keys[1]..=keys[3], 9, 9), keys[1..4]);
    assert_eq!(overdue(all.clone(), 20, 9), keys);

    // One was taken again between the look and the write.
    opened.engine(vec![taken(&keys[0], 30)]);
    let gone = |key: &DedupeKey| delivery::Write::DedupeGone(*key, rows::at(9));
    opened.delivery(keys.iter().map(gone).collect());
    let known = opened.reader().known(&keys).unwrap();
    let left: Vec<_> = known.into_keys().collect();
    assert_eq!(left, [keys[0], keys[5]]);
}

/// Bodies beyond what lies in a row come back byte for byte.
pub fn large_bodies_survive(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let size = limits::STORE_INLINE_BYTES_MAX + 1;
    let large = |c: &str| Payload::from_json(format!("\"{}\"", c.repeat(size)));
    let event = Event::new(EventParts {
        seq: Seq(1),
        internal_id: Ulid(5),
        id: "large".to_owned(),
        name: "large".to_owned(),
        received: rows::at(1),
        ts: rows::at(1),
        data: large("d"),
        user: Some(large("u")),
        v: None,
        origin: EventOrigin::Api,
    });
    let step = engine::step::StepRow {
        payload: large("s"),
        ..rows::step(3, Seq(2), Seq(2))
    };
    let end = engine::RunEnd {
        output: large("o"),
        ..rows::run_end(4, Seq(2), Seq(3), false)
    };
    opened.engine(vec![
        engine::Write::Event(Arc::clone(&event)),
        engine::Write::Run(rows::run(2, Seq(1))),
        engine::Write::Step(step.clone()),
        engine::Write::RunEnd(end.clone()),
    ]);
    let bytes = Bytes::from(vec![0xFF; size]);
    let message = delivery::Message {
        body: bytes,
        ..(*rows::message(5)).clone()
    };
    opened.delivery(vec![delivery::Write::Message(Arc::new(message.clone()))]);
    let mut reader = opened.reader();
    assert_eq!(
        show::logged(&reader.event(Seq(1)).unwrap().unwrap()),
        show::event(&event)
    );
    assert_eq!(reader.steps(Seq(2), None).unwrap(), [step]);
    let run = RunView {
        row: rows::run(2, Seq(1)),
        end: Some(end),
    };
    assert_eq!(reader.run(Seq(2)).unwrap(), Some(run));
    assert_eq!(reader.message(Seq(5)).unwrap().as_deref(), Some(&message));
}

/// As many rows as a commit may hold go in at once.
pub fn a_large_batch_is_one_commit(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let last = limits::COMMIT_ROWS_MAX as u64;
    let mut writes = vec![engine::Write::Run(rows::run(1, Seq(0)))];
    let steps = (2..=last).map(|n| rows::step(n, Seq(1), Seq(n - 1)));
    writes.extend(steps.map(engine::Write::Step));
    opened.engine(writes);
    let mut read = 0;
    opened.reader().restore(&mut |_| read += 1).unwrap();
    assert_eq!(read, last);
}

/// A reader in the middle of a read neither stops a commit nor sees it.
pub fn reads_go_on_while_rows_are_written(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    opened.engine(vec![engine::Write::Run(rows::run(1, Seq(0)))]);
    let store = Arc::clone(&opened.store);
    let done = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let ended = Arc::clone(&done);
    let reading = std::thread::spawn(move || {
        let mut reader = store.reader().unwrap();
        let mut most = 0;
        while !ended.load(std::sync::atomic::Ordering::Acquire) {
            let steps = reader.steps(Seq(1), None).unwrap();
            // Two rows are one commit: nobody sees one of them.
            assert!(steps.len().is_multiple_of(2) && steps.len() >= most);
            most = steps.len();
        }
        reader.steps(Seq(1), None).unwrap().len()
    });
    for n in 1..=100 {
        let steps = [2 * n, 2 * n + 1].map(|n| rows::step(n, Seq(1), Seq(n - 1)));
        opened.engine(steps.map(engine::Write::Step).to_vec());
    }
    done.store(true, std::sync::atomic::Ordering::Release);
    assert_eq!(reading.join().unwrap(), 200);
}

/// The chain of a run that has not ended is found from its image or from the log's tail.
pub fn a_live_runs_steps_are_found_without_its_end(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    opened.engine(vec![
        engine::Write::Run(rows::run(1, Seq(0))),
        engine::Write::Run(rows::run(2, Seq(0))),
    ]);
    assert_eq!(opened.reader().steps(Seq(1), None).unwrap(), []);
    let [a, b, c] = [(3, 1), (4, 3), (6, 4)].map(|(n, prev)| rows::step(n, Seq(1), Seq(prev)));
    opened.engine(vec![
        engine::Write::Step(a.clone()),
        engine::Write::Step(b.clone()),
        engine::Write::Step(rows::step(5, Seq(2), Seq(2))),
    ]);
    assert_eq!(
        opened.reader().steps(Seq(1), None).unwrap(),
        [a.clone(), b.clone()]
    );
    let image = rows::image(0, Seq(1), Seq(4));
    opened.engine(vec![
        engine::Write::Image(image),
        engine::Write::FoldFrom(Seq(6)),
    ]);
    assert_eq!(
        opened.reader().steps(Seq(1), None).unwrap(),
        [a.clone(), b.clone()]
    );
    opened.engine(vec![engine::Write::Step(c.clone())]);
    assert_eq!(
        opened.reader().steps(Seq(1), None).unwrap(),
        [a.clone(), b, c]
    );
    assert_eq!(opened.reader().steps(Seq(1), Some(Seq(3))).unwrap(), [a]);
    assert_eq!(opened.reader().steps(Seq(77), None).unwrap(), []);
}

/// Ids of our own name their place; seeded ones are found by the key the engine wrote.
pub fn events_are_found_by_their_internal_id(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let (own, seeded) = (rows::event(1), rows::event(3));
    let key = seeded_key(seeded.internal_id);
    opened.engine(vec![
        engine::Write::Event(Arc::clone(&own)),
        engine::Write::Event(Arc::clone(&seeded)),
        engine::Write::Dedupe {
            key,
            seq: Seq(3),
            expires: Timestamp::MAX,
        },
    ]);
    let mut reader = opened.reader();
    assert_eq!(reader.event_of(own.internal_id).unwrap(), Some(Seq(1)));
    assert_eq!(reader.event_of(seeded.internal_id).unwrap(), Some(Seq(3)));
    let made_up = dunlin_types::ulid_for(rows::at(2), Seq(1));
    assert_eq!(reader.event_of(made_up).unwrap(), None);
    assert_eq!(reader.event_of(Ulid(12)).unwrap(), None);
}
