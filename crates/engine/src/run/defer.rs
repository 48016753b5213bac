//! Functions that a run asked to have started when it has ended.

use std::sync::Arc;

use dunlin_types::{Event, EventOrigin, EventParts, Payload, Seq, ulid_for};

use crate::core::{Engine, Work};
use crate::ledger::Ledger;
use crate::run::fail::escape;
use crate::run::invoke::with_member;
use crate::write::Write;

/// The name of the event that starts them (SDK protocol, defer).
const DEFERRED_EVENT: &str = "inngest/deferred.schedule";

impl Engine {
    /// Publishes one event for each, whatever became of the run.
    pub(crate) fn start_deferred(
        &mut self,
        work: &mut Work<'_, '_>,
        run: Seq,
        function: u32,
        ledger: &Ledger,
    ) {
        for spec in ledger.state.defers.values() {
            let spec = dunlin_expr::parse_json(spec.bytes());
            let function = self.catalog.function(function);
            let parent = function.map_or("", |f| f.row.slug.as_str());
            let slug = spec.get("fn_slug").and_then(|slug| slug.as_str());
            let own = format!(
                "{{\"fn_slug\":\"{}\",\"parent_fn_slug\":\"{}\",\"parent_run_id\":\"{}\"}}",
                escape(slug.unwrap_or_default()),
                escape(parent),
                ulid_for(ledger.created, run),
            );
            let input = spec.get("input").filter(|input| input.is_object());
            let input = input.map_or_else(|| "{}".to_owned(), ToString::to_string);
            let (now, seq) = (work.now(), work.seq());
            let internal_id = ulid_for(now, seq);
            let event = Event::new(EventParts {
                seq,
                internal_id,
                id: internal_id.to_string(),
                name: DEFERRED_EVENT.to_owned(),
                received: now,
                ts: now,
                data: with_member(&Payload::from_json(input), "_inngest", &own),
                user: None,
                v: None,
                origin: EventOrigin::Internal,
            });
            work.write(Write::Event(Arc::clone(&event)));
            self.later.push_back((event, None));
        }
    }
}
