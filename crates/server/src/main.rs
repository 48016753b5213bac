//! The binary `dunlin`: command line, configuration, logging, and the wiring of the other crates.
//!
//! It holds no logic of webhooks or runs, and opens no connection but through `dunlin-egress`. It
//! must never start the production server open, and never print or log a secret but on a terminal.

mod cli;
mod config;
mod connect_dodo;
mod demo;
mod dev;
mod fail;
mod http_client;
mod logging;
mod sample;
mod seal;
mod serving;
mod set_path;
mod simulate;
mod start;
mod term;
mod trigger;
mod watch;
mod wiring;

use std::process::ExitCode;

/// Each request is some hundred short-lived allocations made by one thread and freed by another,
/// which is what this allocator is for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The argument that makes this process a JavaScript worker; the sandbox starts it so.
const JS_WORKER: &str = "js-worker";

fn main() -> ExitCode {
    // Before anything starts a thread: the worker takes limits upon itself under which none starts.
    if std::env::args_os()
        .nth(1)
        .is_some_and(|argument| argument == JS_WORKER)
    {
        return dunlin_sandbox::worker_main();
    }
    cli::run()
}
