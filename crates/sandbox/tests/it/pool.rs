//! The pool around the workers: replacement, bounds, and programs that are no workers.

use std::path::PathBuf;

use dunlin_sandbox::Sandbox;
use dunlin_types::Code;

use crate::common::{options, request, run};

#[tokio::test]
async fn a_program_that_ends_at_once_is_a_crash_and_not_a_hang() {
    let mut options = options();
    options.program = PathBuf::from("/bin/true");
    let sandbox = Sandbox::new(options);
    let error = run(&sandbox, "return webhook;").await.result.unwrap_err();
    assert_eq!(error.code, Code::TransformCrashed);
}

#[tokio::test]
async fn a_program_that_answers_nonsense_is_not_believed() {
    let mut options = options();
    options.program = PathBuf::from("/bin/cat");
    options.wall_ms_max = 300;
    let sandbox = Sandbox::new(options);
    let error = run(&sandbox, "return webhook;").await.result.unwrap_err();
    assert_eq!(error.code, Code::TransformCrashed);
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named() {
    let mut options = options();
    options.program = PathBuf::from("/nowhere/dunlin");
    let sandbox = Sandbox::new(options);
    let error = run(&sandbox, "return webhook;").await.result.unwrap_err();
    assert!(
        error.message.starts_with("no worker could be started"),
        "{error}"
    );
}

#[tokio::test]
async fn runs_beyond_the_queue_are_refused() {
    let mut options = options();
    options.workers = 1;
    options.waiting_max = 1;
    let sandbox = Sandbox::new(options);
    let runs = (
        run(&sandbox, "return webhook;"),
        run(&sandbox, "return webhook;"),
    );
    let (first, second, third) = tokio::join!(runs.0, runs.1, run(&sandbox, "return webhook;"));
    assert!(first.result.is_ok() && second.result.is_ok());
    assert_eq!(third.result.unwrap_err().code, Code::Overloaded);
}

#[tokio::test]
async fn a_run_its_caller_gave_up_on_leaves_no_answer_behind() {
    let mut options = options();
    options.workers = 1;
    let sandbox = Sandbox::new(options);
    let slow = "for (let i = 0; i < 3e5; i++) ; return { payload: 'slow' };";
    tokio::select! {
        biased;
        _ = run(&sandbox, slow) => {}
        () = tokio::task::yield_now() => {}
    }
    let report = run(&sandbox, "return { payload: 'own' };").await;
    assert_eq!(report.result.unwrap().payload, "\"own\"");
}

#[tokio::test]
async fn many_runs_at_once_each_get_their_own_answer() {
    let sandbox = Sandbox::new(options());
    let mut runs = tokio::task::JoinSet::new();
    for number in 0..200_u32 {
        let sandbox = sandbox.clone();
        runs.spawn(async move {
            let code = "function handler(w) { w.payload.n *= 2; return w; }";
            let report = sandbox
                .run(request(code, &format!(r#"{{"n":{number}}}"#)))
                .await;
            (number, report.result.unwrap().payload)
        });
    }
    while let Some(done) = runs.join_next().await {
        let (number, payload) = done.unwrap();
        assert_eq!(payload, format!(r#"{{"n":{}}}"#, number * 2));
    }
}
