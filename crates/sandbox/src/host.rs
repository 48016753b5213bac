//! Functions of ours within a realm.

use rquickjs::{Function, Object, Result};

/// Puts a function into an object, and keeps it alive for good: a script may remove it, and with
/// its last reference would go what it captured, which no restored memory brings back.
pub(crate) fn put<'js>(target: &Object<'js>, name: &str, function: Function<'js>) -> Result<()> {
    let function = function.with_name(name)?;
    std::mem::forget(function.clone());
    target.set(name, function)
}
