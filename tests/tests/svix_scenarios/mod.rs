//! What the official webhook SDKs get from the server, told once and run with each of them. A
//! scenario uses every call of its group once as it should be used, and once so that it fails.

pub(crate) mod application;
pub(crate) mod attempt;
pub(crate) mod authentication;
pub(crate) mod endpoint;
pub(crate) mod event_type;
pub(crate) mod integration;
pub(crate) mod message;
pub(crate) mod operational;
pub(crate) mod replay;
pub(crate) mod signatures;
pub(crate) mod statistics;
pub(crate) mod transformation;

use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

use dunlin_tests::{Delivered, Hook, Server, SvixDriver, SvixSdk, Thrown, free_port, text, until};
use dunlin_types::Timestamp;
use serde_json::{Value, json};

/// The token of the operator, for servers that ask for one.
const ADMIN_TOKEN: &str = "the-operator-is-here-and-reads";

/// The resources of the SDKs whose calls the scenarios make.
const RESOURCES: &[&str] = &[
    "application",
    "authentication",
    "backgroundTask",
    "endpoint",
    "eventType",
    "health",
    "integration",
    "message",
    "messageAttempt",
    "operationalWebhook",
    "statistics",
];

/// The resources whose calls nobody makes: of other products (streams, and what sets up a whole
/// account), and another name of what has its calls made by its newer one.
const LEFT_OUT: &[&str] = &[
    "autoconfigSubscription",
    "connector",
    "destination",
    "environment",
    "ingest",
    "operationalWebhookEndpoint",
    "streaming",
];

/// Calls of [`RESOURCES`] that belong to another product: streams, and polling instead of
/// delivery.
const ELSEWHERE: &[&str] = &["authentication.stream", "message.poller.", "StreamPoller"];

/// Calls of which there is no wrong use.
const NEVER_FAIL: &[&str] = &["health.get"];

/// Which test makes which calls: whole resources, or calls of them. Who comes first has it.
const MADE_BY: &[(&str, &[&str])] = &[
    ("application", &["application.", "health."]),
    (
        "replay",
        &[
            "endpoint.recover",
            "endpoint.replayMissing",
            "endpoint.bulkReplay",
            "endpoint.sendExample",
            "endpoint.getStats",
            "endpoint.getAttemptStats",
            "backgroundTask.",
        ],
    ),
    (
        "transformation",
        &["endpoint.transformation", "endpoint.patchTransformation"],
    ),
    ("endpoint", &["endpoint."]),
    ("event_type", &["eventType."]),
    ("attempt", &["messageAttempt."]),
    ("message", &["message."]),
    ("statistics", &["statistics."]),
    ("operational", &["operationalWebhook."]),
    ("integration", &["integration."]),
    ("authentication", &["authentication."]),
];

/// What 1.x calls what came to have another name.
const OLD_NAMES: &[(&str, &str)] = &[
    ("application.upsert", "application.update"),
    ("endpoint.setHeaders", "endpoint.updateHeaders"),
    ("endpoint.transformation.get", "endpoint.transformationGet"),
    (
        "endpoint.transformation.patch",
        "endpoint.patchTransformation",
    ),
    ("endpoint.upsert", "endpoint.update"),
    ("eventType.upsert", "eventType.update"),
    (
        "operationalWebhook.endpoint.setHeaders",
        "operationalWebhook.endpoint.updateHeaders",
    ),
    (
        "operationalWebhook.endpoint.upsert",
        "operationalWebhook.endpoint.update",
    ),
];

macro_rules! svix_scenarios {
    ($sdk:expr) => {
        svix_scenarios! { $sdk;
            application, attempt, authentication, endpoint, event_type, integration, message,
            operational, replay, signatures, statistics, transformation,
        }

        #[tokio::test]
        async fn no_call_is_left_out() {
            svix_scenarios::no_call_is_left_out($sdk).await;
        }
    };
    ($sdk:expr; $($group:ident,)*) => {
        $(#[tokio::test]
        async fn $group() {
            svix_scenarios::$group::all($sdk).await;
        })*
    };
}

