-- Sources: what failed verification. A source's own settings are within its JSON.

-- The newest of each source: slots are taken in turns, so that there is an end to them.
CREATE TABLE refusal (
  source INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  at INTEGER NOT NULL,
  code INTEGER NOT NULL,
  detail TEXT NOT NULL,
  ip TEXT,
  headers TEXT NOT NULL,
  body_bytes INTEGER NOT NULL,
  unlisted INTEGER NOT NULL,
  PRIMARY KEY (source, slot)
) STRICT, WITHOUT ROWID;

-- How many rows a source has ever had, and how many refusals that have none.
CREATE TABLE refusal_count (
  source INTEGER PRIMARY KEY,
  listed INTEGER NOT NULL,
  unlisted INTEGER NOT NULL
) STRICT;
