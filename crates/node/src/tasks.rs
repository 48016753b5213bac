//! Carries on what is long: reads the store slice by slice and has the delivery core decide on
//! each, until the task has ended. Where it was is in the store, so a restart goes on there.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use dunlin_delivery::{
    Answer, Config, DeliveryRow, DeliveryState, Input, Message, TaskFilter, TaskKind, TaskRow,
    TaskSlice, TaskStatus, Verdict, broadcast_slice, fate, hour_of, order_key, verdict,
};
use dunlin_store::{AttemptFilter, MessageFilter, Page, Reader, StoreResult};
use dunlin_types::{Code, Coded, Seq, limits};
use serde_json::{Value, json};
use tracing::warn;

use crate::handle::Node;

impl Node {
    /// Goes on with a task beside everything else. Must be called within a runtime.
    pub fn carry_on(&self, task: &Arc<TaskRow>) {
        let (node, id) = (self.clone(), task.id);
        tokio::spawn(async move {
            let mut told = None;
            while let Err(error) = node.carry_out(id).await {
                if error.code == Code::ShuttingDown {
                    return;
                }
                if told.replace(error.code) != Some(error.code) {
                    warn!(task = id.0, %error, "a task pauses and tries again");
                }
                tokio::time::sleep(Duration::from_millis(limits::TASK_PAUSE_MS)).await;
            }
        });
    }

    /// Goes on with all tasks that a stop interrupted.
    pub(crate) fn carry_on_all(&self) {
        for task in self.config().running_tasks() {
            self.carry_on(task);
        }
    }

    async fn carry_out(&self, id: Seq) -> Result<(), Coded> {
        loop {
            let config = self.config();
            let running = config.task(id).cloned();
            let Some(task) = running.filter(|task| task.status == TaskStatus::Running) else {
                return Ok(());
            };
            let read = self.read(move |reader| slice(reader, &config, &task));
            let slice = match read.await {
                // It would be found so again and again.
                Err(error) if error.code == Code::StoreCorrupt => TaskSlice {
                    failed: Some(error.code),
                    ..TaskSlice::default()
                },
                read => read?,
            };
            let input = move |token| Input::TaskSlice {
                token,
                task: id,
                slice,
            };
            if let Answer::Refused(error) = self.delivery(input).await? {
                return Err(error);
            }
        }
    }
}

/// The next slice of a task.
fn slice(reader: &mut dyn Reader, config: &Config, task: &TaskRow) -> StoreResult<TaskSlice> {
    match task.kind {
        TaskKind::Recover => failed(reader, config, task),
        TaskKind::Broadcast => Ok(broadcast_slice(config, task)),
        TaskKind::Statistics => by_application(task, "appStats", |app| {
            attempts_of(reader, config, task, app)
        }),
        TaskKind::EventTypes => {
            by_application(task, "event_types", |app| Ok(asked_for(config, app)))
        }
        _ => chosen(reader, config, task),
    }
}

// Otherwise no page would ever be full, and each the last one.
const _: () = assert!(limits::TASK_SLICE_MESSAGES <= limits::PAGE_ITEMS_MAX);

fn page(task: &TaskRow) -> Page {
    Page {
        after: Some(task.cursor),
        items: limits::TASK_SLICE_MESSAGES,
        ascending: true,
    }
}

/// What a look at one row gave.
#[derive(Default)]
struct Looked {
    /// What was read for it.
    bytes: usize,
    /// The message, if something is to be made of it, with what [`order_key`] says of it.
    found: Option<(Seq, Option<u64>)>,
}

