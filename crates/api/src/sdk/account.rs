//! What the second version tells of the installation: its keys, and what may be asked.

use axum::extract::State;
use dunlin_node::ServerKind;
use dunlin_types::{APP_NAMESPACE, Secret};
use serde_json::{Value, json};
use uuid::Uuid;

use super::output::{self, ACCOUNT_ID, PageInfo};
use super::params::Params;
use crate::error::Reply;
use crate::policy::TABLE;
use crate::state::Api;

/// Keys of a page (SDK protocol).
const LIMIT_DEFAULT: usize = 20;
const LIMIT_MAX: usize = 100;
/// Characters of a key that are shown, if it has several times as many.
const SHOWN_CHARS: usize = 4;

fn environment(api: &Api) -> &'static str {
    match api.options.kind {
        ServerKind::Dev => "dev",
        ServerKind::Cloud => "production",
    }
}

pub(super) async fn account(State(api): State<Api>) -> Reply {
    let name = match api.options.kind {
        ServerKind::Dev => "Dev Server",
        ServerKind::Cloud => "Dunlin",
    };
    let account = json!({"id": ACCOUNT_ID, "name": name, "email": "dev@inngest.local"});
    Ok(output::v2(account, api.node.now()))
}

pub(super) async fn event_keys(State(api): State<Api>, params: Params) -> Reply {
    keys(&api, &params, "event key", &api.options.event_keys)
}

pub(super) async fn signing_keys(State(api): State<Api>, params: Params) -> Reply {
    // Only its hash leaves the key, and of that only the beginning, as of every key.
    let hashed = api.options.signing_key.as_ref().map(|key| key.hashed());
    let hashed: Vec<Secret> = hashed.into_iter().collect();
    keys(&api, &params, "signing key", &hashed)
}

fn keys(api: &Api, params: &Params, name: &str, keys: &[Secret]) -> Reply {
    let limit = params.limit(LIMIT_DEFAULT, LIMIT_MAX)?;
    let cursor = params.get("cursor").map(str::to_owned);
    let all: Vec<Value> = keys
        .iter()
        .enumerate()
        .map(|(index, key)| {
            let name = format!("{name} {}", index + 1);
            json!({
                "id": Uuid::new_v5(&APP_NAMESPACE, name.as_bytes()).to_string(),
                "name": name,
                "environment": environment(api),
                "key": beginning(key),
            })
        })
        .collect();
    let (page, info) = page(all, cursor.as_deref(), limit);
    Ok(output::v2_page(page, info, api.node.now()))
}

/// A slice of a short list whose items have ids; the cursor is the last id before it.
pub(super) fn page(all: Vec<Value>, cursor: Option<&str>, limit: usize) -> (Vec<Value>, PageInfo) {
    let id = |item: &Value| {
        let id = item.get("internalId").or_else(|| item.get("id"));
        id.and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let from = cursor.map_or(0, |cursor| {
        let place = all.iter().position(|item| id(item) == cursor);
        place.map_or(all.len(), |place| place + 1)
    });
    let has_more = all.len() > from + limit;
    let page: Vec<Value> = all.into_iter().skip(from).take(limit).collect();
    let cursor = page.last().filter(|_| has_more).map(id);
    let info = PageInfo {
        cursor,
        has_more,
        limit,
    };
    (page, info)
}

/// The prefix of a signing key and a few characters; of a short key nothing.
fn beginning(key: &Secret) -> String {
    let text = key.reveal();
    let prefix = match text.strip_prefix("signkey-") {
        Some(rest) => rest.find('-').map_or(0, |at| "signkey-".len() + at + 1),
        None => 0,
    };
    let (prefix, secret) = text.split_at(prefix);
    let shown = if secret.len() >= 4 * SHOWN_CHARS {
        secret.chars().take(SHOWN_CHARS).collect()
    } else {
        String::new()
    };
    format!("{prefix}{shown}…")
}

/// What may be asked in the second version.
pub(super) async fn operations(State(api): State<Api>) -> Reply {
    let rows = TABLE.iter().filter(|row| row.path.starts_with("/v2/"));
    let built = rows.filter(|row| !row.path.contains('*'));
    let shown: Vec<Value> = built
        .map(|row| {
            json!({
                "id": format!("{} {}", row.method, row.path),
                "method": row.method,
                "path": row.path,
                "isRead": row.is_read(),
            })
        })
        .collect();
    Ok(output::v2(shown, api.node.now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_is_shown_whole() {
        let of = |text: &str| beginning(&Secret::new(text));
        assert_eq!(
            of("signkey-prod-0123456789abcdef0123"),
            "signkey-prod-0123…"
        );
        assert_eq!(of("0123456789abcdef"), "0123…");
        assert_eq!(of("short"), "…");
        assert_eq!(of("signkey-test-abcd"), "signkey-test-…");
    }

    #[test]
    fn pages_of_a_short_list_join_without_a_gap() {
        let all: Vec<Value> = (0..5).map(|n| json!({"id": n.to_string()})).collect();
        let (first, info) = page(all.clone(), None, 2);
        assert_eq!((first.len(), info.has_more), (2, true));
        let (second, info) = page(all.clone(), info.cursor.as_deref(), 2);
        assert_eq!(second[0]["id"], "2");
        let (last, info) = page(all, info.cursor.as_deref(), 2);
        assert_eq!((last.len(), info.has_more, info.cursor), (1, false, None));
    }
}
