//! Runs that fail, and who is told.

use dunlin_tests::{Sdk, until};
use serde_json::{Value, json};

use super::{World, id_of};

pub(crate) async fn functions_that_fail_say_why(sdk: Sdk) {
    assert_reasons(&World::hasty(sdk).await).await;
}

/// Functions that fail say why, after as many attempts as they may make.
pub(crate) async fn assert_reasons(world: &World) {
    for (function, message, steps) in [
        ("uncaught", "always", json!({ "first": 1, "risky": 2 })),
        ("non-retriable", "never again", json!({ "body": 1 })),
    ] {
        let run = world.run(function, json!({})).await;
        assert_eq!(run["status"], "Failed", "{function}: {run}");
        assert!(
            run["output"].to_string().contains(message),
            "{function}: {run}"
        );
        assert_eq!(
            world.app.counts().await.steps(id_of(&run)),
            steps,
            "{function}"
        );
    }
}

pub(crate) async fn the_failure_handler_is_told(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("on-failure", json!({ "order": 7 })).await;
    assert_eq!(run["status"], "Failed", "{run}");

    let told = json!({
        "runId": run["run_id"], "functionId": "sdk-on-failure", "message": "it broke",
        "original": { "order": 7 },
    });
    assert_eq!(told_of_failures(&world).await, [told]);
}

pub(crate) async fn a_wait_with_a_bad_expression_fails_the_run(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("waits-badly", json!({})).await;
    assert_eq!(run["status"], "Failed", "{run}");
    assert!(run["output"].to_string().contains("E0532"), "{run}");
    let told = told_of_failures(&world).await;
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(told[0]["runId"], run["run_id"], "{told:?}");
    assert_eq!(world.app.counts().await.calls(id_of(&run)), 1);
}

/// What the failure handler was told, once it was.
async fn told_of_failures(world: &World) -> Vec<Value> {
    until("failure handler", async || {
        let counts = world.app.counts().await;
        (!counts.failures().is_empty()).then_some(())
    })
    .await;
    world.server.idle().await;
    world.app.counts().await.failures().to_vec()
}
