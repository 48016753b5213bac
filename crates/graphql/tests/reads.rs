//! Queries over a store with a few rows, compared with their answers.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use async_graphql_parser::types::{TypeKind, TypeSystemDefinition};
use dunlin_engine::config::{AppRow, CancelRule, FunctionRow, Timeouts, TriggerSpec};
use dunlin_engine::step::{StepFlags, StepKind, StepMark, StepRow};
use dunlin_engine::{RunEnd, RunRow, RunStatus, Write};
use dunlin_graphql::{Begun, Request, execute};
use dunlin_store::{Batch, CommitOutcome, MemoryStore, Reader, Store as _};
use dunlin_types::{
    Event, EventOrigin, EventParts, Payload, Seq, StepId, Timestamp, Ulid, app_uuid, function_uuid,
    ulid_for,
};
use serde_json::{Value, json};

const START_MS: i64 = 1_700_000_000_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_ms(START_MS + ms)
}

fn text(text: &str) -> Payload {
    Payload::from_json(text.to_owned())
}

fn id(seq: u64) -> Ulid {
    ulid_for(at(seq as i64), Seq(seq))
}

fn app() -> AppRow {
    AppRow {
        number: 0,
        name: "shop".to_owned(),
        url: "http://127.0.0.1:3000/api".to_owned(),
        identity_url: String::new(),
        sdk: "js:v4.24.0".to_owned(),
        framework: "nextjs".to_owned(),
        version: None,
        checksum: [0; 32],
        created: at(0),
        synced: at(0),
        error: None,
    }
}

fn function(number: u32, name: &str) -> FunctionRow {
    FunctionRow {
        number,
        app: 0,
        slug: format!("shop-{name}"),
        name: name.to_owned(),
        version: 1,
        from: Seq(1),
        created: at(0),
        archived: None,
        paused: None,
        triggers: vec![TriggerSpec::Event {
            name: format!("shop/{name}"),
            expression: None,
        }],
        url: String::new(),
        retries: None,
        cancel: Vec::<CancelRule>::new(),
        timeouts: Timeouts::default(),
        flow: Default::default(),
        config: text("{}"),
    }
}

fn event(seq: u64, name: &str, n: u64) -> Write {
    Write::Event(Event::new(EventParts {
        seq: Seq(seq),
        internal_id: id(seq),
        id: format!("given-{seq}"),
        name: name.to_owned(),
        received: at(seq as i64),
        ts: at(seq as i64),
        data: text(&format!("{{\"n\":{n}}}")),
        user: None,
        v: None,
        origin: EventOrigin::Api,
    }))
}

fn run(seq: u64, event: u64, function: u32) -> Write {
    Write::Run(RunRow {
        seq: Seq(seq),
        function,
        version: 1,
        event: Seq(event),
        created: at(seq as i64),
        due: at(seq as i64),
        original: None,
        more: Vec::new(),
        flow: Vec::new(),
    })
}

fn end(run: u64, last: u64, status: RunStatus, output: &str) -> Write {
    Write::RunEnd(RunEnd {
        run: Seq(run),
        status,
        started: at(run as i64 + 1),
        ended: at(run as i64 + 500),
        output: text(output),
        last: Seq(last),
        imaged: false,
    })
}

fn step(seq: u64, run: u64, kind: StepKind, name: &str, payload: &str) -> Write {
    Write::Step(StepRow {
        mark: StepMark {
            seq: Seq(seq),
            run: Seq(run),
            kind,
            flags: StepFlags(StepFlags::CLOSES),
            item: Seq(run),
            attempt: u8::from(name == "charge"),
            due: at(900),
        },
        prev: Seq(seq - 1),
        id: Some(StepId::new(name)),
        name: name.to_owned(),
        queued: at(seq as i64),
        started: at(seq as i64 + 1),
        ended: at(seq as i64 + 2),
        payload: text(payload),
        source: None,
    })
}

/// Run 12 has returned after three steps, run 21 has failed, run 31 is live, run 41 was cancelled.
fn world() -> Box<dyn Reader> {
    world_with(Vec::new())
}

