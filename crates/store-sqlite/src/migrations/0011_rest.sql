-- How long a receiver that asked for less is left alone.
CREATE TABLE rest (
  endpoint INTEGER PRIMARY KEY,
  until INTEGER NOT NULL
) STRICT;
