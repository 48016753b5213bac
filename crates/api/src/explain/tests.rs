//! Explanations composed from facts, as a reader of the API sees them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_delivery::{
    AttemptHeaders, AttemptResult, AttemptRow, DeliveryRow, DeliveryState, EndpointConfig,
    EndpointVersionRow, Message, Trigger,
};
use dunlin_engine::config::{AppRow, BatchRule, FunctionRow, Rule, TriggerSpec};
use dunlin_engine::look::GatherView;
use dunlin_engine::{DroppedRow, RunEnd, RunRow, RunStatus};
use dunlin_store::RunView;
use dunlin_types::{Code, Event, EventOrigin, EventParts, Payload, Seq, Timestamp, Ulid, ulid_for};
use serde_json::{Value, json};

use super::load::{EventFacts, MessageFacts};
use super::shape::Repeats;
use super::{endpoints, functions, rules};
use crate::flow::{Dropped, Kept};

const NOW: Timestamp = Timestamp::from_ms(1_800_000_000_000);

fn event(name: &str, id: Option<&str>, data: &Value) -> Arc<Event> {
    let internal_id: Ulid = ulid_for(NOW, Seq(50));
    Event::new(EventParts {
        seq: Seq(50),
        internal_id,
        id: id.map_or_else(|| internal_id.to_string(), str::to_owned),
        name: name.to_owned(),
        received: NOW,
        ts: NOW,
        data: Payload::from_json(data.to_string()),
        user: None,
        v: None,
        origin: EventOrigin::Api,
    })
}

fn app(error: Option<(Code, &str)>) -> AppRow {
    AppRow {
        number: 0,
        name: "shop".to_owned(),
        url: "http://localhost:3000/api/inngest".to_owned(),
        identity_url: "http://localhost:3000/api/inngest".to_owned(),
        sdk: "js:v4".to_owned(),
        framework: "nextjs".to_owned(),
        version: None,
        checksum: [0; 32],
        created: NOW,
        synced: NOW,
        error: error.map(|(code, why)| (code, why.to_owned())),
    }
}

fn function(number: u32, trigger: &str, expression: Option<&str>) -> FunctionRow {
    FunctionRow {
        number,
        app: 0,
        slug: format!("shop-f{number}"),
        name: format!("F{number}"),
        version: 1,
        from: Seq(1),
        created: NOW,
        archived: None,
        triggers: vec![TriggerSpec::Event {
            name: trigger.to_owned(),
            expression: expression.map(str::to_owned),
        }],
        url: "http://localhost:3000/api/inngest".to_owned(),
        retries: None,
        paused: None,
        cancel: Vec::new(),
        timeouts: dunlin_engine::config::Timeouts::default(),
        flow: Default::default(),
        config: Payload::empty_object(),
    }
}

fn facts(event: Arc<Event>, functions: Vec<FunctionRow>) -> EventFacts {
    EventFacts {
        event,
        now: functions.clone(),
        then: functions,
        apps: vec![app(None)],
        runs: Vec::new(),
        begun: BTreeMap::new(),
        dropped: Vec::new(),
        gathering: BTreeMap::new(),
        repeats: Repeats::default(),
    }
}

fn run(function: u32, end: Option<RunStatus>) -> RunView {
    let row = RunRow {
        seq: Seq(60),
        function,
        version: 1,
        event: Seq(50),
        created: NOW,
        due: NOW,
        original: None,
        more: Vec::new(),
        flow: Vec::new(),
    };
    let end = end.map(|status| RunEnd {
        run: Seq(60),
        status,
        started: NOW,
        ended: NOW,
        output: Payload::null(),
        last: Seq(60),
        imaged: false,
    });
    RunView { row, end }
}

fn of_event(facts: &EventFacts) -> Value {
    serde_json::to_value(functions::explain(facts, NOW)).unwrap()
}