/// The same and more.
fn world_with(more: Vec<Write>) -> Box<dyn Reader> {
    let store = MemoryStore::new();
    let (mut writer, start) = store.writer(at(0)).unwrap();
    let mut engine = vec![
        Write::App(app()),
        Write::Function(Box::new(function(0, "order"))),
        Write::Function(Box::new(function(1, "refund"))),
        event(11, "shop/order", 1),
        run(12, 11, 0),
        step(
            13,
            12,
            StepKind::Retried,
            "charge",
            r#"{"message":"not yet"}"#,
        ),
        step(14, 12, StepKind::Ran, "charge", r#"{"ok":true}"#),
        step(
            15,
            12,
            StepKind::Waited,
            "paid",
            r#"{"event":"shop/paid","if":"async.data.n > 0"}"#,
        ),
        step(16, 12, StepKind::Slept, "nap", ""),
        end(12, 16, RunStatus::Completed, r#"{"total":5}"#),
        event(20, "shop/refund", 2),
        run(21, 20, 1),
        end(
            21,
            21,
            RunStatus::Failed,
            r#"{"code":"E0507","message":"no","name":"Nope"}"#,
        ),
        event(30, "shop/order", 3),
        run(31, 30, 0),
        event(40, "shop/order", 4),
        run(41, 40, 0),
        end(
            41,
            41,
            RunStatus::Cancelled,
            r#"{"reason":"timeouts.finish"}"#,
        ),
    ];
    engine.extend(more);
    let batch = Batch {
        commit_no: start.commit_no + 1,
        epoch: start.epoch,
        engine,
        delivery: Vec::new(),
    };
    assert_eq!(writer.commit(&batch), CommitOutcome::Done);
    store.reader().unwrap()
}

fn answer(body: Value) -> (u16, Value) {
    let request = Request::parse(body.to_string().as_bytes()).unwrap();
    let response = execute(&mut *world(), &request, at(10_000), &mut Begun::default());
    (response.status, response.body)
}

/// The answer without errors.
#[track_caller]
fn data(query: &str, variables: Value) -> Value {
    let (status, body) = answer(json!({"query": query, "variables": variables}));
    assert_eq!((status, body.get("errors")), (200, None), "{body:#}");
    body["data"].clone()
}

#[track_caller]
fn refused(query: &str, variables: Value) -> String {
    let (status, body) = answer(json!({"query": query, "variables": variables}));
    assert_eq!(status, 422, "{query}: {body:#}");
    assert_eq!(body["data"], Value::Null);
    body["errors"][0]["message"].as_str().unwrap().to_owned()
}

/// A batch of three events, live.
fn batch() -> Vec<Write> {
    let Write::Run(mut row) = run(54, 50, 0) else {
        unreachable!("it is a run's row");
    };
    row.more = vec![Seq(52), Seq(53)];
    vec![
        event(50, "shop/order", 50),
        event(52, "shop/order", 52),
        event(53, "shop/order", 53),
        Write::Run(row),
    ]
}

#[test]
fn a_batch_shows_all_of_its_events_in_order() {
    let query = "query($id: String!) {
        run(runID: $id) { triggerIDs eventName isBatch batchCreatedAt }
        runTrigger(runID: $id) { IDs payloads isBatch batchID timestamp } }";
    let asked = |reader: &mut dyn Reader, run: u64| {
        let body = json!({"query": query, "variables": {"id": id(run).to_string()}});
        let request = Request::parse(body.to_string().as_bytes()).unwrap();
        let response = execute(reader, &request, at(10_000), &mut Begun::default());
        assert_eq!(response.body.get("errors"), None, "{:#}", response.body);
        response.body["data"].clone()
    };
    let mut world = world_with(batch());
    let found = asked(&mut *world, 54);
    let ids = json!([50, 52, 53].map(|seq| id(seq).to_string()));
    assert_eq!(
        found["run"],
        json!({"triggerIDs": ids, "eventName": "shop/order", "isBatch": true,
            "batchCreatedAt": at(50).rfc3339()})
    );
    let trigger = &found["runTrigger"];
    assert_eq!(
        (&trigger["IDs"], &trigger["batchID"], &trigger["isBatch"]),
        (&ids, &json!(id(54).to_string()), &json!(true))
    );
    let payloads = trigger["payloads"].as_array().unwrap();
    let numbers = payloads.iter().map(|payload| {
        let event: Value = serde_json::from_str(payload.as_str().unwrap()).unwrap();
        event["data"]["n"].clone()
    });
    assert_eq!(numbers.collect::<Vec<_>>(), [50, 52, 53]);
    let alone = asked(&mut *world, 12);
    assert_eq!(alone["runTrigger"]["batchID"], Value::Null);
    assert_eq!(alone["run"]["isBatch"], false);
}

#[test]
fn a_batch_is_found_by_any_of_its_events() {
    let query = "query($filter: RunsFilterV2!) {
        runs(orderBy: [], filter: $filter) { edges { node { id } } } }";
    let filter = json!({"from": at(0).rfc3339(), "query": "event.data.n == 53"});
    let body = json!({"query": query, "variables": {"filter": filter}});
    let request = Request::parse(body.to_string().as_bytes()).unwrap();
    let mut world = world_with(batch());
    let response = execute(&mut *world, &request, at(10_000), &mut Begun::default());
    assert_eq!(
        response.body["data"]["runs"]["edges"],
        json!([{"node": {"id": id(54).to_string()}}])
    );
}

