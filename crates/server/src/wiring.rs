//! Puts a server together: store, node, HTTP, discovery.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use dunlin_api::ApiOptions;
use dunlin_delivery::{self as delivery, DEFAULT_APPLICATION, NewSource, SourceKind, SourceMode};
use dunlin_egress::AddressPolicy;
use dunlin_node::{Discovery, Node, NodeOptions, ServerKind};
use dunlin_store::{MemoryStore, Store};
use dunlin_store_sqlite::SqliteStore;
use dunlin_types::{Code, Coded, Secret, limits};
use dunlin_wire::standard_webhooks;
use tokio::net::TcpListener;

use crate::JS_WORKER;
use crate::config::{Mode, Settings, url_host};
use crate::fail::Failure;
use crate::serving::Serving;

/// The source that a development server has from the start.
pub(crate) const DODO: &str = "dodo";

/// Starts everything; requests are served when this returns.
///
/// # Errors
/// When the address is taken, the data cannot be opened, or the process may not do what it must.
pub(crate) async fn serve(settings: &Settings, mode: Mode) -> Result<Serving, Failure> {
    // First, because a second server must not touch the data of the first.
    let listener = listen(settings).await?;
    let address = listener
        .local_addr()
        .map_err(|error| taken(settings, &error))?;
    let store = open_store(settings)?;
    let running = dunlin_node::start(node_options(settings, mode, address)?, store)
        .await
        .map_err(|error| unopened(settings, error))?;
    let node = running.node();
    if mode == Mode::Dev {
        ensure_source(&node).await?;
    }
    let discovery = Discovery {
        sdk_urls: settings.sdk_urls.clone(),
        discover: mode == Mode::Dev && settings.discover,
        poll_interval: settings.poll_interval,
    };
    let options = api_options(settings, mode, address);
    Serving::begin(running, listener, options, discovery)
}

async fn listen(settings: &Settings) -> Result<TcpListener, Failure> {
    let address = SocketAddr::new(settings.host, settings.port);
    TcpListener::bind(address)
        .await
        .map_err(|error| taken(settings, &error))
}

fn taken(settings: &Settings, error: &std::io::Error) -> Failure {
    let address = SocketAddr::new(settings.host, settings.port);
    let failure = Failure::new(
        Code::PortTaken,
        format!("cannot listen on {address}: {error}"),
    );
    match error.kind() {
        std::io::ErrorKind::AddrInUse => failure.remedy(format!(
            "end the program that has it (ss -ltnp 'sport = :{0}'), or take another port: --port {1}",
            settings.port,
            settings.port.saturating_add(10)
        )),
        std::io::ErrorKind::PermissionDenied => {
            failure.remedy("ports below 1024 need rights; take another one: --port 8288")
        }
        _ => failure.remedy("--host must be an address of this machine"),
    }
}

fn open_store(settings: &Settings) -> Result<Arc<dyn Store>, Failure> {
    if settings.memory {
        return Ok(Arc::new(MemoryStore::new()));
    }
    let opened = SqliteStore::sealed(&settings.data_dir, settings.seal_keys.clone());
    opened
        .map(|store| Arc::new(store) as Arc<dyn Store>)
        .map_err(|error| unopened(settings, Coded::new(error.code, error.detail)))
}

pub(crate) fn unopened(settings: &Settings, error: Coded) -> Failure {
    let locked = error.code == Code::StoreLocked;
    let failure = Failure::from(error);
    match locked {
        true => failure.remedy(format!(
            "another dunlin uses {}; end it, or name another folder: --data-dir",
            settings.data_dir.display()
        )),
        false => failure,
    }
}

fn node_options(
    settings: &Settings,
    mode: Mode,
    address: SocketAddr,
) -> Result<NodeOptions, Failure> {
    let (program, arguments) = js_worker()?;
    let mut options = NodeOptions::dev(program);
    options.js_worker.1 = arguments;
    options.retries_default = settings.default_retries;
    options.retry_interval_ms = settings.retry_interval_ms;
    options.call_timeout = settings.call_timeout;
    options.missed_ticks = settings.cron_missed;
    options.calls = settings.calls;
    options.live_runs_max = settings.max_live_runs;
    options.memory_bytes_max = settings
        .memory_bytes_max
        .or_else(dunlin_node::memory_bytes_max_default);
    options.own_event_urls = own_event_urls(settings, address);
    options.proxy.clone_from(&settings.proxy);
    options.disable_failing_after_ms = settings.disable_failing_after_ms;
    options.test_mode = settings.test_mode;
    if mode == Mode::Start {
        options.kind = ServerKind::Cloud;
        options.signing_key.clone_from(&settings.signing_key);
        options.app_policy = Arc::new(app_policy(&settings.sdk_urls));
        options.endpoint_policy = Arc::new(settings.endpoint_policy.clone());
    }
    Ok(options)
}

