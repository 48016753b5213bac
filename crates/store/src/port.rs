//! What a backend must be able to do.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

use dunlin_delivery as delivery;
use dunlin_engine as engine;
use dunlin_engine::config::{AppRow, FunctionRow, Limit};
use dunlin_engine::step::{StepMark, StepRow};
use dunlin_types::{Code, DedupeKey, Event, Seq, Timestamp, Ulid};

use crate::view::{
    AttemptFilter, EventFilter, LoggedEvent, MessageFilter, Page, RefusalCounts, RunView,
};

/// Rows of one commit.
#[derive(Debug, Default)]
pub struct Batch {
    /// Counts the commits of this store; an unknown outcome is settled by reading it back.
    pub commit_no: u64,
    /// The right under which it is written; a store that has granted a higher one refuses it.
    pub epoch: u64,
    /// Rows of the engine, in order.
    pub engine: Vec<engine::Write>,
    /// Rows of the delivery core, in order.
    pub delivery: Vec<delivery::Write>,
}

/// What came of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommitOutcome {
    /// All of it is durable.
    Done,
    /// None of it is; the same batch may succeed later (disk full, busy).
    Retry(String),
    /// None of it is, and it never will be (a constraint).
    Refused(String),
    /// Another owner has the right to write.
    Fenced,
    /// It is not known what is durable; the process must end.
    Dead(String),
}

/// A read or an opening failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct StoreError {
    /// One of the codes 07xx.
    pub code: Code,
    /// What happened.
    pub detail: String,
}

/// The result of a read.
pub type StoreResult<T> = Result<T, StoreError>;

/// What a key led to; the engine's keys compare nothing and carry zeros.
pub use dunlin_delivery::Known;

/// How a store is found at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// Counts the starts, from 1.
    pub boot: u64,
    /// The right to write that this start was granted.
    pub epoch: u64,
    /// Whether the last process ended in order (true for a new store).
    pub clean: bool,
    /// The first free place in the order of the world.
    pub next_seq: Seq,
    /// The last commit.
    pub commit_no: u64,
}

/// A row from which memory is rebuilt. They come in this order: apps, functions, time tables,
/// limits, images, runs of the tail that are live, step rows of the tail by place, counters,
/// gathers and what they gathered by place, applications, portal tokens, integrations, sources, endpoints, event types, and deliveries that
/// are pending.
#[derive(Debug)]
pub enum Restored {
    /// An app.
    App(AppRow),
    /// The newest version of a function.
    Function(Box<FunctionRow>),
    /// How far a time table has been worked off.
    Cron(engine::CronRow),
    /// A limit of an operator.
    Limit(Limit),
    /// The image of a live run.
    Image(engine::Image),
    /// A live run of the tail.
    Run(engine::RunRow),
    /// A row of the tail of the step log; its run may have ended.
    Step(StepMark),
    /// A rate's counter, lapsed or not.
    Counter(engine::CounterRow),
    /// A debounce or a batch that has not become a run.
    Gather(engine::GatherRow),
    /// An event of such a batch, beyond its first.
    Gathered {
        /// The batch.
        gather: Seq,
        /// The event.
        event: Seq,
    },
    /// An application of the management API.
    Application(Arc<delivery::Application>),
    /// A portal token, lapsed or not.
    PortalToken(Arc<delivery::PortalToken>),
    /// An integration.
    Integration(Arc<delivery::Integration>),
    /// A source.
    Source(Arc<delivery::Source>),
    /// An endpoint.
    Endpoint(Arc<delivery::Endpoint>),
    /// An event type that somebody made, changed or removed.
    EventType(Arc<delivery::EventType>),
    /// A delivery that is pending.
    Delivery(delivery::DeliveryRow),
    /// How an endpoint that fails has fared.
    Health(delivery::HealthRow),
    /// How long a receiver is left alone.
    Rest(delivery::RestRow),
    /// What was counted of an hour; the newest hours only.
    Tally(delivery::TallyRow),
    /// A task; those that run, and the newest of the others.
    Task(Arc<delivery::TaskRow>),
}

/// A backend. Cheap to share; each thread opens what it needs.
pub trait Store: Send + Sync + 'static {
    /// Opens the one writer, and claims the right to write.
    ///
    /// # Errors
    /// When the store cannot be opened, is newer than this program, or has another writer.
    fn writer(&self, now: Timestamp) -> StoreResult<(Box<dyn Writer>, Start)>;

    /// Opens a reader.
    ///
    /// # Errors
    /// When the store cannot be opened.
    fn reader(&self) -> StoreResult<Box<dyn Reader>>;
}

/// The only way to write.
pub trait Writer: Send {
    /// Makes all rows of the batch durable, or none.
    fn commit(&mut self, batch: &Batch) -> CommitOutcome;

    /// Upkeep between commits, at most a few milliseconds (a WAL checkpoint).
    fn upkeep(&mut self) {}

