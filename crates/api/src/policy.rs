//! The one table of what is served, to whom, and how large a request may be. A path that has no
//! row here is not served, whatever the router says.

use std::collections::HashMap;
use std::sync::LazyLock;

use dunlin_delivery::Capability;
use dunlin_delivery::Capability::{
    CreateAttempts, ManageEndpoint, ManageEndpointSecret, ManageTransformations, ViewBase,
    ViewEndpointSecret,
};
use dunlin_types::limits::{
    CHECKPOINT_BODY_BYTES_MAX, EVENT_BODY_BYTES_MAX, GRAPHQL_BODY_BYTES_MAX,
    INBOUND_BODY_BYTES_MAX, MANAGEMENT_BODY_BYTES_MAX, MESSAGE_BODY_BYTES_MAX,
    OPENAPI_BODY_BYTES_MAX, REGISTER_BODY_BYTES_MAX, RERUN_BODY_BYTES_MAX,
    RUN_METADATA_BODY_BYTES_MAX, SIGNAL_BODY_BYTES_MAX,
};
use http::Method;

pub use crate::error::Shape;

/// Who may call, unless the server is a development server, which is open to allowed hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// Anybody.
    Open,
    /// Apps: the bearer is the signing key or its hash.
    SigningKey,
    /// Senders of events: the last part of the path is an event key.
    EventKey,
    /// Operators: the bearer is the admin token.
    Admin,
    /// Apps and operators. For reads only.
    SigningKeyOrAdmin,
    /// A provider; the handler checks its signature over the body.
    SourceSignature,
    /// Operators, and only in test mode.
    TestOnly,
}

/// Who else may call, by a portal token or an integration's key: only for the application that the
/// path names as `{app}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// Nobody.
    Nobody,
    /// Whoever has one.
    Anybody,
    /// A portal that may do that, and every integration.
    Portal(Capability),
    /// Integrations only.
    Integration,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// The method; `HEAD` goes with `GET`.
    pub method: &'static str,
    /// The path as the router writes it.
    pub path: &'static str,
    /// Who may call.
    pub who: Who,
    /// Who else, where `who` are operators.
    pub within: Within,
    /// How large the body may be.
    pub body_bytes_max: usize,
    /// How errors are written.
    pub shape: Shape,
    /// Whether pages of other origins on this machine may call it, in development.
    pub cors: bool,
    /// Whether it brings new work, and is refused while the server has too much of it.
    pub intake: bool,
}

impl Route {
    /// Whether that method is meant.
    #[must_use]
    pub fn takes(&self, method: &Method) -> bool {
        self.method == method.as_str() || (self.method == "GET" && *method == Method::HEAD)
    }

    /// Whether a repetition with the same idempotency key is given the answer of the first time.
    /// The core itself knows the repetition of a message, and a search changes nothing.
    #[must_use]
    pub fn answers_once(&self) -> bool {
        let apart = [MESSAGES, SEARCH];
        self.method == "POST" && self.who == Who::Admin && !apart.contains(&self.path)
    }

    /// Whether its body is read before anybody has shown who they are.
    #[must_use]
    pub fn is_for_strangers(&self) -> bool {
        matches!(self.who, Who::Open | Who::SourceSignature)
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.method == "GET"
    }
}

/// Where messages are made.
const MESSAGES: &str = "/api/v1/app/{app}/msg";
/// Where messages are looked for.
const SEARCH: &str = "/api/v1/app/{app}/msg/search";
const NOTHING: usize = 0;
const SMALL: usize = 64 * 1024;

const fn route(method: &'static str, path: &'static str, who: Who, shape: Shape) -> Route {
    Route {
        method,
        path,
        who,
        within: Within::Nobody,
        body_bytes_max: if matches!(method.as_bytes(), b"GET" | b"DELETE") {
            NOTHING
        } else {
            SMALL
        },
        shape,
        cors: false,
        intake: false,
    }
}

impl Route {
    const fn body(mut self, bytes: usize) -> Self {
        self.body_bytes_max = bytes;
        self
    }

    const fn cors(mut self) -> Self {
        self.cors = true;
        self
    }

    const fn intake(mut self) -> Self {
        self.intake = true;
        self
    }

    const fn portal(mut self, capability: Capability) -> Self {
        self.within = Within::Portal(capability);
        self
    }

    const fn integration(mut self) -> Self {
        self.within = Within::Integration;
        self
    }

    const fn any_key(mut self) -> Self {
        self.within = Within::Anybody;
        self
    }
}

