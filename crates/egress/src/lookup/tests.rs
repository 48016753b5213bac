//! Who is looked up while others hang.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Condvar;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const HANGING: usize = 10_000;
const SLOW: Duration = Duration::from_secs(600);
/// Longer than any look-up takes here that has a place.
const PATIENCE: Duration = Duration::from_secs(5);

/// Names that begin with `hang` do not resolve before they are let go.
#[derive(Default)]
struct Server {
    released: Mutex<bool>,
    told: Condvar,
    asked: AtomicUsize,
}

impl Server {
    fn release(&self) {
        *self.released.lock().unwrap() = true;
        self.told.notify_all();
    }
}

impl Resolve for Server {
    fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if host.starts_with("hang") {
            let released = self.released.lock().unwrap();
            drop(self.told.wait_while(released, |released| !*released));
        }
        Ok(vec![Ipv4Addr::LOCALHOST.into()])
    }
}

async fn find(
    lookups: &Lookups,
    tenant: u64,
    name: &str,
    patience: Duration,
) -> Result<Vec<IpAddr>, SendErrorKind> {
    let found = lookups.find(tenant, name, Instant::now() + patience).await;
    found.map_err(|error| error.kind)
}

/// Who has all these names that hang.
#[derive(Clone, Copy)]
enum Whose {
    One,
    Each,
    Operator,
}

/// Whose names hang, how these stood before; who asks for a healthy name, and how that stood.
const FATES: [(Whose, Standing, u64, Standing); 13] = [
    // One tenant has names that nobody has tried.
    (Whose::One, Standing::New, 2, Standing::New),
    (Whose::One, Standing::New, 1, Standing::Proven),
    (Whose::One, Standing::New, OPERATOR, Standing::New),
    // The names that hang are known for it.
    (Whose::One, Standing::Hung, 2, Standing::Hung),
    (Whose::One, Standing::Hung, 1, Standing::New),
    (Whose::Each, Standing::Hung, 1, Standing::New),
    (Whose::Each, Standing::Hung, OPERATOR, Standing::Hung),
    // Every tenant has one that nobody has tried.
    (Whose::Each, Standing::New, 1, Standing::Proven),
    (Whose::Each, Standing::New, OPERATOR, Standing::New),
    // They resolved until now.
    (Whose::One, Standing::Proven, 2, Standing::New),
    (Whose::Each, Standing::Proven, OPERATOR, Standing::New),
    // What a function asks for hangs.
    (Whose::Operator, Standing::New, OPERATOR, Standing::Proven),
    (Whose::Operator, Standing::Proven, 1, Standing::New),
];

#[tokio::test]
async fn a_healthy_name_is_found_while_ten_thousand_hang() {
    for (nth, (whose, before, asker, standing)) in FATES.into_iter().enumerate() {
        let server = Arc::new(Server::default());
        let lookups = Lookups::with_patience(Arc::clone(&server) as _, SLOW);
        let names: Vec<String> = (0..HANGING).map(|nth| format!("hang-{nth}")).collect();
        {
            let mut state = lookups.0.lock();
            names.iter().for_each(|name| state.names.note(name, before));
            state.names.note("healthy", standing);
        }
        let joined = (1..).zip(&names).map(|(nth, name)| {
            let tenant = match whose {
                Whose::One => 1,
                Whose::Each => 10 + nth,
                Whose::Operator => OPERATOR,
            };
            lookups.join(tenant, name)
        });
        let joined: Vec<_> = joined.collect();
        let found = find(&lookups, asker, "healthy", PATIENCE).await;
        assert_eq!(found, Ok(vec![Ipv4Addr::LOCALHOST.into()]), "row {nth}");
        server.release();
        drop(joined);
    }
}

#[tokio::test]
async fn those_who_want_the_same_name_wait_for_one_look_up() {
    let server = Arc::new(Server::default());
    let lookups = Lookups::with_patience(Arc::clone(&server) as _, SLOW);
    let brief = Duration::from_millis(20);
    let gave_up = find(&lookups, 1, "hang", brief).await;
    assert_eq!(gave_up, Err(SendErrorKind::Dns));
    let later: Vec<_> = (0..100).map(|_| lookups.join(1, "hang")).collect();
    server.release();
    for mut flight in later {
        let done = flight
            .wait_for(|stage| matches!(stage, Stage::Done(Ok(_))))
            .await;
        assert!(done.is_ok());
    }
    assert_eq!(server.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_gets_no_place_is_told_that_the_server_is_busy() {
    let server = Arc::new(Server::default());
    let lookups = Lookups::with_patience(Arc::clone(&server) as _, SLOW);
    let names: Vec<String> = (0..LOOKUPS_PER_TENANT_MAX)
        .map(|nth| format!("hang-{nth}"))
        .collect();
    let joined: Vec<_> = names.iter().map(|name| lookups.join(1, name)).collect();
    let brief = Duration::from_millis(20);
    let found = find(&lookups, 1, "healthy", brief).await;
    assert_eq!(found, Err(SendErrorKind::Busy));
    server.release();
    assert!(find(&lookups, 1, "healthy", PATIENCE).await.is_ok());
    drop(joined);
}

#[tokio::test]
async fn a_look_up_that_nobody_waits_for_any_more_is_not_made() {
    let server = Arc::new(Server::default());
    let lookups = Lookups::with_patience(Arc::clone(&server) as _, SLOW);
    let names: Vec<String> = (0..1_000).map(|nth| format!("hang-{nth}")).collect();
    let tried = names.iter().map(|name| lookups.join(1, name));
    let tried: Vec<_> = tried.collect();
    let brief = Duration::from_millis(20);
    assert_eq!(
        find(&lookups, 1, "late", brief).await,
        Err(SendErrorKind::Busy)
    );
    drop(tried);
    server.release();
    assert!(find(&lookups, 1, "healthy", PATIENCE).await.is_ok());
    assert!(server.asked.load(Ordering::SeqCst) <= LOOKUPS_PER_TENANT_MAX);
    assert!(lookups.0.lock().flights.len() <= LOOKUPS_PER_TENANT_MAX);
}

#[tokio::test]
async fn a_name_that_hung_has_few_places_until_it_resolves_again() {
    let server = Arc::new(Server::default());
    let lookups = Lookups::with_patience(Arc::clone(&server) as _, Duration::ZERO);
    let standing = || lookups.0.lock().names.standing("name");
    assert_eq!(standing(), Standing::New);
    assert!(find(&lookups, 1, "name", PATIENCE).await.is_ok());
    assert_eq!(standing(), Standing::Hung);
    let names = &mut lookups.0.lock().names;
    names.note("name", Standing::Proven);
    assert_eq!(names.standing("name"), Standing::Proven);
    names.note("name", Standing::Hung);
    assert_eq!(names.standing("name"), Standing::Hung);
    names.note("name", Standing::New);
    assert_eq!(names.standing("name"), Standing::Proven);
}

#[test]
fn names_that_were_seen_long_ago_are_forgotten() {
    let mut recent = Recent::default();
    for nth in 0..3 * LOOKUP_NAMES_REMEMBERED_MAX {
        recent.put(&nth.to_string());
        assert!(recent.young.len() + recent.old.len() <= LOOKUP_NAMES_REMEMBERED_MAX);
    }
    assert!(!recent.has("0"));
    assert!(recent.has(&(3 * LOOKUP_NAMES_REMEMBERED_MAX - 1).to_string()));
}
