//! What was saved and cannot be read any more: an endpoint whose filter is lost stands still and says
//! why, instead of being sent everything; the server starts all the same.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::path::Path;
use std::sync::Arc;

use dunlin_delivery::{Endpoint, EndpointConfig, Filter, JsonPath, Write};
use dunlin_store::conformance::World;
use dunlin_store::{CommitOutcome, Restored, Store};
use dunlin_store_sqlite::SqliteStore;
use dunlin_types::{Seq, Timestamp};
use rusqlite::Connection;

const AT: Timestamp = Timestamp::from_ms(7_000);
const FILTER: &str = r#"{"payload":{"amount":{"$gte":100}}}"#;
const ORDER: &str = "data.customer";

fn endpoint(id: u64) -> Endpoint {
    let config = EndpointConfig {
        url: "https://example.com/hook".to_owned(),
        filter: Some(Filter::parse(FILTER).unwrap()),
        ordering_key: Some(JsonPath::parse(ORDER).unwrap()),
        ..EndpointConfig::default()
    };
    Endpoint {
        id: Seq(id),
        created: AT,
        updated: AT,
        version: 1,
        from_seq: Seq(id),
        config: Arc::new(config),
        secrets: Vec::new(),
    }
}

fn save(dir: &Path, endpoints: &[Endpoint]) {
    let store = SqliteStore::new(dir).unwrap();
    let (mut writer, start) = store.writer(AT).unwrap();
    let mut batch = World::new(&start).empty();
    let rows = endpoints.iter().cloned().map(Arc::new);
    batch.delivery = rows.map(Write::Endpoint).collect();
    assert_eq!(writer.commit(&batch), CommitOutcome::Done);
    writer.close().unwrap();
}

/// Has another program write into that endpoint's row.
fn change(dir: &Path, id: u64, from: &str, to: &str) {
    let db = Connection::open(dir.join("dunlin.db")).unwrap();
    let sql = "UPDATE endpoint SET config = replace(config, ?2, ?3) WHERE id = ?1 \
               AND instr(config, ?2) > 0";
    let id = i64::try_from(id).unwrap();
    assert_eq!(db.execute(sql, (id, from, to)).unwrap(), 1);
}

fn restored(dir: &Path) -> Vec<Endpoint> {
    let store = SqliteStore::new(dir).unwrap();
    let _writer = store.writer(AT).unwrap();
    let mut found = Vec::new();
    let mut take = |row| {
        if let Restored::Endpoint(endpoint) = row {
            found.push(Endpoint::clone(&endpoint));
        }
    };
    store.reader().unwrap().restore(&mut take).unwrap();
    found
}

#[test]
fn an_endpoint_whose_filter_cannot_be_read_is_disabled_with_the_reason_instead_of_sent_everything()
{
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &[endpoint(20), endpoint(21)]);
    change(dir.path(), 20, "$gte", "$later");
    let found = restored(dir.path());
    let config = &found[0].config;
    assert!(config.disabled);
    assert_eq!(config.disabled_at, Some(AT), "catching up begins here");
    let reason = config.disabled_reason.as_deref().unwrap();
    assert!(reason.contains("E0618"), "{reason}");
    assert!(reason.contains("$later"), "{reason}");
    // Whatever enables it, nothing fits, and the text is kept for whoever mends it.
    let filter = config.filter.as_ref().unwrap();
    assert_eq!(filter.source(), FILTER.replace("$gte", "$later"));
    assert_eq!(found[1], endpoint(21), "others go on");
}

#[test]
fn an_endpoint_whose_ordering_key_cannot_be_read_keeps_one_order_for_all() {
    let dir = tempfile::tempdir().unwrap();
    save(dir.path(), &[endpoint(20)]);
    change(dir.path(), 20, ORDER, "data..customer");
    let config = &restored(dir.path())[0].config;
    assert!(!config.disabled);
    let path = config.ordering_key.as_ref().unwrap();
    assert_eq!(path.source(), "data..customer");
    assert_eq!(*path, JsonPath::unreadable("data..customer"));
}
