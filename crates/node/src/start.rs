//! A node starts: the store is claimed, memory is rebuilt, threads begin. And it stops.

use std::sync::{Arc, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use dunlin_delivery::{Delivery, DeliveryOptions};
use dunlin_egress::{Client, ClientOptions};
use dunlin_engine::{Engine, Options};
use dunlin_sandbox::{Sandbox, SandboxOptions};
use dunlin_store::{Reader, Restored, Start, Store, StoreError};
use dunlin_turn::Turn;
use dunlin_types::{Code, Coded, Seq, Timestamp};
use tracing::info;

use crate::clock::Clock;
use crate::handle::{Node, Shared};
use crate::inbox::{Inbox, Letter};
use crate::memory;
use crate::options::NodeOptions;
use crate::pace::{Meter, Pace};
use crate::readers::Readers;
use crate::turns::{Seeds, Turns};
use crate::writer;

/// A node and its threads.
pub struct Running {
    node: Node,
    turns: JoinHandle<()>,
    writer: JoinHandle<()>,
    /// How long memory took to rebuild.
    pub recovery: Duration,
    /// Runs that had not ended.
    pub live_runs: usize,
}

/// Starts a node over a store. Must be called within a runtime.
///
/// # Errors
/// The store's, when it cannot be opened or read; `StoreDead` when threads cannot be started.
pub async fn start(options: NodeOptions, store: Arc<dyn Store>) -> Result<Running, Coded> {
    let clock = Clock::new();
    let runtime = tokio::runtime::Handle::current();
    let opened = tokio::task::spawn_blocking({
        let options = options.clone();
        let now = clock.now();
        move || open(&options, &*store, now)
    });
    let opened = opened
        .await
        .map_err(|e| Coded::new(Code::StoreDead, e.to_string()))?;
    let opened = opened.map_err(|e| Coded::new(e.code, e.detail))?;
    let (program, args) = options.js_worker.clone();
    let shared = Arc::new(Shared {
        clock,
        inbox: Inbox::default(),
        readers: opened.readers,
        pace: Arc::new(Pace::new(options.pace())),
        client: Client::new(client_options(&options)),
        sandbox: Sandbox::new(SandboxOptions::new(program, args)),
        prepared: Default::default(),
        config: RwLock::new(opened.delivery.config()),
        apps: tokio::sync::watch::Sender::new(Arc::new(Vec::new())),
        counters: Default::default(),
        trials: Default::default(),
        options,
    });
    memory::watch(&shared.pace);
    let live_runs = opened.engine.live_runs();
    let threads = |e: std::io::Error| Coded::new(Code::StoreDead, e.to_string());
    let writer = writer::start(Arc::clone(&shared), opened.writer).map_err(threads)?;
    let start = opened.start;
    let turns = Turns {
        shared: Arc::clone(&shared),
        turn: Turn::new(
            opened.engine,
            opened.delivery,
            start.next_seq,
            start.commit_no,
        ),
        batches: writer.batches,
        runtime,
        epoch: start.epoch,
        seeds: Seeds(rand::random()),
        meter: Meter::default(),
    };
    let turns = std::thread::Builder::new()
        .name("dunlin-turns".to_owned())
        .spawn(move || turns.run())
        .map_err(threads)?;
    let recovery = opened.took;
    let node = Node { shared };
    node.carry_on_all();
    tokio::spawn(crate::retention::keep(node.clone()));
    Ok(Running {
        node,
        turns,
        writer: writer.thread,
        recovery,
        live_runs,
    })
}

/// As many idle connections are kept as an operator lets calls be in flight.
fn client_options(options: &NodeOptions) -> ClientOptions {
    let mut client = ClientOptions::default();
    let of_app = options.calls.calls_per_app_max as usize;
    client.idle_per_origin_max = client.idle_per_origin_max.max(of_app);
    client.idle_max = client.idle_max.max(of_app);
    client.proxy.clone_from(&options.proxy);
    client
}

struct Opened {
    engine: Engine,
    delivery: Delivery,
    readers: Readers,
    writer: Box<dyn dunlin_store::Writer>,
    start: Start,
    took: Duration,
}

fn open(options: &NodeOptions, store: &dyn Store, now: Timestamp) -> Result<Opened, StoreError> {
    let began = Instant::now();
    let (writer, start) = store.writer(now)?;
    let mut engine = Engine::new(Options {
        retries_default: options.retries_default,
        retry_interval_ms: options.retry_interval_ms,
        steps_max: options.steps_max,
        boot: start.boot,
        missed_ticks: options.missed_ticks,
        calls: options.calls,
        ..Options::default()
    });
    let mut delivery = Delivery::new(DeliveryOptions {
        retry_interval_ms: options.retry_interval_ms,
        own_event_urls: options.own_event_urls.clone(),
        disable_after_ms: options.disable_failing_after_ms,
        ..DeliveryOptions::default()
    });
    let mut bad = 0_u64;
    let mut reader = store.reader()?;
    reader.restore(&mut |row| bad += u64::from(!restore(&mut engine, &mut delivery, row)))?;
    if bad > 0 {
        let detail = format!("{bad} rows cannot be understood");
        return Err(StoreError {
            code: Code::StoreCorrupt,
            detail,
        });
    }
    restore_waits(&mut engine, reader.as_mut())?;
    engine.restored(now, start.clean);
    let readers = Readers::start(store)?;
    let took = began.elapsed();
    info!(
        boot = start.boot,
        clean = start.clean,
        live_runs = engine.live_runs(),
        ms = took.as_millis() as u64,
        "memory is rebuilt"
    );
    Ok(Opened {
        engine,
        delivery,
        readers,
        writer,
        start,
        took,
    })
}

/// Waits read at once: their payloads may be large.
const WAITS_PER_READ: usize = 1000;

/// Has the engine know again what live runs wait for.
fn restore_waits(engine: &mut Engine, reader: &mut dyn Reader) -> Result<(), StoreError> {
    let waits: Vec<Seq> = engine
        .waits_to_restore()
        .into_iter()
        .map(|(_, item)| item)
        .collect();
    for seqs in waits.chunks(WAITS_PER_READ) {
        for row in reader.step_rows(seqs)? {
            if !engine.restore_wait(&row) {
                let detail = format!("the wait {} cannot be understood", row.mark.seq);
                return Err(StoreError {
                    code: Code::StoreCorrupt,
                    detail,
                });
            }
        }
    }
    for event in reader.claims()? {
        engine.restore_claim(&event);
    }
    Ok(())
}

/// Hands a row to the core it belongs to; false if that cannot read it.
fn restore(engine: &mut Engine, delivery: &mut Delivery, row: Restored) -> bool {
    match row {
        Restored::App(row) => engine.restore_app(row),
        Restored::Function(row) => engine.restore_function(*row),
        Restored::Limit(limit) => engine.restore_limit(limit),
        Restored::Counter(row) => engine.restore_counter(&row),
        Restored::Gather(row) => engine.restore_gather(row),
        Restored::Gathered { gather, event } => engine.restore_gathered(gather, event),
        Restored::Image(image) => return engine.restore_image(&image),
        Restored::Cron(row) => engine.restore_cron(&row),
        Restored::Run(row) => return engine.restore_run(&row),
        Restored::Step(mark) => engine.restore_step(&mark),
        Restored::Application(row) => delivery.restore_application(Arc::unwrap_or_clone(row)),
        Restored::PortalToken(row) => delivery.restore_portal_token(row),
        Restored::Integration(row) => delivery.restore_integration(row),
        Restored::Source(row) => delivery.restore_source(Arc::unwrap_or_clone(row)),
        Restored::Endpoint(row) => delivery.restore_endpoint(Arc::unwrap_or_clone(row)),
        Restored::EventType(row) => delivery.restore_event_type(row),
        Restored::Delivery(row) => delivery.restore_delivery(row),
        Restored::Health(row) => delivery.restore_health(row),
        Restored::Rest(row) => delivery.restore_rest(row),
        Restored::Tally(row) => delivery.restore_tally(row),
        Restored::Task(row) => delivery.restore_task(Arc::unwrap_or_clone(row)),
    }
    true
}

impl Running {
    /// The node.
    #[must_use]
    pub fn node(&self) -> Node {
        self.node.clone()
    }

    /// Stops: no new calls, those in flight may end within `grace`, all that is decided is
    /// committed, and the store notes that it was in order.
    pub async fn stop(self, grace: Duration) {
        let shared = &self.node.shared;
        shared.inbox.intake(Letter::Drain);
        let _ = tokio::time::timeout(grace, self.node.idle()).await;
        shared.inbox.intake(Letter::Stop);
        let threads = tokio::task::spawn_blocking(move || {
            let _ = self.turns.join();
            let _ = self.writer.join();
        });
        let _ = threads.await;
    }
}