#[test]
fn a_started_function_names_its_run_and_how_that_stands() {
    let mut facts = facts(
        event("a/b", None, &json!({})),
        vec![function(0, "a/*", None)],
    );
    facts.runs = vec![run(0, Some(RunStatus::Completed))];
    let shown = of_event(&facts);
    assert_eq!(
        (&shown["kind"], &shown["name"]),
        (&json!("event"), &json!("a/b"))
    );
    let verdict = &shown["verdicts"][0];
    assert_eq!(verdict["outcome"], "started");
    assert_eq!(verdict["runId"], ulid_for(NOW, Seq(60)).to_string());
    assert_eq!(verdict["detail"]["status"], "Completed");
    assert_eq!(verdict["target"]["kind"], "function");
}

#[test]
fn a_false_expression_shows_the_values_that_made_it_so() {
    let functions = vec![function(
        0,
        "a/b",
        Some("event.data.amount > 100 && event.data.ok"),
    )];
    let shown = of_event(&facts(
        event("a/b", None, &json!({"amount": 50})),
        functions,
    ));
    let verdict = &shown["verdicts"][0];
    assert_eq!(verdict["outcome"], "expressionFalse");
    let said = verdict["reason"].as_str().unwrap();
    assert!(said.contains("event.data.amount = 50"), "{said}");
    let values = &verdict["detail"]["expressions"][0]["values"];
    assert_eq!(values["event.data.amount"], 50);
}

#[test]
fn an_expression_that_cannot_be_evaluated_says_why() {
    let functions = vec![function(0, "a/b", Some("event.data.amount"))];
    let shown = of_event(&facts(
        event("a/b", None, &json!({"amount": 50})),
        functions,
    ));
    assert_eq!(shown["verdicts"][0]["outcome"], "expressionFailed");
    assert_eq!(shown["verdicts"][0]["code"], "E0407");
}

#[test]
fn an_event_that_a_rule_dropped_names_the_rule_the_key_and_what_was_kept() {
    let functions = vec![function(0, "a/b", None), function(1, "a/b", None)];
    let mut facts = facts(event("a/b", None, &json!({})), functions);
    facts.runs = vec![run(1, None)];
    facts.dropped = vec![Dropped {
        row: DroppedRow {
            event: Seq(50),
            function: 0,
            at: NOW,
            rule: Rule::RateLimit,
            key: "cus_1".to_owned(),
            kept: Some(Seq(40)),
        },
        kept: Some(Kept::Run("RUN40".to_owned())),
    }];
    let shown = of_event(&facts);
    let verdict = &shown["verdicts"][0];
    assert_eq!(verdict["outcome"], "dropped");
    let said = verdict["reason"].as_str().unwrap();
    assert_eq!(
        said,
        "the function's rateLimit was used up under key \"cus_1\""
    );
    let detail = &verdict["detail"];
    assert_eq!(
        (&detail["rule"], &detail["key"]),
        (&json!("rateLimit"), &json!("cus_1"))
    );
    assert_eq!(detail["kept"], json!({"kind": "run", "id": "RUN40"}));
    assert_eq!(shown["verdicts"][1]["outcome"], "started");
}

#[test]
fn an_event_in_a_batch_or_a_debounce_says_when_that_is_due() {
    let mut batches = function(0, "a/b", None);
    batches.flow.batch = Some(BatchRule {
        size_max: 10,
        timeout_ms: 60_000,
        key: Some("event.data.customer".to_owned()),
        condition: None,
    });
    let view = |key: &str, due: i64| GatherView {
        rule: Rule::Batch,
        key: key.to_owned(),
        events: 3,
        opened: NOW,
        due: NOW.plus_ms(due),
    };
    let mut facts = facts(
        event("a/b", None, &json!({"customer": "cus_2"})),
        vec![batches],
    );
    assert_eq!(rules::undecided(&facts), [0]);
    facts.gathering = BTreeMap::from([(0, vec![view("cus_1", 1000), view("cus_2", 2000)])]);
    let shown = of_event(&facts);
    let verdict = &shown["verdicts"][0];
    assert_eq!(verdict["outcome"], "gathering");
    let detail = &verdict["detail"];
    assert_eq!(
        (&detail["rule"], &detail["key"]),
        (&json!("batchEvents"), &json!("cus_2"))
    );
    assert_eq!(detail["due"], NOW.plus_ms(2000).rfc3339());
    facts.runs = vec![run(0, None)];
    assert!(rules::undecided(&facts).is_empty());
    assert_eq!(of_event(&facts)["verdicts"][0]["outcome"], "started");
}

