//! What a wait for an event is made of: a name, an expression, and what that reads of the run's own
//! event, which is fixed when the wait begins.

use dunlin_expr::{Program, Value};
use dunlin_types::{Code, Coded, Event, Payload};

/// Why there is no wait.
#[derive(Debug)]
pub(crate) enum Refused {
    /// The expression is none, or what it reads cannot be kept.
    Bad(Coded),
    /// The expression cannot become true for any event.
    Never,
}

/// The payload of the row that opens a wait.
pub(crate) fn event_wait(
    name: &str,
    condition: Option<&str>,
    trigger: Option<&Event>,
) -> Result<Payload, Refused> {
    let mut spec = Value::Object(Default::default());
    spec["event"] = name.into();
    if let Some(text) = condition.filter(|text| !text.trim().is_empty()) {
        let program = Program::parse(text).map_err(Refused::Bad)?;
        let event = trigger.map_or(Value::Null, |e| dunlin_expr::parse_json(&e.json()));
        if program.is_never(&event) {
            return Err(Refused::Never);
        }
        spec["if"] = text.into();
        spec["with"] = program.project(&event);
    }
    let payload = Payload::from_json(spec.to_string());
    // The part of the event lies deeper here than in the event. A restart must be able to read it.
    if dunlin_expr::parse_json(payload.bytes()).is_null() {
        let why = "it reads a part of the run's event that is nested too deep";
        return Err(Refused::Bad(Coded::new(Code::WaitExpressionBad, why)));
    }
    Ok(payload)
}
