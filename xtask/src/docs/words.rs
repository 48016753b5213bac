//! Numbers as people read them, with the unit that a constant's name ends in.

/// Words behind the unit in a constant's name.
const QUALIFIERS: [&str; 4] = ["MAX", "MIN", "DEFAULT", "BELOW"];

const BYTES: [(i128, &str); 2] = [(1024 * 1024, "MiB"), (1024, "KiB")];
const TIMES_MS: [(i128, &str); 4] = [
    (24 * 60 * 60 * 1000, "d"),
    (60 * 60 * 1000, "h"),
    (60 * 1000, "min"),
    (1000, "s"),
];
/// Beyond this a number of milliseconds is a date and no duration.
const DURATION_MS_MAX: i128 = 1000 * 24 * 60 * 60 * 1000;

/// A value with the unit of that name: `3 MiB`, `24 h`, `5,000 events`.
pub(super) fn with_unit(name: &str, value: i128) -> String {
    let mut words: Vec<&str> = name.split('_').collect();
    while words.last().is_some_and(|word| QUALIFIERS.contains(word)) {
        words.pop();
    }
    let last = words.last().copied().unwrap_or_default();
    match last {
        "BYTES" => scaled(value, &BYTES, "bytes"),
        "KIB" => scaled(value * 1024, &BYTES, "bytes"),
        "MS" if value.abs() <= DURATION_MS_MAX => scaled(value, &TIMES_MS, "ms"),
        "MS" => format!("{} ms", grouped(value)),
        "SECS" => scaled(value * 1000, &TIMES_MS, "ms"),
        "PERCENT" => format!("{value} %"),
        "CHARS" => format!("{} characters", grouped(value)),
        _ => {
            let counted = words.iter().skip_while(|word| !word.ends_with('S'));
            let counted: Vec<String> = counted.map(|word| word.to_lowercase()).collect();
            format!("{} {}", grouped(value), counted.join(" "))
                .trim_end()
                .to_owned()
        }
    }
}

/// A number of bytes.
pub(super) fn bytes(value: i128) -> String {
    scaled(value, &BYTES, "bytes")
}

/// In the largest unit that leaves a whole number, but days only from two on.
fn scaled(value: i128, units: &[(i128, &str)], smallest: &str) -> String {
    let fits = |(size, unit): &&(i128, &str)| {
        let least = if *unit == "d" { 2 * size } else { *size };
        value >= least && value % size == 0
    };
    match units.iter().find(fits) {
        Some((size, unit)) => format!("{} {unit}", grouped(value / size)),
        None => format!("{} {smallest}", grouped(value)),
    }
}

fn grouped(value: i128) -> String {
    let digits = value.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        let left = digits.len() - at;
        if at > 0 && left.is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_from_names() {
        for (name, value, expected) in [
            ("EVENT_BYTES_MAX", 3 << 20, "3 MiB"),
            ("STATE_BYTES_MAX", (4 << 20) - 1024, "4,095 KiB"),
            ("CACHE_KIB", 8 * 1024, "8 MiB"),
            ("DEDUPE_MS", 86_400_000, "24 h"),
            ("SLEEP_MS_MAX", 366 * 86_400_000, "366 d"),
            ("WALL_MS_MAX", 1500, "1,500 ms"),
            ("TS_MS_MIN", 315_532_800_000, "315,532,800,000 ms"),
            ("BACKOFF_SECS", 90, "90 s"),
            ("BACKOFF_SECS", 300, "5 min"),
            ("BATCH_EVENTS_MAX", 5000, "5,000 events"),
            ("CALLS_IN_FLIGHT_MAX", 4096, "4,096 calls in flight"),
            ("CARD_EVENTS_HELD_MAX", 64, "64 events held"),
            ("INTAKE_WAITING_MAX", 8192, "8,192"),
            ("NAME_CHARS_MAX", 512, "512 characters"),
            ("JITTER_PERCENT", 20, "20 %"),
        ] {
            assert_eq!(with_unit(name, value), expected, "{name}");
        }
    }
}
