//! Values of arguments and variables, brought into the form that their types promise.

use async_graphql_parser::types::{BaseType, InputValueDefinition, Type};
use async_graphql_value::Value as Given;
use dunlin_types::Timestamp;
use serde_json::{Map, Value};

use crate::schema::SCHEMA;

/// Arguments by name, or variables.
pub(crate) type Args = Map<String, Value>;

/// A value as written in a document, with its variables put in; none if it is a variable that was
/// not given.
pub(crate) fn plain(given: &Given, variables: &Args) -> Option<Value> {
    Some(match given {
        Given::Variable(name) => variables.get(name.as_str())?.clone(),
        Given::Null | Given::Binary(_) => Value::Null,
        Given::Number(number) => Value::Number(number.clone()),
        Given::String(text) => Value::String(text.clone()),
        Given::Boolean(flag) => Value::Bool(*flag),
        Given::Enum(name) => Value::String(name.to_string()),
        Given::List(items) => items
            .iter()
            .map(|item| plain(item, variables).unwrap_or(Value::Null))
            .collect(),
        Given::Object(members) => {
            let members = members
                .iter()
                .filter_map(|(key, value)| Some((key.to_string(), plain(value, variables)?)));
            Value::Object(members.collect())
        }
    })
}

/// The value as the type has it. Types that are not known take anything, because variables may
/// be declared under other names than ours.
pub(crate) fn coerce(of: &Type, value: Value) -> Result<Value, String> {
    if value.is_null() {
        return match of.nullable {
            true => Ok(Value::Null),
            false => Err(format!("a value of type {of} cannot be null")),
        };
    }
    match &of.base {
        BaseType::List(inner) => {
            let items = match value {
                Value::Array(items) => items,
                one => vec![one],
            };
            let items = items.into_iter().map(|item| coerce(inner, item));
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
        BaseType::Named(name) => coerce_named(name, value),
    }
}

fn coerce_named(name: &str, value: Value) -> Result<Value, String> {
    if let Some(fields) = SCHEMA.inputs(name) {
        return match value {
            Value::Object(members) => inputs(&fields, members, name).map(Value::Object),
            _ => Err(format!("a value of type {name} must be an object")),
        };
    }
    let text = value.as_str();
    let fits = match name {
        "Int" => value.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        "Float" => value.is_number(),
        "Boolean" => value.is_boolean(),
        "String" | "ULID" | "UUID" => text.is_some(),
        "ID" => {
            if value.is_i64() {
                return Ok(Value::String(value.to_string()));
            }
            text.is_some()
        }
        "Time" => text.is_some_and(|text| Timestamp::parse_rfc3339(text).is_some()),
        _ => match SCHEMA.values(name) {
            Some(values) => text.is_some_and(|text| values.contains(&text)),
            None => true,
        },
    };
    match fits {
        true => Ok(value),
        false => Err(format!("{value} is no {name}")),
    }
}

/// Members of an input object or arguments of a field: all known, the required ones there, and
/// defaults filled in.
pub(crate) fn inputs(
    defined: &[&InputValueDefinition],
    mut given: Args,
    of: &str,
) -> Result<Args, String> {
    let known = |name: &str| defined.iter().any(|input| input.name.node == name);
    if let Some(name) = given.keys().find(|name| !known(name)) {
        return Err(format!("{of} has no {name:?}"));
    }
    let mut out = Args::new();
    for input in defined {
        let (name, ty) = (input.name.node.as_str(), &input.ty.node);
        let default = || {
            let default = input.default_value.as_ref()?;
            default.node.clone().into_json().ok()
        };
        match given.remove(name).or_else(default) {
            Some(value) => {
                let value = coerce(ty, value).map_err(|why| format!("{name}: {why}"))?;
                out.insert(name.to_owned(), value);
            }
            None if ty.nullable => {}
            None => return Err(format!("{of} needs {name:?} of type {ty}")),
        }
    }
    Ok(out)
}
