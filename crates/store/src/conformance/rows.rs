//! Rows with a different value in every field, made from one number.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_delivery::{
    Application, AttemptHeaders, AttemptResult, AttemptRow, DeliveryRow, DeliveryState, Endpoint,
    EndpointConfig, EndpointTls, Filter, HealthRow, JsonPath, Message, NewMessage, RefusalRow,
    RepeatRow, RestRow, Retention, SecretVersion, Source, SourceConfig, SourceKind, SourceMode,
    TallyRow, TaskFilter, TaskKind, TaskRow, TaskStatus, Transformation, Trigger,
};
use dunlin_engine::config::{
    AppRow, BatchRule, CancelRule, ConcurrencyRule, DebounceRule, FlowRules, FunctionRow, RateRule,
    RuleTime, Scope, SingletonMode, SingletonRule, Timeouts, TriggerSpec,
};
use dunlin_engine::step::{StepFlags, StepKind, StepMark, StepRow};
use dunlin_engine::{Image, RunEnd, RunRow, RunStatus};
use dunlin_types::{
    Challenge, Code, DedupeKey, Event, EventOrigin, EventParts, MacAlgorithm, MacEncoding, Payload,
    Place, Secret, Seq, StepId, Timestamp, Ulid, VerifyRule, ulid_for,
};

pub(super) const NAMES: [&str; 4] = ["payment.succeeded", "refund.failed", "né", "a/b"];

/// The instant of a row: they grow with its place.
pub(super) fn at(n: u64) -> Timestamp {
    Timestamp::from_ms(1_795_000_000_000 + n.cast_signed() * 7)
}

pub(super) fn maybe<T>(n: u64, value: T) -> Option<T> {
    n.is_multiple_of(2).then_some(value)
}

pub(super) fn json(n: u64) -> Payload {
    Payload::from_json(format!("{{\"n\": {n}, \"t\": \"é\"}}"))
}

fn map(n: u64) -> BTreeMap<String, String> {
    (0..n % 3)
        .map(|k| (format!("k{k}"), format!("v{n}")))
        .collect()
}

pub(super) fn event(n: u64) -> Arc<Event> {
    let internal_id = match n % 3 {
        0 => Ulid::from_parts(at(n), [n as u8; 10]),
        _ => ulid_for(at(n), Seq(n)),
    };
    Event::new(EventParts {
        seq: Seq(n),
        internal_id,
        id: maybe(n, format!("order-{n}")).unwrap_or_else(|| internal_id.to_string()),
        name: NAMES[n as usize % NAMES.len()].to_owned(),
        received: at(n),
        ts: at(n).plus_ms(-5),
        data: json(n),
        user: maybe(n / 2, json(n + 1)),
        v: maybe(n / 4, format!("2026-{n}")),
        origin: match n % 4 {
            0 => EventOrigin::Message(Seq(n / 2)),
            1 => EventOrigin::Internal,
            2 => EventOrigin::Run(Seq(n / 2)),
            _ => EventOrigin::Api,
        },
    })
}

pub(super) fn run(n: u64, event: Seq) -> RunRow {
    let (function, version) = (n as u32 % 7, n as u32 % 3);
    RunRow {
        seq: Seq(n),
        function,
        version,
        event,
        created: at(n),
        due: at(n + 9),
        original: maybe(n, Seq(n / 2)),
        more: Vec::new(),
        flow: maybe(n / 2, vec![n as u8; 5]).unwrap_or_default(),
    }
}

pub(super) fn image(n: u64, run: Seq, last: Seq) -> Image {
    Image {
        run,
        function: n as u32,
        last,
        items: vec![1, run.0 as u8, n as u8],
        flow: maybe(run.0 / 2, vec![run.0 as u8; 5]).unwrap_or_default(),
    }
}

