//! Compiles a script and finds the function it declares.

use rquickjs::context::EvalOptions;
use rquickjs::{Ctx, Error, Function, Value};

use crate::failure::FILE_NAME;

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
pub(crate) fn load<'js>(ctx: &Ctx<'js>, code: &str) -> Result<Entry<'js>, NoEntry> {
    let mut options = EvalOptions::default();
    options.strict = false;
    options.filename = Some(FILE_NAME.to_owned());
    ctx.eval_with_options::<Value<'js>, _>(code, options)
        .map_err(NoEntry::Threw)?;
    if let Some(function) = named(ctx, "typeof handler==='function'?handler:null")? {
        return Ok(Entry::Handler(function));
    }
    match named(ctx, "typeof transform==='function'?transform:null")? {
        Some(function) => Ok(Entry::Transform(function)),
        None => Err(NoEntry::Missing),
    }
}

/// Asks within the script's own scope, where `const handler = …` is seen too.
fn named<'js>(ctx: &Ctx<'js>, question: &str) -> Result<Option<Function<'js>>, NoEntry> {
    let found = ctx
        .eval::<Value<'js>, _>(question)
        .map_err(NoEntry::Threw)?;
    Ok(found.into_function())
}
