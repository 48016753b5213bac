//! What goes into a transformation and what comes out of it, as callers see it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use dunlin_types::Code;
use serde::{Deserialize, Serialize};

/// One run of a transformation.
#[derive(Clone)]
pub struct TransformRequest {
    /// The script.
    pub code: Arc<str>,
    /// The method the delivery would use.
    pub method: String,
    /// The URL the delivery would go to.
    pub url: String,
    /// The event's type.
    pub event_type: String,
    /// The event's body, JSON.
    pub payload: Bytes,
    /// The endpoint's variables, `webhook.env`.
    pub variables: BTreeMap<String, String>,
    /// The message's channels.
    pub channels: Vec<String>,
    /// The inbound headers, `webhook.transformationsParams.headers`.
    pub params_headers: BTreeMap<String, String>,
    /// The rest of `webhook.transformationsParams`: a JSON object.
    pub params: Option<Bytes>,
}

/// What one run gave, and what it said and took.
#[derive(Clone, Debug)]
pub struct TransformReport {
    /// The delivery to send, or why there is none.
    pub result: Result<Transformed, ScriptError>,
    /// What the script wrote to its console.
    pub logs: Vec<LogLine>,
    /// Wall time of the run, without the wait for a worker.
    pub duration_us: u64,
}

/// A delivery as the transformation wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transformed {
    /// `POST`, `PUT` or `PATCH`, or what the request had.
    pub method: String,
    /// Where to send it; whether that address is allowed is for egress to say.
    pub url: String,
    /// The body: JSON with the script's own key order, or text.
    pub payload: Bytes,
    /// The body is a string sent as it is, under the content type the script set.
    pub raw_text: bool,
    /// Headers the script set, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Nothing is to be sent.
    pub cancel: bool,
}

/// One line of the script's console.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// Which function wrote it.
    pub level: LogLevel,
    /// Its text.
    pub text: String,
}

/// The console's functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogLevel {
    /// `console.debug`
    Debug,
    /// `console.log`
    Log,
    /// `console.info`
    Info,
    /// `console.warn`, and the sandbox's own note that output was cut.
    Warn,
    /// `console.error`
    Error,
}

/// Why a transformation cannot be saved or gave nothing to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The stable code, one of the transformation codes or `Overloaded`.
    pub code: Code,
    /// What happened, for the script's author.
    pub message: String,
    /// Line of the script, from 1.
    pub line: Option<u32>,
    /// Column of that line, from 1.
    pub column: Option<u32>,
}

impl ScriptError {
    /// An error that belongs to no place of the script.
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            line: None,
            column: None,
        }
    }
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "transformation error: {}", self.message)?;
        match (self.line, self.column) {
            (Some(line), Some(column)) => write!(f, " ({line}:{column})"),
            (Some(line), None) => write!(f, " ({line})"),
            _ => Ok(()),
        }
    }
}

impl std::error::Error for ScriptError {}
