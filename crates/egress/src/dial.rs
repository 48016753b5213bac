//! From a target to a connection: look up, judge each address, connect only to those that passed.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use dunlin_types::Coded;
use dunlin_types::limits::ADDRESSES_TRIED_MAX;
use rustls::RootCertStore;
use rustls::pki_types::ServerName;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::guard::AddressPolicy;
use crate::lookup::{Lookups, OPERATOR};
use crate::message::{SendError, SendErrorKind};
use crate::pool::Key;
use crate::proxy::Proxy;
use crate::target::Origin;
use crate::tls::plain_connector;
use crate::tls_error::explain_handshake;

/// A peer that vanished without a word is noticed after about this long plus a few probes, however
/// far the deadline is.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
const KEEPALIVE_EVERY: Duration = Duration::from_secs(15);

/// Looks names up. It may block: it is called on a thread for that.
pub trait Resolve: Send + Sync {
    /// The addresses of a host, in the order to try them.
    ///
    /// # Errors
    /// When there are none, or nobody answers.
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Asks the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        Ok((host, 0)
            .to_socket_addrs()?
            .map(|address| address.ip())
            .collect())
    }
}

pub(crate) struct Dialer {
    lookups: Lookups,
    roots: Arc<RootCertStore>,
    tls: TlsConnector,
    proxy: Option<Proxy>,
}

impl Dialer {
    pub(crate) fn new(
        resolver: Arc<dyn Resolve>,
        roots: RootCertStore,
        proxy: Option<Proxy>,
    ) -> Self {
        let roots = Arc::new(roots);
        Self {
            lookups: Lookups::new(resolver),
            tls: plain_connector(&roots),
            roots,
            proxy,
        }
    }

    /// A stream to an address of the origin that the policy allows.
    pub(crate) async fn dial(&self, key: &Key, until: Instant) -> Result<Stream, SendError> {
        let origin = &*key.origin;
        let blocked = |error: Coded| {
            let text = format!("{}: {}", origin.host, error.detail);
            SendError::new(SendErrorKind::Blocked, text)
        };
        origin.check(&key.policy).map_err(blocked)?;
        if let Some(identity) = &key.tls {
            identity.check(&key.policy).map_err(blocked)?;
        }
        let found = match origin.known_addresses() {
            Some(addresses) => addresses,
            None => self.lookups.find(key.tenant, &origin.host, until).await?,
        };
        let allowed = allowed(origin, &key.policy, found).map_err(blocked)?;
        let tcp = self.connect(origin, &allowed, until).await?;
        let io = self.secure(key, tcp, until).await?;
        let read = Arc::new(AtomicU64::new(0));
        Ok(Stream { io, read })
    }

