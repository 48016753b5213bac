//! Runs of one script that go to a worker together: one that ends it takes no other with it, and
//! nobody gets another's answer.

use dunlin_sandbox::{Sandbox, TransformReport};
use dunlin_types::Code;
use tokio::task::JoinSet;

use crate::common::{options, request};

/// Ends its worker for some payloads, by memory, by time or by the kernel, and doubles the others.
const CODE: &str = "function handler(w) {
    if (w.payload.end === 'memory') { const a = []; for (;;) a.push('x'.repeat(1e6) + a.length); }
    if (w.payload.end === 'time') { for (;;) {} }
    if (w.payload.end === 'kernel') { new Array(2 ** 32 - 1).join(''); }
    if (w.payload.large) { w.payload.large = w.payload.large.repeat(40); }
    w.payload.n *= 2;
    return w;
}";

async fn all(sandbox: &Sandbox, payloads: Vec<String>) -> Vec<TransformReport> {
    let mut runs = JoinSet::new();
    for (number, payload) in payloads.into_iter().enumerate() {
        let sandbox = sandbox.clone();
        // One text for all of them, as of one endpoint.
        let mut request = request("", &payload);
        request.code = code();
        runs.spawn(async move { (number, sandbox.run(request).await) });
    }
    let mut reports = runs.join_all().await;
    reports.sort_by_key(|(number, _)| *number);
    reports.into_iter().map(|(_, report)| report).collect()
}

fn code() -> std::sync::Arc<str> {
    static ONE: std::sync::OnceLock<std::sync::Arc<str>> = std::sync::OnceLock::new();
    ONE.get_or_init(|| CODE.into()).clone()
}

fn one_worker() -> Sandbox {
    let mut options = options();
    options.workers = 1;
    options.cpu_ms_max = 250;
    options.wall_ms_max = 1_000;
    Sandbox::new(options)
}

#[tokio::test]
async fn a_run_that_ends_its_worker_costs_the_ones_behind_it_nothing() {
    let sandbox = one_worker();
    let end = |number: usize| match number {
        5 => "memory",
        11 => "time",
        17 | 18 => "kernel",
        _ => "",
    };
    let payload = |number| format!(r#"{{"n":{number},"end":"{}"}}"#, end(number));
    let reports = all(&sandbox, (0..40).map(payload).collect()).await;
    for (number, report) in reports.into_iter().enumerate() {
        let result = report.result;
        match end(number) {
            "memory" => assert_eq!(result.unwrap_err().code, Code::TransformMemory),
            "" => {
                let twice = format!(r#"{{"n":{},"end":""}}"#, 2 * number);
                assert_eq!(result.unwrap().payload, twice);
            }
            _ => assert_eq!(result.unwrap_err().code, Code::TransformDeadline),
        }
    }
}

#[tokio::test]
async fn payloads_larger_than_a_pipe_holds_neither_stick_nor_mix() {
    let sandbox = one_worker();
    let payload = |number: usize| {
        let large = format!("{}", number % 10).repeat(20_000 + number);
        format!(r#"{{"n":{number},"large":"{large}"}}"#)
    };
    let reports = all(&sandbox, (0..24).map(payload).collect()).await;
    for (number, report) in reports.into_iter().enumerate() {
        let large = format!("{}", number % 10).repeat(40 * (20_000 + number));
        let expected = format!(r#"{{"n":{},"large":"{large}"}}"#, 2 * number);
        assert!(report.result.unwrap().payload == expected, "{number}");
    }
}

#[tokio::test]
async fn callers_that_give_up_leave_the_others_their_own_answers() {
    let sandbox = one_worker();
    let mut runs = JoinSet::new();
    for number in 0..60_u32 {
        let sandbox = sandbox.clone();
        let mut request = request("", &format!(r#"{{"n":{number}}}"#));
        request.code = code();
        runs.spawn(async move {
            let run = sandbox.run(request);
            if number % 3 == 0 {
                tokio::select! {
                    biased;
                    _ = run => {}
                    () = tokio::task::yield_now() => {}
                }
                return;
            }
            let payload = run.await.result.unwrap().payload;
            assert_eq!(payload, format!(r#"{{"n":{}}}"#, 2 * number));
        });
    }
    while let Some(done) = runs.join_next().await {
        done.unwrap();
    }
}
