//! Sends webhooks and tells what becomes of them, from what the server's own API says.

use std::collections::BTreeSet;

use dunlin_node::Clock;
use dunlin_types::{Secret, limits};
use dunlin_wire::standard_webhooks;
use http::Method;
use serde_json::Value;

use super::{LOOK_EVERY, unexpected};
use crate::fail::Failure;
use crate::http_client::HttpClient;
use crate::term::{Style, Term};
use crate::trigger::Webhook;
use crate::{sample, wiring};

/// What must come of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// A run of that function, which completes.
    Run(&'static str),
    /// No run, and this as the reason.
    Nothing(&'static str),
}

/// Letters of a result that are shown.
const RESULT_CHARS_MAX: usize = 90;

/// The teller.
pub(super) struct Story {
    term: Term,
    client: HttpClient,
    server: String,
    secret: Secret,
}

impl Story {
    pub(super) fn new(term: Term, client: HttpClient, server: &str, secret: Secret) -> Self {
        Self {
            term,
            client,
            server: server.to_owned(),
            secret,
        }
    }

    pub(super) fn title(&self, number: usize, event_type: &str, about: &str) {
        self.term.line("");
        let title = self
            .term
            .paint(Style::Bold, format_args!("{number}. {event_type}"));
        self.term.line(format_args!(
            "{title}  {}",
            self.term.paint(Style::Dim, about)
        ));
    }

    fn tell(&self, style: Style, mark: &str, text: impl std::fmt::Display) {
        self.term
            .line(format_args!("   {} {text}", self.term.paint(style, mark)));
    }

    fn tell_step(&self, style: Style, mark: &str, name: &str, text: impl std::fmt::Display) {
        let text = self.term.paint(Style::Dim, text);
        self.term.line(format_args!(
            "       {} {name:<18} {text}",
            self.term.paint(style, mark)
        ));
    }

    /// A signed sample that happens now.
    pub(super) fn webhook(&self, event_type: &str) -> Result<Webhook, Failure> {
        Ok(Webhook {
            url: format!("{}/in/{}", self.server, wiring::DODO),
            secret: self.secret.clone(),
            id: sample::webhook_id(),
            body: sample::body(event_type, Clock::new().now(), &[])?,
        })
    }

    /// Sends it; gives the message's id.
    pub(super) async fn accepted(&self, webhook: &Webhook) -> Result<String, Failure> {
        let reply = webhook.send(&self.client).await?;
        let (true, Some(id)) = (reply.is_success(), reply.json["id"].as_str()) else {
            return Err(unexpected(format!(
                "the webhook was refused: {}",
                reply.refusal()
            )));
        };
        let took = reply.took.as_secs_f64() * 1000.0;
        let text = format_args!("webhook   {id} verified, on disk, acknowledged in {took:.1} ms");
        self.tell(Style::Good, "✓", text);
        Ok(id.to_owned())
    }

    /// Sends it once more.
    pub(super) async fn repeated(&self, webhook: &Webhook, message: &str) -> Result<(), Failure> {
        let reply = webhook.send(&self.client).await?;
        let is_same = reply.json["id"] == *message && reply.json["duplicate"] == true;
        if !reply.is_success() || !is_same {
            return Err(unexpected(format!(
                "a repeat was taken as new: {}",
                reply.json
            )));
        }
        let text = format_args!(
            "webhook   known as {message}: HTTP {}, nothing runs",
            reply.status
        );
        self.tell(Style::Note, "=", text);
        Ok(())
    }

    /// Sends one that is not from the provider.
    pub(super) async fn forged(&self) -> Result<(), Failure> {
        let random: [u8; limits::WEBHOOK_KEY_BYTES_MIN] = rand::random();
        let mut webhook = self.webhook("payment.succeeded")?;
        webhook.secret = standard_webhooks::generate(&random);
        let reply = webhook.send(&self.client).await?;
        if reply.status != 401 {
            return Err(unexpected(format!("a forgery got HTTP {}", reply.status)));
        }
        self.tell(
            Style::Bad,
            "✗",
            format_args!("webhook   {}", reply.refusal()),
        );
        Ok(())
    }

    /// Tells what becomes of a message until nothing more will.
    pub(super) async fn follow(&self, message: &str, expected: Expected) -> Result<(), Failure> {
        let explained = self.settled(message).await?;
        let verdicts = explained["verdicts"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        let of = |kind: &'static str| {
            verdicts
                .iter()
                .filter(move |one| one["target"]["kind"] == kind)
        };
        // Endpoints that do not want a type are told of only when that is the whole story.
        let took: Vec<&Value> = of("endpoint")
            .filter(|one| one["outcome"] != "filtered")
            .collect();
        let endpoints = if took.is_empty() {
            of("endpoint").collect()
        } else {
            took
        };
        for verdict in endpoints {
            self.tell_endpoint(verdict);
        }
        for verdict in of("function") {
            self.tell_function(verdict).await?;
        }
        for verdict in of("event") {
            self.tell(
                Style::Note,
                "–",
                format_args!("function  none started: {}", text(&verdict["reason"])),
            );
        }
        for miss in explained["nearMisses"].as_array().into_iter().flatten() {
            let name = text(&miss["target"]["name"]);
            self.tell(
                Style::Dim,
                " ",
                format_args!("          near: {name}, {}", text(&miss["why"])),
            );
        }
        check(&verdicts, expected)
    }

    /// The explanation, once nothing of it is pending.
    async fn settled(&self, message: &str) -> Result<Value, Failure> {
        let url = format!("{}/api/events/{message}/explain", self.server);
        // Bounded by the time of the whole show.
        loop {
            let explained = self.client.ask(Method::GET, &url, None).await?;
            let verdicts = explained["verdicts"].as_array();
            let settled = verdicts.is_some_and(|verdicts| {
                !verdicts.is_empty() && verdicts.iter().all(|one| one["outcome"] != "pending")
            });
            if settled {
                return Ok(explained);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn tell_endpoint(&self, verdict: &Value) {
        let name = text(&verdict["target"]["name"]);
        let reason = text(&verdict["reason"]);
        match verdict["outcome"].as_str() {
            Some("delivered") => {
                let event = text(&verdict["detail"]["eventName"]);
                let told = format_args!("endpoint  {name}: transformed into the event {event}");
                self.tell(Style::Good, "✓", told);
            }
            Some("filtered") => {
                self.tell(Style::Note, "–", format_args!("endpoint  {name}: {reason}"));
            }
            _ => self.tell(Style::Bad, "✗", format_args!("endpoint  {name}: {reason}")),
        }
    }

    async fn tell_function(&self, verdict: &Value) -> Result<(), Failure> {
        let name = text(&verdict["target"]["name"]);
        let Some(run) = verdict["runId"].as_str() else {
            let reason = text(&verdict["reason"]);
            self.tell(
                Style::Note,
                "–",
                format_args!("function  {name} not started: {reason}"),
            );
            return Ok(());
        };
        self.tell(
            Style::Good,
            "✓",
            format_args!("function  {name}, run {run}"),
        );
        self.follow_run(run).await
    }

    /// Tells the steps of a run as they happen, then its result.
    async fn follow_run(&self, run: &str) -> Result<(), Failure> {
        let url = format!("{}/v2/runs/{run}/trace?includeOutput=true", self.server);
        let mut told = BTreeSet::new();
        // Bounded by the time of the whole show.
        loop {
            let trace = self.client.ask(Method::GET, &url, None).await?;
            let root = &trace["data"]["rootSpan"];
            for step in root["children"].as_array().into_iter().flatten() {
                self.tell_span(step, &mut told);
            }
            match root["status"].as_str() {
                Some("COMPLETED") => {
                    let result = shortened(&root["output"]);
                    let took = milliseconds(root);
                    self.tell(Style::Good, "=", format_args!("result    {result} {took}"));
                    return Ok(());
                }
                Some("RUNNING" | "QUEUED" | "SCHEDULED") => {}
                _ => {
                    return Err(unexpected(format!(
                        "the run {run} ended: {}",
                        root["output"]
                    )));
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// What is new of a step: an attempt that failed, a sleep that began, an end.
    fn tell_span(&self, span: &Value, told: &mut BTreeSet<String>) {
        let (id, name) = (text(&span["id"]), text(&span["name"]));
        let attempts = span["children"].as_array().cloned().unwrap_or_default();
        for attempt in attempts
            .iter()
            .filter(|attempt| attempt["status"] == "FAILED")
        {
            if told.insert(text(&attempt["id"]).to_owned()) {
                let which = text(&attempt["name"]).to_lowercase();
                let why = text(&attempt["output"]["message"]);
                self.tell_step(Style::Bad, "✗", name, format_args!("{which} failed: {why}"));
            }
        }
        if span["status"] == "WAITING" && told.insert(format!("{id} waits")) {
            self.tell_step(
                Style::Note,
                "…",
                name,
                "sleeps, and holds no connection meanwhile",
            );
        }
        if span["status"] == "COMPLETED" && told.insert(format!("{id} done")) {
            let took = milliseconds(span);
            let how = match (attempts.len(), span["stepOp"].as_str()) {
                (_, Some("SLEEP")) => format!("woke {took}"),
                (0, _) => format!("done {took}"),
                (count, _) => format!("done at attempt {count} {took}"),
            };
            self.tell_step(Style::Good, "✓", name, how);
        }
    }
}

fn check(verdicts: &[Value], expected: Expected) -> Result<(), Failure> {
    let runs: Vec<&str> = verdicts
        .iter()
        .filter(|one| one["runId"].is_string())
        .map(|one| text(&one["target"]["name"]))
        .collect();
    let is_right = match expected {
        Expected::Run(function) => runs == [function],
        Expected::Nothing(outcome) => {
            runs.is_empty() && verdicts.iter().any(|one| one["outcome"] == outcome)
        }
    };
    if is_right {
        return Ok(());
    }
    Err(unexpected(format!(
        "expected {expected:?}, got {}",
        Value::from(verdicts.to_vec())
    )))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn milliseconds(span: &Value) -> String {
    span["durationMs"]
        .as_str()
        .map(|ms| format!("({ms} ms)"))
        .unwrap_or_default()
}

fn shortened(value: &Value) -> String {
    let full = value.to_string();
    match full.chars().count() > RESULT_CHARS_MAX {
        true => full
            .chars()
            .take(RESULT_CHARS_MAX)
            .chain("…".chars())
            .collect(),
        false => full,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_was_not_expected_is_noticed() {
        let ran = json!({ "target": { "name": "f" }, "outcome": "started", "runId": "01" });
        let not = json!({ "target": { "name": "f" }, "outcome": "expressionFalse" });
        assert!(check(std::slice::from_ref(&ran), Expected::Run("f")).is_ok());
        assert!(
            check(
                std::slice::from_ref(&not),
                Expected::Nothing("expressionFalse")
            )
            .is_ok()
        );
        assert!(check(std::slice::from_ref(&not), Expected::Run("f")).is_err());
        assert!(check(&[ran.clone(), not], Expected::Nothing("expressionFalse")).is_err());
        assert!(check(&[ran.clone(), ran], Expected::Run("f")).is_err());
    }
}
