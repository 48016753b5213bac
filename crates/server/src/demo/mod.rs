//! `dunlin demo`: a server on a temporary store, an app that speaks the SDK protocol over loopback,
//! and webhooks whose way through both is told as it happens.

mod app;
mod call;
mod functions;
mod scenes;
mod story;

use std::process::ExitCode;
use std::time::Duration;

use dunlin_egress::AddressPolicy;
use dunlin_engine::{CallLimits, Missed};
use dunlin_types::{Code, limits};
use http::Method;
use serde_json::{Value, json};

use crate::cli::DemoArgs;
use crate::config::{Mode, Settings};
use crate::fail::Failure;
use crate::http_client::HttpClient;
use crate::serving::Serving;
use crate::term::{Style, Term, program};
use crate::wiring;
use story::Story;

/// The whole show may take this long.
const SHOW_MAX: Duration = Duration::from_secs(18);
/// Short, so that the retry can be watched.
const RETRY_INTERVAL_MS: i64 = 600;
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Between two looks at what has changed.
const LOOK_EVERY: Duration = Duration::from_millis(40);

/// The starters of the card `inngest`: a name for the endpoint, the types it takes, the script.
const STARTERS: [(&str, &str, &str); 3] = [
    (
        "payments",
        include_str!("../../../../integrations/inngest/fixtures/payment.json"),
        include_str!("../../../../integrations/inngest/starters/payment.js"),
    ),
    (
        "subscriptions",
        include_str!("../../../../integrations/inngest/fixtures/subscription.json"),
        include_str!("../../../../integrations/inngest/starters/subscription.js"),
    ),
    (
        "disputes",
        include_str!("../../../../integrations/inngest/fixtures/dispute.json"),
        include_str!("../../../../integrations/inngest/starters/dispute.js"),
    ),
];

pub(crate) async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let term = Term::stdout();
    let folder = tempfile::tempdir()?;
    let app = app::bind().await?;
    let app_url = app.url.clone();
    let serving = wiring::serve(&settings(folder.path(), &app_url), Mode::Dev).await?;
    let app = tokio::spawn(app.serve(serving.base_url.clone(), HttpClient::new(None)));
    let shown = tokio::time::timeout(SHOW_MAX, show(term, &serving, &app_url)).await;
    let shown = shown.unwrap_or_else(|_| Err(unexpected("the demo took too long")));
    term.line("");
    if shown.is_err() || !args.keep {
        serving.stop().await;
        app.abort();
        shown?;
        ending(term);
        return Ok(ExitCode::SUCCESS);
    }
    keeping(term, &serving);
    Ok(serving.until_stopped().await?)
}

/// Something did not go as it always should.
fn unexpected(detail: impl Into<String>) -> Failure {
    Failure::new(Code::RequestRefused, detail)
        .remedy("this should not happen; `dunlin --log debug demo` shows more")
}

fn settings(folder: &std::path::Path, app_url: &str) -> Settings {
    Settings {
        host: std::net::Ipv4Addr::LOCALHOST.into(),
        port: 0,
        allow_hosts: Vec::new(),
        public_url: None,
        data_dir: folder.join("data"),
        seal_keys: Vec::new(),
        memory: false,
        sdk_urls: vec![app_url.to_owned()],
        discover: false,
        poll_interval: POLL_INTERVAL,
        call_timeout: SHOW_MAX,
        cron_missed: Missed::Once,
        default_retries: limits::RETRIES_DEFAULT,
        calls: CallLimits::default(),
        max_live_runs: limits::LIVE_RUNS_MAX_DEFAULT,
        memory_bytes_max: None,
        retry_interval_ms: Some(RETRY_INTERVAL_MS),
        test_mode: false,
        signing_key: None,
        event_keys: Vec::new(),
        admin_token: None,
        endpoint_policy: AddressPolicy::public_only(),
        proxy: None,
        disable_failing_after_ms: limits::ENDPOINT_DISABLED_AFTER_MS,
    }
}

async fn show(term: Term, serving: &Serving, app_url: &str) -> Result<(), Failure> {
    let client = HttpClient::new(None);
    let server = serving.base_url.as_str();
    term.line(term.paint(
        Style::Bold,
        "Dunlin demo: webhooks in, durable functions out",
    ));
    term.line("");
    term.pair("server", format_args!("{server} on a temporary store"));
    let functions = synced(&client, server).await?;
    term.pair("app", format_args!("{} at {app_url}", app::NAME));
    term.pair("functions", functions.join(", "));
    for (name, _, _) in create_endpoints(&client, server).await? {
        term.pair(
            "endpoint",
            format_args!("{name} → internal://events, through its transformation"),
        );
    }
    let secret = wiring::dodo_secret(&serving.node())
        .ok_or_else(|| unexpected("the source `dodo` is not there"))?;
    let story = Story::new(term, client, server, secret);
    scenes::play(&story).await
}

/// Waits until the app has registered; gives the names of its functions.
async fn synced(client: &HttpClient, server: &str) -> Result<Vec<String>, Failure> {
    let url = format!("{server}/v1/apps/{}/functions", app::NAME);
    // Bounded by the time of the whole show.
    loop {
        let reply = client
            .send(Method::GET, &url, Default::default(), "")
            .await?;
        let names = reply.json.as_array().into_iter().flatten();
        let names: Vec<String> = names
            .filter_map(|one| one["name"].as_str())
            .map(str::to_owned)
            .collect();
        if !names.is_empty() {
            return Ok(names);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn create_endpoints(
    client: &HttpClient,
    server: &str,
) -> Result<[(&'static str, &'static str, &'static str); 3], Failure> {
    let url = format!("{server}/api/v1/app/default/endpoint");
    for (name, types, code) in STARTERS {
        let types: Value = serde_json::from_str(types)
            .map_err(|error| unexpected(format!("the starter {name}: {error}")))?;
        let endpoint = json!({
            "url": "internal://events",
            "uid": name,
            "integration": "inngest",
            "eventTypes": types,
            "transformation": { "code": code, "enabled": true },
        });
        client.ask(Method::POST, &url, Some(endpoint)).await?;
    }
    Ok(STARTERS)
}

fn ending(term: Term) {
    let dunlin = program();
    term.line(term.paint(Style::Bold, "That was all of it: nothing is left running."));
    term.pair(
        "told by",
        "GET /api/events/ID/explain and GET /v2/runs/ID/trace of the server",
    );
    term.pair("your turn", format_args!("{dunlin} dev"));
    term.pair(
        "",
        format_args!("{dunlin} trigger payment.succeeded   (in another terminal)"),
    );
    term.pair(
        "stay",
        format_args!("{dunlin} demo --keep   leaves it serving, to look around"),
    );
    term.pair(
        "read on",
        "README.md has a first hour; docs/errors explains each error code",
    );
}

fn keeping(term: Term, serving: &Serving) {
    let url = &serving.base_url;
    term.line(term.paint(Style::Bold, "Still serving; Ctrl-C ends it."));
    term.pair("events", format_args!("curl {url}/v1/events"));
    term.pair(
        "messages",
        format_args!("curl {url}/api/v1/app/default/msg"),
    );
    term.pair(
        "send one",
        format_args!("{} trigger payment.succeeded --server {url}", program()),
    );
}
