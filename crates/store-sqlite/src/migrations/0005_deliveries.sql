-- Deliveries: what endpoints may ask for, and what lists search by.

-- enc may also be 64: the payload is no longer kept. The body comes last, so that reading the rest
-- touches no overflow page. params is NULL where there is nothing.
CREATE TABLE message_new (
  seq INTEGER PRIMARY KEY,
  at INTEGER NOT NULL,
  app INTEGER NOT NULL,
  source INTEGER,
  type INTEGER NOT NULL,
  ext_id TEXT NOT NULL,
  headers TEXT NOT NULL,
  channels TEXT,
  tags TEXT,
  deliver_at INTEGER,
  expires INTEGER NOT NULL,
  hash BLOB NOT NULL,
  test INTEGER NOT NULL,
  params BLOB,
  enc INTEGER NOT NULL,
  body BLOB
) STRICT;
INSERT INTO message_new
  SELECT seq, at, app, source, type, ext_id, headers, channels, NULL, NULL, at + 7776000000, hash,
    test, NULL, enc, body FROM message;
DROP TABLE message;
ALTER TABLE message_new RENAME TO message;
CREATE INDEX message_by_app ON message (app);
CREATE INDEX message_by_type ON message (type, app);
-- By day, so that what is new goes to pages that are at hand.
CREATE INDEX message_by_sender ON message (at / 86400000, ext_id) WHERE ext_id <> '';
CREATE INDEX message_expiring ON message (expires) WHERE enc <> 64;

-- Channels and tags: a hash of the application, the kind and the text.
CREATE TABLE message_label (
  label INTEGER NOT NULL,
  message INTEGER NOT NULL,
  PRIMARY KEY (label, message)
) STRICT, WITHOUT ROWID;

ALTER TABLE delivery ADD COLUMN order_key INTEGER;
CREATE INDEX delivery_dead ON delivery (endpoint) WHERE state = 2;

-- headers is JSON, NULL where none are kept.
ALTER TABLE attempt ADD COLUMN headers TEXT;
CREATE INDEX attempt_failed ON attempt (endpoint) WHERE result = 1;

CREATE TABLE health (
  endpoint INTEGER PRIMARY KEY,
  failing_since INTEGER NOT NULL,
  counts_since INTEGER,
  warned INTEGER NOT NULL
) STRICT;

-- What became of deliveries, by endpoint and hour since 1970.
CREATE TABLE tally (
  endpoint INTEGER NOT NULL,
  hour INTEGER NOT NULL,
  succeeded INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  cancelled INTEGER NOT NULL,
  attempts_failed INTEGER NOT NULL,
  PRIMARY KEY (endpoint, hour)
) STRICT, WITHOUT ROWID;
CREATE INDEX tally_by_hour ON tally (hour);

-- spec holds the rest as JSON. status is 0 while it runs.
CREATE TABLE task (id INTEGER PRIMARY KEY, status INTEGER NOT NULL, spec TEXT NOT NULL) STRICT;
