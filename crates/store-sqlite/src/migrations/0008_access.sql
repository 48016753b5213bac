-- Who may call what within one application.

-- hash: of the token, which itself is nowhere. capabilities: bits. flags: a JSON array.
CREATE TABLE portal_token (
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,
  app INTEGER NOT NULL,
  capabilities INTEGER NOT NULL,
  flags TEXT NOT NULL,
  session TEXT,
  created INTEGER NOT NULL,
  expires INTEGER NOT NULL
) STRICT;

-- hash: of the key, which is sealed within the JSON.
CREATE TABLE integration (
  id INTEGER PRIMARY KEY,
  hash BLOB NOT NULL,
  spec TEXT NOT NULL
) STRICT;
