//! Runs that fail, and who is told.

use dunlin_tests::{Sdk, until};
use serde_json::json;

use super::{World, id_of};

pub(crate) async fn functions_that_fail_say_why(sdk: Sdk) {
    let world = World::hasty(sdk).await;
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

pub(crate) async fn an_operation_that_is_not_built_fails_the_run_at_once(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("unbuilt", json!({})).await;
    assert_eq!(run["status"], "Failed", "{run}");
    assert!(run["output"].to_string().contains("E0507"), "{run}");
    assert_eq!(world.app.counts().await.calls(id_of(&run)), 1);
}

pub(crate) async fn the_failure_handler_is_told(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("on-failure", json!({ "order": 7 })).await;
    assert_eq!(run["status"], "Failed", "{run}");

    until("failure handler", async || {
        let counts = world.app.counts().await;
        (!counts.failures().is_empty()).then_some(())
    })
    .await;
    world.server.idle().await;
    let told = json!([{
        "runId": run["run_id"], "functionId": "sdk-on-failure", "message": "it broke",
        "original": { "order": 7 },
    }]);
    assert_eq!(json!(world.app.counts().await.failures()), told);
}
