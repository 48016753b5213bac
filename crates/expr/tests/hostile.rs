//! Texts and events that mean harm: nothing panics, and no evaluation outruns its budget.

use dunlin_expr::{Program, Scope, Value, near_miss};
use dunlin_types::{Code, Timestamp};
use proptest::prelude::*;
use serde_json::json;

fn run(text: &str, event: &Value) -> Option<Code> {
    let scope = Scope {
        event,
        async_event: Some(event),
        now: Timestamp::from_ms(1_795_000_000_000),
    };
    let program = match Program::parse(text) {
        Ok(program) => program,
        Err(error) => return Some(error.code),
    };
    let _ = program.terms();
    let _ = program.index_terms(event);
    let _ = program.project(event);
    let _ = program.is_never(event);
    let _ = program.explain(&scope);
    let _ = program.matches(&scope);
    program.evaluate(&scope).err().map(|error| error.code)
}

#[test]
fn nested_comprehensions_over_long_lists_end_at_the_budget() {
    let event = json!({"data": {"l": vec![1; 2000], "s": "a".repeat(1 << 20)}});
    for text in [
        "event.data.l.all(a, event.data.l.all(b, a == b))",
        "event.data.l.exists(a, event.data.l.exists(b, a != b))",
        "size(event.data.l.map(a, event.data.l.map(b, event.data.l))) > 0",
        "event.data.l.all(a, event.data.l == event.data.l)",
        "event.data.l.all(a, event.data.s.contains('b') == false)",
        "event.data.l.all(a, event.data.s.matches('a*b') == false)",
        "event.data.l.all(a, 'a'.matches('a' + a) == false)",
        "event.data.l.all(a, lowercase(event.data.s) == event.data.s)",
        "event.data.l.map(a, event.data.l)",
        "event.data.l.map(a, event.data.s + event.data.s)",
        "event.data.l.exists(a, a / 0 == 1 || event.data.l.exists(b, b / 0 == 1))",
    ] {
        assert_eq!(run(text, &event), Some(Code::ExpressionTooCostly), "{text}");
    }
}

#[test]
fn values_that_double_with_every_operation_end_at_the_budget() {
    let event = json!({"data": {"s": "a".repeat(1000)}});
    let text = format!("[event.data.s]{}", ".map(x, x + x)".repeat(30));
    assert_eq!(run(&text, &event), Some(Code::ExpressionTooCostly));
    let lists = format!("[[event.data.s]]{}", ".map(x, [x, x])".repeat(30));
    assert_eq!(run(&lists, &event), Some(Code::ExpressionTooCostly));
    let equal = format!("{lists} == {lists}");
    let refused = run(&equal, &event);
    assert!(matches!(
        refused,
        Some(Code::ExpressionTooCostly | Code::ExpressionBad)
    ));
}

#[test]
fn deep_and_long_texts_are_refused_or_evaluated_without_overflow() {
    let event = json!({"data": {"a": 1}});
    let repeated = [
        "(",
        "[",
        "{",
        "{1:",
        "!",
        "-",
        "!-",
        "a?",
        "a?b:",
        "size(",
        "event.",
        "1+",
        "1==",
        "1 in ",
        "event[",
        "a.f(",
        "[1].all(x,",
        "a {b:",
        "'",
        "\\",
        "event.data.a||",
        "\"\"\"",
        "b'",
        "0x",
    ];
    for part in repeated {
        let open = part.repeat(4000 / part.len());
        run(&open, &event);
        run(&format!("{open}1"), &event);
    }
    let nested = "(".repeat(1500) + "1" + &")".repeat(1500);
    assert_eq!(run(&nested, &event), None);
    let chain = vec!["event.data.a == 1"; 190].join(" && ");
    assert_eq!(run(&chain, &event), None);
    let path = format!("event{}", ".b".repeat(2000));
    assert_eq!(run(&path, &event), Some(Code::ExpressionBad));
}

fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "event",
        "async",
        ".data",
        ".a",
        "['a']",
        "[0]",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "?",
        " && ",
        " || ",
        "!",
        "-",
        " + ",
        " * ",
        " / ",
        " % ",
        " == ",
        " != ",
        " < ",
        " in ",
        "1",
        "0",
        "2.5",
        "7u",
        "'s'",
        "\"t\"",
        "b'u'",
        "null",
        "true",
        "x",
        ".map(x, ",
        ".all(x, ",
        ".filter(x, ",
        ".exists_one(x, ",
        "has(",
        "size(",
        "int(",
        "string(",
        "date(",
        "duration(",
        "json_parse(",
        "b64decode(",
        ".matches(",
        "now()",
        "now_plus(",
        ".getHours()",
        "===",
        "é",
    ]);
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Expressions that parse, so that the evaluator is what is tried.
fn well_formed() -> impl Strategy<Value = String> {
    let leaf = prop::sample::select(vec![
        "1",
        "0",
        "-3",
        "2.5",
        "7u",
        "''",
        "'1h'",
        "'[1,{\"a\":2}]'",
        "b'u'",
        "null",
        "true",
        "event.data",
        "event.data.a",
        "event.data.s",
        "event.gone.b",
        "async.data.l",
        "now()",
        "duration('1h')",
        "9223372036854775807",
        "1e300",
        "[1, 'a', null]",
        "{'a': 1, 2: 3}",
    ]);
    leaf.prop_map(str::to_owned)
        .prop_recursive(4, 24, 3, |inner| {
            let binary = prop::sample::select(vec![
                "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "&&", "||", "in",
            ]);
            let call = prop::sample::select(vec![
                "size",
                "type",
                "int",
                "uint",
                "double",
                "string",
                "bool",
                "bytes",
                "lowercase",
                "date",
                "b64decode",
                "json_parse",
                "timestamp",
                "duration",
                "now_plus",
                "getHours",
                "!",
                "-",
            ]);
            let fold = prop::sample::select(vec!["all", "exists", "exists_one", "map", "filter"]);
            prop_oneof![
                (inner.clone(), binary, inner.clone())
                    .prop_map(|(a, o, b)| format!("({a}) {o} ({b})")),
                (call, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
                (inner.clone(), fold, inner.clone())
                    .prop_map(|(a, f, b)| format!("({a}).{f}(x, {b})")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a})[{b}]")),
                (inner.clone(), inner.clone(), inner)
                    .prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
            ]
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        run(&text, &json!({"data": {"a": 1}}));
    }

    #[test]
    fn no_sequence_of_tokens_panics(text in pieces()) {
        run(&text, &json!({"data": {"a": [1, null], "s": "x"}}));
    }

    #[test]
    fn well_formed_texts_only_fail_as_documented(text in well_formed()) {
        let event = json!({"data": {"a": 1, "s": "text", "l": [1, "a", {"b": null}]}});
        let code = run(&text, &event);
        let documented = matches!(
            code,
            None | Some(Code::ExpressionBad | Code::ExpressionFailed | Code::ExpressionTooCostly)
        );
        prop_assert!(documented, "{} {:?}", text, code);
    }

    #[test]
    fn near_misses_go_both_ways(wanted in "[a-c./_-]{0,9}", got in "[a-cA./_-]{0,9}") {
        prop_assert_eq!(near_miss(&wanted, &got), near_miss(&got, &wanted));
    }
}
