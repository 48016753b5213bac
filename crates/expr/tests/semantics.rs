//! The dialect, one line per case: an expression and what it yields over one event.

use dunlin_expr::{Answer, EqualityTerm, Path, Program, Scope, TermRight, Value};
use dunlin_types::{Code, Timestamp};
use serde_json::json;

fn event() -> Value {
    json!({
        "name": "order/paid",
        "id": "01J",
        "ts": 1_795_000_000_000_i64,
        "user": {},
        "data": {
            "amount": 250, "half": 0.5, "zero": 0, "big": 9_007_199_254_740_993_i64,
            "name": "Ada", "empty": "", "yes": true, "no": false, "nothing": null,
            "items": [1, 2, 3], "orders": [{"id": "a", "n": 1}, {"id": "b", "n": 2}],
            "none": [], "map": {"k": 1}, "odd-key": "odd", "json": "{\"a\":[1,{\"b\":2}]}",
            "b64": "aGVsbG8=", "at": "2026-11-18T03:14:13.250Z", "s": 1_795_000_000_i64
        }
    })
}

fn incoming() -> Value {
    json!({"name": "order/shipped", "data": {"order": "a", "amount": 250.0}})
}

fn evaluate(text: &str) -> Result<Answer, Code> {
    let (event, incoming) = (event(), incoming());
    let scope = Scope {
        event: &event,
        async_event: Some(&incoming),
        now: Timestamp::from_ms(1_795_000_000_000),
    };
    let program = Program::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    program.evaluate(&scope).map_err(|error| error.code)
}

/// Each case with `data.` short for `event.data.`.
fn hold(cases: &[(&str, Value)]) {
    for (text, wanted) in cases {
        let text = text
            .replace("data.", "event.data.")
            .replace("async.event.", "async.");
        let got = evaluate(&text).map(Answer::into_json);
        assert_eq!(got, Ok(wanted.clone()), "{text}");
    }
}

fn all_true(cases: &[&str]) {
    let cases: Vec<_> = cases.iter().map(|text| (*text, json!(true))).collect();
    hold(&cases);
}

fn all_false(cases: &[&str]) {
    let cases: Vec<_> = cases.iter().map(|text| (*text, json!(false))).collect();
    hold(&cases);
}

#[test]
fn missing_fields_are_like_null_and_below_everything() {
    all_true(&[
        "data.gone == null",
        "data.gone == data.lost.deeper",
        "data.gone == data.nothing",
        "data.gone != 1",
        "data.gone < 1",
        "data.gone <= -5",
        "1 > data.gone",
        "1 >= data.gone",
        "data.gone < ''",
        "data.gone <= data.lost",
        "!data.gone",
        "size(data.gone) == 0",
        "data.gone + 5 == 5",
        "'x' + data.gone == 'x'",
        "data.gone[0].x == null",
        "data.items[7] == null",
        "data.name.length == null",
        "data.items[-1] == null",
        "data.items['0'] == null",
        "data.items[0.5] == null",
        "data.name[0] == null",
        "data.gone[data.lost] == null",
        "data.gone != data.amount",
        "5 + data.gone == 5",
        "data.gone + 'x' == 'x'",
        "data.gone + data.lost == null",
        "[data.gone] == [null]",
        "data.gone.size() == 0",
        "data.gone <= now()",
        "'x' >= data.gone",
        "data.gone <= null",
        "null >= data.gone",
        "null == data.gone",
    ]);
    all_false(&[
        "data.gone == 1",
        "data.gone == ''",
        "data.gone == false",
        "data.gone != null",
        "data.gone > -1",
        "data.gone >= 1",
        "1 < data.gone",
        "1 <= data.gone",
        "data.gone < data.lost",
        "lowercase(data.gone)",
        "data.gone.startsWith('a')",
        "data.name.contains(data.gone)",
        "data.gone.matches('a')",
        "int(data.gone)",
        "data.gone * 2",
        "-data.gone",
        "1 in data.gone",
        "data.gone in [null]",
        "data.gone.all(x, true)",
        "data.gone.exists(x, true)",
        "has(data.gone)",
        "has(data.gone.deeper)",
        "has(data.name.deeper)",
        "uppercase(data.gone)",
        "b64decode(data.gone)",
        "json_parse(data.gone)",
        "date(data.gone)",
        "timestamp(data.gone)",
        "duration(data.gone)",
        "now_plus(data.gone)",
        "now_minus(data.gone)",
        "uint(data.gone)",
        "double(data.gone)",
        "string(data.gone)",
        "bool(data.gone)",
        "bytes(data.gone)",
        "type(data.gone)",
        "data.gone.endsWith('a')",
        "data.gone.getHours()",
        "data.gone - 1",
        "1 / data.gone",
        "data.gone % 2",
        "data.gone.exists_one(x, true)",
        "data.gone in data.map",
        "!(data.gone == null)",
        "data.gone && true",
        "true && data.gone",
    ]);
    assert_eq!(evaluate("event.data.gone"), Ok(Answer::Missing));
    assert_eq!(evaluate("event.data.gone.map(x, x)"), Ok(Answer::Missing));
}

