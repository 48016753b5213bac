//! What the server does for an app, told once and run with each SDK.

pub(crate) mod again;
pub(crate) mod apps;
pub(crate) mod endings;
pub(crate) mod events;
pub(crate) mod failures;
pub(crate) mod flow;
pub(crate) mod flow_calls;
pub(crate) mod flow_gathers;
pub(crate) mod flow_kept;
pub(crate) mod flow_starts;
pub(crate) mod invokes;
pub(crate) mod production;
pub(crate) mod requests;
pub(crate) mod restarts;
pub(crate) mod signals;
pub(crate) mod steps;
pub(crate) mod streaming;
pub(crate) mod time;
pub(crate) mod triggers;
pub(crate) mod waits;

use dunlin_tests::{Sdk, SdkApp, Server, free_port, text};
use serde_json::{Value, json};

macro_rules! scenarios {
    ($sdk:expr; $($module:ident::$name:ident,)*) => {
        $(#[tokio::test]
        async fn $name() {
            sdk_scenarios::$module::$name($sdk).await;
        })*
    };
}

/// Those that every SDK runs, however it reports steps.
macro_rules! step_scenarios {
    ($sdk:expr) => {
        scenarios! { $sdk;
            steps::functions_give_their_results_and_run_each_step_once,
            steps::six_megabytes_of_state_reach_the_app,
            time::sleeps_pass_with_the_clock,
            time::parallel_steps_wait_for_a_sleep_beside_them,
            failures::functions_that_fail_say_why,
            waits::a_wait_takes_the_event_that_matches,
            waits::parallel_waits_end_one_by_one,
            invokes::an_invoked_function_gives_its_result,
            endings::an_event_cancels_a_run_during_a_call,
            streaming::streamed_answers_are_read,
        }
    };
}

/// Those that every SDK runs once.
macro_rules! common_scenarios {
    ($sdk:expr) => {
        step_scenarios!($sdk);
        flow_scenarios!($sdk);
        scenarios! { $sdk;
            time::a_retry_waits_as_long_as_the_app_asks,
            time::a_cancelled_run_does_not_wake,
            failures::the_failure_handler_is_told,
            failures::a_wait_with_a_bad_expression_fails_the_run,
            waits::a_wait_takes_the_event_that_its_expression_allows,
            waits::an_event_before_the_wait_does_not_end_it,
            invokes::an_invocation_that_fails_can_be_caught,
            invokes::an_invocation_waits_as_long_as_it_may,
            invokes::another_app_can_be_invoked,
            requests::a_model_is_asked_and_its_key_kept_secret,
            requests::a_model_that_refuses_is_an_error_after_retries,
            endings::events_cancel_runs_that_sleep_wait_or_invoke,
            endings::a_cancelling_event_comes_too_late,
            endings::a_run_that_takes_too_long_is_cancelled,
            endings::a_run_that_begins_too_late_is_cancelled,
            triggers::each_trigger_of_a_function_starts_it,
            triggers::an_event_of_the_future_starts_its_run_then,
            triggers::time_tables_start_runs_over_restarts,
            triggers::a_function_that_is_gone_ticks_no_more,
            triggers::an_app_that_moved_gets_its_runs,
            restarts::waits_and_invocations_survive_a_kill,
            events::events_that_a_step_sends_start_functions,
            events::an_event_id_starts_one_run,
            events::a_trigger_expression_decides,
            apps::an_app_that_was_down_gets_its_call,
            apps::apps_and_runs_survive_a_kill_without_a_new_sync,
            production::only_signed_requests_are_taken,
            production::a_signing_key_is_exchanged,
            apps::an_app_is_found_by_itself,
            again::a_run_is_made_again_from_its_start_or_a_step,
            again::a_paused_function_holds_its_runs,
            again::many_runs_are_cancelled_at_once,
            again::failed_runs_are_replayed,
        }
    };
}

/// Rules of flow control, which all of these SDKs have.
macro_rules! flow_scenarios {
    ($sdk:expr) => {
        scenarios! { $sdk;
            flow_calls::no_more_calls_go_out_than_a_limit_allows,
            flow_calls::another_limit_holds_from_the_next_sync_on,
            flow_calls::two_limits_hold_at_once,
            flow_calls::functions_share_limits_of_a_wider_scope,
            flow_calls::runs_that_sleep_wait_invoke_or_retry_hold_nothing,
            flow_calls::parallel_steps_of_one_run_keep_to_the_limit,
            flow_calls::an_operator_limits_one_step,
            flow_calls::an_operator_spaces_requests_to_a_host_out,
            flow_calls::an_app_that_has_too_much_to_do_is_left_alone,
            flow_starts::a_throttle_spreads_starts_and_nothing_else,
            flow_starts::events_beyond_a_rate_limit_start_nothing,
            flow_starts::a_rate_limit_lets_a_tenth_through_at_once,
            flow_starts::a_value_starts_one_run_a_day,
            flow_starts::a_singleton_skips_what_comes_while_it_runs,
            flow_starts::a_newer_run_takes_the_place_of_a_singleton,
            flow_starts::runs_of_priority_go_first,
            flow_starts::a_run_that_queues_too_long_is_cancelled,
            flow_starts::time_in_the_queue_is_no_time_of_the_run,
            flow_gathers::of_events_that_follow_closely_the_last_one_counts,
            flow_gathers::an_older_event_changes_no_debounce,
            flow_gathers::a_debounce_ends_at_its_latest_instant,
            flow_gathers::a_batch_runs_when_it_is_full,
            flow_gathers::a_batch_runs_when_it_has_waited_long_enough,
            flow_gathers::an_event_that_is_not_for_a_batch_runs_alone_at_once,
            flow_kept::rules_survive_a_kill,
            flow_kept::what_waits_says_why,
            flow_kept::rules_that_exclude_each_other_are_refused_with_the_reasons,
        }
    };
}

