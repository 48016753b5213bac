//! Measures a release build against the machine's own floor and prints ratios.
//!
//! The load comes from `enginebench`, a black-box program that plays app and producer. Every figure
//! is the median of a few rounds, each round measuring the floor in the same minute, because
//! machines are shared and absolute figures are worth nothing.

mod deliver;
mod shapes;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use serde_json::Value;

use crate::say;

const SIGNING_KEY: &str = "00112233445566778899aabbccddeeff";
const EVENT_KEY: &str = "test";
const ADMIN_TOKEN: &str = "bench-admin-token-0123456789abcdef";
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How to measure.
#[derive(Args)]
pub(crate) struct Options {
    /// The built `enginebench` program.
    #[arg(long, env = "ENGINEBENCH")]
    enginebench: PathBuf,
    /// Rounds of which the median is taken.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Events of the sequential runs.
    #[arg(long, default_value_t = 20_000)]
    events: usize,
    /// Port of the server under test; the app listens on the one after it.
    #[arg(long, default_value_t = 18_288)]
    port: u16,
    /// Measure this binary instead of building one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Only this part: sequential, ingest, signed, latency, parallel, waits, sleeps,
    /// limited, keyed or deliver.
    #[arg(long)]
    only: Option<String>,
}

/// A server under test, killed when dropped.
struct Server {
    child: Child,
    data: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.data);
    }
}

/// One figure of one round.
struct Figure {
    name: &'static str,
    aim: &'static str,
    values: Vec<f64>,
}

pub(crate) fn run(root: &Path, options: &Options) -> Result<()> {
    let binary = match &options.binary {
        Some(binary) => binary.clone(),
        None => build(root)?,
    };
    let mut figures: Vec<Figure> = Vec::new();
    let mut note = |name: &'static str, aim: &'static str, value: f64| match figures
        .iter_mut()
        .find(|figure| figure.name == name)
    {
        Some(figure) => figure.values.push(value),
        None => figures.push(Figure {
            name,
            aim,
            values: vec![value],
        }),
    };
    for round in 1..=options.rounds {
        say(&format!("round {round} of {}", options.rounds));
        measure(options, &binary, &mut note)?;
    }
    say("");
    say("medians (ratios are to the floor's calls per second of the same round):");
    for figure in &mut figures {
        figure.values.sort_by(f64::total_cmp);
        let median = figure.values[figure.values.len() / 2];
        let all: Vec<String> = figure
            .values
            .iter()
            .map(|value| format!("{value:.3}"))
            .collect();
        say(&format!(
            "  {:<44} {median:>10.3}   {:<12} [{}]",
            figure.name,
            figure.aim,
            all.join(" ")
        ));
    }
    Ok(())
}

fn build(root: &Path) -> Result<PathBuf> {
    let done = Command::new("cargo")
        .args(["build", "--release", "--locked", "-p", "dunlin"])
        .current_dir(root)
        .status()?;
    ensure!(done.success(), "the release build failed");
    let target =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join("release/dunlin"))
}

type Note<'a> = dyn FnMut(&'static str, &'static str, f64) + 'a;

fn measure(options: &Options, binary: &Path, note: &mut Note<'_>) -> Result<()> {
    let wanted = |name: &str| {
        options
            .only
            .as_ref()
            .is_none_or(|only| name.contains(only.as_str()))
    };
    let args = [
        "--shape",
        "floor",
        "--events",
        "50000",
        "--connections",
        "64",
    ];
    let floor = number(&load(options, None, &args)?, "calls_per_s")?;
    note("floor, calls/s", "", floor);
    if wanted("sequential") {
        sequential(options, binary, floor, note)?;
    }
    if wanted("ingest") {
        let args = [
            "--shape",
            "ingest",
            "--events",
            "50000",
            "--connections",
            "64",
        ];
        let seen = against(options, binary, false, &args)?;
        note(
            "ingest alone / floor",
            ">= 0.4",
            number(&seen, "ingest_per_s")? / floor,
        );
    }
    if wanted("signed") {
        let events = options.events.to_string();
        let mut args = three_steps(&events).to_vec();
        args.extend(["--bearer", SIGNING_KEY]);
        let seen = against(options, binary, true, &args)?;
        note(
            "signed 3 steps in start, work / floor",
            ">= 0.25",
            number(&seen, "work_per_s")? / floor,
        );
    }
    if wanted("latency") {
        latency(options, binary, note)?;
    }
    if wanted("parallel") {
        shapes::parallel(options, binary, floor, note)?;
    }
    if wanted("waits") {
        shapes::waits(options, binary, note)?;
    }
    if wanted("sleeps") {
        shapes::sleeps(options, binary, note)?;
    }
    if wanted("limited") {
        shapes::limited(options, binary, note)?;
    }
    if wanted("keyed") {
        shapes::keyed(options, binary, note)?;
    }
    if wanted("deliver") {
        deliver::measure(options, binary, note)?;
    }
    Ok(())
}

