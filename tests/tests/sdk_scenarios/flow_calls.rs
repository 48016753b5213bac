//! How many calls go out at a time: rules of functions, limits of operators, apps that have too much
//! to do.

use dunlin_tests::{Sdk, Stub, StubAnswer, until};
use serde_json::json;

use super::World;
use super::flow::{held, held_under};

pub(crate) async fn no_more_calls_go_out_than_a_limit_allows(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let runs = world.start_all("at-a-time", (0..5).map(held)).await;
    for done in 0..5 {
        world.at_work("at-a-time", 1).await;
        world.queued("at-a-time", 1, 4 - done).await;
        world.app.let_on(1).await;
        world.server.ended(&runs[done as usize]).await;
    }
    world.assert_all_completed(&runs).await;
    assert_eq!(world.log("at-a-time").await, [0, 1, 2, 3, 4]);
    assert_eq!(world.app.counts().await.most_at("at-a-time"), 1);
}

pub(crate) async fn another_limit_holds_from_the_next_sync_on(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let runs = world.start_all("at-a-time", (0..6).map(held)).await;
    world.at_work("at-a-time", 1).await;
    world.app.limit(3).await;
    world.app.sync().await;
    world.at_work("at-a-time", 3).await;
    world.queued("at-a-time", 3, 3).await;

    world.app.limit(1).await;
    world.app.sync().await;
    world.app.let_on(2).await;
    world.at_work("at-a-time", 1).await;
    world.queued("at-a-time", 1, 3).await;
    world.app.let_all_on().await;
    world.assert_all_completed(&runs).await;
    assert_eq!(world.log("at-a-time").await[3..], [3, 4, 5]);
    assert_eq!(world.app.counts().await.most_at("at-a-time"), 3);
}

pub(crate) async fn two_limits_hold_at_once(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let keys = ["a", "a", "b", "c", "d"];
    let data = keys.iter().zip(0..).map(|(key, n)| held_under(key, n));
    let runs = world.start_all("two-limits", data).await;
    world.at_work("two-limits", 3).await;
    world.queued("two-limits", 3, 2).await;
    assert_eq!(
        world.worked("two-limits").await,
        [0, 2, 3],
        "one of each key"
    );
    // Whoever waits says which of the two holds it.
    let second_a = world.waits_for(&runs[1], "rule").await;
    assert_eq!(second_a["cause"]["key"], "a", "{second_a}");
    assert_eq!(second_a["cause"]["limit"], 1, "{second_a}");
    assert_eq!(second_a["cause"]["holders"], json!([runs[0]]), "{second_a}");
    let d = world.waits_for(&runs[4], "rule").await;
    assert_eq!(d["cause"]["limit"], 3, "{d}");

    world.app.let_all_on().await;
    world.assert_all_completed(&runs).await;
    let counts = world.app.counts().await;
    assert_eq!(counts.most_at("two-limits"), 3);
    assert_eq!(counts.most_at("two-limits/a"), 1);
}

pub(crate) async fn functions_share_limits_of_a_wider_scope(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    for scope in ["env", "account"] {
        let (one, two) = (format!("of-{scope}-one"), format!("of-{scope}-two"));
        let printer = |n| held_under("printer", n);
        let mut runs = world.start_all(&one, [printer(0)]).await;
        runs.extend(world.start_all(&two, [printer(1), printer(2)]).await);
        runs.extend(world.start_all(&one, [printer(3)]).await);
        let scanner = world.start_all(&two, [held_under("scanner", 4)]).await;
        world.at_work(&format!("{scope}/scanner"), 1).await;
        world.at_work(&format!("{scope}/printer"), 2).await;
        world.queued(&one, 1, 1).await;
        world.queued(&two, 2, 1).await;
        let last = world.waits_for(&runs[3], "rule").await;
        assert_eq!(last["cause"]["scope"], scope, "{last}");
        assert_eq!(last["cause"]["holders"], json!(runs[..2]), "{last}");

        world.app.let_on(5).await;
        world.at_work(&format!("{scope}/printer"), 2).await;
        world.app.let_on(5).await;
        world.assert_all_completed(&runs).await;
        world.assert_all_completed(&scanner).await;
        let counts = world.app.counts().await;
        assert_eq!(counts.most_at(&format!("{scope}/printer")), 2);
    }
}

/// Each of them would otherwise be alone in the one place that there is.
pub(crate) async fn runs_that_sleep_wait_invoke_or_retry_hold_nothing(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let mut runs = Vec::new();
    for how in ["sleep", "wait", "invoke", "retry"] {
        let run = world.begin("rests", json!({ "how": how })).await;
        assert!(world.app.counts().await.calls(&run) > 0, "{how}");
        runs.push(run);
    }
    world.server.advance("61m").await;
    world.server.advance("61m").await;
    world.assert_all_completed(&runs).await;
    assert_eq!(world.app.counts().await.most_at("rests"), 1);
}

