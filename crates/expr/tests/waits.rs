//! What a wait needs of its expression: the part of the event it reads, the terms by which it is
//! indexed, and whether it can come true at all.

use dunlin_expr::{Path, Program, Scope, Value, equality_key};
use dunlin_types::Timestamp;
use proptest::prelude::*;
use serde_json::json;

fn program(text: &str) -> Program {
    Program::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn event() -> Value {
    json!({
        "name": "order/paid",
        "data": {
            "id": "a", "n": 2, "nothing": null, "l": [{"x": 1}, {"x": 2}],
            "o": {"k": {"deep": true}, "unread": 1}, "unread": "much text"
        },
        "ts": 5
    })
}

#[test]
fn the_projection_holds_what_is_read_and_nothing_else() {
    for (text, wanted) in [
        (
            "event.data.id == async.data.id",
            json!({"data": {"id": "a"}}),
        ),
        ("event.data.gone == 1 && async.x == 1", json!({})),
        ("event.data.id.deeper == 1", json!({})),
        (
            "has(event.data.nothing)",
            json!({"data": {"nothing": null}}),
        ),
        (
            "event.data['o'].k.deep",
            json!({"data": {"o": {"k": {"deep": true}}}}),
        ),
        (
            "event.data.o.k.deep && event.data.o.k == event.ts",
            json!({"data": {"o": {"k": {"deep": true}}}, "ts": 5}),
        ),
        (
            "event.data.l[1].x == 2",
            json!({"data": {"l": [{"x": 1}, {"x": 2}]}}),
        ),
        (
            "event.data.o[event.data.id] == 1",
            json!({"data": {"id": "a", "o": {"k": {"deep": true}, "unread": 1}}}),
        ),
        (
            "event.data.l.exists(event, event.ts == 5)",
            json!({"data": {"l": [{"x": 1}, {"x": 2}]}}),
        ),
        ("size(event) == 3 && event.ts == 5", event()),
        ("event[async.x] == 1", event()),
        ("async == event", event()),
        ("1 == 1", json!({})),
    ] {
        assert_eq!(program(text).project(&event()), wanted, "{text}");
    }
}

#[test]
fn index_terms_are_bound_to_the_event_and_sorted() {
    let path = |text: &str| Path(text.split('.').map(str::to_owned).collect());
    let terms = program(
        "async.data.z == event.data.id && event.data.gone == async.data.b && async.a == 1.0 \
         && 'x' == async.data.b && async.data.z == 'a' && async.a == async.b \
         && event.data.n == 2 && async.data.o == event.data.o.k && async.data.n == event.data.n \
         && async.data.l[0] == 1 && (async.c == 1 || async.d == 1) && async.e != 1",
    );
    let wanted = vec![
        (path("async.a"), json!(1.0)),
        (path("async.data.b"), json!(null)),
        (path("async.data.b"), json!("x")),
        (path("async.data.n"), json!(2)),
        (path("async.data.o"), json!({"deep": true})),
        (path("async.data.z"), json!("a")),
    ];
    assert_eq!(terms.index_terms(&event()), wanted);
    assert_eq!(program("async.data.n > 1").index_terms(&event()), []);
}

#[test]
fn a_wait_that_cannot_come_true_is_known() {
    for (text, never) in [
        ("event.data.id == 'b' && async.data.id == 'b'", true),
        ("async.data.id == 'b' && event.data.gone == 1", true),
        ("event.data.n > 1 && async.data.id == 'b'", false),
        ("event.data.n > 2 || async.data.id == 'b'", false),
        ("event.data.n > 2 || event.data.gone", true),
        ("(event.data.n > 2 || false) && async.ok", true),
        ("event.data.n == 2 ? async.ok : false", false),
        ("event.data.n == 3 ? async.ok : false", true),
        ("async.ok ? false : event.data.n == 3", true),
        ("int('x') == 1 && async.ok", true),
        ("async.ok", false),
        ("!async.ok", false),
        ("false", true),
        ("true", false),
        // It is false now, and may be true by the time the event comes.
        ("now() > date('2999-01-01') && async.ok", false),
        ("now_minus('1h') > date('2999-01-01')", false),
        ("date('2999-01-01') < date('2000-01-01') && async.ok", true),
    ] {
        assert_eq!(program(text).is_never(&event()), never, "{text}");
    }
}

#[test]
fn keys_of_equal_values_are_equal_and_always_the_same() {
    let key = |value: Value| equality_key(Some(&value));
    assert_eq!(equality_key(None), key(json!(null)));
    assert_eq!(key(json!(1)), key(json!(1.0)));
    assert_eq!(key(json!(0)), key(json!(-0.0)));
    assert_eq!(key(json!({"a": 1})), key(json!({"a": 1.0})));
    let distinct = [
        json!(null),
        json!(false),
        json!(true),
        json!(0),
        json!(1),
        json!(1.5),
        json!(""),
        json!("1"),
        json!("true"),
        json!([]),
        json!({}),
    ];
    for (at, one) in distinct.iter().enumerate() {
        for other in &distinct[..at] {
            assert_ne!(equality_key(Some(one)), equality_key(Some(other)));
        }
    }
    assert_eq!(key(json!("order-1")), 2_715_818_285_520_119_644);
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        (-2_i64..3).prop_map(|n| json!(n as f64)),
        prop::sample::select(vec![
            json!(0.5),
            json!(u64::MAX),
            json!(i64::MAX),
            json!(1u64 << 63)
        ]),
        prop::sample::select(vec!["", "a", "b", "1"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            object(inner),
        ]
    })
}

