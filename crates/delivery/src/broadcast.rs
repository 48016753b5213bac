//! One message for each application, made by a task. Whoever takes slices says how far each goes;
//! the sender's own id keeps an application that has the message from getting it again.

use dunlin_types::{DedupeKey, Seq, limits};

use crate::accept::event_id_key;
use crate::{
    Config, Context, Delivery, Loaded, NewMessage, Outcome, TaskKind, TaskRow, TaskSlice,
    TaskStatus,
};

/// The applications of a broadcast from that one on, of those that there were when it began.
fn meant(config: &Config, task: &TaskRow, from: Seq) -> impl Iterator<Item = Seq> {
    let rest = config.applications_from(from).map(|app| app.id);
    let began = task.id;
    rest.take_while(move |app| *app < began)
}

/// How far the next slice of a broadcast goes: as many applications as one commit may hold
/// messages for.
#[must_use]
pub fn broadcast_slice(config: &Config, task: &TaskRow) -> TaskSlice {
    let bytes = task.filter.given.as_ref().map_or(1, |given| given.bytes());
    let most = limits::BROADCAST_COMMIT_BYTES_MAX / bytes.max(1);
    let most = most.clamp(1, limits::BROADCAST_COMMIT_MESSAGES_MAX);
    let some: Vec<Seq> = meant(config, task, task.cursor).take(most).collect();
    TaskSlice {
        cursor: some.last().map_or(task.cursor, |last| Seq(last.0 + 1)),
        looked: some.len() as u64,
        ended: some.len() < most,
        ..TaskSlice::default()
    }
}

impl Delivery {
    /// The keys by which applications know the message of a broadcast, as far as a slice goes.
    pub(crate) fn broadcast_keys(&self, task: Seq, slice: &TaskSlice) -> Vec<DedupeKey> {
        let task = self.config.task(task);
        let Some(task) = task.filter(|task| task.kind == TaskKind::Broadcast) else {
            return Vec::new();
        };
        let id = task.filter.given.as_ref().map(|given| &*given.provider_id);
        let apps = meant(&self.config, task, task.cursor).take_while(|app| *app < slice.cursor);
        apps.filter_map(|app| event_id_key(app, id.unwrap_or_default()))
            .collect()
    }

    /// The message for the applications of a slice that begins there.
    pub(crate) fn broadcast(
        &mut self,
        row: &mut TaskRow,
        from: Seq,
        loaded: &Loaded,
        cx: &mut Context<'_>,
        out: &mut Outcome,
    ) {
        let Some(message) = row.filter.given.clone() else {
            row.status = TaskStatus::Failed;
            return;
        };
        let until = row.cursor;
        let apps = meant(&self.config, row, from).take_while(|app| *app < until);
        let now = cx.now;
        let is_new = |app: &Seq| {
            let key = event_id_key(*app, &message.provider_id);
            let known = key.and_then(|key| loaded.known.get(&key));
            known.is_none_or(|known| known.expires <= now)
        };
        for app in apps.filter(is_new).collect::<Vec<_>>() {
            self.take_in_as_own(app, NewMessage::clone(&message), cx, out);
            row.changed += 1;
        }
        if row.status != TaskStatus::Running {
            row.filter.given = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use dunlin_types::{Code, Token};

    use super::*;
    use crate::telling::Told;
    use crate::{Answer, DEFAULT_APPLICATION, Input, NewApplication, NewTask, TaskFilter, Write};

    fn broadcast() -> Input {
        let given = NewMessage {
            event_type: "a.b".to_owned(),
            body: bytes::Bytes::from(vec![b' '; limits::BROADCAST_COMMIT_BYTES_MAX / 2]),
            ..NewMessage::default()
        };
        let new = NewTask {
            kind: TaskKind::Broadcast,
            app: DEFAULT_APPLICATION,
            endpoint: None,
            filter: TaskFilter {
                given: Some(Arc::new(given)),
                ..TaskFilter::default()
            },
        };
        Input::StartTask {
            token: Token(1),
            new: Box::new(new),
        }
    }

    fn row(answer: Answer) -> Arc<TaskRow> {
        match answer {
            Answer::Task(row) => row,
            other => panic!("no task: {other:?}"),
        }
    }

    #[test]
    fn a_broadcast_makes_no_more_in_a_commit_than_its_bytes_allow_and_keeps_nothing() {
        let mut told = Told::new();
        let application = |told: &mut Told| {
            let new = NewApplication {
                name: "one".to_owned(),
                ..NewApplication::default()
            };
            let token = Token(1);
            told.tell(Input::CreateApplication { token, new });
        };
        (0..2).for_each(|_| application(&mut told));
        let task = row(told.tell(broadcast())).id;
        application(&mut told);
        let mut slice = || {
            let running = told.core.config().task(task).cloned().expect("it is there");
            let slice = broadcast_slice(&told.core.config(), &running);
            let token = Token(1);
            let input = Input::TaskSlice { token, task, slice };
            let (answer, writes) = told.tell_all(input);
            let made = writes.iter().filter_map(|write| match write {
                Write::Message(message) => Some(message.app),
                _ => None,
            });
            (row(answer), made.collect::<Vec<Seq>>())
        };
        let (first, made) = slice();
        assert_eq!(
            (first.status, made),
            (TaskStatus::Running, vec![Seq(0), Seq(1)])
        );
        let (last, made) = slice();
        assert_eq!((last.status, last.changed), (TaskStatus::Finished, 3));
        assert_eq!(made, [Seq(2)], "who came later is not meant");
        assert_eq!(last.filter.given, None);
    }

    #[test]
    fn broadcasts_are_few_at_a_time() {
        let mut told = Told::new();
        for _ in 0..limits::BROADCASTS_RUNNING_MAX {
            row(told.tell(broadcast()));
        }
        let (answer, writes) = told.tell_all(broadcast());
        assert!(matches!(answer, Answer::Refused(error) if error.code == Code::BadRequest));
        assert!(writes.is_empty());
    }
}
