//! From the text of a request to a document that is known to be sound.

use async_graphql_parser::Error;
use async_graphql_parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, OperationType,
};
use dunlin_types::limits::{GRAPHQL_DEPTH_LEVELS_MAX, GRAPHQL_DOCUMENT_BYTES_MAX};
use serde_json::Value;

use crate::coerce::{Args, coerce};
use crate::request::{Invalid, Request};
use crate::validate;

/// A document that can be executed.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) document: ExecutableDocument,
    /// Which operation, where they have names.
    operation: Option<String>,
    pub(crate) variables: Args,
}

impl Prepared {
    /// The operation that is meant.
    pub(crate) fn operation(&self) -> Option<&OperationDefinition> {
        operation(&self.document, self.operation.as_deref()).ok()
    }
}

/// Parses and checks a document.
pub(crate) fn prepare(request: &Request) -> Result<Prepared, Invalid> {
    let text = &request.query;
    if text.trim().is_empty() {
        return Err(Invalid::new("the request has no query"));
    }
    if text.len() > GRAPHQL_DOCUMENT_BYTES_MAX {
        let why = format!("the document is over {GRAPHQL_DOCUMENT_BYTES_MAX} bytes");
        return Err(Invalid::new(why));
    }
    if nesting(text) > GRAPHQL_DEPTH_LEVELS_MAX {
        return Err(too_deep());
    }
    let document = async_graphql_parser::parse_query(text).map_err(syntax)?;
    let meant = operation(&document, request.operation.as_deref())?;
    if meant.ty != OperationType::Query {
        return Err(Invalid::new("only queries are served"));
    }
    let variables = variables(meant, &request.variables)?;
    validate::check(&document, meant, &variables)?;
    Ok(Prepared {
        operation: request.operation.clone(),
        document,
        variables,
    })
}

pub(crate) fn too_deep() -> Invalid {
    let why = format!("the document is nested deeper than {GRAPHQL_DEPTH_LEVELS_MAX} levels");
    Invalid::new(why)
}

/// Levels of brackets outside of strings and comments. What ends a string wrongly can only make
/// it more: then the parser has the last word.
fn nesting(text: &str) -> usize {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut deepest) = (0, 0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' | b'(' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' | b')' => depth = depth.saturating_sub(1),
            b'#' => at += bytes[at..].iter().take_while(|b| **b != b'\n').count() - 1,
            b'"' => at = string_end(bytes, at),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// The last byte of the string that begins there.
fn string_end(bytes: &[u8], start: usize) -> usize {
    let block = bytes[start..].starts_with(b"\"\"\"");
    let mut at = start + if block { 3 } else { 1 };
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' if !block || bytes[at + 1..].starts_with(b"\"\"\"") => {
                at += if block { 3 } else { 1 };
            }
            b'"' if !block => return at,
            b'"' if bytes[at..].starts_with(b"\"\"\"") => return at + 2,
            b'\n' if !block => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

fn syntax(error: Error) -> Invalid {
    let place = error.positions().next();
    match place {
        Some(place) => Invalid::at(error.to_string(), place.line, place.column),
        None => Invalid::new(error.to_string()),
    }
}

fn operation<'d>(
    document: &'d ExecutableDocument,
    name: Option<&str>,
) -> Result<&'d OperationDefinition, Invalid> {
    match (&document.operations, name) {
        (DocumentOperations::Single(one), None) => Ok(&one.node),
        (DocumentOperations::Single(_), Some(name)) => {
            Err(Invalid::new(format!("there is no operation {name:?}")))
        }
        (DocumentOperations::Multiple(all), Some(name)) => match all.get(name) {
            Some(found) => Ok(&found.node),
            None => Err(Invalid::new(format!("there is no operation {name:?}"))),
        },
        (DocumentOperations::Multiple(all), None) => match all.values().next() {
            Some(one) if all.len() == 1 => Ok(&one.node),
            _ => Err(Invalid::new(
                "the document has several operations, so operationName must name one",
            )),
        },
    }
}

/// The operation's variables, from what was given and their defaults.
fn variables(operation: &OperationDefinition, given: &Args) -> Result<Args, Invalid> {
    let mut out = Args::new();
    for variable in &operation.variable_definitions {
        let definition = &variable.node;
        let name = definition.name.node.as_str();
        let default = || {
            let default = definition.default_value.as_ref()?;
            default.node.clone().into_json().ok()
        };
        let of = &definition.var_type.node;
        let value = given.get(name).cloned().or_else(default);
        let value: Option<Value> = match value {
            Some(value) => Some(value),
            None if of.nullable => None,
            None => return Err(at(variable.pos, format!("variable ${name} is required"))),
        };
        if let Some(value) = value {
            let wrong = |why| at(variable.pos, format!("variable ${name}: {why}"));
            out.insert(name.to_owned(), coerce(of, value).map_err(wrong)?);
        }
    }
    Ok(out)
}

pub(crate) fn at(pos: async_graphql_parser::Pos, why: impl Into<String>) -> Invalid {
    Invalid::at(why, pos.line, pos.column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_comments_do_not_nest() {
        for (text, levels) in [
            ("{a{b}}", 2),
            ("{a}{b}", 1),
            (r#"{a(x: "{{{\"{{")}"#, 2),
            ("{a(x: \"\"\"{{ \\\"\"\" {{\"\"\")}", 2),
            ("# {{{{\n{a}", 1),
            ("{a(x: \"open", 2),
            ("#", 0),
            ("\"", 0),
        ] {
            assert_eq!(nesting(text), levels, "{text}");
        }
    }
}
