//! The event types that the program knows by itself: those that Dodo Payments sends, each with its
//! schema and an example. They have no row; one that has been changed, archived or removed has a
//! row, and that wins.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

use dunlin_delivery::{Config, EventType, EventTypeFields};
use dunlin_types::{Ksuid, Payload, Timestamp};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::samples;

/// Types with their descriptions, and the schemas of what they carry.
const KNOWN: &str = include_str!("../../../integrations/dodo/event-types.json");

#[derive(Deserialize)]
struct Catalogue {
    types: BTreeMap<String, Entry>,
    #[serde(rename = "$defs")]
    payloads: Map<String, Value>,
}

#[derive(Deserialize)]
struct Entry {
    payload: String,
    description: String,
}

static BY_NAME: LazyLock<BTreeMap<String, Arc<EventType>>> = LazyLock::new(|| {
    // A test reads the text that is built in, so this finds it well.
    let Ok(Catalogue { types, payloads }) = serde_json::from_str(KNOWN) else {
        return BTreeMap::new();
    };
    let made = types.iter().map(|(name, entry)| {
        let event_type = event_type(name, entry, &payloads);
        (name.clone(), Arc::new(event_type))
    });
    made.collect()
});

fn event_type(name: &str, entry: &Entry, payloads: &Map<String, Value>) -> EventType {
    // The earliest instant an id can name, the same in every installation.
    let always = Timestamp::from_ms(Ksuid::EPOCH_SECS * 1000);
    let schemas = json!({"1": schema(name, &entry.payload, payloads)});
    let group = name.split('.').next().unwrap_or(name);
    EventType {
        name: name.to_owned(),
        created: always,
        updated: always,
        fields: Some(EventTypeFields {
            description: entry.description.clone(),
            schemas: Some(Payload::from_json(schemas.to_string())),
            group_name: Some(group.to_owned()),
            ..EventTypeFields::default()
        }),
    }
}

/// The schema of the whole body, with those schemas that it refers to.
fn schema(name: &str, payload: &str, payloads: &Map<String, Value>) -> Value {
    let mut wanted = vec![payload.to_owned()];
    let mut used = BTreeSet::new();
    while let Some(next) = wanted.pop() {
        if let Some(found) = payloads.get(&next)
            && used.insert(next)
        {
            refers_to(found, &mut wanted);
        }
    }
    let used = used.iter().filter_map(|name| payloads.get_key_value(name));
    let used: Map<String, Value> = used
        .map(|(name, one)| (name.clone(), one.clone()))
        .collect();
    let sample = samples::get(name).and_then(|text| serde_json::from_str::<Value>(text).ok());
    json!({
        "title": name,
        "type": "object",
        "required": ["business_id", "type", "timestamp", "data"],
        "properties": {
            "business_id": {"type": "string"},
            "type": {"const": name},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {"$ref": format!("#/$defs/{payload}")},
        },
        "additionalProperties": true,
        "examples": Vec::from_iter(sample),
        "$defs": used,
    })
}

fn refers_to(schema: &Value, out: &mut Vec<String>) {
    match schema {
        Value::Array(items) => items.iter().for_each(|item| refers_to(item, out)),
        Value::Object(fields) => {
            let target = fields.get("$ref").and_then(Value::as_str);
            let name = target.and_then(|target| target.strip_prefix("#/$defs/"));
            out.extend(name.map(str::to_owned));
            fields.values().for_each(|field| refers_to(field, out));
        }
        _ => {}
    }
}

/// Whether the program knows that type by itself.
pub(crate) fn is_known(name: &str) -> bool {
    BY_NAME.contains_key(name)
}

/// That event type as users see it, archived or not; none if there is none, or no more.
pub(crate) fn find(config: &Config, name: &str) -> Option<Arc<EventType>> {
    let known = BY_NAME.get(name);
    match config.event_type(name) {
        Some(row) => seen(row, known),
        None => known.cloned(),
    }
}

/// The fields of that event type as somebody has set them: without the schemas that only the
/// program gives it.
pub(crate) fn own_fields(config: &Config, name: &str) -> Option<EventTypeFields> {
    let mut fields = find(config, name)?.fields.clone()?;
    if is_known(name) {
        let row = config.event_type(name).and_then(|row| row.fields.as_ref());
        fields.schemas = row.and_then(|row| row.schemas.clone());
    }
    Some(fields)
}

/// All event types as users see them, archived or not, by name.
pub(crate) fn all(config: &Config) -> BTreeMap<String, Arc<EventType>> {
    let mut all = BY_NAME.clone();
    for row in config.event_types() {
        match seen(row, BY_NAME.get(&row.name)) {
            Some(seen) => all.insert(row.name.clone(), seen),
            None => all.remove(&row.name),
        };
    }
    all
}

/// A row as it is shown: a known type that has been changed keeps its schemas unless it was given
/// others.
fn seen(row: &Arc<EventType>, known: Option<&Arc<EventType>>) -> Option<Arc<EventType>> {
    let fields = row.fields.as_ref()?;
    let schemas = known.and_then(|known| known.fields.as_ref()?.schemas.as_ref());
    match schemas.filter(|_| fields.schemas.is_none()) {
        None => Some(Arc::clone(row)),
        Some(schemas) => {
            let mut seen = EventType::clone(row);
            seen.fields.as_mut()?.schemas = Some(schemas.clone());
            Some(Arc::new(seen))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_with_a_sample_is_known_and_none_besides() {
        let sampled: Vec<&str> = samples::all().map(|(name, _)| name).collect();
        let known: Vec<&String> = BY_NAME.keys().collect();
        assert_eq!(known, sampled);
        assert_eq!(known.len(), 48);
    }

    #[test]
    fn every_schema_has_what_it_refers_to_and_its_sample_as_example() {
        for (name, one) in &*BY_NAME {
            let fields = one.fields.as_ref().unwrap();
            assert!(!fields.description.is_empty(), "{name}");
            let schemas: Value =
                serde_json::from_str(fields.schemas.as_ref().unwrap().as_str()).unwrap();
            let schema = &schemas["1"];
            assert_eq!(schema["examples"][0]["type"], *name);
            let mut targets = Vec::new();
            refers_to(schema, &mut targets);
            assert!(!targets.is_empty());
            for target in targets {
                assert!(schema["$defs"][&target].is_object(), "{name}: {target}");
            }
        }
    }

    #[test]
    fn samples_have_what_their_schemas_require() {
        for (name, text) in samples::all() {
            let one = BY_NAME[name].fields.as_ref().unwrap();
            let schemas: Value =
                serde_json::from_str(one.schemas.as_ref().unwrap().as_str()).unwrap();
            let sample: Value = serde_json::from_str(text).unwrap();
            let payload = schemas["1"]["properties"]["data"]["$ref"].as_str().unwrap();
            let payload = payload.rsplit('/').next().unwrap();
            let required = schemas["1"]["$defs"][payload]["required"]
                .as_array()
                .unwrap();
            for field in required {
                let field = field.as_str().unwrap();
                assert!(sample["data"].get(field).is_some(), "{name}: {field}");
            }
        }
    }
}
