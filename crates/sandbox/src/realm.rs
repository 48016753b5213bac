//! One interpreter with its limits and the few host functions a script sees. It is made once; each
//! run begins with its memory as it was before any script had run, so no run sees another's traces.
#![expect(
    unsafe_code,
    reason = "putting memory back is sound only because of how realms are entered, which is here"
)]

use std::cell::{Cell, RefCell};
use std::hash::RandomState;
use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::time::Duration;

use dunlin_types::limits::{
    TRANSFORM_HEAP_BYTES_MAX, TRANSFORM_SCRIPTS_KEPT_BYTES_MAX, TRANSFORM_SCRIPTS_KEPT_MAX,
    TRANSFORM_STACK_BYTES_MAX,
};
use rquickjs::context::intrinsic;
use rquickjs::{Context, Ctx, Error, Function, Result, Runtime, Value};
use rustix::time::{ClockId, clock_gettime};

use crate::compiled::Compiled;
use crate::console::{self, Lines};
use crate::locale;
use crate::memory::{Memory, Snapshot};
use crate::random::{self, Seed};

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
/// Asks within the script's own scope, where `const handler = …` is seen too.
const IS_HANDLER: &str = "typeof handler==='function'?handler:null";
const IS_TRANSFORM: &str = "typeof transform==='function'?transform:null";

/// The deadline of a run, in CPU time of this process.
#[derive(Default)]
pub(crate) struct Meter {
    deadline: Cell<Option<Duration>>,
    fired: Cell<bool>,
}

impl Meter {
    /// Starts the count.
    pub(crate) fn allow(&self, budget: Duration) {
        self.fired.set(false);
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

/// An interpreter that serves one run after the other, each as if it were the first.
pub(crate) struct Realm {
    memory: Memory,
    /// Never taken down: the process ends with it.
    context: ManuallyDrop<Context>,
    /// As it was before any script.
    empty: Snapshot,
    questions: Questions,
    /// Scripts that were compiled before, the one used last at the end.
    scripts: Vec<Script>,
    /// Memory is as the last of the scripts needs it.
    is_ready: bool,
    seed: Seed,
    /// What seeds are drawn with; no script can guess it.
    keys: RandomState,
    pub(crate) meter: Rc<Meter>,
    pub(crate) lines: Rc<RefCell<Lines>>,
}

/// Memory right after that code was compiled.
struct Script {
    code: Box<str>,
    compiled: Compiled,
    memory: Snapshot,
}

#[derive(Clone, Copy)]
struct Questions {
    handler: Compiled,
    transform: Compiled,
}

/// A script that is about to run, in a realm no code has seen.
pub(crate) struct Entered<'js> {
    ctx: Ctx<'js>,
    script: Compiled,
    questions: Questions,
}

impl<'js> Entered<'js> {
    /// Runs the script's top level and gives its `handler` or else its `transform`.
    pub(crate) fn declared(self) -> Result<(Option<Function<'js>>, Option<Function<'js>>)> {
        // SAFETY: `Realm::enter` has put memory back to right after the three were compiled, and
        // this value is the only one that names them; each is run once.
        unsafe {
            let _: Value<'js> = self.script.run(&self.ctx)?;
            let handler = self.questions.handler.run(&self.ctx)?.into_function();
            if handler.is_some() {
                return Ok((handler, None));
            }
            let transform = self.questions.transform.run(&self.ctx)?.into_function();
            Ok((None, transform))
        }
    }
}

impl Realm {
    /// A realm no code has seen. A process makes one.
    pub(crate) fn new() -> Result<Self> {
        let memory = Memory::new().map_err(|_| Error::Allocation)?;
        let runtime = Runtime::new_with_alloc(memory)?;
        runtime.set_memory_limit(TRANSFORM_HEAP_BYTES_MAX);
        runtime.set_max_stack_size(TRANSFORM_STACK_BYTES_MAX);
        runtime.set_gc_threshold(GC_FROM_BYTES);
        let meter = Rc::new(Meter::default());
        let watch = Rc::clone(&meter);
        runtime.set_interrupt_handler(Some(Box::new(move || watch.over())));
        let context = Context::custom::<Language>(&runtime)?;
        let lines = Rc::new(RefCell::new(Lines::default()));
        let seed = Seed::default();
        let questions = context.with(|ctx| {
            console::install(&ctx, &lines)?;
            locale::install(&ctx)?;
            random::install(&ctx, &seed)?;
            Ok::<_, Error>(Questions {
                handler: Compiled::new(&ctx, IS_HANDLER)?,
                transform: Compiled::new(&ctx, IS_TRANSFORM)?,
            })
        })?;
        Ok(Self {
            empty: memory.snapshot(),
            memory,
            context: ManuallyDrop::new(context),
            questions,
            scripts: Vec::new(),
            is_ready: false,
            seed,
            keys: RandomState::new(),
            meter,
            lines,
        })
    }

    /// Does something with that script in a realm no code has seen. What does not compile is an
    /// error that the realm still holds.
    pub(crate) fn enter<T>(
        &mut self,
        code: &str,
        work: impl for<'js> FnOnce(Ctx<'js>, Result<Entered<'js>>) -> T,
    ) -> T {
        *self.lines.borrow_mut() = Lines::default();
        self.seed.renew(&self.keys);
        let script = self.rewind(code);
        self.is_ready = false;
        let questions = self.questions;
        self.context.with(|ctx| {
            let entered = script.map(|script| Entered {
                ctx: ctx.clone(),
                script,
                questions,
            });
            work(ctx, entered)
        })
    }

    /// Puts memory back ahead for one more run of the same script: nobody waits for it now.
    pub(crate) fn ready(&mut self) {
        if let Some(script) = self.scripts.last() {
            // SAFETY: as in `rewind`.
            unsafe { self.memory.restore(&script.memory) };
            self.is_ready = true;
        }
    }

    /// Puts memory back to right after the script was compiled.
    fn rewind(&mut self, code: &str) -> Result<Compiled> {
        let known = self.scripts.iter().position(|script| *script.code == *code);
        if let Some(at) = known {
            let is_last = at + 1 == self.scripts.len();
            let script = self.scripts.remove(at);
            if !(is_last && self.is_ready) {
                // SAFETY: values of the interpreter live only within `enter`, which has ended; of
                // the host's functions, whose captured state lies outside, none is ever freed
                // (`host::put`); and the library's own state outside is settled since `new`.
                unsafe { self.memory.restore(&script.memory) };
            }
            let compiled = script.compiled;
            self.scripts.push(script);
            return Ok(compiled);
        }
        // SAFETY: as above.
        unsafe { self.memory.restore(&self.empty) };
        let compiled = self.context.with(|ctx| Compiled::new(&ctx, code))?;
        self.keep(Script {
            code: code.into(),
            compiled,
            memory: self.memory.snapshot(),
        });
        Ok(compiled)
    }

    /// Keeps a compiled script, and lets go of those that were used longest ago for it.
    fn keep(&mut self, script: Script) {
        self.scripts.push(script);
        let size = |scripts: &[Script]| -> usize {
            scripts.iter().map(|script| script.memory.size()).sum()
        };
        while self.scripts.len() > 1
            && (self.scripts.len() > TRANSFORM_SCRIPTS_KEPT_MAX
                || size(&self.scripts) > TRANSFORM_SCRIPTS_KEPT_BYTES_MAX)
        {
            self.scripts.remove(0);
        }
    }
}
