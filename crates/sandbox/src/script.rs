//! One job within a realm: load the script, call it, read what it returned.

use std::mem::ManuallyDrop;
use std::rc::Rc;
use std::time::Duration;

use dunlin_types::Code;
use dunlin_types::limits::{DELIVERY_BODY_BYTES_MAX, TRANSFORM_HEADERS_MAX};
use rquickjs::object::Filter;
use rquickjs::{Array, Coerced, Ctx, Error, Function, Object, Value};

use crate::entry::{self, Entry, NoEntry};
use crate::failure;
use crate::frame::{Failed, Form, Job, Outcome, Returned, Task};
use crate::realm::{Entered, Meter, Realm};
use crate::report::ScriptError;

/// A script that is about to run, unless it does not compile.
type Entering<'js> = rquickjs::Result<Entered<'js>>;

/// What is left of a run once its realm is gone.
pub(crate) struct Run {
    pub(crate) outcome: Outcome,
    pub(crate) payload: Vec<u8>,
}

/// Does the job; every way out of it is an outcome.
pub(crate) fn run(realm: &mut Realm, job: &Job, code: &str, payload: &str) -> Run {
    let meter = Rc::clone(&realm.meter);
    meter.allow(Duration::from_millis(job.cpu_ms));
    let done = realm.enter(code, |ctx, entered| {
        let script = Script {
            ctx,
            meter: &meter,
            cpu_ms: job.cpu_ms,
        };
        match job.task {
            Task::Check => script.load(entered).map(|_| (Outcome::Checked, Vec::new())),
            Task::Run => script
                .call(job, entered, payload)
                .map(|(returned, payload)| (Outcome::Returned(returned), payload)),
        }
    });
    // An operation that never asked the interrupt handler ends late; it is over the limit still.
    let done = done.and_then(|done| match meter.over() {
        true => Err(failure::deadline(job.cpu_ms)),
        false => Ok(done),
    });
    let (outcome, payload) = done.unwrap_or_else(|error| (failed(error), Vec::new()));
    Run { outcome, payload }
}

/// An error in the form that travels.
pub(crate) fn failed(error: ScriptError) -> Outcome {
    Outcome::Failed(Failed {
        code: error.code.number(),
        message: error.message,
        line: error.line,
        column: error.column,
    })
}

fn unusable(message: impl Into<String>) -> ScriptError {
    ScriptError::new(Code::TransformReturnBad, message)
}

struct Script<'a, 'js> {
    ctx: Ctx<'js>,
    meter: &'a Meter,
    cpu_ms: u64,
}

