//! Credentials, compared in constant time.

use std::sync::Arc;

use dunlin_delivery::KeyHolder;
use dunlin_node::ServerKind;
use dunlin_types::{Code, Secret};
use dunlin_wire::sign::SigningKey;
use http::request::Parts;
use http::{StatusCode, header};

use crate::caller::{Caller, Directory, Named, insufficient, is_of_holder};
use crate::error::Refused;
use crate::policy::{Route, Who, Within};
use crate::state::ApiOptions;

/// What the server compares credentials with.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    /// A development server asks nobody.
    open: bool,
    signing: Option<Arc<SigningKey>>,
    event: Vec<Secret>,
    admin: Option<Secret>,
    test_mode: bool,
}

impl Keys {
    pub(crate) fn new(options: &ApiOptions) -> Self {
        Self {
            open: options.kind == ServerKind::Dev,
            signing: options.signing_key.clone(),
            event: options.event_keys.clone(),
            admin: options.admin_token.clone(),
            test_mode: options.test_mode,
        }
    }

    /// Refuses a request whose credentials do not allow it what the row asks for.
    pub(crate) fn check(&self, who: Who, request: &Parts) -> Result<Caller, Refused> {
        if who == Who::TestOnly && !self.test_mode {
            return Err(Refused::plain(Code::NotFound));
        }
        if self.open {
            return Ok(Caller::Anybody);
        }
        match who {
            Who::Open | Who::SourceSignature => Ok(Caller::Nobody),
            Who::EventKey => self.check_event_key(request.uri.path()),
            Who::SigningKey => allow(self.is_app(request)),
            Who::Admin | Who::TestOnly => allow(self.is_operator(request)),
            Who::SigningKeyOrAdmin => allow(self.is_app(request) || self.is_operator(request)),
        }
    }

    /// Refuses a bearer of a portal token or an integration's key, unless the row lets its like
    /// in. Endpoints that make events of this server's own log are only looked at.
    pub(crate) fn check_holder(
        row: &Route,
        token: &str,
        named: &Named,
        directory: &Directory,
    ) -> Result<Caller, Refused> {
        let holder = directory.holder(token).ok_or_else(wrong)?;
        let config = directory.config();
        if let Some(name) = &named.app {
            let app = config.find_application(name);
            if app.is_none_or(|app| app.id != holder.app()) {
                return Err(Refused::plain(Code::NotFound));
            }
        }
        if let Some(name) = named.endpoint.as_ref().filter(|_| !row.is_read())
            && let Some(endpoint) = config.find_endpoint(holder.app(), name)
            && directory.is_own(&endpoint.config.url)
        {
            return Err(insufficient("the admin token"));
        }
        let is_integration = matches!(holder, KeyHolder::Integration(_));
        let caller = Caller::Holder(holder);
        match row.within {
            Within::Nobody => Err(insufficient("the admin token")),
            Within::Anybody => Ok(caller),
            Within::Integration if is_integration => Ok(caller),
            Within::Integration => Err(insufficient("an integration's key")),
            Within::Portal(capability) => caller.require(capability).map(|()| caller),
        }
    }

    fn is_app(&self, request: &Parts) -> bool {
        let key = self.signing.as_ref();
        authorization(request).is_some_and(|text| key.is_some_and(|k| k.bearer_matches(text)))
    }

    pub(crate) fn is_operator(&self, request: &Parts) -> bool {
        let Some(token) = authorization(request).and_then(bearer) else {
            return false;
        };
        self.admin
            .as_ref()
            .is_some_and(|admin| admin.matches(token))
    }

    fn check_event_key(&self, path: &str) -> Result<Caller, Refused> {
        let refuse = |detail| Err(Refused::new(Code::EventKeyWrong, detail));
        if self.event.is_empty() {
            return refuse("Event keys are required to process events securely")
                .map_err(|refused| refused.status(StatusCode::SERVICE_UNAVAILABLE));
        }
        let key = unescape(path.rsplit('/').next().unwrap_or_default());
        if key.is_empty() {
            return refuse("Event key is required");
        }
        let mut found = false;
        for known in &self.event {
            found |= known.matches(&key);
        }
        if found {
            Ok(Caller::Nobody)
        } else {
            refuse("Event key not found")
        }
    }
}

fn allow(allowed: bool) -> Result<Caller, Refused> {
    match allowed {
        true => Ok(Caller::Operator),
        false => Err(wrong()),
    }
}

/// The text is the SDK protocol's.
fn wrong() -> Refused {
    Refused::new(Code::Unauthorized, "Authentication failed")
}

/// The bearer, if it can only be a portal token or an integration's key.
pub(crate) fn holders_token(request: &Parts) -> Option<&str> {
    authorization(request)
        .and_then(bearer)
        .filter(|token| is_of_holder(token))
}

fn authorization(request: &Parts) -> Option<&str> {
    request.headers.get(header::AUTHORIZATION)?.to_str().ok()
}

fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// A part of a path with its percent escapes undone; empty when it has bad ones.
fn unescape(part: &str) -> String {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => bytes.push(byte),
            None => return String::new(),
        }
        rest = &after[2..];
    }
    String::from_utf8(bytes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_in_event_keys_are_undone() {
        assert_eq!(unescape("a%2Fb%c3%a9"), "a/bé");
        for bad in ["%", "%4", "%zz", "%ff"] {
            assert_eq!(unescape(bad), "", "{bad}");
        }
    }

    #[test]
    fn only_bearers_carry_tokens() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
