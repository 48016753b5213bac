//! Apps that are down, broken or silent, and a server that is killed.

use dunlin_tests::{Sdk, SdkApp, Server, Stub, StubAnswer, free_port, text, until};
use serde_json::json;

use super::World;

pub(crate) async fn an_app_that_was_down_gets_its_call(sdk: Sdk) {
    let mut world = World::patient(sdk).await;
    world.app.kill().await;
    let event = world
        .server
        .send_event("sdk/sequential", json!({ "n": 1 }))
        .await;
    let run = world.server.run_of(&event).await;
    world.server.idle().await;
    world.server.advance("20s").await;
    assert_eq!(world.server.read_run(&run).await["status"], "Running");

    world.app.run().await;
    world.server.advance("2m").await;
    let ended = world.server.ended(&run).await;
    assert_eq!(ended["status"], "Completed", "{ended}");
    assert_eq!(ended["output"]["a"], 2);
    let counts = world.app.counts().await;
    assert_eq!(counts.steps(&run), json!({ "a": 1, "b": 1, "c": 1 }));
}

/// Nobody tells the server where the app is, beyond the port that its environment names.
pub(crate) async fn an_app_is_found_by_itself(sdk: Sdk) {
    let port = free_port();
    let app = SdkApp::dev(sdk, "sdk", &format!("http://127.0.0.1:{port}"), &[]).await;
    let own = app.port().to_string();
    let flags = ["--memory", "--poll-interval", "200ms"];
    let server = Server::start_in("dev", port, flags, &[("PORT", &own)]).await;
    server.synced("sdk").await;
    let event = json!({ "name": "sdk/sequential", "data": { "n": 1 } });
    let taken = server.client().post("/e/any", &event).await;
    let run = server.ended_run_of(&text(&taken.json()["ids"][0])).await;
    assert_eq!(run["status"], "Completed", "{run}");
}

pub(crate) async fn broken_apps_fail_with_a_code_and_hold_up_nobody(sdk: Sdk) {
    let flags = [
        "--memory",
        "--retry-interval",
        "50ms",
        "--call-timeout",
        "2s",
    ];
    let world = World::with(sdk, &flags).await;
    let page = StubAnswer::Fixed(502, "text/html", "<html><h1>Bad Gateway</h1></html>");
    let (broken, silent) = (
        Stub::start(page).await,
        Stub::start(StubAnswer::Never).await,
    );
    world
        .server
        .register("broken", &broken.url(), &[("f", 1)])
        .await;
    world
        .server
        .register("silent", &silent.url(), &[("f", 1)])
        .await;
    let to_broken = world.server.send_event("broken/f", json!({})).await;
    let to_silent = world.server.send_event("silent/f", json!({})).await;
    let called = async || (silent.calls() == 1).then_some(());
    until("call of the silent app", called).await;

    let beside = world.run("plain", json!({ "name": "Mei" })).await;
    assert_eq!(beside["status"], "Completed", "{beside}");
    assert_eq!(
        silent.calls(),
        1,
        "the other app had to wait for the silent one"
    );
    for (event, stub, code) in [(to_broken, &broken, "E0505"), (to_silent, &silent, "E0501")] {
        let run = world.server.ended_run_of(&event).await;
        assert_eq!(run["status"], "Failed", "{run}");
        assert!(run["output"].to_string().contains(code), "{code}: {run}");
        assert_eq!(stub.calls(), 2, "one retry was asked for: {run}");
    }
}

pub(crate) async fn apps_and_runs_survive_a_kill_without_a_new_sync(sdk: Sdk) {
    let mut world = World::with(sdk, &[]).await;
    let sleeping = world.run_until_idle("sleeps").await;
    world.app.refuse_syncs().await;
    world
        .server
        .restart(["--test-mode", "--no-discovery"])
        .await;

    let run = world.run("sequential", json!({ "n": 1 })).await;
    assert_eq!(run["status"], "Completed", "{run}");
    world.server.advance("61m").await;
    world.server.advance("3h").await;
    let woken = world.server.ended(&sleeping).await;
    assert_eq!(woken["output"], "woken", "{woken}");
    let counts = world.app.counts().await;
    let once = json!({ "before": 1, "between": 1, "after": 1 });
    assert_eq!(counts.steps(&sleeping), once);
}