    /// A connection to one of the addresses, by way of the proxy unless it is exempt.
    async fn connect(
        &self,
        origin: &Origin,
        addresses: &[SocketAddr],
        until: Instant,
    ) -> Result<TcpStream, SendError> {
        let failed = |why: io::Error| {
            let text = format!("connecting to {origin} failed: {why}");
            SendError::new(SendErrorKind::Connect, text)
        };
        let led = |proxy: &&Proxy| {
            let spared = |address: &SocketAddr| proxy.spares(&origin.host, address.ip());
            !addresses.iter().all(spared)
        };
        let detour = match self.proxy.as_ref().filter(led) {
            Some(proxy) => Some(Detour {
                host: &origin.host,
                hops: self.addresses_of(proxy, until).await?,
                proxy,
            }),
            None => None,
        };
        let tcp = try_each(addresses, detour.as_ref(), until).await;
        let tcp = tcp.map_err(failed)?;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE_AFTER)
            .with_interval(KEEPALIVE_EVERY);
        tcp.set_nodelay(true)
            .and_then(|()| SockRef::from(&tcp).set_tcp_keepalive(&keepalive))
            .map_err(failed)?;
        Ok(tcp)
    }

    /// The proxy's own addresses. The operator named it: it may be anywhere.
    async fn addresses_of(
        &self,
        proxy: &Proxy,
        until: Instant,
    ) -> Result<Vec<SocketAddr>, SendError> {
        let found = match proxy.host.parse() {
            Ok(ip) => vec![ip],
            Err(_) => self.lookups.find(OPERATOR, &proxy.host, until).await?,
        };
        let found = found.into_iter().take(ADDRESSES_TRIED_MAX);
        Ok(found.map(|ip| SocketAddr::new(ip, proxy.port)).collect())
    }

    async fn secure(&self, key: &Key, tcp: TcpStream, until: Instant) -> Result<Io, SendError> {
        let origin = &key.origin;
        if !origin.https {
            return Ok(Io::Plain(tcp));
        }
        let failed = |why: &dyn std::fmt::Display| {
            let text = format!("TLS with {origin} failed: {why}");
            SendError::new(SendErrorKind::Tls, text)
        };
        let own = key.tls.as_ref().map(|own| own.connector(&self.roots));
        let own = own.transpose().map_err(|error| failed(&error.detail))?;
        let tls = own.as_ref().unwrap_or(&self.tls);
        let name = ServerName::try_from(origin.host.to_string()).map_err(|e| failed(&e))?;
        let secured = timeout_at(until, tls.connect(name, tcp)).await;
        let secured = secured.map_err(|_| failed(&"no answer in time"))?;
        secured
            .map(|tls| Io::Tls(Box::new(tls)))
            .map_err(|error| failed(&explain_handshake(&error)))
    }
}

/// The addresses that may be connected to, in order; an error when all there are may not.
fn allowed(
    origin: &Origin,
    policy: &AddressPolicy,
    found: Vec<IpAddr>,
) -> Result<Vec<SocketAddr>, Coded> {
    let mut refusal = None;
    let mut allowed = Vec::new();
    for ip in found {
        match policy.check_host_ip(&origin.host, ip) {
            Ok(()) if allowed.len() < ADDRESSES_TRIED_MAX => {
                allowed.push(SocketAddr::new(ip, origin.port));
            }
            Ok(()) => {}
            Err(error) => refusal = Some(error),
        }
    }
    match refusal {
        Some(error) if allowed.is_empty() => Err(error),
        _ => Ok(allowed),
    }
}

/// A connection to the first of the addresses that takes one, each within its share of the time.
async fn try_each(
    addresses: &[SocketAddr],
    detour: Option<&Detour<'_>>,
    until: Instant,
) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::TimedOut);
    for (tried, address) in addresses.iter().enumerate() {
        let left = until.saturating_duration_since(Instant::now());
        let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
        match timeout_at(Instant::now() + share, reach(*address, detour)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
        }
    }
    Err(last)
}

/// The way of the addresses of that host that are not exempt from the proxy.
struct Detour<'a> {
    host: &'a str,
    proxy: &'a Proxy,
    hops: Vec<SocketAddr>,
}

async fn reach(address: SocketAddr, detour: Option<&Detour<'_>>) -> io::Result<TcpStream> {
    let led = |detour: &&Detour<'_>| !detour.proxy.spares(detour.host, address.ip());
    let Some(detour) = detour.filter(led) else {
        return TcpStream::connect(address).await;
    };
    let mut tcp = TcpStream::connect(&detour.hops[..]).await?;
    detour.proxy.lead(&mut tcp, address).await?;
    Ok(tcp)
}

/// A connection that counts what is read from it.
pub(crate) struct Stream {
    io: Io,
    pub(crate) read: Arc<AtomicU64>,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let polled = match &mut this.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Io::Tls(tls) => Pin::new(&mut **tls).poll_read(cx, buf),
        };
        let more = (buf.filled().len() - before) as u64;
        // There is no other writer, so that this need not be one atomic step.
        let total = this.read.load(Ordering::Relaxed) + more;
        this.read.store(total, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Io::Tls(tls) => Pin::new(&mut **tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Io::Tls(tls) => Pin::new(&mut **tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Tls(tls) => Pin::new(&mut **tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().io {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Tls(tls) => Pin::new(&mut **tls).poll_shutdown(cx),
        }
    }
}