/// Every call of the SDK, whatever resource a new version brings, is one that a test has to make
/// before its [`World::end`], or one that is known to be left out.
pub(crate) async fn no_call_is_left_out(sdk: SvixSdk) {
    let calls = SvixDriver::start(sdk).await.methods("").await;
    let resources: BTreeSet<&str> = calls.iter().filter_map(|call| resource_of(call)).collect();
    let gone = RESOURCES.iter().find(|one| !resources.contains(*one));
    assert_eq!(gone, None, "among {resources:?}");
    for call in &calls {
        let resource = resource_of(call).unwrap_or_default();
        let known = RESOURCES.contains(&resource) && maker(call).is_some();
        assert!(known || LEFT_OUT.contains(&resource), "nobody makes {call}");
    }
}

fn resource_of(call: &str) -> Option<&str> {
    call.split_once('.').map(|(resource, _)| resource)
}

fn maker(call: &str) -> Option<&'static str> {
    let makes = |(_, calls): &&(&str, &[&str])| calls.iter().any(|one| call.starts_with(one));
    MADE_BY.iter().find(makes).map(|(group, _)| *group)
}

/// A server, an SDK that calls it, and a receiver.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) hook: Hook,
    driver: SvixDriver,
    group: &'static str,
    token: String,
    known: BTreeSet<String>,
    worked: BTreeSet<String>,
    failed: BTreeSet<String>,
}

impl World {
    /// With a development server whose clock can be moved.
    pub(crate) async fn dev(sdk: SvixSdk, group: &'static str) -> Self {
        let server = Server::dev(["--test-mode", "--no-discovery"]).await;
        Self::with(server, sdk, group).await
    }

    /// With a production server, which asks for the operator's token.
    pub(crate) async fn start(sdk: SvixSdk, group: &'static str) -> Self {
        let key = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
        let flags = ["--signing-key", key, "--event-key", "events-of-the-shop"];
        let more = [
            "--admin-token",
            ADMIN_TOKEN,
            "--allow-endpoint-range",
            "127.0.0.0/8",
        ];
        let flags = [flags, more].concat();
        let server = Server::start("start", free_port(), flags).await;
        Self::with(server.with_bearer(ADMIN_TOKEN), sdk, group).await
    }

    async fn with(server: Server, sdk: SvixSdk, group: &'static str) -> Self {
        let mut driver = SvixDriver::start(sdk).await;
        let mut known = BTreeSet::new();
        for resource in RESOURCES {
            known.extend(driver.methods(resource).await);
        }
        Self {
            server,
            hook: Hook::start().await,
            driver,
            group,
            token: ADMIN_TOKEN.to_owned(),
            known,
            worked: BTreeSet::new(),
            failed: BTreeSet::new(),
        }
    }

    /// Makes the next calls with that token.
    pub(crate) fn use_token(&mut self, token: &str) {
        token.clone_into(&mut self.token);
    }

    /// Makes the next calls with the operator's token.
    pub(crate) fn be_operator(&mut self) {
        self.use_token(ADMIN_TOKEN);
    }

    /// Whether this SDK has that call.
    pub(crate) fn has(&self, call: &str) -> bool {
        self.known.contains(call)
    }

    /// The name that this SDK has for the call.
    fn name(&self, call: &str) -> String {
        if self.has(call) {
            return call.to_owned();
        }
        let old = OLD_NAMES.iter().find(|(new, _)| *new == call);
        let old = old.unwrap_or_else(|| panic!("the SDK has no {call}")).1;
        assert!(self.has(old), "the SDK has neither {call} nor {old}");
        old.to_owned()
    }

    async fn make(&mut self, call: &str, args: Value) -> Result<Value, Thrown> {
        let name = self.name(call);
        let (url, token) = (self.server.url(), &self.token);
        let request = json!({ "call": name, "args": args, "url": url, "token": token });
        let result = self.driver.ask(&request).await;
        let log = match result {
            Ok(_) => &mut self.worked,
            Err(_) => &mut self.failed,
        };
        log.insert(name);
        result
    }

