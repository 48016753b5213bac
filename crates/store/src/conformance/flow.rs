//! Stories of flow control: rates, what is gathered, what is dropped, and limits of operators.

use dunlin_engine::config::{Limit, Rule};
use dunlin_engine::{CounterRow, DroppedRow, GatherRow, Image, LifecycleRow, RunRow, Write};
use dunlin_types::{Event, Lifecycle, Seq};

use super::opened::Opened;
use super::{Harness, flow_rows, rows, show};
use crate::port::Restored;
use crate::view::{Page, event_in_full};

/// The rows that a restart finds, of those that `pick` picks.
fn restored<T>(opened: &Opened, pick: impl Fn(Restored) -> Option<T>) -> Vec<T> {
    let mut found = Vec::new();
    let mut take = |row| found.extend(pick(row));
    opened.reader().restore(&mut take).unwrap();
    found
}

fn counters(opened: &Opened) -> Vec<CounterRow> {
    restored(opened, |row| match row {
        Restored::Counter(row) => Some(row),
        _ => None,
    })
}

fn gathers(opened: &Opened) -> Vec<GatherRow> {
    restored(opened, |row| match row {
        Restored::Gather(row) => Some(row),
        _ => None,
    })
}

fn gathered(opened: &Opened) -> Vec<(u64, u64)> {
    restored(opened, |row| match row {
        Restored::Gathered { gather, event } => Some((gather.0, event.0)),
        _ => None,
    })
}

fn member(gather: u64, event: u64) -> Write {
    let (gather, event) = (Seq(gather), Seq(event));
    Write::Gathered { gather, event }
}

/// A counter is its last state, told apart by function, rule and key, and goes when it says so.
pub fn counters_are_kept_until_they_no_longer_matter(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let row = |function, rule, key, tat_ns, last| CounterRow {
        function,
        rule,
        key: rows::key(key),
        tat_ns,
        last: Seq(last),
    };
    let first = [
        row(0, Rule::HostLimit, 1, Some(i64::MAX), 1),
        row(1, Rule::Throttle, 1, Some(10), 1),
        row(1, Rule::RateLimit, 1, Some(20), 2),
        row(2, Rule::Throttle, 1, Some(30), 3),
    ];
    opened.engine(first.map(Write::Counter).to_vec());
    let mut opened = opened.restart(&*harness, false);
    assert_eq!(counters(&opened), first);
    let other_key = row(3, Rule::Throttle, 2, Some(5), 9);
    opened.engine(vec![
        Write::Counter(row(1, Rule::RateLimit, 1, None, 2)),
        Write::Counter(row(1, Rule::Throttle, 1, Some(40), 7)),
        Write::Counter(row(2, Rule::Throttle, 2, None, 0)),
        Write::Counter(other_key),
    ]);
    let opened = opened.restart(&*harness, true);
    let later = row(1, Rule::Throttle, 1, Some(40), 7);
    assert_eq!(counters(&opened), [first[0], later, first[3], other_key]);
}

/// A debounce is the last that was put, a batch has its events in the order in which they came, and
/// both are gone with their end.
pub fn what_is_being_gathered_comes_back_until_it_is_a_run(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let (debounce, batch) = (Seq(2), Seq(4));
    opened.engine(vec![
        Write::Gather(flow_rows::gather(2, debounce)),
        Write::Gather(flow_rows::gather(5, batch)),
        member(4, 6),
    ]);
    let anew = flow_rows::gather(8, debounce);
    let fuller = flow_rows::gather(9, batch);
    opened.engine(vec![
        member(4, 9),
        Write::Gather(fuller.clone()),
        Write::Gather(anew.clone()),
        Write::Gather(flow_rows::gather(11, Seq(10))),
        member(10, 12),
        member(4, 13),
    ]);
    let mut opened = opened.restart(&*harness, false);
    let third = flow_rows::gather(11, Seq(10));
    assert_eq!(gathers(&opened), [anew.clone(), fuller, third.clone()]);
    assert_eq!(gathered(&opened), [(4, 6), (4, 9), (4, 13), (10, 12)]);
    opened.engine(vec![Write::GatherEnd(batch)]);
    let mut opened = opened.restart(&*harness, true);
    assert_eq!(gathers(&opened), [anew, third]);
    assert_eq!(gathered(&opened), [(10, 12)]);
    assert!(opened.start.next_seq > Seq(10));
    opened.engine(vec![Write::GatherEnd(debounce), Write::GatherEnd(Seq(10))]);
    assert_eq!(gathers(&opened), []);
    assert_eq!(gathered(&opened), []);
}

