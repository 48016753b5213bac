//! One fresh interpreter with its limits and the few host functions a script sees.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use dunlin_types::limits::{TRANSFORM_HEAP_BYTES_MAX, TRANSFORM_STACK_BYTES_MAX};
use rquickjs::context::intrinsic;
use rquickjs::{Context, Result, Runtime};
use rustix::time::{ClockId, clock_gettime};

use crate::console::{self, Lines};
use crate::locale;

/// What scripts get of the language. Typed arrays stay out: they were the way into the
/// interpreter's memory more than once, and with them go shared memory and `Atomics`.
type Language = (
    intrinsic::Date,
    intrinsic::Eval,
    intrinsic::RegExpCompiler,
    intrinsic::RegExp,
    intrinsic::Json,
    intrinsic::Proxy,
    intrinsic::MapSet,
    intrinsic::Promise,
    intrinsic::WeakRef,
);

/// Garbage is looked for above this; most runs end before.
const GC_FROM_BYTES: usize = 4 * 1024 * 1024;

/// The deadline of a run, in CPU time of this process.
#[derive(Default)]
pub(crate) struct Meter {
    deadline: Cell<Option<Duration>>,
    fired: Cell<bool>,
}

impl Meter {
    /// Starts the count.
    pub(crate) fn allow(&self, budget: Duration) {
        self.deadline.set(Some(cpu_time() + budget));
    }

    /// The deadline has passed and the interpreter was told so.
    pub(crate) fn fired(&self) -> bool {
        self.fired.get()
    }

    /// The deadline has passed.
    pub(crate) fn over(&self) -> bool {
        let over = self
            .deadline
            .get()
            .is_some_and(|deadline| cpu_time() > deadline);
        self.fired.set(self.fired.get() || over);
        over
    }
}

/// CPU time this process has used.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_nanos(time.tv_nsec.unsigned_abs())
}

/// An interpreter for one run.
pub(crate) struct Realm {
    pub(crate) context: Context,
    pub(crate) meter: Rc<Meter>,
    pub(crate) lines: Rc<RefCell<Lines>>,
}

impl Realm {
    /// A realm no code has seen.
    pub(crate) fn new() -> Result<Self> {
        let runtime = Runtime::new()?;
        runtime.set_memory_limit(TRANSFORM_HEAP_BYTES_MAX);
        runtime.set_max_stack_size(TRANSFORM_STACK_BYTES_MAX);
        runtime.set_gc_threshold(GC_FROM_BYTES);
        let meter = Rc::new(Meter::default());
        let watch = Rc::clone(&meter);
        runtime.set_interrupt_handler(Some(Box::new(move || watch.over())));
        let context = Context::custom::<Language>(&runtime)?;
        let lines = Rc::new(RefCell::new(Lines::default()));
        context.with(|ctx| {
            console::install(&ctx, &lines)?;
            locale::install(&ctx)
        })?;
        Ok(Self {
            context,
            meter,
            lines,
        })
    }
}
