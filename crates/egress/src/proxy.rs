//! An outgoing proxy that the operator named. It is told addresses that were checked here, never a
//! name, so that the guard holds behind it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use dunlin_types::limits::PROXY_HEAD_BYTES_MAX;
use dunlin_types::{Code, Coded};
use percent_encoding::percent_decode_str;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::guard::{Cidr, normal_host};

/// A proxy by CONNECT or SOCKS5, and what is reached without it.
#[derive(Clone)]
pub struct Proxy {
    kind: Kind,
    pub(crate) host: Box<str>,
    pub(crate) port: u16,
    /// User and password.
    credentials: Option<(Vec<u8>, Vec<u8>)>,
    exempt: Vec<Exempt>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Connect,
    Socks5,
}

#[derive(Clone, Debug)]
enum Exempt {
    All,
    Network(Cidr),
    Domain(Box<str>),
}

impl fmt::Debug for Proxy {
    /// Without credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({:?} {}:{})", self.kind, self.host, self.port)
    }
}

impl Proxy {
    /// `http://[user:password@]host[:port]` or `socks5://…`. What is exempt is a domain with all
    /// below it, an address, a network, or `*`; loopback addresses always are.
    ///
    /// # Errors
    /// [`Code::ConfigBad`], without credentials.
    pub fn parse(url: &str, exempt: &[String]) -> Result<Self, Coded> {
        let bad = |why: &str| Coded::new(Code::ConfigBad, format!("the proxy's URL {why}"));
        let url = Url::parse(url).map_err(|error| bad(&format!("cannot be parsed: {error}")))?;
        let (kind, port) = match url.scheme() {
            "http" => (Kind::Connect, 80),
            "socks5" | "socks5h" => (Kind::Socks5, 1080),
            _ => return Err(bad("must begin with http:// or socks5://")),
        };
        let host = url.host_str().filter(|host| !host.is_empty());
        let host = normal_host(host.ok_or_else(|| bad("has no host"))?);
        let plain = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let named = !url.username().is_empty() || url.password().is_some();
        let credentials = named.then(|| {
            let password = url.password().unwrap_or_default();
            (plain(url.username()), plain(password))
        });
        let too_long = |(user, password): &(Vec<u8>, Vec<u8>)| user.len().max(password.len()) > 255;
        if credentials.as_ref().is_some_and(too_long) {
            return Err(bad("has a user or password of over 255 bytes"));
        }
        Ok(Self {
            kind,
            host,
            port: url.port().unwrap_or(port),
            credentials,
            exempt: exempt.iter().map(|text| Exempt::parse(text)).collect(),
        })
    }

    /// Whether that address of that host is reached without the proxy.
    pub(crate) fn spares(&self, host: &str, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_loopback() || self.exempt.iter().any(|exempt| exempt.covers(host, ip))
    }

    /// Has the proxy connect to an address that was checked.
    pub(crate) async fn lead(&self, tcp: &mut TcpStream, to: SocketAddr) -> io::Result<()> {
        match self.kind {
            Kind::Connect => self.connect(tcp, to).await,
            Kind::Socks5 => self.socks(tcp, to).await,
        }
    }

    async fn connect(&self, tcp: &mut TcpStream, to: SocketAddr) -> io::Result<()> {
        let mut head = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n");
        if let Some((user, password)) = &self.credentials {
            let plain = [user.as_slice(), b":", password].concat();
            let encoded = base64::engine::general_purpose::STANDARD.encode(plain);
            head += &format!("proxy-authorization: Basic {encoded}\r\n");
        }
        tcp.write_all(format!("{head}\r\n").as_bytes()).await?;
        let mut answer = Vec::new();
        // Byte by byte, so that nothing of what follows is taken.
        while !answer.ends_with(b"\r\n\r\n") {
            if answer.len() == PROXY_HEAD_BYTES_MAX {
                return Err(refused("its answer is too long"));
            }
            answer.push(tcp.read_u8().await?);
        }
        let status = answer.get(..12).unwrap_or_default();
        match status.split_first_chunk::<9>() {
            Some((version, [b'2', _, _])) if version.starts_with(b"HTTP/1.") => Ok(()),
            Some((version, code)) if version.starts_with(b"HTTP/1.") => {
                Err(refused(&format!("status {}", code.escape_ascii())))
            }
            _ => Err(refused("it does not speak HTTP")),
        }
    }

