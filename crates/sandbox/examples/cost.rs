//! Measures what one transformation costs through the pool. Needs the worker beside it:
//! `cargo build --release -p dunlin-sandbox && cargo run --release -p dunlin-sandbox --example cost`

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use dunlin_sandbox::{Sandbox, SandboxOptions, TransformRequest};

const RUNS: usize = 5_000;

#[expect(clippy::print_stdout, reason = "figures for a person at a terminal")]
#[tokio::main]
async fn main() -> std::io::Result<()> {
    let mut program: PathBuf = std::env::current_exe()?;
    program.pop();
    program.pop();
    program.push("dunlin-js-worker");
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let code = std::fs::read_to_string(root.join("tests/fixtures/handlers/basic_event.js"))?;
    let sample = root.join("../../integrations/dodo/samples/payment.succeeded.json");
    let request = TransformRequest {
        code: code.into(),
        method: "POST".to_owned(),
        url: "https://example.com/".to_owned(),
        event_type: "payment.succeeded".to_owned(),
        payload: std::fs::read(sample)?.into(),
        variables: BTreeMap::new(),
        channels: Vec::new(),
        params_headers: BTreeMap::new(),
        params: None,
    };
    for (workers, at_once) in [(1, 1), (2, 2), (2, 32)] {
        let mut options = SandboxOptions::new(program.clone(), Vec::new());
        options.workers = workers;
        let sandbox = Sandbox::new(options);
        let begun = Instant::now();
        sandbox.run(request.clone()).await;
        println!(
            "{workers} workers, {at_once} at once: first run {:?}",
            begun.elapsed()
        );
        let begun = Instant::now();
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..at_once {
            let (sandbox, request) = (sandbox.clone(), request.clone());
            tasks.spawn(async move {
                let mut took = Vec::with_capacity(RUNS);
                for _ in 0..RUNS {
                    took.push(sandbox.run(request.clone()).await.duration_us);
                }
                took
            });
        }
        let mut took: Vec<u64> = tasks.join_all().await.concat();
        let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
        took.sort_unstable();
        let at = |share: usize| took[took.len() * share / 100];
        println!("  {rate:.0} runs/s, p50 {} us, p99 {} us", at(50), at(99));
    }
    Ok(())
}
