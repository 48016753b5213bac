//! `dunlin simulate`: runs a transformation in the sandbox, without a server. The result goes to
//! standard output as JSON; what the script logged, and its error, to standard error.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

use dunlin_node::Clock;
use dunlin_sandbox::{
    LogLevel, Sandbox, SandboxOptions, ScriptError, TransformReport, TransformRequest, Transformed,
};
use dunlin_types::{Code, Coded};
use serde_json::{Value, json};

use crate::cli::SimulateArgs;
use crate::fail::Failure;
use crate::term::{Term, complain};
use crate::{sample, set_path, wiring};

/// Where the delivery would go if this were one; the script sees it and may change it.
const URL: &str = "https://example.com/webhook";

pub(crate) async fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    let code = read(&args.file)?;
    let (event_type, payload) = input(&args)?;
    let (program, arguments) = wiring::js_worker()?;
    let sandbox = Sandbox::new(SandboxOptions::new(program, arguments));
    let request = TransformRequest {
        code: code.into(),
        method: "POST".to_owned(),
        url: URL.to_owned(),
        event_type,
        payload: payload.into(),
        variables: variables(&args.var)?,
        channels: Vec::new(),
        params_headers: BTreeMap::new(),
        params: None,
    };
    let report = sandbox.run(request).await;
    show_logs(&report);
    let transformed = report
        .result
        .map_err(|error| explained(&args.file, &error))?;
    let shown = serde_json::to_string_pretty(&shape(&transformed))?;
    Term::stdout().line(shown);
    Ok(ExitCode::SUCCESS)
}

fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(Code::FileUnreadable, format!("{}: {error}", path.display())))
}

/// The event's type and body: a sample, or the file.
fn input(args: &SimulateArgs) -> Result<(String, String), Failure> {
    let named = args.event.clone().unwrap_or_default();
    let Some(path) = &args.payload else {
        return Ok((
            named.clone(),
            sample::body(&named, Clock::new().now(), &args.set)?,
        ));
    };
    let text = read(path)?;
    let bad =
        |why: String| Failure::new(Code::WebhookBodyBad, format!("{}: {why}", path.display()));
    let mut body: Value = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
    if !body.is_object() {
        return Err(bad("it is not a JSON object".to_owned()));
    }
    let own = body["type"].as_str().map(str::to_owned);
    let event_type = args
        .event
        .clone()
        .or(own)
        .unwrap_or_else(|| "unknown".to_owned());
    if args.set.is_empty() {
        // As it is: numbers keep the form they have in the file.
        return Ok((event_type, text));
    }
    for assignment in &args.set {
        set_path::set(&mut body, assignment)?;
    }
    Ok((event_type, body.to_string()))
}

fn variables(pairs: &[String]) -> Result<BTreeMap<String, String>, Failure> {
    let split = |pair: &String| {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| {
                Failure::new(Code::ConfigBad, format!("--var {pair} is not NAME=VALUE"))
            })?;
        Ok((name.to_owned(), value.to_owned()))
    };
    pairs.iter().map(split).collect()
}

fn show_logs(report: &TransformReport) {
    for line in &report.logs {
        let level = match line.level {
            LogLevel::Debug => "debug",
            LogLevel::Log => "log",
            LogLevel::Info => "info",
            LogLevel::Warn => "warn",
            LogLevel::Error => "error",
        };
        complain(format_args!("console.{level}: {}", line.text));
    }
}

fn shape(transformed: &Transformed) -> Value {
    let text = || String::from_utf8_lossy(&transformed.payload).into_owned();
    let payload = match transformed.raw_text {
        true => Value::from(text()),
        false => serde_json::from_slice(&transformed.payload).unwrap_or_else(|_| text().into()),
    };
    json!({
        "method": transformed.method,
        "url": transformed.url,
        "headers": transformed.headers,
        "payload": payload,
        "cancel": transformed.cancel,
    })
}

/// With the place as editors understand it: `file:line:column`.
fn explained(file: &Path, error: &ScriptError) -> Failure {
    let place = match (error.line, error.column) {
        (Some(line), Some(column)) => format!("{}:{line}:{column}", file.display()),
        (Some(line), None) => format!("{}:{line}", file.display()),
        _ => file.display().to_string(),
    };
    Failure::from(Coded::new(
        error.code,
        format!("{place}: {}", error.message),
    ))
}