    /// Notes that the process ends in order.
    ///
    /// # Errors
    /// When that could not be written; the next start then counts as unclean.
    fn close(&mut self) -> StoreResult<()>;
}

/// Reads of committed rows.
pub trait Reader: Send {
    /// Hands over the rows from which memory is rebuilt.
    ///
    /// # Errors
    /// When a row cannot be read.
    fn restore(&mut self, take: &mut dyn FnMut(Restored)) -> StoreResult<()>;

    /// Step rows by their places, in the order that is asked for.
    ///
    /// # Errors
    /// As every read; also where one of them is not there.
    fn step_rows(&mut self, seqs: &[Seq]) -> StoreResult<Vec<StepRow>>;

    /// Events of which not all that they resume has been resumed, oldest first.
    ///
    /// # Errors
    /// As every read.
    fn claims(&mut self) -> StoreResult<Vec<Arc<Event>>>;

    /// Those of the keys that are known, lapsed or not: whoever asks compares `expires` with now.
    ///
    /// # Errors
    /// As every read.
    fn known(&mut self, keys: &[DedupeKey]) -> StoreResult<BTreeMap<DedupeKey, Known>>;

    /// Events by their places, in the order that is asked for.
    ///
    /// # Errors
    /// As every read; also where one of them is not there, or has no body of its own.
    fn events_at(&mut self, seqs: &[Seq]) -> StoreResult<Vec<Arc<Event>>>;

    /// A run's rows, for its ledger, with all events that started it in order. `last` is the end of its chain of step rows, its own row if
    /// there are none.
    ///
    /// # Errors
    /// As every read.
    fn ledger(&mut self, run: Seq, last: Seq) -> StoreResult<Option<engine::LedgerRows>>;

    /// An event of the log.
    ///
    /// # Errors
    /// As every read.
    fn event(&mut self, seq: Seq) -> StoreResult<Option<LoggedEvent>>;

    /// The place of the event with that internal id, seeded or not.
    ///
    /// # Errors
    /// As every read.
    fn event_of(&mut self, id: Ulid) -> StoreResult<Option<Seq>>;

    /// Events, newest first.
    ///
    /// # Errors
    /// As every read.
    fn events(&mut self, filter: &EventFilter, page: Page) -> StoreResult<Vec<LoggedEvent>>;

    /// A run.
    ///
    /// # Errors
    /// As every read.
    fn run(&mut self, run: Seq) -> StoreResult<Option<RunView>>;

    /// Runs that an event started, alone or with others, oldest first, at most a page.
    ///
    /// # Errors
    /// As every read.
    fn runs_of_event(&mut self, event: Seq, page: Page) -> StoreResult<Vec<RunView>>;

    /// Runs, newest first.
    ///
    /// # Errors
    /// As every read.
    fn runs(&mut self, page: Page) -> StoreResult<Vec<RunView>>;

    /// A run's step rows, oldest first, up to `last`. Without it the end of the chain is taken from
    /// the run's end or, while it is live, from its image and the tail of the log.
    ///
    /// # Errors
    /// As every read.
    fn steps(&mut self, run: Seq, last: Option<Seq>) -> StoreResult<Vec<StepRow>>;

    /// The functions that an event did not start because of their rules, by number.
    ///
    /// # Errors
    /// As every read.
    fn dropped_of(&mut self, event: Seq) -> StoreResult<Vec<engine::DroppedRow>>;

    /// Events that rules dropped, of one function or of all, newest event first (or oldest first if
    /// the page says so); the page goes by the event's place. It never ends within an event, so it
    /// may be longer than asked for by what else was dropped of its last one.
    ///
    /// # Errors
    /// As every read.
    fn dropped(
        &mut self,
        function: Option<u32>,
        page: Page,
    ) -> StoreResult<Vec<engine::DroppedRow>>;

    /// All limits of operators, by name.
    ///
    /// # Errors
    /// As every read.
    fn limits(&mut self) -> StoreResult<Vec<Limit>>;

    /// All apps.
    ///
    /// # Errors
    /// As every read.
    fn apps(&mut self) -> StoreResult<Vec<AppRow>>;

    /// Functions as they were for a row at that place; archived ones too.
    ///
    /// # Errors
    /// As every read.
    fn functions_at(&mut self, seq: Seq) -> StoreResult<Vec<FunctionRow>>;

    /// A message.
    ///
    /// # Errors
    /// As every read.
    fn message(&mut self, message: Seq) -> StoreResult<Option<Arc<delivery::Message>>>;

    /// Messages of an application, newest first (or oldest first if the page says so).
    ///
    /// # Errors
    /// As every read.
    fn messages(
        &mut self,
        filter: &MessageFilter,
        page: Page,
    ) -> StoreResult<Vec<Arc<delivery::Message>>>;

