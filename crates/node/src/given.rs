//! What a sender gave to go with a message, beside its payload: a body that is sent as it stands,
//! and headers.

use dunlin_delivery::Message;
use serde_json::Value;

/// The fields of a message's parameters that mean something here; transformations are shown all
/// of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// What is sent in place of the payload, where no transformation makes the body.
    pub raw_payload: Option<String>,
    /// Headers of each request; they win over the endpoint's, and the transformation's over them.
    pub headers: Vec<(String, String)>,
}

impl Given {
    /// Reads parameters.
    ///
    /// # Errors
    /// What is wrong with them, for whoever sent them.
    pub fn parse(params: &[u8]) -> Result<Self, &'static str> {
        let params: Value = serde_json::from_slice(params).map_err(|_| "they are not JSON")?;
        let raw_payload = match params.get("rawPayload") {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(text.clone()),
            Some(_) => return Err("`rawPayload` must be a string"),
        };
        let headers = match params.get("headers") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Object(fields)) => {
                let pairs = fields.iter();
                let texts = pairs.map(|(name, value)| Some((name.clone(), value.as_str()?.into())));
                let texts: Option<Vec<(String, String)>> = texts.collect();
                texts.ok_or("each of `headers` must be a string")?
            }
            Some(_) => return Err("`headers` must be an object"),
        };
        Ok(Self {
            raw_payload,
            headers,
        })
    }

    /// What the sender of a message gave. Whoever took it in has refused what cannot be read.
    #[must_use]
    pub fn of(message: &Message) -> Self {
        let params = message.params.as_deref();
        params
            .and_then(|params| Self::parse(params).ok())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_here_is_left_to_transformations() {
        let given = Given::parse(br#"{"rawPayload": "a=1", "headers": {"x-a": "b"}, "own": [1]}"#);
        let expected = Given {
            raw_payload: Some("a=1".to_owned()),
            headers: vec![("x-a".to_owned(), "b".to_owned())],
        };
        assert_eq!(given, Ok(expected));
        let none = Given::parse(br#"{"rawPayload": null, "headers": null}"#);
        assert_eq!(none, Ok(Given::default()));
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (params, name) in [
            (r#"{"rawPayload": {"a": 1}}"#, "rawPayload"),
            (r#"{"headers": {"x-a": 1}}"#, "headers"),
            (r#"{"headers": []}"#, "headers"),
        ] {
            assert!(Given::parse(params.as_bytes()).unwrap_err().contains(name));
        }
    }
}
