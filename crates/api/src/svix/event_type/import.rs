//! Makes event types of the webhooks of an OpenAPI document.

use axum::extract::{Request, State};
use axum::response::IntoResponse;
use dunlin_delivery::{Config, EventTypeFields, NewEventType};
use dunlin_types::limits::{DESCRIPTION_CHARS_MAX, OPENAPI_BODY_BYTES_MAX};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::fields::{checked_schemas, newest_schema, schemas_of};
use super::openapi::{Described, described};
use super::{changing, put, yaml};
use crate::catalogue;
use crate::error::{Refused, Reply};
use crate::state::Api;
use crate::svix::fields::{bad_field, parse, read_body};

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ImportIn {
    spec: Option<Map<String, Value>>,
    spec_raw: Option<String>,
    dry_run: bool,
    replace_all: bool,
}

impl ImportIn {
    fn described(&mut self) -> Result<Vec<Described>, Refused> {
        let (field, document) = match (self.spec.take(), self.spec_raw.take()) {
            (Some(spec), _) => ("spec", Ok(Value::Object(spec))),
            (None, Some(text)) => ("specRaw", document(&text)),
            (None, None) => return Err(bad_field("spec", "give `spec` or `specRaw`")),
        };
        let described = document.and_then(|document| described(&document));
        described.map_err(|why| bad_field(field, why))
    }
}

fn document(text: &str) -> Result<Value, String> {
    match text.trim_start().starts_with('{') {
        true => serde_json::from_str(text).or_else(|_| yaml::parse(text)),
        false => yaml::parse(text),
    }
}

/// What would be made of one webhook.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToModify {
    name: String,
    description: String,
    deprecated: bool,
    group_name: Option<String>,
    feature_flag: Option<String>,
    feature_flags: Option<Vec<String>>,
    schemas: Value,
}

impl ToModify {
    fn of(new: &NewEventType) -> Self {
        let fields = new.fields.clone().unwrap_or_default();
        let schemas = schemas_of(&fields);
        Self {
            name: new.name.clone(),
            description: fields.description,
            deprecated: fields.deprecated,
            group_name: fields.group_name,
            feature_flag: fields.feature_flags.first().cloned(),
            feature_flags: Some(fields.feature_flags).filter(|flags| !flags.is_empty()),
            schemas: match schemas.is_empty() {
                true => Value::Null,
                false => Value::Object(schemas),
            },
        }
    }
}

/// The event type as the document describes it; none if it is so already. What the document does
/// not speak of stays: flags, the retry schedule, older versions of the schema.
fn changed(one: Described, config: &Config) -> Result<Option<NewEventType>, Refused> {
    let seen = catalogue::find(config, &one.name).and_then(|seen| seen.fields.clone());
    let own = catalogue::own_fields(config, &one.name);
    let mut fields = own.clone().unwrap_or_default();
    fields.archived = false;
    fields.description = one
        .description
        .chars()
        .take(DESCRIPTION_CHARS_MAX)
        .collect();
    fields.deprecated = one.deprecated;
    fields.group_name = one.group_name.or(fields.group_name);
    let newest = seen.as_ref().and_then(newest_schema);
    let known = newest.as_ref().map(|(_, schema)| schema);
    if let Some(schema) = one.schema
        && known != Some(&schema)
    {
        let version = newest.map_or("1".to_owned(), |(version, _)| version);
        let mut schemas = seen.as_ref().map(schemas_of).unwrap_or_default();
        schemas.insert(version, schema);
        fields.schemas = checked_schemas(Some(schemas)).map_err(|refused| {
            let why = format!("the schema of `{}`: {}", one.name, refused.error.detail);
            bad_field("spec", why)
        })?;
    }
    let fields = Some(fields);
    Ok((fields != own).then_some(NewEventType {
        name: one.name,
        fields,
    }))
}

/// What is shown now and the document does not describe, archived.
fn others(config: &Config, described: &[String]) -> Vec<NewEventType> {
    let all = catalogue::all(config).into_keys();
    let others = all.filter(|name| described.binary_search(name).is_err());
    let archived = others.filter_map(|name| {
        let fields = catalogue::own_fields(config, &name).filter(|fields| !fields.archived)?;
        let fields = Some(EventTypeFields {
            archived: true,
            ..fields
        });
        Some(NewEventType { name, fields })
    });
    archived.collect()
}

pub(super) async fn openapi(State(api): State<Api>, request: Request) -> Reply {
    let body = read_body(request.into_body(), OPENAPI_BODY_BYTES_MAX).await?;
    let mut fields: ImportIn = parse(&body)?;
    let described = fields.described()?;
    let mut names: Vec<String> = described.iter().map(|one| one.name.clone()).collect();
    names.sort_unstable();
    let _alone = changing().await;
    let config = api.node.config();
    let mut types = Vec::new();
    for one in described {
        types.extend(changed(one, &config)?);
    }
    if fields.dry_run {
        let shown: Vec<ToModify> = types.iter().map(ToModify::of).collect();
        let body = json!({"data": {"modified": [], "to_modify": shown}});
        return Ok(axum::Json(body).into_response());
    }
    let modified: Vec<String> = types.iter().map(|one| one.name.clone()).collect();
    if fields.replace_all {
        types.extend(others(&config, &names));
    }
    if !types.is_empty() {
        put(&api, types).await?;
    }
    Ok(axum::Json(json!({"data": {"modified": modified}})).into_response())
}
