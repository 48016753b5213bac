//! The event types that an OpenAPI document describes: its webhooks (3.1), or what 3.0 documents
//! have in `x-webhooks`. Each schema is made to stand alone, with what it refers to beside it.

use std::collections::{BTreeMap, VecDeque};

use dunlin_types::limits::{EVENT_TYPES_IMPORT_BYTES_MAX, EVENT_TYPES_MAX, OPENAPI_DEPTH_MAX};
use serde_json::{Map, Value};

use super::fields::fits;

/// The verbs of an operation, that of webhooks first.
const VERBS: [&str; 5] = ["post", "put", "patch", "get", "delete"];

/// What the document says of one event type.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Described {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) deprecated: bool,
    pub(super) group_name: Option<String>,
    pub(super) schema: Option<Value>,
}

/// All of them, in the document's order.
pub(super) fn described(document: &Value) -> Result<Vec<Described>, String> {
    let version = document
        .get("openapi")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !version.starts_with("3.") {
        return Err("it is no OpenAPI 3 document: `openapi` must be 3.0 or later".to_owned());
    }
    let sections = ["webhooks", "x-webhooks"].map(|name| document.get(name));
    let sections = sections.into_iter().flatten().filter_map(Value::as_object);
    let items: Vec<_> = sections.flatten().collect();
    if items.is_empty() {
        return Err("the document has no `webhooks`".to_owned());
    }
    if items.len() > EVENT_TYPES_MAX {
        return Err(format!(
            "the document has more than {EVENT_TYPES_MAX} webhooks"
        ));
    }
    let reader = Reader {
        document,
        is_old: version.starts_with("3.0"),
    };
    let mut bytes = 0;
    let mut all: Vec<Described> = Vec::new();
    for (key, item) in items {
        let one = reader
            .one(key, item)
            .map_err(|why| format!("webhook `{key}`: {why}"))?;
        bytes += one
            .schema
            .as_ref()
            .map_or(0, |schema| schema.to_string().len());
        if bytes > EVENT_TYPES_IMPORT_BYTES_MAX {
            let most = EVENT_TYPES_IMPORT_BYTES_MAX;
            return Err(format!("the schemas have more than {most} bytes in all"));
        }
        if all.iter().any(|other| other.name == one.name) {
            return Err(format!(
                "webhook `{key}`: the name `{}` stands twice",
                one.name
            ));
        }
        all.push(one);
    }
    Ok(all)
}

struct Reader<'a> {
    document: &'a Value,
    /// Whether schemas are those of OpenAPI 3.0, which are not quite JSON Schema.
    is_old: bool,
}

impl<'a> Reader<'a> {
    fn one(&self, key: &str, item: &'a Value) -> Result<Described, String> {
        let item = self.followed(item)?;
        let operation = VERBS.iter().find_map(|verb| item.get(verb));
        let operation = operation.ok_or("it has no operation")?;
        let id = operation.get("operationId").and_then(Value::as_str);
        let name = std::iter::once(key).chain(id).find(|name| fits(name));
        let name = name.ok_or("the key is no name of an event type")?;
        let text = |of: &'a Value, field: &str| of.get(field).and_then(Value::as_str);
        let description = text(operation, "description")
            .or_else(|| text(operation, "summary"))
            .or_else(|| text(item, "description"))
            .or_else(|| text(item, "summary"));
        let group = operation.pointer("/tags/0").and_then(Value::as_str);
        let body = operation.get("requestBody");
        let body = body.map(|body| self.followed(body)).transpose()?;
        Ok(Described {
            name: name.to_owned(),
            description: description.unwrap_or_default().to_owned(),
            deprecated: operation.get("deprecated") == Some(&Value::Bool(true)),
            group_name: group.filter(|group| fits(group)).map(str::to_owned),
            schema: body.map_or(Ok(None), |body| self.schema(body))?,
        })
    }

    /// What a reference leads to, if it is one, over as many as there are.
    fn followed(&self, mut value: &'a Value) -> Result<&'a Value, String> {
        for _ in 0..OPENAPI_DEPTH_MAX {
            match local(value) {
                Some(pointer) => value = self.target(pointer)?,
                None => return Ok(value),
            }
        }
        Err("references go round in a circle".to_owned())
    }

    fn target(&self, pointer: &str) -> Result<&'a Value, String> {
        let found = self.document.pointer(&unescaped(pointer));
        found.ok_or_else(|| format!("the reference `#{pointer}` leads nowhere"))
    }

    /// The schema of a request's body, with the examples that stand beside it.
    fn schema(&self, body: &'a Value) -> Result<Option<Value>, String> {
        let Some(media) = body
            .get("content")
            .and_then(Value::as_object)
            .and_then(json)
        else {
            return Ok(None);
        };
        let Some(schema) = media.get("schema") else {
            return Ok(None);
        };
        let mut bundle = Bundle::new(self);
        let mut made = bundle.taken(self.followed(schema)?)?;
        let Value::Object(fields) = &mut made else {
            return Ok(None);
        };
        if let Some(examples) = self.examples(media)? {
            fields.entry("examples").or_insert(Value::Array(examples));
        }
        let defs = bundle.finish()?;
        if !defs.is_empty() {
            // A schema may bring definitions of its own.
            let own = fields
                .entry("$defs")
                .or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(own) = own {
                own.extend(defs);
            }
        }
        Ok(Some(made))
    }