pub(crate) async fn parallel_steps_of_one_run_keep_to_the_limit(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let run = world.start_all("parts-at-a-time", [held(0)]).await;
    for _ in 0..4 {
        world.at_work("parts", 2).await;
        world.app.let_on(1).await;
    }
    world.app.let_all_on().await;
    world.assert_returned(&run[0], json!([0, 1, 2, 3, 4])).await;
    let counts = world.app.counts().await;
    assert_eq!(counts.most_at("parts"), 2);
    assert_eq!(counts.log_of("parts").len(), 5, "each ran once");
}

pub(crate) async fn an_operator_limits_one_step(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let limit = json!({ "function": "sdk-charges", "step": "charge", "concurrency": 1 });
    world.server.put_limit("charge", &limit).await;
    let runs = world.start_all("charges", (0..4).map(held)).await;
    let prepared = async || (world.log("prepare").await.len() == 4).then_some(());
    until("all four prepared", prepared).await;
    for _ in 0..3 {
        world.at_work("charge", 1).await;
        world.app.let_on(1).await;
    }
    world.at_work("charge", 1).await;
    assert_eq!(world.app.counts().await.most_at("charge"), 1);

    let later = world.start_all("charges", (4..7).map(held)).await;
    let last = world.waits_for(&later[2], "rule").await;
    assert_eq!(last["cause"]["rule"], "stepLimit", "{last}");
    assert_eq!(last["cause"]["scope"], "charge", "{last}");
    let removed = world.server.client().delete("/api/limits/charge").await;
    assert_eq!(removed.status, 204, "{}", removed.text());
    world.at_work("charge", 4).await;
    world.app.let_all_on().await;
    world.assert_all_completed(&runs).await;
    world.assert_all_completed(&later).await;
    for run in runs.iter().chain(&later) {
        let steps = world.app.counts().await.steps(run);
        assert_eq!(steps, json!({ "prepare": 1, "charge": 1 }));
    }
}

pub(crate) async fn an_operator_spaces_requests_to_a_host_out(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    let limit = json!({ "host": "127.0.0.1", "rate": { "limit": 2, "period": "2h" } });
    world.server.put_limit("provider", &limit).await;
    let answer = StubAnswer::Fixed(200, "application/json", r#"{"answer":"ducks"}"#);
    let provider = Stub::start(answer).await;
    let asked = json!({ "format": "openai", "baseUrl": provider.base() });
    let runs = world.start_all("infers", vec![asked; 3]).await;
    world.server.idle().await;
    assert_eq!(provider.calls(), 1);
    // Which run's step the app named first is chance, and so is who goes first.
    let went_first = async || {
        for run in &runs {
            if world.server.read_run(run).await["status"] == "Completed" {
                return Some(run);
            }
        }
        None
    };
    let first = until("run whose request went out", went_first).await;
    for run in runs.iter().filter(|run| *run != first) {
        let why = world.waits_for(run, "rule").await;
        assert_eq!(why["cause"]["rule"], "hostLimit", "{why}");
    }
    for sent in [2, 3] {
        world.server.advance("55m").await;
        assert_eq!(provider.calls(), sent - 1);
        world.server.advance("6m").await;
        assert_eq!(provider.calls(), sent);
    }
    world.assert_all_completed(&runs).await;
}

pub(crate) async fn an_app_that_has_too_much_to_do_is_left_alone(sdk: Sdk) {
    let world = World::hasty(sdk).await;
    world.app.be_busy(50).await;
    let mut runs = world.start_all("sequential", [json!({ "n": 0 })]).await;
    let refused = async || (world.app.counts().await.refused() == 1).then_some(());
    until("call that was refused", refused).await;
    // It is due again when the pause is over.
    world.waits_for(&runs[0], "time").await;
    let others = (1..5).map(|n| json!({ "n": n }));
    runs.extend(world.start_all("sequential", others).await);
    world.queued("sequential", 0, 4).await;
    let why = world.waits_for(&runs[4], "appPaused").await;
    let message = why["message"].as_str().unwrap_or_default();
    assert!(message.contains("its app asked for a pause"), "{why}");
    assert_eq!(world.app.counts().await.refused(), 1, "others were sent");

    world.app.be_busy(0).await;
    world.server.advance_meanwhile("51s").await;
    world.assert_all_completed(&runs).await;
    for run in &runs {
        let steps = world.app.counts().await.steps(run);
        assert_eq!(steps, json!({ "a": 1, "b": 1, "c": 1 }));
    }
}
