//! `--set data.total_amount=1000`: changes one value within JSON by its path.

use dunlin_types::Code;
use serde_json::{Map, Value};

use crate::fail::Failure;

/// Elements that a list may be made longer by: one at its end.
const APPENDED_MAX: usize = 1;

/// Sets what `assignment` says. A value that is no JSON is taken as text; objects on the way are
/// made, items of lists are named by number.
///
/// # Errors
/// When there is no `=`, the path is empty somewhere, or it leads through a value that has no parts.
pub(crate) fn set(root: &mut Value, assignment: &str) -> Result<(), Failure> {
    let bad = |why: &str| {
        Failure::new(Code::ConfigBad, format!("--set {assignment}: {why}"))
            .remedy("it looks like this: --set data.customer.email=ada@example.com")
    };
    let (path, text) = assignment
        .split_once('=')
        .ok_or_else(|| bad("there is no `=`"))?;
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::from(text));
    let mut at = root;
    for part in path.split('.') {
        if part.is_empty() {
            return Err(bad("a part of the path is empty"));
        }
        at = step(at, part).ok_or_else(|| bad(&format!("there is nothing at `{part}`")))?;
    }
    *at = value;
    Ok(())
}

/// The place of that name within a value; null becomes an object.
fn step<'a>(value: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(fields) => Some(fields.entry(part).or_insert(Value::Null)),
        Value::Array(items) => {
            let index: usize = part.parse().ok()?;
            if index < items.len() + APPENDED_MAX && index >= items.len() {
                items.push(Value::Null);
            }
            items.get_mut(index)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn after(assignment: &str) -> Value {
        let mut value = json!({"data": {"total": 1, "cart": [{"n": 1}], "gone": null}});
        set(&mut value, assignment).unwrap();
        value["data"].clone()
    }

    #[test]
    fn values_are_json_where_they_can_be_and_text_otherwise() {
        assert_eq!(after("data.total=1000")["total"], 1000);
        assert_eq!(after("data.total=\"1000\"")["total"], "1000");
        assert_eq!(after("data.total=ada=b")["total"], "ada=b");
        assert_eq!(after("data.total=null")["total"], Value::Null);
        assert_eq!(after("data.total=")["total"], "");
    }

    #[test]
    fn paths_lead_through_lists_and_make_objects() {
        assert_eq!(after("data.cart.0.n=2")["cart"], json!([{"n": 2}]));
        assert_eq!(after("data.cart.1=2")["cart"], json!([{"n": 1}, 2]));
        assert_eq!(
            after("data.gone.a.b=true")["gone"],
            json!({"a": {"b": true}})
        );
        assert_eq!(after("data.new=[1]")["new"], json!([1]));
    }

    #[test]
    fn paths_that_lead_nowhere_are_refused() {
        let mut value = json!({"a": 1, "list": []});
        for assignment in ["a", "=1", "a..b=1", "a.b=1", "list.1=1", "list.x=1"] {
            assert!(set(&mut value, assignment).is_err(), "{assignment}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_set_or_refused(text in "\\PC{0,40}") {
            let _ = set(&mut json!({"data": {"list": [1]}}), &text);
        }
    }
}
