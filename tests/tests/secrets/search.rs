//! What must be found nowhere, and where it was looked for.

use std::collections::BTreeSet;

use dunlin_tests::{Client, Server};
use http::Method;
use serde_json::Value;

/// A secret, and where it may be seen.
struct Canary {
    name: &'static str,
    text: String,
    /// How the places begin that are there to show it.
    shown_at: &'static [&'static str],
}

/// Places where a canary was found, each named.
#[derive(Default)]
pub(crate) struct Search {
    canaries: Vec<Canary>,
    pub(crate) found: BTreeSet<String>,
    pub(crate) searched: usize,
}

impl Search {
    /// Looks for that text from now on.
    pub(crate) fn add(&mut self, name: &'static str, text: impl Into<String>) {
        self.add_shown(name, text, &[]);
    }

    /// The same, but for places that begin so.
    pub(crate) fn add_shown(
        &mut self,
        name: &'static str,
        text: impl Into<String>,
        shown_at: &'static [&'static str],
    ) {
        let text = text.into();
        assert!(text.len() >= 16, "{name} is too short to be looked for");
        self.canaries.push(Canary {
            name,
            text,
            shown_at,
        });
    }

    pub(crate) fn look(&mut self, place: &str, bytes: &[u8]) {
        self.searched += 1;
        // Canaries are plain ASCII, and texts are searched much faster than bytes.
        let text = String::from_utf8_lossy(bytes);
        for canary in &self.canaries {
            let is_shown = canary.shown_at.iter().any(|one| place.starts_with(one));
            if let Some(at) = text.find(&canary.text).filter(|_| !is_shown) {
                let line = text[..at].rfind('\n').map_or(0, |end| end + 1);
                let around: String = text[line..].chars().take(200).collect();
                let found = format!("{} in {place}: {around}", canary.name);
                self.found.insert(found);
            }
        }
    }

    /// What the server keeps and what it said so far.
    pub(crate) fn server(&mut self, server: &Server, when: &str) {
        for (name, bytes) in server.data_files() {
            self.look(&format!("{name} {when}"), &bytes);
        }
        self.look(&format!("the log {when}"), server.said().as_bytes());
    }

    /// Asks, whatever the answer is, and searches it with its headers.
    pub(crate) async fn ask(
        &mut self,
        client: &Client,
        method: Method,
        path: &str,
        body: &str,
    ) -> Value {
        let headers = [("content-type", "application/json")];
        let place = format!("the answer to {method} {path}");
        let reply = client.send(method, path, &headers, body.to_owned()).await;
        self.look(&place, &reply.bytes);
        self.look(&place, format!("{:?}", reply.headers).as_bytes());
        reply.json()
    }

    pub(crate) async fn get(&mut self, client: &Client, path: &str) -> Value {
        self.ask(client, Method::GET, path, "").await
    }
}
