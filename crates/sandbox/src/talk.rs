//! A talk with one worker: jobs of one script go to it, the next ones while it works, so that it
//! never sleeps between two; answers come back in order. It watches the clock, and throws away a
//! worker that overstayed, died or said it is worn.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use dunlin_types::limits::{
    TRANSFORM_AHEAD_BYTES_MAX, TRANSFORM_AHEAD_MAX, TRANSFORM_LOG_LINES_MAX,
    TRANSFORM_QUICK_US_MAX, TRANSFORM_TALK_MS_MAX,
};

use crate::failure;
use crate::frame::{Answer, Frame};
use crate::pool::crashed;
use crate::process::Worker;
use crate::waiting::{Exchange, Shared, Waiting};

/// What the worker was given and has not answered.
struct Talk<'a> {
    shared: &'a Arc<Shared>,
    code: Arc<str>,
    began: Instant,
    under_way: VecDeque<Waiting>,
    outbox: BytesMut,
    /// Jobs that may be under way: more and more of a script that is quick, one of another, whose
    /// next run may rather go to another worker.
    ahead: usize,
}

/// Has the worker do that job, and more of the same script that wait, for a few milliseconds.
pub(crate) async fn talk(shared: &Arc<Shared>, mut worker: Worker, first: Waiting) {
    let mut talk = Talk {
        shared,
        code: Arc::clone(&first.code),
        began: Instant::now(),
        under_way: VecDeque::new(),
        outbox: BytesMut::new(),
        ahead: 1,
    };
    talk.give(first);
    let wall = Duration::from_millis(shared.options.wall_ms_max);
    loop {
        let began = Instant::now();
        let answered = tokio::time::timeout(wall, worker.answer(&mut talk.outbox)).await;
        let took = began.elapsed();
        let Some(asked) = talk.under_way.pop_front() else {
            return;
        };
        let cpu_ms = shared.options.cpu_ms_max;
        let read = match answered {
            Ok(Ok(frame)) => read(frame, took),
            Ok(Err(_)) => Err(match worker.bury().await {
                true => failure::deadline(cpu_ms),
                false => crashed("ended before it answered"),
            }),
            Err(_) => Err(failure::deadline(cpu_ms)),
        };
        // Whoever asked may have given up.
        let (exchange, is_well) =
            read.unwrap_or_else(|error| (Exchange::failed(error, took), false));
        let _ = asked.answer.send(exchange);
        if !is_well {
            return shared.put_first(talk.under_way);
        }
        talk.pace(took);
        talk.give_more();
        if talk.under_way.is_empty() {
            if worker.is_silent() {
                shared.put_back(worker);
            }
            return;
        }
    }
}

impl Talk<'_> {
    fn give(&mut self, one: Waiting) {
        one.write(&mut self.outbox);
        self.under_way.push_back(one);
    }

    fn give_more(&mut self) {
        let until = Duration::from_millis(TRANSFORM_TALK_MS_MAX);
        while self.under_way.len() < self.ahead
            && self.outbox.len() < TRANSFORM_AHEAD_BYTES_MAX
            && self.began.elapsed() < until
        {
            match self.shared.next_of(&self.code) {
                Some(one) => self.give(one),
                None => return,
            }
        }
    }

    fn pace(&mut self, took: Duration) {
        let is_quick = took <= Duration::from_micros(TRANSFORM_QUICK_US_MAX);
        self.ahead = match is_quick {
            true => (self.ahead * 2).min(TRANSFORM_AHEAD_MAX),
            false => 1,
        };
    }
}

/// What an answer says, and whether the worker can go on.
fn read(frame: Frame, took: Duration) -> Result<(Exchange, bool), crate::report::ScriptError> {
    let Ok(mut answer) = serde_json::from_slice::<Answer>(&frame.head) else {
        return Err(crashed("gave an answer that cannot be read"));
    };
    answer.logs.truncate(TRANSFORM_LOG_LINES_MAX + 1);
    let exchange = Exchange {
        outcome: Ok((answer.outcome, frame.payload)),
        logs: answer.logs,
        took,
    };
    Ok((exchange, !answer.worn))
}
