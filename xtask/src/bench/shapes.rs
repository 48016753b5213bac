//! Loads beside steps in sequence: parallel steps, waits for events, sleeps.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Note, Options, against, number};

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
