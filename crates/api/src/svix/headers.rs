//! Headers that an endpoint's owner adds to each request.

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::IntoResponse;
use axum::routing::get;
use dunlin_delivery::EndpointConfig;
use dunlin_egress::is_secret_header;
use http::{HeaderName, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::endpoint::{changing, updated};
use super::fields::Fields;
use super::{check, endpoint};
use crate::error::Reply;
use crate::state::Api;

pub(super) fn routes() -> Router<Api> {
    let path = "/api/v1/app/{app}/endpoint/{ep}/headers";
    Router::new().route(path, get(read).put(replace).patch(patch))
}

#[derive(Deserialize)]
pub(super) struct HeadersIn {
    headers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct HeadersPatch {
    #[serde(default)]
    headers: BTreeMap<String, Option<String>>,
    #[serde(default)]
    delete_headers: Vec<String>,
}

impl HeadersPatch {
    fn applied(self, old: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut new = old.clone();
        for (name, value) in self.headers {
            let name = name.to_ascii_lowercase();
            match value {
                Some(value) => new.insert(name, value),
                None => new.remove(&name),
            };
        }
        for name in self.delete_headers {
            new.remove(&name.to_ascii_lowercase());
        }
        new
    }
}

/// Values that are secrets are only named.
pub(super) async fn read(State(api): State<Api>, Path((app, ep)): Path<(String, String)>) -> Reply {
    let (_, endpoint) = endpoint(&api, &app, &ep)?;
    Ok(axum::Json(shown(&endpoint.config.headers)).into_response())
}

/// Headers as both APIs show them.
pub(crate) fn shown(headers: &BTreeMap<String, String>) -> Value {
    let is_secret = |name: &&String| {
        HeaderName::try_from(name.as_str()).is_ok_and(|name| is_secret_header(&name))
    };
    let sensitive: Vec<&String> = headers.keys().filter(is_secret).collect();
    let shown: BTreeMap<_, _> = headers
        .iter()
        .filter(|(name, _)| !is_secret(name))
        .collect();
    json!({"headers": shown, "sensitive": sensitive})
}

pub(super) async fn replace(
    State(api): State<Api>,
    Path(path): Path<(String, String)>,
    Fields(fields): Fields<HeadersIn>,
) -> Reply {
    change(&api, path, |_| fields.headers).await
}

async fn patch(
    State(api): State<Api>,
    Path(path): Path<(String, String)>,
    Fields(fields): Fields<HeadersPatch>,
) -> Reply {
    change(&api, path, |old| fields.applied(old)).await
}

async fn change(
    api: &Api,
    (app, ep): (String, String),
    change: impl FnOnce(&BTreeMap<String, String>) -> BTreeMap<String, String>,
) -> Reply {
    let _alone = changing().await;
    let (_, old) = endpoint(api, &app, &ep)?;
    let headers = check::headers(change(&old.config.headers))?;
    let config = EndpointConfig {
        headers,
        ..EndpointConfig::clone(&old.config)
    };
    updated(api, &old, config).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_sets_and_removes_whatever_the_case_of_names() {
        let old = BTreeMap::from([("x-a", "1"), ("x-b", "2"), ("x-c", "3")]);
        let old = old
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let patch: HeadersPatch =
            serde_json::from_str(r#"{"headers":{"X-A":"9","X-B":null},"deleteHeaders":["X-C"]}"#)
                .unwrap();
        let new = patch.applied(&old.collect());
        assert_eq!(new, BTreeMap::from([("x-a".to_owned(), "9".to_owned())]));
    }
}
