-- Event types that somebody made, changed or removed; those that the program knows have no row.

-- spec: what is known of one without its schemas, as JSON. schemas: its schemas as they came.
CREATE TABLE event_type (
  name TEXT NOT NULL PRIMARY KEY,
  spec TEXT NOT NULL,
  schemas TEXT
) STRICT;
