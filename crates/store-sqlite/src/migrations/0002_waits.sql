-- A step row's `enc` may also be 1 or 2: the payload is the JSON of the event, or the output of the
-- run, whose place is in the column as eight bytes.

-- The run that a run repeats.
ALTER TABLE run ADD COLUMN original INTEGER;

-- How far each time table has been worked off.
CREATE TABLE cron (
  fn INTEGER NOT NULL,
  schedule TEXT NOT NULL,
  last INTEGER NOT NULL,
  PRIMARY KEY (fn, schedule)
) STRICT, WITHOUT ROWID;

-- Events of which not all that they resume has been resumed.
CREATE TABLE claim (event INTEGER PRIMARY KEY) STRICT;
