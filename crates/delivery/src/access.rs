//! Who may call what within one application: portal tokens, and integrations with their keys. Of
//! both only a hash is looked up, so that nothing here compares a secret.

mod change;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use dunlin_types::{Ksuid, KsuidKind, Secret, Seq, Timestamp, limits};

pub use change::{AccessChange, NewPortalToken};

/// A SHA-256 of a token or a key, which are random and as long.
pub type KeyHash = [u8; 32];

/// What a portal token may allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Capability {
    /// To see endpoints, messages and attempts.
    ViewBase = 1,
    /// To see what signs an endpoint's deliveries.
    ViewEndpointSecret = 1 << 1,
    /// To replace that.
    ManageEndpointSecret = 1 << 2,
    /// To see, try and change transformations.
    ManageTransformations = 1 << 3,
    /// To have messages sent again, and samples sent.
    CreateAttempts = 1 << 4,
    /// To make, change and remove endpoints.
    ManageEndpoint = 1 << 5,
}

impl Capability {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::ViewBase,
        Self::ViewEndpointSecret,
        Self::ManageEndpointSecret,
        Self::ManageTransformations,
        Self::CreateAttempts,
        Self::ManageEndpoint,
    ];

    /// The name that users write.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ViewBase => "ViewBase",
            Self::ViewEndpointSecret => "ViewEndpointSecret",
            Self::ManageEndpointSecret => "ManageEndpointSecret",
            Self::ManageTransformations => "ManageTransformations",
            Self::CreateAttempts => "CreateAttempts",
            Self::ManageEndpoint => "ManageEndpoint",
        }
    }

    /// The capability of that name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|one| one.name() == name)
    }
}

/// A set of capabilities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities(u8);

impl Capabilities {
    /// All that there are.
    #[must_use]
    pub fn all() -> Self {
        Capability::ALL.into_iter().collect()
    }

    /// Whether that one is among them.
    #[must_use]
    pub const fn allow(self, one: Capability) -> bool {
        self.0 & one as u8 != 0
    }

    /// Those that are in it, in order.
    pub fn iter(self) -> impl Iterator<Item = Capability> {
        Capability::ALL
            .into_iter()
            .filter(move |one| self.allow(*one))
    }

    /// The set as a number, for rows.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set of that number; bits that mean nothing are left out.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & Self::all().0)
    }
}

impl FromIterator<Capability> for Capabilities {
    fn from_iter<I: IntoIterator<Item = Capability>>(iter: I) -> Self {
        Self(iter.into_iter().fold(0, |bits, one| bits | one as u8))
    }
}

/// What somebody of an application's side was let in with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortalToken {
    /// Its row.
    pub id: Seq,
    /// Of the token itself, which is not kept.
    pub hash: KeyHash,
    /// Within which application.
    pub app: Seq,
    /// What it allows there.
    pub capabilities: Capabilities,
    /// Event types that are hidden behind one of these are shown.
    pub feature_flags: Vec<String>,
    /// What its maker calls the session.
    pub session: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is worth nothing.
    pub expires: Timestamp,
}

/// A key to one application, for programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Its row.
    pub id: Seq,
    /// Which application.
    pub app: Seq,
    /// When it was made.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Its fields.
    pub fields: IntegrationFields,
    /// Its key.
    pub key: AccessKey,
}

/// What may be changed of an [`Integration`].
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct IntegrationFields {
    /// Its name, for people.
    pub name: String,
    /// As [`PortalToken::feature_flags`].
    pub feature_flags: Vec<String>,
}

/// A key that can be shown again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// The key.
    pub secret: Secret,
    /// Its hash.
    pub hash: KeyHash,
}

impl Integration {
    /// The id users see.
    #[must_use]
    pub fn ksuid(&self) -> Ksuid {
        Ksuid::new(KsuidKind::Integration, self.created, self.id)
    }
}

/// Whose token or key it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyHolder {
    /// A portal's.
    Portal(Arc<PortalToken>),
    /// An integration's.
    Integration(Arc<Integration>),
}

impl KeyHolder {
    /// The only application in which it counts.
    #[must_use]
    pub fn app(&self) -> Seq {
        match self {
            Self::Portal(token) => token.app,
            Self::Integration(integration) => integration.app,
        }
    }

    /// Hidden event types that it shows.
    #[must_use]
    pub fn feature_flags(&self) -> &[String] {
        match self {
            Self::Portal(token) => &token.feature_flags,
            Self::Integration(integration) => &integration.fields.feature_flags,
        }
    }
}

