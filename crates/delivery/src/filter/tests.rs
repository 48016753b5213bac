//! What filters want, told by tables and held against a plain reading of the filter's JSON.

use dunlin_types::limits;
use proptest::prelude::*;

use super::*;
use dunlin_expr::Value;

const PAYMENT: &str = r#"{"business_id": "bus_1", "type": "payment.succeeded",
    "timestamp": "2026-11-18T03:14:13Z", "data": {
    "payload_type": "Payment", "status": "succeeded", "total_amount": 12500, "currency": "EUR",
    "tax": null, "payment_method": "card", "customer": {"email": "mei@example.com"},
    "product_cart": [{"product_id": "pdt_book", "quantity": 1}, {"product_id": "pdt_pen", "quantity": 12}],
    "tags": ["gift", "first order"], "scores": [5, 25], "refunds": [], "rows": [[1, 2], [3]],
    "metadata": {"plan": "pro", "seats": 10, "trial": false, "total": "150.00"}}}"#;

fn filter(text: &str) -> Filter {
    Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn wants_over(text: &str, body: &str, headers: &[(&str, &str)]) -> Result<(), Mismatch> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let headers: Vec<_> = headers.iter().map(owned).collect();
    let input = FilterInput::new("payment.succeeded", body.as_bytes(), &headers);
    let filter = filter(text);
    let verdict = filter.verdict(&input);
    assert_eq!(verdict.is_ok(), filter.fits(&input), "{text}");
    verdict
}

