//! Sans-IO core for sources, messages, endpoints and deliveries: it decides which endpoints a
//! message goes to, when each is tried, and what each try means.
//!
//! It must never read a clock, draw a random number, touch a file or the network, or know a foreign
//! format: time and seed come with each input, rows and effects go out as values.

mod accept;
mod access;
mod application;
mod attempt;
mod audit;
mod broadcast;
mod config;
mod effect;
mod endpoint;
mod event_type;
mod fate;
mod filter;
mod fresh;
mod health;
mod input;
mod json_path;
mod keep;
mod lane;
mod operational;
mod queue;
mod recover;
mod refusal;
mod rival;
mod route;
mod schedule;
mod secrets;
mod source;
mod tally;
mod task;
#[cfg(test)]
mod telling;
mod trial;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;

use dunlin_types::{DedupeKey, Seq, Timestamp, limits};

pub use access::{
    Access, AccessChange, AccessKey, Capabilities, Capability, Integration, IntegrationFields,
    KeyHash, KeyHolder, NewPortalToken, PortalToken,
};
pub use application::{Application, DEFAULT_APPLICATION, NewApplication, Retention};
pub use broadcast::broadcast_slice;
pub use config::Config;
pub use dunlin_types::{SourceConfig, SourceKind, SourceMode};
pub use effect::{Answer, AttemptEffect, Effect, Emit, Held, Outcome, Standing};
pub use endpoint::{Endpoint, EndpointConfig, EndpointTls, Transformation};
pub use event_type::{EventType, EventTypeFields, NewEventType};
pub use fate::fate;
pub use filter::{Filter, FilterError, FilterInput, Mismatch};
pub use input::{AboutMessage, AttemptOutcome, Attempted, Control, Input, NewMessage};
pub use json_path::{JsonPath, JsonPathError};
pub use queue::blocker::{Blocker, Finds, First};
pub use refusal::{NewRefusal, RefusalRow};
pub use route::{Verdict, by_labels, verdict};
pub use secrets::SecretVersion;
pub use source::{NewSource, Source, SourceFields};
pub use tally::hour_of;
pub use task::{NewTask, TaskFilter, TaskKind, TaskRow, TaskSlice, TaskStatus, order_key};
pub use trial::trial_row;
pub use write::{
    AttemptHeaders, AttemptResult, AttemptRow, DedupeRow, DeliveryRow, DeliveryState,
    EndpointVersionRow, HealthRow, Message, RepeatRow, RestRow, TallyRow, Trigger, Write,
};

/// The URL of a card endpoint that delivers into this server's own event log.
pub const INTERNAL_EVENTS_URL: &str = "internal://events";

/// What the operator may set.
#[derive(Clone, Debug)]
pub struct DeliveryOptions {
    /// Every delay between attempts, instead of the schedule, its jitter and its floors.
    pub retry_interval_ms: Option<i64>,
    /// URLs that begin with one of these are this server's own event API: delivery to them is in
    /// process, as to [`INTERNAL_EVENTS_URL`].
    pub own_event_urls: Vec<String>,
    /// Deliveries of one endpoint in flight.
    pub in_flight_per_endpoint_max: usize,
    /// Deliveries in flight.
    pub in_flight_max: usize,
    /// How long every attempt at an endpoint must have failed until it is disabled; 0 for never.
    pub disable_after_ms: i64,
    /// Pending deliveries of an endpoint beyond which no task adds more.
    pub replays_waiting_max: usize,
}

impl Default for DeliveryOptions {
    fn default() -> Self {
        Self {
            retry_interval_ms: None,
            own_event_urls: Vec::new(),
            in_flight_per_endpoint_max: limits::DELIVERIES_IN_FLIGHT_PER_ENDPOINT_MAX,
            in_flight_max: limits::DELIVERIES_IN_FLIGHT_MAX,
            disable_after_ms: limits::ENDPOINT_DISABLED_AFTER_MS,
            replays_waiting_max: limits::REPLAYS_WAITING_MAX,
        }
    }
}

/// What a decision may draw on besides the input.
pub struct Context<'a> {
    /// The instant of the decision; never earlier than that of the one before.
    pub now: Timestamp,
    /// The input's seed, from which jitter comes.
    pub seed: u64,
    /// The next number of the shard's sequence.
    pub next_seq: &'a mut dyn FnMut() -> Seq,
}

impl Context<'_> {
    fn seq(&mut self) -> Seq {
        (self.next_seq)()
    }
}

/// The cold rows that an input needs at hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Dedupe rows, where they exist.
    pub dedupe: Vec<DedupeKey>,
}

/// What a dedupe row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// For a provider's id the first message; for a card event the endpoint that made it.
    pub seq: Seq,
    /// When that was.
    pub at: Timestamp,
    /// The hash of the first message's body.
    pub hash: [u8; 16],
    /// From when on it counts for nothing.
    pub expires: Timestamp,
}