pub(super) fn run_end(n: u64, run: Seq, last: Seq, imaged: bool) -> RunEnd {
    let status = [
        RunStatus::Completed,
        RunStatus::Failed,
        RunStatus::Cancelled,
    ][n as usize % 3];
    let started = if n.is_multiple_of(5) {
        Timestamp::ZERO
    } else {
        at(n)
    };
    RunEnd {
        run,
        status,
        started,
        ended: at(n + 1),
        output: json(n),
        last,
        imaged,
    }
}

pub(super) fn step(n: u64, run: Seq, prev: Seq) -> StepRow {
    let kind = StepKind::from_number(1 + (n % 10) as u8).unwrap();
    let id = match n % 3 {
        0 => None,
        1 => Some(StepId::Sha1([n as u8; 20])),
        _ => Some(StepId::new("nineteen characters")),
    };
    StepRow {
        mark: StepMark {
            seq: Seq(n),
            run,
            kind,
            flags: StepFlags((n % 256) as u16),
            item: prev,
            attempt: (n % 5) as u8,
            due: at(n + 3),
        },
        prev,
        id,
        name: maybe(n, format!("step {n} é")).unwrap_or_default(),
        queued: at(n),
        started: at(n + 1),
        ended: at(n + 2),
        payload: if n.is_multiple_of(4) {
            Payload::from_json("")
        } else {
            json(n)
        },
        source: None,
    }
}

pub(super) fn app(n: u64, number: u32) -> AppRow {
    AppRow {
        number,
        name: format!("app {n}"),
        url: format!("http://localhost:{n}/api"),
        identity_url: format!("http://127.0.0.1:{n}/api"),
        sdk: "js:v4.24.0".to_owned(),
        framework: "nextjs".to_owned(),
        version: maybe(n, "v1".to_owned()),
        checksum: [n as u8; 32],
        created: at(n),
        synced: at(n + 1),
        error: maybe(n / 2, (Code::AppUnreachable, format!("refused {n}"))),
    }
}

pub(super) fn function(n: u64, number: u32, version: u32) -> FunctionRow {
    let name = NAMES[n as usize % NAMES.len()].to_owned();
    FunctionRow {
        number,
        app: number / 2,
        slug: format!("app-fn-{number}"),
        name: format!("Fn {n}"),
        version,
        from: Seq(n),
        created: at(n),
        archived: maybe(n, at(n + 1)),
        paused: maybe(n / 2, at(n + 2)),
        cancel: vec![CancelRule {
            event: "shop/order.cancelled".to_owned(),
            condition: maybe(n, "event.data.id == async.data.id".to_owned()),
            until: match n % 3 {
                0 => None,
                1 => Some(RuleTime::AfterMs(1000)),
                _ => Some(RuleTime::At(at(n))),
            },
        }],
        timeouts: Timeouts {
            start_ms: maybe(n, 1000),
            finish_ms: maybe(n / 2, 2000),
        },
        triggers: vec![
            TriggerSpec::Event {
                name,
                expression: maybe(n, "event.data.n > 1".to_owned()),
            },
            TriggerSpec::Cron {
                schedule: "0 * * * *".to_owned(),
                jitter_ms: maybe(n, 30_000),
            },
        ],
        url: format!("http://localhost/api?fnId={number}"),
        retries: maybe(n, (n % 20) as u8),
        flow: flow_rules(n),
        config: json(n),
    }
}

