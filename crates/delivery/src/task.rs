//! Tasks: what is long and goes on beside everything else, such as sending again all that failed.
//!
//! Somebody outside reads the store slice by slice and hands each slice in; the rows a slice asks
//! for and how far the task has come are one commit, so that after a crash it goes on where it was.

use std::sync::Arc;

use dunlin_types::{Code, Coded, Ksuid, KsuidKind, Seq, Timestamp, Token, limits};

use crate::{
    Answer, Config, Context, Delivery, DeliveryRow, EndpointConfig, FilterInput, Loaded, Message,
    NewMessage, Outcome, Trigger, Write, operational,
};

/// What a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskKind {
    /// Sends again what failed at an endpoint.
    Recover = 0,
    /// Sends what was never tried at an endpoint.
    ReplayMissing = 1,
    /// Sends again what fits a filter.
    BulkReplay = 2,
    /// Takes the payloads of an application's messages away.
    PurgeContent = 3,
    /// Counts messages by application.
    Statistics = 4,
    /// Sends again, or for the first time, all since an endpoint began to fail.
    CatchUp = 5,
    /// Gathers the event types that each application's endpoints ask for.
    EventTypes = 6,
    /// Makes one message for each application.
    Broadcast = 7,
}

impl TaskKind {
    /// Its name, after the foreign API where that has one.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Recover => "endpoint.recover",
            Self::ReplayMissing => "endpoint.replay",
            Self::BulkReplay => "endpoint.bulk-replay",
            Self::PurgeContent => "application.purge_content",
            Self::Statistics => "application.stats",
            Self::CatchUp => "endpoint.catch-up",
            Self::EventTypes => "event-type.aggregate",
            Self::Broadcast => "message.broadcast",
        }
    }
}

impl TaskKind {
    /// Whether it is over all applications, the administrator's, and not one application's own.
    const fn is_over_all(self) -> bool {
        matches!(self, Self::Statistics | Self::EventTypes | Self::Broadcast)
    }
}

/// How a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TaskStatus {
    /// It goes on.
    Running = 0,
    /// It is done.
    Finished = 1,
    /// It was given up.
    Failed = 2,
}

impl TaskStatus {
    /// Its name in the foreign API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }
}

/// Which messages a task is about.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct TaskFilter {
    /// Messages from then on.
    pub since: Option<Timestamp>,
    /// Messages before then.
    pub until: Option<Timestamp>,
    /// Of these types; all when empty.
    pub event_types: Vec<String>,
    /// In that channel.
    pub channel: Option<String>,
    /// With that tag.
    pub tag: Option<String>,
    /// Whose last attempt ended so: a number of the foreign API.
    pub status: Option<u8>,
    /// Whose last answer had that class, such as 500.
    pub status_class: Option<u16>,
    /// Of these applications; for statistics.
    pub applications: Vec<Seq>,
    /// The one that is to be made; for broadcasts, and as long as they run.
    pub given: Option<Arc<NewMessage>>,
}