    /// Makes a call that works.
    pub(crate) async fn ok(&mut self, call: &str, args: Value) -> Value {
        let shown = args.to_string();
        let answer = self.make(call, args).await;
        let answer = answer.unwrap_or_else(|error| panic!("{call} {shown}: {error:?}"));
        assert_times(&answer);
        answer
    }

    /// Makes a call that the server refuses with that status and word.
    pub(crate) async fn refused(&mut self, call: &str, args: Value, status: u64, code: &str) {
        let thrown = self.make(call, args).await;
        let thrown = thrown
            .err()
            .unwrap_or_else(|| panic!("{call} is not refused"));
        assert_eq!(thrown.status, Some(status), "{call}: {thrown:?}");
        assert_eq!(thrown.body["code"], code, "{call}: {thrown:?}");
        let detail = thrown.body["detail"].as_str().unwrap_or_default();
        assert!(!detail.is_empty(), "{call}: {thrown:?}");
    }

    /// Makes a call for something that is not there.
    pub(crate) async fn missing(&mut self, call: &str, args: Value) {
        self.refused(call, args, 404, "not_found").await;
    }

    /// Makes a call with something wrong at that place, such as `body.url`, or `""` for anywhere.
    pub(crate) async fn invalid(&mut self, call: &str, args: Value, place: &str) {
        let thrown = self.make(call, args).await;
        let thrown = thrown
            .err()
            .unwrap_or_else(|| panic!("{call} is not refused"));
        assert_eq!(thrown.status, Some(422), "{call}: {thrown:?}");
        let first = &thrown.body["detail"][0];
        let parts = first["loc"].as_array().cloned().unwrap_or_default();
        let parts: Vec<_> = parts.iter().filter_map(Value::as_str).collect();
        let is_there = !parts.is_empty() && (place.is_empty() || parts.join(".") == place);
        assert!(is_there, "{call}: not {place} in {thrown:?}");
        assert!(!text(&first["msg"]).is_empty() && !text(&first["type"]).is_empty());
    }

    /// Makes a list call until it ends, two at a time, and back again; gives the ids in order.
    pub(crate) async fn pages(&mut self, call: &str, before: &[Value], by: &str) -> Vec<String> {
        let mut pages: Vec<Vec<String>> = Vec::new();
        let mut options = json!({ "limit": 2 });
        loop {
            let page = self.ok(call, with(before, &options)).await;
            pages.push(column(&page, by));
            if page["done"] == true {
                self.back(call, before, by, &pages, &page).await;
                return pages.concat();
            }
            assert_eq!(pages.last().map(Vec::len), Some(2), "{page}");
            options["iterator"] = page["iterator"].clone();
            assert!(pages.len() < 100, "{call} does not end");
        }
    }

    /// From the last page to the first.
    async fn back(
        &mut self,
        call: &str,
        before: &[Value],
        by: &str,
        pages: &[Vec<String>],
        last: &Value,
    ) {
        let mut iterator = last["prevIterator"].clone();
        for page in pages.iter().rev().skip(1) {
            let options = json!({ "limit": 2, "iterator": iterator });
            let earlier = self.ok(call, with(before, &options)).await;
            assert_eq!(&column(&earlier, by), page, "{call} backwards");
            iterator = earlier["prevIterator"].clone();
        }
    }

    /// Makes an application and gives its id.
    pub(crate) async fn app(&mut self, uid: &str) -> String {
        let body = json!({ "name": uid, "uid": uid });
        text(&self.ok("application.create", json!([body])).await["id"])
    }

    /// Makes an endpoint at the receiver and gives its id.
    pub(crate) async fn endpoint(&mut self, app: &str) -> String {
        let body = json!({ "url": self.hook.url() });
        text(&self.ok("endpoint.create", json!([app, body])).await["id"])
    }

