//! Priority: a run goes before others of its queue that were made up to so many seconds earlier.

use dunlin_expr::Value;
use dunlin_types::Timestamp;
use dunlin_types::limits::PRIORITY_SECS_MAX;

use crate::flow::admission::Key;

/// What the expression says, within bounds; 0 for what is no number.
pub(crate) fn seconds(key: &Key, event: &Value, now: Timestamp) -> i32 {
    let said = key.answer(event, now).and_then(|answer| answer.as_int());
    let bounded = said
        .unwrap_or(0)
        .clamp(-PRIORITY_SECS_MAX, PRIORITY_SECS_MAX);
    i32::try_from(bounded).unwrap_or(0)
}

/// Where a run stands among those of its queue: the smaller goes first.
pub(crate) fn score(created: Timestamp, seconds: i32) -> i64 {
    created.ms() - 1_000 * i64::from(seconds)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A value as it stands in an event, and the seconds that it means.
    fn said() -> impl Strategy<Value = (String, i64)> {
        let most = PRIORITY_SECS_MAX;
        prop_oneof![
            (-100_i64..100).prop_map(|n| (n.to_string(), n)),
            any::<i64>().prop_map(move |n| (n.to_string(), n.clamp(-most, most))),
            Just(("\"high\"".to_owned(), 0)),
            Just(("null".to_owned(), 0)),
            Just(("[1]".to_owned(), 0)),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn runs_stand_as_if_they_had_been_made_so_much_earlier(
            runs in prop::collection::vec((0_i64..200_000, said()), 2..10),
        ) {
            let key = Key::new("event.data.p");
            let (mut queue, mut naive) = (Vec::new(), Vec::new());
            for (n, (made, (text, means))) in runs.into_iter().enumerate() {
                let event = format!("{{\"data\":{{\"p\":{text}}}}}");
                let event = dunlin_expr::parse_json(event.as_bytes());
                let found = seconds(&key, &event, Timestamp::ZERO);
                prop_assert_eq!(i64::from(found), means, "{}", text);
                queue.push((score(Timestamp::from_ms(made), found), n));
                naive.push((made - means * 1_000, n));
            }
            queue.sort_unstable();
            naive.sort_unstable();
            prop_assert_eq!(queue, naive);
        }
    }
}
