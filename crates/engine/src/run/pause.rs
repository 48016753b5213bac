//! Somebody pauses a function, or has it go on.

use dunlin_types::Token;

use crate::core::{Engine, Work};
use crate::effect::Answer;
use crate::live::ItemState;
use crate::write::Write;

impl Engine {
    pub(crate) fn pause(
        &mut self,
        work: &mut Work<'_, '_>,
        token: Token,
        function: u32,
        paused: bool,
    ) {
        let Some(row) = self.catalog.function(function).map(|f| f.row.clone()) else {
            work.answer(token, Answer::NoSuchFunction);
            return;
        };
        let modified = row.paused.is_some() != paused;
        if modified {
            let mut row = row;
            row.paused = paused.then(|| work.now());
            work.write(Write::Function(row.clone()));
            self.catalog.put_function(row);
            if !paused {
                self.let_on(function);
            }
        }
        work.answer(token, Answer::Paused { modified });
    }

    /// What was held back of a function goes on.
    fn let_on(&mut self, function: u32) {
        let app = self.catalog.app_of(function);
        for (run, key) in self.schedule.held(function) {
            let live = self.live.get(&run);
            let ready = live
                .and_then(|live| live.items.get(key))
                .is_some_and(|item| item.state == ItemState::Ready);
            if ready {
                self.schedule.push(app, run, key);
            }
        }
    }
}