/// The verdict on what stands behind `data` in a filter.
fn of_data(inner: &str) -> Result<(), Mismatch> {
    wants_over(
        &format!(r#"{{"payload": {{"data": {inner}}}}}"#),
        PAYMENT,
        &[],
    )
}

#[test]
fn a_payment_fits_what_describes_it() {
    for inner in [
        "{}",
        r#"{"status": "succeeded", "currency": "EUR"}"#,
        r#"{"total_amount": {"$gte": 10000}}"#,
        r#"{"total_amount": {"$gt": 12499.99, "$lt": 12500.01}}"#,
        r#"{"total_amount": 12500.0}"#,
        r#"{"currency": {"$in": ["USD", "EUR"]}, "status": {"$nin": ["failed", "cancelled"]}}"#,
        r#"{"currency": {"$or": ["USD", "EUR"]}}"#,
        r#"{"$or": [{"currency": "USD"}, {"total_amount": {"$lte": 12500}}]}"#,
        r#"{"$and": [{"currency": "EUR"}, {"$not": {"status": "failed"}}]}"#,
        r#"{"metadata": {"plan": {"$exist": true}, "coupon": {"$exist": false}}}"#,
        r#"{"metadata": {"plan": {"$neq": "free"}, "trial": false, "seats": {"$gte": 10}}}"#,
        r#"{"metadata": {"plan": {"$not": "free"}}}"#,
        r#"{"metadata": {"coupon": {"$not": "X"}}}"#,
        r#"{"nothing": {"here": {"$exist": false}}}"#,
        r#"{"tax": null}"#,
        r#"{"tax": {"$exist": true}}"#,
        r#"{"customer": {"email": {"$endsWith": "@example.com", "$startsWith": "mei"}}}"#,
        r#"{"customer": {"email": {"$in": "@example"}}}"#,
        r#"{"customer": {"$eq": {"email": "mei@example.com"}}}"#,
        r#"{"metadata": {"plan": {"$gt": "free"}}}"#,
        // Lists.
        r#"{"tags": "gift"}"#,
        r#"{"tags": ["first order", "gift"]}"#,
        r#"{"tags": {"$eq": ["gift", "first order"]}}"#,
        r#"{"tags": {"$in": ["gift", "sale"]}}"#,
        r#"{"tags": {"$in": "gift"}}"#,
        r#"{"tags": {"$neq": "sale"}}"#,
        r#"{"tags": {"$startsWith": "first"}}"#,
        r#"{"product_cart": {"product_id": "pdt_pen", "quantity": {"$gte": 10}}}"#,
        r#"{"product_cart": [{"product_id": "pdt_pen"}, {"quantity": 1}]}"#,
        r#"{"refunds": {"$eq": []}}"#,
        r#"{"refunds": []}"#,
        r#"{"scores": {"$gte": 5, "$lt": 6, "$neq": 7}}"#,
        r#"{"rows": 3}"#,
        r#"{"rows": [[1], [3]]}"#,
    ] {
        assert_eq!(of_data(inner), Ok(()), "{inner}");
    }
}

#[test]
fn what_failed_first_is_told_with_what_stood_there() {
    for (inner, path, expected, found) in [
        (
            r#"{"currency": "EUR", "total_amount": {"$gt": 1, "$lt": 5}}"#,
            "total_amount",
            r#"{"$lt":5}"#,
            "12500",
        ),
        (r#"{"currency": "usd"}"#, "currency", r#""usd""#, r#""EUR""#),
        (
            r#"{"total_amount": "12500"}"#,
            "total_amount",
            r#""12500""#,
            "12500",
        ),
        (
            r#"{"metadata": {"total": {"$gte": 100}}}"#,
            "metadata.total",
            r#"{"$gte":100}"#,
            r#""150.00""#,
        ),
        (
            r#"{"metadata": {"coupon": {"$neq": "X"}}}"#,
            "metadata.coupon",
            r#"{"$neq":"X"}"#,
            "missing",
        ),
        (
            r#"{"nothing": {"a b": {"$exist": true}}}"#,
            r#"nothing["a b"]"#,
            r#"{"$exist":true}"#,
            "missing",
        ),
        (r#"{"nothing": {}}"#, "nothing", "{}", "missing"),
        (
            r#"{"tax": {"$exist": false}}"#,
            "tax",
            r#"{"$exist":false}"#,
            "null",
        ),
        (r#"{"tax": {"$gte": 0}}"#, "tax", r#"{"$gte":0}"#, "null"),
        (
            r#"{"currency": {"$or": ["USD", "GBP"]}}"#,
            "currency",
            r#"{"$or":["USD","GBP"]}"#,
            r#""EUR""#,
        ),
        (
            r#"{"$and": [{"status": "succeeded"}, {"currency": "USD"}]}"#,
            "currency",
            r#""USD""#,
            r#""EUR""#,
        ),
        (
            r#"{"currency": {"$not": {"$in": ["EUR"]}}}"#,
            "currency",
            r#"{"$not":{"$in":["EUR"]}}"#,
            r#""EUR""#,
        ),
        (
            r#"{"tags": {"$neq": "gift"}}"#,
            "tags",
            r#"{"$neq":"gift"}"#,
            r#"["gift","first order"]"#,
        ),
        (
            r#"{"tags": ["gift", "sale"]}"#,
            "tags",
            r#"["gift","sale"]"#,
            r#"["gift","first order"]"#,
        ),
        // No one score lies between, though one is above and one below.
        (
            r#"{"scores": {"$gt": 5, "$lt": 25}}"#,
            "scores",
            r#"{"$gt":5,"$lt":25}"#,
            "[5,25]",
        ),
        (
            r#"{"refunds": {"status": "failed"}}"#,
            "refunds",
            r#"{"status":"failed"}"#,
            "[]",
        ),
        (
            r#"{"tags": {"$in": "gif"}}"#,
            "tags",
            r#"{"$in":"gif"}"#,
            r#"["gift","first order"]"#,
        ),
        (
            r#"{"status": ["succeeded"]}"#,
            "status",
            r#"["succeeded"]"#,
            r#""succeeded""#,
        ),
        (
            r#"{"__proto__": {"constructor": 1}}"#,
            "__proto__.constructor",
            "1",
            "missing",
        ),
        (
            r#"{"tags": {"length": 2}}"#,
            "tags",
            r#"{"length":2}"#,
            r#"["gift","first order"]"#,
        ),
    ] {
        let failed = of_data(inner).unwrap_err();
        let told = (
            failed.path.as_str(),
            failed.expected.as_str(),
            failed.found.as_str(),
        );
        let separator = if path.starts_with('[') { "" } else { "." };
        let path = format!("payload.data{separator}{path}");
        assert_eq!(told, (path.as_str(), expected, found), "{inner}");
    }
    let failed = of_data(r#"{"currency": "USD"}"#).unwrap_err();
    assert_eq!(
        failed.to_string(),
        r#"payload.data.currency: expected "USD", found "EUR""#
    );
    let failed = wants_over(
        r#"{"$not": {"eventType": {"$startsWith": "pay"}}}"#,
        PAYMENT,
        &[],
    );
    let told = failed.unwrap_err().to_string();
    assert!(
        told.starts_with(
            r#"message: expected {"$not":{"eventType":{"$startsWith":"pay"}}}, found {"#
        )
    );
}

#[test]
fn event_types_and_headers_are_asked_too() {
    let headers = [
        ("X-Tenant", "a"),
        ("Via", "one"),
        ("via", "two"),
        ("Size", "7"),
    ];
    let wants = |text: &str| wants_over(text, PAYMENT, &headers).is_ok();
    assert!(wants("{}"));
    assert!(wants(
        r#"{"eventType": {"$startsWith": "payment."}, "headers": {"x-TENANT": "a"}}"#
    ));
    assert!(wants(
        r#"{"$or": [{"headers": {"X-Tenant": "b"}}, {"headers": {"$and": [{"VIA": "two"}]}}]}"#
    ));
    assert!(wants(
        r#"{"headers": {"size": "7", "accept": {"$exist": false}}}"#
    ));
    assert!(!wants(r#"{"headers": {"size": {"$gte": 5}}}"#));
    assert!(!wants(r#"{"eventType": {"$in": ["payment.failed"]}}"#));
}

#[test]
fn numbers_are_compared_by_what_they_are_worth() {
    for (body, inner, fits) in [
        ("9007199254740993", r#"{"$gt": 9007199254740992}"#, true),
        ("9007199254740993", r#"{"$gt": 9007199254740992.0}"#, true),
        (
            "18446744073709551615",
            r#"{"$lt": 18446744073709551616.0}"#,
            true,
        ),
        (
            "18446744073709551615",
            r#"{"$eq": 18446744073709551616.0}"#,
            false,
        ),
        ("1e308", r#"{"$gt": 18446744073709551615}"#, true),
        ("-1e308", r#"{"$lt": -9223372036854775808}"#, true),
        ("-0.0", "0", true),
        ("1e2", "100", true),
        ("0.5", r#"{"$gt": 0, "$lt": 1}"#, true),
        ("-0.5", r#"{"$gt": -1, "$lt": 0}"#, true),
    ] {
        let text = format!(r#"{{"payload": {{"n": {inner}}}}}"#);
        let verdict = wants_over(&text, &format!(r#"{{"n": {body}}}"#), &[]);
        assert_eq!(verdict.is_ok(), fits, "{body} {inner}");
    }
}

#[test]
fn what_could_never_fit_is_refused_with_its_place() {
    for (text, path, why) in [
        ("[]", "", "a filter is an object"),
        ("\"x\"", "", "a filter is an object"),
        ("{", "", "it is not JSON"),
        (r#"{"payload": {"n": 1e999}}"#, "", "it is not JSON"),
        (
            r#"{"payload": {"a": 1, "b": {}, "a": 2}}"#,
            "",
            "the same name twice",
        ),
        (
            r#"{"data": {"currency": "EUR"}}"#,
            "/data",
            "stand behind payload",
        ),
        (
            r#"{"$or": [{"payload": {}}, {"type": "x"}]}"#,
            "/$or/1/type",
            "stand behind payload",
        ),
        (r#"{"$exist": true}"#, "/$exist", "not at the top"),
        (
            r#"{"payload": {"a/b": {"$like": "x"}}}"#,
            "/payload/a~1b/$like",
            "there are $eq, ",
        ),
        (
            r#"{"payload": {"$ref": "x"}}"#,
            "/payload/$ref",
            "no such operator",
        ),
        (
            r#"{"payload": {"$eq, $neq": 1}}"#,
            "/payload/$eq, $neq",
            "no such operator",
        ),
        (
            r#"{"payload": {"n": {"$gte": true}}}"#,
            "/payload/n/$gte",
            "a number or a text",
        ),
        (
            r#"{"payload": {"n": {"$in": []}}}"#,
            "/payload/n/$in",
            "at least one",
        ),
        (
            r#"{"payload": {"n": {"$or": {}}}}"#,
            "/payload/n/$or",
            "at least one",
        ),
        (
            r#"{"payload": {"n": {"$and": []}}}"#,
            "/payload/n/$and",
            "at least one",
        ),
        (
            r#"{"payload": {"n": {"$exist": 1}}}"#,
            "/payload/n/$exist",
            "true or false",
        ),
        (
            r#"{"payload": {"n": {"$startsWith": ["a"]}}}"#,
            "/payload/n/$startsWith",
            "a text",
        ),
        (r#"{"headers": "x"}"#, "/headers", "headers are named"),
    ] {
        let error = Filter::parse(text).unwrap_err();
        assert_eq!(error.path, path, "{text}: {error}");
        assert!(error.why.contains(why), "{text}: {error}");
    }
    let coded = Coded::from(Filter::parse(r#"{"a": 1}"#).unwrap_err());
    assert!(coded.to_string().contains("at /a of the filter"), "{coded}");
}

#[test]
fn a_filter_has_bounds() {
    let behind = |inner: &str| format!(r#"{{"payload": {inner}}}"#);
    let nested = |levels| format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
    filter(&behind(&nested(limits::FILTER_DEPTH_LEVELS_MAX - 1)));
    for levels in [limits::FILTER_DEPTH_LEVELS_MAX, 2000] {
        let error = Filter::parse(&behind(&nested(levels))).unwrap_err();
        assert!(error.why.contains("levels deep"), "{error}");
    }
    let error = Filter::parse(&"[".repeat(limits::FILTER_BYTES_MAX)).unwrap_err();
    assert!(error.why.contains("levels deep"), "{error}");
    let list = |count| behind(&format!(r#"{{"$or": [{}1]}}"#, "1,".repeat(count - 1)));
    filter(&list(limits::FILTER_TERMS_MAX - 3));
    let error = Filter::parse(&list(limits::FILTER_TERMS_MAX - 2)).unwrap_err();
    assert!(error.why.contains("256 terms"), "{error}");
    let long = behind(&format!("\"{}\"", "x".repeat(limits::FILTER_BYTES_MAX)));
    assert!(Filter::parse(&long).unwrap_err().why.contains("bytes"));
}

#[test]
fn a_message_that_would_take_too_long_is_not_wanted_and_says_so() {
    let terms = (0..200)
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(",");
    let body = format!(r#"{{"a": [{}-1]}}"#, "-1,".repeat(1_000));
    // Not turned round either: nobody knows the answer.
    for text in [
        format!(r#"{{"payload": {{"a": {{"$or": [{terms}]}}}}}}"#),
        format!(r#"{{"payload": {{"a": {{"$not": {{"$in": [{terms}]}}}}}}}}"#),
    ] {
        let failed = wants_over(&text, &body, &[]).unwrap_err();
        assert_eq!(failed, Mismatch::too_costly());
    }
    let text = r#"{"payload": {"a": {"$in": "needle"}}}"#;
    let long = format!(r#"{{"a": "{}"}}"#, "hay".repeat(300_000));
    let failed = wants_over(text, &long, &[]).unwrap_err();
    assert_eq!(failed.found.chars().count(), limits::FILTER_SHOWN_CHARS_MAX);
    assert!(failed.found.ends_with('…'));
}

#[test]
fn a_body_that_is_nested_as_deep_as_bodies_may_is_looked_into() {
    let levels = limits::JSON_DEPTH_LEVELS_MAX - 2;
    let body = format!(r#"{{"a": {}7{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(wants_over(r#"{"payload": {"a": 7}}"#, &body, &[]).is_ok());
    assert!(wants_over(r#"{"payload": {"a": {"$gte": 7}}}"#, &body, &[]).is_ok());
    assert!(wants_over(r#"{"payload": {"a": {"$nin": [7]}}}"#, &body, &[]).is_err());
    assert!(wants_over(r#"{"payload": {"a": 7}}"#, "no json", &[]).is_err());
}

#[test]
fn filters_are_equal_if_their_texts_are() {
    let text = r#"{ "payload":{"a":1} }"#;
    assert_eq!(filter(text), filter(text).clone());
    assert_eq!(filter(text).source(), text);
    assert_ne!(filter(text), filter(r#"{"payload":{"a":1}}"#));
    assert!(format!("{:?}", filter(text)).contains("payload"));
}

#[test]
fn the_examples_of_the_guide_are_filters() {
    let guide = include_str!("../../../../docs/guides/filters.md");
    let mut examples = 0;
    for block in guide.split("```json\n").skip(1) {
        let (example, _) = block.split_once("```").unwrap();
        filter(example);
        examples += 1;
    }
    assert!(examples > 3);
}

/// The elements of a list and of the lists in it; of any other value the value.
fn leaves(value: Option<&Value>) -> Vec<Option<&Value>> {
    match value {
        Some(Value::Array(items)) => items.iter().flat_map(|item| leaves(Some(item))).collect(),
        other => vec![other],
    }
}

/// Every value that an equality may mean: the value, and elements at any depth.
fn candidates(value: &Value) -> Vec<&Value> {
    let inner = value.as_array().into_iter().flatten().flat_map(candidates);
    std::iter::once(value).chain(inner).collect()
}

fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let in_b = |(name, a): (&String, &Value)| b.get(name).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(in_b)
        }
        _ => a == b,
    }
}

/// What a filter's JSON says, read plainly.
fn naive(filter: &Value, value: Option<&Value>) -> bool {
    match filter {
        Value::Object(members) if members.is_empty() => value.is_some(),
        Value::Object(members) => {
            let joint = |name: &str| {
                let ops = ["$gt", "$gte", "$lt", "$lte", "$startsWith", "$endsWith"];
                !name.starts_with('$') || ops.contains(&name)
            };
            let (joint, whole): (Vec<_>, Vec<_>) =
                members.iter().partition(|(name, _)| joint(name));
            whole
                .iter()
                .all(|(name, operand)| naive_operator(name, operand, value))
                && (joint.is_empty()
                    || leaves(value).iter().any(|leaf| {
                        joint
                            .iter()
                            .all(|(name, operand)| naive_operator(name, operand, *leaf))
                    }))
        }
        Value::Array(terms) => value.and_then(Value::as_array).is_some_and(|items| {
            let in_items = |term| items.iter().any(|item| naive(term, Some(item)));
            terms.iter().all(in_items)
        }),
        literal => {
            value.is_some_and(|value| candidates(value).iter().any(|one| same(one, literal)))
        }
    }
}

fn naive_operator(name: &str, operand: &Value, value: Option<&Value>) -> bool {
    let terms = || operand.as_array().unwrap().iter();
    let equal = |operand: &Value| {
        candidates(value.unwrap())
            .iter()
            .any(|one| same(one, operand))
    };
    let among = || match (operand, value) {
        (Value::String(part), Some(Value::String(text))) => text.contains(part),
        (Value::String(_), Some(Value::Array(items))) => items.contains(operand),
        (Value::String(_), _) => false,
        _ => terms().any(equal),
    };
    let texts = || Some((value?.as_str()?, operand.as_str()?));
    let ordered = |wanted: fn(std::cmp::Ordering) -> bool| match (value.unwrap(), operand) {
        (Value::String(a), Value::String(b)) => wanted(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().partial_cmp(&b.as_f64()).is_some_and(wanted)
        }
        _ => false,
    };
    match name {
        "$exist" => value.is_some() == operand.as_bool().unwrap(),
        "$or" => terms().any(|term| naive(term, value)),
        "$and" => terms().all(|term| naive(term, value)),
        "$not" => !naive(operand, value),
        field if !field.starts_with('$') => {
            naive(operand, value.and_then(|value| value.get(field)))
        }
        _ if value.is_none() => false,
        "$eq" => equal(operand),
        "$neq" => !equal(operand),
        "$in" => among(),
        "$nin" => !among(),
        "$gt" => ordered(std::cmp::Ordering::is_gt),
        "$gte" => ordered(std::cmp::Ordering::is_ge),
        "$lt" => ordered(std::cmp::Ordering::is_lt),
        "$lte" => ordered(std::cmp::Ordering::is_le),
        "$startsWith" => texts().is_some_and(|(text, start)| text.starts_with(start)),
        _ => texts().is_some_and(|(text, end)| text.ends_with(end)),
    }
}

fn text() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["", "a", "b", "ab", "é"]).prop_map(str::to_owned)
}

fn comparable() -> impl Strategy<Value = Value> {
    prop_oneof![
        text().prop_map(Value::from),
        (-2_i64..3).prop_map(Value::from),
        prop::sample::select(vec![0.5, 1.0, -0.0, 1e300]).prop_map(Value::from),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 1 => any::<bool>().prop_map(Value::from), 4 => comparable()]
}

fn name() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "__proto__"]).prop_map(str::to_owned)
}

fn object(inner: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::btree_map(name(), inner, 0..3).prop_map(|fields| fields.into_iter().collect())
}

fn list(
    inner: impl Strategy<Value = Value>,
    size: std::ops::Range<usize>,
) -> impl Strategy<Value = Value> {
    prop::collection::vec(inner, size).prop_map(Value::from)
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![object(inner.clone()), list(inner, 0..4)]
    })
}

fn term() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(4, 24, 3, |inner| {
        let named = |names: &[&'static str]| prop::sample::select(names.to_vec());
        let among = prop_oneof![list(value(), 1..3), text().prop_map(Value::from)];
        let member = prop_oneof![
            3 => (name(), inner.clone()),
            2 => (named(&["$gt", "$gte", "$lt", "$lte"]).prop_map(String::from), comparable()),
            1 => (named(&["$eq", "$neq"]).prop_map(String::from), value()),
            1 => (named(&["$in", "$nin"]).prop_map(String::from), among),
            1 => (named(&["$startsWith", "$endsWith"]).prop_map(String::from), text().prop_map(Value::from)),
            1 => (Just("$exist".to_owned()), any::<bool>().prop_map(Value::from)),
            1 => (named(&["$or", "$and"]).prop_map(String::from), list(inner.clone(), 1..3)),
            1 => (Just("$not".to_owned()), inner.clone()),
        ];
        let members = prop::collection::vec(member, 0..3).prop_map(|list| {
            let unique: std::collections::BTreeMap<_, _> = list.into_iter().collect();
            unique.into_iter().collect()
        });
        prop_oneof![3 => members, 1 => list(inner, 0..3)]
    })
}

fn behind_payload(term: Value) -> Value {
    std::iter::once(("payload", term)).collect()
}

proptest! {
    #[test]
    fn a_filter_says_what_a_plain_reading_of_it_says(term in term(), value in value()) {
        let parsed = Filter::parse(&behind_payload(term.clone()).to_string());
        prop_assume!(parsed.is_ok());
        let body = value.to_string();
        let input = FilterInput::new("x", body.as_bytes(), &[]);
        let verdict = parsed.unwrap().verdict(&input);
        prop_assert_eq!(verdict.is_ok(), naive(&term, Some(&value)), "{:?}", verdict);
        if let Err(failed) = verdict {
            prop_assert!(failed.path.starts_with("payload"));
            prop_assert!(failed.expected.chars().count() <= limits::FILTER_SHOWN_CHARS_MAX);
            prop_assert!(failed.found.chars().count() <= limits::FILTER_SHOWN_CHARS_MAX);
        }
    }

    #[test]
    fn turning_round_turns_the_answer_round(term in term(), value in value()) {
        let text = behind_payload(term).to_string();
        prop_assume!(Filter::parse(&text).is_ok());
        let body = value.to_string();
        let input = FilterInput::new("x", body.as_bytes(), &[]);
        let turned = filter(&format!(r#"{{"$not": {text}}}"#));
        prop_assert_ne!(filter(&text).fits(&input), turned.fits(&input));
    }

    #[test]
    fn an_error_names_a_place_that_is_there(
        noise in value(),
        at in prop::sample::select(vec!["payload", "headers", "$or", "$in", "$exist", "~x/y", "$not"]),
    ) {
        let root: Value = std::iter::once((at, noise)).collect();
        if let Err(error) = Filter::parse(&root.to_string()) {
            prop_assert!(root.pointer(&error.path).is_some(), "{}", error);
        }
    }

    #[test]
    fn no_text_is_too_odd_to_be_refused(text in "\\PC{0,40}|[\\[{\":,$a1\\\\ \\]}]{0,60}") {
        let _ = Filter::parse(&text);
    }
}

#[test]
fn a_filter_that_cannot_be_read_any_more_wants_nothing_and_keeps_its_text() {
    let text = r#"{"payload": {"a": {"$later": 1}}}"#;
    assert!(Filter::parse(text).is_err());
    let filter = Filter::unreadable(text);
    let input = FilterInput::new("a", br#"{"a":1}"#, &[]);
    assert!(!filter.fits(&input));
    let mismatch = filter.verdict(&input).unwrap_err().to_string();
    assert!(mismatch.contains("a filter that can be read"), "{mismatch}");
    assert_eq!(filter.source(), text);
}

#[test]
fn a_path_that_cannot_be_read_any_more_puts_all_messages_in_one_order() {
    let path = crate::JsonPath::unreadable("data.*");
    let hash = |body: &str| path.key_hash(FilterInput::new("a", body.as_bytes(), &[]).payload());
    assert!(hash("{}").is_some());
    assert_eq!(hash("{}"), hash(r#"{"data":{"id":1}}"#));
    assert_eq!(path.source(), "data.*");
}
