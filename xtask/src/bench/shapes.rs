//! Loads beside steps in sequence: parallel steps, waits for events, sleeps, limits.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Note, Options, against, load, number};

/// Ten steps at once.
pub(super) fn parallel(
    options: &Options,
    binary: &Path,
    floor: f64,
    note: &mut Note<'_>,
) -> Result<()> {
    let events = (options.events / 10).to_string();
    let args = ["--shape", "parallel", "--steps", "10", "--events", &events];
    for version in ["1", "2"] {
        let mut args = args.to_vec();
        args.extend(["--connections", "64", "--req-version", version]);
        let seen = against(options, binary, false, &args)?;
        let name = match version {
            "1" => "parallel 10 steps, version 1, work / floor",
            _ => "parallel 10 steps, version 2, work / floor",
        };
        note(name, ">= 0.35", number(&seen, "work_per_s")? / floor);
    }
    Ok(())
}

/// Ten thousand waits for one event name, each resumed by an event of its own.
pub(super) fn waits(options: &Options, binary: &Path, note: &mut Note<'_>) -> Result<()> {
    let args = ["--shape", "wait", "--events", "10000", "--batch", "100"];
    let seen = against(options, binary, false, &args)?;
    let resume = seen.get("resume_ms").context("no resume_ms")?;
    note(
        "10,000 waits, event to end p99, ms",
        "<= 200",
        number(resume, "p99")?,
    );
    Ok(())
}

/// A hundred thousand runs that sleep half a minute.
pub(super) fn sleeps(options: &Options, binary: &Path, note: &mut Note<'_>) -> Result<()> {
    let mut args = vec!["--shape", "sleep", "--sleep", "30s"];
    args.extend(["--events", "100000", "--batch", "200"]);
    let seen = against(options, binary, false, &args)?;
    let late = seen.get("late_ms").context("no late_ms")?;
    note(
        "100,000 sleeping runs, due to end p99, ms",
        "<= 2000",
        number(late, "p99")?,
    );
    Ok(())
}

/// A limit of ten calls of five milliseconds, against ten connections that make the same calls.
pub(super) fn limited(options: &Options, binary: &Path, note: &mut Note<'_>) -> Result<()> {
    let events = options.events / 4;
    let calls = (2 * events).to_string();
    let mut floor = vec!["--shape", "floor", "--connections", "10", "--call-ms", "5"];
    floor.extend(["--events", &calls]);
    let floor = number(&load(options, None, &floor)?, "calls_per_s")?;
    let events = events.to_string();
    let mut args = vec!["--steps", "1", "--concurrency", "10", "--call-ms", "5"];
    args.extend(["--events", &events, "--connections", "16"]);
    let seen = against(options, binary, false, &args)?;
    note(
        "concurrency 10, calls in flight at most",
        "= 10",
        number(&seen, "max_in_flight")?,
    );
    note(
        "concurrency 10 of 5 ms, work / its floor",
        ">= 0.9",
        number(&seen, "work_per_s")? / floor,
    );
    Ok(())
}

/// A limit of one call for each of a thousand keys, against the same load without it.
pub(super) fn keyed(options: &Options, binary: &Path, note: &mut Note<'_>) -> Result<()> {
    let events = options.events.to_string();
    let free = ["--steps", "1", "--events", &events, "--connections", "64"];
    let mut limited = free.to_vec();
    limited.extend(["--concurrency", "1", "--concurrency-key", "--keys", "1000"]);
    let free = number(&against(options, binary, false, &free)?, "work_per_s")?;
    let seen = number(&against(options, binary, false, &limited)?, "work_per_s")?;
    note(
        "concurrency 1 of 1,000 keys / no limit",
        ">= 0.8",
        seen / free,
    );
    Ok(())
}