#[test]
fn a_run_that_a_singleton_skipped_names_the_one_that_was_live() {
    let mut facts = facts(
        event("a/b", None, &json!({})),
        vec![function(0, "a/b", None)],
    );
    let mut skipped = run(0, Some(RunStatus::Skipped));
    let why = json!({"reason": "Singleton", "rule": "singleton", "key": "cus_1",
        "existing_run_id": "RUN1"});
    skipped.end.as_mut().unwrap().output = Payload::from_json(why.to_string());
    facts.runs = vec![skipped];
    let shown = of_event(&facts);
    let verdict = &shown["verdicts"][0];
    assert_eq!(verdict["outcome"], "skipped");
    let said = verdict["reason"].as_str().unwrap();
    assert_eq!(
        said,
        "another run of the function was live under key \"cus_1\""
    );
    assert_eq!(
        verdict["detail"]["kept"],
        json!({"kind": "run", "id": "RUN1"})
    );
    facts.runs = vec![run(0, Some(RunStatus::Skipped))];
    let shown = of_event(&facts);
    let said = shown["verdicts"][0]["reason"].as_str().unwrap();
    assert!(said.contains("paused"), "{said}");
}

#[test]
fn an_event_id_that_was_seen_before_is_the_reason() {
    let functions = vec![function(0, "a/b", None)];
    let shown = of_event(&facts(event("a/b", Some("evt-1"), &json!({})), functions));
    assert_eq!(shown["verdicts"][0]["outcome"], "duplicate");
    assert_eq!(shown["verdicts"][0]["detail"]["eventId"], "evt-1");
}

#[test]
fn names_that_differ_a_little_are_near_misses_only() {
    let functions = vec![
        function(0, "payment.suceeded", None),
        function(1, "refund.failed", None),
    ];
    let shown = of_event(&facts(
        event("payment.succeeded", None, &json!({})),
        functions,
    ));
    assert_eq!(shown["verdicts"][0]["outcome"], "noTrigger");
    assert_eq!(shown["verdicts"][0]["target"]["kind"], "event");
    let misses = shown["nearMisses"].as_array().unwrap();
    assert_eq!(misses.len(), 1);
    assert_eq!(misses[0]["target"]["name"], "F0");
    assert!(
        misses[0]["why"]
            .as_str()
            .unwrap()
            .contains("payment.suceeded")
    );
}

#[test]
fn a_function_that_came_too_late_is_a_near_miss() {
    let mut facts = facts(event("a/b", None, &json!({})), Vec::new());
    facts.now = vec![function(0, "a/b", None)];
    let shown = of_event(&facts);
    assert_eq!(shown["verdicts"][0]["outcome"], "noTrigger");
    assert!(
        shown["nearMisses"][0]["why"]
            .as_str()
            .unwrap()
            .contains("only after")
    );
}

#[test]
fn archived_functions_and_unreachable_apps_are_named() {
    let mut old = function(0, "a/b", None);
    old.archived = Some(NOW);
    let mut facts = facts(event("a/b", None, &json!({})), vec![old]);
    facts.apps = vec![app(Some((Code::AppUnreachable, "connection refused")))];
    let shown = of_event(&facts);
    assert_eq!(shown["verdicts"][0]["outcome"], "archived");
    let at_app = &shown["verdicts"][1];
    assert_eq!(
        (&at_app["outcome"], &at_app["code"]),
        (&json!("appUnreachable"), &json!("E0404"))
    );
    assert_eq!(at_app["target"]["name"], "shop");
}

fn version(endpoint: u64, change: impl FnOnce(&mut EndpointConfig)) -> EndpointVersionRow {
    let mut config = EndpointConfig {
        url: "https://user:pw@hooks.example.com/T/secret?x=1".to_owned(),
        ..EndpointConfig::default()
    };
    change(&mut config);
    EndpointVersionRow {
        endpoint: Seq(endpoint),
        version: 1,
        from_seq: Seq(endpoint),
        at: NOW,
        config: Some(Arc::new(config)),
    }
}