/// Looks at a page's rows one after the other, up to the task's own place or until a lot has been
/// read.
fn walk<T>(
    task: &TaskRow,
    rows: Vec<T>,
    place: impl Fn(&T) -> Seq,
    mut look: impl FnMut(T) -> StoreResult<Looked>,
) -> StoreResult<TaskSlice> {
    let mut slice = TaskSlice {
        ended: rows.len() < page(task).limit(),
        ..TaskSlice::default()
    };
    let mut bytes = 0;
    for row in rows {
        let place = place(&row);
        if place >= task.id {
            slice.ended = true;
            break;
        }
        if bytes >= limits::TASK_SLICE_BYTES_MAX {
            slice.ended = false;
            break;
        }
        let looked = look(row)?;
        bytes += looked.bytes;
        slice.cursor = place;
        slice.looked += 1;
        slice.messages.extend(looked.found);
    }
    Ok(slice)
}

/// What was given up of messages within the span, and has not arrived otherwise.
fn failed(reader: &mut dyn Reader, config: &Config, task: &TaskRow) -> StoreResult<TaskSlice> {
    let Some(endpoint) = task.endpoint else {
        return Ok(TaskSlice {
            ended: true,
            ..TaskSlice::default()
        });
    };
    let rows = reader.dead_letters(endpoint, task.filter.since, page(task))?;
    let place = |row: &DeliveryRow| row.seq;
    walk(task, rows, place, |row| {
        let Some(message) = reader.message(row.message)? else {
            return Ok(Looked::default());
        };
        let key = || key_of(config, endpoint, &message);
        Ok(Looked {
            bytes: message.bytes(),
            found: within(task, &message).then(|| (message.seq, key())),
        })
    })
}

fn within(task: &TaskRow, message: &Message) -> bool {
    let filter = &task.filter;
    !message.test
        && !message.expired
        && filter.since.is_none_or(|since| message.at >= since)
        && filter.until.is_none_or(|until| message.at < until)
}

fn key_of(config: &Config, endpoint: Seq, message: &Message) -> Option<u64> {
    order_key(&config.endpoint(endpoint)?.config, message)
}

/// The one list that is walked: of what tells the messages apart best. A list of several together
/// might look at millions of rows before the first that fits, with a reader that others wait for.
fn list(task: &TaskRow) -> MessageFilter {
    let asked = &task.filter;
    let tag = asked.tag.clone().filter(|_| asked.channel.is_none());
    let labelled = asked.channel.is_some() || tag.is_some();
    MessageFilter {
        app: task.app,
        event_types: match labelled {
            true => Vec::new(),
            false => asked.event_types.clone(),
        },
        channel: asked.channel.clone(),
        tag,
        from: asked.since,
        until: asked.until,
    }
}

/// Whether a message of that list is one that was asked for.
fn is_asked(task: &TaskRow, message: &Message) -> bool {
    let TaskFilter {
        event_types, tag, ..
    } = &task.filter;
    (event_types.is_empty() || event_types.contains(&message.event_type))
        && tag.as_ref().is_none_or(|tag| message.tags.contains(tag))
}

/// Messages within the span of which the task wants something.
fn chosen(reader: &mut dyn Reader, config: &Config, task: &TaskRow) -> StoreResult<TaskSlice> {
    let places = reader.message_places(&list(task), page(task))?;
    walk(
        task,
        places,
        |place| *place,
        |place| {
            let Some(message) = reader.message(place)? else {
                return Ok(Looked::default());
            };
            let wanted = wanted(reader, config, task, &message)?;
            let key = || key_of(config, task.endpoint?, &message);
            Ok(Looked {
                bytes: message.bytes(),
                found: wanted.then(|| (message.seq, key())),
            })
        },
    )
}

fn wanted(
    reader: &mut dyn Reader,
    config: &Config,
    task: &TaskRow,
    message: &Message,
) -> StoreResult<bool> {
    if message.expired || !is_asked(task, message) {
        return Ok(false);
    }
    if message.test {
        // Nobody wants a sample once more; but what it holds goes with the rest.
        return Ok(task.kind == TaskKind::PurgeContent);
    }
    let Some(endpoint) = task.endpoint else {
        return Ok(true);
    };
    let Some(found) = config.endpoint(endpoint) else {
        return Ok(false);
    };
    let rows = reader.deliveries_of(message.seq)?;
    let tells = fate(rows.iter().filter(|row| row.endpoint == endpoint));
    let state = tells.map(|row| row.state);
    let matches = || verdict(&found.config, message) == Verdict::Matched;
    Ok(match task.kind {
        TaskKind::ReplayMissing => tells.is_none() && matches(),
        TaskKind::CatchUp => match state {
            None => matches(),
            Some(state) => state == DeliveryState::Failed,
        },
        TaskKind::BulkReplay => match tells {
            None => false,
            Some(row) => fits(reader, task, row)?,
        },
        _ => true,
    })
}