fn object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c"]).prop_map(str::to_owned);
    prop::collection::vec((name, value), 0..4)
        .prop_map(|fields| Value::Object(fields.into_iter().collect()))
}

/// Expressions over the fields that the values have.
fn expressions() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    let route = prop_oneof![
        4 => (prop::sample::select(vec!["event", "async"]), prop::collection::vec(name(), 1..4))
            .prop_map(|(root, names)| format!("{root}.{}", names.join("."))),
        1 => (name(), 0..2).prop_map(|(name, at)| format!("event.{name}[{at}].b")),
        1 => (name(), name()).prop_map(|(a, b)| format!("event.{a}[event.{b}]")),
        1 => (name(), name()).prop_map(|(a, b)| format!("has(event.{a}['{b}'].c)")),
        1 => Just("event".to_owned()),
    ];
    let constant = prop::sample::select(vec!["null", "true", "false", "1", "0.5", "'a'", "''"]);
    let leaf = prop_oneof![3 => route, 1 => constant.prop_map(str::to_owned)];
    leaf.prop_recursive(4, 16, 3, |inner| {
        let operator = prop::sample::select(vec![
            "==", "==", "!=", "<", ">=", "+", "&&", "&&", "||", "in",
        ]);
        let call = prop::sample::select(vec!["size", "string", "!", "type"]);
        let fold = prop::sample::select(vec!["all", "exists", "map", "filter"]);
        prop_oneof![
            5 => (inner.clone(), operator, inner.clone())
                .prop_map(|(a, o, b)| format!("({a}) {o} ({b})")),
            1 => (call, inner.clone()).prop_map(|(f, a)| format!("{f}({a})")),
            1 => (inner.clone(), fold, inner.clone())
                .prop_map(|(a, f, b)| format!("({a}).{f}(x, x == ({b}))")),
            1 => (inner.clone(), inner.clone(), inner)
                .prop_map(|(a, b, c)| format!("({a}) ? ({b}) : ({c})")),
        ]
    })
}

/// What waits are usually made of: equalities, now and then with something else among them.
fn conjunctions() -> impl Strategy<Value = String> {
    let name = || prop::sample::select(vec!["a", "b", "c"]);
    let constant = prop::sample::select(vec!["null", "true", "1", "'a'"]);
    let equality = prop_oneof![
        3 => (name(), name()).prop_map(|(a, b)| format!("event.{a} == async.{b}")),
        2 => (name(), constant.clone()).prop_map(|(a, value)| format!("async.{a} == {value}")),
        1 => (name(), constant).prop_map(|(a, value)| format!("event.{a} == {value}")),
        1 => (name(), expressions()).prop_map(|(a, other)| format!("(async.{a} || {other})")),
    ];
    prop::collection::vec(equality, 1..4).prop_map(|all| all.join(" && "))
}

/// Objects whose fields are often equal to one another.
fn plain_objects() -> impl Strategy<Value = Value> {
    object(prop::sample::select(vec![
        json!(null),
        json!(true),
        json!(1),
        json!(1.0),
        json!("a"),
        json!([1]),
        json!([1.0]),
    ]))
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn a_projection_is_as_good_as_the_event(
        text in expressions(),
        event in object(values()),
        incoming in prop::option::of(object(values())),
    ) {
        let Ok(program) = Program::parse(&text) else { return Ok(()) };
        let projection = program.project(&event);
        let scope = |event| Scope {
            event,
            async_event: incoming.as_ref(),
            now: Timestamp::ZERO,
        };
        let (whole, part) = (scope(&event), scope(&projection));
        prop_assert_eq!(program.evaluate(&part), program.evaluate(&whole), "{}", text);
        prop_assert_eq!(program.matches(&part), program.matches(&whole), "{}", text);
        prop_assert_eq!(program.explain(&part), program.explain(&whole), "{}", text);
        prop_assert_eq!(program.index_terms(&projection), program.index_terms(&event));
        prop_assert_eq!(program.is_never(&projection), program.is_never(&event));
        prop_assert_eq!(program.project(&projection), projection);
    }

    #[test]
    fn what_matches_has_its_terms_and_was_not_given_up(
        text in prop_oneof![1 => expressions(), 3 => conjunctions()],
        event in plain_objects(),
        incoming in plain_objects(),
    ) {
        let Ok(program) = Program::parse(&text) else { return Ok(()) };
        let scope = Scope { event: &event, async_event: Some(&incoming), now: Timestamp::ZERO };
        if program.matches(&scope) != Ok(true) {
            return Ok(());
        }
        prop_assert!(!program.is_never(&event), "{}", text);
        for (path, bound) in program.index_terms(&event) {
            let found = equality_key(path.lookup(&scope));
            prop_assert_eq!(found, equality_key(Some(&bound)), "{}", text);
        }
    }

    #[test]
    fn equal_values_have_equal_keys(left in values(), right in values()) {
        let event = json!({"left": left, "right": right});
        let scope = Scope { event: &event, async_event: None, now: Timestamp::ZERO };
        if program("event.left == event.right").matches(&scope) == Ok(true) {
            prop_assert_eq!(equality_key(Some(&left)), equality_key(Some(&right)));
        }
    }
}