impl<'js> Script<'_, 'js> {
    fn explain(&self, error: Error, otherwise: Code) -> ScriptError {
        failure::explain(&self.ctx, self.meter, self.cpu_ms, error, otherwise)
    }

    fn threw(&self) -> impl Fn(Error) -> ScriptError {
        |error| self.explain(error, Code::TransformThrew)
    }

    fn load(&self, entered: Entering<'js>) -> Result<Entry<'js>, ScriptError> {
        entry::load(entered).map_err(|none| match none {
            NoEntry::Threw(error) => {
                let mut error = self.explain(error, Code::TransformThrew);
                let unread = error.message.starts_with("SyntaxError");
                if unread && error.code == Code::TransformThrew {
                    error.code = Code::TransformSyntax;
                }
                error
            }
            NoEntry::Missing => ScriptError::new(
                Code::TransformNoHandler,
                "the script declares no function named handler",
            ),
        })
    }

    fn call(
        &self,
        job: &Job,
        entered: Entering<'js>,
        payload: &str,
    ) -> Result<(Returned, Vec<u8>), ScriptError> {
        let function = self.load(entered)?;
        let event = self
            .ctx
            .json_parse(payload)
            .map_err(|error| self.explain(error, Code::TransformReturnBad))?;
        match function {
            Entry::Handler(handler) => {
                let webhook = self.webhook(job, event).map_err(self.threw())?;
                // Memory is put back after the run: taking the event apart first is work for nothing.
                let result = ManuallyDrop::new(self.invoke(&handler, (webhook,))?);
                self.read_webhook(&result)
            }
            Entry::Transform(transform) => {
                let (headers, query) = self.inbound(job).map_err(self.threw())?;
                let result = self.invoke(&transform, (event, headers, query, payload))?;
                let payload = self.json(result.into_value())?;
                let returned = Returned {
                    payload: Form::Json,
                    ..Returned::default()
                };
                Ok((returned, payload))
            }
        }
    }

    fn invoke<A>(&self, function: &Function<'js>, args: A) -> Result<Object<'js>, ScriptError>
    where
        A: rquickjs::function::IntoArgs<'js>,
    {
        let result: Value<'js> = function.call(args).map_err(self.threw())?;
        if result.is_promise() {
            return Err(unusable("async handlers are not supported"));
        }
        let kind = result.type_name();
        match result.into_object() {
            Some(object) if !object.is_function() => Ok(object),
            _ => Err(unusable(format!("returned {kind} instead of an object"))),
        }
    }

    fn webhook(&self, job: &Job, event: Value<'js>) -> rquickjs::Result<Object<'js>> {
        let webhook = Object::new(self.ctx.clone())?;
        webhook.set("method", job.method.as_str())?;
        webhook.set("url", job.url.as_str())?;
        webhook.set("payload", event)?;
        webhook.set("eventType", job.event_type.as_str())?;
        webhook.set("env", self.map(&job.variables)?)?;
        let given = job.params.as_deref().map(|text| self.ctx.json_parse(text));
        let given = given.transpose()?.and_then(Value::into_object);
        let params = match given {
            Some(params) => params,
            None => Object::new(self.ctx.clone())?,
        };
        if !params.contains_key("headers")? {
            params.set("headers", self.map(&job.params_headers)?)?;
        }
        webhook.set("transformationsParams", params)?;
        let channels = Array::new(self.ctx.clone())?;
        for (at, channel) in job.channels.iter().enumerate() {
            channels.set(at, channel.as_str())?;
        }
        webhook.set("channels", channels)?;
        webhook.set("headers", Object::new(self.ctx.clone())?)?;
        Ok(webhook)
    }

    fn inbound(&self, job: &Job) -> rquickjs::Result<(Object<'js>, Object<'js>)> {
        Ok((
            self.map(&job.params_headers)?,
            Object::new(self.ctx.clone())?,
        ))
    }

    fn map<'a, M>(&self, pairs: M) -> rquickjs::Result<Object<'js>>
    where
        M: IntoIterator<Item = (&'a String, &'a String)>,
    {
        let object = Object::new(self.ctx.clone())?;
        for (name, value) in pairs {
            object.set(name.as_str(), value.as_str())?;
        }
        Ok(object)
    }

    /// Reads the result's five fields, each once; nothing else of it is looked at.
    fn read_webhook(&self, result: &Object<'js>) -> Result<(Returned, Vec<u8>), ScriptError> {
        if result.is_array() {
            return Err(unusable("returned array instead of an object"));
        }
        let cancel = self
            .field(result, "cancel")?
            .is_some_and(|v| v.as_bool() == Some(true));
        if cancel {
            let returned = Returned {
                cancel,
                ..Returned::default()
            };
            return Ok((returned, Vec::new()));
        }
        let method = self.text(result, "method")?;
        let url = self.text(result, "url")?;
        let payload = self.field(result, "payload")?;
        let headers = match self.field(result, "headers")? {
            Some(headers) => self.headers(&headers)?,
            None => Vec::new(),
        };
        let typed = headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        let (form, payload) = self.body(payload, typed)?;
        let returned = Returned {
            method,
            url,
            headers,
            cancel,
            payload: form,
        };
        Ok((returned, payload))
    }

    fn field(&self, result: &Object<'js>, name: &str) -> Result<Option<Value<'js>>, ScriptError> {
        if !result.contains_key(name).map_err(self.threw())? {
            return Ok(None);
        }
        let value: Value<'js> = result.get(name).map_err(self.threw())?;
        let kept = value.is_undefined() && name != "payload";
        Ok((!kept).then_some(value))
    }

    fn text(&self, result: &Object<'js>, name: &str) -> Result<Option<String>, ScriptError> {
        let Some(value) = self.field(result, name)? else {
            return Ok(None);
        };
        let Some(text) = value.as_string() else {
            return Err(unusable(format!(
                "{name} is {}, not a string",
                value.type_name()
            )));
        };
        text.to_string()
            .map(Some)
            .map_err(|error| self.explain(error, Code::TransformReturnBad))
    }

    fn headers(&self, value: &Value<'js>) -> Result<Vec<(String, String)>, ScriptError> {
        let Some(object) = value.as_object().filter(|_| !value.is_array()) else {
            return Err(unusable(format!(
                "headers is {}, not an object",
                value.type_name()
            )));
        };
        let mut headers = Vec::new();
        let filter = Filter::new().string().enum_only();
        for pair in object.own_props::<String, Value<'js>>(filter) {
            let (name, value) = pair.map_err(self.threw())?;
            if headers.len() == TRANSFORM_HEADERS_MAX {
                let message = format!("headers has more than {TRANSFORM_HEADERS_MAX} entries");
                return Err(unusable(message));
            }
            if value.is_undefined() {
                continue;
            }
            if !(value.is_string() || value.is_number() || value.is_bool()) {
                let kind = value.type_name();
                return Err(unusable(format!("headers.{name} is {kind}, not a string")));
            }
            let Coerced(text) = value
                .get::<Coerced<String>>()
                .map_err(|error| self.explain(error, Code::TransformReturnBad))?;
            headers.push((name, text));
        }
        Ok(headers)
    }

    fn body(
        &self,
        payload: Option<Value<'js>>,
        typed: bool,
    ) -> Result<(Form, Vec<u8>), ScriptError> {
        let Some(payload) = payload else {
            return Ok((Form::Kept, Vec::new()));
        };
        match payload.as_string() {
            Some(text) if typed => {
                let text = text
                    .to_string()
                    .map_err(|error| self.explain(error, Code::TransformReturnBad))?;
                Ok((Form::Text, bounded(text)?))
            }
            _ => Ok((Form::Json, self.json(payload)?)),
        }
    }

    fn json(&self, value: Value<'js>) -> Result<Vec<u8>, ScriptError> {
        let kind = value.type_name();
        let text = self
            .ctx
            .json_stringify(value)
            .and_then(|json| json.map(|json| json.to_string()).transpose())
            .map_err(|error| {
                let mut error = self.explain(error, Code::TransformReturnBad);
                if error.code == Code::TransformReturnBad {
                    error.message = format!("payload cannot be JSON: {}", error.message);
                }
                error
            })?;
        bounded(text.ok_or_else(|| unusable(format!("payload cannot be JSON: it is {kind}")))?)
    }
}

fn bounded(text: String) -> Result<Vec<u8>, ScriptError> {
    if text.len() > DELIVERY_BODY_BYTES_MAX {
        let message = format!(
            "payload has {} bytes, more than {DELIVERY_BODY_BYTES_MAX}",
            text.len()
        );
        return Err(unusable(message));
    }
    Ok(text.into_bytes())
}