/// The fields of a new [`TaskRow`].
#[derive(Clone, Debug)]
pub struct NewTask {
    /// What it does.
    pub kind: TaskKind,
    /// For which application.
    pub app: Seq,
    /// At which endpoint.
    pub endpoint: Option<Seq>,
    /// About which messages.
    pub filter: TaskFilter,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskRow {
    /// Its row; messages after it are none of its business.
    pub id: Seq,
    /// When it began.
    pub created: Timestamp,
    /// When it last came further.
    pub updated: Timestamp,
    /// What it does.
    pub kind: TaskKind,
    /// How it stands.
    pub status: TaskStatus,
    /// For which application.
    pub app: Seq,
    /// At which endpoint.
    pub endpoint: Option<Seq>,
    /// About which messages.
    pub filter: TaskFilter,
    /// The last message that was looked at.
    pub cursor: Seq,
    /// Messages that were looked at.
    pub looked: u64,
    /// Messages of which something was made.
    pub changed: u64,
    /// What it found: JSON, empty if nothing is to be told.
    pub result: String,
    /// Why it was given up.
    pub code: Option<Code>,
}

impl TaskRow {
    /// The id users see.
    #[must_use]
    pub fn ksuid(&self) -> Ksuid {
        Ksuid::new(KsuidKind::Task, self.created, self.id)
    }
}

/// What a slice of the store holds for a task.
#[derive(Clone, Debug, Default)]
pub struct TaskSlice {
    /// Messages of which something is to be made, oldest first, each with what
    /// [`order_key`] says of it.
    pub messages: Vec<(Seq, Option<u64>)>,
    /// The last message that was looked at.
    pub cursor: Seq,
    /// Messages that were looked at.
    pub looked: u64,
    /// Whether there is no more.
    pub ended: bool,
    /// What has been found so far, where the task is to find something.
    pub result: Option<String>,
    /// Why there is nothing and never will be: the task is given up.
    pub failed: Option<Code>,
}

/// A task that waits until its endpoint has less to do.
#[derive(Debug)]
pub(crate) struct Parked {
    token: Token,
    task: Seq,
}

/// What a message has in common at an endpoint with those that must not overtake it.
#[must_use]
pub fn order_key(config: &EndpointConfig, message: &Message) -> Option<u64> {
    let path = config.ordering_key.as_ref()?;
    let input = FilterInput::new(&message.event_type, &message.body, &message.headers);
    path.key_hash(input.payload())
}

impl Config {
    /// Whether one more task may begin. Those over all applications count by themselves, so that
    /// no application's tasks keep them from beginning.
    ///
    /// # Errors
    /// `BadRequest` while as many are running as may.
    pub fn room_for_task(&self, kind: TaskKind, app: Seq) -> Result<(), Coded> {
        let over_all = kind.is_over_all();
        let beside = |one: &&Arc<TaskRow>| one.kind.is_over_all() == over_all;
        let (mut all, mut own, mut broadcasts) = (0, 0, 0);
        for one in self.running_tasks().filter(beside) {
            all += 1;
            own += usize::from(over_all || one.app == app);
            broadcasts += usize::from(one.kind == TaskKind::Broadcast);
        }
        let (what, most) = if all >= limits::TASKS_RUNNING_MAX {
            ("tasks", limits::TASKS_RUNNING_MAX)
        } else if kind == TaskKind::Broadcast && broadcasts >= limits::BROADCASTS_RUNNING_MAX {
            ("broadcasts", limits::BROADCASTS_RUNNING_MAX)
        } else if own >= limits::TASKS_RUNNING_PER_APPLICATION_MAX {
            let what = match over_all {
                true => "tasks over all applications",
                false => "tasks of the application",
            };
            (what, limits::TASKS_RUNNING_PER_APPLICATION_MAX)
        } else {
            return Ok(());
        };
        let detail = format!("{most} {what} are running; wait until one has ended");
        Err(Coded::new(Code::BadRequest, detail))
    }
}

impl Delivery {
    pub(crate) fn start_task(
        &mut self,
        new: NewTask,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> Result<Answer, Coded> {
        self.config.room_for_task(new.kind, new.app)?;
        if let Some(endpoint) = new.endpoint
            && self.endpoint(endpoint)?.config.disabled
        {
            return Err(Coded::plain(Code::EndpointDisabled));
        }
        let row = TaskRow {
            id: cx.seq(),
            created: cx.now,
            updated: cx.now,
            kind: new.kind,
            status: TaskStatus::Running,
            app: new.app,
            endpoint: new.endpoint,
            filter: new.filter,
            cursor: Seq(0),
            looked: 0,
            changed: 0,
            result: String::new(),
            code: None,
        };
        Ok(Answer::Task(self.put_task(row, out)))
    }

    fn put_task(&mut self, row: TaskRow, out: &mut Outcome) -> Arc<TaskRow> {
        let row = Arc::new(row);
        self.config_mut().put_task(Arc::clone(&row));
        out.writes.push(Write::Task(Arc::clone(&row)));
        row
    }

    pub(crate) fn task_slice(
        &mut self,
        token: Token,
        task: Seq,
        slice: TaskSlice,
        loaded: &Loaded,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let running = self.config.task(task).cloned();
        let Some(row) = running.filter(|row| row.status == TaskStatus::Running) else {
            return out.answer(token, Answer::Refused(Coded::plain(Code::NotFound)));
        };
        if let Some(endpoint) = row.endpoint
            && slice.failed.is_none()
            && self.has_too_much_to_do(endpoint)
        {
            // The slice is dropped: until there is room, much of it may have arrived.
            let parked = Parked { token, task };
            self.parked.entry(endpoint).or_default().push(parked);
            return;
        }
        let row = self.sliced(TaskRow::clone(&row), slice, loaded, cx, out);
        let row = self.put_task(row, out);
        if row.status != TaskStatus::Running {
            self.tell(operational::task_finished(&row), cx, out);
        }
        out.answer(token, Answer::Task(row));
        self.start_ready(cx, out);
    }

    fn sliced(
        &mut self,
        mut row: TaskRow,
        slice: TaskSlice,
        loaded: &Loaded,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> TaskRow {
        row.updated = cx.now;
        if slice.failed.is_some() {
            row.status = TaskStatus::Failed;
            row.code = slice.failed;
            row.filter.given = None;
            return row;
        }
        let from = row.cursor;
        row.cursor = slice.cursor.max(row.cursor);
        row.looked += slice.looked;
        if let Some(result) = slice.result {
            row.result = result;
        }
        if slice.ended {
            row.status = TaskStatus::Finished;
        }
        match (row.kind, row.endpoint) {
            (TaskKind::Statistics | TaskKind::EventTypes, _) => {}
            (TaskKind::Broadcast, _) => self.broadcast(&mut row, from, loaded, cx, out),
            (TaskKind::PurgeContent, _) => {
                let messages = slice.messages.into_iter().map(|(message, _)| message);
                row.changed += self.content_gone(messages, true, cx, out) as u64;
            }
            (_, Some(endpoint)) => {
                let open = self.config.endpoint(endpoint);
                match open.is_some_and(|found| !found.config.disabled) {
                    true => row.changed += self.replay(endpoint, slice.messages, cx, out),
                    false => {
                        row.status = TaskStatus::Failed;
                        row.code = Some(Code::EndpointDisabled);
                    }
                }
            }
            (_, None) => row.status = TaskStatus::Failed,
        }
        row
    }

    /// One more delivery of each message, unless one is pending that is tried more than once.
    fn replay(
        &mut self,
        endpoint: Seq,
        messages: Vec<(Seq, Option<u64>)>,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) -> u64 {
        let mut made = 0;
        for (message, order_key) in messages {
            let is_tried = |hot: &crate::queue::Hot| {
                hot.row.endpoint == endpoint && hot.row.trigger.is_retried()
            };
            if self.queue.of_message(message).any(is_tried) {
                continue;
            }
            let row = DeliveryRow {
                order_key,
                ..crate::accept::pending(cx, message, endpoint, Trigger::Replay)
            };
            out.writes.push(Write::Delivery(row.clone()));
            self.queue.add_ready(row, Token::NONE, cx.now);
            made += 1;
        }
        made
    }

    /// Whether tasks must wait until more has been sent. One that is disabled sends nothing.
    pub(crate) fn has_too_much_to_do(&self, endpoint: Seq) -> bool {
        let found = self.config.endpoint(endpoint);
        found.is_some_and(|found| !found.config.disabled)
            && self.queue.pending_of(endpoint) >= self.options.replays_waiting_max
    }

    /// Has the tasks go on that waited until the endpoint has less to do: whoever reads the store
    /// for them looks again from where they are.
    pub(crate) fn unpark(&mut self, endpoint: Seq, out: &mut Outcome) {
        if self.parked.is_empty() || self.has_too_much_to_do(endpoint) {
            return;
        }
        for one in self.parked.remove(&endpoint).unwrap_or_default() {
            let gone = || Answer::Refused(Coded::plain(Code::NotFound));
            let task = self.config.task(one.task).cloned();
            out.answer(one.token, task.map_or_else(gone, Answer::Task));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telling::Told;
    use crate::{DEFAULT_APPLICATION, Input};

    fn begun(told: &mut Told, kind: TaskKind, app: Seq) -> Answer {
        let new = NewTask {
            kind,
            app,
            endpoint: None,
            filter: TaskFilter::default(),
        };
        let (token, new) = (Token(1), Box::new(new));
        told.tell(Input::StartTask { token, new })
    }

    #[test]
    fn one_applications_tasks_leave_room_for_those_of_others_and_of_all() {
        let mut told = Told::new();
        let mut begins = |kind, app| match begun(&mut told, kind, Seq(app)) {
            Answer::Task(_) => None,
            Answer::Refused(error) => Some(error.to_string()),
            other => panic!("{other:?}"),
        };
        for _ in 0..limits::TASKS_RUNNING_PER_APPLICATION_MAX {
            assert_eq!(begins(TaskKind::PurgeContent, 0), None);
        }
        let why = begins(TaskKind::PurgeContent, 0).expect("there is no room");
        assert!(
            why.contains("10 tasks of the application are running"),
            "{why}"
        );
        assert_eq!(begins(TaskKind::PurgeContent, 7), None);
        assert_eq!(begins(TaskKind::Statistics, 0), None);
        assert_eq!(begins(TaskKind::EventTypes, 0), None);
    }

    #[test]
    fn a_task_whose_messages_cannot_be_read_is_given_up_and_says_why() {
        let mut told = Told::new();
        let begun = begun(&mut told, TaskKind::PurgeContent, DEFAULT_APPLICATION);
        let Answer::Task(task) = begun else {
            panic!("{begun:?}");
        };
        let slice = TaskSlice {
            failed: Some(Code::StoreCorrupt),
            ..TaskSlice::default()
        };
        let (token, task) = (Token(1), task.id);
        let answer = told.tell(Input::TaskSlice { token, task, slice });
        let Answer::Task(row) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(
            (row.status, row.code),
            (TaskStatus::Failed, Some(Code::StoreCorrupt))
        );
    }
}