#[test]
fn a_live_run_is_queued_until_the_engine_says_that_it_has_begun() {
    let query = "query($id: String!, $queued: RunsFilterV2!, $running: RunsFilterV2!) {
        run(runID: $id) { status trace { status } }
        functionRun(query: {functionRunId: $id}) { status }
        queued: runs(orderBy: [], filter: $queued) { edges { node { id } } totalCount }
        running: runs(orderBy: [], filter: $running) { edges { node { id } } totalCount } }";
    let filter = |status: &str| json!({"from": at(0).rfc3339(), "status": [status]});
    let (queued, running) = (filter("QUEUED"), filter("RUNNING"));
    let variables = json!({"id": id(31).to_string(), "queued": queued, "running": running});
    let body = json!({"query": query, "variables": variables});
    let request = Request::parse(body.to_string().as_bytes()).unwrap();
    let mut world = world_with(batch());
    let mut ask = |mut begun: Begun| {
        let response = execute(&mut *world, &request, at(10_000), &mut begun);
        assert_eq!(response.body.get("errors"), None, "{:#}", response.body);
        (response.body["data"].clone(), begun.asked())
    };
    let listed = |seqs: &[u64]| {
        let edges = seqs
            .iter()
            .map(|seq| json!({"node": {"id": id(*seq).to_string()}}));
        json!({"edges": edges.collect::<Vec<_>>(), "totalCount": seqs.len()})
    };
    let (unknown, asked) = ask(Begun::default());
    assert_eq!(asked, [Seq(31), Seq(54)], "the live ones, and no others");
    assert_eq!(unknown["running"], listed(&[54, 31]));
    let known = BTreeMap::from([(Seq(31), false), (Seq(54), true)]);
    let (told, _) = ask(Begun::new(known));
    assert_eq!(
        told,
        json!({
            "run": {"status": "QUEUED", "trace": {"status": "QUEUED"}},
            "functionRun": {"status": "QUEUED"},
            "queued": listed(&[31]),
            "running": listed(&[54]),
        })
    );
}

#[test]
fn a_list_by_status_goes_on_where_no_more_runs_can_be_asked_for() {
    let runs = (0..300).map(|n| run(1_000 + n, 11, 0)).collect();
    let mut world = world_with(runs);
    let query = "query($after: String) { runs(first: 100, after: $after, orderBy: [],
        filter: {from: \"2020-01-01T00:00:00Z\", status: [QUEUED]}) {
          edges { node { id } } pageInfo { hasNextPage endCursor } } }";
    // Only the oldest of them wait.
    let known = (1_000..1_300).map(|seq| (Seq(seq), seq >= 1_040)).collect();
    let mut begun = Begun::new(known);
    let mut found = Vec::new();
    let mut after = Value::Null;
    for page in 0..3 {
        let body = json!({"query": query, "variables": {"after": after}});
        let request = Request::parse(body.to_string().as_bytes()).unwrap();
        let response = execute(&mut *world, &request, at(10_000), &mut begun);
        let runs = response.body["data"]["runs"].clone();
        found.push(runs["edges"].as_array().unwrap().len());
        if runs["pageInfo"]["hasNextPage"] == false {
            assert_eq!((page, found), (1, vec![0, 40]), "{runs}");
            return;
        }
        after = runs["pageInfo"]["endCursor"].clone();
        begun = Begun::new((1_000..1_300).map(|seq| (Seq(seq), seq >= 1_040)).collect());
    }
    panic!("the list has no end");
}

