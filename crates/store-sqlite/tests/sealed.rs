//! Secrets at rest: nothing of them is in the files, before and after keys are exchanged, whatever
//! an older program or a crash left there; and a store whose keys are gone says so.
#![expect(clippy::unwrap_used, reason = "test code")]

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use dunlin_delivery::{
    Endpoint, EndpointConfig, EndpointVersionRow, SecretVersion, Source, SourceKind,
    Transformation, Write,
};
use dunlin_store::conformance::{World, show};
use dunlin_store::{CommitOutcome, KeyId, SealKey, Start, Store, StoreError, Writer};
use dunlin_store_sqlite::{Rotated, SqliteStore, rotate_seal_key};
use dunlin_types::{Code, Secret, Seq, Timestamp, limits};
use rusqlite::Connection;

/// In every secret, and nowhere else.
const CANARY: &str = "CANARY";
const AT: Timestamp = Timestamp::ZERO;

fn secrets(count: usize, n: u64) -> Vec<SecretVersion> {
    let one = |k| SecretVersion {
        secret: Secret::new(format!("whsec_{CANARY}_{n}_{k}")),
        created: AT,
        expires: None,
    };
    (0..count).map(one).collect()
}

fn endpoint(id: u64, version: u32) -> Endpoint {
    let value = |what: &str| format!("{what} {CANARY} {id} {version}");
    let transformation = Transformation {
        // Long enough that the row does not fit into a page, and pages are freed by changes.
        code: "// code\n".repeat(600).into(),
        enabled: true,
        variables: BTreeMap::from([("API_KEY".to_owned(), value("variable"))]),
        updated: AT,
    };
    let config = EndpointConfig {
        url: "https://example.com/hook".to_owned(),
        headers: BTreeMap::from([("authorization".to_owned(), value("Bearer"))]),
        transformation: Some(transformation),
        ..EndpointConfig::default()
    };
    Endpoint {
        id: Seq(id),
        created: AT,
        updated: AT,
        version,
        from_seq: Seq(id + u64::from(version)),
        config: Arc::new(config),
        secrets: secrets(3, id),
    }
}

fn source(id: u64) -> Source {
    Source {
        id: Seq(id),
        created: AT,
        updated: AT,
        name: format!("source {id}"),
        uid: None,
        kind: SourceKind::Dodo,
        mode: None,
        config: Default::default(),
        url_token: Some(Secret::new(format!("{CANARY} {id}"))),
        app: Seq(0),
        metadata: BTreeMap::new(),
        secrets: secrets(2, id),
    }
}

/// What a server does in some time: makes, changes and deletes.
fn write_some(writer: &mut dyn Writer, start: &Start) {
    let mut world = World::new(start);
    let mut commit = |rows: Vec<Write>| {
        let mut batch = world.empty();
        batch.delivery = rows;
        assert_eq!(writer.commit(&batch), CommitOutcome::Done);
    };
    for n in 0..8 {
        commit(vec![Write::Source(Arc::new(source(10 + n)))]);
        for version in 1..5 {
            let row = endpoint(20 + 10 * n, version);
            let past = EndpointVersionRow {
                endpoint: row.id,
                version,
                from_seq: row.from_seq,
                at: AT,
                config: Some(Arc::clone(&row.config)),
            };
            commit(vec![
                Write::Endpoint(Arc::new(row)),
                Write::EndpointVersion(past),
            ]);
        }
    }
    commit(vec![
        Write::SourceDeleted(Seq(13)),
        Write::EndpointDeleted(Seq(50)),
    ]);
}

fn fill(store: &SqliteStore) -> Vec<String> {
    let (mut writer, start) = store.writer(AT).unwrap();
    write_some(&mut *writer, &start);
    rows(store)
}

/// All that is read, so that two states can be compared.
fn rows(store: &SqliteStore) -> Vec<String> {
    show::all(&mut *store.reader().unwrap(), Seq(100))
}

fn files_with(dir: &Path, needle: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let bytes = std::fs::read(entry.path()).unwrap();
        if bytes
            .windows(needle.len())
            .any(|one| one == needle.as_bytes())
        {
            found.insert(entry.file_name().into_string().unwrap());
        }
    }
    found
}

