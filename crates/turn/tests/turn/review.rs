//! Stories that a reading of the engine found missing.

use crate::world::{World, cancelled_on, keyed, retries, spec};
use dunlin_engine::{Reply, RunStatus};

#[test]
fn an_app_that_reports_nothing_does_not_hold_a_run_that_events_can_cancel() {
    let mut world = World::of("step unused");
    let f = cancelled_on(retries(spec("app-f", "go", None), 1), "stop", None);
    world.register(vec![f]);
    world.script("app-f", |_, _| Reply::Ops(Vec::new()));
    world.send(keyed("go", 1));
    world.run_for(600_000);
    assert_eq!(world.live_runs(), 0, "{}", world.text());
    assert_eq!(world.status(1), RunStatus::Failed);
    world.run_out();
}
