//! Rules of flow control come into force: those of functions at a sync, those of operators at once.

use std::sync::Arc;

use dunlin_types::{Token, limits};

use crate::config::Limit;
use crate::core::{Engine, Work};
use crate::effect::Answer;
use crate::write::Write;

impl Engine {
    /// Has the queues of a function follow its newest rules.
    pub(crate) fn govern(&mut self, function: u32) {
        let Some(known) = self.catalog.function(function) else {
            return;
        };
        let (app, paused) = (known.row.app, known.row.paused.is_some());
        let rules = Arc::clone(&known.flow.rules);
        self.schedule.configure(function, app, &rules);
        self.schedule.pause(function, paused);
    }

    /// An operator puts a limit.
    pub(crate) fn put_limit(&mut self, work: &mut Work<'_, '_>, token: Token, limit: Limit) {
        let late = &self.schedule.late;
        let known = late.limits().any(|other| other.name == limit.name);
        if !known && late.limits().count() >= limits::OPERATOR_LIMITS_MAX {
            work.answer(token, Answer::TooManyLimits);
            return;
        }
        work.write(Write::Limit(limit.clone()));
        self.schedule.late.put(limit);
        work.answer(token, Answer::Done);
    }

    /// An operator removes a limit: those that waited for it queue again.
    pub(crate) fn remove_limit(&mut self, work: &mut Work<'_, '_>, token: Token, name: &str) {
        let Some(items) = self.schedule.late.remove(name) else {
            work.answer(token, Answer::NoSuchLimit);
            return;
        };
        work.write(Write::LimitGone(name.to_owned()));
        for (run, key) in items {
            self.enqueue(run, key);
        }
        work.answer(token, Answer::Done);
    }
}
