//! Functions that call functions.

use dunlin_tests::{Sdk, SdkApp};
use serde_json::{Value, json};

use super::{World, id_of};

pub(crate) async fn an_invoked_function_gives_its_result(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.run("invokes", json!({ "n": 21 })).await;
    assert_eq!(run["output"], json!({ "doubled": 42 }), "{run}");
    let child = world.invoked_by(id_of(&run)).await;
    let counts = world.app.counts().await;
    assert_eq!(counts.steps(&child), json!({ "double": 1 }));
    assert_eq!(counts.steps(id_of(&run)), json!({ "after": 1 }));

    let run = world.run("invokes-in-parallel", json!({})).await;
    assert_eq!(run["output"], json!([2, 4, 6]), "{run}");
    let run = world
        .run("invokes-by-id", json!({ "functionId": "child-of-nothing" }))
        .await;
    assert_eq!(run["output"], json!({ "result": null }), "{run}");
}

pub(crate) async fn an_invocation_that_fails_can_be_caught(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    for (function, said) in [
        ("child-fails", "the child broke"),
        ("no-such-function", "could not find function"),
    ] {
        let run = world
            .run("invokes-by-id", json!({ "functionId": function }))
            .await;
        assert_caught(&run, said);
    }

    let asked = json!({ "functionId": "child-sleeps" });
    let run = world.begin("invokes-by-id", asked).await;
    let child = world.invoked_by(&run).await;
    let reply = world
        .server
        .client()
        .delete(&format!("/v1/runs/{child}"))
        .await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_caught(&world.server.ended(&run).await, "cancelled");
}

fn assert_caught(run: &Value, said: &str) {
    assert_eq!(run["status"], "Completed", "{run}");
    let caught = run["output"]["caught"].as_str();
    assert!(caught.is_some_and(|text| text.contains(said)), "{run}");
}

pub(crate) async fn an_invocation_waits_as_long_as_it_may(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let patient = json!({ "functionId": "child-sleeps" });
    let patient = world.begin("invokes-by-id", patient).await;
    // Half an hour, which the SDK for Python takes in milliseconds.
    let hasty = json!({ "functionId": "child-sleeps", "timeout": 1_800_000 });
    let hasty = world.begin("invokes-by-id", hasty).await;
    let child = world.invoked_by(&hasty).await;

    world.server.advance("31m").await;
    assert_caught(&world.server.ended(&hasty).await, "Timed out");
    world.assert_running(&patient).await;
    world.server.advance("2h").await;
    world
        .assert_returned(&patient, json!({ "result": "slept" }))
        .await;
    world.assert_returned(&child, "slept").await;
}

pub(crate) async fn another_app_can_be_invoked(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let other = SdkApp::dev(sdk, "other", &world.server.url(), &[]).await;
    other.sync().await;
    let asked = json!({ "appId": "other", "functionId": "child", "data": { "n": 4 } });
    let run = world.run("invokes-by-id", asked).await;
    assert_eq!(
        run["output"],
        json!({ "result": { "doubled": 8 } }),
        "{run}"
    );
    let child = world.invoked_by(id_of(&run)).await;
    assert_eq!(other.counts().await.steps(&child), json!({ "double": 1 }));
    assert_eq!(world.app.counts().await.calls(&child), 0);
}
