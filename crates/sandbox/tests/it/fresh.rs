//! No run sees another's traces: whatever ran before in a worker, a script finds the world as a
//! worker shows it that has never run anything.

use dunlin_sandbox::{Sandbox, TransformReport};
use dunlin_types::limits::TRANSFORM_SCRIPTS_KEPT_MAX;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::common::{options, request};

/// Writes down all of the world that a script can reach by name, and uses what runs may break.
const PROBE: &str = "
let count = 0;
const seen = new Set();
const lines = [];
function walk(path, value, depth) {
    if (value === null || (typeof value !== 'object' && typeof value !== 'function')) {
        lines.push(path + '=' + typeof value + ':' + String(value));
        return;
    }
    if (seen.has(value)) { lines.push(path + '=seen'); return; }
    seen.add(value);
    lines.push(path + (Object.isExtensible(value) ? '' : ' fixed'));
    if (depth === 0) return;
    for (const key of Reflect.ownKeys(value)) {
        const name = path + '.' + String(key);
        const own = Object.getOwnPropertyDescriptor(value, key);
        lines.push(name + ' ' + own.writable + own.enumerable + own.configurable);
        for (const part of ['value', 'get', 'set']) {
            if (own[part] !== undefined) walk(name + ':' + part, own[part], depth - 1);
        }
    }
    walk(path + '.__proto__', Object.getPrototypeOf(value), depth - 1);
}
function handler(webhook) {
    count += 1;
    walk('globalThis', globalThis, 6);
    console.log('one', { two: 2 }, [3]);
    const used = [
        count, new Date(0).toString(), new Date(0).toLocaleString('de-DE'), (1234.5).toLocaleString(),
        'a-b'.replace(/\\b\\w/g, (c) => c.toUpperCase()), JSON.stringify({ a: [1, { b: null }] }),
        [...new Map([[1, 2]])], `${Math.max(1, 2)}`, typeof Math.random(), [3, 1, 2].sort(),
        Object.keys({ x: 1, ...webhook.payload }),
    ];
    return { payload: { lines, used, said: webhook.env, channels: webhook.channels } };
}
";

/// Bodies of handlers that leave something behind wherever they can.
const MESSES: [&str; 28] = [
    "globalThis.left = webhook; return webhook;",
    "leaked = webhook.payload; return webhook;",
    "Object.prototype.polluted = 1; return webhook;",
    "Object.prototype.toJSON = () => 'gotcha'; return webhook;",
    "Array.prototype.push = function () { return 0; }; return webhook;",
    "String.prototype.replace = null; return webhook;",
    "JSON.stringify = () => '{}'; JSON.parse = null; return webhook;",
    "Date.prototype.toString = () => 'never'; delete Date.prototype.toLocaleString; return webhook;",
    "delete globalThis.console; delete globalThis.Date; delete globalThis.Math; return webhook;",
    "console.log = null; delete console.error; console.warn = () => {}; return webhook;",
    "Math.random = () => 0.5; Math.max = Math.min; return webhook;",
    "Object.freeze(globalThis); Object.freeze(Object.prototype); return webhook;",
    "for (const key of Reflect.ownKeys(globalThis)) delete globalThis[key]; return webhook;",
    "Object.setPrototypeOf(Array.prototype, null); return webhook;",
    "Promise.resolve().then(() => { globalThis.late = 1; }); return webhook;",
    "globalThis.keep = new WeakRef(webhook); return webhook;",
    "globalThis.registry = new FinalizationRegistry(() => {}); registry.register({}, 1);
        return webhook;",
    "(async () => { for (;;) await 0; })(); return webhook;",
    "globalThis.g = (function* () { yield webhook; })(); g.next(); return webhook;",
    "const a = []; for (let i = 0; i < 50000; i++) a.push({ i, s: 'x' + i }); globalThis.a = a;
        return webhook;",
    "globalThis.s = 'x'.repeat(5e6); return webhook;",
    "for (let i = 0; i < 3000; i++) globalThis['name' + i] = Symbol.for('s' + i); return webhook;",
    "eval('var planted = 1'); new Function('x', 'globalThis.made = x')(1); return webhook;",
    "RegExp.prototype.exec = () => null; return webhook;",
    "Map.prototype.set = null; Symbol.prototype.x = 1; return webhook;",
    "for (let i = 0; i < 2000; i++) console.log('y'.repeat(100)); return webhook;",
    "throw new Error('left in the middle');",
    "return 7;",
];

