//! Stories of apps that register: again, elsewhere, with less, and next to others.

use dunlin_engine::config::{FunctionSpec, Registration};
use dunlin_engine::{Answer, Input, Reply, RunStatus};
use dunlin_types::{Code, Payload};

use crate::world::{START, World, event, spec};

/// What the app of that name registers at that place.
fn registration(app: &str, place: &str, functions: &[FunctionSpec]) -> Registration {
    let url = format!("http://{place}/api");
    let at_place = |spec: &FunctionSpec| FunctionSpec {
        url: format!("{url}?fnId={}", spec.slug),
        ..spec.clone()
    };
    let functions: Vec<FunctionSpec> = functions.iter().map(at_place).collect();
    let mut checksum = [0_u8; 32];
    for (n, byte) in format!("{app}{place}{functions:?}").bytes().enumerate() {
        checksum[n % 32] = byte ^ checksum[n % 32].rotate_left(3);
    }
    Registration {
        app: app.to_owned(),
        identity_url: url.clone(),
        url,
        sdk: "js:v4.24.0".to_owned(),
        framework: "test".to_owned(),
        version: None,
        checksum,
        functions,
    }
}

/// Registers; whether anything changed, what, and the warnings.
fn sync(world: &mut World, registration: Registration) -> (bool, String, Vec<String>) {
    let token = world.token();
    world.input(Input::Register {
        token,
        registration: Box::new(registration),
    });
    world.settle();
    match &world.answers[&token] {
        Answer::Registered {
            modified,
            changes,
            warnings,
            ..
        } => (*modified, changes.to_string(), warnings.clone()),
        other => panic!("{other:?}"),
    }
}

fn seen(world: &mut World, place: &str, error: Option<&str>) {
    let url = format!("http://{place}/api");
    world.input(Input::AppSeen {
        identity_url: url.clone(),
        url,
        error: error.map(|why| (Code::AppUnreachable, why.to_owned())),
    });
    world.settle();
}

fn f(slug: &str) -> FunctionSpec {
    spec(slug, "go", None)
}

#[test]
fn a_sync_tells_what_it_changed() {
    let mut world = World::new(1);
    let first = registration("shop", "a", &[f("shop-f"), f("shop-g")]);
    let (modified, changes, _) = sync(&mut world, first.clone());
    assert!(modified);
    assert_eq!(changes, "new app; added shop-f, shop-g");
    assert!(!sync(&mut world, first).0);
    let mut second = registration("shop", "a", &[f("shop-f"), f("shop-h")]);
    second.functions[0].retries = Some(1);
    second.functions[0].triggers = spec("", "come", None).triggers;
    second.sdk = "js:v4.25.0".to_owned();
    let (modified, changes, _) = sync(&mut world, second);
    assert!(modified);
    assert_eq!(
        changes,
        "sdk js:v4.24.0 → js:v4.25.0; added shop-h; changed shop-f (triggers, retries); \
         removed shop-g"
    );
}

