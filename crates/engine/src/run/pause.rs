//! Somebody pauses a function, or has it go on.

use dunlin_types::Token;

use crate::core::{Engine, Work};
use crate::effect::Answer;
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
            work.write(Write::Function(Box::new(row.clone())));
            self.catalog.put_function(row);
            self.schedule.pause(function, paused);
        }
        work.answer(token, Answer::Paused { modified });
    }
}
