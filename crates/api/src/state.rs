//! What all handlers share.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use dunlin_node::{Jobs, Node, ServerKind};
use dunlin_types::{Secret, Timestamp};
use dunlin_wire::sign::SigningKey;

use crate::inbound::Meter;
use crate::refused::RefusedCounts;

/// How the HTTP side is set up.
#[derive(Clone, Debug)]
pub struct ApiOptions {
    /// What the server tells SDKs that it is. In development everything is open to allowed hosts.
    pub kind: ServerKind,
    /// What apps authenticate with.
    pub signing_key: Option<Arc<SigningKey>>,
    /// Keys of the event API, of which each will do.
    pub event_keys: Vec<Secret>,
    /// What the management API is authenticated with.
    pub admin_token: Option<Secret>,
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Further hosts that requests may name.
    pub allow_hosts: Vec<String>,
    /// The URL under which the outside reaches this server.
    pub public_url: Option<String>,
    /// Whether the clock can be moved and `/test` is served.
    pub test_mode: bool,
    /// The version to show.
    pub version: &'static str,
}

impl ApiOptions {
    /// A development server at that address.
    #[must_use]
    pub fn dev(listen: SocketAddr) -> Self {
        Self {
            kind: ServerKind::Dev,
            signing_key: None,
            event_keys: Vec::new(),
            admin_token: None,
            listen,
            allow_hosts: Vec::new(),
            public_url: None,
            test_mode: false,
            version: env!("CARGO_PKG_VERSION"),
        }
    }

    /// The URL before the path of links that are shown: the public one, or where it listens.
    #[must_use]
    pub fn base_url(&self) -> String {
        match &self.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://{}", self.listen),
        }
    }
}

/// What all handlers share. Clones are cheap.
#[derive(Clone)]
pub struct Api {
    /// The node that decides.
    pub node: Node,
    /// How the HTTP side is set up.
    pub options: Arc<ApiOptions>,
    /// Bulk cancellations and replays.
    pub jobs: Jobs,
    /// When it began to serve.
    pub started: Timestamp,
    /// What sources refused of late.
    pub(crate) refusals: Arc<Meter>,
    /// How many requests were refused, as the guard counts them.
    pub(crate) refused: Arc<RefusedCounts>,
}

impl Api {
    /// Over that node.
    #[must_use]
    pub fn new(node: Node, options: ApiOptions) -> Self {
        Self {
            jobs: Jobs::new(node.clone()),
            started: node.now(),
            refusals: Arc::default(),
            refused: Arc::default(),
            node,
            options: Arc::new(options),
        }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
