//! Schedules against a model that looks at every single minute around a change of clocks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;

use dunlin_cron::Schedule;
use dunlin_types::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use proptest::prelude::*;

const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Oslo",
    "America/New_York",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
    "Africa/Casablanca",
    "America/St_Johns",
    "America/Santiago",
    "Asia/Beirut",
    "Pacific/Chatham",
];
const WINDOW_MINUTES: i64 = 2 * 60;

/// One item of a field, as it is written.
#[derive(Clone, Debug)]
enum Item {
    Star,
    StarStep(u32),
    Only(u32),
    OnlyStep(u32, u32),
    Range(u32, u32),
    RangeStep(u32, u32, u32),
}

impl Item {
    fn text(&self) -> String {
        match self {
            Self::Star => "*".to_owned(),
            Self::StarStep(step) => format!("*/{step}"),
            Self::Only(a) => a.to_string(),
            Self::OnlyStep(a, step) => format!("{a}/{step}"),
            Self::Range(a, b) => format!("{a}-{b}"),
            Self::RangeStep(a, b, step) => format!("{a}-{b}/{step}"),
        }
    }

    fn has(&self, value: u32, least: u32) -> bool {
        match self {
            Self::Star => true,
            Self::StarStep(step) => (value - least).is_multiple_of(*step),
            Self::Only(a) => value == *a,
            Self::OnlyStep(a, step) => value >= *a && (value - a).is_multiple_of(*step),
            Self::Range(a, b) => (*a..=*b).contains(&value),
            Self::RangeStep(a, b, step) => {
                (*a..=*b).contains(&value) && (value - a).is_multiple_of(*step)
            }
        }
    }

    fn is_interval(&self) -> bool {
        !matches!(self, Self::Only(_) | Self::Range(..))
    }
}

fn item(least: u32, most: u32) -> impl Strategy<Value = Item> {
    let two = (least..=most, least..=most).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let values = least..=most;
    prop_oneof![
        1 => Just(Item::Star),
        1 => (2_u32..30).prop_map(Item::StarStep),
        4 => values.clone().prop_map(Item::Only),
        1 => (values, 2_u32..30).prop_map(|(a, step)| Item::OnlyStep(a, step)),
        1 => two.clone().prop_map(|(a, b)| Item::Range(a, b)),
        1 => (two, 2_u32..30).prop_map(|((a, b), step)| Item::RangeStep(a, b, step)),
    ]
}

fn field(least: u32, most: u32) -> impl Strategy<Value = Vec<Item>> {
    prop::collection::vec(item(least, most), 1..3)
}

fn mostly_any(least: u32, most: u32) -> impl Strategy<Value = Vec<Item>> {
    prop_oneof![3 => Just(vec![Item::Star]), 1 => field(least, most)]
}

/// Minute, hour, day, month and weekday.
type Fields = [Vec<Item>; 5];
const LEAST: [u32; 5] = [0, 0, 1, 1, 0];

fn fields() -> impl Strategy<Value = Fields> {
    // Most changes of clocks happen in the first hours of a day.
    let hour = prop_oneof![2 => field(0, 4), 1 => field(0, 23)];
    (
        field(0, 59),
        hour,
        mostly_any(1, 28),
        mostly_any(1, 12),
        mostly_any(0, 6),
    )
        .prop_map(|(minute, hour, day, month, weekday)| [minute, hour, day, month, weekday])
}

fn text(zone: &str, fields: &Fields) -> String {
    let mut text = format!("TZ={zone}");
    for field in fields {
        let items: Vec<_> = field.iter().map(Item::text).collect();
        write!(text, " {}", items.join(",")).unwrap();
    }
    text
}

fn fits(fields: &Fields, at: DateTime) -> bool {
    let values = [
        at.minute(),
        at.hour(),
        at.day(),
        at.month(),
        at.weekday().to_sunday_zero_offset(),
    ];
    let fits = |n: usize| {
        let value = u32::try_from(values[n]).unwrap();
        fields[n].iter().any(|item| item.has(value, LEAST[n]))
    };
    let any = |n: usize| fields[n].iter().any(|item| matches!(item, Item::Star));
    let days = if any(2) || any(4) {
        fits(2) && fits(4)
    } else {
        fits(2) || fits(4)
    };
    fits(0) && fits(1) && fits(3) && days
}

fn wall(zone: &TimeZone, minute: i64) -> DateTime {
    zone.to_datetime(jiff::Timestamp::from_second(minute * 60).unwrap())
}

/// All times in a window of minutes. `shown` is the latest time the clock has shown so far.
fn naive(zone: &TimeZone, fields: &Fields, first: i64, last: i64) -> Vec<i64> {
    let interval = fields[..2].iter().flatten().any(Item::is_interval);
    let mut shown = wall(zone, first - 1);
    let mut found = Vec::new();
    for minute in first..=last {
        let now = wall(zone, minute);
        let repeated = now <= shown;
        let mut fires = fits(fields, now) && (interval || !repeated);
        let mut skipped = shown + 1.minute();
        while skipped < now {
            fires |= fits(fields, skipped);
            skipped += 1.minute();
        }
        if fires {
            found.push(minute);
        }
        shown = shown.max(now);
    }
    found
}

fn in_minutes(minute: i64) -> Timestamp {
    Timestamp::from_ms(minute * 60_000)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 3000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_times_are_those_of_the_model(
        zone in prop::sample::select(&ZONES[..]),
        year_2000_secs in 0_i64..1_000_000_000,
        fields in fields(),
        (from, until) in (0..=2 * WINDOW_MINUTES, 0..=2 * WINDOW_MINUTES),
    ) {
        let text = text(zone, &fields);
        // Days that never come are refused, which the tables test.
        let Ok(schedule) = Schedule::parse(&text) else { return Ok(()) };
        let zone = TimeZoneDatabase::bundled().get(zone).unwrap();
        let somewhere = jiff::Timestamp::from_second(946_684_800 + year_2000_secs).unwrap();
        let change = zone.following(somewhere).next().map(|change| change.timestamp());
        let middle = change.unwrap_or(somewhere).as_second() / 60;
        let (first, last) = (middle - WINDOW_MINUTES, middle + WINDOW_MINUTES);
        let wanted = naive(&zone, &fields, first, last);

        let mut found = Vec::new();
        let mut now = in_minutes(first - 1);
        while let Some(next) = schedule.next_after(now) {
            if next > in_minutes(last) {
                break;
            }
            prop_assert!(next > now, "{text}");
            found.push(next.ms() / 60_000);
            now = next;
        }
        prop_assert_eq!(&found, &wanted, "{}", text);

        let (from, until) = (first + from, first + until);
        let latest = wanted.into_iter().rev().find(|at| *at > from && *at <= until);
        let got = schedule.latest_until(in_minutes(from), in_minutes(until));
        prop_assert_eq!(got, latest.map(in_minutes), "{}", text);
    }
}