/// Whether a delivery ended as a bulk replay asks.
fn fits(reader: &mut dyn Reader, task: &TaskRow, row: &DeliveryRow) -> StoreResult<bool> {
    let status = match row.state {
        DeliveryState::Succeeded => 0,
        DeliveryState::Pending => 1,
        DeliveryState::Failed => 2,
        DeliveryState::Cancelled | DeliveryState::Duplicate => 4,
    };
    if task.filter.status.is_some_and(|wanted| wanted != status) {
        return Ok(false);
    }
    let Some(class) = task.filter.status_class else {
        return Ok(true);
    };
    let filter = AttemptFilter {
        message: Some(row.message),
        endpoint: Some(row.endpoint),
        ..AttemptFilter::default()
    };
    let last = reader.attempts(&filter, Page::newest(1))?;
    Ok(last
        .first()
        .is_some_and(|one| one.status / 100 * 100 == class))
}

/// Looks at some of the task's applications and adds what it finds to the list of that name.
fn by_application(
    task: &TaskRow,
    name: &str,
    mut found: impl FnMut(Seq) -> StoreResult<Option<Value>>,
) -> StoreResult<TaskSlice> {
    let at = usize::try_from(task.cursor.0).unwrap_or(usize::MAX);
    let rest = task.filter.applications.get(at..).unwrap_or_default();
    let some = &rest[..rest.len().min(limits::TASK_SLICE_MESSAGES)];
    let before: Option<Value> = serde_json::from_str(&task.result).ok();
    let mut list = match before {
        Some(Value::Object(mut before)) => match before.remove(name) {
            Some(Value::Array(list)) => list,
            _ => Vec::new(),
        },
        _ => Vec::new(),
    };
    for app in some {
        list.extend(found(*app)?);
    }
    Ok(TaskSlice {
        cursor: Seq(task.cursor.0 + some.len() as u64),
        looked: some.len() as u64,
        ended: some.len() == rest.len(),
        result: Some(json!({ name: list }).to_string()),
        ..TaskSlice::default()
    })
}

/// How many attempts an application's messages took; none for one that is gone.
fn attempts_of(
    reader: &mut dyn Reader,
    config: &Config,
    task: &TaskRow,
    app: Seq,
) -> StoreResult<Option<Value>> {
    let Some(found) = config.application(app) else {
        return Ok(None);
    };
    let from = task.filter.since.map_or(0, hour_of);
    let until = task.filter.until.map_or(u32::MAX, |at| hour_of(at) + 1);
    let mut attempts = 0;
    for endpoint in config.endpoints_of(app) {
        for row in reader.tallies(endpoint.id, from, until)? {
            attempts += u64::from(row.succeeded) + u64::from(row.attempts_failed);
        }
    }
    Ok(Some(json!({
        "appId": found.ksuid().to_string(),
        "appUid": found.uid,
        "messageDestinations": attempts,
    })))
}

/// Which event types an application's endpoints ask for; none for one that is gone.
fn asked_for(config: &Config, app: Seq) -> Option<Value> {
    let found = config.application(app)?;
    let endpoints = || config.endpoints_of(app).map(|one| &one.config.event_types);
    let types: BTreeSet<&String> = endpoints().flatten().collect();
    Some(json!({
        "appId": found.ksuid().to_string(),
        "explicitlySubscribedEventTypes": types,
        "hasCatchAllEndpoint": endpoints().any(Vec::is_empty),
    }))
}
