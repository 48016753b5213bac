//! The worker alone, for the sandbox's own tests and measurements; the server starts itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    dunlin_sandbox::worker_main()
}
