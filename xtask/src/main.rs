//! The project's chores in Rust, so that they run wherever the project builds: `tidy` checks the
//! tree against its own rules, `docs` writes the generated pages, `test` runs every test.
//!
//! It must never be linked into the product, and no chore may need more than cargo and, for the
//! SDK tests, npm and Python.

mod bench;
mod docs;
mod run_tests;
mod tidy;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "The project's chores")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Check the tree against the project's own rules.
    Tidy,
    /// Write the generated pages under docs/.
    Docs,
    /// Build the binary, install the SDKs of the black-box tests, run every test.
    Test,
    /// Measure a release build against the machine's floor and print ratios.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let root = project_root();
    let result = match Cli::parse().chore {
        Chore::Tidy => tidy::run(&root),
        Chore::Docs => docs::write(&root),
        Chore::Test => run_tests::run(&root),
        Chore::Bench(options) => bench::run(&root, &options),
    };
    if let Err(error) = result {
        say(&format!("error: {error:#}"));
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// The folder that holds the workspace's `Cargo.toml`.
fn project_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Prints one line; the only place of this crate that writes to standard output.
#[expect(clippy::print_stdout, reason = "a chore's report is its output")]
fn say(line: &str) {
    println!("{line}");
}
