//! Places where tests make the process die, to show that nothing is lost. Without the cargo
//! feature `failpoints`, which releases don't have, a crash point is nothing at all.

/// Each place where a crash tells something new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum CrashPoint {
    /// A batch is decided, nothing of it is durable.
    BeforeCommit = 0,
    /// The batch is durable, nobody has been told.
    AfterCommit = 1,
    /// The answer to a request is known and has not been sent.
    BeforeAnswer = 2,
    /// A call is about to go out.
    BeforeCall = 3,
    /// A call is on its way.
    CallInFlight = 4,
    /// The reply is there, and nothing of it is durable.
    AfterReply = 5,
    /// A commit is durable, its effects have not begun.
    BeforeEffect = 6,
    /// A transformation has run, and nothing of it is durable.
    AfterTransform = 7,
}

impl CrashPoint {
    /// All of them, with the names that tests use.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::BeforeCommit, "before-commit"),
        (Self::AfterCommit, "after-commit"),
        (Self::BeforeAnswer, "before-answer"),
        (Self::BeforeCall, "before-call"),
        (Self::CallInFlight, "call-in-flight"),
        (Self::AfterReply, "after-reply"),
        (Self::BeforeEffect, "before-effect"),
        (Self::AfterTransform, "after-transform"),
    ];
}

/// Dies here if `DUNLIN_CRASH=<name>:<n>` says so and this is the n-th pass. Dying is a SIGKILL to
/// itself: no destructor runs, nothing is flushed.
#[cfg(feature = "failpoints")]
pub(crate) fn crash_point(point: CrashPoint) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Option<(CrashPoint, u64)>> = OnceLock::new();
    static PASSES: AtomicU64 = AtomicU64::new(0);
    let armed = ARMED.get_or_init(|| {
        let text = std::env::var("DUNLIN_CRASH").ok()?;
        let (name, pass) = text.split_once(':')?;
        let point = CrashPoint::ALL.iter().find(|(_, known)| *known == name)?.0;
        Some((point, pass.parse().ok()?))
    });
    if let Some((at, pass)) = armed
        && *at == point
        && PASSES.fetch_add(1, Ordering::SeqCst) + 1 == *pass
    {
        use rustix::process::{Signal, getpid, kill_process};
        let _ = kill_process(getpid(), Signal::KILL);
        // Not reached where signals work.
        std::process::abort();
    }
}

/// Nothing: this build has no failpoints.
#[cfg(not(feature = "failpoints"))]
#[inline(always)]
pub(crate) fn crash_point(_: CrashPoint) {}
