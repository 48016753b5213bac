//! The JSON of an event type, without its name and schemas.

use dunlin_delivery::{EventType, EventTypeFields};
use dunlin_types::{Payload, Timestamp};
use serde::{Deserialize, Serialize};

/// An event type's row.
#[derive(Serialize, Deserialize)]
pub(crate) struct EventTypeJson {
    created: i64,
    updated: i64,
    fields: Option<FieldsJson>,
}

#[derive(Serialize, Deserialize)]
struct FieldsJson {
    description: String,
    archived: bool,
    deprecated: bool,
    group_name: Option<String>,
    feature_flags: Vec<String>,
    retry_schedule_ms: Option<Vec<i64>>,
}

impl From<&EventType> for EventTypeJson {
    fn from(row: &EventType) -> Self {
        Self {
            created: row.created.ms(),
            updated: row.updated.ms(),
            fields: row.fields.as_ref().map(|fields| FieldsJson {
                description: fields.description.clone(),
                archived: fields.archived,
                deprecated: fields.deprecated,
                group_name: fields.group_name.clone(),
                feature_flags: fields.feature_flags.clone(),
                retry_schedule_ms: fields.retry_schedule_ms.clone(),
            }),
        }
    }
}

impl EventTypeJson {
    pub(crate) fn row(self, name: String, schemas: Option<Payload>) -> EventType {
        EventType {
            name,
            created: Timestamp::from_ms(self.created),
            updated: Timestamp::from_ms(self.updated),
            fields: self.fields.map(|fields| EventTypeFields {
                description: fields.description,
                archived: fields.archived,
                deprecated: fields.deprecated,
                schemas,
                group_name: fields.group_name,
                feature_flags: fields.feature_flags,
                retry_schedule_ms: fields.retry_schedule_ms,
            }),
        }
    }
}
