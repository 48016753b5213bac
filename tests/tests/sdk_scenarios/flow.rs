//! Rules of flow control: what the scenarios about them share.

use dunlin_tests::{text, until};
use serde_json::{Value, json};

use super::World;

/// Data of an event whose step works until it is told to go on.
pub(crate) fn held(n: u32) -> Value {
    json!({ "n": n, "hold": true })
}

/// The same under a key.
pub(crate) fn held_under(key: &str, n: u32) -> Value {
    json!({ "n": n, "key": key, "hold": true })
}

/// Data of an event under a key.
pub(crate) fn under(key: &str, n: u32) -> Value {
    json!({ "n": n, "key": key })
}

impl World {
    /// Sends `sdk/<function>` with each of these, and gives the runs.
    pub(crate) async fn start_all(
        &self,
        function: &str,
        data: impl IntoIterator<Item = Value>,
    ) -> Vec<String> {
        let mut runs = Vec::new();
        for one in data {
            let event = self.send(function, one).await;
            runs.push(self.server.run_of(&event).await);
        }
        runs
    }

    /// Waits until so many steps work at a place of the app.
    pub(crate) async fn at_work(&self, place: &str, count: u64) {
        until(&format!("{count} steps at {place}"), async || {
            (self.app.counts().await.now_at(place) == count).then_some(())
        })
        .await;
    }

    /// Waits until so many calls of a function are in flight and so many runs have yet to begin.
    pub(crate) async fn queued(&self, function: &str, in_flight: u64, starts: u64) {
        until(&format!("{starts} queued of {function}"), async || {
            let queues = self.server.queues(&format!("sdk-{function}")).await;
            let totals = &queues["totals"];
            let same = totals["inFlight"] == in_flight && totals["starts"] == starts;
            same.then_some(())
        })
        .await;
    }

    /// The steps that worked at a place, by their number, in the order in which they began.
    pub(crate) async fn log(&self, place: &str) -> Vec<Value> {
        self.app.counts().await.log_of(place).to_vec()
    }

    /// Who worked at a place so far, where several did at a time: which of them the app heard first is
    /// chance.
    pub(crate) async fn worked(&self, place: &str) -> Vec<u64> {
        let log = self.log(place).await;
        let mut numbers: Vec<u64> = log.iter().filter_map(Value::as_u64).collect();
        numbers.sort_unstable();
        numbers
    }

    /// All of them returned.
    pub(crate) async fn assert_all_completed(&self, runs: &[String]) {
        for run in runs {
            let ended = self.server.ended(run).await;
            assert_eq!(ended["status"], "Completed", "{ended}");
        }
    }

    /// What the one open item of a run waits for, once it is that kind of cause.
    pub(crate) async fn waits_for(&self, run: &str, cause: &str) -> Value {
        until(&format!("{cause} of run {run}"), async || {
            let waiting = self.server.waiting(run).await;
            let mut items = waiting["waitsFor"].as_array().cloned().unwrap_or_default();
            items.retain(|item| item["cause"]["kind"] == cause);
            items.pop()
        })
        .await
    }

    /// The run that an event of that function starts ends so.
    pub(crate) async fn assert_ends(&self, event: &str, status: &str) -> Value {
        let run = self.server.ended_run_of(event).await;
        assert_eq!(run["status"], status, "{run}");
        run
    }

    /// An event started nothing, because of that rule, under that key.
    pub(crate) async fn assert_dropped(&self, event: &str, rule: &str, key: &str) -> Value {
        assert!(self.server.runs_of(event).await.is_empty(), "{event}");
        let verdict = self.server.verdict(event).await;
        assert_eq!(verdict["outcome"], "dropped", "{verdict}");
        assert_eq!(verdict["detail"]["rule"], rule, "{verdict}");
        assert_eq!(verdict["detail"]["key"], key, "{verdict}");
        let function = text(&verdict["detail"]["slug"]);
        let dropped = self.server.dropped(&function).await;
        let record = dropped.iter().find(|one| one["eventId"] == event);
        let record = record.unwrap_or_else(|| panic!("no record of {event}: {dropped:?}"));
        assert_eq!(record["rule"], rule, "{record}");
        assert_eq!(record["key"], key, "{record}");
        assert_eq!(record["kept"], verdict["detail"]["kept"], "{record}");
        record["kept"].clone()
    }
}
