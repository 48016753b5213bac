//! Idle connections, by tenant, policy, TLS and origin, the latest used first. Nobody polls them: a server that
//! closed one is noticed when it is taken out, or the sweep closes it when its time is over.

use std::collections::HashMap;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use dunlin_types::limits::IDLE_SWEEP_MS;
use tokio::time::Instant;

use crate::guard::AddressPolicy;
use crate::link::Link;
use crate::target::Origin;
use crate::tls::TlsIdentity;

/// Who may share a connection: only requests of one tenant that were judged by the same rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) tenant: u64,
    pub(crate) tls: Option<Arc<TlsIdentity>>,
    pub(crate) policy: Arc<AddressPolicy>,
    pub(crate) origin: Arc<Origin>,
}

impl Hash for Key {
    /// Of tenant and origin alone, which are cheap; few keys differ in nothing but the rest.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.tenant.hash(state);
        self.origin.port.hash(state);
        self.origin.host.hash(state);
    }
}

#[derive(Debug)]
pub(crate) struct Pool {
    state: Mutex<State>,
    per_origin_max: usize,
    total_max: usize,
}

#[derive(Debug, Default)]
struct State {
    idle: HashMap<Key, Vec<Idle>>,
    total: usize,
    swept: bool,
}

#[derive(Debug)]
struct Idle {
    link: Box<Link>,
    until: Instant,
}

impl Pool {
    pub(crate) fn new(per_origin_max: usize, total_max: usize) -> Self {
        Self {
            state: Mutex::default(),
            per_origin_max,
            total_max,
        }
    }

    /// A connection that still seems open.
    pub(crate) fn take(&self, key: &Key, now: Instant) -> Option<Box<Link>> {
        loop {
            let mut idle = self.pop(key)?;
            if idle.until > now && idle.link.is_idle() {
                return Some(idle.link);
            }
        }
    }

    /// Keeps a connection until then, or closes it when there are enough.
    pub(crate) fn put(self: &Arc<Self>, key: Key, link: Box<Link>, until: Instant) {
        let mut state = self.lock();
        let surplus = if state.total < self.total_max {
            None
        } else {
            state.any()
        };
        let links = state.idle.entry(key).or_default();
        if links.len() >= self.per_origin_max {
            drop(state);
            drop((link, surplus));
            return;
        }
        links.push(Idle { link, until });
        state.total += 1;
        let sweep = !std::mem::replace(&mut state.swept, true);
        drop(state);
        if sweep {
            tokio::spawn(sweep_until_empty(Arc::downgrade(self)));
        }
    }

    fn pop(&self, key: &Key) -> Option<Idle> {
        let mut state = self.lock();
        let idle = state.idle.get_mut(key)?.pop()?;
        state.total -= 1;
        Some(idle)
    }

    /// Closes what is over its time; false when nothing is left to come back for.
    fn sweep(&self, now: Instant) -> bool {
        let mut over = Vec::new();
        let mut state = self.lock();
        state.idle.retain(|_, links| {
            over.extend(links.extract_if(.., |idle| idle.until <= now));
            !links.is_empty()
        });
        state.total -= over.len();
        state.swept = state.total > 0;
        state.swept
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Some connection, to make room for one that was just of use.
    fn any(&mut self) -> Option<Idle> {
        let idle = self
            .idle
            .values_mut()
            .find(|links| !links.is_empty())?
            .pop()?;
        self.total -= 1;
        Some(idle)
    }
}

async fn sweep_until_empty(pool: Weak<Pool>) {
    loop {
        tokio::time::sleep(Duration::from_millis(IDLE_SWEEP_MS)).await;
        let Some(pool) = pool.upgrade() else { return };
        if !pool.sweep(Instant::now()) {
            return;
        }
    }
}