#[test]
fn a_configuration_that_is_only_written_otherwise_makes_no_new_version() {
    let mut world = World::new(1);
    let written = |config: &'static str| {
        let mut spec = f("shop-f");
        spec.config = Payload::from_json(config);
        registration("shop", "a", &[spec])
    };
    sync(&mut world, written(r#"{"id":"shop-f","name":"f"}"#));
    let mut again = written(r#"{"name": "f", "id": "shop-f"}"#);
    again.checksum = [7; 32];
    let (modified, changes, _) = sync(&mut world, again);
    assert_eq!((modified, changes.as_str()), (true, ""));
    assert_eq!(world.store.functions[&0].version, 1);
}

#[test]
fn an_app_that_moves_takes_its_runs_along() {
    let mut world = World::new(1);
    sync(&mut world, registration("shop", "a", &[f("shop-f")]));
    world.program("shop-f", "step a sleep s 10000 step b");
    world.send(event("go"));
    world.run_for(5_000);
    let (_, changes, _) = sync(&mut world, registration("shop", "b", &[f("shop-f")]));
    assert_eq!(changes, "url http://a/api → http://b/api");
    world.crash();
    world.script("shop-f", |call, _| {
        assert_eq!(&*call.url, "http://b/api?fnId=shop-f");
        Reply::Done(Payload::from_json("1"))
    });
    world.run_out();
    assert_eq!(world.status(1), RunStatus::Completed);
    assert_eq!(world.store.apps.len(), 1);
}

#[test]
fn a_url_that_was_waited_for_becomes_the_app_that_answers() {
    let mut world = World::new(1);
    seen(&mut world, "a", Some("connection refused"));
    assert_eq!(world.store.apps[&0].name, "");
    let (_, changes, _) = sync(&mut world, registration("shop", "a", &[f("shop-f")]));
    assert_eq!(changes, "new app; added shop-f");
    assert_eq!(world.store.apps.len(), 1);
    assert_eq!(world.store.apps[&0].name, "shop");
    assert_eq!(world.store.apps[&0].created, START);
    assert_eq!(world.store.apps[&0].error, None);
}

#[test]
fn a_known_app_that_comes_to_a_url_that_was_waited_for_leaves_nothing_behind() {
    let mut world = World::new(1);
    sync(&mut world, registration("shop", "a", &[f("shop-f")]));
    seen(&mut world, "b", Some("connection refused"));
    assert_eq!(world.store.apps.len(), 2);
    sync(&mut world, registration("shop", "b", &[f("shop-f")]));
    assert!(world.store.apps[&1].is_vacant());
    world.crash();
    // Its place in the list is given to the next one.
    sync(&mut world, registration("store", "c", &[f("store-f")]));
    assert_eq!(world.store.apps.len(), 2);
    assert_eq!(world.store.apps[&1].name, "store");
}

#[test]
fn a_url_whose_app_registers_under_another_one_is_not_waited_for_any_more() {
    let mut world = World::new(1);
    seen(&mut world, "10.0.0.7", Some("not synced yet"));
    sync(
        &mut world,
        registration("shop", "shop.example", &[f("shop-f")]),
    );
    seen(&mut world, "10.0.0.7", None);
    assert!(world.store.apps[&0].is_vacant());
    seen(&mut world, "10.0.0.7", None);
    assert_eq!(world.store.apps.len(), 2);
}

#[test]
fn two_apps_at_one_url_are_two_and_the_newcomer_is_warned() {
    let mut world = World::new(1);
    sync(&mut world, registration("shop", "a", &[f("shop-f")]));
    let (_, changes, warnings) = sync(&mut world, registration("store", "a", &[f("store-f")]));
    assert_eq!(changes, "new app; added store-f");
    assert!(warnings[0].contains("the app shop"), "{warnings:?}");
    // What keeps one of them from answering keeps both.
    seen(&mut world, "a", Some("connection refused"));
    assert!(world.store.apps.values().all(|app| app.error.is_some()));
    seen(&mut world, "a", None);
    assert!(world.store.apps.values().all(|app| app.error.is_none()));
    world.program("shop-f", "step a");
    world.program("store-f", "step a");
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.store.runs.len(), 2);
    let (_, _, warnings) = sync(&mut world, registration("shop", "a", &[]));
    assert_eq!(warnings.len(), 1);
    let (_, _, warnings) = sync(&mut world, registration("store", "a", &[f("store-g")]));
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn an_app_without_functions_starts_nothing_until_they_come_back() {
    let mut world = World::new(1);
    let full = registration("shop", "a", &[f("shop-f"), f("shop-g")]);
    sync(&mut world, full.clone());
    world.program("shop-f", "step a");
    world.program("shop-g", "step a");
    world.send(event("go"));
    world.run_out();
    let (_, changes, _) = sync(&mut world, registration("shop", "a", &[]));
    assert_eq!(changes, "removed shop-f, shop-g");
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.store.runs.len(), 2);
    let (_, changes, _) = sync(&mut world, full);
    assert_eq!(changes, "restored shop-f, shop-g");
    world.crash();
    world.send(event("go"));
    world.run_out();
    // They are the functions they were: the runs of both times belong to them.
    assert_eq!(world.store.functions.len(), 2);
    let of_f = world.store.runs.values().filter(|run| run.function == 0);
    assert_eq!(of_f.count(), 2);
}

#[test]
fn a_paused_function_stays_paused_whatever_is_synced() {
    let mut world = World::new(1);
    sync(&mut world, registration("shop", "a", &[f("shop-f")]));
    world.program("shop-f", "step a");
    world.pause(0, true);
    world.settle();
    let mut changed = registration("shop", "a", &[f("shop-f")]);
    changed.functions[0].retries = Some(1);
    changed.checksum = [1; 32];
    sync(&mut world, changed);
    sync(&mut world, registration("shop", "a", &[]));
    sync(&mut world, registration("shop", "b", &[f("shop-f")]));
    world.crash();
    assert!(world.store.functions[&0].paused.is_some());
    world.send(event("go"));
    world.run_out();
    assert!(world.lines("call").is_empty(), "{}", world.text());
    world.pause(0, false);
    world.send(event("go"));
    world.run_out();
    assert_eq!(world.lines("Completed").len(), 1, "{}", world.text());
}