/// Those that both SDKs for JavaScript run once, with what only they have.
macro_rules! javascript_scenarios {
    ($sdk:expr) => {
        common_scenarios!($sdk);
        racing_scenarios!($sdk);
        scenarios! { $sdk;
            steps::three_hundred_steps_run_once_each,
            steps::a_step_that_is_not_to_be_retried_can_be_caught,
            signals::a_signal_wakes_the_run_that_waits_for_it,
            events::one_trace_has_what_a_step_sends,
            signals::a_signal_has_one_waiter,
            again::a_step_is_run_again_with_other_input,
            requests::a_fetch_gives_what_was_answered,
            requests::a_wrapped_model_is_a_step,
            triggers::missed_ticks_start_one_run,
            restarts::signals_survive_a_kill,
            apps::broken_apps_fail_with_a_code_and_hold_up_nobody,
        }
    };
}

/// Races, which differ with how steps are reported.
macro_rules! racing_scenarios {
    ($sdk:expr) => {
        scenarios! { $sdk;
            waits::a_wait_races_a_sleep,
            waits::a_plain_race_keeps_who_was_first,
        }
    };
}

/// A development server with the app.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) app: SdkApp,
}

impl World {
    /// The flags for short retries, and nothing that lasts.
    pub(crate) const HASTY: &[&str] = &["--memory", "--retry-interval", "50ms"];

    /// With short retries.
    pub(crate) async fn hasty(sdk: Sdk) -> Self {
        Self::with(sdk, Self::HASTY).await
    }

    /// With the retry delays that users get.
    pub(crate) async fn patient(sdk: Sdk) -> Self {
        Self::with(sdk, &["--memory"]).await
    }

    /// With those flags beside the usual ones.
    pub(crate) async fn with(sdk: Sdk, flags: &[&str]) -> Self {
        Self::of(sdk, flags, &[]).await
    }

    /// With those flags beside the usual ones, and those variables of the app.
    pub(crate) async fn of(sdk: Sdk, flags: &[&str], variables: &[(&str, &str)]) -> Self {
        let port = free_port();
        let app = SdkApp::dev(sdk, "sdk", &format!("http://127.0.0.1:{port}"), variables).await;
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

    /// Sends `sdk/<name>` and gives the event's id.
    pub(crate) async fn send(&self, name: &str, data: Value) -> String {
        self.server.send_event(&format!("sdk/{name}"), data).await
    }

    /// Sends `sdk/<function>` and gives the run when it has ended.
    pub(crate) async fn run(&self, function: &str, data: Value) -> Value {
        let event = self.send(function, data).await;
        self.server.ended_run_of(&event).await
    }

    /// Sends `sdk/<function>` and gives the run's id when nothing more happens by itself.
    pub(crate) async fn run_until_idle(&self, function: &str) -> String {
        self.begin(function, json!({})).await
    }

    /// The same with data.
    pub(crate) async fn begin(&self, function: &str, data: Value) -> String {
        let event = self.send(function, data).await;
        let run = self.server.run_of(&event).await;
        self.server.idle().await;
        run
    }

    /// A run goes on.
    pub(crate) async fn assert_running(&self, run: &str) {
        let read = self.server.read_run(run).await;
        assert_eq!(read["status"], "Running", "{read}");
    }

    /// A run ended by returning that.
    pub(crate) async fn assert_returned(&self, run: &str, output: impl Into<Value>) {
        let ended = self.server.ended(run).await;
        assert_eq!(ended["status"], "Completed", "{ended}");
        assert_eq!(ended["output"], output.into(), "{ended}");
    }

    /// A run was cancelled.
    pub(crate) async fn assert_cancelled(&self, run: &str) {
        let ended = self.server.ended(run).await;
        assert_eq!(ended["status"], "Cancelled", "{ended}");
    }

    /// The events of that name, from the oldest on.
    pub(crate) async fn events(&self, name: &str) -> Vec<Value> {
        let path = format!("/v1/events?name={name}&limit=50");
        let reply = self.server.client().get(&path).await.json();
        let mut events = reply["data"].as_array().cloned().expect("a list of events");
        events.reverse();
        events
    }

    /// The trace from end to end with that node in it.
    pub(crate) async fn trace(&self, id: &str) -> Value {
        let path = format!("/api/trace/{id}");
        self.server.client().get(&path).await.json()
    }

    /// The run that a run's invocation started.
    pub(crate) async fn invoked_by(&self, run: &str) -> String {
        let invoked = self.events("inngest/function.invoked").await;
        let of = |event: &&Value| {
            let correlation = event["data"]["_inngest"]["correlation_id"].as_str();
            correlation.is_some_and(|id| id.starts_with(run))
        };
        let event = invoked.iter().find(of).expect("an invocation of that run");
        self.server.run_of(&text(&event["internal_id"])).await
    }
}

/// The id of a run as the reading API has it.
pub(crate) fn id_of(run: &Value) -> &str {
    run["run_id"].as_str().expect("a run has an id")
}