fn delivery(seq: u64, endpoint: u64, state: DeliveryState) -> DeliveryRow {
    DeliveryRow {
        seq: Seq(seq),
        message: Seq(20),
        endpoint: Seq(endpoint),
        trigger: Trigger::Scheduled,
        state,
        tries: 1,
        next_at: (state == DeliveryState::Pending).then_some(NOW),
        created: NOW,
        ended: None,
        code: None,
        rivals: false,
        order_key: None,
    }
}

fn attempt(delivery: u64, endpoint: u64, result: AttemptResult) -> AttemptRow {
    AttemptRow {
        seq: Seq(delivery + 100),
        delivery: Seq(delivery),
        message: Seq(20),
        endpoint: Seq(endpoint),
        at: NOW,
        duration_ms: 3,
        attempt_no: 1,
        trigger: Trigger::Scheduled,
        result,
        status: 0,
        code: None,
        detail: String::new(),
        url: "https://hooks.example.com".to_owned(),
        response: Bytes::new(),
        headers: AttemptHeaders::default(),
        logs: Vec::new(),
        event: None,
        next_at: None,
    }
}

fn message(
    endpoints: Vec<EndpointVersionRow>,
    deliveries: Vec<DeliveryRow>,
    attempts: Vec<AttemptRow>,
) -> MessageFacts {
    let ids = endpoints
        .iter()
        .map(|row| (row.endpoint, format!("ep_{}", row.endpoint)));
    MessageFacts {
        message: Arc::new(Message {
            seq: Seq(20),
            at: NOW,
            app: Seq(0),
            source: Some(Seq(1)),
            event_type: "payment.succeeded".to_owned(),
            provider_id: "msg_p".to_owned(),
            headers: Vec::new(),
            channels: Vec::new(),
            tags: Vec::new(),
            deliver_at: None,
            expires: NOW,
            params: None,
            expired: false,
            body: Bytes::from_static(b"{}"),
            body_hash: [0; 16],
            test: false,
        }),
        app: ("app_0".to_owned(), "default".to_owned()),
        ids: ids.collect(),
        names: BTreeMap::new(),
        endpoints,
        deliveries,
        attempts: attempts
            .into_iter()
            .map(|one| (one.delivery, one))
            .collect(),
        blockers: BTreeMap::new(),
        firsts: BTreeMap::new(),
        events: BTreeMap::new(),
        repeats: Repeats {
            count: 2,
            last: Some(NOW.rfc3339()),
            conflict: true,
        },
    }
}

fn of_message(facts: &MessageFacts) -> Value {
    serde_json::to_value(endpoints::explain(facts, NOW)).unwrap()
}

