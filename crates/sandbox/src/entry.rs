//! Runs a script's top level and finds the function it declares.

use rquickjs::{Error, Function, Result};

use crate::realm::Entered;

/// The function a script declares, by the shape of its call.
pub(crate) enum Entry<'js> {
    /// `handler(webhook)` returns the webhook.
    Handler(Function<'js>),
    /// `transform(event, headers, query, raw)` returns the event.
    Transform(Function<'js>),
}

/// Why there is no entry.
pub(crate) enum NoEntry {
    /// The script does not compile, or threw before it declared anything.
    Threw(Error),
    /// It compiles but declares neither function.
    Missing,
}

/// Runs the script's top level and looks for its function; `handler` goes first.
pub(crate) fn load(entered: Result<Entered<'_>>) -> std::result::Result<Entry<'_>, NoEntry> {
    let declared = entered.and_then(Entered::declared);
    match declared.map_err(NoEntry::Threw)? {
        (Some(handler), _) => Ok(Entry::Handler(handler)),
        (None, Some(transform)) => Ok(Entry::Transform(transform)),
        (None, None) => Err(NoEntry::Missing),
    }
}
