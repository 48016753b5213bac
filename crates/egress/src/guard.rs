//! Which addresses may be connected to. Pure: the same judgement serves saving a URL, testing it
//! and each send.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use dunlin_types::{Code, Coded};

/// Services that hand credentials of the machine to whoever asks from it.
const METADATA: [IpAddr; 10] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xc1, 0, 0, 0, 0, 0xa9fe, 0xa9fe)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0x42, 0, 0, 0, 0, 0, 0x42)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Networks of v4 that are not on the public internet, with what they are. The first match counts.
const V4_CLASSES: [(Ipv4Addr, u8, Class); 15] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8, Class::Reserved),
    (Ipv4Addr::new(10, 0, 0, 0), 8, Class::Private),
    (Ipv4Addr::new(100, 64, 0, 0), 10, Class::Reserved),
    (Ipv4Addr::new(127, 0, 0, 0), 8, Class::Loopback),
    (Ipv4Addr::new(169, 254, 0, 0), 16, Class::LinkLocal),
    (Ipv4Addr::new(172, 16, 0, 0), 12, Class::Private),
    (Ipv4Addr::new(192, 0, 0, 0), 24, Class::Reserved),
    (Ipv4Addr::new(192, 0, 2, 0), 24, Class::Reserved),
    (Ipv4Addr::new(192, 88, 99, 0), 24, Class::Reserved),
    (Ipv4Addr::new(192, 168, 0, 0), 16, Class::Private),
    (Ipv4Addr::new(198, 18, 0, 0), 15, Class::Reserved),
    (Ipv4Addr::new(198, 51, 100, 0), 24, Class::Reserved),
    (Ipv4Addr::new(203, 0, 113, 0), 24, Class::Reserved),
    (Ipv4Addr::new(224, 0, 0, 0), 4, Class::Reserved),
    (Ipv4Addr::new(240, 0, 0, 0), 4, Class::Reserved),
];

/// The same for v6. What lies outside 2000::/3 and is not named here is reserved too.
const V6_CLASSES: [(Ipv6Addr, u8, Class); 7] = [
    (Ipv6Addr::LOCALHOST, 128, Class::Loopback),
    (
        Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0),
        7,
        Class::Private,
    ),
    (
        Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0),
        10,
        Class::LinkLocal,
    ),
    (
        Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0),
        23,
        Class::Reserved,
    ),
    (
        Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0),
        32,
        Class::Reserved,
    ),
    (
        Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0),
        16,
        Class::Reserved,
    ),
    (
        Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0),
        20,
        Class::Reserved,
    ),
];

/// Ports of services that take an HTTP request for commands of their own protocol.
const BLOCKED_PORTS: [u16; 18] = [
    0, 19, 21, 22, 23, 25, 53, 110, 111, 143, 445, 465, 587, 993, 995, 2375, 6379, 11211,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Public,
    Private,
    Loopback,
    LinkLocal,
    Reserved,
    Metadata,
}

impl Class {
    const fn text(self) -> &'static str {
        match self {
            Self::Public => "public",
            Self::Private => "private",
            Self::Loopback => "loopback",
            Self::LinkLocal => "link-local",
            Self::Reserved => "reserved",
            Self::Metadata => "cloud metadata",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    network: IpAddr,
    prefix: u8,
}

impl Cidr {
    /// A network like 10.1.0.0/16, or one address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text
            .split_once('/')
            .map_or((text, None), |(a, p)| (a, Some(p)));
        let network: IpAddr = address.trim().parse().ok()?;
        let full = if network.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            Some(prefix) => prefix.trim().parse().ok().filter(|p| *p <= full)?,
            None => full,
        };
        Some(Self { network, prefix })
    }

    pub(crate) fn contains(self, ip: IpAddr) -> bool {
        match (self.network, ip) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => in_v4(network, self.prefix, ip),
            (IpAddr::V6(network), IpAddr::V6(ip)) => in_v6(network, self.prefix, ip),
            _ => false,
        }
    }

    fn names(self, ip: IpAddr) -> bool {
        self.network == ip && self.prefix == if ip.is_ipv4() { 32 } else { 128 }
    }
}

/// What one kind of caller may connect to. Connections are never shared between policies that
/// differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressPolicy {
    private: bool,
    loopback: bool,
    https_only: bool,
    insecure_tls: bool,
    cidrs: Vec<Cidr>,
    hosts: Vec<Box<str>>,
}

impl AddressPolicy {
    /// Only addresses of the public internet.
    #[must_use]
    pub const fn public_only() -> Self {
        Self {
            private: false,
            loopback: false,
            https_only: false,
            insecure_tls: false,
            cidrs: Vec::new(),
            hosts: Vec::new(),
        }
    }

    /// Opens 10/8, 172.16/12, 192.168/16 and fc00::/7.
    #[must_use]
    pub fn allow_private(mut self) -> Self {
        self.private = true;
        self
    }

    /// Opens 127/8 and ::1.
    #[must_use]
    pub fn allow_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Closes plain http.
    #[must_use]
    pub fn require_https(mut self) -> Self {
        self.https_only = true;
        self
    }

    /// Lets endpoints ask that their certificate is not checked.
    #[must_use]
    pub fn allow_insecure_tls(mut self) -> Self {
        self.insecure_tls = true;
        self
    }

    /// Opens a network (`10.1.0.0/16`) or one address. A metadata address is opened only by naming
    /// it with its full length.
    ///
    /// # Errors
    /// [`Code::ConfigBad`] when the text is no network.
    pub fn allow_cidr(mut self, text: &str) -> Result<Self, Coded> {
        let cidr = Cidr::parse(text).ok_or_else(|| {
            let why = format!("`{text}` is not a network like 10.1.0.0/16");
            Coded::new(Code::ConfigBad, why)
        })?;
        self.cidrs.push(cidr);
        Ok(self)
    }

