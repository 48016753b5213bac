//! What the server does for an app, told once and run with each SDK.

pub(crate) mod apps;
pub(crate) mod events;
pub(crate) mod failures;
pub(crate) mod production;
pub(crate) mod steps;
pub(crate) mod time;

use dunlin_tests::{Sdk, SdkApp, Server, free_port};
use serde_json::Value;

macro_rules! scenarios {
    ($sdk:expr; $($module:ident::$name:ident,)*) => {
        $(#[tokio::test]
        async fn $name() {
            sdk_scenarios::$module::$name($sdk).await;
        })*
    };
}

/// Those that differ with how steps are reported.
macro_rules! step_scenarios {
    ($sdk:expr) => {
        scenarios! { $sdk;
            steps::functions_give_their_results_and_run_each_step_once,
            steps::six_megabytes_of_state_reach_the_app,
            time::sleeps_pass_with_the_clock,
            time::parallel_steps_wait_for_a_sleep_beside_them,
            failures::functions_that_fail_say_why,
            failures::an_operation_that_is_not_built_fails_the_run_at_once,
        }
    };
}

macro_rules! all_scenarios {
    ($sdk:expr) => {
        step_scenarios!($sdk);
        scenarios! { $sdk;
            steps::three_hundred_steps_run_once_each,
            time::a_retry_waits_as_long_as_the_app_asks,
            time::a_cancelled_run_does_not_wake,
            failures::the_failure_handler_is_told,
            events::events_that_a_step_sends_start_functions,
            events::an_event_id_starts_one_run,
            events::a_trigger_expression_decides,
            apps::an_app_that_was_down_gets_its_call,
            apps::broken_apps_fail_with_a_code_and_hold_up_nobody,
            apps::apps_and_runs_survive_a_kill_without_a_new_sync,
            apps::a_rule_that_is_not_built_is_named_at_the_sync,
            production::only_signed_requests_are_taken,
        }
    };
}

/// A development server with the app.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) app: SdkApp,
}

impl World {
    /// With short retries.
    pub(crate) async fn hasty(sdk: Sdk) -> Self {
        Self::with(sdk, &["--memory", "--retry-interval", "50ms"]).await
    }

    /// With the retry delays that users get.
    pub(crate) async fn patient(sdk: Sdk) -> Self {
        Self::with(sdk, &["--memory"]).await
    }

    /// With those flags beside the usual ones.
    pub(crate) async fn with(sdk: Sdk, flags: &[&str]) -> Self {
        let port = free_port();
        let app = SdkApp::dev(sdk, &format!("http://127.0.0.1:{port}")).await;
        let usual = [
            "--test-mode",
            "--no-discovery",
            "--poll-interval",
            "1s",
            "--sdk-url",
        ];
        let url = app.url();
        let all = flags.iter().copied().chain(usual).chain([url.as_str()]);
        let server = Server::start("dev", port, all).await;
        server.synced("sdk").await;
        Self { server, app }
    }

    /// Sends `sdk/<function>` and gives the run when it has ended.
    pub(crate) async fn run(&self, function: &str, data: Value) -> Value {
        let event = self
            .server
            .send_event(&format!("sdk/{function}"), data)
            .await;
        self.server.ended_run_of(&event).await
    }

    /// Sends `sdk/<function>` and gives the run's id when nothing more happens by itself.
    pub(crate) async fn run_until_idle(&self, function: &str) -> String {
        let name = format!("sdk/{function}");
        let event = self.server.send_event(&name, serde_json::json!({})).await;
        let run = self.server.run_of(&event).await;
        self.server.idle().await;
        run
    }
}

/// The id of a run as the reading API has it.
pub(crate) fn id_of(run: &Value) -> &str {
    run["run_id"].as_str().expect("a run has an id")
}