/// The cold rows that [`Delivery::needs`] asked for, those that the same turn is about to commit
/// included.
#[derive(Clone, Debug, Default)]
pub struct Loaded {
    /// Dedupe rows by key.
    pub known: BTreeMap<DedupeKey, Known>,
}

/// The core. Everything in it can be rebuilt from its rows.
pub struct Delivery {
    options: DeliveryOptions,
    config: Arc<Config>,
    queue: queue::Queue,
    rivals: rival::Rivals,
    health: health::Health,
    tallies: tally::Tallies,
    fresh: fresh::Fresh,
    /// Slices of tasks by the endpoint that has too much to do for them.
    parked: BTreeMap<Seq, Vec<task::Parked>>,
    wipes: keep::Wipes,
    /// Whether nothing starts any more.
    draining: bool,
}

impl Delivery {
    /// A core that knows nothing but the application `default`.
    #[must_use]
    pub fn new(options: DeliveryOptions) -> Self {
        let caps = queue::Caps {
            per_endpoint: options.in_flight_per_endpoint_max,
            total: options.in_flight_max,
        };
        Self {
            options,
            config: Arc::new(Config::with_default_application()),
            queue: queue::Queue::new(caps),
            rivals: rival::Rivals::default(),
            health: health::Health::default(),
            tallies: tally::Tallies::default(),
            fresh: fresh::Fresh::default(),
            parked: BTreeMap::new(),
            wipes: keep::Wipes::default(),
            draining: false,
        }
    }

    /// Which cold rows `handle` wants for this input.
    #[must_use]
    pub fn needs(&self, input: &Input) -> Needs {
        let keys = match input {
            Input::Accept {
                source, message, ..
            } => [
                Some(accept::message_key(*source, &message.provider_id)),
                None,
            ],
            Input::CreateMessage {
                application,
                message,
                idempotency,
                ..
            } => [
                accept::event_id_key(*application, &message.provider_id),
                *idempotency,
            ],
            Input::Attempted(attempted) => [self.event_key_of(attempted), None],
            Input::TaskSlice { task, slice, .. } => {
                let dedupe = self.broadcast_keys(*task, slice);
                return Needs { dedupe };
            }
            _ => [None, None],
        };
        Needs {
            dedupe: keys.into_iter().flatten().collect(),
        }
    }

    /// Decides one input.
    pub fn handle(&mut self, input: Input, loaded: &Loaded, cx: &mut Context<'_>) -> Outcome {
        let mut out = Outcome::default();
        match input {
            Input::Accept {
                token,
                source,
                message,
            } => self.accept(token, source, message, loaded, cx, &mut out),
            Input::Attempted(attempted) => self.attempted(*attempted, loaded, cx, &mut out),
            Input::Due { delivery } => self.due(delivery, cx, &mut out),
            Input::Opens { endpoint } => {
                self.queue.opens(endpoint, cx.now);
                self.start_ready(cx, &mut out);
            }
            Input::CreateMessage {
                token,
                application,
                message,
                idempotency,
            } => {
                let creation = accept::Creation {
                    token,
                    application,
                    message,
                    idempotency,
                };
                self.create_message(creation, loaded, cx, &mut out);
            }
            Input::TaskSlice { token, task, slice } => {
                self.task_slice(token, task, slice, loaded, cx, &mut out);
            }
            Input::CancelPending {
                token,
                endpoint,
                created_before,
                after,
            } => {
                let before = created_before;
                self.cancel_pending(token, endpoint, before, after, cx, &mut out);
            }
            Input::Resend {
                token,
                message,
                endpoint,
            } => self.resend(token, message, endpoint, cx, &mut out),
            Input::SendTest {
                token,
                endpoint,
                message,
                wait,
            } => self.send_test(token, endpoint, message, wait, cx, &mut out),
            other => self.manage(other, cx, &mut out),
        }
        out
    }

    /// Management inputs: each answers with the row as it is now, or with a refusal.
    fn manage(&mut self, input: Input, cx: &mut Context<'_>, out: &mut Outcome) {
        let (token, answer) = match input {
            Input::CreateApplication { token, new } => {
                (token, self.create_application(new, cx, out))
            }
            Input::UpdateApplication {
                token,
                application,
                new,
            } => (token, self.update_application(application, new, cx, out)),
            Input::OperationalApplication { token } => {
                (token, Ok(self.operational_application(cx, out)))
            }
            Input::DeleteApplication { token, application } => {
                let answer = self.delete_application(application, cx, out);
                if answer.is_ok() {
                    self.end_access_to(application, out);
                }
                (token, answer)
            }
            Input::Access { token, change } => (token, self.change_access(*change, cx, out)),
            source @ (Input::CreateSource { .. }
            | Input::UpdateSource { .. }
            | Input::SetSourceUrl { .. }
            | Input::NoteRefusal { .. }
            | Input::DeleteSource { .. }
            | Input::RotateSourceSecret { .. }) => return self.manage_source(source, cx, out),
            endpoint @ (Input::CreateEndpoint { .. }
            | Input::UpdateEndpoint { .. }
            | Input::DeleteEndpoint { .. }
            | Input::RotateEndpointSecret { .. }) => {
                return self.manage_endpoint(endpoint, cx, out);
            }
            content @ (Input::Expunge { .. }
            | Input::ExpungeAttempt { .. }
            | Input::Standing { .. }
            | Input::Blockers { .. }
            | Input::Purge { .. }
            | Input::ForgetKeys { .. }
            | Input::StartTask { .. }) => return self.manage_content(content, cx, out),
            Input::PutEventTypes { token, types } => {
                (token, self.put_event_types(types, cx.now, out))
            }
            Input::DeleteEventType { token, name } => (token, self.delete_event_type(name, out)),
            // `handle` has taken these.
            Input::Accept { .. }
            | Input::CreateMessage { .. }
            | Input::TaskSlice { .. }
            | Input::CancelPending { .. }
            | Input::Opens { .. }
            | Input::Attempted(_)
            | Input::Due { .. }
            | Input::Resend { .. }
            | Input::SendTest { .. } => return,
        };
        out.answer(token, answer.unwrap_or_else(Answer::Refused));
    }

