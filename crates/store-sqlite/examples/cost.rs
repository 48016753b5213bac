//! Measures what a step row costs: commits a second, CPU and log bytes for each row. Print only.
//!
//! `cargo run --release -p dunlin-store-sqlite --example cost [directory]`; in `/dev/shm` the CPU
//! is without that of the disk's syncs.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measuring tool, not product"
)]

use std::path::Path;
use std::time::Instant;

use dunlin_engine::step::{StepFlags, StepKind, StepMark, StepRow};
use dunlin_engine::{Image, LifecycleRow, RunEnd, RunRow, RunStatus, Write};
use dunlin_store::{Batch, CommitOutcome, Store, Writer};
use dunlin_store_sqlite::SqliteStore;
use dunlin_types::{
    Event, EventOrigin, EventParts, Lifecycle, Payload, Seq, StepId, Timestamp, ulid_for,
};

const NOW: Timestamp = Timestamp::from_ms(1_795_000_000_000);

fn step(seq: u64) -> Write {
    let id = StepId::new("0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33");
    Write::Step(StepRow {
        mark: StepMark {
            seq: Seq(seq),
            run: Seq(seq.saturating_sub(2_000).max(1)),
            kind: StepKind::Ran,
            flags: StepFlags(StepFlags::CLOSES | StepFlags::DISCOVERS),
            item: Seq(seq - 1),
            attempt: 0,
            due: NOW,
        },
        prev: Seq(seq - 1),
        id: Some(id),
        name: "charge-card".to_owned(),
        queued: NOW,
        started: NOW.plus_ms(1),
        ended: NOW.plus_ms(3),
        payload: Payload::from_json(&b"{\"id\":\"pay_2f61\",\"amount\":1999,\"ok\":true}"[..]),
        source: None,
    })
}

fn event(seq: u64) -> Write {
    let data = format!("{{\"n\":{seq},\"text\":\"{}\"}}", "x".repeat(200));
    Write::Event(Event::new(EventParts {
        seq: Seq(seq),
        internal_id: ulid_for(NOW, Seq(seq)),
        id: ulid_for(NOW, Seq(seq)).to_string(),
        name: "payment.succeeded".to_owned(),
        received: NOW,
        ts: NOW,
        data: Payload::from_json(data),
        user: None,
        v: None,
        origin: EventOrigin::Api,
    }))
}

/// One run of three steps from its event to its end: eight rows.
fn whole_run(first: u64) -> Vec<Write> {
    let (run, due) = (Seq(first + 1), NOW);
    let mut rows = vec![event(first)];
    rows.push(Write::Run(RunRow {
        seq: run,
        function: 1,
        version: 1,
        event: Seq(first),
        created: NOW,
        due,
        original: None,
        more: Vec::new(),
        flow: Vec::new(),
    }));
    rows.extend((2..5).map(|n| step(first + n)));
    rows.push(Write::RunEnd(RunEnd {
        run,
        status: RunStatus::Completed,
        started: NOW,
        ended: NOW.plus_ms(9),
        output: Payload::from_json(&b"{\"ok\":true}"[..]),
        last: Seq(first + 4),
        imaged: false,
    }));
    let kind = Lifecycle::Finished;
    rows.push(Write::Lifecycle(LifecycleRow {
        seq: Seq(first + 5),
        at: NOW,
        kind,
        run,
    }));
    rows
}

/// CPU of this process, user and system, in microseconds.
fn cpu_us() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks = |n: usize| fields[n].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) * 10_000.0
}

fn log_bytes(dir: &Path) -> u64 {
    std::fs::metadata(dir.join("dunlin.db-wal")).map_or(0, |file| file.len())
}

struct Measure<'a> {
    writer: Box<dyn Writer>,
    dir: &'a Path,
    batch: Batch,
    seq: u64,
}

impl Measure<'_> {
    /// Commits `commits` batches of what `rows` makes, and prints what each unit cost.
    fn run(&mut self, what: &str, commits: u64, units: u64, rows: &dyn Fn(u64) -> Vec<Write>) {
        let mut made: Vec<Vec<Write>> = Vec::new();
        for _ in 0..commits {
            let mut batch = Vec::new();
            for _ in 0..units {
                let unit = rows(self.seq);
                self.seq += unit.len() as u64;
                batch.extend(unit);
            }
            made.push(batch);
        }
        let (cpu, wall) = (cpu_us(), Instant::now());
        let (mut slowest, mut log) = (0, 0);
        for rows in made {
            self.batch.commit_no += 1;
            self.batch.engine = rows;
            let before = Instant::now();
            assert_eq!(self.writer.commit(&self.batch), CommitOutcome::Done);
            self.writer.upkeep();
            slowest = slowest.max(before.elapsed().as_micros());
            log = log_bytes(self.dir).max(log);
        }
        let (cpu, wall) = (cpu_us() - cpu, wall.elapsed().as_secs_f64());
        let all = (commits * units) as f64;
        println!(
            "{what:<28} {:>7.0} commits/s {:>8.0} units/s {:>6.2} µs CPU a unit, slowest {slowest} µs, log at most {} MB",
            commits as f64 / wall,
            all / wall,
            cpu / all,
            log / 1_000_000,
        );
    }
}

fn main() {
    let parent = std::env::args().nth(1).unwrap_or_else(|| "/tmp".to_owned());
    let dir = tempfile::tempdir_in(parent).unwrap();
    let dir = dir.path();
    let store = SqliteStore::new(dir).unwrap();
    let (writer, start) = store.writer(NOW).unwrap();
    let batch = Batch {
        epoch: start.epoch,
        ..Batch::default()
    };
    let mut measure = Measure {
        writer,
        dir,
        batch,
        seq: 10,
    };
    // Before anything starts the log over, its growth is what was written.
    let one = |seq| vec![step(seq)];
    let before = log_bytes(dir);
    measure.run("step rows, batch 15 (log)", 200, 15, &one);
    println!(
        "{:<28} {} bytes of log a row",
        "",
        (log_bytes(dir) - before) / 3_000
    );
    let before = log_bytes(dir);
    measure.run("step rows, batch 100 (log)", 30, 100, &one);
    println!(
        "{:<28} {} bytes of log a row",
        "",
        (log_bytes(dir) - before) / 3_000
    );
    for _ in 0..3 {
        measure.run("step rows, batch 1", 1_000, 1, &one);
        measure.run("step rows, batch 15", 4_000, 15, &one);
        measure.run("step rows, batch 100", 1_000, 100, &one);
        measure.run("3-step runs, batch 15", 1_000, 15, &whole_run);
    }
    measure.run("images, batch 10000", 100, 10_000, &|seq| {
        let (run, function, last) = (Seq(seq), 1, Seq(seq));
        vec![Write::Image(Image {
            run,
            function,
            last,
            items: vec![1; 20],
            flow: Vec::new(),
        })]
    });
    measure.writer.close().unwrap();
    let file = std::fs::metadata(dir.join("dunlin.db")).unwrap().len();
    println!("file: {} MB for {} rows", file / 1_000_000, measure.seq);
    let before = Instant::now();
    let mut rows = 0_u64;
    store.reader().unwrap().restore(&mut |_| rows += 1).unwrap();
    println!(
        "restore: {rows} rows in {} ms",
        before.elapsed().as_millis()
    );
}
