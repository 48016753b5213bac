//! Event types: what can be sent, for people, and what is special about delivering it. Types that
//! no row describes are delivered all the same.

use std::sync::Arc;

use dunlin_types::{Code, Coded, Payload, Timestamp, limits};

use crate::application::full;
use crate::{Answer, Config, Delivery, Outcome, Write};

/// An event type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventType {
    /// Its name, which is its key.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// What is known of it; none for one that was removed and must not come back by itself,
    /// because the program knows it.
    pub fields: Option<EventTypeFields>,
}

/// What becomes of one event type.
#[derive(Clone, Debug)]
pub struct NewEventType {
    /// See [`EventType::name`].
    pub name: String,
    /// See [`EventType::fields`].
    pub fields: Option<EventTypeFields>,
}

/// What the owner of an event type sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventTypeFields {
    /// For people.
    pub description: String,
    /// Whether it is shown only to those who ask for it.
    pub archived: bool,
    /// Whether nobody should build on it any more.
    pub deprecated: bool,
    /// JSON Schemas by their version, a JSON object, with examples; none when nobody gave any.
    pub schemas: Option<Payload>,
    /// The group under which it is shown.
    pub group_name: Option<String>,
    /// Who may see it: those who have one of these, or everybody.
    pub feature_flags: Vec<String>,
    /// The delays between attempts of its deliveries; those of the server when absent.
    pub retry_schedule_ms: Option<Vec<i64>>,
}

impl Config {
    /// All event types that have a row, by name, removed ones too.
    pub fn event_types(&self) -> impl DoubleEndedIterator<Item = &Arc<EventType>> {
        self.event_types.values()
    }

    /// The row of that event type, a removed one too.
    #[must_use]
    pub fn event_type(&self, name: &str) -> Option<&Arc<EventType>> {
        self.event_types.get(name)
    }

    /// The delays that an event type has of its own.
    #[must_use]
    pub fn event_type_schedule_ms(&self, name: &str) -> Option<&[i64]> {
        let fields = self.event_type(name)?.fields.as_ref()?;
        fields.retry_schedule_ms.as_deref()
    }
}

impl Delivery {
    /// Makes event types or replaces their fields, all of them or none. Without fields one is
    /// removed, and a row says so.
    pub(crate) fn put_event_types(
        &mut self,
        types: Vec<NewEventType>,
        now: Timestamp,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        let is_new = |one: &&NewEventType| self.config.event_type(&one.name).is_none();
        let new = types.iter().filter(is_new).count();
        if self.config.event_types.len() + new > limits::EVENT_TYPES_MAX {
            return Err(full("event types", limits::EVENT_TYPES_MAX));
        }
        let put = types.into_iter().map(|one| self.put_event_type(one, now));
        let put: Vec<_> = put.collect();
        let rows = put.iter().map(Arc::clone);
        out.writes.extend(rows.map(Write::EventType));
        Ok(Answer::EventTypes(put))
    }

    fn put_event_type(&mut self, new: NewEventType, now: Timestamp) -> Arc<EventType> {
        let old = self.config.event_type(&new.name);
        let old = old.filter(|old| old.fields.is_some());
        let event_type = Arc::new(EventType {
            name: new.name,
            created: old.map_or(now, |old| old.created),
            updated: now,
            fields: new.fields,
        });
        self.restore_event_type(Arc::clone(&event_type));
        event_type
    }

    pub(crate) fn delete_event_type(
        &mut self,
        name: String,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        if self.config_mut().event_types.remove(&name).is_none() {
            return Err(Coded::plain(Code::NotFound));
        }
        out.writes.push(Write::EventTypeDeleted(name));
        Ok(Answer::Deleted)
    }

    /// Takes an event type back.
    pub fn restore_event_type(&mut self, row: Arc<EventType>) {
        self.config_mut().event_types.insert(row.name.clone(), row);
    }
}