#[test]
fn endpoints_that_did_not_want_a_message_say_why() {
    let shown = of_message(&message(
        vec![
            version(2, |config| {
                config.event_types = vec!["payment.suceeded".to_owned()]
            }),
            version(3, |config| config.channels = vec!["eu".to_owned()]),
            version(4, |config| {
                config.disabled = true;
                config.disabled_reason = Some("the receiver answered 410 Gone".to_owned());
            }),
        ],
        Vec::new(),
        Vec::new(),
    ));
    let outcomes: Vec<_> = shown["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| &v["outcome"])
        .collect();
    assert_eq!(outcomes, ["filtered", "filtered", "disabled"]);
    assert_eq!(shown["verdicts"][0]["detail"]["by"], "eventType");
    assert_eq!(shown["verdicts"][2]["code"], "E0617");
    assert!(
        shown["verdicts"][2]["reason"]
            .as_str()
            .unwrap()
            .contains("410")
    );
    assert_eq!(shown["nearMisses"][0]["target"]["id"], "ep_2");
    assert_eq!(
        shown["repeats"],
        json!({"count": 2, "last": NOW.rfc3339(), "conflict": true})
    );
    assert!(
        !shown.to_string().contains("secret"),
        "names of endpoints show no more than the host"
    );
}

#[test]
fn a_script_that_failed_shows_its_line_and_a_delivery_its_next_attempt() {
    let mut thrown = attempt(30, 2, AttemptResult::Failed);
    thrown.code = Some(Code::TransformThrew);
    thrown.detail = "transformation error: TypeError: x is not a function (3:7)".to_owned();
    let mut waiting = thrown.clone();
    waiting.delivery = Seq(31);
    let mut failed = delivery(30, 2, DeliveryState::Failed);
    failed.code = Some(Code::TransformThrew);
    let pending = delivery(31, 3, DeliveryState::Pending);
    let shown = of_message(&message(
        vec![version(2, |_| ()), version(3, |_| ())],
        vec![failed, pending],
        vec![thrown, waiting],
    ));
    let [failed, pending] = [&shown["verdicts"][0], &shown["verdicts"][1]];
    assert_eq!(
        (&failed["outcome"], &failed["code"]),
        (&json!("transformationFailed"), &json!("E0605"))
    );
    assert!(failed["reason"].as_str().unwrap().ends_with("(3:7)"));
    assert_eq!(pending["outcome"], "pending");
    assert_eq!(pending["detail"]["nextAttempt"], NOW.rfc3339());
    assert!(
        pending["detail"]["lastError"]
            .as_str()
            .unwrap()
            .contains("TypeError")
    );
}

#[test]
fn a_card_delivery_goes_on_to_the_event_and_its_functions() {
    let mut made = attempt(30, 2, AttemptResult::Succeeded);
    made.event = Some(Seq(50));
    let mut facts = message(
        vec![version(2, |_| ()), version(3, |_| ())],
        vec![
            delivery(30, 2, DeliveryState::Succeeded),
            delivery(31, 3, DeliveryState::Duplicate),
        ],
        vec![made, attempt(31, 3, AttemptResult::DuplicateOf(Seq(2)))],
    );
    let mut event = facts_of_started();
    event.runs = vec![run(0, None)];
    facts.events.insert(Seq(50), event);
    let shown = of_message(&facts);
    let verdicts = shown["verdicts"].as_array().unwrap();
    assert_eq!(verdicts[0]["outcome"], "delivered");
    assert_eq!(
        verdicts[0]["detail"]["eventId"],
        ulid_for(NOW, Seq(50)).to_string()
    );
    assert_eq!(verdicts[1]["outcome"], "duplicate");
    assert_eq!(verdicts[1]["detail"]["of"]["id"], "ep_2");
    assert_eq!(verdicts[2]["outcome"], "started");
    assert_eq!(verdicts[2]["deliveryId"], verdicts[0]["deliveryId"]);
    assert_eq!(verdicts[2]["detail"]["status"], "Running");
}

fn facts_of_started() -> EventFacts {
    facts(
        event("payment/processed", None, &json!({})),
        vec![function(0, "payment/processed", None)],
    )
}

#[test]
fn cancellation_and_the_lack_of_endpoints_are_told() {
    let cancelled = of_message(&message(
        vec![version(2, |_| ())],
        vec![delivery(30, 2, DeliveryState::Cancelled)],
        vec![attempt(30, 2, AttemptResult::Cancelled)],
    ));
    assert_eq!(cancelled["verdicts"][0]["outcome"], "cancelled");
    assert_eq!(cancelled["verdicts"][0]["detail"]["by"], "transformation");
    let nobody = of_message(&message(Vec::new(), Vec::new(), Vec::new()));
    assert_eq!(nobody["verdicts"][0]["outcome"], "noEndpoint");
    assert_eq!(nobody["verdicts"][0]["target"]["kind"], "application");
}

#[test]
fn a_paused_function_is_told_apart_from_one_that_started() {
    let mut paused = function(0, "a/b", None);
    paused.paused = Some(NOW);
    let mut facts = facts(event("a/b", None, &json!({})), vec![paused]);
    facts.runs = vec![run(0, Some(RunStatus::Skipped))];
    let verdict = &of_event(&facts)["verdicts"][0];
    assert_eq!(verdict["outcome"], "skipped");
    assert_eq!(verdict["detail"]["status"], "Skipped");
    assert_eq!(verdict["detail"]["pausedSince"], NOW.rfc3339());
    assert_eq!(verdict["runId"], ulid_for(NOW, Seq(60)).to_string());
}
