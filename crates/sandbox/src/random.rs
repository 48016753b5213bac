//! `Math.random` for realms whose memory is put back: the interpreter's own would give each run
//! the same numbers.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

use rquickjs::{Ctx, Function, Object, Result};

use crate::host;

/// Replaces the interpreter's own function.
pub(crate) fn install(ctx: &Ctx<'_>) -> Result<()> {
    let math: Object<'_> = ctx.globals().get("Math")?;
    let state = Cell::new(RandomState::new().hash_one(0_u8));
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
