//! Apps are found, asked to register, and asked again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use dunlin_engine::config::AppRow;
use dunlin_types::{Code, limits};
use dunlin_wire::register::app_identity_url;
use http::Method;
use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::{LOOK_DEADLINE, SyncOutcome, exchange, refusal, sync_app};
use crate::handle::Node;
use crate::options::ServerKind;

/// Where SDKs serve by default (SDK protocol, discovery).
const PORTS: [u16; 27] = [
    80, 443, 3000, 3001, 3002, 3003, 3004, 3005, 3006, 3007, 3008, 3009, 3010, 4321, 5000, 5173,
    8000, 8080, 8081, 8787, 8888, 8910, 8911, 8912, 8913, 8914, 8915,
];
const PATHS: [&str; 4] = [
    "/api/inngest",
    "/x/inngest",
    "/.netlify/functions/inngest",
    "/.redwood/functions/inngest",
];

/// How apps are found and kept in step.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// URLs named by the operator.
    pub sdk_urls: Vec<String>,
    /// Whether to look at the usual ports for apps that nobody named.
    pub discover: bool,
    /// Pause between two rounds.
    pub poll_interval: Duration,
}

/// URLs that have synced since the start.
type Settled = Arc<Mutex<BTreeSet<String>>>;

impl Discovery {
    /// Runs for ever: drop it to stop.
    pub async fn run(self, node: Node) {
        let settled = Settled::default();
        let known = apps_of(&node).await;
        for url in &self.sdk_urls {
            let identity = app_identity_url(url);
            // An app that has registered before is what it was; the first round asks it.
            if !known.iter().any(|app| app.identity_url == identity) {
                let pending = Some((Code::AppUnreachable, "not synced yet".to_owned()));
                node.app_seen(url.clone(), identity, pending);
            }
        }
        loop {
            self.round(&node, &settled).await;
            tokio::time::sleep(self.poll_interval).await;
        }
    }

    async fn round(&self, node: &Node, settled: &Settled) {
        let apps = apps_of(node).await;
        let registered = apps.iter().any(|app| !app.name.is_empty());
        if self.discover && self.sdk_urls.is_empty() && !registered {
            discover(node).await;
        }
        let mut syncs = JoinSet::new();
        for (url, before) in self.due(&apps, node.options().kind, settled) {
            if syncs.len() >= limits::SYNCS_AT_ONCE_MAX {
                syncs.join_next().await;
            }
            let (node, settled) = (node.clone(), Arc::clone(settled));
            syncs.spawn(async move {
                let outcome = sync_app(&node, &url).await;
                tell(&url, before.as_ref(), &outcome);
                if outcome == SyncOutcome::Synced {
                    lock(&settled).insert(url);
                }
            });
        }
        while syncs.join_next().await.is_some() {}
    }

    /// URLs to ask in this round, each once, with what was wrong with them. A production server asks
    /// only where something is wrong, and what was named once; apps of a development server change
    /// under it.
    fn due(
        &self,
        apps: &[AppRow],
        kind: ServerKind,
        settled: &Settled,
    ) -> Vec<(String, Option<(Code, String)>)> {
        let settled = lock(settled);
        let asked = apps
            .iter()
            .filter(|app| app.error.is_some() || kind == ServerKind::Dev)
            .map(|app| (app.url.clone(), app.error.clone()));
        let named = self.sdk_urls.iter();
        let named = named
            .filter(|url| !settled.contains(*url))
            .map(|url| (url.clone(), None));
        let mut seen = BTreeSet::new();
        asked
            .chain(named)
            .filter(|(url, _)| seen.insert(app_identity_url(url)))
            .collect()
    }
}

fn lock(settled: &Settled) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
    settled.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Apps that are served over HTTP, as committed.
async fn apps_of(node: &Node) -> Vec<AppRow> {
    let apps = node.read(|reader| reader.apps()).await.unwrap_or_default();
    apps.into_iter()
        .filter(|app| !app.is_vacant() && !app.url.starts_with("ws"))
        .collect()
}

fn tell(url: &str, before: Option<&(Code, String)>, outcome: &SyncOutcome) {
    match outcome {
        SyncOutcome::Synced => debug!(url, "app is in step"),
        SyncOutcome::Failed(code, why) => {
            if before != Some(&(*code, why.clone())) {
                warn!(url, code = %code, why, "app could not be synced");
            }
        }
    }
}

/// Looks where SDKs usually serve.
async fn discover(node: &Node) {
    let own = std::env::var("PORT")
        .ok()
        .and_then(|port| port.parse().ok());
    for port in PORTS.into_iter().chain(own) {
        for path in PATHS {
            let url = format!("http://localhost:{port}{path}");
            let looked = exchange(node, Method::GET, &url, Bytes::new(), LOOK_DEADLINE).await;
            let Ok(response) = looked else { break };
            if refusal::is_sdk(&response.headers) {
                info!(url, "found an app");
                sync_app(node, &url).await;
                break;
            }
        }
    }
}