#[test]
fn a_run_is_read_through_aliases_fragments_and_variables() {
    let query = r#"
        query Get($id: String!, $deep: Boolean = false, $shallow: Boolean!) {
          first: run(runID: $id) { ...Parts status @skip(if: $deep) }
          run(runID: $id) { id ... on FunctionRunV2 { output } endedAt @include(if: $shallow) }
        }
        fragment Parts on FunctionRunV2 { __typename name: eventName function { slug app { externalID } } }
    "#;
    let found = data(query, json!({"id": id(12).to_string(), "shallow": false}));
    assert_eq!(
        found,
        json!({
            "first": {
                "__typename": "FunctionRunV2",
                "name": "shop/order",
                "function": {"slug": "shop-order", "app": {"externalID": "shop"}},
                "status": "COMPLETED",
            },
            "run": {"id": id(12).to_string(), "output": r#"{"total":5}"#},
        })
    );
    let keys: Vec<&String> = found["first"].as_object().unwrap().keys().collect();
    assert_eq!(
        keys,
        ["__typename", "name", "function", "status"],
        "in the order of the query"
    );
}

#[test]
fn the_output_of_a_run_is_text_and_that_of_a_cancelled_one_is_no_reason() {
    let query = "query($id: ID!) { functionRun(query: {functionRunId: $id}) {
        id status output functionID finishedAt } }";
    let of = |seq: u64| data(query, json!({"id": id(seq).to_string()}))["functionRun"].clone();
    assert_eq!(of(12)["output"], r#"{"total":5}"#);
    assert_eq!(
        of(12)["functionID"],
        function_uuid("shop", "shop-order").to_string()
    );
    assert_eq!(of(21)["status"], "FAILED");
    assert_eq!(of(31)["status"], "RUNNING");
    assert_eq!(
        (&of(31)["output"], &of(31)["finishedAt"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(
        (&of(41)["output"], &of(41)["status"]),
        (&Value::Null, &json!("CANCELLED"))
    );
}

#[test]
fn a_trace_has_steps_attempts_and_what_waits_wait_for() {
    let query = r#"query($id: String!) { runTrace(runID: $id) {
        name isRoot attempts cancelReason
        childrenSpans {
          name status stepOp attempts duration outputID parentSpanID
          stepInfo {
            __typename
            ... on WaitForEventStepInfo { eventName expression timedOut }
            ... on SleepStepInfo { sleepUntil }
          }
          childrenSpans { name status }
        }
    } }"#;
    let trace = data(query, json!({"id": id(12).to_string()}));
    let root = &trace["runTrace"];
    assert_eq!(
        (&root["name"], &root["isRoot"]),
        (&json!("order"), &json!(true))
    );
    let steps = root["childrenSpans"].as_array().unwrap();
    assert_eq!(steps.len(), 3, "{trace:#}");
    assert_eq!(
        steps[0]["childrenSpans"],
        json!([
            {"name": "Attempt 1", "status": "FAILED"},
            {"name": "Attempt 2", "status": "COMPLETED"},
        ])
    );
    assert_eq!(
        (&steps[0]["attempts"], &steps[0]["stepOp"]),
        (&json!(2), &json!("RUN"))
    );
    assert_eq!(steps[0]["parentSpanID"], id(12).to_string());
    assert_eq!(
        steps[1]["stepInfo"],
        json!({
            "__typename": "WaitForEventStepInfo",
            "eventName": "shop/paid",
            "expression": "async.data.n > 0",
            "timedOut": null,
        })
    );
    assert_eq!(steps[2]["stepInfo"]["sleepUntil"], at(900).rfc3339());
    let output = "query($id: String!) { runTraceSpanOutputByID(outputID: $id) {
        data error { name code message } } }";
    let of = |id: &Value| data(output, json!({"id": id}))["runTraceSpanOutputByID"].clone();
    assert_eq!(
        of(&steps[0]["outputID"]),
        json!({"data": r#"{"ok":true}"#, "error": null})
    );
    let failed = format!("{0}:{0}", id(21));
    assert_eq!(
        of(&json!(failed)),
        json!({"data": null, "error": {"name": "Nope", "code": "E0507", "message": "no"}})
    );
    let cancelled = data(
        "query($id: String!) { runTrace(runID: $id) { status cancelReason } }",
        json!({"id": id(41).to_string()}),
    );
    assert_eq!(
        cancelled["runTrace"],
        json!({"status": "CANCELLED", "cancelReason": "timeouts.finish"})
    );
}

fn seqs(connection: &Value) -> Vec<u64> {
    let edges = connection["edges"].as_array().unwrap();
    edges
        .iter()
        .map(|edge| {
            let id: Ulid = edge["node"]["id"].as_str().unwrap().parse().unwrap();
            id.seq().unwrap().0
        })
        .collect()
}

const RUNS: &str =
    "query($filter: RunsFilterV2!, $by: [RunsV2OrderBy!]!, $first: Int, $after: String) {
    runs(filter: $filter, orderBy: $by, first: $first, after: $after) {
      edges { cursor node { id } } totalCount
      pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    } }";