/// The run of a batch has all its events, in order, is found from each, and tells all when it ends.
pub fn a_batch_is_one_run_of_all_its_events(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let events = [1, 2, 3, 5, 6].map(rows::event);
    let run = RunRow {
        more: vec![Seq(3), Seq(6)],
        ..rows::run(10, Seq(1))
    };
    let other = rows::run(11, Seq(3));
    let told = LifecycleRow {
        seq: Seq(12),
        at: rows::at(12),
        kind: Lifecycle::Finished,
        run: run.seq,
    };
    let mut writes: Vec<Write> = events.iter().cloned().map(Write::Event).collect();
    writes.extend([run.clone(), other.clone()].map(Write::Run));
    writes.push(Write::RunEnd(rows::run_end(12, run.seq, run.seq, false)));
    writes.push(Write::Lifecycle(told));
    opened.engine(writes);
    let opened = opened.restart(&*harness, true);
    let mut reader = opened.reader();
    let text = |events: &[std::sync::Arc<Event>]| -> Vec<String> {
        events.iter().map(|event| show::event(event)).collect()
    };
    let mine = [events[0].clone(), events[2].clone(), events[4].clone()];
    let ledger = reader.ledger(run.seq, run.seq).unwrap().unwrap();
    assert_eq!(ledger.run, run);
    assert_eq!(text(&ledger.events), text(&mine));
    assert_eq!(reader.run(run.seq).unwrap().unwrap().row, run);
    let listed = reader.runs(Page::newest(2)).unwrap();
    assert_eq!([&listed[0].row, &listed[1].row], [&other, &run]);
    let expected: [(u64, &[u64]); 4] = [(1, &[10]), (3, &[10, 11]), (6, &[10]), (2, &[])];
    for (event, runs) in expected {
        let found = reader.runs_of_event(Seq(event), Page::oldest(9)).unwrap();
        let found: Vec<u64> = found.iter().map(|run| run.row.seq.0).collect();
        assert_eq!(found, runs, "of event {event}");
    }
    let end = reader.event(Seq(12)).unwrap().unwrap();
    let end = event_in_full(&mut *reader, end).unwrap().unwrap();
    let end = String::from_utf8(end.json().to_vec()).unwrap();
    assert!(mine.iter().all(|event| end.contains(&event.id)), "{end}");

    let asked = reader.events_at(&[Seq(6), Seq(1), Seq(6)]).unwrap();
    let [a, _, c] = mine;
    assert_eq!(text(&asked), text(&[c.clone(), a, c]));
    assert!(reader.events_at(&[Seq(1), Seq(4)]).is_err());
    assert_eq!(reader.events_at(&[]).unwrap().len(), 0);
}