/// Apps hold the signing key, so they may be private; loopback only where the operator said so.
fn app_policy(sdk_urls: &[String]) -> AddressPolicy {
    let named = sdk_urls.iter().filter_map(|url| url_host(url));
    named.fold(
        AddressPolicy::public_only().allow_private(),
        |policy, host| {
            let is_loopback = host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
            if host == "localhost" || is_loopback {
                // An app registers itself by either name.
                policy
                    .allow_host("localhost")
                    .allow_host("127.0.0.1")
                    .allow_host("::1")
            } else {
                policy.allow_host(host)
            }
        },
    )
}

/// Where events for this very server would go over HTTP, and need not.
fn own_event_urls(settings: &Settings, address: SocketAddr) -> Vec<String> {
    let port = address.port();
    let mut urls = vec![
        format!("http://{address}/e/"),
        format!("http://127.0.0.1:{port}/e/"),
        format!("http://localhost:{port}/e/"),
    ];
    urls.extend(settings.public_url.as_ref().map(|url| format!("{url}/e/")));
    urls
}

fn api_options(settings: &Settings, mode: Mode, address: SocketAddr) -> ApiOptions {
    let mut options = ApiOptions::dev(address);
    options.allow_hosts.clone_from(&settings.allow_hosts);
    options.public_url.clone_from(&settings.public_url);
    options.test_mode = settings.test_mode;
    options.version = env!("CARGO_PKG_VERSION");
    if mode == Mode::Start {
        options.kind = ServerKind::Cloud;
        options.signing_key.clone_from(&settings.signing_key);
        options.event_keys.clone_from(&settings.event_keys);
        options.admin_token.clone_from(&settings.admin_token);
    }
    options
}

/// The program and the arguments that make a JavaScript worker: this very binary.
///
/// # Errors
/// When the process does not know its own file.
pub(crate) fn js_worker() -> Result<(PathBuf, Vec<String>), Failure> {
    // The running file, even when an upgrade has put another one in its place: workers of another
    // version would not understand this one.
    let running = Path::new("/proc/self/exe");
    let program = match running.exists() {
        true => running.to_path_buf(),
        false => std::env::current_exe().map_err(|error| {
            Failure::new(
                Code::TransformCrashed,
                format!("the program's own file: {error}"),
            )
        })?,
    };
    Ok((program, vec![JS_WORKER.to_owned()]))
}

/// Makes the source `dodo` where there is none at all: at the first start.
async fn ensure_source(node: &Node) -> Result<(), Failure> {
    if node.config().sources().next().is_some() {
        return Ok(());
    }
    let random: [u8; limits::WEBHOOK_KEY_BYTES_MIN] = rand::random();
    let new = NewSource {
        name: DODO.to_owned(),
        uid: None,
        kind: SourceKind::Dodo,
        mode: Some(SourceMode::Test),
        config: Default::default(),
        app: DEFAULT_APPLICATION,
        metadata: Default::default(),
        secret: standard_webhooks::generate(&random),
    };
    let made = node
        .delivery(|token| delivery::Input::CreateSource { token, new })
        .await?;
    match made {
        delivery::Answer::Refused(error) => Err(error.into()),
        _ => Ok(()),
    }
}

/// The secret that the source `dodo` verifies with, if there is that source.
pub(crate) fn dodo_secret(node: &Node) -> Option<Secret> {
    let config = node.config();
    let source = config.source_of_name(DODO)?;
    source.secrets.first().map(|version| version.secret.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may_call(policy: &AddressPolicy, host: &str, ip: &str) -> bool {
        policy.check_host_ip(host, ip.parse().unwrap()).is_ok()
    }

    #[test]
    fn apps_on_loopback_are_called_only_where_the_operator_named_one() {
        let closed = app_policy(&["http://10.0.0.7:3000/api/inngest".to_owned()]);
        assert!(!may_call(&closed, "localhost", "127.0.0.1"));
        assert!(may_call(&closed, "app.internal", "10.0.0.8"));
        let open = app_policy(&["http://127.0.0.1:3000/api/inngest".to_owned()]);
        assert!(may_call(&open, "localhost", "127.0.0.1"));
        assert!(may_call(&open, "127.0.0.1", "127.0.0.1"));
        assert!(!may_call(&open, "evil.example", "127.0.0.1"));
        assert!(!may_call(&open, "localhost", "169.254.169.254"));
    }
}