#[test]
fn null_equals_only_null_and_orders_like_the_zero_of_the_other_side() {
    all_true(&[
        "data.nothing == null",
        "data.nothing != 0",
        "data.nothing != ''",
        "data.nothing < 1",
        "data.nothing <= 0",
        "data.nothing >= 0",
        "data.nothing > -1",
        "data.nothing < 'a'",
        "data.nothing <= ''",
        "data.nothing < true",
        "data.nothing < now()",
        "5 > data.nothing",
        "has(data.nothing)",
        "size(data.nothing) == 0",
    ]);
    all_false(&[
        "data.nothing == 0",
        "data.nothing == false",
        "data.nothing > 0",
        "data.nothing < [1]",
    ]);
}

#[test]
fn numbers_of_all_kinds_mix_and_whole_ones_keep_their_digits() {
    all_true(&[
        "data.amount == 250",
        "data.amount == 250.0",
        "data.amount == 250u",
        "data.amount == async.data.amount",
        "data.amount > 249.5",
        "data.half < 1",
        "1 == 1.0",
        "2u > 1",
        "data.big == 9007199254740993",
        "data.big != 9007199254740992",
        "250 in [1, data.amount]",
        "data.amount * 2 == 500",
        "data.amount / 4 == 62.5",
        "data.amount % 7 == 5",
        "7 / 2 == 3",
        "7.0 / 2 == 3.5",
        "-data.amount == -250",
        "1 + 2 * 3 == 7",
        "data.items[data.amount - 249] == 2",
        "-7 % 3 == -1",
        "0x1F == 31",
        "1e3 == 1000",
        "5u - 2u == 3u",
        "data.amount / data.zero > 1e308",
        "2 * 3u == 6",
        "1 / 2.0 == 0.5",
        "data.half + 1 == 1.5",
        "string(data.amount / 2) == '125'",
        "uint(data.amount) == 250u",
        "type(1u) == uint",
        "type(data.amount) == double",
        "type(1) == int",
    ]);
}

#[test]
fn values_of_different_types_are_unequal_and_unordered() {
    all_true(&[
        "data.name != 1",
        "'5' != 5",
        "[1] != {'a': 1}",
        "[1, 2.0] == [1.0, 2]",
    ]);
    all_true(&[
        "data.items == [1, 2, 3]",
        "data.map == {'k': 1.0}",
        "{'k': 1} == data.map",
    ]);
    all_false(&[
        "data.name == 1",
        "'5' == 5",
        "'5' < 6",
        "'5' >= 5",
        "'5' <= 5",
        "'a' < 1",
        "[1] == {'a': 1}",
        "null == ''",
        "b'a' == 'a'",
        "now() == '2026-11-18T00:00:00Z'",
        "now() > '2000'",
        "true < 2",
        "[1] < [2]",
        "data.map == {'j': 1}",
    ]);
}

#[test]
fn logic_takes_any_value_and_or_yields_the_first_truthy_one() {
    hold(&[
        ("data.gone || 'default'", json!("default")),
        ("data.empty || data.name", json!("Ada")),
        ("data.zero || data.nothing || 7", json!(7)),
        ("data.name || 1 / 0", json!("Ada")),
        ("data.name && data.amount", json!(true)),
        ("data.name && data.zero", json!(false)),
        ("data.empty ? 1 : 2", json!(2)),
        ("data.items ? 1 : 2", json!(1)),
        ("data.gone || data.nothing", json!(null)),
        ("data.nothing || data.empty", json!("")),
        ("data.gone ? 1 : 2", json!(2)),
        ("data.nothing ? 1 : 2", json!(2)),
        ("0.0 ? 1 : 2", json!(2)),
        ("'0' ? 1 : 2", json!(1)),
        ("[] ? 1 : 2", json!(1)),
        ("{} ? 1 : 2", json!(1)),
        ("now() ? 1 : 2", json!(1)),
        (
            "(data.gone || 'a') + '-' + (data.name || 'b')",
            json!("a-Ada"),
        ),
        ("data.no || data.yes && data.name", json!(true)),
        ("true ? 1 : 1 / 0", json!(1)),
        ("!data.name", json!(false)),
        ("!data.zero", json!(true)),
        ("1 / 0 == 1 || true", json!(true)),
        ("1 / 0 == 1 && false", json!(false)),
        ("false && 1 / 0 == 1", json!(false)),
    ]);
    assert_eq!(evaluate("1 / 0 == 1 || false"), Err(Code::ExpressionFailed));
    assert_eq!(evaluate("1 / 0 == 1 && true"), Err(Code::ExpressionFailed));
}

