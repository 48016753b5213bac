//! Scripts that try to take the process, the memory or the time of others. Each must end within
//! its limits with a reason, and the next run must be served.

use std::time::{Duration, Instant};

use dunlin_sandbox::{Sandbox, SandboxOptions};
use dunlin_types::Code;
use dunlin_types::Code::{
    TransformCrashed, TransformDeadline, TransformMemory, TransformReturnBad, TransformStack,
    TransformThrew,
};

use crate::common::{options, run};

/// Tighter limits than the real ones, so that forty attacks stay quick.
fn tight() -> SandboxOptions {
    let mut options = options();
    options.cpu_ms_max = 100;
    options.wall_ms_max = 1_000;
    options
}

async fn survive(attacks: &[(&str, &[Code])]) {
    let sandbox = Sandbox::new(tight());
    for (script, codes) in attacks {
        let begun = Instant::now();
        let result = run(&sandbox, script).await.result;
        assert!(begun.elapsed() < Duration::from_millis(2_500), "{script}");
        match result {
            Ok(_) => assert!(codes.is_empty(), "{script} came through"),
            Err(error) => assert!(
                codes.contains(&error.code),
                "{script}: {:?} {error}",
                error.code
            ),
        }
        let next = run(&sandbox, "return { payload: 'alive' };").await;
        assert_eq!(next.result.unwrap().payload, "\"alive\"", "after {script}");
    }
}