/// No function has all of them; a store keeps them all the same.
fn flow_rules(n: u64) -> FlowRules {
    let number = n as u32;
    let key = |rule: &str| maybe(n, format!("event.data.{rule}"));
    let at_a_time = |k: u64| ConcurrencyRule {
        limit: number + k as u32,
        key: maybe(k, format!("event.data.k{n}")),
        scope: [Scope::Function, Scope::Env, Scope::Account][(n + k) as usize % 3],
    };
    let rate = |limit, burst| RateRule {
        limit,
        period_ms: at(n).ms(),
        burst,
        key: key("rate"),
    };
    FlowRules {
        concurrency: (0..n % 3).map(at_a_time).collect(),
        runs: (1..=n % 2).map(at_a_time).collect(),
        throttle: maybe(n, rate(u32::MAX - number, number)),
        rate_limit: maybe(n / 2, rate(number, 0)),
        debounce: maybe(
            n / 4,
            DebounceRule {
                period_ms: n.cast_signed() + 1_000,
                timeout_ms: maybe(n / 2, 5_000),
                key: key("debounce"),
            },
        ),
        batch: maybe(
            n / 8,
            BatchRule {
                size_max: number + 2,
                timeout_ms: n.cast_signed() + 1_000,
                key: key("batch"),
                condition: maybe(n / 2, "event.data.small".to_owned()),
            },
        ),
        priority: maybe(n, format!("event.data.p{n}")),
        singleton: maybe(
            n / 2,
            SingletonRule {
                key: key("singleton"),
                mode: [SingletonMode::Skip, SingletonMode::Cancel][n as usize % 2],
            },
        ),
        idempotency: maybe(n / 2, format!("event.data.é{n}")),
    }
}

pub(super) fn application(n: u64, id: Seq) -> Arc<Application> {
    Arc::new(Application {
        id,
        created: at(id.0),
        updated: at(n),
        name: format!("application {n}"),
        uid: maybe(n, format!("uid-{n}")),
        throttle_rate: maybe(n, n as u32),
        metadata: map(n),
        retention: Retention {
            payload_days: n as u16,
            days: n as u16 + 1,
            wipe_on_success: n.is_multiple_of(2),
        },
        operational: false,
    })
}

fn secrets(n: u64) -> Vec<SecretVersion> {
    let one = |k: u64| SecretVersion {
        secret: Secret::new(format!("whsec_{n}_{k}")),
        created: at(n),
        expires: (k > 0).then(|| at(n + k)),
    };
    (0..=n % 3).map(one).collect()
}

fn source_config(n: u64) -> SourceConfig {
    let place = |n: u64| match n % 3 {
        0 => None,
        1 => Some(Place::Header(format!("x-place-{n}"))),
        _ => Some(Place::Json(format!("data.{n}"))),
    };
    let header = format!("x-proof-{n}");
    let encodings = [
        MacEncoding::Hex,
        MacEncoding::Base64,
        MacEncoding::Base64Url,
    ];
    let algorithms = [
        MacAlgorithm::Sha1,
        MacAlgorithm::Sha256,
        MacAlgorithm::Sha512,
    ];
    SourceConfig {
        verify: match n % 3 {
            0 => None,
            1 => Some(VerifyRule::Header { header }),
            _ => Some(VerifyRule::Hmac {
                header,
                prefix: format!("v{n}="),
                encoding: encodings[n as usize / 3 % 3],
                algorithm: algorithms[n as usize / 9 % 3],
            }),
        },
        id: place(n),
        event_type: place(n + 1),
        ip_allow: (0..n % 3)
            .map(|k| format!("10.0.{k}.0/24").parse().unwrap())
            .collect(),
        challenge: match n % 4 {
            0 => Some(Challenge::of_token(&format!("token-{n}"))),
            1 => Some(Challenge::Echo(format!("challenge-{n}"))),
            _ => None,
        },
    }
}

pub(super) fn refusal(n: u64, source: Seq) -> RefusalRow {
    RefusalRow {
        seq: Seq(n),
        source,
        at: at(n),
        code: [Code::SignatureWrong, Code::TimestampOff][n as usize % 2],
        detail: format!("detail {n}"),
        ip: maybe(n, format!("10.0.0.{n}")),
        headers: map(n).into_iter().collect(),
        body_bytes: n * 7,
        unlisted: n % 5,
    }
}

pub(super) fn source(n: u64, id: Seq) -> Arc<Source> {
    Arc::new(Source {
        id,
        created: at(id.0),
        updated: at(n),
        name: format!("source-{n}"),
        uid: maybe(n, format!("s{n}")),
        kind: SourceKind::ALL[n as usize % SourceKind::ALL.len()],
        mode: [None, Some(SourceMode::Test), Some(SourceMode::Live)][n as usize % 3],
        config: source_config(n),
        url_token: maybe(n / 2, Secret::new(format!("url-{n}"))),
        app: Seq(n % 2),
        metadata: map(n),
        secrets: secrets(n),
    })
}