#[test]
fn text_joins_with_numbers_and_other_values() {
    hold(&[
        ("'a' + 'b'", json!("ab")),
        ("data.name + '-' + data.amount", json!("Ada-250")),
        ("1.5 + 'x'", json!("1.5x")),
        ("[1] + data.items", json!([1, 1, 2, 3])),
        ("b'a' + b'b'", json!("YWI=")),
        ("\"it's\" + 'a \"b\"'", json!("it'sa \"b\"")),
        ("r'a\\n' + 'b\\tc' + \"\\u00e9\"", json!("a\\nb\tcé")),
        ("\"\"\"a\"b\"\"\" + '''c'd'''", json!("a\"bc'd")),
        ("1 + 'a'", json!("1a")),
        ("'a' + 1u", json!("a1")),
        ("'a' + 2.0", json!("a2")),
        ("'a' + -1", json!("a-1")),
    ]);
    for text in [
        "'a' + true",
        "null + 'a'",
        "'a' - 'b'",
        "[1] * 2",
        "5 % 0",
        "-'a'",
    ] {
        assert_eq!(evaluate(text), Err(Code::ExpressionFailed), "{text}");
    }
    let overflow = evaluate("9223372036854775807 + 1");
    assert_eq!(overflow, Err(Code::ExpressionFailed));
    assert_eq!(evaluate("1u - 2u"), Err(Code::ExpressionFailed));
}

#[test]
fn functions_of_text() {
    hold(&[
        ("size('aß日')", json!(3)),
        ("size(b'abc') + size(data.items) + size(data.map)", json!(7)),
        ("data.name.contains('d')", json!(true)),
        ("data.name.startsWith('A')", json!(true)),
        ("data.name.endsWith('A')", json!(false)),
        ("data.name.matches('^A.a$')", json!(true)),
        ("data.name.matches('^' + data.name)", json!(true)),
        ("matches('abc', 'B')", json!(false)),
        ("lowercase('AbÉ')", json!("abé")),
        ("uppercase(data.name)", json!("ADA")),
        ("b64decode(data.b64)", json!("hello")),
        ("b64decode('aGVsbG8')", json!("hello")),
        ("json_parse(data.json).a[1].b", json!(2)),
        ("json_parse(data.json)", json!({"a": [1, {"b": 2}]})),
        ("json_parse('[1,2]').exists(x, x == 2)", json!(true)),
    ]);
    assert_eq!(
        evaluate("event.data['odd-key'] + event['data'].name").map(|v| v.key_text()),
        Ok("oddAda".to_owned())
    );
    for text in [
        "b64decode('*')",
        "json_parse('{')",
        "size(1)",
        "'a'.matches('(' + 'b')",
    ] {
        assert_eq!(evaluate(text), Err(Code::ExpressionFailed), "{text}");
    }
}

#[test]
fn conversions() {
    hold(&[
        ("int('42')", json!(42)),
        ("int(2.9)", json!(2)),
        ("int(timestamp('1970-01-01T00:01:00Z'))", json!(60)),
        ("uint(7) == 7u", json!(true)),
        ("double('1.5')", json!(1.5)),
        ("string(data.amount)", json!("250")),
        ("string(2.0)", json!("2")),
        ("string(true)", json!("true")),
        ("string(b'hi')", json!("hi")),
        ("bool('true')", json!(true)),
        ("bytes('a') == b'a'", json!(true)),
        ("dyn(1)", json!(1)),
        (
            "type('a') == string && type(null) == null_type",
            json!(true),
        ),
        ("type(now()) == google.protobuf.Timestamp", json!(true)),
        (
            "type(data.items) == list && type(data.map) == map",
            json!(true),
        ),
    ]);
    for text in [
        "int('x')",
        "int(1e300)",
        "uint(-1)",
        "bool('maybe')",
        "string([1])",
    ] {
        assert_eq!(evaluate(text), Err(Code::ExpressionFailed), "{text}");
    }
}