/// All tokens and integrations at one moment.
#[derive(Clone, Debug, Default)]
pub struct Access {
    tokens: BTreeMap<Seq, Arc<PortalToken>>,
    tokens_by_expiry: BTreeSet<(Timestamp, Seq)>,
    integrations: BTreeMap<Seq, Arc<Integration>>,
    by_app: BTreeMap<Seq, Held>,
    by_hash: BTreeMap<KeyHash, Seq>,
}

/// What one application has.
#[derive(Clone, Debug, Default)]
struct Held {
    tokens: BTreeSet<Seq>,
    integrations: BTreeSet<Seq>,
}

impl Access {
    /// Who has the token or key of that hash; nobody once a token has run out.
    #[must_use]
    pub fn holder(&self, hash: &KeyHash, now: Timestamp) -> Option<KeyHolder> {
        let id = self.by_hash.get(hash)?;
        if let Some(one) = self.integrations.get(id) {
            return Some(KeyHolder::Integration(Arc::clone(one)));
        }
        let token = self.tokens.get(id)?;
        (now < token.expires).then(|| KeyHolder::Portal(Arc::clone(token)))
    }

    /// The integrations of an application, oldest first.
    pub fn integrations_of(&self, app: Seq) -> impl DoubleEndedIterator<Item = &Arc<Integration>> {
        let ids = self.by_app.get(&app).into_iter();
        ids.flat_map(|held| &held.integrations)
            .filter_map(|id| self.integrations.get(id))
    }

    /// The integration of an application that a path names.
    #[must_use]
    pub fn find_integration(&self, app: Seq, text: &str) -> Option<&Arc<Integration>> {
        let id = Ksuid::parse(KsuidKind::Integration, text).ok()?;
        let found = self.integrations.get(&id.seq)?;
        (found.app == app && found.ksuid() == id).then_some(found)
    }

    /// The tokens of an application, oldest first, those that ran out of late included.
    pub fn tokens_of(&self, app: Seq) -> impl DoubleEndedIterator<Item = &Arc<PortalToken>> {
        let ids = self.by_app.get(&app).into_iter();
        ids.flat_map(|held| &held.tokens)
            .filter_map(|id| self.tokens.get(id))
    }

    fn put_token(&mut self, one: Arc<PortalToken>) {
        self.remove_token(one.id);
        self.by_hash.insert(one.hash, one.id);
        self.by_app
            .entry(one.app)
            .or_default()
            .tokens
            .insert(one.id);
        self.tokens_by_expiry.insert((one.expires, one.id));
        self.tokens.insert(one.id, one);
    }

    fn remove_token(&mut self, id: Seq) {
        let Some(old) = self.tokens.remove(&id) else {
            return;
        };
        self.by_hash.remove(&old.hash);
        self.tokens_by_expiry.remove(&(old.expires, id));
        self.release(old.app, |held| held.tokens.remove(&id));
    }

    fn put_integration(&mut self, one: Arc<Integration>) {
        self.remove_integration(one.id);
        self.by_hash.insert(one.key.hash, one.id);
        let held = self.by_app.entry(one.app).or_default();
        held.integrations.insert(one.id);
        self.integrations.insert(one.id, one);
    }

    fn remove_integration(&mut self, id: Seq) {
        let Some(old) = self.integrations.remove(&id) else {
            return;
        };
        self.by_hash.remove(&old.key.hash);
        self.release(old.app, |held| held.integrations.remove(&id));
    }

    fn release(&mut self, app: Seq, remove: impl FnOnce(&mut Held) -> bool) {
        if let Some(held) = self.by_app.get_mut(&app) {
            remove(held);
            if held.tokens.is_empty() && held.integrations.is_empty() {
                self.by_app.remove(&app);
            }
        }
    }

    /// Tokens that make room for one of `app`: some of those that have run out, and the oldest
    /// where there are too many.
    fn making_room(&self, app: Seq, now: Timestamp) -> BTreeSet<Seq> {
        let lapsed = self.tokens_by_expiry.iter();
        let mut gone: BTreeSet<Seq> = lapsed
            .take_while(|(expires, _)| *expires <= now)
            .take(limits::PORTAL_TOKENS_SWEPT_MAX)
            .map(|(_, id)| *id)
            .collect();
        let of_app = self.by_app.get(&app).map(|held| &held.tokens);
        let live = of_app.into_iter().flatten().filter(|id| !gone.contains(id));
        let live: Vec<Seq> = live.copied().collect();
        let over = (live.len() + 1).saturating_sub(limits::PORTAL_TOKENS_PER_APPLICATION_MAX);
        gone.extend(&live[..over]);
        if self.tokens.len() - gone.len() >= limits::PORTAL_TOKENS_MAX {
            gone.extend(self.tokens.keys().find(|id| !gone.contains(id)));
        }
        gone
    }
}
