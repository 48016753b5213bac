//! Which hosts a request may name, and which origins it may come from: a web page must not reach
//! a local server through a name that it controls.

use dunlin_types::{Code, Coded};
use http::request::Parts;
use http::{HeaderMap, Uri, header};

use crate::state::ApiOptions;

/// The hosts that this server answers for.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    names: Vec<String>,
    /// The authority of the public URL, as a page served under it names its origin.
    public: Option<String>,
}

/// Where a request comes from, as a browser tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// No browser, or a page that needs no telling.
    None,
    /// A page of this server.
    Own,
    /// A page of another server on the same machine.
    Loopback,
    /// Any other page.
    Foreign,
}

const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

impl Hosts {
    pub(crate) fn new(options: &ApiOptions) -> Self {
        let mut names: Vec<String> = LOOPBACK.map(str::to_owned).into();
        // An address that stands for all of them is no name of this server.
        if !options.listen.ip().is_unspecified() {
            names.push(host_of(&options.listen.to_string()).to_ascii_lowercase());
        }
        let public = options.public_url.as_deref().and_then(authority_of);
        names.extend(
            public
                .as_deref()
                .map(|authority| host_of(authority).to_owned()),
        );
        let allowed = options.allow_hosts.iter();
        names.extend(allowed.map(|host| host_of(host.trim()).to_ascii_lowercase()));
        Self { names, public }
    }

    /// Refuses a request that names no host, several, or one of somebody else.
    pub(crate) fn check(&self, request: &Parts) -> Result<(), Coded> {
        let refuse = |detail: String| Err(Coded::new(Code::HostRefused, detail));
        let mut named = named_hosts(&request.uri, &request.headers).peekable();
        if named.peek().is_none() {
            return refuse("the request names no host".to_owned());
        }
        for authority in named {
            let Some(authority) = authority else {
                return refuse("the Host header is not readable".to_owned());
            };
            let host = host_of(authority);
            if !self
                .names
                .iter()
                .any(|name| name.eq_ignore_ascii_case(host))
            {
                return refuse(format!(
                    "this server does not answer for the host {host:?}; --allow-host adds it"
                ));
            }
        }
        Ok(())
    }

    /// Where the request comes from.
    pub(crate) fn origin(&self, request: &Parts) -> Origin {
        let Some(origin) = request.headers.get(header::ORIGIN) else {
            return Origin::None;
        };
        let Some(authority) = origin.to_str().ok().and_then(authority_of) else {
            return Origin::Foreign;
        };
        let same = |other: &str| other.eq_ignore_ascii_case(&authority);
        let mut named = named_hosts(&request.uri, &request.headers).flatten();
        if named.any(same) || self.public.as_deref().is_some_and(same) {
            return Origin::Own;
        }
        if LOOPBACK.contains(&host_of(&authority)) {
            Origin::Loopback
        } else {
            Origin::Foreign
        }
    }
}

/// All hosts that a request names: in its target, and in each Host header.
fn named_hosts<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> impl Iterator<Item = Option<&'a str>> {
    let target = uri.authority().map(|authority| Some(authority.as_str()));
    let lines = headers.get_all(header::HOST).iter();
    target
        .into_iter()
        .chain(lines.map(|line| line.to_str().ok()))
}

/// The authority of an http or https URL, in lower case.
fn authority_of(url: &str) -> Option<String> {
    let lower = url.trim().to_ascii_lowercase();
    let rest = lower
        .strip_prefix("http://")
        .or_else(|| lower.strip_prefix("https://"))?;
    let authority = rest.split(['/', '?', '#']).next()?;
    (!authority.is_empty() && !authority.contains('@')).then(|| authority.to_owned())
}

/// The host of an authority, without its port.
fn host_of(authority: &str) -> &str {
    let after_address = authority.find(']').map_or(0, |at| at + 1);
    match authority[after_address..].find(':') {
        Some(colon) => &authority[..after_address + colon],
        None => authority,
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn hosts() -> Hosts {
        let mut options = ApiOptions::dev("192.168.1.5:8288".parse().unwrap());
        options.public_url = Some("https://Hooks.example.com/base".to_owned());
        options.allow_hosts = vec!["dunlin:9999".to_owned()];
        Hosts::new(&options)
    }

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri("/health");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_server_answers_for_its_own_names_with_any_port() {
        for host in [
            "localhost",
            "LOCALHOST:1234",
            "127.0.0.1:8288",
            "[::1]:8288",
            "[::1]",
            "192.168.1.5:8288",
            "hooks.example.com",
            "dunlin:8288",
        ] {
            assert_eq!(hosts().check(&parts(&[("host", host)])), Ok(()), "{host}");
        }
    }

    #[test]
    fn other_names_are_refused() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8288",
            "[::2]:8288",
            "0.0.0.0:8288",
            "example.com",
            "",
            "localhost@evil.example",
        ] {
            let refused = hosts().check(&parts(&[("host", host)])).unwrap_err();
            assert_eq!(refused.code, Code::HostRefused, "{host}");
        }
        assert!(hosts().check(&parts(&[])).is_err());
        let two = parts(&[("host", "localhost"), ("host", "evil.example")]);
        assert!(hosts().check(&two).is_err());
    }

    #[test]
    fn a_server_that_listens_everywhere_has_no_name_by_that() {
        let options = ApiOptions::dev("0.0.0.0:8288".parse().unwrap());
        let check = |host| Hosts::new(&options).check(&parts(&[("host", host)]));
        assert!(check("0.0.0.0:8288").is_err());
        assert!(check("localhost:8288").is_ok());
    }

    #[test]
    fn origins_are_told_apart() {
        let of = |origin| hosts().origin(&parts(&[("host", "localhost:8288"), ("origin", origin)]));
        assert_eq!(of("http://localhost:8288"), Origin::Own);
        assert_eq!(of("https://hooks.example.com"), Origin::Own);
        assert_eq!(of("http://localhost:3000"), Origin::Loopback);
        assert_eq!(of("http://[::1]:3000"), Origin::Loopback);
        for foreign in [
            "https://evil.example",
            "null",
            "",
            "http://localhost@evil.example",
        ] {
            assert_eq!(of(foreign), Origin::Foreign, "{foreign}");
        }
        let none = hosts().origin(&parts(&[("host", "localhost:8288")]));
        assert_eq!(none, Origin::None);
    }
}
