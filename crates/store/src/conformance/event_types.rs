//! Stories of event types.

use std::sync::Arc;

use dunlin_delivery::{EventType, EventTypeFields, Write};
use dunlin_types::Payload;

use super::opened::Opened;
use super::{Harness, rows, show};
use crate::port::Restored;

pub(super) fn event_type(n: u64, name: u64) -> Arc<EventType> {
    let some = |k: u64| (n / k).is_multiple_of(2);
    let fields = EventTypeFields {
        description: format!("number {n}"),
        archived: some(2),
        deprecated: some(4),
        schemas: some(1).then(|| Payload::from_json(format!(r#"{{ "1": {{"title":"é{n}"}} }}"#))),
        group_name: some(2).then(|| format!("group.{n}")),
        feature_flags: (0..n % 3).map(|k| format!("flag-{k}")).collect(),
        retry_schedule_ms: some(3).then(|| (0..n as i64 % 4).map(|k| k * 1000).collect()),
    };
    Arc::new(EventType {
        name: format!("type.{name}"),
        created: rows::at(name),
        updated: rows::at(n),
        fields: (n % 5 != 4).then_some(fields),
    })
}

/// They come back by name, as they were last written, those that were removed as such.
pub fn event_types_are_kept_by_their_name(make: &dyn Fn() -> Box<dyn Harness>) {
    let harness = make();
    let mut opened = Opened::new(&*harness);
    let put = |n: u64, name: u64| Write::EventType(event_type(n, name));
    opened.delivery(vec![put(2, 3), put(10, 1), put(4, 2)]);
    opened.delivery(vec![
        put(11, 3),
        put(5, 4),
        Write::EventTypeDeleted("type.1".to_owned()),
    ]);
    let opened = opened.restart(&*harness, true);
    let mut read = Vec::new();
    let mut take = |row| {
        if let Restored::EventType(_) = row {
            read.push(show::restored(&row));
        }
    };
    opened.reader().restore(&mut take).unwrap();
    let expected = [event_type(4, 2), event_type(11, 3), event_type(5, 4)];
    let expected = expected.map(|row| show::restored(&Restored::EventType(row)));
    assert_eq!(read, expected);
}