pub(super) fn endpoint(n: u64, id: Seq, version: u32) -> Arc<Endpoint> {
    let transformation = Transformation {
        code: format!("function handler(w) {{ return w; }} // {n}").into(),
        enabled: n.is_multiple_of(3),
        variables: map(n + 1),
        updated: at(n),
    };
    let config = EndpointConfig {
        app: Seq(n % 2),
        uid: maybe(n, format!("e{n}")),
        url: format!("https://example.com/{n}"),
        description: format!("number {n}"),
        disabled: n.is_multiple_of(3),
        disabled_reason: maybe(n, "gone".to_owned()),
        disabled_at: maybe(n, at(n)),
        fail_since: maybe(n / 2, at(n + 1)),
        paused: n.is_multiple_of(2),
        retry_schedule_ms: maybe(n, vec![n.cast_signed(), 7]),
        ordering_key: maybe(n / 2, JsonPath::parse("data.id").unwrap()),
        filter: maybe(n, Filter::parse(r#"{"payload": {"a": 1}}"#).unwrap()),
        tls: maybe(
            n / 2,
            EndpointTls {
                ca_pem: maybe(n, "ca".to_owned()),
                client_cert_pem: None,
                client_key_pem: maybe(n / 3, Secret::new("key")),
                insecure: n.is_multiple_of(2),
            },
        ),
        event_types: NAMES[..n as usize % NAMES.len()]
            .iter()
            .map(|&t| t.to_owned())
            .collect(),
        channels: vec![format!("c{n}")],
        throttle_rate: maybe(n, n as u32),
        metadata: map(n),
        headers: map(n + 2),
        integration: maybe(n, "inngest".to_owned()),
        transformation: maybe(n / 2, transformation),
    };
    Arc::new(Endpoint {
        id,
        created: at(id.0),
        updated: at(n),
        version,
        from_seq: Seq(n),
        config: Arc::new(config),
        secrets: secrets(n),
    })
}

pub(super) fn message(n: u64) -> Arc<Message> {
    Arc::new(Message {
        seq: Seq(n),
        at: at(n),
        app: Seq(n % 2),
        source: maybe(n, Seq(n / 2)),
        event_type: NAMES[n as usize % NAMES.len()].to_owned(),
        provider_id: format!("evt_{n}"),
        headers: vec![("webhook-id".to_owned(), format!("evt_{n}"))],
        channels: (0..n % 3).map(|k| format!("c{k}")).collect(),
        tags: (0..n % 2).map(|k| format!("t{k}")).collect(),
        deliver_at: maybe(n, at(n + 3)),
        expires: at(n + 90),
        params: maybe(n, Bytes::from_static(b"{}")),
        body: Bytes::from(format!("{{ \"raw\": {n} }}\n")),
        expired: false,
        body_hash: [n as u8; 16],
        test: n.is_multiple_of(5),
    })
}

pub(super) fn repeat(n: u64, message: Seq) -> RepeatRow {
    RepeatRow {
        seq: Seq(n),
        message,
        at: at(n),
        body_hash: [n as u8; 16],
        conflict: n.is_multiple_of(2),
    }
}

pub(super) fn delivery(n: u64, seq: Seq, message: Seq) -> DeliveryRow {
    let state = [
        DeliveryState::Pending,
        DeliveryState::Succeeded,
        DeliveryState::Failed,
        DeliveryState::Cancelled,
        DeliveryState::Duplicate,
    ][n as usize % 5];
    DeliveryRow {
        seq,
        message,
        endpoint: Seq(n % 11),
        trigger: [
            Trigger::Scheduled,
            Trigger::Manual,
            Trigger::Test,
            Trigger::Replay,
        ][n as usize % 4],
        state,
        tries: (n % 9) as u8,
        next_at: maybe(n, at(n + 5)),
        created: at(seq.0),
        ended: maybe(n + 1, at(n)),
        code: maybe(n, Code::DeliveryFailed),
        rivals: n.is_multiple_of(3),
        order_key: maybe(n, u64::MAX - n),
    }
}

pub(super) fn attempt(n: u64, of: &DeliveryRow) -> AttemptRow {
    AttemptRow {
        seq: Seq(n),
        delivery: of.seq,
        message: of.message,
        endpoint: of.endpoint,
        at: at(n),
        duration_ms: n.cast_signed(),
        attempt_no: (n % 8) as u8,
        trigger: of.trigger,
        result: [
            AttemptResult::Succeeded,
            AttemptResult::Failed,
            AttemptResult::Cancelled,
            AttemptResult::DuplicateOf(Seq(n)),
        ][n as usize % 4],
        status: 200 + (n % 300) as u16,
        code: maybe(n, Code::DeliveryTimedOut),
        detail: format!("detail {n}"),
        url: format!("https://example.com/{n}"),
        response: Bytes::from(vec![n as u8; n as usize % 20]),
        headers: AttemptHeaders {
            sent: (0..n % 2)
                .map(|k| (format!("h{k}"), "v".to_owned()))
                .collect(),
            received: Vec::new(),
        },
        logs: (0..n % 3).map(|k| format!("line {k}")).collect(),
        event: maybe(n, Seq(n + 1)),
        next_at: maybe(n / 2, at(n + 2)),
    }
}

pub(super) fn tally(n: u64, endpoint: u64) -> TallyRow {
    TallyRow {
        endpoint: Seq(endpoint),
        hour: (n % 20) as u32,
        succeeded: n as u32,
        failed: 1,
        cancelled: 2,
        attempts_failed: n as u32 + 1,
    }
}

pub(super) fn health(n: u64, endpoint: u64) -> HealthRow {
    HealthRow {
        endpoint: Seq(endpoint),
        failing_since: at(n),
        last_failed: at(n + 2),
        counts_since: maybe(n, at(n + 1)),
        warned_percent: (n % 100) as u8,
    }
}

pub(super) fn rest(n: u64, endpoint: u64) -> RestRow {
    RestRow {
        endpoint: Seq(endpoint),
        until: at(n),
    }
}

fn given(n: u64) -> NewMessage {
    let message = message(n);
    NewMessage {
        provider_id: message.provider_id.clone(),
        event_type: message.event_type.clone(),
        body: format!("{{\"n\":{n}}}").into(),
        body_hash: message.body_hash,
        headers: Vec::new(),
        channels: message.channels.clone(),
        tags: message.tags.clone(),
        deliver_at: maybe(n, at(n)),
        retention_ms: maybe(n + 1, 5),
        params: maybe(n, "{}".into()),
    }
}

pub(super) fn task(n: u64, id: Seq, status: TaskStatus) -> Arc<TaskRow> {
    Arc::new(TaskRow {
        id,
        created: at(id.0),
        updated: at(n),
        kind: [
            TaskKind::Recover,
            TaskKind::Statistics,
            TaskKind::EventTypes,
            TaskKind::Broadcast,
        ][n as usize % 4],
        status,
        app: Seq(n % 2),
        endpoint: maybe(n, Seq(n % 11)),
        filter: TaskFilter {
            since: maybe(n, at(n)),
            event_types: vec![format!("t{n}")],
            applications: vec![Seq(n)],
            given: maybe(n, Arc::new(given(n))),
            ..TaskFilter::default()
        },
        cursor: Seq(n),
        looked: n,
        changed: n + 1,
        result: format!("{{\"n\":{n}}}"),
        code: maybe(n, Code::EndpointDisabled),
    })
}

pub(super) fn key(n: u64) -> DedupeKey {
    DedupeKey::new(b"test", &n.to_be_bytes())
}