/// What rules dropped is found from the event, and listed for a function or for all of them.
pub fn dropped_events_are_told_by_event_and_by_function(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    // Functions 1 to 3 drop event 5, function 1 every other, 7 comes before 6 (a debounce ended).
    let row = |event, function| flow_rows::dropped(event * 3 + 1, Seq(event), function);
    let all = [(4, 1), (5, 2), (5, 1), (5, 3), (7, 1), (6, 1)].map(|(e, f)| row(e, f));
    opened.engine(all.map(Write::Dropped).to_vec());
    let opened = opened.restart(&*harness, true);
    let mut reader = opened.reader();
    let of_five = [row(5, 1), row(5, 2), row(5, 3)];
    assert_eq!(reader.dropped_of(Seq(5)).unwrap(), of_five);
    assert_eq!(reader.dropped_of(Seq(9)).unwrap(), []);
    let mut list = |function, page| -> Vec<(u64, u32)> {
        let rows: Vec<DroppedRow> = reader.dropped(function, page).unwrap();
        rows.iter().map(|row| (row.event.0, row.function)).collect()
    };
    assert_eq!(list(Some(1), Page::newest(2)), [(7, 1), (6, 1)]);
    let after = |seq, page| Page {
        after: Some(Seq(seq)),
        ..page
    };
    assert_eq!(list(Some(1), after(6, Page::newest(9))), [(5, 1), (4, 1)]);
    assert_eq!(list(Some(1), after(5, Page::oldest(1))), [(6, 1)]);
    assert_eq!(list(Some(3), Page::newest(9)), [(5, 3)]);
    assert_eq!(list(Some(4), Page::newest(9)), []);
    assert_eq!(list(None, Page::newest(2)), [(7, 1), (6, 1)]);
    // No page ends within an event: what follows goes on behind it.
    assert_eq!(
        list(None, after(6, Page::newest(1))),
        [(5, 1), (5, 2), (5, 3)]
    );
    assert_eq!(list(None, after(5, Page::newest(1))), [(4, 1)]);
    assert_eq!(list(None, Page::newest(0)), []);
}

/// A limit is the last that was put under its name.
pub fn limits_are_kept_by_their_name(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let limit = flow_rows::limit;
    let [b, c, a] = [(1, 2), (2, 3), (3, 1)].map(|(n, of)| limit(n, of));
    opened.engine([b.clone(), c.clone(), a.clone()].map(Write::Limit).to_vec());
    let found = |opened: &Opened| -> Vec<Limit> {
        let of_start = restored(opened, |row| match row {
            Restored::Limit(limit) => Some(limit),
            _ => None,
        });
        assert_eq!(opened.reader().limits().unwrap(), of_start);
        of_start
    };
    let mut opened = opened.restart(&*harness, false);
    assert_eq!(found(&opened), [a, b, c.clone()]);
    let anew = limit(8, 1);
    opened.engine(vec![
        Write::Limit(anew.clone()),
        Write::LimitGone(limit(1, 2).name),
        Write::LimitGone("never was".to_owned()),
    ]);
    let opened = opened.restart(&*harness, true);
    assert_eq!(found(&opened), [anew, c]);
}

/// Bytes of flow control are part of a live run, whether a restart finds its row or its image.
pub fn what_rules_made_of_a_run_comes_back_with_it(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let run = |n, flow: &[u8], more: &[u64]| RunRow {
        flow: flow.to_vec(),
        more: more.iter().copied().map(Seq).collect(),
        ..rows::run(n, Seq(1))
    };
    let image = |n, flow: &[u8]| Image {
        flow: flow.to_vec(),
        ..rows::image(n, Seq(n), Seq(n))
    };
    let images = [image(3, &[0, 255]), image(4, &[])];
    opened.engine(images.clone().map(Write::Image).to_vec());
    opened.engine(vec![Write::FoldFrom(Seq(5))]);
    let runs = [run(5, &[9, 0], &[2, 3]), run(6, &[], &[])];
    opened.engine(runs.clone().map(Write::Run).to_vec());
    let mut opened = opened.restart(&*harness, true);
    let live = |opened: &Opened| {
        let images = restored(opened, |row| match row {
            Restored::Image(row) => Some(row),
            _ => None,
        });
        let runs = restored(opened, |row| match row {
            Restored::Run(row) => Some(row),
            _ => None,
        });
        (images, runs)
    };
    assert_eq!(live(&opened), (images.to_vec(), runs.to_vec()));
    // An image that is drawn anew without flow control forgets what the one before had.
    let anew = image(3, &[]);
    opened.engine(vec![Write::Image(anew.clone())]);
    assert_eq!(live(&opened).0, [anew, images[1].clone()]);
}
