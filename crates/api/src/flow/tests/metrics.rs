//! Metrics, read back by a parser that takes nothing but the format.

use std::collections::{BTreeMap, BTreeSet};

use dunlin_engine::config::Rule;
use dunlin_engine::look::{FunctionTotals, Totals};
use dunlin_types::Timestamp;
use dunlin_types::limits::METRICS_LABELS_MAX;

use crate::flow::metrics::{Labels, Process, text};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

type Series = BTreeMap<(String, BTreeMap<String, String>), f64>;

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// Reads `name="value",…}`; what follows.
fn labels(mut text: &str) -> (BTreeMap<String, String>, &str) {
    let mut found = BTreeMap::new();
    loop {
        let (name, rest) = text.split_once("=\"").unwrap();
        assert!(is_name(name), "{name}");
        let (mut value, mut chars) = (String::new(), rest.char_indices());
        let end = loop {
            match chars.next().unwrap() {
                (place, '"') => break place,
                (_, '\\') => value.push(match chars.next().unwrap().1 {
                    'n' => '\n',
                    c @ ('\\' | '"') => c,
                    odd => panic!("\\{odd} is no escape"),
                }),
                (_, c) => value.push(c),
            }
        };
        assert!(
            found.insert(name.to_owned(), value).is_none(),
            "{name} twice"
        );
        match &rest[end + 1..] {
            rest if rest.starts_with(',') => text = &rest[1..],
            rest => return (found, rest.strip_prefix('}').unwrap()),
        }
    }
}

/// Reads the text form, version 0.0.4: each metric in one piece behind its help and type.
fn parse(text: &str) -> Series {
    assert!(text.ends_with('\n') && !text.contains("\n\n"));
    let (mut series, mut families) = (Series::new(), BTreeSet::new());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let (family, help) = line
            .strip_prefix("# HELP ")
            .unwrap()
            .split_once(' ')
            .unwrap();
        assert!(
            is_name(family) && !help.is_empty() && families.insert(family),
            "{family}"
        );
        let kind = lines
            .next()
            .unwrap()
            .strip_prefix(&format!("# TYPE {family} "))
            .unwrap();
        assert_eq!(kind == "counter", family.ends_with("_total"), "{family}");
        assert!(matches!(kind, "counter" | "gauge"), "{kind}");
        assert!(family.starts_with("dunlin_"), "{family}");
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            let rest = line.strip_prefix(family).unwrap();
            let (labels, value) = match rest.strip_prefix('{') {
                Some(rest) => labels(rest),
                None => (BTreeMap::new(), rest),
            };
            let value = value.strip_prefix(' ').unwrap().parse().unwrap();
            let key = (family.to_owned(), labels);
            assert!(series.insert(key, value).is_none(), "{line} twice");
        }
    }
    series
}

fn one(series: &Series, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let labels = labels
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    series.get(&(name.to_owned(), labels.collect())).copied()
}

fn function(number: u32, calls: u64) -> FunctionTotals {
    FunctionTotals {
        function: number,
        queued: 1,
        in_flight: 2,
        oldest: Some(NOW.plus_ms(-i64::from(number) * 1000 - 500)),
        runs_in: 3,
        runs_out: [4, 5, 6, 7],
        calls,
        dropped: [0; 12],
    }
}

fn process() -> Process {
    Process {
        started: Timestamp::from_ms(1_700_000_000_007),
        resident_bytes: Some(4096),
        version: "0.1.0",
    }
}

