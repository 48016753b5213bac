//! Apps and functions.

use dunlin_engine::config::{AppRow, FunctionRow, TriggerSpec};
use dunlin_types::app_uuid;
use serde_json::{Value, json};

use super::{Node, Object, not_found, unresolved};
use crate::execute::{Cx, Resolved};

pub(super) fn field(number: u32, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    let names = cx.names()?;
    let app = names.app(number).ok_or_else(not_found)?;
    Ok(match field {
        "functionCount" => Node::of(names.functions_of(number).count()),
        "functions" => {
            let functions = names.functions_of(number);
            Node::objects(functions.map(|f| Object::Function(f.number)))
        }
        _ => return own_field(app, field),
    })
}

fn own_field(app: &AppRow, field: &str) -> Resolved<Node> {
    let (language, version) = app.sdk.split_once(':').unwrap_or((&app.sdk, ""));
    Ok(match field {
        "id" => Node::of(app_uuid(&app.name).to_string()),
        "externalID" | "name" => Node::of(app.name.clone()),
        "url" => Node::of(app.url.clone()),
        "error" => {
            let error = app.error.as_ref();
            Node::option(error.map(|(code, why)| format!("{code}: {why}")))
        }
        "connected" => Node::of(app.error.is_none()),
        "sdkLanguage" => Node::of(language.strip_prefix("inngest-").unwrap_or(language)),
        "sdkVersion" => Node::of(version.strip_prefix('v').unwrap_or(version)),
        "framework" => {
            let framework = Some(app.framework.clone());
            Node::option(framework.filter(|framework| !framework.is_empty()))
        }
        "method" => Node::of("SERVE"),
        "appVersion" => Node::option(app.version.clone()),
        "createdAt" => Node::time(Some(app.created)),
        _ => return Err(unresolved("App", field)),
    })
}

pub(super) fn function_field(number: u32, cx: &mut Cx<'_>, field: &str) -> Resolved<Node> {
    let names = cx.names()?;
    let function = names.function(number).ok_or_else(not_found)?;
    Ok(match field {
        "id" => Node::of(names.function_id(number)),
        "name" => Node::of(function.name.clone()),
        "slug" => Node::of(function.slug.clone()),
        "config" => Node::json(Some(&function.config)),
        "url" => Node::of(function.url.clone()),
        "triggers" => triggers(function),
        "appID" => Node::of(names.app_id(number)),
        "app" => Node::Object(Object::App(function.app)),
        "isPaused" => Node::of(function.paused.is_some()),
        "isArchived" => Node::of(function.archived.is_some()),
        _ => return Err(unresolved("Function", field)),
    })
}

fn triggers(function: &FunctionRow) -> Node {
    let triggers = function.triggers.iter().map(|trigger| {
        let fields: Value = match trigger {
            TriggerSpec::Event { name, expression } => {
                json!({"type": "EVENT", "value": name, "condition": expression})
            }
            TriggerSpec::Cron { schedule, .. } => json!({"type": "CRON", "value": schedule}),
        };
        Node::plain("FunctionTrigger", fields)
    });
    Node::List(triggers.collect())
}