    /// Sends a message and gives its id.
    pub(crate) async fn message(&mut self, app: &str, event_type: &str, payload: Value) -> String {
        let body = json!({ "eventType": event_type, "payload": payload });
        text(&self.ok("message.create", json!([app, body])).await["id"])
    }

    /// Waits for the end of a background task, and gives it.
    pub(crate) async fn finished(&mut self, task: &Value) -> Value {
        let id = text(&task["id"]);
        let ended = until("end of the task", async || {
            let now = self.ok("backgroundTask.get", json!([id])).await;
            (now["status"] != "running").then_some(now)
        })
        .await;
        assert_eq!(ended["status"], "finished", "{ended}");
        assert_eq!(ended["task"], task["task"], "{ended}");
        assert!(ended["data"].is_object(), "{ended}");
        ended
    }

    /// Waits until the server has done all that is due, and gives what the receiver got meanwhile.
    pub(crate) async fn arrived(&mut self) -> Vec<Delivered> {
        self.server.idle().await;
        self.hook.taken()
    }

    /// Has a library verify what was delivered.
    pub(crate) async fn verify(
        &mut self,
        library: &str,
        secret: &str,
        delivered: &Delivered,
    ) -> Result<Value, Thrown> {
        let (body, headers) = (&delivered.body, delivered.headers());
        let request =
            json!({ "verify": library, "secret": secret, "body": body, "headers": headers });
        self.driver.ask(&request).await
    }

    /// Ends the scenario: each call that is the group's was made, and failed once.
    pub(crate) fn end(self) {
        for call in self
            .known
            .iter()
            .filter(|call| maker(call) == Some(self.group))
        {
            if ELSEWHERE.iter().any(|part| call.contains(part)) {
                continue;
            }
            assert!(self.worked.contains(call), "{call} was not made");
            let fails = self.failed.contains(call) || NEVER_FAIL.contains(&call.as_str());
            assert!(fails, "{call} did not fail once");
        }
    }
}

/// Answers have real times; the SDKs make `null` of what is none.
fn assert_times(answer: &Value) {
    match answer {
        Value::Array(items) => items.iter().for_each(assert_times),
        Value::Object(fields) => {
            // A transformation that was never made was never changed.
            let is_none = fields.get("code").is_some_and(Value::is_null);
            for name in ["createdAt", "updatedAt", "timestamp"] {
                let is_time = fields.get(name).is_none_or(|value| {
                    let text = value.as_str().and_then(Timestamp::parse_rfc3339);
                    text.is_some() || (is_none && value.is_null())
                });
                assert!(is_time, "{name} of {answer}");
            }
            for (name, value) in fields {
                // What users wrote is theirs.
                if !["payload", "metadata", "schemas"].contains(&name.as_str()) {
                    assert_times(value);
                }
            }
        }
        _ => {}
    }
}

fn with(before: &[Value], options: &Value) -> Value {
    let mut args = before.to_vec();
    args.push(options.clone());
    Value::Array(args)
}

/// A field of each item of a list.
pub(crate) fn column(page: &Value, by: &str) -> Vec<String> {
    let items = page["data"].as_array().cloned().unwrap_or_default();
    items.iter().map(|item| text(&item[by])).collect()
}

/// A field that has two names, one of each generation.
pub(crate) fn either<'a>(answer: &'a Value, new: &str, old: &str) -> &'a Value {
    match &answer[new] {
        Value::Null => &answer[old],
        value => value,
    }
}

/// A time so many seconds from now, as the SDKs take it.
#[expect(
    clippy::disallowed_methods,
    reason = "a test stands for the user and his clock"
)]
pub(crate) fn date(seconds_from_now: i64) -> Value {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = i64::try_from(now.expect("the clock is right").as_millis()).expect("it fits");
    let at = Timestamp::from_ms(now / 1000 * 1000 + seconds_from_now * 1000);
    json!({ "$date": at.rfc3339() })
}
