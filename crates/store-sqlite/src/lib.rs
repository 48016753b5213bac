//! The embedded store: SQLite in WAL mode, one writer, readers apart.
