//! The event types as the webhooks of an OpenAPI document, which an import reads back.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use dunlin_delivery::EventType;
use serde_json::{Map, Value, json};

use super::fields::newest_schema;
use crate::catalogue;
use crate::error::Reply;
use crate::state::Api;

/// All that are not archived.
pub(super) async fn openapi(State(api): State<Api>) -> Reply {
    let all = catalogue::all(&api.node.config());
    let document = document(all.into_values());
    Ok(axum::Json(document).into_response())
}

fn document(all: impl Iterator<Item = Arc<EventType>>) -> Value {
    let (mut webhooks, mut components) = (Map::new(), Map::new());
    for one in all {
        if let Some(webhook) = webhook(&one, &mut components) {
            webhooks.insert(one.name.clone(), webhook);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {"title": "Event types", "version": "1"},
        "webhooks": webhooks,
        "components": {"schemas": components},
    })
}

fn webhook(one: &EventType, components: &mut Map<String, Value>) -> Option<Value> {
    let fields = one.fields.as_ref().filter(|fields| !fields.archived)?;
    let mut operation = json!({
        "operationId": one.name,
        "description": fields.description,
        "deprecated": fields.deprecated,
        "responses": {"2XX": {"description": "It was received."}},
    });
    if let Some(group) = &fields.group_name {
        operation["tags"] = json!([group]);
    }
    if let Some((_, mut schema)) = newest_schema(fields) {
        hoist(&mut schema, &one.name, components);
        operation["requestBody"] = json!({
            "required": true,
            "content": {"application/json": {"schema": schema}},
        });
    }
    Some(json!({"post": operation}))
}

/// Moves a schema's definitions to the document's, where references within it lead. Those that
/// other types have under the same names are shared if all are the same, and get a name of their
/// own otherwise.
fn hoist(schema: &mut Value, owner: &str, components: &mut Map<String, Value>) {
    let Some(Value::Object(defs)) = schema.as_object_mut().and_then(|one| one.remove("$defs"))
    else {
        return;
    };
    let led = |prefix: &str| -> Map<String, Value> {
        let led = defs.iter().map(|(name, def)| {
            let mut def = def.clone();
            lead(&mut def, prefix);
            (format!("{prefix}{name}"), def)
        });
        led.collect()
    };
    let is_other = |(name, def): (&String, &Value)| {
        let known = components.get(name);
        known.is_some_and(|known| known != def)
    };
    let shared = led("");
    let (prefix, moved) = match shared.iter().any(is_other) {
        false => (String::new(), shared),
        true => (format!("{owner}."), led(&format!("{owner}."))),
    };
    lead(schema, &prefix);
    components.extend(moved);
}

/// Has references to definitions lead to the document's.
fn lead(schema: &mut Value, prefix: &str) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(|item| lead(item, prefix)),
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get_mut("$ref")
                && let Some(name) = target.strip_prefix("#/$defs/")
            {
                *target = format!("#/components/schemas/{prefix}{name}");
            }
            fields.values_mut().for_each(|field| lead(field, prefix));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use dunlin_delivery::{Config, EventTypeFields};
    use dunlin_types::{Payload, Timestamp};

    use super::super::openapi::described;
    use super::*;

    fn schema_of(one: &EventType) -> Value {
        newest_schema(one.fields.as_ref().unwrap()).unwrap().1
    }

    #[test]
    fn what_is_exported_is_described_as_it_was() {
        let all = catalogue::all(&Config::default());
        let document = document(all.values().cloned());
        let described = described(&document).unwrap();
        assert_eq!(described.len(), 48);
        for one in described {
            let known = &all[&one.name];
            let fields = known.fields.as_ref().unwrap();
            assert_eq!(one.description, fields.description);
            assert_eq!(one.group_name, fields.group_name);
            assert_eq!(one.schema, Some(schema_of(known)), "{}", one.name);
        }
        // Shared, not repeated for each type.
        assert!(document["components"]["schemas"].as_object().unwrap().len() < 48);
    }

    #[test]
    fn definitions_of_one_name_that_differ_are_kept_apart() {
        let one = |name: &str, kind: &str| {
            let schema = json!({"1": {
                "properties": {"x": {"$ref": "#/$defs/X"}},
                "$defs": {"X": {"type": kind}},
            }});
            Arc::new(EventType {
                name: name.to_owned(),
                created: Timestamp::ZERO,
                updated: Timestamp::ZERO,
                fields: Some(EventTypeFields {
                    schemas: Some(Payload::from_json(schema.to_string())),
                    ..EventTypeFields::default()
                }),
            })
        };
        let types = [one("a", "string"), one("b", "number"), one("c", "string")];
        let document = document(types.into_iter());
        let expected = json!({"X": {"type": "string"}, "b.X": {"type": "number"}});
        assert_eq!(document["components"]["schemas"], expected);
        for (name, kind) in [("a", "string"), ("b", "number"), ("c", "string")] {
            let all = described(&document).unwrap();
            let one = all.into_iter().find(|one| one.name == name).unwrap();
            let target = one.schema.unwrap();
            let defs = target["$defs"].as_object().unwrap();
            assert_eq!(defs.values().next().unwrap()["type"], kind);
        }
    }
}