async fn probed(sandbox: &Sandbox) -> String {
    told(sandbox.run(request(PROBE, r#"{"a":1}"#)).await)
}

fn told(report: TransformReport) -> String {
    let result = report
        .result
        .map(|done| String::from_utf8(done.payload.to_vec()));
    format!("{result:?} {:?}", report.logs)
}

async fn mess(sandbox: &Sandbox, which: usize, variant: usize) -> String {
    let body = MESSES[which];
    let code = format!("function handler(webhook) {{ /* {variant} */ {body}\n}}");
    told(sandbox.run(request(&code, r#"{"a":1}"#)).await)
}

fn one_worker() -> Sandbox {
    let mut options = options();
    options.workers = 1;
    Sandbox::new(options)
}

#[tokio::test]
async fn whatever_a_script_does_to_its_world_the_next_finds_it_new() {
    let expected = probed(&one_worker()).await;
    assert!(expected.starts_with("Ok("), "{expected}");
    let sandbox = one_worker();
    for (which, script) in MESSES.iter().enumerate() {
        let first = mess(&sandbox, which, 0).await;
        assert_eq!(probed(&sandbox).await, expected, "after {script}");
        assert_eq!(mess(&sandbox, which, 0).await, first, "{script}");
    }
}

#[tokio::test]
async fn more_scripts_than_a_worker_keeps_are_each_run_as_the_first() {
    let sandbox = one_worker();
    for round in 0..2 {
        for script in 0..TRANSFORM_SCRIPTS_KEPT_MAX + 20 {
            let code = format!(
                "let runs = 0; const mine = {script};
                function handler(w) {{ runs++; w.payload = [mine, runs, typeof other]; return w; }}"
            );
            let done = sandbox.run(request(&code, "{}")).await.result.unwrap();
            let expected = format!("[{script},1,\"undefined\"]");
            assert_eq!(done.payload, expected, "round {round}");
        }
    }
}

#[tokio::test]
async fn random_numbers_differ_from_run_to_run() {
    let sandbox = one_worker();
    let code = "function handler(w) { w.payload = [Math.random(), Math.random()]; return w; }";
    let mut drawn = std::collections::BTreeSet::new();
    for _ in 0..50 {
        let done = sandbox.run(request(code, "{}")).await.result.unwrap();
        let pair: [f64; 2] = serde_json::from_slice(&done.payload).unwrap();
        assert!(pair.iter().all(|one| (0.0..1.0).contains(one)), "{pair:?}");
        drawn.extend(pair.map(f64::to_bits));
    }
    assert_eq!(drawn.len(), 100);
}

#[test]
fn runs_in_any_order_give_what_they_give_alone() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let alone: Vec<String> = runtime.block_on(async {
        let mut alone = Vec::new();
        for which in 0..MESSES.len() {
            alone.push(mess(&one_worker(), which, 0).await);
        }
        alone
    });
    let expected = runtime.block_on(async { probed(&one_worker()).await });
    let sandbox = runtime.block_on(async { one_worker() });
    let runs = proptest::collection::vec((0..MESSES.len() + 1, 0..3_usize), 1..40);
    let mut config = ProptestConfig::with_cases(40);
    config.failure_persistence = None;
    TestRunner::new(config)
        .run(&runs, |runs| {
            runtime.block_on(async {
                for (which, variant) in runs {
                    match alone.get(which) {
                        Some(alone) => {
                            let got = mess(&sandbox, which, variant).await;
                            prop_assert_eq!(&got, alone, "{}", MESSES[which]);
                        }
                        None => prop_assert_eq!(&probed(&sandbox).await, &expected),
                    }
                }
                Ok(())
            })
        })
        .unwrap();
}