fn runs(filter: Value, by: Value, more: Value) -> Value {
    let mut variables = json!({"filter": filter, "by": by});
    variables["filter"]["from"] = at(0).rfc3339().into();
    for (key, value) in more.as_object().unwrap() {
        variables[key] = value.clone();
    }
    data(RUNS, variables)["runs"].clone()
}

#[test]
fn runs_are_filtered_sorted_and_paged() {
    let newest = || json!([{"field": "QUEUED_AT", "direction": "DESC"}]);
    let some = |filter: Value| seqs(&runs(filter, newest(), json!({})));
    assert_eq!(some(json!({})), [41, 31, 21, 12]);
    assert_eq!(some(json!({"status": ["RUNNING", "FAILED"]})), [31, 21]);
    assert_eq!(some(json!({"until": at(31).rfc3339()})), [21, 12]);
    let refund = function_uuid("shop", "shop-refund").to_string();
    assert_eq!(some(json!({"functionIDs": [refund]})), [21]);
    assert_eq!(
        some(json!({"appIDs": [app_uuid("shop").to_string()]})),
        [41, 31, 21, 12]
    );
    assert_eq!(
        some(json!({"appIDs": [app_uuid("other").to_string()]})),
        [0_u64; 0]
    );
    assert_eq!(
        some(json!({"query": "event.data.n >= 2\nerror.name == 'Nope'"})),
        [21]
    );
    assert_eq!(some(json!({"query": "output.total == 5"})), [12]);
    assert_eq!(some(json!({"timeField": "ENDED_AT"})), [41, 21, 12]);
    let oldest = json!([{"field": "ENDED_AT", "direction": "ASC"}]);
    assert_eq!(
        seqs(&runs(json!({}), oldest.clone(), json!({}))),
        [31, 12, 21, 41]
    );
    for (by, pages) in [
        (newest(), [vec![41, 31, 21], vec![12]]),
        (oldest, [vec![31, 12, 21], vec![41]]),
    ] {
        let first = runs(json!({}), by.clone(), json!({"first": 3}));
        let after = first["pageInfo"]["endCursor"].clone();
        let second = runs(json!({}), by, json!({"first": 3, "after": after}));
        assert_eq!([seqs(&first), seqs(&second)], pages);
        assert_eq!([&first["totalCount"], &second["totalCount"]], [4, 4]);
        let next = |page: &Value| page["pageInfo"]["hasNextPage"].clone();
        assert_eq!((next(&first), next(&second)), (json!(true), json!(false)));
        assert_eq!(second["pageInfo"]["hasPreviousPage"], true);
    }
}