#[tokio::test]
async fn endless_work_ends_at_the_deadline() {
    survive(&[
        ("while (true) {}", &[TransformDeadline]),
        (
            "for (;;) { try { for (;;) {} } catch (e) {} finally { continue; } }",
            &[TransformDeadline],
        ),
        (
            "/^(a+)+$/.test('a'.repeat(40) + 'b'); return webhook;",
            &[TransformDeadline],
        ),
        (
            "/(x+x+)+y/.test('x'.repeat(40)); return webhook;",
            &[TransformDeadline],
        ),
        (
            "[...(function* () { for (;;) yield 0; })()];",
            &[TransformDeadline, TransformMemory],
        ),
        (
            "const m = new Map(); for (let i = 0; ; i++) m.set(i, i);",
            &[TransformDeadline, TransformMemory],
        ),
        (
            "[3, 2, 1].sort(() => { for (;;) {} });",
            &[TransformDeadline],
        ),
        (
            "Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1);",
            &[TransformDeadline],
        ),
        (
            "return { get payload() { for (;;) {} } };",
            &[TransformDeadline],
        ),
        (
            "return { payload: { toJSON() { for (;;) {} } } };",
            &[TransformDeadline],
        ),
        (
            "return new Proxy({}, { has() { for (;;) {} } });",
            &[TransformDeadline],
        ),
        (
            "throw { get message() { for (;;) {} } };",
            &[TransformDeadline],
        ),
        (
            "console.log({ toJSON() { for (;;) {} } }); return webhook;",
            &[TransformDeadline],
        ),
        (
            "Date.prototype.valueOf = () => { for (;;) {} }; new Date().toLocaleString();",
            &[TransformDeadline],
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_the_interpreter_cannot_interrupt_is_killed() {
    survive(&[
        (
            "new Array(2 ** 32 - 1).join(''); return webhook;",
            &[TransformDeadline],
        ),
        (
            "'a'.repeat(4e6).indexOf('a'.repeat(2e6) + 'b'); return webhook;",
            &[TransformDeadline],
        ),
    ])
    .await;
}

#[tokio::test]
async fn memory_ends_at_its_limit() {
    let memory: &[Code] = &[TransformMemory];
    survive(&[
        ("'x'.repeat(5e8); return webhook;", memory),
        (
            "let s = 'x'; for (;;) s += s;",
            &[TransformMemory, TransformThrew],
        ),
        (
            "const a = []; for (;;) a.push('x'.repeat(1e6) + a.length);",
            memory,
        ),
        ("new ArrayBuffer(10e9);", &[TransformThrew]),
        (
            "new Array(1e9).fill(0);",
            &[TransformMemory, TransformDeadline, TransformThrew],
        ),
        (
            "let a = []; for (;;) a = a.concat(a, [1]);",
            &[TransformMemory, TransformDeadline],
        ),
        ("2n ** 10000000000n;", &[TransformMemory, TransformThrew]),
        (
            "let b = 3n; for (;;) b *= b;",
            &[TransformMemory, TransformDeadline, TransformThrew],
        ),
        (
            "'a'.repeat(1e6).replaceAll('a', 'b'.repeat(1e3));",
            &[TransformMemory, TransformDeadline, TransformThrew],
        ),
        (
            "new RegExp('('.repeat(1e5) + ')'.repeat(1e5));",
            &[TransformMemory, TransformStack, TransformThrew],
        ),
        (
            "return { payload: new Array(3e6).fill('x'.repeat(100)) };",
            &[TransformMemory, TransformDeadline, TransformReturnBad],
        ),
        (
            "const e = []; for (;;) { try { for (;;) e.push(new Array(1e4).fill(1)); } catch {} }",
            &[TransformMemory, TransformDeadline],
        ),
    ])
    .await;
}

#[tokio::test]
async fn depth_ends_at_the_stack_limit() {
    let stack: &[Code] = &[TransformStack];
    survive(&[
        ("(function f() { f(); })();", stack),
        (
            "const o = { toString() { return '' + o; } }; '' + o;",
            stack,
        ),
        (
            "const p = new Proxy({}, { get(t, k, r) { return r[k]; } }); p.x;",
            stack,
        ),
        (
            "JSON.parse('['.repeat(1e6));",
            &[TransformStack, TransformThrew],
        ),
        (
            "let a = []; for (let i = 0; i < 1e5; i++) a = [a]; return { payload: a };",
            &[TransformStack, TransformReturnBad],
        ),
        (
            "eval('('.repeat(1e5) + ')'.repeat(1e5));",
            &[TransformStack, TransformThrew],
        ),
        ("const a = []; a[0] = a; a.flat(Infinity);", stack),
    ])
    .await;
}

#[tokio::test]
async fn jobs_queued_for_later_never_run() {
    survive(&[
        (
            "(function f() { Promise.resolve().then(f); })(); return webhook;",
            &[],
        ),
        (
            "async function f() { for (;;) await 0; } for (let i = 0; i < 100; i++) f();
            return webhook;",
            &[],
        ),
        (
            "for (;;) Promise.resolve().then(() => {});",
            &[TransformDeadline, TransformMemory],
        ),
        (
            "return import('std');",
            &[TransformReturnBad, TransformThrew],
        ),
    ])
    .await;
}

#[tokio::test]
async fn memory_that_was_abused_before_is_out_of_reach() {
    survive(&[
        ("new Uint8Array(8);", &[TransformThrew]),
        ("Atomics.wait(1);", &[TransformThrew]),
        (
            "function g(a) { arguments.length = 1e9; return Array.from(arguments); } g(1);
            return webhook;",
            &[
                TransformMemory,
                TransformDeadline,
                TransformThrew,
                TransformCrashed,
            ],
        ),
    ])
    .await;
}

#[tokio::test]
async fn a_neighbour_is_served_while_an_attack_runs() {
    let sandbox = Sandbox::new(options());
    let hang = run(&sandbox, "new Array(2 ** 32 - 1).join(''); return webhook;");
    let neighbours = async {
        for _ in 0..20 {
            assert!(run(&sandbox, "return webhook;").await.result.is_ok());
        }
        Instant::now()
    };
    let begun = Instant::now();
    let (hung, served) = tokio::join!(hang, neighbours);
    let error = hung.result.unwrap_err();
    assert_eq!(
        error.to_string(),
        "transformation error: took longer than 500 ms"
    );
    assert!(
        served - begun < begun.elapsed(),
        "the neighbours waited for the attack"
    );
}
