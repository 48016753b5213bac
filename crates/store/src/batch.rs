//! The places that a batch takes up.

use dunlin_delivery as delivery;
use dunlin_engine as engine;
use dunlin_types::Seq;

use crate::port::Batch;

impl Batch {
    /// The greatest place that a row of the batch has taken; none if no row has one.
    #[must_use]
    pub fn last_seq(&self) -> Option<Seq> {
        let engine = self.engine.iter().filter_map(engine_seq);
        engine
            .chain(self.delivery.iter().filter_map(delivery_seq))
            .max()
    }
}

fn engine_seq(write: &engine::Write) -> Option<Seq> {
    use engine::Write;
    match write {
        Write::Event(event) => Some(event.seq),
        Write::Lifecycle(row) => Some(row.seq),
        Write::Run(row) => Some(row.seq),
        Write::Step(row) => Some(row.mark.seq),
        Write::Function(row) => Some(row.from),
        Write::Gather(row) => Some(row.seq),
        Write::Dedupe { .. }
        | Write::RunEnd(_)
        | Write::Image(_)
        | Write::FoldFrom(_)
        | Write::Cron(_)
        | Write::Claim(_)
        | Write::Claimed(_)
        | Write::Counter(_)
        | Write::Gathered { .. }
        | Write::GatherEnd(_)
        | Write::Dropped(_)
        | Write::Limit(_)
        | Write::LimitGone(_)
        | Write::App(_) => None,
    }
}

fn delivery_seq(write: &delivery::Write) -> Option<Seq> {
    use delivery::Write;
    match write {
        Write::Application(row) => Some(row.id),
        Write::Source(row) => Some(row.id),
        Write::PortalToken(row) => Some(row.id),
        Write::Integration(row) => Some(row.id),
        Write::Endpoint(row) => Some(row.from_seq.max(row.id)),
        Write::EndpointVersion(row) => Some(row.from_seq),
        Write::Message(row) => Some(row.seq),
        Write::Repeat(row) => Some(row.seq),
        Write::Refusal(row) => Some(row.seq),
        Write::Delivery(row) => Some(row.seq),
        Write::Attempt(row) => Some(row.seq),
        Write::Task(row) => Some(row.id),
        Write::ApplicationDeleted(_)
        | Write::SourceDeleted(_)
        | Write::PortalTokenGone(_)
        | Write::IntegrationGone(_)
        | Write::EndpointDeleted(_)
        | Write::EventType(_)
        | Write::EventTypeDeleted(_)
        | Write::ContentGone(_)
        | Write::MessageGone(_)
        | Write::ResponseGone(_)
        | Write::Health(_)
        | Write::HealthGone(_)
        | Write::Rest(_)
        | Write::Tally(_)
        | Write::DedupeGone(..)
        | Write::Dedupe(_) => None,
    }
}