#[test]
fn events_lead_to_their_runs_and_back() {
    let query = r#"query($v2: ULID!, $id: ID!, $run: String!) {
        eventV2(id: $v2) { id idempotencyKey name raw runs { status function { name } } }
        event(query: {eventId: $id}) { name payload functionRuns { id status } }
        runTrigger(runID: $run) { eventName IDs payloads isBatch cron }
    }"#;
    let event = id(20).to_string();
    let found = data(
        query,
        json!({"v2": event, "id": event, "run": id(21).to_string()}),
    );
    let raw: Value = serde_json::from_str(found["eventV2"]["raw"].as_str().unwrap()).unwrap();
    assert_eq!(raw["data"], json!({"n": 2}));
    assert_eq!(found["eventV2"]["idempotencyKey"], "given-20");
    assert_eq!(
        found["eventV2"]["runs"],
        json!([{"status": "FAILED", "function": {"name": "refund"}}])
    );
    assert_eq!(
        found["event"],
        json!({
            "name": "shop/refund",
            "payload": r#"{"n":2}"#,
            "functionRuns": [{"id": id(21).to_string(), "status": "FAILED"}],
        })
    );
    let trigger = &found["runTrigger"];
    assert_eq!(
        (&trigger["IDs"], &trigger["cron"]),
        (&json!([event]), &Value::Null)
    );
    assert_eq!(trigger["payloads"][0], found["eventV2"]["raw"]);
}

#[test]
fn events_are_filtered_and_paged() {
    let query = "query($filter: EventsFilter!, $first: Int, $after: String) {
        eventsV2(filter: $filter, first: $first, after: $after) {
          edges { node { id } } totalCount pageInfo { hasNextPage endCursor } } }";
    let events = |filter: Value, more: Value| {
        let mut variables = json!({"filter": filter});
        variables["filter"]["from"] = at(0).rfc3339().into();
        for (key, value) in more.as_object().unwrap() {
            variables[key] = value.clone();
        }
        data(query, variables)["eventsV2"].clone()
    };
    let some = |filter: Value| seqs(&events(filter, json!({})));
    assert_eq!(some(json!({})), [40, 30, 20, 11]);
    assert_eq!(
        some(json!({"eventNames": ["shop/order", "shop/none"]})),
        [40, 30, 11]
    );
    assert_eq!(some(json!({"query": "event.data.n < 3"})), [20, 11]);
    assert_eq!(
        some(json!({"includeInternalEvents": true})),
        [40, 30, 20, 11]
    );
    let first = events(json!({}), json!({"first": 3}));
    let after = first["pageInfo"]["endCursor"].clone();
    let second = events(json!({}), json!({"first": 3, "after": after}));
    assert_eq!((seqs(&first), seqs(&second)), (vec![40, 30, 20], vec![11]));
    assert_eq!(first["pageInfo"]["hasNextPage"], true);
    assert_eq!(second["totalCount"], 4);
}

