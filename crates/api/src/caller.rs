//! Who is calling. The guard finds out and keeps it beside the request, so that whatever loads an
//! object can ask whether the caller may have it: the path alone authorises nothing.

use std::fmt;
use std::sync::Arc;

use axum::extract::{FromRequestParts as _, RawPathParams};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use dunlin_delivery::{AccessKey, Capability, Config, INTERNAL_EVENTS_URL, KeyHash, KeyHolder};
use dunlin_node::Node;
use dunlin_types::{Code, Secret, Seq, Timestamp};
use http::request::Parts;
use sha2::{Digest as _, Sha256};

use crate::error::Refused;

/// How portal tokens begin.
pub(crate) const PORTAL_PREFIX: &str = "appsk_";
/// How keys of integrations begin.
pub(crate) const INTEGRATION_PREFIX: &str = "integsk_";

/// Who is calling.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// Somebody who has shown nothing that opens anything.
    Nobody,
    /// Whoever reaches a development server.
    Anybody,
    /// An operator, or an app by its signing key.
    Operator,
    /// Somebody of one application's side.
    Holder(KeyHolder),
}

tokio::task_local! {
    static CALLER: Caller;
}

impl Caller {
    /// Whoever made the request that is being answered; nobody outside of requests.
    pub(crate) fn current() -> Self {
        CALLER.try_with(Self::clone).unwrap_or(Self::Nobody)
    }

    /// Answers a request on behalf of this caller.
    pub(crate) async fn serve<F: Future>(self, answer: F) -> F::Output {
        CALLER.scope(self, answer).await
    }

    /// Whether objects of that application are within reach.
    pub(crate) fn reaches(&self, app: Seq) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anybody | Self::Operator => true,
            Self::Holder(holder) => holder.app() == app,
        }
    }

    /// Refuses a caller without that capability.
    pub(crate) fn require(&self, capability: Capability) -> Result<(), Refused> {
        let may = match self {
            Self::Nobody => false,
            Self::Anybody | Self::Operator | Self::Holder(KeyHolder::Integration(_)) => true,
            Self::Holder(KeyHolder::Portal(token)) => token.capabilities.allow(capability),
        };
        match may {
            true => Ok(()),
            false => Err(insufficient(capability.name())),
        }
    }

    /// Whether that is who runs this server, and may decide what is safe for it.
    pub(crate) fn is_operator(&self) -> bool {
        matches!(self, Self::Anybody | Self::Operator)
    }

    /// Whether this server's own event log is within reach: it belongs to no application, so
    /// nobody from the side of one may send there.
    pub(crate) fn may_make_events(&self) -> bool {
        self.is_operator()
    }

    /// Whether something is shown that is hidden behind these flags.
    pub(crate) fn sees(&self, flags: &[String]) -> bool {
        match self {
            Self::Nobody => false,
            Self::Anybody | Self::Operator => true,
            Self::Holder(holder) => {
                let known = holder.feature_flags();
                flags.is_empty() || flags.iter().any(|flag| known.contains(flag))
            }
        }
    }
}

/// A refusal of somebody who may do other things.
pub(crate) fn insufficient(wanted: &str) -> Refused {
    let detail = format!("insufficient access: this needs {wanted}");
    Refused::new(Code::InsufficientAccess, detail)
}

/// Whether that bearer can only be a portal token or an integration's key.
pub(crate) fn is_of_holder(token: &str) -> bool {
    token.starts_with(PORTAL_PREFIX) || token.starts_with(INTEGRATION_PREFIX)
}

/// By what tokens and keys are looked up.
pub(crate) fn hash_of(token: &str) -> KeyHash {
    Sha256::digest(token.as_bytes()).into()
}

/// A new token or key, with its hash.
pub(crate) fn new_key(prefix: &str) -> AccessKey {
    let text = URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
    let text = format!("{prefix}{text}");
    AccessKey {
        hash: hash_of(&text),
        secret: Secret::new(text),
    }
}

/// What a path names, unescaped as handlers get it.
#[derive(Debug, Default)]
pub(crate) struct Named {
    /// As `{app}`.
    pub(crate) app: Option<String>,
    /// As `{ep}`.
    pub(crate) endpoint: Option<String>,
}