#[test]
fn dates_come_from_all_usual_texts_and_numbers() {
    let same = "2026-11-18T03:14:13Z";
    for text in [
        "2026-11-18T03:14:13Z",
        "2026-11-18T04:14:13+01:00",
        "2026-11-18 03:14:13",
        "2026-11-18T03:14:13.000",
        "2026/11/18 03:14:13",
        "11/18/2026 03:14:13",
        "Wed, 18 Nov 2026 03:14:13 GMT",
        "Wed Nov 18 03:14:13 2026",
        "Wed Nov 18 2026 04:14:13 GMT+0100 (Central European Standard Time)",
        "2026-11-18 03:14:13 +0000 UTC",
        "1794971653",
    ] {
        let text = format!("date('{text}') == timestamp('{same}')");
        assert_eq!(
            evaluate(&text).map(Answer::into_json),
            Ok(json!(true)),
            "{text}"
        );
    }
    for day in [
        "2026-11-18",
        "2026/11/18",
        "11/18/2026",
        "Nov 18, 2026",
        "18 November 2026",
    ] {
        let text = format!("string(date('{day}'))");
        let wanted = Ok(json!("2026-11-18T00:00:00Z"));
        assert_eq!(evaluate(&text).map(Answer::into_json), wanted, "{text}");
    }
    all_true(&[
        "date(data.s) == now()",
        "date(event.ts) == now()",
        "date(1795000000000000000) == now()",
        "date(1795000000.5) > now()",
        "date(now()) == now()",
        "date(data.at) < now()",
        "timestamp(1795000000) == now()",
        "date('20261118') == date('2026-11-18')",
    ]);
    for text in [
        "date('soon')",
        "date(true)",
        "date(1e40)",
        "timestamp('2026')",
        "date('')",
    ] {
        assert_eq!(evaluate(text), Err(Code::ExpressionFailed), "{text}");
    }
}

#[test]
fn instants_and_durations_calculate() {
    all_true(&[
        "now_plus('1h') - now() == duration('60m')",
        "now_minus('1d') + duration('24h') == now()",
        "now_plus('-1h') == now_minus('1h')",
        "now() - duration('1.5s') < now()",
        "duration('1h') + duration('1m') == duration('3660s')",
        "duration('0') < duration('1ns')",
        "duration('1w2d') > duration('8d')",
        "string(duration('1h0.25s')) == '3600.25s'",
        "duration('90m').getHours() == 1 && duration('90m').getMinutes() == 90",
        "duration('2s').getSeconds() == 2 && duration('2s').getMilliseconds() == 2000",
        "date(data.at).getFullYear() == 2026",
        "date(data.at).getMonth() == 10",
        "date(data.at).getDate() == 18",
        "date(data.at).getDayOfMonth() == 17",
        "date(data.at).getDayOfWeek() == 3",
        "date(data.at).getDayOfYear() == 321",
        "date(data.at).getHours() == 3",
        "date(data.at).getHours('Europe/Berlin') == 4",
        "date(data.at).getHours('-05:30') == 21",
        "date(data.at).getMinutes() == 14",
        "date(data.at).getSeconds() == 13",
        "date(data.at).getMilliseconds() == 250",
    ]);
    for text in [
        "duration('1y')",
        "duration('')",
        "now_plus('9999999w')",
        "now() + now()",
    ] {
        assert_eq!(evaluate(text), Err(Code::ExpressionFailed), "{text}");
    }
    let unknown_zone = evaluate("now().getHours('Mars/Base')");
    assert_eq!(unknown_zone, Err(Code::ExpressionFailed));
}

