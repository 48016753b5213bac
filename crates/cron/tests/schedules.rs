//! Schedules with known times, and texts that are none.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use dunlin_cron::Schedule;
use dunlin_types::{Code, Timestamp};

fn at(text: &str) -> Timestamp {
    Timestamp::parse_rfc3339(text).unwrap()
}

/// The times of a schedule after an instant, in the form `2026-03-29T01:00`.
fn times(schedule: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(schedule).unwrap();
    let mut now = at(after);
    let mut found = Vec::new();
    for _ in 0..count {
        let next = schedule.next_after(now).unwrap();
        assert_eq!(schedule.latest_until(now, next), Some(next));
        assert_eq!(schedule.latest_until(now, next.plus_ms(-1)), None);
        found.push(next.rfc3339()[..16].to_owned());
        now = next;
    }
    found
}

#[test]
fn every_form_of_a_field_is_understood() {
    for (schedule, wanted) in [
        ("* * * * *", ["2026-11-18T03:15", "2026-11-18T03:16"]),
        ("*/20 * * * *", ["2026-11-18T03:20", "2026-11-18T03:40"]),
        ("5,10 4-5 * * *", ["2026-11-18T04:05", "2026-11-18T04:10"]),
        ("7/25 3 ? * ?", ["2026-11-18T03:32", "2026-11-18T03:57"]),
        ("0 8-18/10 * * *", ["2026-11-18T08:00", "2026-11-18T18:00"]),
        ("0 0 1 JAN,jul *", ["2027-01-01T00:00", "2027-07-01T00:00"]),
        ("0 0 * * Mon-WED", ["2026-11-23T00:00", "2026-11-24T00:00"]),
        ("0 0 * * 7", ["2026-11-22T00:00", "2026-11-29T00:00"]),
        ("0 0 * * 5-7", ["2026-11-20T00:00", "2026-11-21T00:00"]),
        ("0 0 * * 3/2", ["2026-11-20T00:00", "2026-11-25T00:00"]),
        ("0 0 29 2 *", ["2028-02-29T00:00", "2032-02-29T00:00"]),
        ("0 0 31 * *", ["2026-12-31T00:00", "2027-01-31T00:00"]),
        // Both kinds of days: either suffices.
        ("0 0 13 * FRI", ["2026-11-20T00:00", "2026-11-27T00:00"]),
        ("0 0 20 * TUE", ["2026-11-20T00:00", "2026-11-24T00:00"]),
        ("0 0 */30 * TUE", ["2026-11-24T00:00", "2026-12-01T00:00"]),
        ("  0\t0  1 1 * ", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ("@hourly", ["2026-11-18T04:00", "2026-11-18T05:00"]),
        ("@daily", ["2026-11-19T00:00", "2026-11-20T00:00"]),
        ("@midnight", ["2026-11-19T00:00", "2026-11-20T00:00"]),
        ("@weekly", ["2026-11-22T00:00", "2026-11-29T00:00"]),
        ("@monthly", ["2026-12-01T00:00", "2027-01-01T00:00"]),
        ("@yearly", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        ("@Annually", ["2027-01-01T00:00", "2028-01-01T00:00"]),
        (
            "TZ=Europe/Oslo 0 9 * * *",
            ["2026-11-18T08:00", "2026-11-19T08:00"],
        ),
        (
            "CRON_TZ=Asia/Kolkata  30 9 * * *",
            ["2026-11-18T04:00", "2026-11-19T04:00"],
        ),
        (
            "TZ=asia/tokyo @daily",
            ["2026-11-18T15:00", "2026-11-19T15:00"],
        ),
    ] {
        assert_eq!(
            times(schedule, "2026-11-18T03:14:13.5Z", 2),
            wanted,
            "{schedule}"
        );
    }
}

#[test]
fn the_next_time_is_strictly_later() {
    let schedule = Schedule::parse("0 12 * * *").unwrap();
    let noon = at("2026-11-18T12:00:00Z");
    let tomorrow = Some(at("2026-11-19T12:00:00Z"));
    assert_eq!(schedule.next_after(noon.plus_ms(-1)), Some(noon));
    assert_eq!(schedule.next_after(noon), tomorrow);
    assert_eq!(schedule.next_after(noon.plus_ms(1)), tomorrow);
}

#[test]
fn a_time_in_the_spring_gap_comes_at_its_end_and_once() {
    for (schedule, after, wanted) in [
        (
            "TZ=Europe/Oslo 30 2 * * *",
            "2026-03-28T00:00:00Z",
            ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"],
        ),
        (
            "TZ=Europe/Oslo 0,30 2,3 * * *",
            "2026-03-29T00:00:00Z",
            ["2026-03-29T01:00", "2026-03-29T01:30", "2026-03-30T00:00"],
        ),
        (
            "TZ=Europe/Oslo */30 * * * *",
            "2026-03-29T00:00:00Z",
            ["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"],
        ),
        (
            "TZ=America/New_York 15 2 * * *",
            "2026-03-07T08:00:00Z",
            ["2026-03-08T07:00", "2026-03-09T06:15", "2026-03-10T06:15"],
        ),
        // Half an hour is skipped: 02:00 becomes 02:30.
        (
            "TZ=Australia/Lord_Howe 10 2 * * *",
            "2026-10-03T00:00:00Z",
            ["2026-10-03T15:30", "2026-10-04T15:10", "2026-10-05T15:10"],
        ),
        // The clocks change at midnight.
        (
            "TZ=America/Santiago 0 0 * * *",
            "2026-09-05T05:00:00Z",
            ["2026-09-06T04:00", "2026-09-07T03:00", "2026-09-08T03:00"],
        ),
        // A whole day was skipped.
        (
            "TZ=Pacific/Apia 0 9 * * *",
            "2011-12-29T12:00:00Z",
            ["2011-12-29T19:00", "2011-12-30T10:00", "2011-12-30T19:00"],
        ),
    ] {
        assert_eq!(times(schedule, after, 3), wanted, "{schedule}");
    }
}

#[test]
fn a_repeated_time_comes_once_unless_the_schedule_is_an_interval() {
    for (schedule, after, wanted) in [
        (
            "TZ=Europe/Oslo 30 2 * * *",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T00:30", "2026-10-26T01:30", "2026-10-27T01:30"],
        ),
        (
            "TZ=Europe/Oslo 30 2,3 * * *",
            "2026-10-24T12:00:00Z",
            ["2026-10-25T00:30", "2026-10-25T02:30", "2026-10-26T01:30"],
        ),
        (
            "TZ=Europe/Oslo 30 * * * *",
            "2026-10-25T00:00:00Z",
            ["2026-10-25T00:30", "2026-10-25T01:30", "2026-10-25T02:30"],
        ),
        (
            "TZ=America/New_York */30 1 * * *",
            "2026-11-01T05:15:00Z",
            ["2026-11-01T05:30", "2026-11-01T06:00", "2026-11-01T06:30"],
        ),
        (
            "TZ=America/New_York 0 1 * * *",
            "2026-11-01T00:00:00Z",
            ["2026-11-01T05:00", "2026-11-02T06:00", "2026-11-03T06:00"],
        ),
        // Half an hour is repeated: 02:00 becomes 01:30.
        (
            "TZ=Australia/Lord_Howe 45 1 * * *",
            "2026-04-04T12:00:00Z",
            ["2026-04-04T14:45", "2026-04-05T15:15", "2026-04-06T15:15"],
        ),
        (
            "TZ=Australia/Lord_Howe 45 1/1 * * *",
            "2026-04-04T14:00:00Z",
            ["2026-04-04T14:45", "2026-04-04T15:15", "2026-04-04T16:15"],
        ),
    ] {
        assert_eq!(times(schedule, after, 3), wanted, "{schedule}");
    }
}

#[test]
fn the_latest_time_of_years_is_found_at_once() {
    let from = at("1990-01-01T00:00:00Z");
    let until = at("2026-11-18T03:14:13Z");
    for (schedule, wanted) in [
        ("* * * * *", "2026-11-18T03:14:00Z"),
        ("@yearly", "2026-01-01T00:00:00Z"),
        ("0 0 29 2 *", "2024-02-29T00:00:00Z"),
        ("TZ=Europe/Oslo 30 2 29 MAR *", "2026-03-29T01:00:00Z"),
        ("TZ=Europe/Oslo 30 2 25 10 *", "2026-10-25T00:30:00Z"),
    ] {
        let schedule = Schedule::parse(schedule).unwrap();
        let found = schedule.latest_until(from, until);
        assert_eq!(found, Some(at(wanted)), "{schedule:?}");
        assert_eq!(schedule.latest_until(at(wanted), until), None);
        assert_eq!(schedule.latest_until(until, from), None);
    }
    let leap = Schedule::parse("0 0 29 2 *").unwrap();
    let before = at("1904-02-28T00:00:00Z");
    let found = leap.latest_until(at("1890-01-01T00:00:00Z"), before);
    assert_eq!(found, Some(at("1896-02-29T00:00:00Z")));
}

#[test]
fn instants_at_the_ends_of_time_are_no_danger() {
    let schedule = Schedule::parse("TZ=Europe/Oslo */5 * 29 2 MON").unwrap();
    for ms in [
        i64::MIN,
        i64::MIN + 1,
        -377_705_116_800_000,
        253_402_207_200_000,
        i64::MAX,
    ] {
        let at = Timestamp::from_ms(ms);
        let _ = schedule.next_after(at);
        let _ = schedule.latest_until(at, Timestamp::MAX);
        let _ = schedule.latest_until(Timestamp::from_ms(i64::MIN), at);
    }
    assert_eq!(schedule.next_after(Timestamp::MAX), None);
}

#[test]
fn what_is_wrong_with_a_text_is_said() {
    let long = format!("0 0 {} * *", "1,".repeat(124) + "1");
    for (text, wanted) in [
        ("", "0 fields"),
        ("* * * *", "4 fields"),
        ("0 * * * * *", "none for seconds"),
        ("0 0 0 1 1 * 2026", "7 fields"),
        ("60 * * * *", "not in 0-59, as a minute"),
        ("* 24 * * *", "not in 0-23"),
        ("* * 0 * *", "not in 1-31"),
        ("* * * 13 *", "not in 1-12"),
        ("* * * * 8", "not in 0-7"),
        ("* * * foo *", "`foo` is no month"),
        ("mon * * * *", "`mon` is no minute"),
        ("-1 * * * *", "`` is no minute"),
        ("+1 * * * *", "no minute"),
        ("1, * * * *", "`` is no minute"),
        ("5-1 * * * *", "backwards"),
        ("* * * * fri-sun", "backwards"),
        ("*/0 * * * *", "step"),
        ("*/x * * * *", "step"),
        ("*/5/5 * * * *", "step"),
        ("0 0 L * *", "`L` is no day"),
        ("0 0 31 2 *", "no date ever"),
        ("0 0 30,31 feb *", "no date ever"),
        ("0 0 31 4,6,9,11 *", "no date ever"),
        ("@every 5m", "@every"),
        ("@fortnightly", "no schedule"),
        ("TZ=Mars/Base 0 0 * * *", "no time zone `Mars/Base`"),
        ("TZ= 0 0 * * *", "no time zone"),
        ("TZ=Local 0 0 * * *", "no time zone"),
        ("TZ=../etc/passwd 0 0 * * *", "no time zone"),
        ("TZ=Europe/Oslo", "0 fields"),
        (&long, "longer than 255"),
    ] {
        let error = Schedule::parse(text).unwrap_err();
        assert_eq!(error.code, Code::ScheduleBad, "{text}");
        assert!(error.detail.contains(wanted), "{text}: {}", error.detail);
    }
    let longest = format!("0 0 {} * *", "1,".repeat(123) + "1");
    assert_eq!(Schedule::parse(&longest).unwrap().text(), longest);
}
