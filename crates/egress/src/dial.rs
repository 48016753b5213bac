//! From a target to a connection: look up, judge each address, connect only to those that passed.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use dunlin_types::limits::{ADDRESSES_TRIED_MAX, LOOKUPS_IN_FLIGHT_MAX};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::guard::AddressPolicy;
use crate::message::{SendError, SendErrorKind};
use crate::target::Origin;

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
    resolver: Arc<dyn Resolve>,
    lookups: Arc<Semaphore>,
    tls: TlsConnector,
}

impl Dialer {
    pub(crate) fn new(resolver: Arc<dyn Resolve>, roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring supports the default versions")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self {
            resolver,
            lookups: Arc::new(Semaphore::new(LOOKUPS_IN_FLIGHT_MAX)),
            tls: TlsConnector::from(Arc::new(config)),
        }
    }

    /// A stream to an address of the origin that the policy allows.
    pub(crate) async fn dial(
        &self,
        origin: &Origin,
        policy: &AddressPolicy,
        until: Instant,
    ) -> Result<Stream, SendError> {
        let blocked = |error: dunlin_types::Coded| {
            SendError::new(
                SendErrorKind::Blocked,
                format!("{}: {}", origin.host, error.detail),
            )
        };
        origin.check(policy).map_err(blocked)?;
        let found = match origin.known_addresses() {
            Some(addresses) => addresses,
            None => self.look_up(&origin.host, until).await?,
        };
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
            Some(error) if allowed.is_empty() => Err(blocked(error)),
            _ => self.connect(origin, &allowed, until).await,
        }
    }

    async fn look_up(&self, host: &str, until: Instant) -> Result<Vec<IpAddr>, SendError> {
        let failed = |why: &dyn std::fmt::Display| {
            SendError::new(
                SendErrorKind::Dns,
                format!("looking up {host} failed: {why}"),
            )
        };
        let permit = timeout_at(until, Arc::clone(&self.lookups).acquire_owned())
            .await
            .map_err(|_| failed(&"too many look-ups are waiting"))?;
        let (resolver, name) = (Arc::clone(&self.resolver), host.to_owned());
        // The thread keeps the permit: it goes on when nobody waits for it any more.
        let asked = tokio::task::spawn_blocking(move || {
            let found = resolver.resolve(&name);
            drop(permit);
            found
        });
        let found = timeout_at(until, asked)
            .await
            .map_err(|_| failed(&"no answer in time"))?
            .map_err(|error| failed(&error))?
            .map_err(|error| failed(&error))?;
        if found.is_empty() {
            return Err(failed(&"the name has no address"));
        }
        Ok(found)
    }

    async fn connect(
        &self,
        origin: &Origin,
        addresses: &[SocketAddr],
        until: Instant,
    ) -> Result<Stream, SendError> {
        let mut last = io::Error::from(io::ErrorKind::TimedOut);
        for (tried, address) in addresses.iter().enumerate() {
            let left = until.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(addresses.len() - tried).unwrap_or(1);
            match timeout_at(Instant::now() + share, TcpStream::connect(address)).await {
                Ok(Ok(tcp)) => return self.secure(origin, tcp, until).await,
                Ok(Err(error)) => last = error,
                Err(_) => last = io::Error::from(io::ErrorKind::TimedOut),
            }
        }
        Err(SendError::new(
            SendErrorKind::Connect,
            format!("connecting to {origin} failed: {last}"),
        ))
    }

    async fn secure(
        &self,
        origin: &Origin,
        tcp: TcpStream,
        until: Instant,
    ) -> Result<Stream, SendError> {
        let failed = |why: &dyn std::fmt::Display| {
            SendError::new(
                SendErrorKind::Tls,
                format!("TLS with {origin} failed: {why}"),
            )
        };
        let set_up = tcp.set_nodelay(true).and_then(|()| {
            let keepalive = TcpKeepalive::new()
                .with_time(KEEPALIVE_AFTER)
                .with_interval(KEEPALIVE_EVERY);
            SockRef::from(&tcp).set_tcp_keepalive(&keepalive)
        });
        if let Err(error) = set_up {
            let text = format!("connecting to {origin} failed: {error}");
            return Err(SendError::new(SendErrorKind::Connect, text));
        }
        if !origin.https {
            return Ok(Stream::Plain(tcp));
        }
        let name = ServerName::try_from(origin.host.to_string()).map_err(|e| failed(&e))?;
        let secured = timeout_at(until, self.tls.connect(name, tcp)).await;
        let secured = secured.map_err(|_| failed(&"no answer in time"))?;
        secured
            .map(|tls| Stream::Tls(Box::new(tls)))
            .map_err(|e| failed(&e))
    }
}

pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Self::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Self::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Self::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
