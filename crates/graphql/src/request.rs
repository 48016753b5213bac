//! What is asked, and the form of the answer.

use dunlin_types::{Code, Coded};
use serde_json::{Map, Value, json};

/// A request: a document, which of its operations is meant, and values for its variables.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The document.
    pub query: String,
    /// The operation, where the document has several.
    pub operation: Option<String>,
    /// Values by the variables' names.
    pub variables: Map<String, Value>,
}

impl Request {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Code::BadRequest`] when it is no JSON object, or has members of the wrong kinds.
    pub fn parse(body: &[u8]) -> Result<Self, Coded> {
        let bad = |why: &str| Coded::new(Code::BadRequest, why);
        let Ok(Value::Object(mut body)) = serde_json::from_slice(body) else {
            return Err(bad("the body must be a JSON object"));
        };
        let query = match body.remove("query") {
            Some(Value::String(query)) => query,
            None | Some(Value::Null) => String::new(),
            Some(_) => return Err(bad("query must be a string")),
        };
        let operation = match body.remove("operationName") {
            Some(Value::String(name)) => Some(name).filter(|name| !name.is_empty()),
            None | Some(Value::Null) => None,
            Some(_) => return Err(bad("operationName must be a string")),
        };
        let variables = match body.remove("variables") {
            Some(Value::Object(variables)) => variables,
            None | Some(Value::Null) => Map::new(),
            Some(_) => return Err(bad("variables must be an object")),
        };
        Ok(Self {
            query,
            operation,
            variables,
        })
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    /// 200, or 422 for a document that is none of the schema.
    pub status: u16,
    /// `data` and `errors`.
    pub body: Value,
    /// What made the whole document invalid.
    pub code: Option<Code>,
}

/// Why a document is not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invalid {
    pub(crate) why: String,
    /// Line and column, from 1.
    pub(crate) place: Option<(usize, usize)>,
}

impl Invalid {
    pub(crate) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            place: None,
        }
    }

    pub(crate) fn at(why: impl Into<String>, line: usize, column: usize) -> Self {
        Self {
            why: why.into(),
            place: Some((line, column)),
        }
    }
}

impl Response {
    pub(crate) fn invalid(invalid: &Invalid) -> Self {
        let code = Code::BadRequest;
        let mut error = json!({
            "message": invalid.why,
            "extensions": {"code": code.to_string()},
        });
        if let Some((line, column)) = invalid.place {
            error["locations"] = json!([{"line": line, "column": column}]);
        }
        Self {
            status: 422,
            body: json!({
                "data": null,
                "errors": [error],
                "error_code": code.to_string(),
            }),
            code: Some(code),
        }
    }
}
