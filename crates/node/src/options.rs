//! How a node is set up.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use dunlin_egress::{AddressPolicy, Proxy};
use dunlin_engine::{CallLimits, Missed};
use dunlin_types::limits;
use dunlin_wire::sign::SigningKey;

use crate::pace::PaceLimits;

/// What the server tells SDKs that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// A development server: SDKs in development mode talk to it.
    Dev,
    /// A production server.
    Cloud,
}

impl ServerKind {
    /// The value of `X-Inngest-Server-Kind` (SDK protocol).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Cloud => "cloud",
        }
    }
}

/// How a node is set up.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// What it tells SDKs that it is.
    pub kind: ServerKind,
    /// What calls and syncs are signed with; none in development.
    pub signing_key: Option<Arc<SigningKey>>,
    /// Retries of functions that name none.
    pub retries_default: u8,
    /// A constant delay after each failed attempt and delivery.
    pub retry_interval_ms: Option<i64>,
    /// How long one call may take.
    pub call_timeout: Duration,
    /// Where apps may be.
    pub app_policy: Arc<AddressPolicy>,
    /// Where endpoints may be.
    pub endpoint_policy: Arc<AddressPolicy>,
    /// What outgoing requests go through.
    pub proxy: Option<Proxy>,
    /// How long every attempt must have failed until an endpoint is disabled; 0 for never.
    pub disable_failing_after_ms: i64,
    /// URL prefixes that are this server's own event API.
    pub own_event_urls: Vec<String>,
    /// The binary that runs `js-worker`, and the arguments that make it.
    pub js_worker: (PathBuf, Vec<String>),
    /// Whether the clock can be moved.
    pub test_mode: bool,
    /// Steps of one run.
    pub steps_max: usize,
    /// What becomes of ticks that went by while the server was down.
    pub missed_ticks: Missed,
    /// How many calls may be out.
    pub calls: CallLimits,
    /// Runs that only wait for a free call up to which all new events come in.
    pub backlog_free_max: usize,
    /// How long there may be more of these before new events are held back.
    pub backlog_patience: Duration,
    /// Live runs from which on no new events come in.
    pub live_runs_max: usize,
    /// Memory of the process from which on no new events come in; none without a cap.
    pub memory_bytes_max: Option<u64>,
}

impl NodeOptions {
    /// A development node whose transformations run in `program js-worker`.
    #[must_use]
    pub fn dev(program: PathBuf) -> Self {
        let near = AddressPolicy::public_only()
            .allow_private()
            .allow_loopback();
        Self {
            kind: ServerKind::Dev,
            signing_key: None,
            retries_default: limits::RETRIES_DEFAULT,
            retry_interval_ms: None,
            call_timeout: Duration::from_millis(limits::CALL_TIMEOUT_MS_DEFAULT),
            app_policy: Arc::new(near.clone()),
            endpoint_policy: Arc::new(near),
            proxy: None,
            disable_failing_after_ms: limits::ENDPOINT_DISABLED_AFTER_MS,
            own_event_urls: Vec::new(),
            js_worker: (program, vec!["js-worker".to_owned()]),
            test_mode: false,
            steps_max: limits::STEPS_PER_RUN_MAX,
            missed_ticks: Missed::Once,
            calls: CallLimits::default(),
            backlog_free_max: limits::BACKLOG_FREE_RUNS_MAX,
            backlog_patience: Duration::from_millis(limits::BACKLOG_PATIENCE_MS),
            live_runs_max: limits::LIVE_RUNS_MAX_DEFAULT,
            memory_bytes_max: None,
        }
    }

    /// What may be before new events are held back.
    pub(crate) fn pace(&self) -> PaceLimits {
        PaceLimits {
            backlog_free_max: self.backlog_free_max as u64,
            backlog_patience: self.backlog_patience,
            live_runs_max: self.live_runs_max as u64,
            memory_bytes_max: self.memory_bytes_max,
        }
    }
}