    async fn socks(&self, tcp: &mut TcpStream, to: SocketAddr) -> io::Result<()> {
        const NONE: u8 = 0;
        const PASSWORD: u8 = 2;
        let method = if self.credentials.is_some() {
            PASSWORD
        } else {
            NONE
        };
        tcp.write_all(&[5, 1, method]).await?;
        let mut chosen = [0; 2];
        tcp.read_exact(&mut chosen).await?;
        if chosen != [5, method] {
            return Err(refused("it takes no such log-in"));
        }
        if let Some((user, password)) = &self.credentials {
            let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap_or(u8::MAX);
            let (of_user, of_password) = ([1, length(user)], [length(password)]);
            tcp.write_all(&[&of_user, &user[..], &of_password, password].concat())
                .await?;
            tcp.read_exact(&mut chosen).await?;
            if chosen[1] != 0 {
                return Err(refused("the user or password is wrong"));
            }
        }
        let mut ask = vec![5, 1, 0];
        match to.ip() {
            IpAddr::V4(ip) => ask.extend([&[1][..], &ip.octets()].concat()),
            IpAddr::V6(ip) => ask.extend([&[4][..], &ip.octets()].concat()),
        }
        ask.extend(to.port().to_be_bytes());
        tcp.write_all(&ask).await?;
        let mut head = [0; 4];
        tcp.read_exact(&mut head).await?;
        if head[..2] != [5, 0] {
            return Err(refused(&format!("SOCKS code {}", head[1])));
        }
        let bound = match head[3] {
            1 => 4,
            4 => 16,
            3 => usize::from(tcp.read_u8().await?),
            _ => return Err(refused("its answer is not SOCKS5")),
        };
        tcp.read_exact(&mut vec![0; bound + 2]).await.map(drop)
    }
}

fn refused(why: &str) -> io::Error {
    io::Error::other(format!("the proxy refused: {why}"))
}

impl Exempt {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        if text == "*" {
            return Self::All;
        }
        match Cidr::parse(text.trim_matches(['[', ']'])) {
            Some(network) => Self::Network(network),
            None => Self::Domain(normal_host(
                text.trim_start_matches("*.").trim_start_matches('.'),
            )),
        }
    }

    fn covers(&self, host: &str, ip: IpAddr) -> bool {
        match self {
            Self::All => true,
            Self::Network(network) => network.contains(ip),
            Self::Domain(domain) => host
                .strip_suffix(&**domain)
                .is_some_and(|rest| !domain.is_empty() && (rest.is_empty() || rest.ends_with('.'))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_with_what_it_spares_and_shows_no_password() {
        let exempt = ["example.com", ".corp", "10.0.0.0/8", "[::2]"].map(str::to_owned);
        let proxy = Proxy::parse("http://us%65r:s3cret@Proxy.corp:3128", &exempt).unwrap();
        assert_eq!((&*proxy.host, proxy.port), ("proxy.corp", 3128));
        assert_eq!(proxy.credentials.as_ref().unwrap().0, b"user");
        assert!(!format!("{proxy:?}").contains("s3cret"));
        let spares = |host: &str, ip: &str| proxy.spares(host, ip.parse().unwrap());
        for (host, ip) in [
            ("example.com", "1.1.1.1"),
            ("a.example.com", "1.1.1.1"),
            ("x.corp", "1.1.1.1"),
            ("a.b", "10.1.1.1"),
            ("a.b", "::ffff:10.1.1.1"),
            ("a.b", "::2"),
            ("a.b", "127.0.0.1"),
        ] {
            assert!(spares(host, ip), "{host} {ip}");
        }
        for (host, ip) in [("notexample.com", "1.1.1.1"), ("corp.b", "11.0.0.1")] {
            assert!(!spares(host, ip), "{host} {ip}");
        }
        let all = Proxy::parse("socks5://[::1]", &["*".to_owned()]).unwrap();
        assert_eq!((&*all.host, all.port), ("::1", 1080));
        assert!(all.spares("a.b", "1.1.1.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_proxy_is_a_configuration_error_without_its_password() {
        for url in [
            "",
            "proxy:3128",
            "https://u:s3cret@proxy",
            "ftp://p",
            "http://",
        ] {
            let error = Proxy::parse(url, &[]).unwrap_err();
            assert_eq!(error.code, Code::ConfigBad, "{url}");
            assert!(!error.detail.contains("s3cret"));
        }
    }
}
