//! How a message fared at an endpoint, out of all its deliveries there.

use crate::{DeliveryRow, DeliveryState};

/// The delivery that tells how a message fared at an endpoint; none if it was not tried there. Of
/// all deliveries of that message to that endpoint: one that arrived, whatever came before or after
/// it; else one that is still being tried; else the one that ended last. What somebody asked for by
/// hand tells nothing until it has ended, because it is tried once.
#[must_use]
pub fn fate<'a>(rows: impl IntoIterator<Item = &'a DeliveryRow>) -> Option<&'a DeliveryRow> {
    let ranked = rows
        .into_iter()
        .filter_map(|row| Some(((rank(row)?, row.ended, row.seq), row)));
    ranked.max_by_key(|(rank, _)| *rank).map(|(_, row)| row)
}

fn rank(row: &DeliveryRow) -> Option<u8> {
    match row.state {
        DeliveryState::Succeeded => Some(3),
        // What it was to bring about is there.
        DeliveryState::Duplicate => Some(2),
        DeliveryState::Pending => row.trigger.is_retried().then_some(1),
        DeliveryState::Failed | DeliveryState::Cancelled => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use dunlin_types::{Seq, Timestamp};

    use super::*;
    use crate::Trigger;
    use DeliveryState::{Cancelled, Failed, Pending, Succeeded};
    use Trigger::{Manual, Replay, Scheduled};

    /// The place, from 1, of the one that tells. Each is given with when it ended.
    fn tells(rows: &[(Trigger, DeliveryState, i64)]) -> Option<u64> {
        let made = (1..).zip(rows).map(|(seq, (trigger, state, ended))| {
            let ended = (*state != Pending).then(|| Timestamp::from_ms(*ended));
            DeliveryRow {
                seq: Seq(seq),
                message: Seq(0),
                endpoint: Seq(0),
                trigger: *trigger,
                state: *state,
                tries: 0,
                next_at: None,
                created: Timestamp::ZERO,
                ended,
                code: None,
                rivals: false,
                order_key: None,
            }
        });
        let made: Vec<_> = made.collect();
        fate(&made).map(|row| row.seq.0)
    }

    #[test]
    fn what_arrived_once_has_arrived_whatever_failed_before_or_later() {
        let late = (Scheduled, Succeeded, 9);
        assert_eq!(tells(&[late, (Manual, Failed, 5)]), Some(1));
        assert_eq!(tells(&[late, (Manual, Failed, 15)]), Some(1));
        assert_eq!(tells(&[late, (Replay, Pending, 0)]), Some(1));
    }

    #[test]
    fn what_is_still_tried_has_not_failed() {
        let tried = (Scheduled, Pending, 0);
        assert_eq!(tells(&[tried, (Manual, Failed, 5)]), Some(1));
        let dead = (Scheduled, Failed, 3);
        assert_eq!(tells(&[dead, (Replay, Pending, 0)]), Some(2));
        assert_eq!(tells(&[dead, (Manual, Pending, 0)]), Some(1));
        assert_eq!(tells(&[(Manual, Pending, 0)]), None);
    }

    #[test]
    fn else_it_is_what_ended_last() {
        let (early, late) = ((Scheduled, Failed, 3), (Replay, Cancelled, 5));
        assert_eq!(tells(&[early, late]), Some(2));
        assert_eq!(tells(&[(Scheduled, Failed, 7), late]), Some(1));
        assert_eq!(tells(&[]), None);
    }
}
