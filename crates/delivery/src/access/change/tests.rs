//! How tokens and integrations come and go, told to a core.

use super::*;
use crate::access::Capability;
use crate::{DEFAULT_APPLICATION, DeliveryOptions, Input, Loaded, NewApplication};
use dunlin_types::{Secret, Token};

const HOUR_MS: i64 = 60 * 60 * 1000;

struct World {
    core: Delivery,
    now: Timestamp,
    seq: u64,
    writes: Vec<Write>,
}

impl World {
    fn new() -> Self {
        Self {
            core: Delivery::new(DeliveryOptions::default()),
            now: Timestamp::from_ms(1_800_000_000_000),
            seq: 0,
            writes: Vec::new(),
        }
    }

    fn tell(&mut self, input: Input) -> Answer {
        let seq = &mut self.seq;
        let mut next_seq = || {
            *seq += 1;
            Seq(*seq)
        };
        let mut cx = Context {
            now: self.now,
            seed: 0,
            next_seq: &mut next_seq,
        };
        let mut out = self.core.handle(input, &Loaded::default(), &mut cx);
        self.writes.append(&mut out.writes);
        match out.effects.pop() {
            Some(crate::Effect::Answer { answer, .. }) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn change(&mut self, change: AccessChange) -> Answer {
        let (token, change) = (Token(1), Box::new(change));
        self.tell(Input::Access { token, change })
    }

    fn open(&mut self, app: Seq, hash: u16, session: Option<&str>, hours: i64) {
        let answer = self.change(AccessChange::OpenPortal(NewPortalToken {
            hash: self::hash(hash),
            app,
            capabilities: [Capability::ViewBase].into_iter().collect(),
            feature_flags: Vec::new(),
            session: session.map(str::to_owned),
            lasts_ms: hours * HOUR_MS,
        }));
        assert!(matches!(answer, Answer::PortalToken(_)), "{answer:?}");
    }

    fn expire(&mut self, app: Seq, sessions: &[&str], hours: i64) -> usize {
        let sessions = sessions.iter().map(|&one| one.to_owned()).collect();
        let after_ms = hours * HOUR_MS;
        match self.change(AccessChange::ExpireTokens {
            app,
            sessions,
            after_ms,
        }) {
            Answer::Changed(count) => count,
            other => panic!("{other:?}"),
        }
    }

    fn application(&mut self, name: &str) -> Seq {
        let new = NewApplication {
            name: name.to_owned(),
            ..NewApplication::default()
        };
        let token = Token(1);
        match self.tell(Input::CreateApplication { token, new }) {
            Answer::Application(app) => app.id,
            other => panic!("{other:?}"),
        }
    }

    fn is_live(&self, hash: u16) -> bool {
        let config = self.core.config();
        let holder = config.access().holder(&self::hash(hash), self.now);
        holder.is_some()
    }

    /// The access that a process finds which starts from the rows.
    fn restarted(&self) -> Delivery {
        let mut core = Delivery::new(DeliveryOptions::default());
        let mut tokens = std::collections::BTreeMap::new();
        let mut integrations = std::collections::BTreeMap::new();
        for write in &self.writes {
            match write {
                Write::PortalToken(row) => drop(tokens.insert(row.id, row)),
                Write::PortalTokenGone(id) => drop(tokens.remove(id)),
                Write::Integration(row) => drop(integrations.insert(row.id, row)),
                Write::IntegrationGone(id) => drop(integrations.remove(id)),
                _ => {}
            }
        }
        for row in tokens.into_values() {
            core.restore_portal_token(Arc::clone(row));
        }
        for row in integrations.into_values() {
            core.restore_integration(Arc::clone(row));
        }
        core
    }

    fn check_restart(&self) {
        let shown = |core: &Delivery| format!("{:?}", core.config().access());
        assert_eq!(shown(&self.restarted()), shown(&self.core));
    }
}

fn hash(n: u16) -> KeyHash {
    let mut hash = [7; 32];
    hash[..2].copy_from_slice(&n.to_be_bytes());
    hash
}

fn key(n: u16) -> AccessKey {
    let secret = Secret::new(format!("integsk_{n}"));
    let hash = hash(n);
    AccessKey { secret, hash }
}

#[test]
fn a_token_is_worth_something_until_its_end_or_its_logout() {
    let mut world = World::new();
    let app = world.application("acme");
    world.open(app, 1, None, 2);
    world.open(app, 2, None, 2);
    assert!(matches!(
        world.change(AccessChange::Logout { hash: hash(1) }),
        Answer::Deleted
    ));
    assert!(!world.is_live(1) && world.is_live(2));
    world.check_restart();
    world.now = world.now.plus_ms(2 * HOUR_MS);
    assert!(!world.is_live(2));
    let again = world.change(AccessChange::Logout { hash: hash(2) });
    assert!(matches!(again, Answer::Refused(error) if error.code == Code::NotFound));
    // Whoever is let in next has what ran out swept away.
    world.open(app, 3, None, 2);
    let config = world.core.config();
    assert_eq!(config.access().tokens_of(app).count(), 1);
    world.check_restart();
}

#[test]
fn sessions_end_by_name_or_all_at_once_and_never_later_than_before() {
    let mut world = World::new();
    let (app, other) = (world.application("acme"), world.application("other"));
    world.open(app, 1, Some("a"), 5);
    world.open(app, 2, Some("b"), 5);
    world.open(app, 3, None, 1);
    world.open(other, 4, Some("a"), 5);
    assert_eq!(world.expire(app, &["a"], 0), 1);
    assert!(!world.is_live(1) && world.is_live(2) && world.is_live(4));
    assert_eq!(world.expire(app, &[], 2), 1, "3 ends sooner by itself");
    world.check_restart();
    world.now = world.now.plus_ms(HOUR_MS);
    assert!(world.is_live(2) && !world.is_live(3));
    world.now = world.now.plus_ms(HOUR_MS);
    assert!(!world.is_live(2) && world.is_live(4));
}

#[test]
fn the_oldest_token_of_an_application_gives_way_to_the_newest() {
    let mut world = World::new();
    let (app, other) = (world.application("acme"), world.application("other"));
    world.open(other, 60_000, None, 1);
    let most = limits::PORTAL_TOKENS_PER_APPLICATION_MAX as u16;
    for n in 0..=most {
        world.open(app, n, None, 1);
    }
    assert!(!world.is_live(0) && world.is_live(1) && world.is_live(most));
    assert!(world.is_live(60_000));
    world.check_restart();
}

#[test]
fn an_integration_has_one_key_at_a_time() {
    let mut world = World::new();
    let made = world.change(AccessChange::CreateIntegration {
        app: DEFAULT_APPLICATION,
        fields: IntegrationFields::default(),
        key: key(1),
    });
    let Answer::Integration(made) = made else {
        panic!("{made:?}");
    };
    let integration = made.id;
    assert!(world.is_live(1));
    world.change(AccessChange::RotateIntegrationKey {
        integration,
        key: key(2),
    });
    assert!(!world.is_live(1) && world.is_live(2));
    let fields = IntegrationFields {
        name: "renamed".to_owned(),
        ..IntegrationFields::default()
    };
    world.change(AccessChange::UpdateIntegration {
        integration,
        fields,
    });
    assert!(world.is_live(2));
    world.check_restart();
    let gone = world.change(AccessChange::DeleteIntegration { integration });
    assert!(matches!(gone, Answer::Deleted));
    assert!(!world.is_live(2));
    world.check_restart();
}

#[test]
fn an_application_that_goes_takes_all_access_to_it_along() {
    let mut world = World::new();
    let app = world.application("acme");
    world.open(app, 1, None, 1);
    world.change(AccessChange::CreateIntegration {
        app,
        fields: IntegrationFields::default(),
        key: key(2),
    });
    let (token, application) = (Token(1), app);
    world.tell(Input::DeleteApplication { token, application });
    assert!(!world.is_live(1) && !world.is_live(2));
    world.check_restart();
}