#[test]
fn apps_and_functions_know_each_other() {
    let found = data(
        "{ apps { externalID functionCount connected sdkLanguage sdkVersion functions { slug } }
           functionBySlug(query: {functionSlug: \"shop-refund\"}) { triggers { type value } app { name } } }",
        json!({}),
    );
    assert_eq!(
        found["apps"],
        json!([{
            "externalID": "shop", "functionCount": 2, "connected": true,
            "sdkLanguage": "js", "sdkVersion": "4.24.0",
            "functions": [{"slug": "shop-order"}, {"slug": "shop-refund"}],
        }])
    );
    assert_eq!(
        found["functionBySlug"],
        json!({"triggers": [{"type": "EVENT", "value": "shop/refund"}], "app": {"name": "shop"}})
    );
}

#[test]
fn unknown_ids_are_errors_beside_null() {
    let unknown = id(99).to_string();
    for (query, expected) in [
        (
            format!("{{run(runID:\"{unknown}\"){{id}}}}"),
            json!({"run": null}),
        ),
        (
            format!("{{functionRun(query:{{functionRunId:\"{unknown}\"}}){{id}}}}"),
            json!({"functionRun": null}),
        ),
        (
            format!("{{runTrigger(runID:\"{unknown}\"){{IDs}}}}"),
            Value::Null,
        ),
        (format!("{{eventV2(id:\"{unknown}\"){{id}}}}"), Value::Null),
        (
            format!("{{event(query:{{eventId:\"{unknown}\"}}){{id}}}}"),
            json!({"event": null}),
        ),
    ] {
        let (status, body) = answer(json!({"query": query}));
        assert_eq!((status, &body["data"]), (200, &expected), "{query}");
        assert_eq!(body["errors"][0]["message"], "not found", "{query}");
        assert_eq!(body["errors"][0]["extensions"]["code"], "E0102");
    }
    let query =
        "{runs(filter:{from:\"2020-01-01T00:00:00Z\",query:\"nonsense(\"},orderBy:[]){totalCount}}";
    let (status, body) = answer(json!({"query": query}));
    assert_eq!((status, &body["data"]["runs"]), (200, &Value::Null));
    assert_eq!(body["errors"][0]["extensions"]["code"], "E0406");
}

#[test]
fn documents_that_are_none_of_the_schema_are_refused() {
    let id = id(12).to_string();
    for (query, why) in [
        ("", "no query"),
        ("{", "expected"),
        ("mutation { run { id } }", "only queries"),
        ("{ nothing }", "Cannot query field \"nothing\""),
        (
            "{ apps { nothing } }",
            "Cannot query field \"nothing\" on type \"App\"",
        ),
        ("{ apps }", "needs fields"),
        ("{ apps { id { x } } }", "has no fields"),
        ("{ run { id } }", "needs \"runID\""),
        ("{ run(runID: 5) { id } }", "is no String"),
        ("{ run(runID: \"x\", other: 1) { id } }", "has no \"other\""),
        ("{ run(runID: $id) { id } }", "not declared"),
        ("query($id: String!) { run(runID: $id) { id } }", "required"),
        ("{ ...Gone }", "there is no fragment"),
        (
            "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }",
            "contains itself",
        ),
        ("{ apps { ... on Event { id } } }", "never matches"),
        ("{ apps { id @defer } }", "no directive @defer"),
        ("{ apps { id @skip(if: \"x\") } }", "must be a boolean"),
        (
            "query A { apps { id } } query B { apps { id } }",
            "several operations",
        ),
        (
            "{ runs(filter: {from: \"today\"}, orderBy: []) { totalCount } }",
            "is no Time",
        ),
    ] {
        let found = refused(query, json!({}));
        assert!(found.contains(why), "{query}: {found}");
    }
    let named = "query A { apps { id } } query B($x: String) { run(runID: $x) { id } }";
    let (status, body) = answer(json!({"query": named, "operationName": "A"}));
    assert_eq!((status, body.get("errors")), (200, None));
    let wrong = answer(json!({"query": named, "operationName": "C"}));
    assert_eq!(wrong.0, 422);
    for body in [
        "",
        "[]",
        "{\"query\":5}",
        "{\"query\":\"{x}\",\"variables\":[]}",
    ] {
        assert!(Request::parse(body.as_bytes()).is_err(), "{body}");
    }
    let conflict = format!("{{ a: run(runID:\"{id}\") {{id}} a: run(runID:\"x\") {{id}} }}");
    let (_, body) = answer(json!({"query": conflict}));
    assert!(
        body["errors"][0]["message"]
            .as_str()
            .unwrap()
            .contains("alias")
    );
}

#[test]
fn what_would_multiply_is_refused_before_it_is_read() {
    let deep = |levels: usize| {
        let open = "childrenSpans{".repeat(levels);
        format!(
            "{{runTrace(runID:\"x\"){{{open}name{}}}}}",
            "}".repeat(levels)
        )
    };
    assert!(refused(&deep(60), json!({})).contains("nested"));
    assert!(refused(&"[{(".repeat(20_000), json!({})).contains("nested"));
    let mut bomb = String::from("{ ...F0 } ");
    for n in 0..40 {
        bomb.push_str(&format!(
            "fragment F{n} on Query {{ ...F{0} ...F{0} }} ",
            n + 1
        ));
    }
    bomb.push_str("fragment F40 on Query { apps { id } }");
    let why = refused(&bomb, json!({}));
    assert!(why.contains("more than 2000 fields"), "{why}");
    assert!(refused(&"#".repeat(70_000), json!({})).contains("bytes"));
    let walks: String = (0..30)
        .map(|n| {
            format!("r{n}: runs(filter:{{from:\"2020-01-01T00:00:00Z\"}},orderBy:[]){{edges{{node{{id trace{{name}}}}}} totalCount}} ")
        })
        .collect();
    let (status, body) = answer(json!({"query": format!("{{{walks}}}")}));
    assert_eq!(
        (status, body.get("errors")),
        (200, None),
        "four rows are few"
    );
}

/// Everything that the type has, without going in circles.
fn everything(schema: &BTreeMap<String, TypeKind>, of: &str, above: &mut Vec<String>) -> String {
    let mut out = String::from("{ __typename ");
    match &schema[of] {
        TypeKind::Object(object) => {
            for field in &object.fields {
                let field = &field.node;
                let returns = field.ty.node.to_string().replace(['[', ']', '!'], "");
                let composite = matches!(
                    schema.get(&returns),
                    Some(TypeKind::Object(_) | TypeKind::Union(_))
                );
                if !composite {
                    out.push_str(&format!("{} ", field.name.node));
                } else if !above.contains(&returns) && above.len() < 5 {
                    above.push(returns.clone());
                    let inner = everything(schema, &returns, above);
                    above.pop();
                    out.push_str(&format!("{} {inner} ", field.name.node));
                }
            }
        }
        TypeKind::Union(union) => {
            for member in &union.members {
                let inner = everything(schema, &member.node, above);
                out.push_str(&format!("... on {} {inner} ", member.node));
            }
        }
        _ => {}
    }
    out.push('}');
    out
}

#[test]
fn every_field_of_the_schema_is_answered() {
    let text = include_str!("../src/schema.graphql");
    let document = async_graphql_parser::parse_schema(text).unwrap();
    let types = document
        .definitions
        .into_iter()
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(of) => Some((of.node.name.node.to_string(), of.node.kind)),
            _ => None,
        });
    let schema: BTreeMap<String, TypeKind> = types.collect();
    let (run, event) = (id(12), id(11));
    let from = "from: \"2020-01-01T00:00:00Z\"";
    let app = app_uuid("shop");
    let mut asked = 0;
    for (root, of) in [
        (format!("run(runID: \"{run}\")"), "FunctionRunV2"),
        (
            format!("functionRun(query: {{functionRunId: \"{run}\"}})"),
            "FunctionRun",
        ),
        (
            format!("runs(filter: {{{from}}}, orderBy: [])"),
            "RunsV2Connection",
        ),
        (format!("runTrigger(runID: \"{run}\")"), "RunTraceTrigger"),
        (format!("runTrace(runID: \"{run}\")"), "RunTraceSpan"),
        (
            format!("runTraceSpanOutputByID(outputID: \"{run}:{run}\")"),
            "RunTraceSpanOutput",
        ),
        (format!("event(query: {{eventId: \"{event}\"}})"), "Event"),
        (format!("eventV2(id: \"{event}\")"), "EventV2"),
        (format!("eventsV2(filter: {{{from}}})"), "EventsConnection"),
        ("functions".to_owned(), "Function"),
        (
            "functionBySlug(query: {functionSlug: \"shop-order\"})".to_owned(),
            "Function",
        ),
        ("apps".to_owned(), "App"),
        (format!("app(id: \"{app}\")"), "App"),
    ] {
        let name = root.split('(').next().unwrap_or_default().to_owned();
        let query = format!(
            "{{ {root} {} }}",
            everything(&schema, of, &mut vec![of.to_owned()])
        );
        let found = data(&query, json!({}));
        assert_ne!(found[&name], Value::Null, "{root}");
        asked += 1;
    }
    let TypeKind::Object(query) = &schema["Query"] else {
        unreachable!("the root is an object");
    };
    assert_eq!(asked, query.fields.len());
}
