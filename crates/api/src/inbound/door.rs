//! Which source a path names, and whom it lets send.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use dunlin_delivery::{Config, Source};
use dunlin_types::{Code, Coded};
use http::request::Parts;

/// The address that is connected; nothing that a header says.
pub(super) struct Peer(pub(super) Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let connected = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self(connected.map(|peer| peer.0.ip().to_canonical())))
    }
}

/// The source of that id, name or uid, where the path carries what its URL has to carry.
pub(super) fn find(config: &Config, path: &str) -> Result<Arc<Source>, Coded> {
    let (found, token) = match (config.find_source(path), path.rsplit_once('.')) {
        (Some(found), _) => (Some(found), None),
        (None, Some((name, token))) => (config.find_source(name), Some(token)),
        (None, None) => (None, None),
    };
    let opens = |source: &&Arc<Source>| match (&source.url_token, token) {
        (None, None) => true,
        (Some(right), Some(given)) => right.matches(given),
        _ => false,
    };
    let found = found.filter(opens).cloned();
    found.ok_or_else(|| Coded::plain(Code::SourceUnknown))
}

/// Refuses an address that is not on the source's list, if it has one.
pub(super) fn lets_in(source: &Source, ip: Option<IpAddr>) -> Result<(), Coded> {
    let list = &source.config.ip_allow;
    let is_on = |ip: IpAddr| list.iter().any(|range| range.contains(ip));
    if list.is_empty() || ip.is_some_and(is_on) {
        return Ok(());
    }
    Err(Coded::plain(Code::SenderRefused))
}
