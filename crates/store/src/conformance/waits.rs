//! Stories of what live runs wait for, and of time tables.

use dunlin_engine::step::{Source, StepKind, StepRow};
use dunlin_engine::{self as engine, CronRow};
use dunlin_types::Seq;

use super::opened::Opened;
use super::{Harness, rows};
use crate::port::Restored;

/// A result that is an event, or another run's output, is read back in full.
pub fn a_result_that_is_written_elsewhere_is_read_from_there(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let event = rows::event(1);
    let (run, child) = (Seq(2), Seq(3));
    let end = rows::run_end(0, child, child, false);
    let found = StepRow {
        payload: dunlin_types::Payload::from_json(event.json()),
        source: Some(Source::Event(event.seq)),
        ..rows::step(4, run, run)
    };
    let result = StepRow {
        payload: end.output.clone(),
        source: Some(Source::Output(child)),
        ..rows::step(5, run, Seq(4))
    };
    opened.engine(vec![
        engine::Write::Event(event),
        engine::Write::Run(rows::run(2, Seq(1))),
        engine::Write::Run(rows::run(3, Seq(1))),
        engine::Write::RunEnd(end),
        engine::Write::Step(found.clone()),
        engine::Write::Step(result.clone()),
    ]);
    let opened = opened.restart(&*harness, true);
    let rows = vec![found, result];
    assert_eq!(opened.reader().steps(run, Some(Seq(5))).unwrap(), rows);
    let ledger = opened.reader().ledger(run, Seq(5)).unwrap().unwrap();
    assert_eq!(ledger.steps, rows);
    assert_eq!(ledger.run.original, rows::run(2, Seq(1)).original);
}

/// The rows that opened waits are found by their places, in the order that is asked for.
pub fn rows_are_found_by_their_places(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let run = Seq(2);
    let waits: Vec<StepRow> = (0..4)
        .map(|n| {
            let mut row = rows::step(4 + n, run, Seq(3 + n));
            row.mark.kind = StepKind::Waited;
            row
        })
        .collect();
    opened.engine(vec![engine::Write::Run(rows::run(2, Seq(1)))]);
    opened.engine(waits.iter().cloned().map(engine::Write::Step).collect());
    let read = opened.reader().step_rows(&[Seq(6), Seq(4)]).unwrap();
    assert_eq!(read, [waits[2].clone(), waits[0].clone()]);
    assert!(opened.reader().step_rows(&[Seq(99)]).is_err());
}

/// An event is claimed until the row that says that all of it was worked off.
pub fn claims_stay_until_they_are_worked_off(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let events = [2, 6].map(rows::event);
    opened.engine(vec![
        engine::Write::Event(events[0].clone()),
        engine::Write::Claim(Seq(2)),
        engine::Write::Event(events[1].clone()),
        engine::Write::Claim(Seq(6)),
    ]);
    let mut opened = opened.restart(&*harness, false);
    assert_eq!(opened.reader().claims().unwrap(), events);
    opened.engine(vec![engine::Write::Claimed(Seq(2))]);
    assert_eq!(opened.reader().claims().unwrap(), events[1..]);
}

/// A function that is paused is read as paused, though its version stays.
pub fn a_pause_is_read_back_under_the_same_version(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let going = engine::config::FunctionRow {
        paused: None,
        ..rows::function(2, 0, 1)
    };
    let paused = engine::config::FunctionRow {
        paused: Some(rows::at(9)),
        ..going.clone()
    };
    for row in [going.clone(), paused, going] {
        opened.engine(vec![engine::Write::Function(Box::new(row.clone()))]);
        let read = opened.reader().functions_at(Seq(9)).unwrap();
        assert_eq!(read, [row]);
    }
}

/// A time table's state is the last that was written, and is gone once it was taken back.
pub fn time_tables_are_kept_by_function_and_text(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let row = |function, schedule: &str, last: Option<u64>| CronRow {
        function,
        schedule: schedule.to_owned(),
        last: last.map(rows::at),
    };
    let writes = |rows: Vec<CronRow>| rows.into_iter().map(engine::Write::Cron).collect();
    opened.engine(writes(vec![
        row(1, "* * * * *", Some(1)),
        row(1, "0 * * * *", Some(1)),
        row(2, "* * * * *", Some(1)),
    ]));
    opened.engine(writes(vec![
        row(1, "* * * * *", Some(2)),
        row(2, "* * * * *", None),
    ]));
    let opened = opened.restart(&*harness, true);
    let mut read = Vec::new();
    let mut take = |restored| {
        if let Restored::Cron(row) = restored {
            read.push(row);
        }
    };
    opened.reader().restore(&mut take).unwrap();
    read.sort_by(|a, b| a.schedule.cmp(&b.schedule));
    let kept = [row(1, "* * * * *", Some(2)), row(1, "0 * * * *", Some(1))];
    assert_eq!(read, kept);
}
