//! The policy table, walked with portal tokens and integrations' keys: those of the application
//! that the path names and of another, with each capability and without it, ended in each way.

use std::sync::Arc;

use dunlin_delivery::{
    AccessChange, AccessKey, Answer, Capabilities, Capability, Context, Delivery, DeliveryOptions,
    Effect, Input, IntegrationFields, Loaded, NewApplication, NewPortalToken,
};
use dunlin_types::{Secret, Seq, Timestamp, Token};

use super::tests::{ask, code, dev, path_of, start, text};
use super::*;
use crate::caller::hash_of;
use crate::policy::{TABLE, Who, Within};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);
const HOUR_MS: i64 = 60 * 60 * 1000;

/// Two applications, and whoever has access to them.
struct World {
    core: Delivery,
    seq: u64,
}

impl World {
    fn new() -> Self {
        let core = Delivery::new(DeliveryOptions::default());
        let mut world = Self { core, seq: 0 };
        let (acme, other) = (world.application("acme"), world.application("other"));
        world.portal(acme, "appsk_all", Capabilities::all(), NOW);
        world.portal(other, "appsk_other", Capabilities::all(), NOW);
        world.portal(acme, "appsk_none", [].into_iter().collect(), NOW);
        for one in Capability::ALL {
            let without = Capability::ALL.into_iter().filter(|other| *other != one);
            let only = [one].into_iter().collect();
            world.portal(acme, &format!("appsk_only{}", one.name()), only, NOW);
            let name = format!("appsk_without{}", one.name());
            world.portal(acme, &name, without.collect(), NOW);
        }
        world.portal(
            acme,
            "appsk_expired",
            Capabilities::all(),
            NOW.plus_ms(-2 * HOUR_MS),
        );
        world.portal(acme, "appsk_loggedout", Capabilities::all(), NOW);
        let hash = hash_of("appsk_loggedout");
        world.change(AccessChange::Logout { hash }, NOW);
        world.integration(acme, "integsk_acme");
        world.integration(other, "integsk_other");
        world
    }

    fn tell(&mut self, input: Input, now: Timestamp) -> Answer {
        let seq = &mut self.seq;
        let mut next_seq = || {
            *seq += 1;
            Seq(*seq)
        };
        let mut cx = Context {
            now,
            seed: 0,
            next_seq: &mut next_seq,
        };
        let mut out = self.core.handle(input, &Loaded::default(), &mut cx);
        match out.effects.pop() {
            Some(Effect::Answer { answer, .. }) => answer,
            other => panic!("{other:?}"),
        }
    }

    fn change(&mut self, change: AccessChange, now: Timestamp) {
        let (token, change) = (Token(1), Box::new(change));
        let answer = self.tell(Input::Access { token, change }, now);
        assert!(!matches!(answer, Answer::Refused(_)), "{answer:?}");
    }

    fn application(&mut self, uid: &str) -> Seq {
        let new = NewApplication {
            name: uid.to_owned(),
            uid: Some(uid.to_owned()),
            ..NewApplication::default()
        };
        let token = Token(1);
        match self.tell(Input::CreateApplication { token, new }, NOW) {
            Answer::Application(app) => app.id,
            other => panic!("{other:?}"),
        }
    }

    fn portal(&mut self, app: Seq, token: &str, capabilities: Capabilities, made: Timestamp) {
        let new = NewPortalToken {
            hash: hash_of(token),
            app,
            capabilities,
            feature_flags: Vec::new(),
            session: None,
            lasts_ms: HOUR_MS,
        };
        self.change(AccessChange::OpenPortal(new), made);
    }

    fn integration(&mut self, app: Seq, key: &str) {
        let key = AccessKey {
            secret: Secret::new(key),
            hash: hash_of(key),
        };
        let fields = IntegrationFields::default();
        self.change(AccessChange::CreateIntegration { app, fields, key }, NOW);
    }

    /// All paths of the table, for whoever this world lets in.
    fn served(self, options: &ApiOptions) -> Router {
        let config = self.core.config();
        let directory = Directory::new(move || (Arc::clone(&config), NOW));
        super::tests::served_by(Gate::with_directory(options, None, Some(directory)))
    }
}

