//! Where a request goes: a URL that was parsed once, split into what dialling and writing need.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use base64::Engine as _;
use dunlin_types::limits::URL_BYTES_MAX;
use dunlin_types::{Code, Coded};
use http::uri::PathAndQuery;
use http::{HeaderValue, Uri};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::guard::AddressPolicy;

/// A URL that can be called. It shows itself without user, password, path and query, any of which
/// may hold a secret.
#[derive(Clone)]
pub struct Target(Arc<Inner>);

struct Inner {
    origin: Arc<Origin>,
    uri: Uri,
    host_header: HeaderValue,
    authorization: Option<HeaderValue>,
}

/// What a connection is made to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) https: bool,
    pub(crate) host: Box<str>,
    pub(crate) address: Known,
    pub(crate) port: u16,
}

/// What is known of the addresses of a host without asking anyone.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Literal(IpAddr),
    Localhost,
    Name,
}

const LOCALHOST: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
];

/// Parses a URL and judges all of it that can be judged without a name look-up. What a name
/// resolves to is judged at each connect, by the same policy.
///
/// # Errors
/// [`Code::EndpointUrlBad`] when the URL is malformed, [`Code::AddressBlocked`] when the policy
/// refuses its address or port.
pub fn check_url(url: &str, policy: &AddressPolicy) -> Result<Target, Coded> {
    let target = Target::parse(url)?;
    target.origin().check(policy)?;
    Ok(target)
}

/// A URL without user and password, for those who may not know them; nothing of what is no URL.
#[must_use]
pub fn without_userinfo(url: &str) -> String {
    match parse_strictly(url) {
        Ok(parsed) if has_userinfo(&parsed) => bare(parsed),
        Ok(_) => url.to_owned(),
        Err(_) => String::new(),
    }
}

/// The same, without the query, too: whoever made the URL may have put a secret into it.
#[must_use]
pub fn without_query(url: &str) -> String {
    let Ok(mut parsed) = parse_strictly(url) else {
        return String::new();
    };
    parsed.set_query(None);
    parsed.set_fragment(None);
    bare(parsed)
}

fn has_userinfo(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

fn bare(mut url: Url) -> String {
    // Only what has no host refuses, and that was no URL for us.
    let cleared = url.set_username("").and_then(|()| url.set_password(None));
    cleared.map_or_else(|()| String::new(), |()| url.into())
}

impl Target {
    fn parse(text: &str) -> Result<Self, Coded> {
        let url = parse_strictly(text)?;
        let (host, address) = host_of(&url)?;
        let https = url.scheme() == "https";
        let port = url.port_or_known_default().filter(|port| *port != 0);
        let port = port.ok_or_else(|| bad("the port is not valid"))?;
        let origin = Origin {
            https,
            host,
            address,
            port,
        };
        let host_header = HeaderValue::try_from(origin.authority(url.port().is_some()))
            .map_err(|_| bad("the host is not valid"))?;
        Ok(Self(Arc::new(Inner {
            uri: origin_form(&url)?,
            host_header,
            authorization: authorization(&url)?,
            origin: Arc::new(origin),
        })))
    }

    /// Whether the connection is encrypted.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.0.origin.https
    }

    /// The host in lower case and ASCII; of an IPv6 address, without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.0.origin.host
    }

    /// The port, given or by scheme.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.origin.port
    }

    /// Path and query as they are sent.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        self.0
            .uri
            .path_and_query()
            .map_or("/", PathAndQuery::as_str)
    }

    pub(crate) fn origin(&self) -> &Arc<Origin> {
        &self.0.origin
    }

    pub(crate) fn uri(&self) -> &Uri {
        &self.0.uri
    }

    pub(crate) fn host_header(&self) -> &HeaderValue {
        &self.0.host_header
    }

    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.0.authorization.as_ref()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.origin.fmt(f)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.0.origin)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}://{}",
            if self.https { "https" } else { "http" },
            self.authority(true)
        )
    }
}

