//! Sleeps, delays that the app asks for, and cancelling, on a clock that the test moves.

use dunlin_tests::Sdk;
use serde_json::json;

use super::World;

pub(crate) async fn sleeps_pass_with_the_clock(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run_until_idle("sleeps").await;
    assert_eq!(world.app.counts().await.steps(&run), json!({ "before": 1 }));

    world.server.advance("50m").await;
    assert_eq!(world.app.counts().await.steps(&run), json!({ "before": 1 }));

    world.server.advance("15m").await;
    assert_eq!(
        world.app.counts().await.steps(&run),
        json!({ "before": 1, "between": 1 })
    );
    assert_eq!(world.server.read_run(&run).await["status"], "Running");

    world.server.advance("2h").await;
    let ended = world.server.ended(&run).await;
    assert_eq!(ended["output"], "woken", "{ended}");
    let once = json!({ "before": 1, "between": 1, "after": 1 });
    assert_eq!(world.app.counts().await.steps(&run), once);
}

pub(crate) async fn parallel_steps_wait_for_a_sleep_beside_them(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run_until_idle("mixed-parallel").await;
    assert_eq!(
        world.app.counts().await.steps(&run),
        json!({ "a": 1, "b": 1 })
    );

    world.server.advance("61m").await;
    let ended = world.server.ended(&run).await;
    assert_eq!(ended["output"], 3, "{ended}");
    assert_eq!(
        world.app.counts().await.steps(&run),
        json!({ "a": 1, "b": 1, "total": 1 })
    );
}

pub(crate) async fn a_retry_waits_as_long_as_the_app_asks(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let cases = [
        ("retry-after", "body", json!({ "attempt": 1 })),
        ("step-retry-after", "risky", json!("then")),
    ];
    // Both begin before the clock moves: the app may answer with an instant of its own clock.
    let mut runs = Vec::new();
    for (function, step, output) in cases {
        runs.push((world.run_until_idle(function).await, step, output));
    }
    world.server.advance("50m").await;
    for (run, step, _) in &runs {
        assert_eq!(world.app.counts().await.step(run, step), 1, "{step}");
        world.assert_running(run).await;
    }
    world.server.advance("15m").await;
    for (run, step, output) in runs {
        world.assert_returned(&run, output).await;
        assert_eq!(world.app.counts().await.step(&run, step), 2, "{step}");
    }
}

pub(crate) async fn a_cancelled_run_does_not_wake(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run_until_idle("sleeps").await;
    let reply = world
        .server
        .client()
        .delete(&format!("/v1/runs/{run}"))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(world.server.ended(&run).await["status"], "Cancelled");

    world.server.advance("5h").await;
    assert_eq!(world.app.counts().await.steps(&run), json!({ "before": 1 }));
    assert_eq!(world.server.read_run(&run).await["status"], "Cancelled");
}
