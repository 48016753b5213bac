//! Rows as text, with what their `Debug` hides, so that two stores can be compared.

use dunlin_delivery::{
    Endpoint, EndpointConfig, EndpointVersionRow, Message, SecretVersion, Source,
};
use dunlin_types::{Event, Seq, Timestamp};

use super::{World, rows};
use crate::port::{Reader, Restored};
use crate::view::{AttemptFilter, EventFilter, LoggedEvent, MessageFilter, Page};

pub(super) fn event(event: &Event) -> String {
    let Event {
        seq,
        internal_id,
        id,
        name,
        received,
        ts,
        data,
        user,
        v,
        origin,
        ..
    } = event;
    format!("{seq} {internal_id} {id} {name} {received} {ts} {data:?} {user:?} {v:?} {origin:?}")
}

pub(super) fn logged(one: &LoggedEvent) -> String {
    match one {
        LoggedEvent::Full(full) => event(full),
        LoggedEvent::Lifecycle(row) => format!("{row:?}"),
    }
}

pub(super) fn message(message: &Message) -> String {
    let Message {
        seq,
        at,
        app,
        source,
        event_type,
        provider_id,
        headers,
        ..
    } = message;
    let Message {
        channels,
        body,
        body_hash,
        test,
        ..
    } = message;
    format!(
        "{seq} {at} {app} {source:?} {event_type} {provider_id} {headers:?} {channels:?} {body:?} \
         {body_hash:?} {test}"
    )
}

