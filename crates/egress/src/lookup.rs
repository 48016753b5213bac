//! Name look-ups: one at a time for a name, and places that names which hang cannot use up.
//!
//! A look-up occupies a thread until the name server answers or the operating system gives up,
//! long after nobody waits for it any more. So names that hung when they were last tried get few of
//! the places, names that nobody has seen resolve more, and a tenant never gets them all.

use std::collections::{HashMap, HashSet};
use std::mem;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use dunlin_types::limits::{
    LOOKUP_NAMES_REMEMBERED_MAX, LOOKUP_SLOW_MS, LOOKUPS_HUNG_PARTS, LOOKUPS_OF_OPERATOR_MAX,
    LOOKUPS_OF_TENANTS_MAX, LOOKUPS_PER_TENANT_MAX, LOOKUPS_UNPROVEN_PARTS,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::dial::Resolve;
use crate::message::{SendError, SendErrorKind};

/// The operator's own requests.
pub(crate) const OPERATOR: u64 = 0;

/// What came of a look-up; the error is in words.
type Found = Result<Vec<IpAddr>, String>;

/// What a look-up holds: of its tenant's places, and of those of all tenants.
type Permits = (Vec<OwnedSemaphorePermit>, Vec<OwnedSemaphorePermit>);

/// How far a look-up has come.
#[derive(Clone)]
enum Stage {
    /// It has no place yet.
    Waiting,
    /// A thread is at it.
    Asked,
    Done(Found),
}

/// How a name fared when it was last tried, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    Hung,
    New,
    Proven,
}

/// All look-ups of a client.
pub(crate) struct Lookups(Arc<Inner>);

struct Inner {
    resolver: Arc<dyn Resolve>,
    /// A look-up that took longer than anybody waits has hung.
    slow: Duration,
    operator: Arc<Places>,
    tenants: Places,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Under way. Not shared between tenants, who would wait in each other's queues.
    flights: HashMap<(u64, Box<str>), watch::Sender<Stage>>,
    /// The places of each tenant that has look-ups under way.
    places: HashMap<u64, Arc<Places>>,
    names: Names,
}

impl Lookups {
    pub(crate) fn new(resolver: Arc<dyn Resolve>) -> Self {
        Self::with_patience(resolver, Duration::from_millis(LOOKUP_SLOW_MS))
    }

    fn with_patience(resolver: Arc<dyn Resolve>, slow: Duration) -> Self {
        Self(Arc::new(Inner {
            resolver,
            slow,
            operator: Arc::new(Places::new(LOOKUPS_OF_OPERATOR_MAX)),
            tenants: Places::new(LOOKUPS_OF_TENANTS_MAX),
            state: Mutex::default(),
        }))
    }

    /// The addresses of a host, at least one.
    pub(crate) async fn find(
        &self,
        tenant: u64,
        host: &str,
        until: Instant,
    ) -> Result<Vec<IpAddr>, SendError> {
        let failed = |why: &str| {
            let text = format!("looking up {host} failed: {why}");
            SendError::new(SendErrorKind::Dns, text)
        };
        let mut flight = self.join(tenant, host);
        let is_done = |stage: &Stage| matches!(stage, Stage::Done(_));
        // What ends without a word is a look-up that panicked.
        let ended = timeout_at(until, flight.wait_for(is_done)).await;
        let ended = ended.map(|stage| stage.map(|_| ()));
        let stage = flight.borrow().clone();
        match (ended, stage) {
            (_, Stage::Done(Ok(found))) if found.is_empty() => {
                Err(failed("the name has no address"))
            }
            (_, Stage::Done(Ok(found))) => Ok(found),
            (_, Stage::Done(Err(why))) => Err(failed(&why)),
            (Ok(_), _) => Err(failed("the look-up was given up")),
            (Err(_), Stage::Asked) => Err(failed("no answer in time")),
            (Err(_), Stage::Waiting) => {
                let text = format!("{host} was not looked up: too many look-ups hang");
                Err(SendError::new(SendErrorKind::Busy, text))
            }
        }
    }

    /// The look-up of that name that is under way, or a new one.
    fn join(&self, tenant: u64, host: &str) -> watch::Receiver<Stage> {
        let mut state = self.0.lock();
        let key = (tenant, Box::from(host));
        if let Some(flight) = state.flights.get(&key) {
            return flight.subscribe();
        }
        let (flight, joined) = watch::channel(Stage::Waiting);
        state.flights.insert(key.clone(), flight.clone());
        let own = match tenant {
            OPERATOR => Arc::clone(&self.0.operator),
            _ => {
                let new = || Arc::new(Places::new(LOOKUPS_PER_TENANT_MAX));
                Arc::clone(state.places.entry(tenant).or_insert_with(new))
            }
        };
        let standing = state.names.standing(host);
        drop(state);
        let leading = Arc::clone(&self.0).lead(key, own, standing, flight);
        tokio::spawn(leading);
        joined
    }
}

