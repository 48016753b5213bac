//! One call of a demo function, by the SDK protocol: results of finished steps come in, the next
//! thing to report goes out.

use serde_json::{Map, Value, json};

/// What a function is called with.
#[derive(Debug)]
pub(super) struct Call {
    event: Value,
    steps: Map<String, Value>,
    attempt: u64,
    attempts_max: u64,
    /// The server wants new steps reported before they run.
    plan: bool,
    /// The one step to run, if the server asks for one.
    target: Option<String>,
}

/// Why a function stops before its end.
#[derive(Debug, PartialEq)]
pub(super) enum Stop {
    /// There is an operation to report.
    Report(Value),
    /// A step has failed for good.
    Failed(Value),
}

impl Call {
    /// Reads the body of a call, and the step that its URL names.
    pub(super) fn read(body: &Value, target: Option<&str>) -> Self {
        let ctx = &body["ctx"];
        Self {
            event: body["event"].clone(),
            steps: body["steps"].as_object().cloned().unwrap_or_default(),
            attempt: ctx["attempt"].as_u64().unwrap_or_default(),
            attempts_max: ctx["max_attempts"].as_u64().unwrap_or(1),
            plan: ctx["disable_immediate_execution"]
                .as_bool()
                .unwrap_or_default(),
            target: target.filter(|id| *id != "step").map(str::to_owned),
        }
    }

    /// The event's data.
    pub(super) fn data(&self) -> &Value {
        &self.event["data"]
    }

    /// The result of a step: the stored one, or `work` is done now and reported. `work` is told the
    /// number of the attempt, from 1.
    pub(super) fn run(
        &self,
        id: &str,
        work: impl FnOnce(u64) -> Result<Value, String>,
    ) -> Result<Value, Stop> {
        if let Some(memo) = self.steps.get(id) {
            return match memo.get("error") {
                Some(error) => Err(Stop::Failed(error.clone())),
                None => Ok(memo.get("data").cloned().unwrap_or_default()),
            };
        }
        let is_due = self
            .target
            .as_deref()
            .map_or(!self.plan, |target| target == id);
        if !is_due {
            return Err(Stop::Report(
                json!({ "op": "StepPlanned", "id": id, "name": id }),
            ));
        }
        let report = match work(self.attempt + 1) {
            Ok(data) => json!({ "op": "StepRun", "id": id, "name": id, "data": data }),
            Err(message) => {
                let is_last = self.attempt + 1 >= self.attempts_max;
                let op = if is_last { "StepFailed" } else { "StepError" };
                let error = json!({ "name": "Error", "message": message });
                json!({ "op": op, "id": id, "name": id, "error": error })
            }
        };
        Err(Stop::Report(report))
    }

    /// Sleeps for that long, such as `2s`; the server wakes the function.
    pub(super) fn sleep(&self, id: &str, duration: &str) -> Result<(), Stop> {
        match self.steps.contains_key(id) {
            true => Ok(()),
            false => Err(Stop::Report(json!({
                "op": "Sleep", "id": id, "name": duration, "displayName": id,
                "opts": { "duration": duration },
            }))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(steps: Value, attempt: u64, plan: bool, target: Option<&str>) -> Call {
        let ctx = json!({
            "attempt": attempt, "max_attempts": 2, "disable_immediate_execution": plan,
        });
        Call::read(
            &json!({ "event": { "data": {} }, "steps": steps, "ctx": ctx }),
            target,
        )
    }

    fn op(stopped: Result<Value, Stop>) -> Value {
        match stopped {
            Err(Stop::Report(op)) => op["op"].clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_new_step_runs_and_a_known_one_does_not() {
        let fresh = call(json!({}), 0, false, None);
        assert_eq!(op(fresh.run("a", |_| Ok(json!(1)))), "StepRun");
        let known = call(json!({ "a": { "data": 1 } }), 0, false, None);
        assert_eq!(known.run("a", |_| panic!("it is done")), Ok(json!(1)));
    }

    #[test]
    fn a_step_fails_for_good_at_its_last_attempt() {
        let fails = |_| Err("busy".to_owned());
        assert_eq!(
            op(call(json!({}), 0, false, None).run("a", fails)),
            "StepError"
        );
        assert_eq!(
            op(call(json!({}), 1, false, None).run("a", fails)),
            "StepFailed"
        );
        let over = call(
            json!({ "a": { "error": { "message": "busy" } } }),
            0,
            false,
            None,
        );
        let stopped = over.run("a", |_| Ok(Value::Null));
        assert_eq!(stopped, Err(Stop::Failed(json!({ "message": "busy" }))));
    }

    #[test]
    fn steps_are_planned_when_the_server_says_so_and_run_when_named() {
        assert_eq!(
            op(call(json!({}), 0, true, None).run("a", |_| panic!())),
            "StepPlanned"
        );
        assert_eq!(
            op(call(json!({}), 0, true, Some("step")).run("a", |_| panic!())),
            "StepPlanned"
        );
        let named = call(json!({}), 0, true, Some("a"));
        assert_eq!(op(named.run("a", |_| Ok(Value::Null))), "StepRun");
        assert_eq!(
            op(call(json!({}), 0, true, Some("a")).run("b", |_| panic!())),
            "StepPlanned"
        );
    }

    #[test]
    fn a_sleep_is_reported_until_it_is_over() {
        let asleep = call(json!({}), 0, false, None).sleep("nap", "2s");
        let Err(Stop::Report(op)) = asleep else {
            panic!("{asleep:?}")
        };
        assert_eq!(
            (&op["op"], &op["opts"]["duration"]),
            (&json!("Sleep"), &json!("2s"))
        );
        assert_eq!(
            call(json!({ "nap": null }), 0, false, None).sleep("nap", "2s"),
            Ok(())
        );
    }
}