fn secrets(secrets: &[SecretVersion]) -> String {
    let one = |s: &SecretVersion| format!("{} {} {:?}", s.secret.reveal(), s.created, s.expires);
    secrets.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn source(row: &Source) -> String {
    let url_token = row.url_token.as_ref().map(|token| token.reveal());
    format!("{row:?} {url_token:?} {}", secrets(&row.secrets))
}

fn config(config: &EndpointConfig) -> String {
    let changed = config.transformation.as_ref();
    let changed = changed.map(|t| (&t.code, t.enabled, &t.variables, t.updated));
    let EndpointConfig {
        description,
        disabled_reason,
        throttle_rate,
        metadata,
        ..
    } = config;
    let headers = &config.headers;
    format!(
        "{config:?} {description} {disabled_reason:?} {throttle_rate:?} {metadata:?} {headers:?} \
         {changed:?}"
    )
}

fn endpoint(row: &Endpoint) -> String {
    let Endpoint {
        id,
        created,
        updated,
        version,
        from_seq,
        ..
    } = row;
    let (config, secrets) = (config(&row.config), secrets(&row.secrets));
    format!("{id} {created} {updated} {version} {from_seq} {config} {secrets}")
}

fn version(row: &EndpointVersionRow) -> String {
    let EndpointVersionRow {
        endpoint,
        version,
        from_seq,
        at,
        ..
    } = row;
    format!(
        "{endpoint} {version} {from_seq} {at} {:?}",
        row.config.as_deref().map(config)
    )
}

pub(super) fn restored(row: &Restored) -> String {
    match row {
        Restored::Source(row) => format!("Source {}", source(row)),
        Restored::Endpoint(row) => format!("Endpoint {}", endpoint(row)),
        Restored::Integration(row) => format!("Integration {}", super::access::shown(row)),
        other => format!("{other:?}"),
    }
}

/// Everything that can be read of the rows before `next`.
///
/// # Panics
/// When a read fails.
#[must_use]
pub fn all(reader: &mut dyn Reader, next: Seq) -> Vec<String> {
    let mut out = Vec::new();
    reader.restore(&mut |row| out.push(restored(&row))).unwrap();
    out.push(format!("{:?}", reader.apps().unwrap()));
    out.push(format!("{:?}", reader.known(&World::keys()).unwrap()));
    out.push(format!("{:?}", reader.limits().unwrap()));
    for seq in (0..next.0).map(Seq) {
        out.push(format!("{seq}: {}", of_place(reader, seq)));
    }
    for page in pages(next) {
        out.push(format!("{page:?}: {:?}", lists(reader, page)));
    }
    out
}

fn of_place(reader: &mut dyn Reader, seq: Seq) -> String {
    let event = reader.event(seq).unwrap();
    let of_id = event
        .as_ref()
        .map(|event| reader.event_of(event.internal_id()).unwrap());
    let run = reader.run(seq).unwrap();
    let steps = reader.steps(seq, None).unwrap();
    let last = steps.last().map_or(seq, |row| row.mark.seq);
    let ledger = reader.ledger(seq, last).unwrap().map(|rows| {
        let events: Vec<String> = rows.events.iter().map(|e| super::show::event(e)).collect();
        (rows.run, events, rows.steps == steps)
    });
    let functions = reader.functions_at(seq).unwrap();
    let endpoints: Vec<String> = reader
        .endpoints_at(seq)
        .unwrap()
        .iter()
        .map(version)
        .collect();
    let message = reader
        .message(seq)
        .unwrap()
        .map(|message| super::show::message(&message));
    let delivery = reader.delivery(seq).unwrap();
    let attempt = reader.attempt(seq).unwrap();
    let event = event.as_ref().map(logged);
    let dropped = reader.dropped_of(seq).unwrap();
    format!(
        "{event:?} {of_id:?} {run:?} {steps:?} {ledger:?} {functions:?} {endpoints:?} {message:?} \
         {delivery:?} {attempt:?} {dropped:?}"
    )
}

fn pages(next: Seq) -> Vec<Page> {
    let mut pages = Vec::new();
    for after in [None, Some(Seq(next.0 / 2))] {
        for items in [2, 1_000] {
            pages.extend([true, false].map(|ascending| Page {
                after,
                items,
                ascending,
            }));
        }
    }
    pages
}

fn lists(reader: &mut dyn Reader, page: Page) -> Vec<String> {
    let mut out = Vec::new();
    for filter in event_filters() {
        let events = reader.events(&filter, page).unwrap();
        out.extend(events.iter().map(logged));
    }
    out.push(format!("{:?}", reader.runs(page).unwrap()));
    for function in [None, Some(0), Some(1)] {
        out.push(format!("{:?}", reader.dropped(function, page).unwrap()));
    }
    out.push(format!("{:?}", reader.newest_repeats(page).unwrap()));
    for source in (0..10).map(Seq) {
        let (rows, counts) = (reader.refusals(source, page), reader.refusal_counts(source));
        out.push(format!("{:?} {:?}", rows.unwrap(), counts.unwrap()));
    }
    for filter in message_filters() {
        let messages = reader.messages(&filter, page).unwrap();
        let places = reader.message_places(&filter, page).unwrap();
        assert!(messages.iter().map(|row| row.seq).eq(places));
        out.extend(messages.iter().map(|row| message(row)));
    }
    for seq in (6..18).map(Seq) {
        let (message, endpoint) = (Some(seq), Some(Seq(seq.0 % 11)));
        out.push(format!("{:?}", reader.runs_of_event(seq, page).unwrap()));
        out.push(format!("{:?}", reader.repeats(seq, page).unwrap()));
        out.push(format!("{:?}", reader.deliveries_of(seq).unwrap()));
        for (message, endpoint) in [(message, None), (None, endpoint), (message, endpoint)] {
            for (from, until) in times() {
                let filter = AttemptFilter {
                    message,
                    endpoint,
                    failed: seq.0.is_multiple_of(3),
                    from,
                    until,
                };
                out.push(format!("{:?}", reader.attempts(&filter, page).unwrap()));
            }
        }
        for since in [None, Some(rows::at(seq.0))] {
            let dead = reader.dead_letters(Seq(seq.0 % 11), since, page).unwrap();
            out.push(format!("{dead:?}"));
        }
        let tallies = reader.tallies(Seq(seq.0 % 3), 1, seq.0 as u32).unwrap();
        out.push(format!("{tallies:?}"));
        let sender = format!("evt_{seq}", seq = seq.0);
        let found = reader.message_of_sender(Seq(1), &sender).unwrap();
        out.push(format!("{found:?}"));
        let before = rows::at(seq.0);
        let now = rows::at(seq.0 + 90);
        let mut after = (None, None);
        for _ in 0..3 {
            let overdue = reader.overdue_payloads(now, after.0, 2).unwrap();
            let oldest = reader.oldest_messages(Seq(1), before, after.1, 2).unwrap();
            out.push(format!("{overdue:?} {oldest:?}"));
            after = (overdue.last().copied(), oldest.last().copied());
        }
    }
    out
}

fn times() -> [(Option<Timestamp>, Option<Timestamp>); 3] {
    [
        (None, None),
        (Some(rows::at(20)), None),
        (Some(rows::at(10)), Some(rows::at(60))),
    ]
}

fn event_filters() -> Vec<EventFilter> {
    let names = [
        None,
        Some(rows::NAMES[0]),
        Some("inngest/function.finished"),
        Some("no such"),
    ];
    let mut filters = Vec::new();
    for name in names {
        for (received_from, received_until) in times() {
            let name = name.map(str::to_owned);
            filters.push(EventFilter {
                name,
                received_from,
                received_until,
            });
        }
    }
    filters
}

fn message_filters() -> Vec<MessageFilter> {
    let mut filters = Vec::new();
    for types in [&[][..], &[rows::NAMES[0], rows::NAMES[2]], &["no such"]] {
        for (from, until) in times() {
            let event_types: Vec<_> = types.iter().map(|&name| name.to_owned()).collect();
            for (channel, tag) in [(None, None), (Some("c1"), None), (Some("c0"), Some("t0"))] {
                filters.push(MessageFilter {
                    app: Seq(1),
                    event_types: Vec::clone(&event_types),
                    channel: channel.map(str::to_owned),
                    tag: tag.map(str::to_owned),
                    from,
                    until,
                });
            }
        }
    }
    filters
}