#[test]
fn totals_read_back_under_their_names() {
    let mut busy = function(0, 9);
    busy.dropped[Rule::RateLimit as usize] = 11;
    let totals = Totals {
        live: 100,
        backlog: 20,
        queued: 30,
        in_flight: 40,
        functions: vec![busy],
        apps: vec![
            (0, 5, 200, Some(NOW.plus_ms(1))),
            (1, 1, 10, Some(NOW.plus_ms(-1))),
        ],
    };
    let odd = "sh\"op\\\n-pay";
    let labels = Labels {
        functions: BTreeMap::from([(0, (odd.to_owned(), 0))]),
        apps: BTreeMap::from([(0, "shop".to_owned())]),
    };
    let series = parse(&text(&totals, &labels, &process(), NOW));
    let of = |name: &str, labels: &[(&str, &str)]| one(&series, name, labels);
    assert_eq!(of("dunlin_live_runs", &[]), Some(100.0));
    assert_eq!(of("dunlin_backlog_items", &[]), Some(20.0));
    assert_eq!(
        of("dunlin_process_resident_memory_bytes", &[]),
        Some(4096.0)
    );
    assert_eq!(
        of("dunlin_process_start_time_seconds", &[]),
        Some(1_700_000_000.007)
    );
    assert_eq!(of("dunlin_build_info", &[("version", "0.1.0")]), Some(1.0));
    let pay = ("function", odd);
    for (name, value) in [
        ("dunlin_queued_items", 1.0),
        ("dunlin_calls_in_flight", 2.0),
        ("dunlin_oldest_queued_age_seconds", 0.5),
        ("dunlin_runs_started_total", 3.0),
        ("dunlin_calls_total", 9.0),
    ] {
        assert_eq!(of(name, &[pay]), Some(value), "{name}");
    }
    let ended = of("dunlin_runs_ended_total", &[pay, ("status", "cancelled")]);
    assert_eq!(ended, Some(6.0));
    let dropped = "dunlin_events_dropped_total";
    assert_eq!(of(dropped, &[pay, ("rule", "rateLimit")]), Some(11.0));
    assert_eq!(of(dropped, &[pay, ("rule", "debounce")]), None);
    assert_eq!(
        of("dunlin_app_calls_in_flight", &[("app", "shop")]),
        Some(5.0)
    );
    assert_eq!(
        of("dunlin_app_calls_in_flight_limit", &[("app", "shop")]),
        Some(200.0)
    );
    assert_eq!(of("dunlin_app_paused", &[("app", "shop")]), Some(1.0));
    assert_eq!(
        of("dunlin_app_paused", &[("app", "(other)")]),
        Some(0.0),
        "a pause that is over"
    );
}

#[test]
fn the_busiest_functions_have_series_of_their_own_and_the_rest_is_a_sum() {
    let count = METRICS_LABELS_MAX as u32 + 50;
    let functions = (0..count).map(|n| function(n, u64::from(n) * 10));
    let totals = Totals {
        functions: functions.collect(),
        apps: (0..count).map(|n| (n, 1, 2, None)).collect(),
        ..Totals::default()
    };
    let labels = Labels {
        functions: (0..count).map(|n| (n, (format!("f{n}"), n))).collect(),
        apps: (0..count).map(|n| (n, format!("a{n}"))).collect(),
    };
    let series = parse(&text(&totals, &labels, &process(), NOW));
    let of = |name: &str, labels: &[(&str, &str)]| one(&series, name, labels);
    let calls = "dunlin_calls_total";
    assert_eq!(of(calls, &[("function", "f50")]), Some(500.0));
    assert_eq!(of(calls, &[("function", "f49")]), None);
    let rest: f64 = (0..50).map(|n| f64::from(n) * 10.0).sum();
    let other = ("function", "(other)");
    assert_eq!(of(calls, &[other]), Some(rest));
    assert_eq!(
        of("dunlin_runs_ended_total", &[other, ("status", "failed")]),
        Some(250.0)
    );
    let oldest = of("dunlin_oldest_queued_age_seconds", &[other]);
    assert_eq!(oldest, Some(49.5), "the oldest of them all");
    let named = series.keys().filter(|(name, _)| name == calls).count();
    assert_eq!(named, METRICS_LABELS_MAX + 1);
    assert_eq!(
        of("dunlin_app_calls_in_flight", &[("app", "a50")]),
        Some(1.0)
    );
    assert_eq!(
        of("dunlin_app_calls_in_flight", &[("app", "(other)")]),
        Some(50.0)
    );
}

#[test]
fn a_server_without_functions_has_metrics_too() {
    let series = parse(&text(
        &Totals::default(),
        &Labels::default(),
        &process(),
        NOW,
    ));
    assert_eq!(one(&series, "dunlin_live_runs", &[]), Some(0.0));
}