    fn examples(&self, media: &'a Value) -> Result<Option<Vec<Value>>, String> {
        if let Some(example) = media.get("example") {
            return Ok(Some(vec![example.clone()]));
        }
        let Some(named) = media.get("examples").and_then(Value::as_object) else {
            return Ok(None);
        };
        let mut values = Vec::new();
        for example in named.values() {
            values.extend(self.followed(example)?.get("value").cloned());
        }
        Ok((!values.is_empty()).then_some(values))
    }
}

/// The kind of body that is JSON.
fn json(content: &Map<String, Value>) -> Option<&Value> {
    let is_json = |kind: &str| kind.contains("json") || kind == "*/*";
    let found = content.iter().find(|(kind, _)| is_json(kind));
    found.map(|(_, media)| media)
}

/// Where a reference within the document leads, as a pointer.
fn local(value: &Value) -> Option<&str> {
    value.get("$ref")?.as_str()?.strip_prefix('#')
}

/// A pointer without the escapes of URLs, which some generators write.
fn unescaped(pointer: &str) -> String {
    pointer
        .replace("%7B", "{")
        .replace("%7D", "}")
        .replace("%24", "$")
        .replace("%20", " ")
}

/// A schema that is being made to stand alone.
struct Bundle<'r, 'a> {
    reader: &'r Reader<'a>,
    /// The name under which what a pointer leads to is kept.
    names: BTreeMap<String, String>,
    waiting: VecDeque<(String, String)>,
}

impl<'r, 'a> Bundle<'r, 'a> {
    fn new(reader: &'r Reader<'a>) -> Self {
        Self {
            reader,
            names: BTreeMap::new(),
            waiting: VecDeque::new(),
        }
    }

    /// The schemas that were referred to, by their names.
    fn finish(mut self) -> Result<Map<String, Value>, String> {
        let (mut defs, mut bytes) = (BTreeMap::new(), 0);
        while let Some((pointer, name)) = self.waiting.pop_front() {
            let schema = self.taken(self.reader.target(&pointer)?)?;
            bytes += schema.to_string().len();
            if bytes > EVENT_TYPES_IMPORT_BYTES_MAX {
                return Err("the schema is too large".to_owned());
            }
            defs.insert(name, schema);
        }
        Ok(defs.into_iter().collect())
    }

    /// The schema with its references leading to names, by the rules of JSON Schema.
    fn taken(&mut self, schema: &Value) -> Result<Value, String> {
        match schema {
            Value::Object(fields) => {
                let mut made = Map::new();
                for (key, value) in fields {
                    made.insert(key.clone(), self.field(key, value)?);
                }
                if self.reader.is_old {
                    modern(&mut made);
                }
                Ok(Value::Object(made))
            }
            Value::Array(items) => {
                let items = items.iter().map(|item| self.taken(item));
                items.collect::<Result<_, _>>().map(Value::Array)
            }
            other => Ok(other.clone()),
        }
    }

    fn field(&mut self, key: &str, value: &Value) -> Result<Value, String> {
        match (key, value) {
            ("$ref", Value::String(target)) => match target.strip_prefix('#') {
                Some(pointer) if pointer.starts_with('/') => {
                    Ok(Value::String(format!("#/$defs/{}", self.name(pointer))))
                }
                _ => Ok(value.clone()),
            },
            // The keys of these are names of somebody's own.
            (
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas",
                Value::Object(named),
            ) => {
                let named = named.iter();
                let named = named.map(|(name, one)| Ok((name.clone(), self.taken(one)?)));
                named.collect::<Result<_, String>>().map(Value::Object)
            }
            // Data, in which nothing is a reference.
            ("example" | "examples" | "default" | "const" | "enum", _) => Ok(value.clone()),
            _ => self.taken(value),
        }
    }

    fn name(&mut self, pointer: &str) -> String {
        if let Some(name) = self.names.get(pointer) {
            return name.clone();
        }
        let last = pointer.rsplit('/').next().unwrap_or_default();
        let plain = |c: char| match c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
            true => c,
            false => '_',
        };
        let base: String = last.chars().map(plain).collect();
        let is_taken = |name: &String| self.names.values().any(|other| other == name);
        let numbered = (2..).map(|n| format!("{base}_{n}"));
        let mut names = std::iter::once(base.clone()).chain(numbered);
        let name = names.find(|name| !is_taken(name)).unwrap_or(base.clone());
        self.names.insert(pointer.to_owned(), name.clone());
        self.waiting.push_back((pointer.to_owned(), name.clone()));
        name
    }
}

