//! `Math.random` for realms whose memory is put back: the interpreter's own would give each run
//! the same numbers. Its state lies outside of that memory, so it is made anew for each run: a
//! sequence that went on would tell one script of another.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

use rquickjs::{Ctx, Function, Object, Result};

use crate::host;

/// Where the sequence of a run has got to.
#[derive(Clone, Default)]
pub(crate) struct Seed(Rc<Cell<u64>>);

impl Seed {
    /// Begins another sequence.
    pub(crate) fn renew(&self, keys: &RandomState) {
        self.0.set(keys.hash_one(self.0.get()));
    }
}

/// Replaces the interpreter's own function.
pub(crate) fn install(ctx: &Ctx<'_>, seed: &Seed) -> Result<()> {
    let math: Object<'_> = ctx.globals().get("Math")?;
    let state = Rc::clone(&seed.0);
    host::put(
        &math,
        "random",
        Function::new(ctx.clone(), move || next(&state))?,
    )
}

/// The next number of a SplitMix64 sequence, from 0 up to but not including 1.
fn next(state: &Cell<u64>) -> f64 {
    let seed = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    state.set(seed);
    let mut mixed = seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}
