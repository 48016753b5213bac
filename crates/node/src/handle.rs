//! The node as the rest of the process sees it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use dunlin_delivery as delivery;
use dunlin_egress::Client;
use dunlin_engine as engine;
use dunlin_sandbox::Sandbox;
use dunlin_store::{Reader, StoreResult};
use dunlin_turn::Input;
use dunlin_types::{Code, Coded, NewEvent, Seq, Timestamp, Token, Ulid};
use tokio::sync::oneshot;

use crate::clock::Clock;
use crate::inbox::{AskInput, Inbox, Letter, Waiter};
use crate::options::NodeOptions;
use crate::pace::{Admitted, Overload, Pace, Pressure};
use crate::prepared::PreparedEndpoints;
use crate::readers::Readers;
use crate::trial::Trials;

/// What somebody who asked is told, after the commit that holds it.
#[derive(Debug)]
pub enum Answer {
    /// By the engine.
    Engine(engine::Answer),
    /// By the delivery core.
    Delivery(delivery::Answer),
}

/// What all parts of a node share.
pub(crate) struct Shared {
    pub(crate) options: NodeOptions,
    pub(crate) clock: Clock,
    pub(crate) inbox: Inbox,
    pub(crate) pace: Arc<Pace>,
    pub(crate) readers: Readers,
    pub(crate) client: Client,
    pub(crate) sandbox: Sandbox,
    pub(crate) prepared: PreparedEndpoints,
    pub(crate) config: std::sync::RwLock<Arc<delivery::Config>>,
    pub(crate) apps: tokio::sync::watch::Sender<Arc<Vec<engine::config::AppRow>>>,
    pub(crate) counters: Counters,
    /// For messages that are tried and not kept.
    pub(crate) trials: Trials,
}

/// Work of the node's own that `/test/idle` waits for.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) attempts: std::sync::atomic::AtomicUsize,
}

/// A running node. Clones are cheap.
#[derive(Clone)]
pub struct Node {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("options", &self.shared.options)
            .finish_non_exhaustive()
    }
}

struct Ask<F>(F);

impl<F> fmt::Debug for Ask<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ask")
    }
}

impl<F: FnOnce(Token) -> Input + Send> AskInput for Ask<F> {
    fn make(self: Box<Self>, token: Token) -> Input {
        (self.0)(token)
    }
}

impl Node {
    /// How it is set up.
    #[must_use]
    pub fn options(&self) -> &NodeOptions {
        &self.shared.options
    }

