//! Waiting for events.

use dunlin_tests::Sdk;
use serde_json::json;

use super::World;

pub(crate) async fn a_wait_takes_the_event_that_matches(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.begin("waits-match", json!({ "order": 7 })).await;
    let other = world.begin("waits-match", json!({ "order": 8 })).await;
    world
        .send("answer", json!({ "order": 9, "text": "nobody's" }))
        .await;
    world
        .send("answer", json!({ "text": "for no order" }))
        .await;
    world.server.idle().await;
    world.assert_running(&run).await;

    world
        .send("answer", json!({ "order": 7, "text": "the first" }))
        .await;
    world
        .send("answer", json!({ "order": 7, "text": "too many" }))
        .await;
    world.assert_returned(&run, "the first").await;
    world.assert_running(&other).await;

    world.server.advance("61m").await;
    world.assert_returned(&other, "timed out").await;
    let counts = world.app.counts().await;
    assert_eq!(counts.steps(&run), json!({ "before": 1, "after": 1 }));
    assert_eq!(counts.steps(&other), json!({ "before": 1, "after": 1 }));
}

pub(crate) async fn a_wait_takes_the_event_that_its_expression_allows(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.begin("waits-if", json!({ "least": 10 })).await;
    for refused in [
        json!({ "amount": 9.5, "kind": "card", "text": "too little" }),
        json!({ "amount": 10, "kind": "cash", "text": "the wrong kind" }),
        json!({ "kind": "card", "text": "no amount" }),
    ] {
        world.send("answer", refused).await;
    }
    world.server.idle().await;
    world.assert_running(&run).await;

    let right = json!({ "amount": 10, "kind": "bank", "text": "right" });
    world.send("answer", right).await;
    world.assert_returned(&run, "right").await;
}

pub(crate) async fn parallel_waits_end_one_by_one(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.begin("waits-many", json!({ "order": 7 })).await;
    world
        .send("part-c", json!({ "order": 7, "text": "c" }))
        .await;
    world
        .send("part-a", json!({ "order": 7, "text": "a" }))
        .await;
    world.server.idle().await;
    world.assert_running(&run).await;

    world.server.advance("61m").await;
    world
        .assert_returned(&run, json!(["a", "timed out", "c"]))
        .await;
    assert_eq!(world.app.counts().await.steps(&run), json!({ "join": 1 }));
}

pub(crate) async fn an_event_before_the_wait_does_not_end_it(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world
        .begin("waits-for-the-past", json!({ "order": 7 }))
        .await;
    assert_eq!(world.events("sdk/answer").await.len(), 1);
    world.assert_running(&run).await;
    world.server.advance("61m").await;
    world.assert_returned(&run, "timed out").await;
}

pub(crate) async fn a_wait_races_a_sleep(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let answered = world.begin("races", json!({ "order": 1 })).await;
    let slept = world.begin("races", json!({ "order": 2 })).await;
    let answer = json!({ "order": 1, "text": "answered" });
    world.send("answer", answer).await;
    world.server.idle().await;
    let counts = world.app.counts().await;
    assert_eq!(counts.step(&answered, "after"), 1, "the winner goes on");
    assert_eq!(counts.step(&slept, "after"), 0);

    world.server.advance("61m").await;
    let counts = world.app.counts().await;
    assert_eq!(counts.step(&slept, "after"), 1, "the winner goes on");
    let late = json!({ "order": 2, "text": "too late" });
    world.send("answer", late).await;
    // Version 4 of the SDK ends such a function when the losers have ended too.
    world.server.advance("1h").await;
    world.assert_returned(&answered, "answered").await;
    world.assert_returned(&slept, "slept").await;
    let counts = world.app.counts().await;
    for run in [&answered, &slept] {
        assert_eq!(counts.steps(run), json!({ "after": 1 }));
    }
}

pub(crate) async fn a_plain_race_keeps_who_was_first(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.begin("races-plainly", json!({ "order": 1 })).await;
    world
        .send("answer", json!({ "order": 1, "text": "answered" }))
        .await;
    world.server.idle().await;
    // Version 2 of the protocol comes back when all branches are done.
    world.server.advance("61m").await;
    world.assert_returned(&run, "answered").await;
    assert_eq!(world.app.counts().await.steps(&run), json!({ "after": 1 }));
}
