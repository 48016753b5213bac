//! The functions of the demo app: what a shop would do.

use serde_json::{Value, json};

use super::call::{Call, Stop};

/// A function and what starts it.
pub(super) struct Function {
    pub(super) id: &'static str,
    pub(super) event: &'static str,
    pub(super) expression: Option<&'static str>,
    pub(super) body: fn(&Call) -> Result<Value, Stop>,
}

pub(super) const ALL: [Function; 3] = [
    Function {
        id: "send-confirmation",
        event: "payment.succeeded",
        expression: None,
        body: send_confirmation,
    },
    Function {
        id: "handle-dispute",
        event: "dispute.*",
        expression: Some("event.data.urgent == true"),
        body: handle_dispute,
    },
    Function {
        id: "welcome-subscriber",
        event: "subscription.started",
        expression: None,
        body: welcome_subscriber,
    },
];

fn send_confirmation(call: &Call) -> Result<Value, Stop> {
    let order = call.run("load-order", |_| Ok(json!({ "items": 1 })))?;
    let sent = call.run("send-email", |attempt| match attempt {
        1 => Err("the mail server is busy".to_owned()),
        _ => Ok(json!({ "to": call.data()["customer_email"] })),
    })?;
    call.run("note-in-crm", |_| Ok(json!({ "items": order["items"] })))?;
    Ok(json!({ "confirmed": call.data()["payment_id"], "to": sent["to"] }))
}

fn handle_dispute(call: &Call) -> Result<Value, Stop> {
    let evidence = call.run("collect-evidence", |_| Ok(json!(["invoice", "tracking"])))?;
    call.run("alert-team", |_| Ok(json!({ "channel": "#disputes" })))?;
    Ok(json!({ "dispute": call.data()["dispute_id"], "evidence": evidence }))
}

fn welcome_subscriber(call: &Call) -> Result<Value, Stop> {
    call.run("send-welcome", |_| {
        Ok(json!({ "to": call.data()["customer_email"] }))
    })?;
    call.sleep("let-them-settle", "2s")?;
    call.run("send-tips", |_| Ok(json!({ "tips": 3 })))?;
    Ok(json!({ "welcomed": call.data()["customer_name"] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Plays the server: calls until the function ends, and keeps what it reports.
    fn play(function: &Function, event: &Value) -> (Vec<String>, Value) {
        let (mut steps, mut attempt, mut told) = (json!({}), 0, Vec::new());
        for _ in 0..10 {
            let ctx = json!({ "attempt": attempt, "max_attempts": 4 });
            let body = json!({ "event": event, "steps": steps, "ctx": ctx });
            match (function.body)(&Call::read(&body, Some("step"))) {
                Ok(result) => return (told, result),
                Err(Stop::Failed(error)) => panic!("{error}"),
                Err(Stop::Report(op)) => {
                    let (kind, id) = (op["op"].as_str().unwrap(), op["id"].as_str().unwrap());
                    told.push(format!("{kind} {id}"));
                    attempt = u64::from(kind == "StepError");
                    match kind {
                        "StepRun" => steps[id] = json!({ "data": op["data"] }),
                        "Sleep" => steps[id] = Value::Null,
                        _ => {}
                    }
                }
            }
        }
        panic!("it does not end: {told:?}");
    }

    #[test]
    fn the_confirmation_needs_a_second_attempt() {
        let event = json!({ "data": { "payment_id": "pay_1", "customer_email": "a@b.example" } });
        let (told, result) = play(&ALL[0], &event);
        let expected = [
            "StepRun load-order",
            "StepError send-email",
            "StepRun send-email",
            "StepRun note-in-crm",
        ];
        assert_eq!(told, expected);
        assert_eq!(result, json!({ "confirmed": "pay_1", "to": "a@b.example" }));
    }

    #[test]
    fn the_welcome_sleeps_between_its_steps() {
        let (told, _) = play(&ALL[2], &json!({ "data": {} }));
        assert_eq!(
            told,
            [
                "StepRun send-welcome",
                "Sleep let-them-settle",
                "StepRun send-tips"
            ]
        );
    }
}