#[test]
fn lists_maps_and_macros() {
    hold(&[
        ("data.items.all(x, x > 0)", json!(true)),
        ("data.items.all(x, x > 1)", json!(false)),
        ("data.items.exists(x, x == 2)", json!(true)),
        ("data.items.exists_one(x, x > 2)", json!(true)),
        ("data.items.exists_one(x, x > 1)", json!(false)),
        ("data.items.map(x, x * 2)", json!([2, 4, 6])),
        ("data.items.map(x, x > 1, x * 2)", json!([4, 6])),
        ("data.items.filter(x, x != 2)", json!([1, 3])),
        ("data.none.all(x, false)", json!(true)),
        ("data.none.exists(x, true)", json!(false)),
        ("data.map.all(k, k == 'k')", json!(true)),
        (
            "data.orders.exists(o, o.id == async.data.order && o.n == 1)",
            json!(true),
        ),
        ("data.orders.map(o, o.gone)", json!([null, null])),
        (
            "data.orders.all(o, data.items.exists(i, i == o.n))",
            json!(true),
        ),
        ("data.items.exists(x, x / 0 == 1 || x == 3)", json!(true)),
        ("[0, 1].exists(x, 1 / x == 1)", json!(true)),
        ("'Ada' in [data.name]", json!(true)),
        ("'k' in data.map", json!(true)),
        ("'j' in data.map", json!(false)),
        ("3 in {1: 'a', 3: 'b'}", json!(true)),
        ("{1: 'a', 'b': 2}[1.0]", json!("a")),
        ("{'a': {'b': 2}}.a.b", json!(2)),
        ("has({'a': 1}.a)", json!(true)),
        ("has(data.name) && !has(data.map.j)", json!(true)),
        ("[[1, 2], [3]][0][1]", json!(2)),
    ]);
    for text in [
        "1.exists(x, true)",
        "'a' in 'abc'",
        "[0].all(x, 1 / x == 1)",
    ] {
        let text = text.replace("1.exists", "event.name.exists");
        assert_eq!(evaluate(&text), Err(Code::ExpressionFailed), "{text}");
    }
}

#[test]
fn keys_are_the_text_of_the_value() {
    for (text, key) in [
        ("event.data.name", "Ada"),
        ("event.data.amount", "250"),
        ("async.data.amount", "250"),
        ("event.data.half", "0.5"),
        ("event.data.no", "false"),
        ("event.data.nothing", "<nil>"),
        ("event.data.gone", "<nil>"),
        ("event.data.items", "[1,2,3]"),
        ("event.data.map", "{\"k\":1}"),
        ("date('2026-11-18')", "2026-11-18T00:00:00Z"),
        ("duration('1m')", "60s"),
    ] {
        assert_eq!(
            evaluate(text).map(|answer| answer.key_text()),
            Ok(key.to_owned()),
            "{text}"
        );
    }
    assert_eq!(
        evaluate("event.data.no").map(|answer| answer.is_false()),
        Ok(true)
    );
    assert_eq!(
        evaluate("event.data.yes").map(|answer| answer.is_true()),
        Ok(true)
    );
    assert_eq!(
        evaluate("event.data.amount / 4").map(|answer| answer.as_int()),
        Ok(Some(62))
    );
    assert_eq!(
        evaluate("event.name").map(|answer| answer.as_int()),
        Ok(None)
    );
}

#[test]
fn a_condition_must_be_a_boolean() {
    let event = event();
    let scope = Scope {
        event: &event,
        async_event: None,
        now: Timestamp::ZERO,
    };
    let matches = |text: &str| Program::parse(text).unwrap().matches(&scope);
    assert_eq!(matches("event.data.amount > 100"), Ok(true));
    assert_eq!(matches("event.data.amount > 300"), Ok(false));
    assert_eq!(matches("async.data.order == null"), Ok(true));
    for text in [
        "event.data.name",
        "event.data.gone",
        "1",
        "event.data.gone || 'x'",
    ] {
        let error = matches(text).unwrap_err();
        assert_eq!(error.code, Code::ExpressionFailed, "{text}");
    }
}

#[test]
fn what_is_wrong_with_a_text_is_known_when_it_is_parsed() {
    let levels_65 = "-(".repeat(65) + "1" + &")".repeat(65);
    let long = format!("'{}'", "a".repeat(4095));
    for (text, wanted) in [
        ("event.data.a !== 1", "equality is written =="),
        ("steps.a == 1", "1:1: "),
        ("event.data.a === 1", "equality is written =="),
        ("event.data.a ==", "1:16: "),
        ("", "empty"),
        ("  ", "empty"),
        ("steps.a == 1", "no variable `steps`"),
        ("event.data.list.includes(1)", "no function `includes`"),
        ("size()", "`size` takes"),
        ("lowercase('a', 'b')", "`lowercase` takes"),
        ("event.name.matches('(')", "pattern"),
        ("event.name.matches('a{1000}{1000}')", "too large"),
        ("has(event)", "has"),
        ("[1].all(x.y, true)", "simple name"),
        (
            "[1].all(a, [1].all(b, [1].all(c, true)))",
            "more than 2 comprehensions",
        ),
        ("Point{x: 1}", "messages"),
        ("[1].exists(x, true) && x", "no variable `x`"),
        (&levels_65, "nested deeper"),
        (&long, "longer than"),
    ] {
        let error = Program::parse(text).unwrap_err();
        assert_eq!(error.code, Code::ExpressionBad, "{text}");
        assert!(error.detail.contains(wanted), "{text}: {}", error.detail);
    }
}