const fn read(path: &'static str, who: Who, shape: Shape) -> Route {
    route("GET", path, who, shape)
}

const fn sdk(method: &'static str, path: &'static str) -> Route {
    route(method, path, Who::SigningKey, Shape::Public)
}

const fn sdk_read(path: &'static str) -> Route {
    read(path, Who::SigningKeyOrAdmin, Shape::Public)
}

const fn v2(method: &'static str, path: &'static str) -> Route {
    route(method, path, Who::SigningKey, Shape::V2)
}

const fn v2_read(path: &'static str) -> Route {
    read(path, Who::SigningKeyOrAdmin, Shape::V2)
}

const fn manage(method: &'static str, path: &'static str) -> Route {
    let row = route(method, path, Who::Admin, Shape::Svix);
    if row.body_bytes_max == NOTHING {
        row
    } else {
        row.body(MANAGEMENT_BODY_BYTES_MAX)
    }
}

/// All routes.
pub const TABLE: &[Route] = &[
    read("/health", Who::Open, Shape::Public),
    read("/dev", Who::SigningKeyOrAdmin, Shape::Public),
    // Events and apps.
    route("POST", "/e/{key}", Who::EventKey, Shape::Event)
        .body(EVENT_BODY_BYTES_MAX)
        .cors()
        .intake(),
    sdk("POST", "/fn/register").body(REGISTER_BODY_BYTES_MAX),
    sdk("POST", "/invoke/{slug}")
        .body(EVENT_BODY_BYTES_MAX)
        .intake(),
    // What test suites set up.
    sdk("DELETE", "/fn/remove"),
    sdk("POST", "/fn/step-limit"),
    sdk("DELETE", "/fn/step-limit"),
    sdk("POST", "/fn/state-size-limit"),
    sdk("DELETE", "/fn/state-size-limit"),
    // What calls fetch and report.
    sdk("GET", "/v0/runs/{id}/batch"),
    sdk("GET", "/v0/runs/{id}/actions"),
    sdk("DELETE", "/v0/runs/{id}"),
    // A read, though its question is a body.
    route("POST", "/v0/gql", Who::SigningKeyOrAdmin, Shape::Public).body(GRAPHQL_BODY_BYTES_MAX),
    sdk("POST", "/v1/checkpoint").body(CHECKPOINT_BODY_BYTES_MAX),
    sdk("POST", "/v1/checkpoint/{run}/async").body(CHECKPOINT_BODY_BYTES_MAX),
    sdk("POST", "/v1/checkpoint/{run}/steps").body(CHECKPOINT_BODY_BYTES_MAX),
    sdk("GET", "/v1/checkpoint/{run}/output"),
    // The first version of the reading API.
    sdk_read("/v1/events"),
    sdk_read("/v1/events/{id}"),
    sdk_read("/v1/events/{id}/runs"),
    sdk_read("/v1/runs/{id}"),
    sdk("DELETE", "/v1/runs/{id}"),
    sdk_read("/v1/runs/{id}/jobs"),
    sdk("POST", "/v1/runs/{id}/metadata").body(RUN_METADATA_BODY_BYTES_MAX),
    sdk("POST", "/v1/signals").body(SIGNAL_BODY_BYTES_MAX),
    sdk_read("/v1/cancellations"),
    sdk("POST", "/v1/cancellations"),
    sdk("DELETE", "/v1/cancellations/{id}"),
    sdk("POST", "/v1/traces/userland").body(CHECKPOINT_BODY_BYTES_MAX),
    sdk_read("/v1/prom/{env}"),
    sdk_read("/v1/apps/{name}/functions"),
    sdk_read("/v1/{*rest}"),
    sdk("POST", "/v1/{*rest}").body(CHECKPOINT_BODY_BYTES_MAX),
    sdk("PUT", "/v1/{*rest}"),
    sdk("PATCH", "/v1/{*rest}"),
    sdk("DELETE", "/v1/{*rest}"),
    // The second.
    v2_read("/v2/health"),
    v2_read("/v2/account"),
    v2_read("/v2/keys/events"),
    v2_read("/v2/keys/signing"),
    v2_read("/v2/operations"),
    v2_read("/v2/apps"),
    v2_read("/v2/apps/{app}"),
    v2("POST", "/v2/apps/{app}/syncs"),
    v2_read("/v2/apps/{app}/functions"),
    v2_read("/v2/apps/{app}/functions/{fn}"),
    v2("POST", "/v2/apps/{app}/functions/{fn}/invoke")
        .body(EVENT_BODY_BYTES_MAX)
        .intake(),
    v2_read("/v2/apps/{app}/functions/{fn}/runs"),
    v2_read("/v2/runs"),
    v2_read("/v2/runs/{id}"),
    v2_read("/v2/runs/{id}/trace"),
    v2("POST", "/v2/runs/{id}/rerun")
        .body(RERUN_BODY_BYTES_MAX)
        .intake(),
    v2("POST", "/v2/runs/{id}/cancel"),
    v2("POST", "/v2/events").body(EVENT_BODY_BYTES_MAX).intake(),
    v2_read("/v2/events/{id}/runs"),
    v2_read("/v2/{*rest}"),
    v2("POST", "/v2/{*rest}"),
    v2("PUT", "/v2/{*rest}"),
    v2("PATCH", "/v2/{*rest}"),
    v2("DELETE", "/v2/{*rest}"),
    // Webhooks in.
    route("POST", "/in/{source}", Who::SourceSignature, Shape::Svix)
        .body(INBOUND_BODY_BYTES_MAX)
        .intake(),
    read("/in/{source}", Who::SourceSignature, Shape::Svix),
    manage("GET", "/ingest/api/v1/source"),
    manage("POST", "/ingest/api/v1/source"),
    manage("GET", "/ingest/api/v1/source/{id}"),
    manage("PUT", "/ingest/api/v1/source/{id}"),
    manage("PATCH", "/ingest/api/v1/source/{id}"),
    manage("DELETE", "/ingest/api/v1/source/{id}"),
    manage("GET", "/ingest/api/v1/source/{id}/secret"),
    manage("POST", "/ingest/api/v1/source/{id}/secret/rotate"),
    manage("POST", "/ingest/api/v1/source/{id}/token/rotate"),
    manage("GET", "/ingest/api/v1/source/{id}/errors"),
    manage("GET", "/ingest/api/v1/source/{id}/log"),
    // Webhooks out.
    manage("GET", "/api/v1/health"),
    manage("GET", "/api/v1/health/ping"),
    manage("GET", "/api/v1/app"),
    manage("POST", "/api/v1/app"),
    manage("GET", "/api/v1/app/{app}").portal(ViewBase),
    manage("PUT", "/api/v1/app/{app}"),
    manage("PATCH", "/api/v1/app/{app}"),
    manage("DELETE", "/api/v1/app/{app}"),
    manage("GET", "/api/v1/app/{app}/endpoint").portal(ViewBase),
    manage("POST", "/api/v1/app/{app}/endpoint").portal(ManageEndpoint),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}").portal(ViewBase),
    manage("PUT", "/api/v1/app/{app}/endpoint/{ep}").portal(ManageEndpoint),
    manage("PATCH", "/api/v1/app/{app}/endpoint/{ep}").portal(ManageEndpoint),
    manage("DELETE", "/api/v1/app/{app}/endpoint/{ep}").portal(ManageEndpoint),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}/headers").portal(ViewBase),
    manage("PUT", "/api/v1/app/{app}/endpoint/{ep}/headers").portal(ManageEndpoint),
    manage("PATCH", "/api/v1/app/{app}/endpoint/{ep}/headers").portal(ManageEndpoint),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}/secret").portal(ViewEndpointSecret),
    manage("POST", "/api/v1/app/{app}/endpoint/{ep}/secret/rotate").portal(ManageEndpointSecret),
    manage("POST", "/api/v1/app/{app}/endpoint/{ep}/send-example")
        .intake()
        .portal(CreateAttempts),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}/transformation").portal(ManageTransformations),
    manage("PATCH", "/api/v1/app/{app}/endpoint/{ep}/transformation").portal(ManageTransformations),
    manage(
        "POST",
        "/api/v1/app/{app}/endpoint/{ep}/transformation/simulate",
    )
    .portal(ManageTransformations),
    manage("POST", "/api/v1/connector/simulate"),
    // What can be sent.
    manage("GET", "/api/v1/event-type").any_key(),
    manage("POST", "/api/v1/event-type"),
    manage("POST", "/api/v1/event-type/import/openapi").body(OPENAPI_BODY_BYTES_MAX),
    manage("GET", "/api/v1/event-type/export/openapi"),
    manage("GET", "/api/v1/event-type/{name}").any_key(),
    manage("PUT", "/api/v1/event-type/{name}"),
    manage("PATCH", "/api/v1/event-type/{name}"),
    manage("DELETE", "/api/v1/event-type/{name}"),
    manage("GET", "/api/v1/event-type/{name}/retry-schedule"),
    manage("PUT", "/api/v1/event-type/{name}/retry-schedule"),
    // Messages.
    manage("GET", "/api/v1/app/{app}/msg").portal(ViewBase),
    manage("POST", "/api/v1/app/{app}/msg")
        .body(MESSAGE_BODY_BYTES_MAX)
        .intake()
        .integration(),
    manage("POST", "/api/v1/msg/broadcast")
        .body(MESSAGE_BODY_BYTES_MAX)
        .intake(),
    manage("POST", "/api/v1/app/{app}/msg/precheck/active").integration(),
    manage("POST", "/api/v1/app/{app}/msg/bulk-expunge").integration(),
    manage("POST", "/api/v1/app/{app}/msg/expunge-all-contents").integration(),
    manage("DELETE", "/api/v1/app/{app}/msg/{msg}/content").integration(),
    manage("GET", "/api/v1/app/{app}/msg/{msg}/raw").portal(ViewBase),
    manage("POST", "/api/v1/app/{app}/msg/search").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/events").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/msg/{msg}/attempt").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/attempt").portal(ViewBase),
    manage(
        "GET",
        "/api/v1/app/{app}/msg/{msg}/attempt/{attempt}/headers",
    )
    .portal(ViewBase),
    manage(
        "DELETE",
        "/api/v1/app/{app}/msg/{msg}/attempt/{attempt}/content",
    )
    .integration(),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}/msg").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}/stats").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}/attempt-stats").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}/dead-letter").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}/rate-limit-status").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}/mtls").portal(ViewBase),
    manage("PUT", "/api/v1/app/{app}/endpoint/{ep}/mtls").portal(ManageEndpoint),
    manage("DELETE", "/api/v1/app/{app}/endpoint/{ep}/mtls").portal(ManageEndpoint),
    manage("GET", "/api/v1/app/{app}/endpoint/{ep}/ca").portal(ViewBase),
    manage("PUT", "/api/v1/app/{app}/endpoint/{ep}/ca").portal(ManageEndpoint),
    manage("DELETE", "/api/v1/app/{app}/endpoint/{ep}/ca").portal(ManageEndpoint),
    manage("POST", "/api/v1/app/{app}/endpoint/{ep}/msg/test-attempt")
        .body(MESSAGE_BODY_BYTES_MAX)
        .intake()
        .portal(CreateAttempts),
    manage("POST", "/api/v1/app/{app}/endpoint/{ep}/recover").portal(CreateAttempts),
    manage("POST", "/api/v1/app/{app}/endpoint/{ep}/replay-missing").portal(CreateAttempts),
    manage("POST", "/api/v1/app/{app}/endpoint/{ep}/bulk-replay").portal(CreateAttempts),
    manage("POST", "/api/v1/app/{app}/endpoint/{ep}/enable").portal(ManageEndpoint),
    manage("POST", "/api/v1/app/{app}/endpoint/{ep}/cancel-msgs").portal(ManageEndpoint),
    manage("GET", "/api/v1/app/{app}/stats/attempts").portal(ViewBase),
    manage("POST", "/api/v1/stats/usage/app"),
    manage("PUT", "/api/v1/stats/usage/event-types"),
    manage("GET", "/api/v1/background-task"),
    manage("GET", "/api/v1/background-task/{task}"),
    manage("GET", "/api/v1/operational-webhook/endpoint"),
    manage("POST", "/api/v1/operational-webhook/endpoint"),
    manage("GET", "/api/v1/operational-webhook/endpoint/{ep}"),
    manage("PUT", "/api/v1/operational-webhook/endpoint/{ep}"),
    manage("DELETE", "/api/v1/operational-webhook/endpoint/{ep}"),
    manage("GET", "/api/v1/operational-webhook/endpoint/{ep}/headers"),
    manage("PUT", "/api/v1/operational-webhook/endpoint/{ep}/headers"),
    manage("GET", "/api/v1/operational-webhook/endpoint/{ep}/secret"),
    manage(
        "POST",
        "/api/v1/operational-webhook/endpoint/{ep}/secret/rotate",
    ),
    manage("GET", "/api/v1/app/{app}/msg/{msg}").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/msg/{msg}/endpoint").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/msg/{msg}/attempt/{attempt}").portal(ViewBase),
    manage("POST", "/api/v1/app/{app}/msg/{msg}/endpoint/{ep}/resend").portal(CreateAttempts),
    manage("GET", "/api/v1/app/{app}/attempt/endpoint/{ep}").portal(ViewBase),
    manage("GET", "/api/v1/app/{app}/attempt/msg/{msg}").portal(ViewBase),
    // Who may call what within an application.
    manage("POST", "/api/v1/auth/app-portal-access/{app}"),
    manage("POST", "/api/v1/auth/dashboard-access/{app}"),
    manage("POST", "/api/v1/auth/app/{app}/expire-all"),
    manage("POST", "/api/v1/auth/logout").any_key(),
    manage("GET", "/api/v1/auth/whoami").any_key(),
    manage("GET", "/api/v1/app/{app}/integration"),
    manage("POST", "/api/v1/app/{app}/integration"),
    manage("GET", "/api/v1/app/{app}/integration/{id}"),
    manage("PUT", "/api/v1/app/{app}/integration/{id}"),
    manage("DELETE", "/api/v1/app/{app}/integration/{id}"),
    manage("GET", "/api/v1/app/{app}/integration/{id}/key"),
    manage("POST", "/api/v1/app/{app}/integration/{id}/key/rotate"),
    // What else there may be.
    manage("GET", "/api/v1/{*rest}"),
    manage("POST", "/api/v1/{*rest}"),
    manage("PUT", "/api/v1/{*rest}"),
    manage("PATCH", "/api/v1/{*rest}"),
    manage("DELETE", "/api/v1/{*rest}"),
    read(
        "/api/events/{id}/explain",
        Who::SigningKeyOrAdmin,
        Shape::Svix,
    ),
    read("/api/trace/{id}", Who::SigningKeyOrAdmin, Shape::Svix),
    // Functions, for operators.
    manage("POST", "/api/functions/{slug}/pause"),
    manage("POST", "/api/functions/{slug}/resume"),
    manage("POST", "/api/functions/{slug}/replays"),
    read("/api/replays", Who::SigningKeyOrAdmin, Shape::Svix),
    read("/api/replays/{id}", Who::SigningKeyOrAdmin, Shape::Svix),
    manage("DELETE", "/api/replays/{id}"),
    // Flow control: why something waits, and limits of operators.
    manage("GET", "/api/runs/{id}/waiting"),
    manage("GET", "/api/functions/{slug}/queues"),
    manage("GET", "/api/functions/{slug}/dropped"),
    manage("GET", "/api/limits"),
    manage("PUT", "/api/limits/{name}"),
    manage("DELETE", "/api/limits/{name}"),
    manage("GET", "/metrics"),
    // The same endpoints as Dodo's own API shows them.
    read("/webhooks", Who::Admin, Shape::Dodo),
    route("POST", "/webhooks", Who::Admin, Shape::Dodo),
    read("/webhooks/{id}", Who::Admin, Shape::Dodo),
    route("PATCH", "/webhooks/{id}", Who::Admin, Shape::Dodo),
    route("DELETE", "/webhooks/{id}", Who::Admin, Shape::Dodo),
    read("/webhooks/{id}/headers", Who::Admin, Shape::Dodo),
    route("PATCH", "/webhooks/{id}/headers", Who::Admin, Shape::Dodo),
    read("/webhooks/{id}/secret", Who::Admin, Shape::Dodo),
    // Test mode.
    read("/test/", Who::TestOnly, Shape::Public),
    read("/test/idle", Who::TestOnly, Shape::Public),
    route("POST", "/test/clock/advance", Who::TestOnly, Shape::Public),
    route("POST", "/test/reset", Who::TestOnly, Shape::Public),
    route("POST", "/test/function/pause", Who::TestOnly, Shape::Public),
    route(
        "POST",
        "/test/function/runs/cancel",
        Who::TestOnly,
        Shape::Public,
    ),
    read(
        "/test/queue/function-queue-size",
        Who::TestOnly,
        Shape::Public,
    ),
];

/// The rows by path.
static BY_PATH: LazyLock<HashMap<&'static str, Vec<&'static Route>>> = LazyLock::new(|| {
    let mut by_path: HashMap<_, Vec<_>> = HashMap::new();
    for row in TABLE {
        by_path.entry(row.path).or_default().push(row);
    }
    by_path
});

/// The rows of that path, one for each method; empty if there are none. The second version of the
/// SDK-facing API is served below `/api` too, by the same rows.
pub(crate) fn rows(path: &str) -> &'static [&'static Route] {
    let path = match path.strip_prefix("/api") {
        Some(rest) if rest.starts_with("/v2/") => rest,
        _ => path,
    };
    BY_PATH.get(path).map_or(&[], Vec::as_slice)
}
