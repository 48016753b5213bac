//! A tick of a time table starts a function.

use std::sync::Arc;

use dunlin_types::{Event, EventOrigin, EventParts, Payload, Timestamp, ulid_for};

use crate::core::{Engine, Work};
use crate::run::fail::escape;
use crate::write::Write;

/// The name of the event that ticks start runs with (SDK protocol, internal events).
const TIMER_EVENT: &str = "inngest/scheduled.timer";

impl Engine {
    pub(crate) fn start_tick(
        &mut self,
        work: &mut Work<'_, '_>,
        function: u32,
        schedule: &str,
        at: Timestamp,
    ) {
        let (now, seq) = (work.now(), work.seq());
        let data = format!(
            "{{\"cron\":\"{}\",\"fireAt\":\"{}\",\"scheduledAt\":\"{}\"}}",
            escape(schedule),
            now.rfc3339(),
            at.rfc3339(),
        );
        let event = Event::new(EventParts {
            seq,
            internal_id: ulid_for(now, seq),
            id: at.rfc3339(),
            name: TIMER_EVENT.to_owned(),
            received: now,
            ts: now,
            data: Payload::from_json(data),
            user: None,
            v: None,
            origin: EventOrigin::Internal,
        });
        work.write(Write::Event(Arc::clone(&event)));
        self.take_event(work, &event);
        self.start(work, function, &event, now);
    }
}