/// What somebody with that token or key is to be told by a row for operators at a path of `acme`.
fn expected(row: &Route, token: &str) -> u16 {
    let is_other = token.ends_with("other");
    match token {
        "appsk_expired" | "appsk_loggedout" | "appsk_unknown" | "integsk_unknown" => return 401,
        _ if is_other && row.path.contains("{app}") => return 404,
        _ => {}
    }
    let may = match row.within {
        Within::Nobody => false,
        Within::Anybody => true,
        _ if token.starts_with("integsk_") => true,
        Within::Integration => false,
        Within::Portal(wanted) => match token.strip_prefix("appsk_only") {
            Some(only) => only == wanted.name(),
            None => match token.strip_prefix("appsk_without") {
                Some(without) => without != wanted.name(),
                None => token == "appsk_all",
            },
        },
    };
    if may { 200 } else { 403 }
}

fn tokens() -> Vec<String> {
    let named = Capability::ALL
        .into_iter()
        .flat_map(|one| ["only", "without"].map(|how| format!("appsk_{how}{}", one.name())));
    let others = [
        "appsk_all",
        "appsk_none",
        "appsk_other",
        "appsk_expired",
        "appsk_loggedout",
        "appsk_unknown",
        "integsk_acme",
        "integsk_other",
        "integsk_unknown",
    ];
    named.chain(others.map(str::to_owned)).collect()
}

/// The path of a row with `acme` for its application.
fn path_at_acme(row: &Route) -> String {
    let path = path_of(row, "wrong");
    let parts = row.path.split('/').zip(path.split('/'));
    let parts = parts.map(|(name, part)| if name == "{app}" { "acme" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_lets_in_exactly_the_tokens_and_keys_it_names() {
    let (start, dev) = (start(), dev());
    for (options, is_dev) in [(&start, false), (&dev, true)] {
        let app = World::new().served(options);
        for row in TABLE.iter().filter(|row| row.who == Who::Admin) {
            let path = match row.path.contains("{*rest}") {
                true => path_of(row, "wrong"),
                false => path_at_acme(row),
            };
            for token in tokens() {
                let bearer = format!("Bearer {token}");
                let headers = [("authorization", bearer.as_str())];
                let response = ask(&app, row.method, &path, &headers, "").await;
                let asked = format!("{} {path} with {token}, dev: {is_dev}", row.method);
                let wanted = expected(row, &token);
                assert_eq!(response.status().as_u16(), wanted, "{asked}");
                let code = code(&response);
                let codes = [(200, ""), (401, "E0101"), (403, "E0111"), (404, "E0102")];
                assert!(codes.contains(&(wanted, code)), "{asked}: {code}");
            }
        }
    }
}

#[tokio::test]
async fn no_token_or_key_opens_what_is_not_managed() {
    let options = start();
    let app = World::new().served(&options);
    for row in TABLE.iter().filter(|row| row.who != Who::Admin) {
        let anybody = matches!(row.who, Who::Open | Who::SourceSignature);
        for token in ["appsk_all", "integsk_acme"] {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", bearer.as_str())];
            let response = ask(&app, row.method, &path_of(row, token), &headers, "").await;
            let wanted = if anybody { 200 } else { 401 };
            assert_eq!(response.status().as_u16(), wanted, "{}", row.path);
        }
    }
}

#[test]
fn only_rows_within_an_application_ask_for_more_than_any_token() {
    let mut without = Vec::new();
    for row in TABLE.iter().filter(|row| row.within != Within::Nobody) {
        assert_eq!(row.who, Who::Admin, "{}", row.path);
        if !row.path.contains("/app/{app}") {
            assert_eq!(row.within, Within::Anybody, "{}", row.path);
            without.push(row.path);
        }
    }
    // What these handlers show is up to them.
    let known = [
        "/api/v1/event-type",
        "/api/v1/event-type/{name}",
        "/api/v1/auth/logout",
        "/api/v1/auth/whoami",
    ];
    assert_eq!(without, known);
}

#[tokio::test]
async fn an_application_is_known_by_each_of_its_names() {
    let world = World::new();
    let config = world.core.config();
    let id = |uid: &str| config.find_application(uid).unwrap().ksuid().to_string();
    let (acme, other) = (id("acme"), id("other"));
    let app = world.served(&start());
    let headers = [("authorization", "Bearer appsk_all")];
    for (name, wanted) in [
        (acme.as_str(), 200),
        ("%61cme", 200),
        (&other, 404),
        ("other", 404),
        ("default", 404),
        ("nobody", 404),
        ("acme%2F..%2Fother", 404),
    ] {
        let path = format!("/api/v1/app/{name}/endpoint");
        let response = ask(&app, "GET", &path, &headers, "").await;
        assert_eq!(response.status().as_u16(), wanted, "{name}");
        if wanted == 404 {
            let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
            assert_eq!(body["code"], "not_found");
        }
    }
}