/// Says in JSON Schema what OpenAPI 3.0 has words of its own for.
fn modern(schema: &mut Map<String, Value>) {
    if let Some(Value::Bool(nullable)) = schema.get("nullable").cloned() {
        schema.remove("nullable");
        if nullable && let Some(Value::String(kind)) = schema.get("type").cloned() {
            schema.insert(
                "type".to_owned(),
                Value::from(vec![kind, "null".to_owned()]),
            );
        }
    }
    if let Some(example) = schema.remove("example") {
        schema
            .entry("examples")
            .or_insert(Value::Array(vec![example]));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn with_schema(version: &str, schema: Value, schemas: Value) -> Value {
        json!({
            "openapi": version,
            "webhooks": {"a.b": {"post": {
                "requestBody": {"content": {"application/json": {"schema": schema}}},
            }}},
            "components": {"schemas": schemas},
        })
    }

    fn schema_of(document: &Value) -> Value {
        described(document).unwrap().remove(0).schema.unwrap()
    }

    #[test]
    fn a_schema_takes_along_what_it_refers_to_even_in_a_circle() {
        let document = with_schema(
            "3.1.0",
            json!({"$ref": "#/components/schemas/Order"}),
            json!({
                "Order": {"type": "object", "properties": {
                    "buyer": {"$ref": "#/components/schemas/Person"},
                    "$ref": {"type": "string"},
                }},
                "Person": {"properties": {"friend": {"$ref": "#/components/schemas/Person"}}},
                "Unused": {"type": "string"},
            }),
        );
        let expected = json!({
            "type": "object",
            "properties": {"buyer": {"$ref": "#/$defs/Person"}, "$ref": {"type": "string"}},
            "$defs": {"Person": {"properties": {"friend": {"$ref": "#/$defs/Person"}}}},
        });
        assert_eq!(schema_of(&document), expected);
    }

    #[test]
    fn older_documents_are_told_in_json_schema() {
        let document = json!({
            "openapi": "3.0.3",
            "x-webhooks": {"new user": {"post": {
                "operationId": "user.created",
                "summary": "Somebody signed up.",
                "tags": ["user"],
                "deprecated": true,
                "requestBody": {"$ref": "#/components/requestBodies/User"},
            }}},
            "components": {"requestBodies": {"User": {"content": {"application/json": {
                "schema": {"type": "object", "properties": {
                    "name": {"type": "string", "nullable": true, "example": "Ada"},
                    "example": {"type": "string", "nullable": false},
                }},
                "examples": {"ada": {"value": {"name": "Ada"}}, "bob": {"value": {"name": "Bob"}}},
            }}}}},
        });
        let expected = Described {
            name: "user.created".to_owned(),
            description: "Somebody signed up.".to_owned(),
            deprecated: true,
            group_name: Some("user".to_owned()),
            schema: Some(json!({
                "type": "object",
                "properties": {
                    "name": {"type": ["string", "null"], "examples": ["Ada"]},
                    "example": {"type": "string"},
                },
                "examples": [{"name": "Ada"}, {"name": "Bob"}],
            })),
        };
        assert_eq!(described(&document).unwrap(), [expected]);
    }

    #[test]
    fn what_is_no_such_document_is_refused_with_the_reason() {
        let webhook = |key: &str, item: Value| json!({"openapi": "3.1.0", "webhooks": {key: item}});
        let circle = json!({"openapi": "3.1.0", "webhooks": {"a": {"$ref": "#/webhooks/a"}}});
        let nowhere = with_schema(
            "3.1.0",
            json!({"$ref": "#/components/schemas/X"}),
            json!({}),
        );
        for (document, part) in [
            (json!({"swagger": "2.0"}), "no OpenAPI 3"),
            (json!([]), "no OpenAPI 3"),
            (json!({"openapi": "3.1.0", "paths": {}}), "no `webhooks`"),
            (webhook("a", json!({})), "no operation"),
            (webhook("a b", json!({"post": {}})), "no name"),
            (circle, "circle"),
            (nowhere, "leads nowhere"),
        ] {
            let why = described(&document).unwrap_err();
            assert!(why.contains(part), "{why}");
        }
    }

    proptest! {
        #[test]
        fn no_reference_is_left_that_leads_out_of_the_schema(
            edges in proptest::collection::vec((0_usize..6, 0_usize..6), 0..12),
        ) {
            let mut schemas = json!({});
            for n in 0..6 {
                schemas[format!("S{n}")] = json!({"properties": {}});
            }
            for (from, to) in edges {
                schemas[format!("S{from}")]["properties"][format!("p{to}")] =
                    json!({"$ref": format!("#/components/schemas/S{to}")});
            }
            let first = json!({"$ref": "#/components/schemas/S0"});
            let made = schema_of(&with_schema("3.1.0", first, schemas));
            let mut open = vec![&made];
            while let Some(next) = open.pop() {
                if let Some(pointer) = local(next) {
                    prop_assert!(made.pointer(pointer).is_some(), "{made}");
                }
                match next {
                    Value::Object(fields) => open.extend(fields.values()),
                    Value::Array(items) => open.extend(items),
                    _ => {}
                }
            }
        }
    }
}
