-- Secrets sealed at rest: in `secret`, and within the JSON of sources and endpoints, a sealed text
-- stands in the place of the plain one. These are the keys that any of them may be sealed with.
CREATE TABLE seal_key (id TEXT NOT NULL PRIMARY KEY) STRICT, WITHOUT ROWID;
-- swept: 1 once everything that older programs left in plain text is sealed and wiped.
CREATE TABLE seal (id INTEGER PRIMARY KEY, swept INTEGER NOT NULL) STRICT;
INSERT INTO seal VALUES (0, 0);
