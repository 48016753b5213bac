//! `/metrics`: totals as the engine sees them, and a few numbers about the process.

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::response::IntoResponse as _;
use dunlin_engine::config::Rule;
use dunlin_engine::look::{FunctionTotals, Totals};
use dunlin_types::Timestamp;
use dunlin_types::limits::METRICS_LABELS_MAX;
use http::header;

use super::exposition::{CONTENT_TYPE, Exposition, Kind};
use crate::error::Reply;
use crate::refused::RefusedCounts;
use crate::sdk::Names;
use crate::state::Api;

/// The label of what has no series of its own; no function or app can be called that.
const OTHER: &str = "(other)";

/// How runs end, in the order of [`FunctionTotals::runs_out`].
const STATUSES: [&str; 4] = ["completed", "failed", "cancelled", "skipped"];

/// A metric by function: its name, what it is, what it says, and its number.
type ByFunction = (&'static str, Kind, &'static str, fn(&FunctionTotals) -> u64);

const BY_FUNCTION: [ByFunction; 4] = [
    (
        "dunlin_queued_items",
        Kind::Gauge,
        "Calls to make that wait, for whatever reason.",
        |one| one.queued,
    ),
    (
        "dunlin_calls_in_flight",
        Kind::Gauge,
        "Calls that are out.",
        |one| one.in_flight,
    ),
    (
        "dunlin_runs_started_total",
        Kind::Counter,
        "Runs that were made.",
        |one| one.runs_in,
    ),
    (
        "dunlin_calls_total",
        Kind::Counter,
        "Calls that went out.",
        |one| one.calls,
    ),
];

/// What is said of the process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Process {
    pub(super) started: Timestamp,
    pub(super) resident_bytes: Option<u64>,
    pub(super) version: &'static str,
}

/// Slugs of functions and names of apps, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Labels {
    /// With the number of the function's app.
    pub(super) functions: BTreeMap<u32, (String, u32)>,
    pub(super) apps: BTreeMap<u32, String>,
}

pub(super) async fn metrics(State(api): State<Api>) -> Reply {
    let totals = api.node.totals().await?;
    let names = api.node.read(|reader| Names::read(reader)).await?;
    let functions = names.all_functions();
    let labels = Labels {
        functions: functions
            .map(|f| (f.number, (f.slug.clone(), f.app)))
            .collect(),
        apps: names
            .apps()
            .into_iter()
            .map(|app| (app.number, app.name.clone()))
            .collect(),
    };
    let process = Process {
        started: api.started,
        resident_bytes: resident_bytes(),
        version: api.options.version,
    };
    let mut text = text(&totals, &labels, &process, api.node.now());
    text.push_str(&refused(&api.refused));
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// Memory of this process, where the system tells.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

pub(super) fn text(totals: &Totals, labels: &Labels, process: &Process, now: Timestamp) -> String {
    let mut out = Exposition::default();
    whole(&mut out, totals, process);
    by_function(&mut out, &folded(totals, labels), now);
    by_app(&mut out, totals, labels, now);
    out.finish()
}

/// Requests that were refused. What there was none of has no series.
fn refused(counts: &RefusedCounts) -> String {
    let mut out = Exposition::default();
    let mut family = out.family(
        "dunlin_requests_refused_total",
        Kind::Counter,
        "Requests that were refused, by where they were going, the status and the code.",
    );
    for ((at, status, code), count) in counts.all() {
        let (status, code) = (status.to_string(), code.to_string());
        let labels = [("at", at), ("status", &status), ("code", &code)];
        family.series(&labels, count);
    }
    out.finish()
}

fn whole(out: &mut Exposition, totals: &Totals, process: &Process) {
    let gauges = [
        ("dunlin_live_runs", "Runs that have not ended.", totals.live),
        (
            "dunlin_backlog_items",
            "Calls to make that wait for nothing but a free call.",
            totals.backlog,
        ),
    ];
    for (name, help, value) in gauges {
        out.single(name, Kind::Gauge, help, value);
    }
    if let Some(bytes) = process.resident_bytes {
        let (name, help) = (
            "dunlin_process_resident_memory_bytes",
            "Memory of the server process, without its workers.",
        );
        out.single(name, Kind::Gauge, help, bytes);
    }
    let ms = process.started.ms();
    let started = format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000));
    out.single(
        "dunlin_process_start_time_seconds",
        Kind::Gauge,
        "When the process began, since 1970.",
        started,
    );
    let mut build = out.family("dunlin_build_info", Kind::Gauge, "The version that runs.");
    build.series(&[("version", process.version)], 1);
}

/// Totals under the label that they are shown with: the busiest functions by themselves, the rest
/// in one sum. Busy is what was made and called since the process began, so that a function seldom
/// changes from one to the other.
fn folded<'a>(totals: &'a Totals, labels: &'a Labels) -> BTreeMap<&'a str, FunctionTotals> {
    let own = busiest(totals.functions.iter().map(|one| {
        let work = one.calls.saturating_add(one.runs_in);
        (work, one.function)
    }));
    let mut folded: BTreeMap<&str, FunctionTotals> = BTreeMap::new();
    for one in &totals.functions {
        let slug = labels.functions.get(&one.function);
        let slug = slug.filter(|_| own.contains(&one.function));
        let label = slug.map_or(OTHER, |(slug, _)| slug.as_str());
        add(folded.entry(label).or_default(), one);
    }
    folded
}

