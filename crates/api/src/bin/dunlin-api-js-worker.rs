//! The JavaScript worker alone, for the tests of this crate; the server starts itself.

use std::process::ExitCode;

fn main() -> ExitCode {
    dunlin_sandbox::worker_main()
}