impl Named {
    pub(crate) async fn by(parts: &mut Parts) -> Self {
        let Ok(params) = RawPathParams::from_request_parts(parts, &()).await else {
            return Self::default();
        };
        let named = |wanted: &str| {
            let found = params.iter().find(|(name, _)| *name == wanted);
            found.map(|(_, text)| text.to_owned())
        };
        Self {
            app: named("app"),
            endpoint: named("ep"),
        }
    }
}

/// What has been set up, and the present instant.
pub(crate) type Setup = (Arc<Config>, Timestamp);

/// Where the guard learns of applications, tokens and keys.
pub(crate) struct Directory {
    read: Box<dyn Fn() -> Setup + Send + Sync>,
    own_event_urls: Vec<String>,
}

impl Directory {
    pub(crate) fn new(read: impl Fn() -> Setup + Send + Sync + 'static) -> Self {
        Self {
            read: Box::new(read),
            own_event_urls: Vec::new(),
        }
    }

    pub(crate) fn of(node: Node) -> Self {
        Self {
            own_event_urls: node.options().own_event_urls.clone(),
            ..Self::new(move || (node.config(), node.now()))
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        (self.read)().1
    }

    pub(crate) fn config(&self) -> Arc<Config> {
        (self.read)().0
    }

    /// Whose token or key that is.
    pub(crate) fn holder(&self, token: &str) -> Option<KeyHolder> {
        let (config, now) = (self.read)();
        config.access().holder(&hash_of(token), now)
    }

    /// Whether what goes to that URL becomes an event of this server's own log.
    pub(crate) fn is_own(&self, url: &str) -> bool {
        is_own_log(url, &self.own_event_urls)
    }
}

/// Whether that URL names this server's own event log; `own` are the beginnings of those that do.
pub(crate) fn is_own_log(url: &str, own: &[String]) -> bool {
    url == INTERNAL_EVENTS_URL || own.iter().any(|prefix| url.starts_with(prefix.as_str()))
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Directory")
    }
}

#[cfg(test)]
mod tests {
    use dunlin_delivery::{Integration, IntegrationFields};

    use super::*;

    fn integration() -> Caller {
        let key = new_key(INTEGRATION_PREFIX);
        let fields = IntegrationFields {
            name: "one".to_owned(),
            feature_flags: vec!["beta".to_owned()],
        };
        Caller::Holder(KeyHolder::Integration(Arc::new(Integration {
            id: Seq(1),
            app: Seq(5),
            created: Timestamp::ZERO,
            updated: Timestamp::ZERO,
            fields,
            key,
        })))
    }

    #[tokio::test]
    async fn outside_of_a_request_nobody_is_calling() {
        assert_eq!(Caller::current(), Caller::Nobody);
        assert!(!Caller::current().reaches(Seq(0)));
        let within = Caller::Operator.serve(async { Caller::current() }).await;
        assert_eq!(within, Caller::Operator);
    }

    #[test]
    fn a_holder_reaches_one_application_and_never_the_event_log() {
        let caller = integration();
        assert!(caller.reaches(Seq(5)) && !caller.reaches(Seq(6)));
        assert!(!caller.may_make_events());
        assert!(caller.require(Capability::ManageEndpoint).is_ok());
    }

    #[test]
    fn what_is_behind_a_flag_is_shown_to_those_who_have_it() {
        let flags = |names: &[&str]| names.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        let caller = integration();
        assert!(caller.sees(&[]) && caller.sees(&flags(&["x", "beta"])));
        assert!(!caller.sees(&flags(&["x"])));
        assert!(Caller::Operator.sees(&flags(&["x"])));
    }

    #[test]
    fn tokens_are_long_and_name_no_region() {
        let (one, two) = (new_key(PORTAL_PREFIX), new_key(PORTAL_PREFIX));
        assert_ne!(one.hash, two.hash);
        let text = one.secret.reveal();
        assert_eq!(text.len(), PORTAL_PREFIX.len() + 43);
        assert!(is_of_holder(text) && !text.contains('.'));
        assert_eq!(hash_of(text), one.hash);
    }
}