/// The numbers with most work.
fn busiest(work: impl Iterator<Item = (u64, u32)>) -> BTreeSet<u32> {
    let mut ranked: Vec<(u64, u32)> = work.collect();
    ranked.sort_by_key(|(work, number)| (std::cmp::Reverse(*work), *number));
    let first = ranked.into_iter().take(METRICS_LABELS_MAX);
    first.map(|(_, number)| number).collect()
}

fn add(sum: &mut FunctionTotals, one: &FunctionTotals) {
    sum.queued += one.queued;
    sum.in_flight += one.in_flight;
    sum.oldest = match (sum.oldest, one.oldest) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    };
    sum.runs_in += one.runs_in;
    sum.calls += one.calls;
    let add_all = |sums: &mut [u64], ones: &[u64]| {
        sums.iter_mut().zip(ones).for_each(|(sum, one)| *sum += one);
    };
    add_all(&mut sum.runs_out, &one.runs_out);
    add_all(&mut sum.dropped, &one.dropped);
}

fn by_function(out: &mut Exposition, functions: &BTreeMap<&str, FunctionTotals>, now: Timestamp) {
    for (name, kind, help, value) in BY_FUNCTION {
        let mut family = out.family(name, kind, help);
        for (label, one) in functions {
            family.series(&[("function", label)], value(one));
        }
    }
    let mut ages = out.family(
        "dunlin_oldest_queued_age_seconds",
        Kind::Gauge,
        "How long the oldest of what is queued has been ready; 0 where nothing is queued.",
    );
    for (label, one) in functions {
        let ms = one.oldest.map_or(0, |since| now.since(since).max(0));
        let age = format!("{}.{:03}", ms / 1000, ms % 1000);
        ages.series(&[("function", label)], age);
    }
    let mut ended = out.family(
        "dunlin_runs_ended_total",
        Kind::Counter,
        "Runs that ended, by how they did.",
    );
    for (label, one) in functions {
        for (status, count) in STATUSES.into_iter().zip(one.runs_out) {
            ended.series(&[("function", label), ("status", status)], count);
        }
    }
    dropped(out, functions);
}

/// A rule has a series where it dropped something: most functions have none, so most series would
/// be zeros.
fn dropped(out: &mut Exposition, functions: &BTreeMap<&str, FunctionTotals>) {
    let mut family = out.family(
        "dunlin_events_dropped_total",
        Kind::Counter,
        "Events that started no run because of a rule, by the rule.",
    );
    for (label, one) in functions {
        for rule in Rule::ALL {
            let count = one.dropped.get(rule as usize).copied().unwrap_or_default();
            if count > 0 {
                family.series(&[("function", label), ("rule", rule.name())], count);
            }
        }
    }
}

/// What is known of an app's calls.
#[derive(Clone, Copy, Debug, Default)]
struct AppTotals {
    in_flight: u64,
    limit: u64,
    paused: u64,
}

fn by_app(out: &mut Exposition, totals: &Totals, labels: &Labels, now: Timestamp) {
    let apps = folded_apps(totals, labels, now);
    type ByApp = (&'static str, &'static str, fn(&AppTotals) -> u64);
    let gauges: [ByApp; 3] = [
        (
            "dunlin_app_calls_in_flight",
            "Calls of the app that are out.",
            |one| one.in_flight,
        ),
        (
            "dunlin_app_calls_in_flight_limit",
            "Calls of the app that may be out at a time.",
            |one| one.limit,
        ),
        (
            "dunlin_app_paused",
            "Apps that are not called because they asked for a pause (1 or 0 for a single app).",
            |one| one.paused,
        ),
    ];
    for (name, help, value) in gauges {
        let mut family = out.family(name, Kind::Gauge, help);
        for (label, one) in &apps {
            family.series(&[("app", label)], value(one));
        }
    }
}

/// As [`folded`], by the work of an app's functions.
fn folded_apps<'a>(
    totals: &Totals,
    labels: &'a Labels,
    now: Timestamp,
) -> BTreeMap<&'a str, AppTotals> {
    let mut work: BTreeMap<u32, u64> = totals.apps.iter().map(|app| (app.0, 0)).collect();
    for one in &totals.functions {
        let app = labels.functions.get(&one.function).map(|(_, app)| app);
        if let Some(sum) = app.and_then(|app| work.get_mut(app)) {
            *sum = sum.saturating_add(one.calls).saturating_add(one.runs_in);
        }
    }
    let own = busiest(work.into_iter().map(|(app, work)| (work, app)));
    let mut folded: BTreeMap<&str, AppTotals> = BTreeMap::new();
    for (app, in_flight, limit, pause) in &totals.apps {
        let name = labels.apps.get(app).filter(|_| own.contains(app));
        let sum = folded
            .entry(name.map_or(OTHER, String::as_str))
            .or_default();
        sum.in_flight += u64::from(*in_flight);
        sum.limit += u64::from(*limit);
        sum.paused += u64::from(pause.is_some_and(|until| until > now));
    }
    folded
}
