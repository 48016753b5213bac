//! Stories of the list of what was given up.

use dunlin_delivery as delivery;
use dunlin_delivery::DeliveryState::{self, Cancelled, Failed, Pending, Succeeded};
use dunlin_delivery::Trigger::{self, Manual, Replay, Scheduled};
use dunlin_types::{Seq, Timestamp};

use super::opened::Opened;
use super::{Harness, rows};
use crate::view::Page;

const ENDPOINT: Seq = Seq(5);
const NONE: [u64; 0] = [];

fn row(
    seq: u64,
    message: u64,
    trigger: Trigger,
    state: DeliveryState,
    ended: u64,
) -> delivery::Write {
    delivery::Write::Delivery(delivery::DeliveryRow {
        endpoint: ENDPOINT,
        trigger,
        state,
        ended: (state != Pending).then(|| rows::at(ended)),
        ..rows::delivery(seq, Seq(seq), Seq(message))
    })
}

fn listed(opened: &Opened, since: Option<Timestamp>) -> Vec<u64> {
    let mut reader = opened.reader();
    let rows = reader.dead_letters(ENDPOINT, since, Page::oldest(9));
    rows.unwrap().iter().map(|row| row.seq.0).collect()
}

/// A message stands in the list once, however often it failed, and no longer when it has arrived by
/// any of its deliveries or is tried again.
pub fn what_was_given_up_is_listed_once_and_until_it_arrives(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let messages = [1, 2].map(|n| delivery::Write::Message(rows::message(n)));
    opened.delivery(messages.to_vec());
    let mut then = |writes: Vec<delivery::Write>| {
        opened.delivery(writes);
        listed(&opened, None)
    };
    let first = then(vec![
        row(11, 1, Scheduled, Pending, 0),
        row(12, 2, Scheduled, Pending, 0),
    ]);
    assert_eq!(first, NONE);
    let both = vec![
        row(11, 1, Scheduled, Failed, 20),
        row(12, 2, Scheduled, Failed, 21),
    ];
    assert_eq!(then(both), [11, 12]);
    assert_eq!(then(vec![row(22, 1, Replay, Pending, 0)]), [12]);
    assert_eq!(then(vec![row(22, 1, Replay, Failed, 23)]), [12, 22]);
    assert_eq!(then(vec![row(24, 1, Manual, Pending, 0)]), [12, 22]);
    assert_eq!(then(vec![row(24, 1, Manual, Failed, 25)]), [12, 24]);
    // Made and ended in one commit.
    let again = vec![
        row(26, 1, Replay, Pending, 0),
        row(26, 1, Replay, Succeeded, 27),
    ];
    assert_eq!(then(again), [12]);
    // Somebody has it sent once more, which fails: it has arrived all the same.
    assert_eq!(then(vec![row(28, 1, Manual, Failed, 29)]), [12]);
    let stopped = vec![
        row(30, 2, Replay, Pending, 0),
        row(30, 2, Replay, Cancelled, 31),
    ];
    assert_eq!(then(stopped), NONE);
    assert_eq!(then(vec![delivery::Write::MessageGone(Seq(2))]), NONE);

    // By hand in vain while it was tried by itself, which arrives.
    let by_hand = vec![
        delivery::Write::Message(rows::message(32)),
        row(33, 32, Scheduled, Pending, 0),
        row(34, 32, Manual, Failed, 35),
    ];
    assert_eq!(then(by_hand.clone()), NONE);
    assert_eq!(then(vec![row(33, 32, Scheduled, Failed, 36)]), [33]);
    assert_eq!(then(vec![row(37, 32, Replay, Pending, 0)]), NONE);
    assert_eq!(then(vec![row(37, 32, Replay, Succeeded, 38)]), NONE);
    let opened = opened.restart(&*harness, true);
    assert_eq!(listed(&opened, None), NONE);
}

/// Whoever wants what failed of late need not go through all that ever failed.
pub fn what_was_given_up_is_listed_from_an_instant_on(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let messages = [1, 3, 7].map(|n| delivery::Write::Message(rows::message(n)));
    opened.delivery(messages.to_vec());
    opened.delivery(vec![
        row(8, 7, Scheduled, Failed, 20),
        row(9, 1, Scheduled, Failed, 20),
        row(10, 3, Scheduled, Failed, 20),
    ]);
    let at = |seq: u64| Some(rows::message(seq).at);
    assert_eq!(listed(&opened, at(1)), [8, 9, 10]);
    assert_eq!(listed(&opened, at(3)), [8, 10]);
    assert_eq!(listed(&opened, at(7)), [8]);
    let later = rows::message(7).at.plus_ms(1);
    assert_eq!(listed(&opened, Some(later)), NONE);
}