    /// Opens every address of that host but the metadata ones, and every port of it.
    #[must_use]
    pub fn allow_host(mut self, host: &str) -> Self {
        self.hosts.push(normal_host(host));
        self
    }

    /// Whether an address may be connected to when no host was named.
    ///
    /// # Errors
    /// [`Code::AddressBlocked`].
    pub fn check_ip(&self, ip: IpAddr) -> Result<(), Coded> {
        self.judge(ip, false)
    }

    /// Whether an address may be connected to that this host resolved to, or is.
    ///
    /// # Errors
    /// [`Code::AddressBlocked`].
    pub fn check_host_ip(&self, host: &str, ip: IpAddr) -> Result<(), Coded> {
        self.judge(ip, self.names_host(host))
    }

    /// Whether that port of that host may be connected to.
    ///
    /// # Errors
    /// [`Code::AddressBlocked`].
    pub fn check_port(&self, host: &str, port: u16) -> Result<(), Coded> {
        if BLOCKED_PORTS.contains(&port) && !self.names_host(host) {
            return Err(Coded::new(
                Code::AddressBlocked,
                format!("requests to port {port} are blocked"),
            ));
        }
        Ok(())
    }

    /// Whether requests may go unencrypted, if this one would.
    ///
    /// # Errors
    /// [`Code::AddressBlocked`].
    pub fn check_scheme(&self, is_https: bool) -> Result<(), Coded> {
        if self.https_only && !is_https {
            let why = "only https URLs are allowed by this server's operator";
            return Err(Coded::new(Code::AddressBlocked, why));
        }
        Ok(())
    }

    /// Whether endpoints may go without a check of certificates.
    #[must_use]
    pub const fn allows_insecure_tls(&self) -> bool {
        self.insecure_tls
    }

    fn names_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|named| **named == *host)
    }

    fn judge(&self, ip: IpAddr, host_named: bool) -> Result<(), Coded> {
        let ip = ip.to_canonical();
        let class = class_of(ip);
        let open = match class {
            Class::Public => true,
            Class::Metadata => return self.judge_metadata(ip),
            Class::Private => self.private,
            Class::Loopback => self.loopback,
            Class::LinkLocal | Class::Reserved => false,
        };
        if open || host_named {
            return Ok(());
        }
        if self.cidrs.iter().any(|cidr| cidr.contains(ip)) {
            // A gateway's prefix that was opened leads to v4 addresses, which are judged as such.
            return embedded_v4(ip).map_or(Ok(()), |v4| self.judge(v4.into(), false));
        }
        Err(blocked(class))
    }

    fn judge_metadata(&self, ip: IpAddr) -> Result<(), Coded> {
        if self.cidrs.iter().any(|cidr| cidr.names(ip)) {
            Ok(())
        } else {
            Err(blocked(Class::Metadata))
        }
    }
}

/// A host as [`crate::Target`] spells it: lower case, in ASCII, without a trailing dot or brackets.
pub(crate) fn normal_host(host: &str) -> Box<str> {
    let host = host.trim();
    let bare = host.strip_suffix('.').unwrap_or(host);
    if let Ok(ip) = bare.trim_matches(['[', ']']).parse::<IpAddr>() {
        return ip.to_string().into();
    }
    match url::Host::parse(bare) {
        Ok(url::Host::Domain(name)) => name.into(),
        Ok(url::Host::Ipv4(ip)) => ip.to_string().into(),
        Ok(url::Host::Ipv6(ip)) => ip.to_string().into(),
        Err(_) => bare.to_ascii_lowercase().into(),
    }
}

fn blocked(class: Class) -> Coded {
    Coded::new(
        Code::AddressBlocked,
        format!(
            "requests to this IP range are blocked ({} address)",
            class.text()
        ),
    )
}

fn class_of(ip: IpAddr) -> Class {
    let embedded = match ip {
        IpAddr::V4(_) => None,
        IpAddr::V6(_) => embedded_v4(ip).map(IpAddr::V4),
    };
    if METADATA.contains(&ip) || embedded.is_some_and(|v4| METADATA.contains(&v4)) {
        return Class::Metadata;
    }
    match ip {
        IpAddr::V4(ip) => V4_CLASSES
            .iter()
            .find(|(network, prefix, _)| in_v4(*network, *prefix, ip))
            .map_or(Class::Public, |(_, _, class)| *class),
        IpAddr::V6(ip) => V6_CLASSES
            .iter()
            .find(|(network, prefix, _)| in_v6(*network, *prefix, ip))
            .map_or(rest_of_v6(ip), |(_, _, class)| *class),
    }
}

fn rest_of_v6(ip: Ipv6Addr) -> Class {
    if in_v6(Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3, ip) {
        Class::Public
    } else {
        Class::Reserved
    }
}

/// The v4 address that a v6 one leads to by way of a gateway: compatible, SIIT, NAT64, 6to4, Teredo.
fn embedded_v4(ip: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(ip) = ip else { return None };
    let s = ip.segments();
    let last = (u32::from(s[6]) << 16) | u32::from(s[7]);
    let bits = match s {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => return None,
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] => last,
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] => last,
        [0x2002, high, low, ..] => (u32::from(high) << 16) | u32::from(low),
        [0x2001, 0, ..] => !last,
        _ => return None,
    };
    Some(Ipv4Addr::from_bits(bits))
}

fn in_v4(network: Ipv4Addr, prefix: u8, ip: Ipv4Addr) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    network.to_bits() & mask == ip.to_bits() & mask
}

fn in_v6(network: Ipv6Addr, prefix: u8, ip: Ipv6Addr) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    network.to_bits() & mask == ip.to_bits() & mask
}
