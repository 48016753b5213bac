//! What is done once it is committed.

use std::collections::HashMap;
use std::sync::Arc;

use dunlin_delivery as delivery;
use dunlin_engine as engine;
use dunlin_turn::Effect;
use dunlin_types::Token;
use tokio::runtime::Handle;

use crate::failpoint::{CrashPoint, crash_point};
use crate::handle::{Answer, Shared};
use crate::inbox::Waiter;
use crate::{attempts, calls, gateway};

/// Requests that wait, by token.
pub(crate) type Waiters = HashMap<Token, Waiter>;

/// Does all of it, in order; calls and attempts go on by themselves.
pub(crate) fn act(
    shared: &Arc<Shared>,
    runtime: &Handle,
    waiters: &mut Waiters,
    effects: Vec<Effect>,
) -> bool {
    crash_point(CrashPoint::BeforeEffect);
    let mut apps_changed = false;
    let mut todo = Todo::default();
    for effect in effects {
        match effect {
            Effect::Engine(engine::Effect::Call(call)) => todo.calls.push(call),
            Effect::Engine(engine::Effect::Request(request)) => todo.requests.push(request),
            Effect::Engine(engine::Effect::Answer(token, answer)) => {
                tell(waiters, token, Answer::Engine(answer));
            }
            Effect::Engine(engine::Effect::AppsChanged) => apps_changed = true,
            // The turn has taken fetches for itself.
            Effect::Engine(engine::Effect::Fetch(_)) => {}
            Effect::Delivery(delivery::Effect::Answer { token, answer }) => {
                tell(waiters, token, Answer::Delivery(answer));
            }
            Effect::Delivery(delivery::Effect::Attempt(attempt)) => todo.attempts.push(attempt),
        }
    }
    spawn(shared, runtime, todo);
    apps_changed
}

/// What goes out.
#[expect(clippy::vec_box, reason = "they come boxed and leave so")]
#[derive(Default)]
struct Todo {
    calls: Vec<Box<engine::Call>>,
    requests: Vec<Box<engine::Request>>,
    attempts: Vec<Box<delivery::AttemptEffect>>,
}

fn tell(waiters: &mut Waiters, token: Token, answer: Answer) {
    if let Some(waiter) = waiters.remove(&token) {
        crash_point(CrashPoint::BeforeAnswer);
        drop(waiter.permit);
        // Whoever asked may have gone away; the commit stands.
        let _ = waiter.answer.send(answer);
    }
}

/// One spawn from outside the runtime, many from within: those go to the worker's own queue.
fn spawn(shared: &Arc<Shared>, runtime: &Handle, todo: Todo) {
    if todo.calls.is_empty() && todo.requests.is_empty() && todo.attempts.is_empty() {
        return;
    }
    let shared = Arc::clone(shared);
    runtime.spawn(async move {
        for call in todo.calls {
            tokio::spawn(calls::make(Arc::clone(&shared), call));
        }
        for request in todo.requests {
            tokio::spawn(gateway::make(Arc::clone(&shared), request));
        }
        for attempt in todo.attempts {
            tokio::spawn(attempts::make(Arc::clone(&shared), attempt));
        }
    });
}
