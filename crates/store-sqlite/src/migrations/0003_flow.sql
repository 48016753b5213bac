-- What a function's rules made of a run (flow), and further events that started it (more: their
-- places in order, eight bytes each, most significant first). NULL where there is nothing.
ALTER TABLE run ADD COLUMN flow BLOB;
ALTER TABLE run ADD COLUMN more BLOB;
ALTER TABLE image ADD COLUMN flow BLOB;

-- How far rates have been used up: tat in nanoseconds since 1970. fn is 0 for a limit of an
-- operator.
CREATE TABLE counter (
  fn INTEGER NOT NULL,
  rule INTEGER NOT NULL,
  key BLOB NOT NULL,
  tat INTEGER NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (fn, rule, key)
) STRICT, WITHOUT ROWID;

-- Debounces and batches that have not become runs.
CREATE TABLE gather (
  seq INTEGER PRIMARY KEY,
  fn INTEGER NOT NULL,
  rule INTEGER NOT NULL,
  key TEXT NOT NULL,
  opened INTEGER NOT NULL,
  due INTEGER NOT NULL,
  event INTEGER NOT NULL,
  ts INTEGER NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;
-- The events of a batch beyond its first; their places are the order in which they came.
CREATE TABLE gathered (
  gather INTEGER NOT NULL,
  event INTEGER NOT NULL,
  PRIMARY KEY (gather, event)
) STRICT, WITHOUT ROWID;

-- Events that did not start a function, because of a rule. kept is NULL where it is not known.
CREATE TABLE dropped (
  event INTEGER NOT NULL,
  fn INTEGER NOT NULL,
  at INTEGER NOT NULL,
  rule INTEGER NOT NULL,
  key TEXT NOT NULL,
  kept INTEGER,
  PRIMARY KEY (event, fn)
) STRICT, WITHOUT ROWID;
CREATE INDEX dropped_by_fn ON dropped (fn, event);

-- Limits of operators; spec holds the rest as JSON.
CREATE TABLE limit_rule (name TEXT PRIMARY KEY, spec TEXT NOT NULL) STRICT, WITHOUT ROWID;
