//! A request that a step asked this server to make, with the secrets that belong into it.

use std::fmt;

use bytes::Bytes;

use crate::Payload;

/// What is to be sent, complete. URL, headers and body may hold keys of the app's users: only
/// [`OutboundRequest::shown`] may be stored or logged, and nothing else is printed.
#[derive(Clone, PartialEq, Eq)]
pub struct OutboundRequest {
    /// Whether an AI provider is asked, whose answer is judged by its status.
    pub ai: bool,
    /// The method.
    pub method: String,
    /// Where to, query included.
    pub url: String,
    /// Names and values, none of them of the connection or the framing.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Bytes,
    /// `{format?, method, model?, url}`, the URL without user, query and fragment.
    pub shown: Payload,
}

impl OutboundRequest {
    /// What it takes in memory, about.
    #[must_use]
    pub fn weight_bytes(&self) -> usize {
        let pair = |(name, value): &(String, String)| name.len() + value.len();
        let headers: usize = self.headers.iter().map(pair).sum();
        let texts = self.method.len() + self.url.len() + self.shown.len();
        size_of::<Self>() + texts + headers + self.body.len()
    }
}

impl fmt::Debug for OutboundRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutboundRequest({})", self.shown.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_be_shown_is_printed() {
        let request = OutboundRequest {
            ai: true,
            method: "POST".to_owned(),
            url: "https://h/x?key=secret".to_owned(),
            headers: vec![("authorization".to_owned(), "Bearer secret".to_owned())],
            body: Bytes::from_static(b"secret"),
            shown: Payload::from_json(r#"{"url":"https://h/x"}"#),
        };
        assert_eq!(
            format!("{request:?}"),
            r#"OutboundRequest({"url":"https://h/x"})"#
        );
        assert!(request.weight_bytes() > 60);
    }
}
