//! The JSON in which tasks are kept.

use std::sync::Arc;

use bytes::Bytes;
use dunlin_delivery::{NewMessage, TaskFilter, TaskKind, TaskRow, TaskStatus};
use dunlin_types::{Code, Seq, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct TaskJson {
    created: i64,
    updated: i64,
    kind: String,
    app: u64,
    endpoint: Option<u64>,
    since: Option<i64>,
    until: Option<i64>,
    event_types: Vec<String>,
    channel: Option<String>,
    tag: Option<String>,
    state: Option<u8>,
    status_class: Option<u16>,
    applications: Vec<u64>,
    cursor: u64,
    looked: u64,
    changed: u64,
    result: String,
    code: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    given: Option<GivenJson>,
}

/// A message that is to be made. Its texts are JSON, so they are UTF-8.
#[derive(Serialize, Deserialize)]
struct GivenJson {
    id: String,
    event_type: String,
    hash: [u8; 16],
    channels: Vec<String>,
    tags: Vec<String>,
    deliver_at: Option<i64>,
    retention_ms: Option<i64>,
    params: Option<String>,
    body: String,
}

impl From<&NewMessage> for GivenJson {
    fn from(new: &NewMessage) -> Self {
        let text = |bytes: &Bytes| String::from_utf8_lossy(bytes).into_owned();
        Self {
            id: new.provider_id.clone(),
            event_type: new.event_type.clone(),
            hash: new.body_hash,
            channels: new.channels.clone(),
            tags: new.tags.clone(),
            deliver_at: new.deliver_at.map(Timestamp::ms),
            retention_ms: new.retention_ms,
            params: new.params.as_ref().map(text),
            body: text(&new.body),
        }
    }
}

impl From<GivenJson> for NewMessage {
    fn from(json: GivenJson) -> Self {
        Self {
            provider_id: json.id,
            event_type: json.event_type,
            body: json.body.into(),
            body_hash: json.hash,
            headers: Vec::new(),
            channels: json.channels,
            tags: json.tags,
            deliver_at: json.deliver_at.map(Timestamp::from_ms),
            retention_ms: json.retention_ms,
            params: json.params.map(Bytes::from),
        }
    }
}

impl From<&TaskRow> for TaskJson {
    fn from(row: &TaskRow) -> Self {
        let filter = row.filter.clone();
        Self {
            created: row.created.ms(),
            updated: row.updated.ms(),
            kind: row.kind.name().to_owned(),
            app: row.app.0,
            endpoint: row.endpoint.map(|id| id.0),
            since: filter.since.map(Timestamp::ms),
            until: filter.until.map(Timestamp::ms),
            event_types: filter.event_types,
            channel: filter.channel,
            tag: filter.tag,
            state: filter.status,
            status_class: filter.status_class,
            applications: filter.applications.into_iter().map(|id| id.0).collect(),
            cursor: row.cursor.0,
            looked: row.looked,
            changed: row.changed,
            result: row.result.clone(),
            code: row.code.map(Code::number),
            given: filter.given.as_deref().map(GivenJson::from),
        }
    }
}

impl TaskJson {
    /// The row; none if it cannot be understood.
    pub(crate) fn row(self, id: Seq, status: u8) -> Option<TaskRow> {
        let kinds = [
            TaskKind::Recover,
            TaskKind::ReplayMissing,
            TaskKind::BulkReplay,
            TaskKind::PurgeContent,
            TaskKind::Statistics,
            TaskKind::CatchUp,
            TaskKind::EventTypes,
            TaskKind::Broadcast,
        ];
        let statuses = [
            TaskStatus::Running,
            TaskStatus::Finished,
            TaskStatus::Failed,
        ];
        Some(TaskRow {
            id,
            created: Timestamp::from_ms(self.created),
            updated: Timestamp::from_ms(self.updated),
            kind: kinds.into_iter().find(|kind| kind.name() == self.kind)?,
            status: statuses.into_iter().find(|one| *one as u8 == status)?,
            app: Seq(self.app),
            endpoint: self.endpoint.map(Seq),
            filter: TaskFilter {
                since: self.since.map(Timestamp::from_ms),
                until: self.until.map(Timestamp::from_ms),
                event_types: self.event_types,
                channel: self.channel,
                tag: self.tag,
                status: self.state,
                status_class: self.status_class,
                applications: self.applications.into_iter().map(Seq).collect(),
                given: self.given.map(|given| Arc::new(given.into())),
            },
            cursor: Seq(self.cursor),
            looked: self.looked,
            changed: self.changed,
            result: self.result,
            code: self.code.and_then(Code::from_number),
        })
    }
}
