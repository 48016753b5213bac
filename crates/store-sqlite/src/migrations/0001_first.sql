-- Places in the order of the world (seq) are rowids: every append goes to the end of its table.
-- Instants are milliseconds since 1970. `enc` tells how the last column is kept: 0 as it is,
-- 128 apart in `payload` (the column is NULL then).

CREATE TABLE shard (
  id INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL,
  boot INTEGER NOT NULL,
  clean INTEGER NOT NULL,
  opened INTEGER NOT NULL,
  commit_no INTEGER NOT NULL,
  next_seq INTEGER NOT NULL,
  fold_from INTEGER NOT NULL
) STRICT;
INSERT INTO shard VALUES (0, 0, 0, 1, 0, 0, 1, 0);

-- Event names and event types, so that a row and an index entry hold a small number.
CREATE TABLE name (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE) STRICT;

-- Large bodies. id = seq * 4 + part; part 0 is the row's body, part 1 an event's user.
CREATE TABLE payload (id INTEGER PRIMARY KEY, bytes BLOB NOT NULL) STRICT;

-- kind: 0 from the API, 1 from a message (ref), 2 internal with a body; 4, 5, 6 finished, failed
-- and cancelled without one (ref: the run). ulid and ext_id are NULL where they follow from
-- (at, seq).
CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  name INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  ref INTEGER NOT NULL,
  at INTEGER NOT NULL,
  ts INTEGER NOT NULL,
  ulid BLOB,
  ext_id TEXT,
  v TEXT,
  user_enc INTEGER NOT NULL,
  user BLOB,
  enc INTEGER NOT NULL,
  body BLOB
) STRICT;
CREATE INDEX event_by_name ON event (name);

CREATE TABLE dedupe (
  key BLOB NOT NULL PRIMARY KEY,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  hash BLOB
) STRICT, WITHOUT ROWID;

-- started, ended and last mean nothing while status is 0 (live): they are there from the start so
-- that the row grows little when it ends.
CREATE TABLE run (
  seq INTEGER PRIMARY KEY,
  fn INTEGER NOT NULL,
  version INTEGER NOT NULL,
  event INTEGER NOT NULL,
  created INTEGER NOT NULL,
  due INTEGER NOT NULL,
  status INTEGER NOT NULL,
  started INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  last INTEGER NOT NULL,
  enc INTEGER NOT NULL,
  out BLOB
) STRICT;
CREATE TABLE event_run (
  event INTEGER NOT NULL,
  run INTEGER NOT NULL,
  PRIMARY KEY (event, run)
) STRICT, WITHOUT ROWID;

-- No index: a run's rows are found backwards by prev. The payload comes last, so that reading the
-- rest touches no overflow page.
CREATE TABLE step (
  seq INTEGER PRIMARY KEY,
  run INTEGER NOT NULL,
  prev INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  item INTEGER NOT NULL,
  attempt INTEGER NOT NULL,
  due INTEGER NOT NULL,
  id BLOB,
  name TEXT NOT NULL,
  queued INTEGER NOT NULL,
  started INTEGER NOT NULL,
  ended INTEGER NOT NULL,
  enc INTEGER NOT NULL,
  payload BLOB
) STRICT;

-- Pictures of live runs: run, function, the last step row that it includes, its open items.
CREATE TABLE image (
  run INTEGER PRIMARY KEY,
  fn INTEGER NOT NULL,
  last INTEGER NOT NULL,
  items BLOB NOT NULL
) STRICT;

CREATE TABLE app (
  number INTEGER PRIMARY KEY,
  name TEXT NOT NULL,
  url TEXT NOT NULL,
  identity_url TEXT NOT NULL,
  sdk TEXT NOT NULL,
  framework TEXT NOT NULL,
  version TEXT,
  checksum BLOB NOT NULL,
  created INTEGER NOT NULL,
  synced INTEGER NOT NULL,
  error_code INTEGER,
  error_text TEXT
) STRICT;

-- spec holds the row as JSON.
CREATE TABLE function (number INTEGER PRIMARY KEY, spec TEXT NOT NULL) STRICT;
CREATE TABLE function_version (
  fn INTEGER NOT NULL,
  version INTEGER NOT NULL,
  from_seq INTEGER NOT NULL,
  spec TEXT NOT NULL,
  PRIMARY KEY (fn, version)
) STRICT;

CREATE TABLE application (id INTEGER PRIMARY KEY, spec TEXT NOT NULL) STRICT;
CREATE TABLE source (id INTEGER PRIMARY KEY, spec TEXT NOT NULL) STRICT;
CREATE TABLE endpoint (
  id INTEGER PRIMARY KEY,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL,
  version INTEGER NOT NULL,
  from_seq INTEGER NOT NULL,
  config TEXT NOT NULL
) STRICT;
-- config is NULL for the version that says that the endpoint is gone.
CREATE TABLE endpoint_version (
  endpoint INTEGER NOT NULL,
  version INTEGER NOT NULL,
  from_seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  config TEXT,
  PRIMARY KEY (endpoint, version)
) STRICT;
-- Secrets of sources and endpoints (owner: their id), n = 0 the newest.
CREATE TABLE secret (
  owner INTEGER NOT NULL,
  n INTEGER NOT NULL,
  text TEXT NOT NULL,
  created INTEGER NOT NULL,
  expires INTEGER,
  PRIMARY KEY (owner, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  app INTEGER NOT NULL,
  source INTEGER,
  type INTEGER NOT NULL,
  ext_id TEXT NOT NULL,
  headers TEXT NOT NULL,
  channels TEXT,
  hash BLOB NOT NULL,
  test INTEGER NOT NULL,
  enc INTEGER NOT NULL,
  body BLOB
) STRICT;
CREATE INDEX message_by_app ON message (app);
CREATE TABLE repeat (
  seq INTEGER PRIMARY KEY,
  message INTEGER NOT NULL,
  at INTEGER NOT NULL,
  hash BLOB NOT NULL,
  conflict INTEGER NOT NULL,
  enc INTEGER NOT NULL,
  body BLOB
) STRICT;
CREATE INDEX repeat_by_message ON repeat (message);

CREATE TABLE delivery (
  seq INTEGER PRIMARY KEY,
  message INTEGER NOT NULL,
  endpoint INTEGER NOT NULL,
  trigger INTEGER NOT NULL,
  state INTEGER NOT NULL,
  tries INTEGER NOT NULL,
  next_at INTEGER,
  created INTEGER NOT NULL,
  ended INTEGER,
  code INTEGER,
  rivals INTEGER NOT NULL
) STRICT;
CREATE INDEX delivery_by_message ON delivery (message);
CREATE INDEX delivery_pending ON delivery (seq) WHERE state = 0;
-- result: 0 arrived, 1 did not, 2 not wanted, 3 a duplicate of `duplicate_of`.
CREATE TABLE attempt (
  seq INTEGER PRIMARY KEY,
  delivery INTEGER NOT NULL,
  message INTEGER NOT NULL,
  endpoint INTEGER NOT NULL,
  at INTEGER NOT NULL,
  ms INTEGER NOT NULL,
  no INTEGER NOT NULL,
  trigger INTEGER NOT NULL,
  result INTEGER NOT NULL,
  duplicate_of INTEGER,
  status INTEGER NOT NULL,
  code INTEGER,
  detail TEXT NOT NULL,
  url TEXT NOT NULL,
  event INTEGER,
  next_at INTEGER,
  logs TEXT,
  response BLOB NOT NULL
) STRICT;
CREATE INDEX attempt_by_message ON attempt (message);
CREATE INDEX attempt_by_endpoint ON attempt (endpoint);