    /// Of those inputs the ones about endpoints.
    fn manage_endpoint(&mut self, input: Input, cx: &mut Context<'_>, out: &mut Outcome) {
        let (token, answer) = match input {
            Input::CreateEndpoint {
                token,
                config,
                secret,
            } => (token, self.create_endpoint(*config, secret, cx, out)),
            Input::UpdateEndpoint {
                token,
                endpoint,
                config,
                was_disabled,
            } => {
                let answer = self.update_endpoint(endpoint, *config, was_disabled, cx, out);
                (token, answer)
            }
            Input::DeleteEndpoint { token, endpoint } => {
                (token, self.delete_endpoint(endpoint, cx, out))
            }
            Input::RotateEndpointSecret {
                token,
                endpoint,
                secret,
                grace_ms,
            } => (
                token,
                self.rotate_endpoint(endpoint, secret, grace_ms, cx.now, out),
            ),
            _ => return,
        };
        out.answer(token, answer.unwrap_or_else(Answer::Refused));
    }

    /// Of those inputs the ones about what is kept.
    fn manage_content(&mut self, input: Input, cx: &mut Context<'_>, out: &mut Outcome) {
        let (token, answer) = match input {
            Input::Expunge {
                token,
                messages,
                even_pending,
            } => (token, Ok(self.expunge(messages, even_pending, cx, out))),
            Input::ExpungeAttempt { token, attempt } => {
                out.writes.push(Write::ResponseGone(attempt));
                (token, Ok(Answer::Changed(1)))
            }
            Input::Standing { token, endpoint } => {
                let standing = self.queue.standing(endpoint, cx.now);
                (token, Ok(Answer::Standing(standing)))
            }
            Input::Blockers { token, message } => {
                let blockers = self.blockers(message, cx.now);
                (token, Ok(Answer::Blockers(blockers)))
            }
            Input::Purge { token, messages } => (token, Ok(self.purge(messages, out))),
            Input::ForgetKeys { token, keys } => (token, Ok(keep::forget_keys(keys, cx.now, out))),
            Input::StartTask { token, new } => (token, self.start_task(*new, cx, out)),
            _ => return,
        };
        out.answer(token, answer.unwrap_or_else(Answer::Refused));
    }

    /// When the next delivery is due.
    #[must_use]
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.queue.next_wake().filter(|_| !self.draining)
    }

    /// No more attempts start from here on: what is to be sent is left to the next process. Those
    /// under way may end.
    pub fn drain(&mut self) {
        self.draining = true;
    }

    /// Takes up to `max` deliveries that are due at `now`; each must be handed to `handle`.
    pub fn take_due(&mut self, now: Timestamp, max: usize) -> Vec<Input> {
        if self.draining {
            return Vec::new();
        }
        let open = self.queue.take_open(now, max);
        let due = self.queue.take_due(now, max - open.len());
        let opens = open.into_iter().map(|endpoint| Input::Opens { endpoint });
        let due = due.into_iter().map(|delivery| Input::Due { delivery });
        opens.chain(due).collect()
    }

    /// Applications, sources and endpoints as they are now; cheap, and shared until one changes.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config)
    }

    /// The rows of all pending deliveries, in order.
    pub fn pending(&self) -> impl Iterator<Item = &DeliveryRow> {
        self.queue.rows()
    }

    /// How many attempts are under way.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.queue.in_flight()
    }

    /// Whether messages for that endpoint end in this server's own event log.
    #[must_use]
    pub fn is_in_process(&self, endpoint: &EndpointConfig) -> bool {
        let own = |url: &String| endpoint.url.starts_with(url.as_str());
        endpoint.url == INTERNAL_EVENTS_URL || self.options.own_event_urls.iter().any(own)
    }

    fn config_mut(&mut self) -> &mut Config {
        Arc::make_mut(&mut self.config)
    }
}
