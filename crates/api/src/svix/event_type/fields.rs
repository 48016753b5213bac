//! The fields of an event type, in and out, in both generations of names.

use std::sync::Arc;

use dunlin_delivery::{EventType, EventTypeFields};
use dunlin_types::Payload;
use dunlin_types::limits::{
    DESCRIPTION_CHARS_MAX, EVENT_TYPE_CHARS_MAX, EVENT_TYPE_FLAGS_MAX,
    EVENT_TYPE_SCHEMAS_BYTES_MAX, EVENT_TYPE_SCHEMAS_MAX,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::error::Refused;
use crate::svix::fields::{bad_field, given};

/// A new event type, or all fields of one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventTypeIn {
    pub(super) name: Option<String>,
    description: Option<String>,
    archived: Option<bool>,
    deprecated: Option<bool>,
    schemas: Option<Map<String, Value>>,
    group_name: Option<String>,
    feature_flag: Option<String>,
    feature_flags: Option<Vec<String>>,
}

impl EventTypeIn {
    pub(super) fn checked(self) -> Result<EventTypeFields, Refused> {
        let description = self.description;
        let description =
            description.ok_or_else(|| bad_field("description", "the field is missing"))?;
        Ok(EventTypeFields {
            description: checked_description(description)?,
            archived: self.archived.unwrap_or(false),
            deprecated: self.deprecated.unwrap_or(false),
            schemas: checked_schemas(self.schemas)?,
            group_name: checked_group(self.group_name)?,
            feature_flags: checked_flags(self.feature_flags.or(one(self.feature_flag)))?,
            retry_schedule_ms: None,
        })
    }
}

/// Fields to change: what is absent stays, what is null goes.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EventTypePatch {
    description: Option<String>,
    archived: Option<bool>,
    deprecated: Option<bool>,
    #[serde(deserialize_with = "given")]
    schemas: Option<Option<Map<String, Value>>>,
    #[serde(deserialize_with = "given")]
    group_name: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    feature_flag: Option<Option<String>>,
    #[serde(deserialize_with = "given")]
    feature_flags: Option<Option<Vec<String>>>,
}

impl EventTypePatch {
    pub(super) fn applied(self, mut fields: EventTypeFields) -> Result<EventTypeFields, Refused> {
        if let Some(description) = self.description {
            fields.description = checked_description(description)?;
        }
        fields.archived = self.archived.unwrap_or(fields.archived);
        fields.deprecated = self.deprecated.unwrap_or(fields.deprecated);
        if let Some(schemas) = self.schemas {
            fields.schemas = checked_schemas(schemas)?;
        }
        if let Some(group) = self.group_name {
            fields.group_name = checked_group(group)?;
        }
        if let Some(flags) = self.feature_flags.or(self.feature_flag.map(one)) {
            fields.feature_flags = checked_flags(flags)?;
        }
        Ok(fields)
    }
}

fn one(flag: Option<String>) -> Option<Vec<String>> {
    flag.map(|flag| vec![flag])
}

/// The name of an event type, which is its key.
pub(super) fn checked_name(name: Option<String>) -> Result<String, Refused> {
    let name = name.ok_or_else(|| bad_field("name", "the field is missing"))?;
    if fits(&name) {
        return Ok(name);
    }
    let why = format!("a name has 1 to {EVENT_TYPE_CHARS_MAX} of the characters a-z A-Z 0-9 - _ .");
    Err(bad_field("name", why))
}

/// Whether that can be a name.
pub(in crate::svix) fn fits(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (1..=EVENT_TYPE_CHARS_MAX).contains(&name.len()) && name.bytes().all(plain)
}

fn checked_description(text: String) -> Result<String, Refused> {
    if text.chars().count() <= DESCRIPTION_CHARS_MAX {
        return Ok(text);
    }
    let why = format!("a description has at most {DESCRIPTION_CHARS_MAX} characters");
    Err(bad_field("description", why))
}

fn checked_group(group: Option<String>) -> Result<Option<String>, Refused> {
    match group.filter(|group| !group.is_empty()) {
        Some(group) if !fits(&group) => Err(bad_field(
            "groupName",
            "is made of a-z A-Z 0-9 - _ . like a name",
        )),
        group => Ok(group),
    }
}

fn checked_flags(flags: Option<Vec<String>>) -> Result<Vec<String>, Refused> {
    let flags = flags.unwrap_or_default();
    if flags.len() > EVENT_TYPE_FLAGS_MAX {
        let why = format!("there can be at most {EVENT_TYPE_FLAGS_MAX} of them");
        return Err(bad_field("featureFlags", why));
    }
    if flags.iter().all(|flag| fits(flag)) {
        return Ok(flags);
    }
    let why = "each is made of a-z A-Z 0-9 - _ . like a name";
    Err(bad_field("featureFlags", why))
}