fn sealed(dir: &Path, keys: &[SealKey]) -> SqliteStore {
    SqliteStore::sealed(dir, keys.to_vec()).unwrap()
}

fn start_fails(store: &SqliteStore) -> StoreError {
    store.writer(AT).err().unwrap()
}

fn key_file(dir: &Path) -> Vec<SealKey> {
    let text = std::fs::read_to_string(dir.join("seal.key")).unwrap_or_default();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| SealKey::parse(line).unwrap()).collect()
}

fn ids(keys: &[SealKey]) -> Vec<KeyId> {
    keys.iter().map(SealKey::id).collect()
}

fn rotate(dir: &Path, keys: &[SealKey]) -> Rotated {
    rotate_seal_key(dir, keys, &mut |_| Ok(())).unwrap()
}

#[test]
fn no_file_holds_a_secret_and_all_of_them_are_read_back() {
    let (plain, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let expected = fill(&SqliteStore::new(plain.path()).unwrap());
    assert!(!files_with(plain.path(), CANARY).is_empty());
    let store = sealed(dir.path(), &[]);
    assert_eq!(fill(&store), expected);
    assert_eq!(files_with(dir.path(), CANARY), BTreeSet::new());
    let (mut writer, _) = store.writer(AT).unwrap();
    assert_eq!(rows(&store), expected);
    writer.close().unwrap();
    assert_eq!(files_with(dir.path(), CANARY), BTreeSet::new());
    assert!(!files_with(dir.path(), "sealed:1:").is_empty());
    let mode = std::fs::metadata(dir.path().join("seal.key")).unwrap();
    assert_eq!(mode.permissions().mode() & 0o777, 0o600);
}

#[test]
fn what_an_older_program_left_in_plain_text_is_sealed_and_wiped_at_the_first_start() {
    let dir = tempfile::tempdir().unwrap();
    // It ends like a crash: the log holds what the file does not.
    let expected = fill(&SqliteStore::new(dir.path()).unwrap());
    assert!(!files_with(dir.path(), CANARY).is_empty());
    let store = sealed(dir.path(), &[]);
    let (_writer, _) = store.writer(AT).unwrap();
    assert_eq!(files_with(dir.path(), CANARY), BTreeSet::new());
    assert_eq!(rows(&store), expected);
}

#[test]
fn an_exchange_of_the_key_reseals_every_value_and_drops_the_old_key_last() {
    let dir = tempfile::tempdir().unwrap();
    let store = sealed(dir.path(), &[]);
    let expected = fill(&store);
    let old = key_file(dir.path());
    let rotated = rotate(dir.path(), &[]);
    let new = key_file(dir.path());
    assert_eq!((new.len(), rotated.to), (1, new[0].id()));
    assert_eq!((rotated.from, rotated.resumed), (ids(&old), false));
    assert!(rotated.progress.sealed > 60, "{:?}", rotated.progress);
    assert_eq!(rotated.progress.rows, rotated.progress.of);
    // Neither a value nor the list of keys names the old key any more.
    assert_eq!(
        files_with(dir.path(), &old[0].id().to_string()),
        BTreeSet::new()
    );
    let (_writer, _) = store.writer(AT).unwrap();
    assert_eq!(rows(&store), expected);
}

#[test]
fn an_exchange_that_was_interrupted_leaves_a_store_that_opens_and_is_finished_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = sealed(dir.path(), &[]);
    let expected = fill(&store);
    let old = key_file(dir.path());
    for stop_after in 0..3 {
        let mut commits = 0;
        let stopped = rotate_seal_key(dir.path(), &[], &mut |_| {
            commits += 1;
            let code = Code::StoreDead;
            match commits > stop_after {
                true => Err(StoreError {
                    code,
                    detail: String::new(),
                }),
                false => Ok(()),
            }
        });
        assert_eq!(stopped.unwrap_err().code, Code::StoreDead);
        assert_eq!(key_file(dir.path()).len(), 2);
        let (_writer, _) = store.writer(AT).unwrap();
        assert_eq!(rows(&store), expected);
    }
    let begun = key_file(dir.path());
    let rotated = rotate(dir.path(), &[]);
    assert!(rotated.resumed);
    assert_eq!((rotated.to, rotated.from), (begun[0].id(), ids(&old)));
    assert_eq!(key_file(dir.path()), begun[..1]);
    assert_eq!(
        files_with(dir.path(), &old[0].id().to_string()),
        BTreeSet::new()
    );
}