impl Origin {
    /// Judges what is known of the host: its port, and its address unless it is a name.
    pub(crate) fn check(&self, policy: &AddressPolicy) -> Result<(), Coded> {
        policy.check_scheme(self.https)?;
        policy.check_port(&self.host, self.port)?;
        match self.address {
            Known::Literal(ip) => policy.check_host_ip(&self.host, ip),
            Known::Localhost => {
                let [v4, v6] = LOCALHOST;
                let second = |_| policy.check_host_ip(&self.host, v6);
                policy.check_host_ip(&self.host, v4).or_else(second)
            }
            Known::Name => Ok(()),
        }
    }

    /// The addresses of the host, when they are known without a look-up.
    pub(crate) fn known_addresses(&self) -> Option<Vec<IpAddr>> {
        match self.address {
            Known::Literal(ip) => Some(vec![ip]),
            Known::Localhost => Some(LOCALHOST.to_vec()),
            Known::Name => None,
        }
    }

    fn authority(&self, with_port: bool) -> String {
        let is_v6 = matches!(self.address, Known::Literal(IpAddr::V6(_)));
        match (is_v6, with_port) {
            (true, true) => format!("[{}]:{}", self.host, self.port),
            (true, false) => format!("[{}]", self.host),
            (false, true) => format!("{}:{}", self.host, self.port),
            (false, false) => self.host.to_string(),
        }
    }
}

fn bad(detail: impl Into<String>) -> Coded {
    Coded::new(Code::EndpointUrlBad, detail)
}

/// The URL standard forgives more than is wanted here: blanks, tabs and line ends within a URL,
/// backslashes for slashes, missing slashes. Those are how two readers come to disagree on a host.
fn parse_strictly(text: &str) -> Result<Url, Coded> {
    if text.len() > URL_BYTES_MAX {
        return Err(bad(format!("the URL is longer than {URL_BYTES_MAX} bytes")));
    }
    if text
        .chars()
        .any(|c| c.is_control() || c.is_whitespace() || c == '\\')
    {
        return Err(bad(
            "the URL has a blank, a control character or a backslash",
        ));
    }
    let (scheme, rest) = text
        .split_once("://")
        .ok_or_else(|| bad("the URL has no scheme"))?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(bad("the scheme must be http or https"));
    }
    if rest.starts_with('/') {
        return Err(bad("the URL has no host"));
    }
    Url::parse(text).map_err(|error| bad(format!("the URL cannot be parsed: {error}")))
}

fn host_of(url: &Url) -> Result<(Box<str>, Known), Coded> {
    match url.host() {
        Some(url::Host::Ipv4(ip)) => Ok((ip.to_string().into(), Known::Literal(ip.into()))),
        Some(url::Host::Ipv6(ip)) => Ok((ip.to_string().into(), Known::Literal(ip.into()))),
        Some(url::Host::Domain(name)) => name_of(name),
        None => Err(bad("the URL has no host")),
    }
}

fn name_of(name: &str) -> Result<(Box<str>, Known), Coded> {
    let name = name.strip_suffix('.').unwrap_or(name);
    let good_label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (1..=63).contains(&label.len()) && label.bytes().all(plain)
    };
    if name.len() > 253 || !name.split('.').all(good_label) {
        return Err(bad("the host is not valid"));
    }
    let is_local = name == "localhost" || name.ends_with(".localhost");
    Ok((
        name.into(),
        if is_local {
            Known::Localhost
        } else {
            Known::Name
        },
    ))
}

fn origin_form(url: &Url) -> Result<Uri, Coded> {
    let text = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let path = PathAndQuery::try_from(text).map_err(|_| bad("the path is not valid"))?;
    Ok(Uri::from(path))
}

/// User and password of the URL as Basic Authorization.
fn authorization(url: &Url) -> Result<Option<HeaderValue>, Coded> {
    if url.username().is_empty() && url.password().is_none() {
        return Ok(None);
    }
    let mut plain: Vec<u8> = percent_decode_str(url.username()).collect();
    plain.push(b':');
    plain.extend(percent_decode_str(url.password().unwrap_or_default()));
    let text = format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(plain)
    );
    let mut value = HeaderValue::try_from(text).map_err(|_| bad("the user is not valid"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}