/// Schemas by version. That they are schemas is not checked: nothing is refused by them.
pub(super) fn checked_schemas(
    schemas: Option<Map<String, Value>>,
) -> Result<Option<Payload>, Refused> {
    let Some(schemas) = schemas.filter(|schemas| !schemas.is_empty()) else {
        return Ok(None);
    };
    let wrong = |why: String| Err(bad_field("schemas", why));
    if schemas.len() > EVENT_TYPE_SCHEMAS_MAX {
        return wrong(format!(
            "there can be at most {EVENT_TYPE_SCHEMAS_MAX} versions"
        ));
    }
    if schemas
        .keys()
        .any(|version| version.parse::<u16>().is_err())
    {
        return wrong("must be an object with version numbers as its keys".to_owned());
    }
    if !schemas.values().all(Value::is_object) {
        return wrong("each version must be an object".to_owned());
    }
    let text = Value::Object(schemas).to_string();
    if text.len() > EVENT_TYPE_SCHEMAS_BYTES_MAX {
        return wrong(format!(
            "have more than {EVENT_TYPE_SCHEMAS_BYTES_MAX} bytes"
        ));
    }
    Ok(Some(Payload::from_json(text)))
}

/// The schemas of an event type, by version.
pub(super) fn schemas_of(fields: &EventTypeFields) -> Map<String, Value> {
    let text = fields.schemas.as_ref().map(Payload::as_str);
    text.and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// The newest version of the schemas, and its number.
pub(in crate::svix) fn newest_schema(fields: &EventTypeFields) -> Option<(String, Value)> {
    let schemas = schemas_of(fields).into_iter();
    schemas.max_by_key(|(version, _)| version.parse::<u16>().unwrap_or(0))
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventTypeOut {
    name: String,
    description: String,
    archived: bool,
    deprecated: bool,
    schemas: Option<Box<RawValue>>,
    group_name: Option<String>,
    feature_flag: Option<String>,
    feature_flags: Option<Vec<String>>,
    created_at: String,
    updated_at: String,
}

impl EventTypeOut {
    /// One that is not removed.
    pub(super) fn of(event_type: &Arc<EventType>, with_content: bool) -> Self {
        let fields = event_type.fields.clone().unwrap_or_default();
        let schemas = fields.schemas.filter(|_| with_content);
        let schemas = schemas.and_then(|one| RawValue::from_string(one.as_str().to_owned()).ok());
        let flags = fields.feature_flags;
        Self {
            name: event_type.name.clone(),
            description: fields.description,
            archived: fields.archived,
            deprecated: fields.deprecated,
            schemas,
            group_name: fields.group_name,
            feature_flag: flags.first().cloned(),
            feature_flags: (!flags.is_empty()).then_some(flags),
            created_at: event_type.created.rfc3339(),
            updated_at: event_type.updated.rfc3339(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<EventTypeFields, Refused> {
        serde_json::from_value::<EventTypeIn>(body)
            .unwrap()
            .checked()
    }

    #[test]
    fn both_names_of_flags_are_taken_and_null_takes_them_away() {
        for flags in [json!({"featureFlag": "a"}), json!({"featureFlags": ["a"]})] {
            let mut body = json!({"description": ""});
            body.as_object_mut()
                .unwrap()
                .extend(flags.as_object().unwrap().clone());
            assert_eq!(read(body).unwrap().feature_flags, ["a"]);
        }
        let old = read(json!({"description": "x", "featureFlags": ["a"], "groupName": "g"}));
        let patch = |body: Value| serde_json::from_value::<EventTypePatch>(body).unwrap();
        let old = old.unwrap();
        let same = patch(json!({})).applied(old.clone()).unwrap();
        assert_eq!(same, old);
        let none = patch(json!({"featureFlag": null, "groupName": null}))
            .applied(old)
            .unwrap();
        assert!(none.feature_flags.is_empty() && none.group_name.is_none());
    }

    #[test]
    fn what_is_no_event_type_is_refused() {
        let long = "x".repeat(DESCRIPTION_CHARS_MAX + 1);
        let large = "x".repeat(EVENT_TYPE_SCHEMAS_BYTES_MAX);
        for body in [
            json!({}),
            json!({"description": long}),
            json!({"description": "", "groupName": "a b"}),
            json!({"description": "", "featureFlags": [""]}),
            json!({"description": "", "schemas": {"one": {}}}),
            json!({"description": "", "schemas": {"1": []}}),
            json!({"description": "", "schemas": {"1": {"title": large}}}),
        ] {
            assert_eq!(read(body).unwrap_err().status, 422);
        }
        for name in [None, Some(""), Some("a b"), Some("a/b"), Some("ü")] {
            assert!(checked_name(name.map(str::to_owned)).is_err(), "{name:?}");
        }
    }

    #[test]
    fn the_newest_schema_has_the_greatest_number() {
        let schemas = json!({"2": {"title": "two"}, "10": {"title": "ten"}});
        let fields = read(json!({"description": "", "schemas": schemas})).unwrap();
        let (version, schema) = newest_schema(&fields).unwrap();
        assert_eq!((version.as_str(), &schema["title"]), ("10", &json!("ten")));
    }
}