    /// What the wall clock shows: to check what others say of the time.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        self.shared.clock.wall()
    }

    /// The present instant of this process.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Sources, endpoints and applications, as committed or about to be.
    #[must_use]
    pub fn config(&self) -> Arc<delivery::Config> {
        let config = self.shared.config.read();
        Arc::clone(&config.unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    /// Apps as last registered, and their changes.
    #[must_use]
    pub fn apps(&self) -> tokio::sync::watch::Receiver<Arc<Vec<engine::config::AppRow>>> {
        self.shared.apps.subscribe()
    }

    /// What runs transformations.
    #[must_use]
    pub fn sandbox(&self) -> &Sandbox {
        &self.shared.sandbox
    }

    /// What opens connections.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.shared.client
    }

    /// How hard it is pressed.
    #[must_use]
    pub fn pressure(&self) -> Pressure {
        self.shared.pace.pressure()
    }

    /// Whether new events have a chance to come in. Ask before a body is read, so that a refusal
    /// costs little.
    ///
    /// # Errors
    /// `Overloaded` when they would be refused now.
    pub fn check_intake(&self) -> Result<(), Coded> {
        self.shared.pace.check()
    }

    async fn ask(
        &self,
        events: Option<Admitted>,
        make: impl FnOnce(Token) -> Input + Send + 'static,
    ) -> Result<Answer, Coded> {
        let permit = self.shared.inbox.admit();
        let permit = permit.map_err(|_| self.shared.pace.refuse(Overload::Commits))?;
        let (answer, told) = oneshot::channel();
        let waiter = Waiter {
            answer,
            permit,
            events,
        };
        self.shared
            .inbox
            .intake(Letter::Ask(Box::new(Ask(make)), waiter));
        told.await.map_err(|_| Coded::plain(Code::ShuttingDown))
    }

    /// Has the engine decide, and waits for the commit.
    ///
    /// # Errors
    /// `Overloaded` when too many requests wait, `ShuttingDown` when the node stops meanwhile.
    pub async fn engine(
        &self,
        make: impl FnOnce(Token) -> engine::Input + Send + 'static,
    ) -> Result<engine::Answer, Coded> {
        engine_answer(self.ask(None, |token| Input::Engine(make(token))).await?)
    }

    /// As [`Node::engine`], for what brings that many new events, or runs beside them.
    ///
    /// # Errors
    /// As [`Node::engine`], and `Overloaded` when they may not come in now.
    pub async fn engine_intake(
        &self,
        events: usize,
        make: impl FnOnce(Token) -> engine::Input + Send + 'static,
    ) -> Result<engine::Answer, Coded> {
        let events = Some(self.shared.pace.admit(events)?);
        engine_answer(self.ask(events, |token| Input::Engine(make(token))).await?)
    }

    /// Has the delivery core decide, and waits for the commit.
    ///
    /// # Errors
    /// As [`Node::engine`].
    pub async fn delivery(
        &self,
        make: impl FnOnce(Token) -> delivery::Input + Send + 'static,
    ) -> Result<delivery::Answer, Coded> {
        delivery_answer(self.ask(None, |token| Input::Delivery(make(token))).await?)
    }

    /// How much an endpoint has to do.
    ///
    /// # Errors
    /// As [`Node::delivery`].
    pub async fn standing(&self, endpoint: Seq) -> Result<delivery::Standing, Coded> {
        let input = move |token| delivery::Input::Standing { token, endpoint };
        match self.delivery(input).await? {
            delivery::Answer::Standing(standing) => Ok(standing),
            _ => Err(Coded::plain(Code::ShuttingDown)),
        }
    }

    /// What the pending deliveries of a message wait for.
    ///
    /// # Errors
    /// As [`Node::delivery`].
    pub async fn blockers(&self, message: Seq) -> Result<BTreeMap<Seq, delivery::Blocker>, Coded> {
        let input = move |token| delivery::Input::Blockers { token, message };
        match self.delivery(input).await? {
            delivery::Answer::Blockers(blockers) => Ok(blockers.into_iter().collect()),
            _ => Err(Coded::plain(Code::ShuttingDown)),
        }
    }

    /// Waits until all that has been decided so far is durable, and there for readers.
    ///
    /// # Errors
    /// As [`Node::delivery`].
    pub async fn settled(&self) -> Result<(), Coded> {
        // Whatever is asked: an answer leaves with the commit of what was decided before it.
        self.blockers(Seq(0)).await.map(drop)
    }

    /// As [`Node::delivery`], for what brings a new message.
    ///
    /// # Errors
    /// As [`Node::engine_intake`].
    pub async fn delivery_intake(
        &self,
        make: impl FnOnce(Token) -> delivery::Input + Send + 'static,
    ) -> Result<delivery::Answer, Coded> {
        let events = Some(self.shared.pace.admit(1)?);
        delivery_answer(
            self.ask(events, |token| Input::Delivery(make(token)))
                .await?,
        )
    }

    /// Appends events; answers their internal ids after the commit.
    ///
    /// # Errors
    /// As [`Node::engine_intake`].
    pub async fn append_events(&self, events: Vec<NewEvent>) -> Result<Vec<Ulid>, Coded> {
        match self
            .engine_intake(events.len(), |token| engine::Input::Events {
                token,
                events,
            })
            .await?
        {
            engine::Answer::Events(ids) => Ok(ids),
            _ => Err(Coded::plain(Code::ShuttingDown)),
        }
    }

    /// Notes that a URL answered a sync or did not.
    pub fn app_seen(&self, url: String, identity_url: String, error: Option<(Code, String)>) {
        let input = engine::Input::AppSeen {
            url,
            identity_url,
            error,
        };
        self.shared
            .inbox
            .intake(Letter::Input(Input::Engine(input)));
    }

    /// Reads committed rows.
    ///
    /// # Errors
    /// The store's error, or `Overloaded` when too many reads wait.
    pub async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut dyn Reader) -> StoreResult<T> + Send + 'static,
    ) -> Result<T, Coded> {
        self.shared.readers.read(read).await
    }

    /// Waits until nothing is queued, in flight or being written; timers may be set.
    pub async fn idle(&self) {
        let (tell, told) = oneshot::channel();
        self.shared.inbox.intake(Letter::WhenIdle(tell));
        let _ = told.await;
    }

    /// Moves the clock ahead by that many milliseconds. Only in test mode.
    ///
    /// # Errors
    /// `NotFound` when the node is not in test mode.
    pub fn advance(&self, ms: i64) -> Result<Timestamp, Coded> {
        if !self.shared.options.test_mode {
            return Err(Coded::plain(Code::NotFound));
        }
        self.shared.clock.advance(ms);
        self.shared.inbox.intake(Letter::Wake);
        Ok(self.now())
    }
}

fn engine_answer(answer: Answer) -> Result<engine::Answer, Coded> {
    match answer {
        Answer::Engine(answer) => Ok(answer),
        Answer::Delivery(_) => Err(Coded::plain(Code::ShuttingDown)),
    }
}

fn delivery_answer(answer: Answer) -> Result<delivery::Answer, Coded> {
    match answer {
        Answer::Delivery(answer) => Ok(answer),
        Answer::Engine(_) => Err(Coded::plain(Code::ShuttingDown)),
    }
}
