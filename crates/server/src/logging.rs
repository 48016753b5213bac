//! Logs go to standard error: lines for people on a terminal, JSON for machines otherwise.

use std::io::{IsTerminal, stderr};

use dunlin_types::Code;
use tracing_subscriber::EnvFilter;

use crate::fail::Failure;
use crate::term;

/// Starts logging by that filter, such as `info` or `warn,dunlin_node=debug`.
///
/// # Errors
/// When the filter is none.
pub(crate) fn start(filter: &str) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(filter).map_err(|error| {
        Failure::new(
            Code::ConfigBad,
            format!("the log filter `{filter}` is not valid: {error}"),
        )
        .remedy("a level is enough: error, warn, info, debug or trace")
    })?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr);
    let started = if stderr().is_terminal() {
        logs.with_ansi(!term::no_color())
            .with_target(false)
            .compact()
            .try_init()
    } else {
        logs.json().flatten_event(true).try_init()
    };
    started.map_err(|error| Failure::new(Code::ConfigBad, error.to_string()))
}