#[test]
fn a_file_with_several_keys_gets_a_new_one_all_the_same_and_goes_on_with_it_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let store = sealed(dir.path(), &[]);
    fill(&store);
    // Somebody puts a key of their own in front, and more is sealed with that.
    let file = dir.path().join("seal.key");
    let mine = SealKey::generate();
    let kept = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{}\n{kept}", mine.reveal().as_str())).unwrap();
    let (mut writer, start) = store.writer(AT).unwrap();
    let mut world = World::new(&start);
    let mut batch = world.empty();
    batch.delivery = vec![Write::Source(Arc::new(source(99)))];
    assert_eq!(writer.commit(&batch), CommitOutcome::Done);
    drop(writer);
    let expected = rows(&store);
    let before = key_file(dir.path());
    assert_eq!((before.len(), before[0].id()), (2, mine.id()));

    let stop = StoreError {
        code: Code::StoreDead,
        detail: String::new(),
    };
    let stopped = rotate_seal_key(dir.path(), &[], &mut |_| Err(stop.clone()));
    assert_eq!(stopped.unwrap_err().code, Code::StoreDead);
    let begun = key_file(dir.path());
    assert_eq!(begun[1..], before);
    let (writer, _) = store.writer(AT).unwrap();
    assert_eq!(rows(&store), expected);
    drop(writer);

    let rotated = rotate(dir.path(), &[]);
    assert!(rotated.resumed);
    assert_eq!((rotated.to, rotated.from), (begun[0].id(), ids(&before)));
    assert_eq!(key_file(dir.path()), begun[..1]);
    for old in &before {
        let id = old.id().to_string();
        assert_eq!(files_with(dir.path(), &id), BTreeSet::new());
    }
    assert_eq!(rows(&store), expected);
    // That one has ended, so the next is one of its own.
    let next = rotate(dir.path(), &[]);
    assert_eq!((next.resumed, next.from), (false, ids(&begun[..1])));
}

#[test]
fn a_file_that_has_no_room_for_another_key_is_left_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = sealed(dir.path(), &[]);
    let expected = fill(&store);
    let file = dir.path().join("seal.key");
    let mut full = std::fs::read_to_string(&file).unwrap();
    while full.lines().filter(|line| !line.starts_with('#')).count() < limits::SEAL_KEYS_MAX {
        full.push_str(&format!("{}\n", SealKey::generate().reveal().as_str()));
    }
    std::fs::write(&file, &full).unwrap();
    let refused = rotate_seal_key(dir.path(), &[], &mut |_| Ok(())).unwrap_err();
    assert_eq!(refused.code, Code::SealKeyMissing);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), full);
    let (_writer, _) = store.writer(AT).unwrap();
    assert_eq!(rows(&store), expected);
}

#[test]
fn keys_that_are_given_are_used_instead_of_a_file_and_exchanged_by_putting_one_in_front() {
    let dir = tempfile::tempdir().unwrap();
    let (old, new) = (SealKey::generate(), SealKey::generate());
    let expected = fill(&sealed(dir.path(), std::slice::from_ref(&old)));
    assert!(!dir.path().join("seal.key").exists());
    let both = [new.clone(), old.clone()];
    let store = sealed(dir.path(), &both);
    let (writer, _) = store.writer(AT).unwrap();
    assert_eq!(rows(&store), expected);
    drop(writer);
    let rotated = rotate(dir.path(), &both);
    assert_eq!((rotated.to, rotated.from), (new.id(), vec![old.id()]));
    assert!(!rotated.in_file);
    let alone = sealed(dir.path(), &[new]);
    let (_writer, _) = alone.writer(AT).unwrap();
    assert_eq!(rows(&alone), expected);
}

