//! Stories of what messages leave behind when their content goes, or their application.

use dunlin_delivery as delivery;
use dunlin_types::Seq;

use super::opened::Opened;
use super::{Harness, rows};
use crate::port::Reader;
use crate::view::Page;

fn logs(reader: &mut dyn Reader, attempt: u64) -> Vec<String> {
    reader.attempt(Seq(attempt)).unwrap().unwrap().logs.clone()
}

/// What a script printed may be what it was given, so it goes with the payload or the response.
pub fn what_scripts_printed_goes_with_the_content(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let deliveries = [
        rows::delivery(3, Seq(3), Seq(1)),
        rows::delivery(4, Seq(4), Seq(2)),
    ];
    let [of_one, of_two] = &deliveries;
    let attempts = [(5, of_one), (8, of_one), (11, of_two), (14, of_two)];
    let messages = [1, 2].map(|n| delivery::Write::Message(rows::message(n)));
    let mut writes = messages.to_vec();
    writes.extend(deliveries.iter().cloned().map(delivery::Write::Delivery));
    for (n, of) in attempts {
        writes.push(delivery::Write::Attempt(Box::new(rows::attempt(n, of))));
    }
    opened.delivery(writes);
    let mut reader = opened.reader();
    let printed = ["line 0", "line 1"];
    for (n, _) in attempts {
        assert_eq!(logs(&mut *reader, n), printed);
    }
    drop(reader);
    opened.delivery(vec![
        delivery::Write::ContentGone(Seq(1)),
        delivery::Write::ResponseGone(Seq(14)),
    ]);
    let mut reader = opened.reader();
    let left: Vec<_> = attempts.map(|(n, _)| logs(&mut *reader, n).len()).to_vec();
    assert_eq!(left, [0, 0, 2, 0]);
    let one = reader.attempt(Seq(5)).unwrap().unwrap();
    assert_eq!(one.response, rows::attempt(5, of_one).response);
}

/// Who is to take away old messages finds those whose application nobody knows any more.
pub fn applications_are_listed_as_long_as_there_are_messages_of_them(
    make: &dyn Fn() -> Box<dyn Harness>,
) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let of = |n: u64, app: u64| {
        let row = delivery::Message {
            app: Seq(app),
            ..(*rows::message(n)).clone()
        };
        delivery::Write::Message(std::sync::Arc::new(row))
    };
    assert_eq!(opened.reader().message_applications(None, 9).unwrap(), []);
    opened.delivery(vec![of(1, 9), of(2, 0), of(3, 4), of(4, 9), of(5, 0)]);
    opened.delivery(vec![delivery::Write::ApplicationDeleted(Seq(4))]);
    let listed = |opened: &Opened, after, items| {
        let mut reader = opened.reader();
        reader.message_applications(after, items).unwrap()
    };
    assert_eq!(listed(&opened, None, 9), [Seq(0), Seq(4), Seq(9)]);
    assert_eq!(listed(&opened, None, 2), [Seq(0), Seq(4)]);
    assert_eq!(listed(&opened, Some(Seq(0)), 9), [Seq(4), Seq(9)]);
    assert_eq!(listed(&opened, Some(Seq(9)), 9), []);
    opened.delivery(vec![delivery::Write::MessageGone(Seq(3))]);
    assert_eq!(listed(&opened, None, 9), [Seq(0), Seq(9)]);
}

/// A provider may send a message again after it was taken away: its id is known for longer.
pub fn repeats_go_with_their_message_and_none_comes_after_it(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let again = |n: u64, of: u64| delivery::Write::Repeat(rows::repeat(n, Seq(of)));
    let of = |opened: &Opened, message| {
        let rows = opened.reader().repeats(Seq(message), Page::oldest(9));
        let rows = rows.unwrap().into_iter().map(|row| row.seq.0);
        rows.collect::<Vec<_>>()
    };
    let all = |opened: &Opened| {
        let rows = opened.reader().newest_repeats(Page::oldest(9)).unwrap();
        rows.into_iter().map(|row| row.seq.0).collect::<Vec<_>>()
    };
    let message = |n| delivery::Write::Message(rows::message(n));
    opened.delivery(vec![message(1), message(2), again(3, 1), again(4, 2)]);
    opened.delivery(vec![again(5, 1)]);
    assert_eq!(of(&opened, 1), [3, 5]);
    opened.delivery(vec![delivery::Write::ContentGone(Seq(1)), again(6, 1)]);
    assert_eq!(of(&opened, 1), [3, 5, 6]);
    opened.delivery(vec![delivery::Write::MessageGone(Seq(1)), again(7, 1)]);
    opened.delivery(vec![again(8, 1), again(9, 2)]);
    assert_eq!((of(&opened, 1), of(&opened, 2)), (vec![], vec![4, 9]));
    assert_eq!(all(&opened), [4, 9]);
    let opened = opened.restart(&*harness, true);
    assert_eq!(all(&opened), [4, 9]);
}