    /// The places of what [`Reader::messages`] gives, so that a page costs the same however large
    /// its messages are.
    ///
    /// # Errors
    /// As every read.
    fn message_places(&mut self, filter: &MessageFilter, page: Page) -> StoreResult<Vec<Seq>>;

    /// The newest message of an application with that id of its sender's.
    ///
    /// # Errors
    /// As every read.
    fn message_of_sender(&mut self, app: Seq, id: &str) -> StoreResult<Option<Seq>>;

    /// Messages whose payload is kept for longer than it should be, those that are overdue longest
    /// first, with when it was to go; those behind `after`.
    ///
    /// # Errors
    /// As every read.
    fn overdue_payloads(
        &mut self,
        now: Timestamp,
        after: Option<(Timestamp, Seq)>,
        items: usize,
    ) -> StoreResult<Vec<(Timestamp, Seq)>>;

    /// The first of those keys whose windows have ended, ascending.
    ///
    /// # Errors
    /// As every read.
    fn overdue_keys(
        &mut self,
        keys: RangeInclusive<DedupeKey>,
        now: Timestamp,
        items: usize,
    ) -> StoreResult<Vec<DedupeKey>>;

    /// When an endpoint was made, also of one that is gone.
    ///
    /// # Errors
    /// As every read.
    fn endpoint_made(&mut self, endpoint: Seq) -> StoreResult<Option<Timestamp>>;

    /// Applications that messages are of, also ones that are gone themselves: the first of them
    /// behind `after`, ascending.
    ///
    /// # Errors
    /// As every read.
    fn message_applications(&mut self, after: Option<Seq>, items: usize) -> StoreResult<Vec<Seq>>;

    /// The oldest messages of an application that came before an instant, oldest first, with when
    /// they came; those behind `after`.
    ///
    /// # Errors
    /// As every read.
    fn oldest_messages(
        &mut self,
        app: Seq,
        before: Timestamp,
        after: Option<(Timestamp, Seq)>,
        items: usize,
    ) -> StoreResult<Vec<(Timestamp, Seq)>>;

    /// Deliveries to an endpoint that were given up and whose message did not arrive there by
    /// another one nor is still tried: those that [`delivery::fate`] names. Newest first (or oldest
    /// first if the page says so); of messages from `since` on only, which costs the same however
    /// many there are of older ones.
    ///
    /// # Errors
    /// As every read.
    fn dead_letters(
        &mut self,
        endpoint: Seq,
        since: Option<Timestamp>,
        page: Page,
    ) -> StoreResult<Vec<delivery::DeliveryRow>>;

    /// What became of an endpoint's deliveries in the hours from `from` on, up to `until`
    /// exclusive, oldest first.
    ///
    /// # Errors
    /// As every read.
    fn tallies(
        &mut self,
        endpoint: Seq,
        from: u32,
        until: u32,
    ) -> StoreResult<Vec<delivery::TallyRow>>;

    /// How often a message came again, oldest first, at most a page.
    ///
    /// # Errors
    /// As every read.
    fn repeats(&mut self, message: Seq, page: Page) -> StoreResult<Vec<delivery::RepeatRow>>;

    /// What came again, of all messages, newest first (or oldest first if the page says so).
    ///
    /// # Errors
    /// As every read.
    fn newest_repeats(&mut self, page: Page) -> StoreResult<Vec<delivery::RepeatRow>>;

    /// What a source refused, newest first (or oldest first if the page says so).
    ///
    /// # Errors
    /// As every read.
    fn refusals(&mut self, source: Seq, page: Page) -> StoreResult<Vec<delivery::RefusalRow>>;

    /// How often it did.
    ///
    /// # Errors
    /// As every read.
    fn refusal_counts(&mut self, source: Seq) -> StoreResult<RefusalCounts>;

    /// Deliveries of a message, oldest first.
    ///
    /// # Errors
    /// As every read.
    fn deliveries_of(&mut self, message: Seq) -> StoreResult<Vec<delivery::DeliveryRow>>;

    /// A delivery.
    ///
    /// # Errors
    /// As every read.
    fn delivery(&mut self, delivery: Seq) -> StoreResult<Option<delivery::DeliveryRow>>;

    /// Attempts of a message or an endpoint, newest first (or oldest first if the page says so).
    ///
    /// # Errors
    /// As every read.
    fn attempts(
        &mut self,
        filter: &AttemptFilter,
        page: Page,
    ) -> StoreResult<Vec<delivery::AttemptRow>>;

    /// An attempt.
    ///
    /// # Errors
    /// As every read.
    fn attempt(&mut self, attempt: Seq) -> StoreResult<Option<delivery::AttemptRow>>;

    /// Endpoints of all applications as they were for a message at that place.
    ///
    /// # Errors
    /// As every read.
    fn endpoints_at(&mut self, seq: Seq) -> StoreResult<Vec<delivery::EndpointVersionRow>>;
}