#[test]
fn a_key_that_is_given_takes_over_from_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let expected = fill(&sealed(dir.path(), &[]));
    let given = [SealKey::generate()];
    let store = sealed(dir.path(), &given);
    let (writer, _) = store.writer(AT).unwrap();
    assert_eq!(rows(&store), expected);
    drop(writer);
    rotate(dir.path(), &given);
    assert!(!dir.path().join("seal.key").exists());
    let (_writer, _) = store.writer(AT).unwrap();
    assert_eq!(rows(&store), expected);
}

#[test]
fn a_start_without_the_key_names_it_and_makes_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let expected = fill(&sealed(dir.path(), &[]));
    let file = dir.path().join("seal.key");
    let kept = std::fs::read(&file).unwrap();
    let id = key_file(dir.path())[0].id().to_string();
    std::fs::remove_file(&file).unwrap();
    let other = [SealKey::generate()];
    let stores = [
        sealed(dir.path(), &[]),
        sealed(dir.path(), &other),
        SqliteStore::new(dir.path()).unwrap(),
    ];
    for store in &stores {
        let error = start_fails(store);
        assert_eq!(error.code, Code::SealKeyMissing);
        assert!(error.detail.contains(&id), "{error}");
        assert!(!file.exists());
    }
    let refused = rotate_seal_key(dir.path(), &[], &mut |_| Ok(())).unwrap_err();
    assert_eq!(refused.code, Code::SealKeyMissing);
    assert!(!file.exists());
    std::fs::write(&file, "no key at all\n").unwrap();
    assert_eq!(start_fails(&stores[0]).code, Code::SealKeyMissing);
    std::fs::write(&file, kept).unwrap();
    let (_writer, _) = stores[0].writer(AT).unwrap();
    assert_eq!(rows(&stores[0]), expected);
}

#[test]
fn a_value_that_was_moved_changed_or_put_there_in_plain_text_is_refused() {
    let edits = [
        (
            "UPDATE secret SET text = (SELECT text FROM secret WHERE owner = 11 AND n = 0) \
             WHERE owner = 12",
            "DELETE FROM secret WHERE owner = 12",
        ),
        (
            "UPDATE secret SET text = text || 'A' WHERE owner = 14",
            "DELETE FROM secret WHERE owner = 14",
        ),
        (
            "UPDATE secret SET text = 'whsec_mine' WHERE owner = 15",
            "DELETE FROM secret WHERE owner = 15",
        ),
        (
            "UPDATE endpoint SET config = (SELECT config FROM endpoint WHERE id = 30) \
             WHERE id = 40",
            "DELETE FROM endpoint WHERE id = 40",
        ),
    ];
    let dir = tempfile::tempdir().unwrap();
    let store = sealed(dir.path(), &[]);
    fill(&store);
    let (_writer, _) = store.writer(AT).unwrap();
    for (edit, spoiled) in edits {
        let file = Connection::open(dir.path().join("dunlin.db")).unwrap();
        assert!(file.execute(edit, []).unwrap() > 0);
        let restored = store.reader().unwrap().restore(&mut |_| ());
        let refused = restored.expect_err(edit);
        assert_eq!(refused.code, Code::SealBroken, "{edit}");
        assert!(!refused.detail.contains(CANARY), "{}", refused.detail);
        // So that the next edit is the only one.
        file.execute(spoiled, []).unwrap();
    }
    assert!(store.reader().unwrap().restore(&mut |_| ()).is_ok());
}

#[test]
fn a_folder_in_use_or_without_data_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let nothing = rotate_seal_key(dir.path(), &[], &mut |_| Ok(())).unwrap_err();
    assert_eq!(nothing.code, Code::FileUnreadable);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    let (_writer, _) = sealed(dir.path(), &[]).writer(AT).unwrap();
    let before = key_file(dir.path());
    let busy = rotate_seal_key(dir.path(), &[], &mut |_| Ok(())).unwrap_err();
    assert_eq!(busy.code, Code::StoreLocked);
    assert_eq!(key_file(dir.path()), before);
}