fn latency(options: &Options, binary: &Path, note: &mut Note<'_>) -> Result<()> {
    let args = [
        "--steps",
        "1",
        "--rate",
        "50",
        "--events",
        "1500",
        "--connections",
        "8",
    ];
    let seen = against(options, binary, false, &args)?;
    let start = seen.get("start_ms").context("no start_ms")?;
    note(
        "latency at 50/s, event to first call p50, ms",
        "<= 2",
        number(start, "p50")?,
    );
    note(
        "latency at 50/s, event to first call p99, ms",
        "<= 10",
        number(start, "p99")?,
    );
    Ok(())
}

const fn three_steps(events: &str) -> [&str; 6] {
    ["--steps", "3", "--events", events, "--connections", "64"]
}

fn sequential(options: &Options, binary: &Path, floor: f64, note: &mut Note<'_>) -> Result<()> {
    let runs = options.events as f64;
    let seen = against(
        options,
        binary,
        false,
        &three_steps(&options.events.to_string()),
    )?;
    note(
        "sequential 3 steps, work / floor",
        ">= 0.35",
        number(&seen, "work_per_s")? / floor,
    );
    note(
        "ingest during that / floor",
        ">= 0.1",
        number(&seen, "ingest_per_s")? / floor,
    );
    note(
        "server CPU per call, us",
        "",
        number(&seen, "server_cpu_s")? * 1e6 / (4.0 * runs),
    );
    note(
        "stored per run, bytes",
        "",
        number(&seen, "server_disk_mb")? * 1e6 / runs,
    );
    note("resident memory, MB", "", number(&seen, "server_rss_mb")?);
    Ok(())
}

/// Loads a fresh server, and accepts no figure that was bought with a loss.
fn against(options: &Options, binary: &Path, signed: bool, args: &[&str]) -> Result<Value> {
    let server = serve(options, binary, signed)?;
    let seen = load(options, Some(&server), args)?;
    clean(&seen)?;
    Ok(seen)
}

/// Nothing lost, nothing refused, nothing done twice: otherwise speed means nothing.
fn clean(seen: &Value) -> Result<()> {
    for field in ["lost", "refused", "extra_step_runs"] {
        ensure!(number(seen, field)? == 0.0, "{field} is not 0: {seen}");
    }
    Ok(())
}

fn number(seen: &Value, field: &str) -> Result<f64> {
    seen.get(field)
        .and_then(Value::as_f64)
        .with_context(|| format!("no {field} in {seen}"))
}

/// Runs one load and reads the last line it prints.
fn load(options: &Options, server: Option<&Server>, args: &[&str]) -> Result<Value> {
    let mut command = Command::new(&options.enginebench);
    command.args(args).args(["--event-key", EVENT_KEY]);
    command.args(["--listen", &format!("127.0.0.1:{}", options.port + 1)]);
    if let Some(server) = server {
        command.args(["--server", &format!("http://127.0.0.1:{}", options.port)]);
        command.args(["--pid", &server.child.id().to_string()]);
        command.arg("--data").arg(&server.data);
    }
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .context("enginebench did not start")?;
    ensure!(output.status.success(), "enginebench failed");
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().context("enginebench printed nothing")?;
    say(&format!("  {last}"));
    Ok(serde_json::from_str(last)?)
}

fn serve(options: &Options, binary: &Path, signed: bool) -> Result<Server> {
    let data = std::env::temp_dir().join(format!("dunlin-bench-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&data);
    let port = options.port.to_string();
    let app = format!("http://127.0.0.1:{}/api/inngest", options.port + 1);
    let mut command = Command::new(binary);
    command.arg(if signed { "start" } else { "dev" });
    command.args(["--port", &port]).arg("--data-dir").arg(&data);
    if signed {
        command.args(["--signing-key", SIGNING_KEY, "--event-key", EVENT_KEY]);
        command.args(["--admin-token", ADMIN_TOKEN, "--sdk-url", &app]);
    } else {
        command.arg("--no-discovery");
    }
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let server = Server { child, data };
    let began = Instant::now();
    let address = format!("127.0.0.1:{}", options.port);
    while std::net::TcpStream::connect(&address).is_err() {
        if began.elapsed() > READY_WITHIN {
            bail!("the server did not listen on {address} in time");
        }
        std::thread::park_timeout(Duration::from_millis(20));
    }
    Ok(server)
}
