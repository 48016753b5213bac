//! The bucket against its rate, and what opens and shuts the door.

use proptest::prelude::*;

use super::*;

const EVENTS_MAX: usize = 100;

fn pace(limits: PaceLimits) -> Pace {
    Pace::new(limits)
}

fn limits() -> PaceLimits {
    PaceLimits {
        backlog_free_max: 1_000,
        backlog_patience: Duration::ZERO,
        live_runs_max: 1_000_000,
        memory_bytes_max: None,
    }
}

proptest! {
    /// Whatever is asked for when, no more comes in than the rate allows, but for a burst of a
    /// tenth of a second and for the events of one request beyond the last token.
    #[test]
    fn a_bucket_lets_in_no_more_than_its_rate(
        per_second in 1.0..10_000.0_f64,
        asked in prop::collection::vec((0_u64..200, 1..=EVENTS_MAX), 1..200),
    ) {
        let mut bucket = Bucket::full(per_second, Duration::ZERO);
        let (mut now, mut let_in) = (Duration::ZERO, 0);
        for (pause_ms, events) in asked {
            now += Duration::from_millis(pause_ms);
            bucket.refill(per_second, now);
            let had_room = bucket.has_room();
            prop_assert_eq!(bucket.take(events), had_room);
            let_in += if had_room { events } else { 0 };
            let allowed = burst(per_second) + per_second * now.as_secs_f64();
            prop_assert!(let_in as f64 <= allowed + (EVENTS_MAX - 1) as f64 + 1e-6);
        }
    }

    /// Who asks all the time gets all that the rate gives.
    #[test]
    fn a_bucket_withholds_nothing(per_second in 100.0..10_000.0_f64, events in 1..=EVENTS_MAX) {
        let mut bucket = Bucket::full(per_second, Duration::ZERO);
        let mut let_in = 0;
        for ms in 0..5_000 {
            bucket.refill(per_second, Duration::from_millis(ms));
            while bucket.take(events) {
                let_in += events;
            }
        }
        prop_assert!(let_in as f64 >= per_second * 4.9, "{let_in}");
    }

    /// A clock that steps back gives nothing away.
    #[test]
    fn going_back_in_time_fills_nothing(back_ms in 1_u64..10_000) {
        let now = Duration::from_secs(20);
        let mut bucket = Bucket::full(100.0, now);
        while bucket.take(1) {}
        bucket.refill(100.0, now.saturating_sub(Duration::from_millis(back_ms)));
        prop_assert!(!bucket.has_room());
    }

    #[test]
    fn fewer_come_in_than_end_but_never_none(ended in 0.0..1e6_f64, per_event in 0.0..100.0_f64, excess in 0.0..9.0_f64) {
        let rate = busy_rate(ended, per_event, excess);
        let least = limits::INTAKE_BUSY_PER_SECOND_MIN as f64;
        prop_assert!(rate >= least);
        prop_assert!(rate <= least || rate * per_event.max(1.0) < ended);
    }
}

#[test]
fn all_comes_in_while_the_backlog_is_small_and_what_waits_counts_with_it() {
    let pace = pace(limits());
    let first = pace.admit(600).unwrap();
    let second = pace.admit(600).unwrap();
    assert_eq!(pace.pressure().backlog, 1_200);
    // Beyond the free backlog there is a burst, and then nothing.
    while pace.admit(50).is_ok() {}
    assert_eq!(pace.check().unwrap_err().code, Code::Overloaded);
    drop((first, second));
    assert!(pace.check().is_ok() && pace.admit(600).is_ok());
    assert_eq!(pace.pressure().refused, [2, 0, 0, 0]);
}

#[test]
fn a_burst_is_taken_whole_and_only_what_goes_on_is_held_back() {
    let patient = |patience| {
        let pace = pace(PaceLimits {
            backlog_patience: patience,
            ..limits()
        });
        pace.publish(100_000, 100_000, &mut Meter::default());
        pace
    };
    let pace = patient(Duration::from_secs(3_600));
    let _admitted = pace.admit(100_000).unwrap();
    assert!(pace.check().is_ok() && pace.pressure().overload.is_none());
    let pace = patient(Duration::from_nanos(1));
    while pace.admit(50).is_ok() {}
    pace.publish(100_000, 100_000, &mut Meter::default());
    assert_eq!(pace.pressure().overload, Some(Overload::Backlog));
}

#[test]
fn a_request_that_was_refused_does_not_count_as_waiting() {
    let pace = pace(limits());
    pace.publish(5_000, 5_000, &mut Meter::default());
    let admitted = pace.admit(5_000).unwrap();
    assert!(pace.admit(5_000).is_err());
    assert_eq!(pace.pressure().backlog, 10_000);
    drop(admitted);
    assert_eq!(pace.pressure().backlog, 5_000);
}

#[test]
fn live_runs_and_memory_refuse_everything_new() {
    let pace = pace(PaceLimits {
        live_runs_max: 10,
        memory_bytes_max: Some(1_000),
        ..limits()
    });
    pace.publish(0, 10, &mut Meter::default());
    assert!(pace.check().is_err());
    assert_eq!(pace.pressure().overload, Some(Overload::LiveRuns));
    pace.publish(0, 8, &mut Meter::default());
    assert!(pace.check().is_ok());
    assert_eq!(pace.pressure().overload, None);
    pace.sampled(1_000);
    assert!(pace.check().is_err());
    let seen = pace.pressure();
    assert_eq!(
        (seen.overload, seen.refused),
        (Some(Overload::Memory), [0, 1, 1, 0])
    );
    pace.sampled(900);
    assert!(pace.check().is_ok());
}

#[test]
fn a_state_is_over_only_well_below_its_limit() {
    let pace = pace(limits());
    let mut meter = Meter::default();
    let mut state = |backlog| {
        pace.publish(backlog, 0, &mut meter);
        pace.pressure().overload
    };
    assert_eq!(state(1_000), None);
    assert_eq!(state(1_001), Some(Overload::Backlog));
    assert_eq!(state(600), Some(Overload::Backlog));
    assert_eq!(state(500), None);
}

#[test]
fn refused_requests_are_told_when_to_come_again() {
    let seen = |overload, backlog, ended_per_second| Pressure {
        overload,
        backlog,
        ended_per_second,
        ..pace(limits()).pressure()
    };
    assert_eq!(retry_after(&seen(None, 0, 0)), 1);
    let why = Some(Overload::Backlog);
    assert_eq!(retry_after(&seen(why, 1_500, 1_000)), 6);
    assert_eq!(retry_after(&seen(why, 100_000, 10)), 60);
    assert_eq!(retry_after(&seen(Some(Overload::Memory), 0, 0)), 5);
}