impl Inner {
    /// Looks a name up as soon as there is a place, unless nobody wants to know any more.
    async fn lead(
        self: Arc<Self>,
        key: (u64, Box<str>),
        own: Arc<Places>,
        standing: Standing,
        flight: watch::Sender<Stage>,
    ) {
        let Some(permits) = self.admit(&key, &own, standing, &flight).await else {
            self.lock().leave(key.0, own);
            return;
        };
        flight.send_replace(Stage::Asked);
        let began = Instant::now();
        let (resolver, name) = (Arc::clone(&self.resolver), key.1.clone());
        let asked = tokio::task::spawn_blocking(move || resolver.resolve(&name));
        let found: Found = match asked.await {
            Ok(found) => found.map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        drop(permits);
        let standing = match &found {
            _ if began.elapsed() > self.slow => Standing::Hung,
            Ok(found) if !found.is_empty() => Standing::Proven,
            _ => Standing::New,
        };
        let mut state = self.lock();
        state.names.note(&key.1, standing);
        state.flights.remove(&key);
        state.leave(key.0, own);
        drop(state);
        flight.send_replace(Stage::Done(found));
    }

    /// A place for a look-up; none, and no look-up any more, once nobody wants to know.
    async fn admit(
        &self,
        key: &(u64, Box<str>),
        own: &Places,
        standing: Standing,
        flight: &watch::Sender<Stage>,
    ) -> Option<Permits> {
        let mut placed = pin!(self.place(key.0, own, standing));
        loop {
            tokio::select! {
                biased;
                () = flight.closed() => {
                    let mut state = self.lock();
                    // Somebody may have joined since.
                    if flight.receiver_count() == 0 {
                        state.flights.remove(key);
                        return None;
                    }
                }
                permits = &mut placed => return Some(permits),
            }
        }
    }

    /// A place for the look-up of a name, first among those of its tenant.
    async fn place(&self, tenant: u64, own: &Places, standing: Standing) -> Permits {
        let own = own.enter(standing).await;
        let shared = match tenant {
            OPERATOR => Vec::new(),
            _ => self.tenants.enter(standing).await,
        };
        (own, shared)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A look-up of that tenant is over.
    fn leave(&mut self, tenant: u64, own: Arc<Places>) {
        drop(own);
        let places = self.places.get(&tenant);
        if places.is_some_and(|places| Arc::strong_count(places) == 1) {
            self.places.remove(&tenant);
        }
    }
}

/// Places for look-ups, each of which holds a thread. Names that hung take part of those for names
/// that nobody has seen resolve, and they part of all.
struct Places {
    all: Arc<Semaphore>,
    unproven: Arc<Semaphore>,
    hung: Arc<Semaphore>,
}

impl Places {
    fn new(count: usize) -> Self {
        let places = |parts: usize| Arc::new(Semaphore::new((count / parts).max(1)));
        Self {
            all: places(1),
            unproven: places(LOOKUPS_UNPROVEN_PARTS),
            hung: places(LOOKUPS_HUNG_PARTS),
        }
    }

    /// Waits for a place, the scarcest first, so that nobody holds one that others could use.
    async fn enter(&self, standing: Standing) -> Vec<OwnedSemaphorePermit> {
        let ways = [
            (Standing::Hung, &self.hung),
            (Standing::New, &self.unproven),
            (Standing::Proven, &self.all),
        ];
        let mut permits = Vec::with_capacity(ways.len());
        for (_, places) in ways.iter().filter(|(least, _)| standing <= *least) {
            // They are never closed.
            permits.extend(Arc::clone(places).acquire_owned().await.ok());
        }
        permits
    }
}

/// How names fared, as far back as there is room.
#[derive(Default)]
struct Names {
    proven: Recent,
    hung: Recent,
}

impl Names {
    fn standing(&self, name: &str) -> Standing {
        if self.hung.has(name) {
            Standing::Hung
        } else if self.proven.has(name) {
            Standing::Proven
        } else {
            Standing::New
        }
    }

    fn note(&mut self, name: &str, standing: Standing) {
        let Self { proven, hung } = self;
        match standing {
            Standing::Hung => hung.put(name),
            Standing::Proven => proven.put(name),
            Standing::New => {}
        }
        if standing != Standing::Hung {
            hung.forget(name);
        }
    }
}

/// Names in two generations, of which the older one goes when the younger one is full.
#[derive(Default)]
struct Recent {
    young: HashSet<Box<str>>,
    old: HashSet<Box<str>>,
}

impl Recent {
    fn has(&self, name: &str) -> bool {
        self.young.contains(name) || self.old.contains(name)
    }

    fn put(&mut self, name: &str) {
        if self.young.len() >= LOOKUP_NAMES_REMEMBERED_MAX / 2 {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(name.into());
    }

    fn forget(&mut self, name: &str) {
        self.young.remove(name);
        self.old.remove(name);
    }
}

#[cfg(test)]
mod tests;