#[test]
fn a_wrong_text_is_shown_from_where_it_is_wrong() {
    for (text, place, excerpt) in [
        ("event.data.a === 1", "1:16: ", "at `= 1`"),
        ("event.data.a ==", "1:16: ", "at the end"),
        ("event.data.a &&\n  (event.b", "2:11: ", "at the end"),
        ("event.data.a\n  == steps.b", "2:6: ", "at `steps.b`"),
        ("'日本' == event.a && other.b", "1:20: ", "at `other.b`"),
        ("event.a == 1 // why\n && x", "2:5: ", "at `x`"),
        ("event.a.exists(x, y == x)", "1:19: ", "at `y == x)`"),
        ("event.a + lower(event.b)", "1:11: ", "at `lower(event.b)`"),
        ("1 == 1 ? 'unterminated", "1:10: ", "at `'unterminated`"),
        ("event.a == 'x' event.b", "1:16: ", "at `event.b`"),
        ("event.a = 1", "1:9: ", "at `= 1`"),
        (
            "size(event.a, 1 + 2 + 3 + 4 + 5 + 6 + 7)",
            "1:1: ",
            "`size(event.a, 1 + 2 + 3 …`",
        ),
    ] {
        let error = Program::parse(text).unwrap_err();
        let detail = &error.detail;
        assert!(
            detail.starts_with(place) && detail.ends_with(excerpt),
            "{text}: {detail}"
        );
    }
}

#[test]
fn equalities_of_a_conjunction_are_exposed() {
    let path = |text: &str| Path(text.split('.').map(str::to_owned).collect());
    let literal = |left: &str, value: Value| EqualityTerm {
        left: path(left),
        right: TermRight::Literal(value),
    };
    let program = Program::parse(
        "async.data.id == event.data.id && 'x' == async.data['kind'] && async.data.n == -1.5 \
         && (async.data.ok == true && async.data.gone == null) && async.data.n > 3 \
         && (async.data.a == 1 || async.data.b == 2) && event.data.id == async.data.other \
         && async.data.items[0] == 1 && async.data.x != 1 && size(async.data.y) == 2",
    );
    let expected = vec![
        EqualityTerm {
            left: path("async.data.id"),
            right: TermRight::Path(path("event.data.id")),
        },
        literal("async.data.kind", json!("x")),
        literal("async.data.n", json!(-1.5)),
        literal("async.data.ok", json!(true)),
        literal("async.data.gone", json!(null)),
        EqualityTerm {
            left: path("async.data.other"),
            right: TermRight::Path(path("event.data.id")),
        },
    ];
    assert_eq!(program.unwrap().terms(), expected);
    assert_eq!(
        Program::parse("event.a == 1 || event.b == 1")
            .unwrap()
            .terms(),
        []
    );

    let (event, incoming) = (event(), incoming());
    let scope = Scope {
        event: &event,
        async_event: Some(&incoming),
        now: Timestamp::ZERO,
    };
    assert!(path("async.data.order").is_async());
    assert_eq!(path("async.data.order").lookup(&scope), Some(&json!("a")));
    assert_eq!(path("event.data.map.k").lookup(&scope), Some(&json!(1)));
    assert_eq!(path("event.data.name.k").lookup(&scope), None);
}

#[test]
fn explanations_show_every_path_that_was_read_once() {
    let event = event();
    let scope = Scope {
        event: &event,
        async_event: None,
        now: Timestamp::ZERO,
    };
    let program = Program::parse(
        "event.data.amount > 300 && event.data.amount < async.data.limit \
         && has(event.data.map.k) && event.data.orders[1].id == 'c' \
         && [1].exists(x, x == event.data['odd-key'])",
    );
    let seen = program.unwrap().explain(&scope);
    let wanted = [
        ("event.data.amount", json!(250)),
        ("async.data.limit", json!(null)),
        ("event.data.map.k", json!(1)),
        ("event.data.orders[1].id", json!("b")),
        ("event.data[\"odd-key\"]", json!("odd")),
    ];
    let wanted: Vec<_> = wanted.map(|(path, value)| (path.to_owned(), value)).into();
    assert_eq!(seen, wanted);
}
